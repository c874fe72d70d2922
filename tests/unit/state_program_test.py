#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state on real locks of flufl.lock and on queues as Mailman leaves them."""
import glob
import json
import os
import re
import resource
import subprocess
import sys
import time

import program
from program import eq, run, test
from state_world import HASH, QUARANTINE, STATE, World, records

RECOVER = ("recover", "--epoch", 7)
HARMLESS = (*RECOVER, "--harmless", "b")


def actions(out):
    return {r["name"]: (r["action"], r["why"]) for r in records(out, "lock")}


@test
def a_real_lock_of_a_dead_node_is_cleared_with_a_proof_only():
    with World() as w:
        pid = w.flufl("master.lck", "b.lab.test")
        w.flufl("dbcreate.lck", "b.lab.test")
        before = w.snapshot()
        eq(len(before), 4)
        eq(actions(w.ok("check"))["master.lck"], ("kept", "owner-not-proven-harmless"))
        eq(actions(w.code(3, *RECOVER)), {"master.lck": ("refused", "owner-not-proven-harmless")})
        eq(w.snapshot(), before)
        out = w.ok(*HARMLESS)
        lock = records(out, "lock")[1]
        eq((lock["name"], lock["host"], lock["pid"], lock["action"]), ("master.lck", "b.lab.test", str(pid), "cleared"))
        eq(records(out, "summary")[0]["locks_cleared"], "4")
        eq(w.lock_names(), [])
        eq(len(w.quarantined()), 4)
        begin = time.monotonic()
        holder = w.flufl("master.lck", "a.lab.test", keep=True)         # and the library gets it at once
        assert time.monotonic() - begin < 3
        holder.kill()
        holder.communicate()


@test
def of_two_others_only_the_harmless_ones_locks_go():
    with World(nodes="abc") as w:
        w.lock("master.lck", "b.lab.test", 11)
        mta = w.lock("mta", "c.lab.test", 12)
        out = w.ok(*HARMLESS)
        eq(actions(out)["mta"], ("kept", "owner-not-proven-harmless"))
        eq(w.lock_names(), ["mta", mta])
        eq((records(out, "summary")[0]["locks_cleared"], records(out, "summary")[0]["locks_kept"]), ("2", "2"))


@test
def ones_own_lock_goes_by_its_process():
    with World() as w:
        holder = w.flufl("master.lck", "a.lab.test", keep=True)
        before = w.snapshot()
        for args in (RECOVER, HARMLESS, ("release", "--epoch", 7)):
            eq(actions(w.code(3, *args))["master.lck"], ("refused", "process-alive"))
        eq(w.snapshot(), before)
        holder.kill()
        holder.wait()                                                   # reaped: the number is free
        eq(actions(w.ok(*RECOVER))["master.lck"], ("cleared", "process-dead"))
        eq(w.lock_names(), [])
        holder.communicate()


@test
def a_message_that_is_in_work_at_each_start_is_counted():
    """Mailman parks it the third time; who looks only counts nothing."""
    with World() as w:
        name = w.entry("out", ext="bak")
        w.entry("out")
        counts = []
        for _ in range(3):
            w.ok("check")
            code, out, err = w.do(*RECOVER)
            eq(code, 0, err)
            summary = records(out, "summary")[0]
            counts.append((summary["last_chance"], summary["parked"], name in err))
        eq(counts, [("0", "0", False), ("1", "0", True), ("0", "1", True)])
        assert "parks it in queue bad now" in err
        os.rename(f"{w.queue}/out/{name}", f"{w.queue}/bad/{name[:-4]}.psv")
        w.ok(*RECOVER)
        eq(os.path.exists(f"{w.queue}/.understudy-ledger"), False)


@test
def a_ledger_that_can_not_be_had_holds_back_nothing():
    with World() as w:
        os.mkdir(f"{w.queue}/.understudy-ledger")
        w.entry("out", ext="bak")
        w.lock("master.lck", "b.lab.test", 5)
        code, out, err = w.do(*HARMLESS)
        eq((code, records(out, "summary")[0]["locks_cleared"]), (0, "2"), err)
        assert err.count("counted anew") == 2, err


@test
def a_zombie_and_anothers_process_hold_no_lock():
    with World() as w:
        zombie = subprocess.Popen(w.as_user(["true"]))
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        w.lock("master.lck", "a.lab.test", zombie.pid)
        w.lock("mta", "a.lab.test", 1)                                  # the number now belongs to somebody else
        out = w.ok(*RECOVER)
        zombie.wait()
        eq({a for a, _ in actions(out).values()}, {"cleared"})


