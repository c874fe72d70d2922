#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories of the list user: root never opens or names anything there, and whatever the list user exchanges for links
while understudy-state works, nothing outside is touched. LINK_RACES says how many exchanges, 100,000 as it is."""
import contextlib
import os
import stat
import subprocess
import sys
import time

import opened
import program
from program import Skip, eq, run, test
from state_world import HASH, LEDGER, PROBE, QUARANTINE, World

RACER = os.path.join(program.BUILD, "tests/unit/link_racer")
UNDERSTUDY = os.path.join(program.BUILD, "understudy")
RACES = int(os.environ.get("LINK_RACES", "100000"))
DEAD = 4194303
COMMANDS = (("check",), ("locks",), ("queue", "--json"), ("recover", "--epoch", 7, "--harmless", "b"), ("release", "--epoch", 7),
            ("sync", "--epoch", 7), ("sync",), ("probe",))


def furnish(w):
    w.lock("master.lck", "b.lab.test", DEAD)
    w.lock("mta", "a.lab.test", DEAD)
    w.write(f"{w.locks}/odd", "")
    os.symlink("/etc/passwd", f"{w.locks}/link")
    for queue in ("in", "out"):
        w.entry(queue)
        w.entry(queue, ext="bak")
    w.entry("in", "foo.pck")
    os.symlink("/etc/passwd", f"{w.queue}/in/{w.entry('out').replace('.pck', '1.pck')}")


def reached(w, command):
    log = w.top + "/strace"
    code, out, err = run(command, strace=["-o", log, *opened.OPTIONS])
    with open(log, encoding="utf-8", errors="replace") as f:
        return (code, out, err), opened.below(f.read(), (w.locks, w.queue), os.geteuid())


@test
def root_opens_nothing_there():
    if os.geteuid() != 0:
        raise Skip("only root can open anything as root")
    with World() as w:
        furnish(w)
        for args in COMMANDS:
            result, calls = reached(w, w.command(*args))
            eq(result[0], 0, f"{args} {result}")
            eq(set(calls), {w.user.pw_uid}, f"{args} {calls.get(0)}")
        eq(len(w.quarantined()), 5)
        for args in (("locks",), ("queue",), ("check-config",)):
            result, calls = reached(w, [UNDERSTUDY, "--config", w.conf, *args])
            eq(calls.get(0), None, f"understudy {args} {result}")


@test
def who_is_who_in_the_log():
    """The reader of the log itself: every way to another user, a child that is seen before its parent's call has ended."""
    text = """7 openat(AT_FDCWD</>, "/l/a", O_RDONLY) = 3</l/a>
7 openat(3</l>, "b", O_RDONLY) = -1 ENOENT (No such file or directory)
7 openat(AT_FDCWD</l>, "../x/../l/c", O_RDONLY) = -1 ENOENT (No such file or directory)
7 openat(AT_FDCWD</>, "/tmp/link", O_RDONLY) = 4</l/d>
7 openat(AT_FDCWD</>, "/lx/e", O_RDONLY) = 4</lx/e>
7 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
8 setresuid(38, 38, 38) = 0
8 stat("/l/f" <unfinished ...>
7 <... clone resumed>) = 8
7 setfsuid(39) = 0
7 unlink("/l/g") = 0
7 setfsuid(0) = 39
8 <... stat resumed>, {}) = 0
9 unlink("/l/h") = 0
8 vfork() = 9
7 renameat(3</l>, "i", 4</m>, "j") = 0
"""
    found = opened.below(text, ("/l",), 0)
    eq({u: [opened.paths(c) & {f"/l/{x}" for x in "abcdefghi"} for c in calls] for u, calls in found.items()},
       {0: [{"/l/a"}, {"/l/b"}, {"/l/c"}, {"/l/d"}, {"/l/i"}], 38: [{"/l/f"}, {"/l/h"}], 39: [{"/l/g"}]})


def look(top):
    """All below, as it is: nothing may change but the number of links of what the list user itself links to."""
    found = {}
    for folder, dirs, files in os.walk(top):
        for name in [".", *dirs, *files]:
            path = os.path.normpath(f"{folder}/{name}")
            st = os.lstat(path)
            text = b""
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    text = f.read()
            found[path] = (st.st_ino, st.st_mode, st.st_uid, st.st_size, st.st_mtime_ns, text)
    return found


