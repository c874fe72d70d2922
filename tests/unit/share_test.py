#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-share: mounts by fstab, takes down, also what is busy, and says who keeps it."""
import os
import shutil
import subprocess
import sys

import program
from program import eq, test

SHARE = os.path.join(program.BUILD, "resource/understudy-share")


class Place:
    """A mount point with an entry in an fstab of this mount namespace."""

    def __enter__(self):
        self.top = program.scratch()
        self.point = self.top + "/li st"
        os.mkdir(self.point)
        os.mkdir(self.top + "/other")
        with open(self.top + "/fstab", "w", encoding="ascii") as f:
            f.write(f"lists {self.point.replace(' ', chr(92) + '040')} tmpfs "
                    "noauto,size=1m 0 0\n")
        subprocess.run(["mount", "--bind", self.top + "/fstab", "/etc/fstab"], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "/etc/fstab"], check=False)
        while self.mounted():
            subprocess.run(["umount", "-l", self.point], check=True)
        shutil.rmtree(self.top, ignore_errors=True)

    def mounted(self):
        return os.path.ismount(self.point)

    def do(self, word, wanted=0, point=None, **more):
        code, out, err = program.run([SHARE, word, point or self.point], **more)
        eq(code, wanted, out + err)
        return out if wanted == 0 else err


@test
def mounts_by_fstab_once():
    with Place() as p:
        assert "state=unmounted" in p.do("status")
        assert "state=mounted" in p.do("mount") and p.mounted()
        assert "fstype=tmpfs before=1" in p.do("mount", point=p.point + "/")
        assert "state=mounted" in p.do("status")
        assert "lazy=0 mounts=1" in p.do("umount")
        eq(p.mounted(), False)
        assert "mounts=0" in p.do("umount")


@test
def without_an_entry_it_says_so():
    with Place() as p:
        err = p.do("mount", 1, point=p.top + "/other")
        assert "fstab" in err and "noauto" in err, err


@test
def a_mount_that_lies_is_no_success():
    with Place() as p:
        # mount(8) that does nothing and says yes
        with open(p.top + "/mount", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 0\n")
        os.chmod(p.top + "/mount", 0o755)
        subprocess.run(["mount", "--bind", p.top + "/mount", "/usr/bin/mount"], check=True)
        try:
            err = p.do("mount", 1)
        finally:
            subprocess.run(["umount", "/usr/bin/mount"], check=True)
        assert "nothing is mounted" in err, err


@test
def all_layers_go():
    with Place() as p:
        p.do("mount")
        subprocess.run(["mount", "-t", "tmpfs", "over", p.point], check=True)
        assert "mounts=2" in p.do("umount")
        eq(p.mounted(), False)


@test
def a_busy_one_is_detached_and_its_holders_are_named():
    with Place() as p:
        p.do("mount")
        with open(p.point + "/held", "w", encoding="ascii") as held:
            stands = subprocess.Popen(["/bin/cat"], cwd=p.point, stdin=subprocess.PIPE)
            try:
                out = p.do("umount")
            finally:
                stands.stdin.close()
                stands.wait()
            eq(p.mounted(), False)
            lines = out.splitlines()
            assert any(f"busy pid={stands.pid} uid=0 comm=cat by=cwd" in line for line in lines), out
            assert any(f"busy pid={os.getpid()} " in line and "by=fd" in line and held.name.replace(" ", "_") in line
                       for line in lines), out
            assert lines[-1].startswith("share state=unmounted") and lines[-1].endswith("lazy=1 mounts=1"), out


@test
def the_share_itself_is_not_asked():
    with Place() as p:
        p.do("mount")
        log = p.top + "/strace"
        for word in ("mount", "status", "umount"):
            p.do(word, strace=["-e", "trace=file", "-o", log])
            with open(log, encoding="utf-8") as f:
                touched = [line for line in f if p.point in line and not line.startswith(("execve", "umount2"))]
            eq([line for line in touched if "readlink" not in line or f'"{p.point}' in line.split(",")[0]], [], word)


@test
def usage():
    with Place() as p:
        for words in ([], ["mount"], ["mount", "relative"], ["mount", "/"], ["look", p.point], ["mount", p.point, "x"]):
            eq(program.run([SHARE, *words])[0], 2, words)


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