@test
def release_clears_nothing_but_ones_own():
    with World() as w:
        mine = w.lock("master.lck", "a.lab.test", 4194303)
        theirs = w.lock("mta", "b.lab.test", 1)
        odd = w.write(f"{w.locks}/dbcreate.lck")
        bad = w.entry("in", "foo.pck")
        out = w.ok("release", "--epoch", 7)
        eq(actions(out)["mta"], ("kept", "not-of-this-node"))
        eq(w.lock_names(), sorted(["mta", theirs, os.path.basename(odd)]))
        eq(w.quarantined(), sorted(["master.lck", mine]))
        eq(w.entries("in"), [bad])


@test
def looking_changes_nothing():
    with World() as w:
        w.lock("master.lck", "a.lab.test", 4194303)
        w.entry("in", "foo.pck")
        before = w.snapshot()
        eq(actions(w.ok("check"))["master.lck"], ("kept", "process-dead"))
        w.ok("locks")
        w.ok("queue")
        eq(w.snapshot(), before)


@test
def a_lock_of_an_unknown_host_is_never_cleared():
    with World() as w:
        kept = w.lock("mta", "x.lab.test", 5)
        out = w.ok(*HARMLESS)
        eq(actions(out), {"mta": ("kept", "unknown-host"), kept: ("kept", "unknown-host")})
        w.lock("master.lck", "x.lab.test", 5)
        w.lock("dbcreate.lck", "b.lab.test", 5)
        before = w.snapshot()
        code, out, err = w.do(*HARMLESS)
        eq((code, actions(out)), (3, {"master.lck": ("refused", "unknown-host")}))
        assert "x.lab.test" in err and "master.lck" in err, err
        eq(w.snapshot(), before, "nothing may be touched when one is refused")


@test
def a_lock_is_judged_by_its_text_and_name_both():
    with World() as w:
        claim = w.lock("master.lck", "b.lab.test", 5)
        os.rename(f"{w.locks}/master.lck", f"{w.locks}/mta")            # the text says master.lck
        out = w.ok("locks")
        eq((actions(out)["mta"], actions(out)[claim][1]), (("kept", "torn"), "owner-not-proven-harmless"))


def odd_locks(w):
    w.write(f"{w.locks}/master.lck")                                    # empty
    w.write(f"{w.locks}/mta", f"{w.locks}/mta|b.lab")                   # torn
    w.write(f"{w.locks}/dbcreate.lck", "x" * 5000)                      # oversized
    w.write(f"{w.locks}/mailman-cfg.lck", f"{w.locks}/mailman-cfg.lck|b.lab.test|5|6")
    for i in range(2):
        os.link(f"{w.locks}/mailman-cfg.lck", f"{w.top}/link{i}")
    w.write(f"{w.locks}/gatenews|b.lab.test|five|6", "x")               # no claim file's name
    w.write(f"{w.locks}/a.lck|b.lab.test|5|6", f"{w.locks}/a.lck|b.lab.test|4|6")   # another process's


@test
def an_odd_lock_needs_all_others_harmless():
    with World(nodes="abc") as w:
        odd_locks(w)
        before = w.snapshot()
        eq(actions(w.code(3, *HARMLESS)), {"master.lck": ("refused", "empty")})
        eq(w.snapshot(), before)
        os.unlink(f"{w.locks}/master.lck")
        out = w.ok(*HARMLESS)
        eq({why for _, why in actions(out).values()}, {"torn", "oversized", "link-count", "bad-name"})
        eq(len(w.lock_names()), 5)
        w.write(f"{w.locks}/master.lck")
        w.ok(*RECOVER, "--harmless", "b,c")
        eq((w.lock_names(), len(w.quarantined())), ([], 6))


@test
def what_mailman_did_not_make_is_left_to_a_person():
    with World() as w:
        target = w.write(w.top + "/target", "precious")
        os.symlink(target, f"{w.locks}/mta")
        os.mkfifo(f"{w.locks}/dbcreate.lck", 0o666)
        w.own(f"{w.locks}/dbcreate.lck")
        os.mkdir(f"{w.locks}/folder")
        out = w.ok(*HARMLESS)
        eq({r["name"]: r["why"] for r in records(out, "lock")}, dict.fromkeys(
            ("mta", "dbcreate.lck", "folder"), "not-a-regular-file"))
        os.symlink(target, f"{w.locks}/master.lck")
        eq(actions(w.code(3, *HARMLESS))["master.lck"], ("refused", "not-a-regular-file"))
        os.unlink(f"{w.locks}/master.lck")
        if os.geteuid() == 0:
            with open(f"{w.locks}/master.lck", "w", encoding="ascii") as f:
                f.write(f"{w.locks}/master.lck|b.lab.test|5|6")         # root's
            eq(actions(w.code(3, *HARMLESS))["master.lck"], ("refused", "foreign-owner"))
        eq(open(target, encoding="ascii").read(), "precious")


