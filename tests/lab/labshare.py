# SPDX-License-Identifier: GPL-2.0-or-later
"""The two shares of a lab, the staged build, and a cache of the prepared list share."""
import hashlib
import os
import shutil
import subprocess
import time

import labconf
import labns

SIZES_MB = {"control": 64, "lists": 256}


class ShareError(Exception):
    pass


def run(*argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode != 0:
        raise ShareError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def image_path(directory, name):
    return os.path.join(directory, "share", name + ".img")


def mount_path(directory, name):
    return os.path.join(directory, "share", name)


def make_image(path, size_mb):
    with open(path, "wb") as file:
        file.truncate(size_mb << 20)
    run("/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", path)


def mount_share(directory, name, plain=False):
    """Mount share NAME where both hosts will bind it from. PLAIN: a directory on this machine's file system instead."""
    point = mount_path(directory, name)
    os.makedirs(point, exist_ok=True)
    if plain:
        labns.bind(point, point)
    else:
        run("/usr/bin/mount", "-t", "ext4", "-o", "loop,nosuid,nodev", image_path(directory, name), point)
    return mount_facts(point)


def mount_facts(point):
    """(type, source) of a mount point, as mountinfo has them."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in reversed(file.readlines()):
            words = line.split()
            if words[4] == point:
                tail = words[words.index("-") + 1:]
                return tail[0], tail[1]
    raise ShareError(f"{point} is not a mount point")


def have_loop(directory):
    try:
        return os.path.exists("/dev/loop-control") and bool(run("/usr/sbin/losetup", "-f", cwd=directory).strip())
    except ShareError:
        return False


def unmount_below(directory):
    for point in labns.mounts_below(directory):
        try:
            labns.umount(point)
        except OSError:
            labns.umount(point, labns.MNT_DETACH)


def loops_of(image):
    return run("/usr/sbin/losetup", "-n", "-O", "NAME", "-j", image).split() if os.path.exists(image) else []


def free_loops(directory, timeout_s=3.0):
    """Unmounted images free their device themselves, but later when another mount namespace has a copy of the mount."""
    images = [image_path(directory, name) for name in SIZES_MB]
    deadline = labns.boottime_ms() + int(timeout_s * 1000)
    while any(loops_of(image) for image in images) and labns.boottime_ms() < deadline:
        time.sleep(0.02)
    for image in images:
        for device in loops_of(image):
            subprocess.run(["/usr/sbin/losetup", "-d", device], check=False, capture_output=True)


def freeze(directory, name, frozen):
    run("/usr/sbin/fsfreeze", "-f" if frozen else "-u", mount_path(directory, name))


def thaw_all(directory):
    for name in SIZES_MB:
        subprocess.run(["/usr/sbin/fsfreeze", "-u", mount_path(directory, name)], check=False, capture_output=True)


# -- epochs that go, and come back from a backup
EPOCHS = ".understudy"


def copy_epochs(directory, target):
    """A backup of the control share as it is now, at TARGET."""
    run("/usr/bin/cp", "-a", "--no-target-directory", os.path.join(mount_path(directory, "control"), EPOCHS), target)


def replace_epochs(directory, source=None):
    """Put the backup SOURCE in the place of the epochs, or an empty folder; returns where the present ones are kept.

    A new folder under the old name, as of a share that was restored on its server; for a moment there is neither."""
    share = mount_path(directory, "control")
    present = os.path.join(share, EPOCHS)
    fresh, aside = os.path.join(share, f"fresh.{labns.boottime_ms()}"), os.path.join(share, f"aside.{labns.boottime_ms()}")
    if source:
        run("/usr/bin/cp", "-a", "--no-target-directory", source, fresh)
    else:
        stat = os.stat(present)
        os.mkdir(fresh, 0o755)
        os.chown(fresh, stat.st_uid, stat.st_gid)
    os.rename(present, aside)
    os.rename(fresh, present)
    return aside


# -- the cache of the prepared list share
def cache_file(*inputs):
    """Where an image made from INPUTS (texts: versions, configuration, programs) is kept between labs."""
    digest = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:20]
    base = os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/cache", "understudy-lab")
    return os.path.join(base, f"lists-{digest}.img")


def copy_sparse(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{target}.new.{os.getpid()}"
    run("/usr/bin/cp", "--sparse=always", "--reflink=auto", source, temporary)
    os.rename(temporary, target)


def package_version(package):
    return run("/usr/bin/dpkg-query", "-W", "-f", "${Version}", package)


# -- the product under test
def stage(build, directory):
    """Install BUILD into DIRECTORY/stage. A tmpfs, because overlayfs refuses two lower layers that overlap."""
    if not os.path.exists(os.path.join(build, "Makefile")):
        raise ShareError(f"{build} is not a build directory: no Makefile in it. Run configure and make there, with "
                         "--prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run")
    target = os.path.join(directory, "stage")
    os.makedirs(target, exist_ok=True)
    labns.mount("tmpfs", target, "tmpfs", labns.MS_NODEV, "mode=755,size=512m")
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DESTDIR")}
    run("/usr/bin/make", "-s", "-C", build, "install", f"DESTDIR={target}", env=clean)
    return target


def make_spool(directory, host):
    """Postfix's queue on a host, in memory: on one disk with the shares, each of its fsyncs would wait for theirs and they for it.
    It outlives the host's power, as a disk does."""
    target = os.path.join(directory, "spool", host)
    os.makedirs(target, exist_ok=True)
    labns.mount("tmpfs", target, "tmpfs", labns.MS_NODEV | labns.MS_NOSUID, "mode=755,size=512m")
    return target


def remove_tree(path):
    """Remove what an earlier lab left at PATH; refuses while anything is mounted below it."""
    mounts = labns.mounts_below(path)
    if mounts:
        raise ShareError(f"{mounts[0]} is still mounted; `lab down` first")
    if os.path.lexists(path):
        shutil.rmtree(path)


def make_watchdogs(directory, build):
    """The device of each host, which the shim of the build stands for."""
    shim = os.path.join(build or "", "tests/lab/watchdogshim.so")
    if not os.path.exists(shim):
        raise ShareError(f"{shim} is missing; a watchdog needs a build: give one with --build")
    for name in labconf.CLUSTER_HOSTS:
        (directory / "watchdog" / name).mkdir(parents=True)
        shutil.copy(shim, directory / "watchdog" / name / os.path.basename(labconf.WATCHDOG_SHIM))
