#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state with Mailman 2: the grammar of the locks and the slices follow the configuration. How each lock is judged is tested
for all grammars alike in lock_name_test and state_test."""
import os
import sys
import time

import program
from program import eq, test
from state_world import HASH, records
from state_world2 import GONE, World2

@test
def the_master_lock_of_2_1_is_known():
    with World2() as w:
        claim = w.lock2("master-qrunner", "b", 1)
        held = w.lock2("test.lock", "b", GONE, 49)
        before = w.snapshot()
        w.code(3, "recover", "--epoch", 7)                  # b is not proven harmless, and this is the master's
        eq(w.snapshot(), before)
        w.ok("recover", "--epoch", 7, "--harmless", "b")
        eq(w.lock_names(), [])
        eq(w.quarantined(), sorted(["master-qrunner", claim, "test.lock", held]))


@test
def a_host_is_known_by_its_short_name():
    with World2() as w:
        w.lock2("master-qrunner", "b.lab.test", 1)          # as Mailman 3 would have written it
        w.code(3, "recover", "--epoch", 7, "--harmless", "b")
        eq(len(w.lock_names()), 2)


@test
def our_own_dead_locks_go_in_a_release():
    with World2() as w:
        w.lock2("master-qrunner", "a", GONE)
        theirs = w.lock2("test.lock", "b", 1, 1)
        w.ok("release", "--epoch", 7)
        eq(w.lock_names(), sorted(["test.lock", theirs]))


@test
def the_lock_of_cron_is_that_of_2_0():
    with World2("generation = 2.0\n") as w:
        w.lock2("qrunner.lock", "b", 1)
        w.code(3, "recover", "--epoch", 7)
        w.ok("recover", "--epoch", 7, "--harmless", "b")
        eq(w.lock_names(), [])
    with World2() as w:
        w.lock2("master-qrunner", "a", GONE)
        eq([r["host"] for r in records(w.ok("locks"), "lock")], ["a", "a"])


@test
def half_entries_of_2_0_are_put_aside_when_they_are_old():
    """Two files an entry, and no word of what the cron job had in its hands."""
    with World2("generation = 2.0\n", queues=()) as w:
        def half(number, ext, text, age_s):
            path = w.write(f"{w.queue}/{number:040x}.{ext}", text)
            os.utime(path, (time.time() - age_s,) * 2)
        old, young = 16 * 60, 60
        for number, age in ((1, old), (2, young)):
            half(number, "db", b"{s\x01\0\0\0as\x01\0\0\0b0", age)
            half(number, "msg", b"From: a\n\nb\n", age)
        half(3, "msg", b"From: a\n\nb\n", old)
        half(4, "db", b"{s\x01\0\0\0as\x01\0\0\0b0", young)
        half(5, "db", b"{s\x01", old)
        half(5, "msg", b"From: a\n\nb\n", old)
        before = w.snapshot()
        eq(records(w.ok("queue"), "queue")[0]["faulty"], "2")
        eq(w.snapshot(), before)
        code, out, err = w.do("recover", "--epoch", 7, "--harmless", "b")
        eq(code, 0, err)
        assert f"{3:040x}.db and .msg (no-metadata)" in err and f"{5:040x}.db and .msg (torn-metadata)" in err, err
        summary = records(out, "summary")[0]
        eq([summary[key] for key in ("pck", "faulty", "quarantined", "unchecked", "duplicate_bound")], ["2", "2", "2", "1", "1"])
        eq(w.quarantined(w.queue), sorted([f"qfiles.{3:040x}.msg", f"qfiles.{5:040x}.db", f"qfiles.{5:040x}.msg"]))
        eq([n for n in sorted(os.listdir(w.queue)) if n[0] != "."],
           sorted(f"{n:040x}.{ext}" for n, ext in ((1, "db"), (1, "msg"), (2, "db"), (2, "msg"), (4, "db"))))


@test
def a_queue_has_the_slices_of_its_runner():
    with World2("runners = IncomingRunner:2 OutgoingRunner\n") as w:
        w.entry("in", hash_="f" + HASH[1:])
        slices = [(r["queue"], r["slice"], r["slices"], r["pck"]) for r in records(w.ok("queue"), "slice")]
        eq(sorted(slices), [("in", "0", "2", "0"), ("in", "1", "2", "1"), ("out", "0", "1", "0")])


@test
def a_configuration_of_root_is_told_with_its_section():
    with World2("prefix = /x\n") as w:
        with open(w.conf, encoding="ascii") as f:
            text = f.read()
        w.write(w.conf, text.replace(f"user = {w.user.pw_name}", "user = no-such-user"))
        code, _, err = w.do("check")
        eq(code, 2)
        assert "correct user in [mailman2]" in err, err


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