@test
def a_name_from_a_locks_text_is_never_touched():
    with World() as w:
        victim = w.write(f"{w.top}/victim|b.lab.test|5|6", "precious")
        w.write(f"{w.locks}/master.lck", victim)
        w.write(f"{w.locks}/mta", f"{w.locks}/../mta|b.lab.test|5|6")
        w.write(f"{w.top}/mta|b.lab.test|5|6", "precious")
        w.ok(*HARMLESS)
        eq(w.lock_names(), [])
        for name in ("victim|b.lab.test|5|6", "mta|b.lab.test|5|6"):
            eq(open(f"{w.top}/{name}", encoding="ascii").read(), "precious")


@test
def nothing_is_touched_while_a_list_process_lives_here():
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        w.entry("in", "foo.pck")
        before = w.snapshot()
        script = w.write(w.top + "/runner", "import sys; print(flush=True); sys.stdin.read()", 0o644)
        runner = subprocess.Popen(w.as_user(["/usr/bin/python3", script, "-C", w.top + "/mailman.cfg", "--runner=in:0:1"]),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        runner.stdout.readline()
        w.code(3, *HARMLESS)
        w.code(3, "release", "--epoch", 7)
        eq(records(w.code(3, "sync", "--epoch", 7), "synced"), [])
        eq(w.snapshot(), before)
        w.ok("check")                                                   # looking is always allowed
        runner.communicate()
        w.ok(*HARMLESS)


@test
def queue_entries_that_do_harm_are_put_aside():
    with World() as w:
        good = [w.entry("in"), w.entry("in", f"1.7e+09+{HASH}.pck"), w.entry("in", ext="bak"), w.entry("in", "README", b"x")]
        good.append(w.entry("in", ".nfs000000012.pck", b""))
        bad = [w.entry("in", "foo.pck"), w.entry("in", text=b""), w.entry("in", text=b"\x80\x05cut"),
               w.entry("in", ext="bak", text=b""), w.entry("in", ext="bak", text=b"\x80"), w.entry("in", f"1.5+{HASH}.pck.tmp"),
               w.entry("in", f"1.5+{HASH.upper()}.bak"), w.entry("in", f"1.5+{HASH[:39]}.pck")]
        out = w.ok("queue")
        row = {r["name"]: r for r in records(out, "queue")}["in"]
        eq((row["pck"], row["bak"], row["tmp"], row["faulty"], row["quarantined"]), ("2", "1", "1", "8", "0"))
        eq(len(w.entries("in")), 13)
        inodes = w.inodes()
        out = w.ok(*HARMLESS)
        eq(w.entries("in"), sorted(good))
        eq(w.quarantined(w.queue), sorted("in." + n for n in bad))
        eq(records(out, "summary")[0]["quarantined"], "8")
        assert 55000 < int({r["name"]: r for r in records(out, "queue")}["in"]["oldest_ms"]) < 120000
        eq(w.inodes(), inodes)
        again = w.ok(*HARMLESS)
        eq((records(again, "summary")[0]["quarantined"], records(again, "summary")[0]["faulty"]), ("0", "0"))


@test
def shunt_and_bad_are_counted_and_left_alone():
    with World() as w:
        w.entry("shunt", text=b"")
        w.entry("shunt", "foo.pck")
        w.entry("bad", "x.psv", b"")
        out = w.ok(*HARMLESS)
        summary = records(out, "summary")[0]
        eq((summary["shunt"], summary["bad"], summary["faulty"]), ("2", "1", "0"))
        eq((len(w.entries("shunt")), len(w.entries("bad"))), (2, 1))


@test
def the_bound_of_duplicates_is_the_runners_that_had_something():
    with World() as w:
        eq(records(w.ok("queue"), "summary")[0]["duplicate_bound"], "0")
        for first in "0", "1", "4", "f":                                # slices 0, 0, 1, 3 of out's four
            w.entry("out", ext="bak", hash_=first + HASH[1:])
        w.entry("in", ext="bak")
        w.entry("in", ext="bak", hash_="f" * 40)                        # one slice: one runner
        w.entry("pipeline")
        summary = records(w.ok(*HARMLESS), "summary")[0]
        eq((summary["bak"], summary["duplicate_bound"]), ("6", "4"))


@test
def links_in_the_queue_are_not_followed():
    with World() as w:
        outside = w.top + "/outside"
        os.mkdir(outside)
        w.own(outside)
        w.write(outside + "/foo.pck", b"")
        os.symlink(outside, f"{w.queue}/extra")
        os.symlink(outside + "/foo.pck", f"{w.queue}/in/1.5+{HASH}.pck")
        w.ok(*HARMLESS)
        eq((os.listdir(outside), w.entries("in")), (["foo.pck"], []))


@test
def the_quarantine_is_a_folder_of_ours():
    with World() as w:
        elsewhere = w.top + "/elsewhere"
        os.mkdir(elsewhere)
        w.own(elsewhere)
        os.symlink(elsewhere, f"{w.queue}/{QUARANTINE}")
        w.entry("in", "foo.pck")
        out = w.ok(*HARMLESS)                                           # the queue is put off, the others are not
        eq([r["unit"] for r in records(out, "deferred")], ["queue:in"])
        eq((os.listdir(elsewhere), w.entries("in")), ([], ["foo.pck"]))
        if os.geteuid() == 0:
            os.chown(elsewhere, 0, 0)
            os.chmod(elsewhere, 0o777)
            os.unlink(f"{w.queue}/{QUARANTINE}")
            os.rename(elsewhere, f"{w.queue}/{QUARANTINE}")
            w.ok(*HARMLESS)
            eq(w.entries("in"), ["foo.pck"])
            os.rename(f"{w.queue}/{QUARANTINE}", elsewhere)
            os.symlink(elsewhere, f"{w.queue}/{QUARANTINE}")
        os.unlink(f"{w.queue}/{QUARANTINE}")
        w.ok(*HARMLESS)
        st = os.stat(f"{w.queue}/{QUARANTINE}")
        eq((st.st_uid, st.st_mode & 0o777), (w.user.pw_uid, 0o700))     # never root's


@test
def no_more_than_the_last_byte_is_read():
    with World() as w:
        name = w.entry("in", text=b"secret" * 100 + b".")
        log = w.top + "/log"
        w.ok(*HARMLESS, strace=["-ff", "-o", log, "-e", "trace=read,pread64,openat", "-y"])
        reads = []
        for path in glob.glob(log + ".*"):                              # of each process
            with open(path, encoding="utf-8") as f:
                reads += [line for line in f if "read" in line.split("(")[0] and name in line.split(",")[0]]
        eq(len(reads), 1, reads)
        assert re.search(r'pread64\([^)]*, "\.", 1, 600\)', reads[0]), reads


@test
def many_entries_take_little_memory():
    with World() as w:
        for i in range(20000):
            w.entry("in", f"{1700000000 + i}.5+{HASH}.pck")
        for i in range(20):
            w.entry("in", f"{1700000000 + i}.7+{HASH}.bak", b"cut")
        begin = time.monotonic()
        out = w.ok(*HARMLESS)
        took = time.monotonic() - begin
        row = {r["name"]: r for r in records(out, "queue")}["in"]
        eq((row["pck"], row["quarantined"]), ("20000", "20"))           # every .bak is looked into, however late
        print(f"# 20000 entries: {took * 1000:.0f} ms, unchecked {row['unchecked']}")
        eq(records(w.ok("queue"), "summary")[0]["unchecked"], "0")      # by hand, all are looked into
        if b"__asan" not in open(STATE, "rb").read():
            child = subprocess.Popen(w.command("queue"), stdout=subprocess.DEVNULL,
                                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (8 << 20, 8 << 20)))
            eq(child.wait(30), 0)


