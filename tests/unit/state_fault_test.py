#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state when the world is against it: races, lost replies, kills at every change, calls that fail."""
import fcntl
import os
import sys

import program
from program import eq, kills, test
from state_world import QUARANTINE, World, records

HARMLESS = ("recover", "--epoch", 7, "--harmless", "b")


@test
def a_lock_that_is_replaced_meanwhile_is_put_back():
    with World() as w:
        claim = w.lock("master.lck", "b.lab.test", 5)
        w.lock("mta", "b.lab.test", 5)
        out = w.code(1, *HARMLESS, shim="rename-swap")
        eq(records(out, "summary")[0]["locks_cleared"], "0")
        assert claim in w.lock_names()
        eq(open(f"{w.locks}/master.lck", encoding="ascii").read(), "another's")
        eq(w.quarantined(), [])


@test
def one_process_of_a_node_clears_at_a_time():
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        os.mkdir(f"{w.locks}/{QUARANTINE}", 0o700)
        w.own(f"{w.locks}/{QUARANTINE}")
        other = os.open(f"{w.locks}/{QUARANTINE}", os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        w.code(1, *HARMLESS)
        eq((len(w.lock_names()), w.quarantined()), (2, []))
        os.close(other)
        w.ok(*HARMLESS)
        eq((w.lock_names(), len(w.quarantined())), ([], 2))


@test
def a_lost_reply_to_a_rename_is_looked_into():
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        w.entry("in", "foo.pck")
        out = w.ok(*HARMLESS, shim="rename-done-enoent")
        eq((records(out, "summary")[0]["locks_cleared"], records(out, "summary")[0]["quarantined"]), ("2", "1"))
        eq((w.lock_names(), len(w.quarantined())), ([], 2))


@test
def killed_anywhere_the_next_run_finishes_and_nothing_is_lost():
    with World() as w:
        state = {}

        def prepare():
            for folder in (w.locks, w.queue + "/in", f"{w.locks}/{QUARANTINE}", f"{w.queue}/{QUARANTINE}"):
                for entry in os.scandir(folder) if os.path.isdir(folder) else ():
                    if not entry.is_dir():
                        os.unlink(entry.path)
            w.lock("master.lck", "b.lab.test", 5)
            w.lock("mta", "a.lab.test", 4194303)
            w.entry("in", "foo.pck")
            w.entry("in", text=b"")
            w.entry("in", ext="bak")
            state["inodes"] = w.inodes()
        killed = 0
        for where, _ in kills(w.command(*HARMLESS), prepare):
            killed += 1
            eq(w.inodes(), state["inodes"], where)
            w.ok(*HARMLESS)
            eq((w.lock_names(), len(w.entries("in"))), ([], 1), where)
            eq((w.inodes(), len(w.quarantined()), len(w.quarantined(w.queue))), (state["inodes"], 4, 2), where)
        assert killed * program.KILLS_EVERY >= 7, killed


@test
def a_failed_call_is_told_and_loses_nothing():
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        w.entry("in", "foo.pck")
        inodes = w.inodes()
        for spec in ("renameat:error=EIO:when=1", "renameat:error=EACCES:when=2", "mkdirat:error=EROFS", "getdents64:error=ESTALE",
                     "pread64:error=EIO", "fstat:error=EIO", "newfstatat:error=EIO"):
            code, out, err = w.do(*HARMLESS, strace=["-e", "inject=" + spec])
            eq(w.inodes(), inodes, spec)
            assert code == 0 or err, (spec, out, err)
        w.ok(*HARMLESS)
        eq(w.lock_names(), [])
        w.lock("master.lck", "b.lab.test", 5)
        eq(w.code(1, *HARMLESS, strace=["-e", "inject=renameat:error=EIO"]).count("action=cleared"), 0)
        eq(len(w.lock_names()), 2)


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