def outside(w):
    """What the links lead to: the list user's own, so that only the program's care keeps it. It looks like what belongs inside."""
    top = w.top + "/outside"
    for folder in ("", "/in", "/out", "/quarantine"):
        os.mkdir(top + folder)
        w.own(top + folder)
    for folder in ("in", "out", "quarantine"):
        w.write(f"{top}/{folder}/foo.pck", "")
        w.write(f"{top}/{folder}/1.5+{HASH}.pck", "")
        w.write(f"{top}/{folder}/1.5+{HASH}.tmp", "x")
    w.write(f"{top}/lock", f"{w.locks}/master.lck|b.lab.test|{DEAD}|1")
    w.write(f"{top}/ledger", f"1 in 1.5+{HASH} 2\n")
    return top


def pairs(w, top):
    entry = f"1.5+{HASH}"
    return [(f"{w.queue}/in/", f"{top}/in"), (f"{w.queue}/out/", f"{top}/out"), (f"{w.queue}/{QUARANTINE}/", f"{top}/quarantine"),
            (f"{w.locks}/{QUARANTINE}/", f"{top}/quarantine"), (f"{w.locks}/list1", f"{top}/lock"), (f"{w.locks}/mta", f"{top}/lock"),
            (f"{w.queue}/in/foo.pck", f"{top}/in/foo.pck"), (f"{w.queue}/out/{entry}.pck", f"{top}/out/{entry}.pck"),
            (f"{w.queue}/pipeline/{entry}.bak", f"{top}/in/foo.pck"), (f"{w.queue}/{LEDGER}", f"{top}/ledger"),
            (f"{w.queue}/{PROBE}a", f"{top}/probe"), (f"{w.queue}/.{LEDGER}.new", f"{top}/new")]


@test
def a_link_that_comes_at_the_last_moment_is_not_written_through():
    """Between the removal of an old temporary file and the making of the new one is no more than a call: it is drawn out."""
    for name in (f".{LEDGER}.new", f"{PROBE}a"):
        with World() as w:
            os.chmod(w.top, 0o777)                      # or the list user could not write through it anyway
            w.entry("in", ext="bak")
            w.write(f"{w.queue}/{name}", "of one that was killed")
            command = [program.STRACE, "-qq", "-o", w.top + "/log", "-P", name, "-e", "trace=openat,unlinkat", "-e",
                       "inject=openat:delay_enter=400000", *w.command("recover", "--epoch", 7, "--harmless", "b")]
            if not program.strace_works():
                raise Skip("strace cannot be used here")
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            made = 0
            while child.poll() is None:
                with contextlib.suppress(FileExistsError):
                    os.symlink(w.top + "/outside", f"{w.queue}/{name}")
                    w.own(f"{w.queue}/{name}")
                    made += 1
                time.sleep(0.001)
            eq(os.path.lexists(w.top + "/outside"), False, name)
            assert made and "EEXIST" in open(w.top + "/log", encoding="utf-8").read(), (name, made)


@test
def nothing_outside_is_touched_by_races():
    with World() as w:
        top = outside(w)
        listing = w.write(w.top + "/pairs", "".join(f"{a} {b}\n" for a, b in pairs(w, top)))
        w.entry("virgin", ext="bak")                # for the ledger
        before = look(top)
        command = w.as_user([RACER, str(RACES), listing, *w.command("recover", "--epoch", 7, "--harmless", "b")])
        code, out, err = run(command, timeout=900)
        eq((code, err), (0, ""), out)
        after = look(top)
        eq({p for p in after if after[p] != before.get(p)} | set(before) - set(after), set(), "outside")
        counts = {k: int(v) for k, v in (word.split("=") for word in out.split())}
        print(f"# {out.strip()}")
        assert counts["swaps"] >= RACES and counts["runs"] >= 20 and counts.get("exit0", 0) + counts.get("exit1", 0) > 0, counts
        moved = sum(len(files) for where in (w.locks, w.queue) for d, _, files in os.walk(where) if QUARANTINE in d)
        assert moved > 0, "nothing was put aside: the program never came so far"


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