@test
def json_for_people_and_odd_names():
    with World() as w:
        w.write(f"{w.locks}/a b\"\n%\\ü", "x")
        w.entry("in")
        out = json.loads(w.ok("check", "--json"))
        eq(out["locks"][0]["name"], "a%20b%22%0A%25%5C%C3%BC")
        eq((out["queues"][-1].keys() >= {"pck", "bak"}, out["summary"]["pck"]), (True, 1))
        eq(records(w.ok("locks"), "lock")[0]["name"], "a%20b%22%0A%25%5C%C3%BC")
        eq(json.loads(w.ok("locks", "--json"))["queues"], [])
        eq(json.loads(w.ok("queue", "--json"))["locks"], [])


@test
def wrong_usage_touches_nothing():
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        before = w.snapshot()
        for args in ((), ("fly",), ("recover",), ("release",), ("recover", "--epoch", "x"), ("check", "--epoch", 1),
                     ("locks", "--harmless", "b"), (*RECOVER, "--harmless", "z"), ("check", "queue"),
                     ("release", "--epoch", 1, "--harmless", "b")):
            w.code(2, *args)
        w.code(2, "check", node="z")
        eq(w.snapshot(), before)
        eq(run([STATE, "--help"])[0], 0)
        os.rename(w.locks, w.locks + ".away")
        w.code(1, "check")


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
