# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls and /proc readings that the lab needs and Python 3.11 does not have."""
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_CHILD_SUBREAPER, PR_CAPBSET_DROP = 36, 24

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{what}: {os.strerror(err)}")


def session_nice():
    """Linux may divide the processors by sessions (sched_autogroup): a nice value then counts within one only, unless the
    session has it too."""
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError:     # it does not divide them so
        pass


def unshare(flags):
    _checked(_libc.unshare(flags), f"unshare(0x{flags:x})")


def mount(source, target, fstype=None, flags=0, data=None):
    enc = [None if s is None else os.fsencode(s) for s in (source, target, fstype, data)]
    _checked(_libc.mount(enc[0], enc[1], enc[2], ctypes.c_ulong(flags), enc[3]),
             f"mount {source} on {target} ({fstype or 'bind'})")


def umount(target, flags=0):
    _checked(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def bind(source, target, read_only=False):
    mount(source, target, None, MS_BIND)
    if read_only:
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def pivot_root(new_root):
    """Make the mount point NEW_ROOT the root, and let go of the old one."""
    os.chdir(new_root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    _checked(_libc.syscall(number, b".", b"."), f"pivot_root to {new_root}")
    umount(".", MNT_DETACH)
    os.chdir("/")


def become_subreaper():
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def drop_bounding_capability(number):
    _checked(_libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), f"prctl(PR_CAPBSET_DROP, {number})")


def set_link(name, up):
    """Port NAME of the network namespace of this thread goes up or down: one ioctl, microseconds."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh22x", name.encode(), 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(sock, siocgifflags, request))[1]
        flags = flags | iff_up if up else flags & ~iff_up
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sh22x", name.encode(), flags))


def boottime_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


def append_event(path, **fields):
    """One line of JSON into the events file; a single write, so that writers do not mix."""
    line = json.dumps({"at_ms": boottime_ms(), **fields}) + "\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def start_time(pid):
    """Start time of PID in clock ticks since boot (field 22 of stat), or None when it is gone or a zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state on (index 0), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_same_process(record):
    """RECORD {pid, start} still names a living process, not another one with a reused pid."""
    return bool(record) and start_time(record["pid"]) == record["start"]


def process_record(pid):
    return {"pid": pid, "start": start_time(pid)}


def pid_namespace(pid):
    """Inode of the PID namespace of PID, or None."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return None


def wake_entered(pid1):
    """Continue the nsenter processes that lead into the PID namespace of PID1 and are stopped.

    nsenter stops itself when its command is stopped. Then nobody reaps the command, and without that the first process
    of the namespace can not end."""
    target = str(pid1).encode()
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            if words[:3] == [b"/usr/bin/nsenter", b"-t", target] and (stat_fields(pid) or "X")[0] == "T":
                os.kill(pid, signal.SIGCONT)
        except (OSError, ProcessLookupError):
            pass


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def pids_in_namespace(inode):
    """Outer pids of all processes of a PID namespace and of those nested in it, zombies too."""
    return {pid for pid in all_pids() if pid_namespace(pid) == inode} if inode else set()


def kill_record(record, signum=signal.SIGKILL, wait_s=10.0):
    """Signal exactly the process that RECORD names and wait until it has ended. True when it is gone."""
    if not record or not record.get("pid"):
        return True
    try:
        fd = os.pidfd_open(record["pid"])
    except ProcessLookupError:
        return True
    try:
        if not is_same_process(record):
            return True
        signal.pidfd_send_signal(fd, signum)
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        deadline = boottime_ms() + int(wait_s * 1000)
        while not poller.poll(100):
            wake_entered(record["pid"])
            if boottime_ms() >= deadline:
                return False
        return True
    except ProcessLookupError:
        return True
    finally:
        os.close(fd)


def mounts_below(directory):
    """Mount points at or below DIRECTORY in this mount namespace, deepest first."""
    prefix = os.path.realpath(directory)
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            point = line.split()[4].encode("latin-1", "replace").decode("unicode_escape")
            if point == prefix or point.startswith(prefix + "/"):
                found.append(point)
    return sorted(found, key=len, reverse=True)


def write_atomically(path, text, mode=0o644):
    temporary = f"{path}.new.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.rename(temporary, path)
