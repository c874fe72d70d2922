#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the crash-point sweeps rest on: a program that is ended before a change has not made it, after it has, and nothing of
what comes later is ever done; children count as the program itself; what was not synced is lost when the power goes."""
import os
import shutil
import sys

import program
from program import crash, eq, test

# Each line changes one thing that can be seen, or none; its own changes are looked for with os.path.lexists() and the like.
SCRIPT = r"""
import os, sys
os.chdir(sys.argv[1])
def child():
    os.close(os.open("made-by-a-child", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    os._exit(0)
fd = os.open("a", os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b"0123456789")
os.fsync(fd)
os.write(fd, b"unsynced")
os.chmod("a", 0o640)
os.mkdir("dir")
os.link("a", "b")
os.rename("b", "dir/c")
os.symlink("a", "sym")
os.utime("a", (5, 5))
os.ftruncate(fd, 3)
os.rmdir("empty")
os.unlink("sym")
if os.fork() == 0:
    child()
os.wait()
os.open("a", os.O_WRONLY | os.O_TRUNC)
"""


def size(path):
    return os.lstat(path).st_size if os.path.lexists(path) else None


def look(d):
    """What can be seen of the changes, each in a field of its own."""
    a = f"{d}/a"
    mode, mtime = (oct(os.stat(a).st_mode & 0o777), os.stat(a).st_mtime == 5) if os.path.exists(a) else (None, None)
    names = sorted(os.path.relpath(os.path.join(f, n), d) for f, ds, ns in os.walk(d) for n in ds + ns)
    return (size(a), mode, mtime, *names)


def in_fresh_folder(when=None, number=0, power=False):
    """(result, changes below the folder, what can be seen)"""
    d = program.scratch()
    try:
        os.mkdir(f"{d}/empty")
        result, changes = crash(["/usr/bin/python3", "-IBSc", SCRIPT, d], when, number, power)
        return result, changes, look(d)
    finally:
        shutil.rmtree(d)


@test
def before_is_before_and_after_is_after():
    result, changes, whole = in_fresh_folder()
    eq(result, (0, "", ""))
    calls = [c.split(" ")[1] for c in changes]
    wanted = ["openat", "write", "fsync", "write", "chmod", "mkdir", "link", "rename", "symlink", "utimensat", "ftruncate", "rmdir",
              "unlink", "openat", "openat"]
    eq([c.removesuffix("at") if c in ("mkdirat", "linkat", "renameat", "symlinkat", "unlinkat", "fchmodat") else c
        for c in calls], wanted, "none is overlooked")
    seen = [(None, None, None, "empty")]
    for number in range(1, len(calls) + 1):
        result, changes, found = in_fresh_folder("before", number)
        eq((result[0], len(changes), found), (-9, number, seen[-1]), f"before {number}")
        result, changes, found = in_fresh_folder("after", number)
        eq((result[0], len(changes)), (-9, number), f"after {number}")
        eq(found != seen[-1], wanted[number - 1] != "fsync", f"it is done: after {number} {found}")
        seen.append(found)
    eq(seen[-1], whole)
    result, _, found = in_fresh_folder("after", len(calls) + 1)
    eq((result[0], found), (0, whole))


@test
def half_of_a_write_is_half_of_it():
    result, _, found = in_fresh_folder("half", 2)
    eq((result[0], found[0]), (-9, 5))


@test
def what_was_not_synced_goes_with_the_power():
    for number, kept in ((2, 0), (3, 0), (4, 10), (5, 10)):     # before it
        eq(in_fresh_folder("before", number, power=True)[2][0], kept, number)
    eq(in_fresh_folder("before", 5)[2][0], 18)


@test
def the_end_of_the_command_is_its_own():
    eq(crash(["/bin/sh", "-c", "echo x; exit 7"])[0], (7, "x\n", ""))
    eq(crash(["/bin/sh", "-c", "kill -TERM $$"])[0][0], -15)
    eq(crash(["/bin/sh", "-c", "echo x >/dev/null; trap 'echo caught' USR1; kill -USR1 $$"])[0], (0, "caught\n", ""))


if __name__ == "__main__":
    sys.exit(program.main())
