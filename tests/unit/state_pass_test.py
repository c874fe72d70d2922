#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The recovery pass of understudy-state: one unit cannot hold back another, and what is put off is never lost.

PASS_KILLS: how often the pass is killed at random (default 20)."""
import fcntl
import glob
import json
import os
import random
import signal
import subprocess
import sys
import time

import program
from program import eq, test
from state_world import STATE, World, records

KILLS = int(os.environ.get("PASS_KILLS", "20"))
RECOVER = ("recover", "--epoch", 7, "--harmless", "b")
RETRY = ("retry", "--epoch", 7)
QUEUES = ["bad", "in", "out", "pipeline", "shunt", "virgin"]


class Broken:
    """A queue that cannot be opened: for root a folder that is root's, as the list user meets it."""

    def __init__(self, w, *names):
        self.w, self.names = w, names
        for name in names:
            path = f"{w.queue}/{name}"
            if os.geteuid() == 0:
                os.chown(path, 0, 0)
            os.chmod(path, 0o700 if os.geteuid() == 0 else 0)

    def mend(self, *names):
        for name in names or self.names:
            path = f"{self.w.queue}/{name}"
            os.chmod(path, 0o755)
            self.w.own(path)


def deferred(out):
    return {r["unit"]: r for r in records(out, "deferred")}


def units(out):
    return sorted(deferred(out))


def whole(out):
    return records(out, "defer")[0]


def in_file(w):
    path = w.defer + "/defer"
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as f:
        return sorted(line.split()[1] for line in f if not line.startswith("epoch"))


def due(w):
    """Waits until everything that is put off is due."""
    for _ in range(200):
        if all(u["next_in_ms"] == "0" for u in deferred(w.do("check")[1]).values()):
            return
        time.sleep(0.05)
    raise AssertionError("nothing comes due")


@test
def when_all_is_well_nothing_is_written():
    with World() as w:
        out = w.ok(*RECOVER)
        eq((units(out), records(out, "summary")[0]["deferred"], os.listdir(w.defer)), ([], "0", []))
        eq(sorted(q["name"] for q in records(out, "queue")), QUEUES)
        eq(whole(out)["units"], "0")


@test
def each_one_that_fails_is_put_off_alone_and_finished_later():
    for name in QUEUES:
        with World() as w:
            broken = Broken(w, name)
            w.entry("in" if name != "in" else "out", "foo.pck")
            out = w.ok(*RECOVER)
            eq((units(out), whole(out)["units"], whole(out)["epoch"]), ([f"queue:{name}"], "1", "7"))
            eq(sorted(q["name"] for q in records(out, "queue")), [q for q in QUEUES if q != name])
            eq((len(w.quarantined(w.queue)), in_file(w)), (1, [f"queue:{name}"]))
            broken.mend()
            due(w)
            out = w.ok(*RETRY)
            eq((units(out), whole(out)["units"], in_file(w)), ([], "0", []))


@test
def the_pause_grows_and_what_is_not_due_is_left_alone():
    with World() as w:
        broken = Broken(w, "in")
        pauses = [int(deferred(w.ok(*RECOVER))["queue:in"]["next_in_ms"])]
        eq(deferred(w.ok(*RETRY))["queue:in"]["tries"], "1")
        for _ in range(2):
            due(w)
            found = deferred(w.ok(*RETRY))["queue:in"]
            pauses.append(int(found["next_in_ms"]))
        eq((found["tries"], found["reason"]), ("3", "failed"))
        for found_ms, wanted_ms in zip(pauses, (1000, 2000, 4000)):
            assert wanted_ms * 0.7 <= found_ms <= wanted_ms * 1.2, pauses
        assert int(found["age_ms"]) >= 2000 and deferred(w.code(1, "check"))["queue:in"]["tries"] == "3"
        broken.mend()
        eq(json.loads(w.ok("check", "--json"))["deferred"][0]["unit"], "queue:in")
        eq(json.loads(w.ok("check", "--json"))["defer"]["units"], 1)


@test
def when_none_can_be_done_it_is_the_share():
    with World() as w:
        Broken(w, *QUEUES)
        code, out, err = w.do(*RECOVER)
        eq((code, units(out), in_file(w)), (1, [f"queue:{q}" for q in QUEUES], [f"queue:{q}" for q in QUEUES]), err)
        assert "it is the list share" in err, err


@test
def one_that_hangs_costs_its_own_time_only():
    with World() as w:
        program_conf(w, "start_timeout = 4s")
        for name in ("in", "virgin"):
            begin = time.monotonic()
            code, out, err = w.do(*RECOVER, shim="none", SHIM_HANG=name)
            took = time.monotonic() - begin
            eq((code, units(out), deferred(out)[f"queue:{name}"]["reason"]), (0, [f"queue:{name}"], "stuck"), err)
            eq(len(records(out, "queue")), len(QUEUES) - 1)
            eq(whole(out)["unreaped"], "0")                             # here the kill arrives
            assert 1 <= took < 2.5, took                                # half of half of start_timeout
        due(w)
        out = w.ok(*RETRY, "--no-stuck", shim="none", SHIM_HANG="virgin")
        eq(deferred(out)["queue:virgin"]["tries"], "1")                 # left alone
        eq((units(w.ok(*RETRY)), in_file(w)), ([], []))


def program_conf(w, line):
    with open(w.conf, encoding="ascii") as f:
        text = f.read()
    with open(w.conf, "w", encoding="ascii") as f:
        f.write(text.replace("[address]", line + "\n[address]"))


@test
def another_tenures_are_forgotten_aloud_by_a_pass_over_everything():
    with World() as w:
        broken = Broken(w, "in", "out")
        w.ok(*RECOVER)
        broken.mend("out")
        code, out, err = w.do("retry", "--epoch", 9)
        eq((code, in_file(w)), (3, ["queue:in", "queue:out"]), err)
        assert "epoch 7" in err, err
        code, out, err = w.do("recover", "--epoch", 9)
        eq((code, units(out), whole(out)["dropped"], deferred(out)["queue:in"]["tries"]), (0, ["queue:in"], "2", "1"), err)
        assert "epoch 7" in err and "forgotten" in err, err
        out = w.ok("recover", "--epoch", 9)                             # of the same tenure: it goes on
        eq((whole(out)["dropped"], deferred(out)["queue:in"]["tries"]), ("0", "2"))
        os.rename(f"{w.queue}/in", f"{w.top}/gone")
        code, out, err = w.do("recover", "--epoch", 9)
        eq((code, units(out), whole(out)["dropped"], in_file(w)), (0, [], "1", []), err)


@test
def what_cannot_be_read_any_more_is_tried_whole():
    for text in ("epoch 7\n1 queue:in 1 1 1 fai", "epoch 7\n2 queue:in 1 1 1 failed x\n", "\n"):
        with World() as w:
            w.write(w.defer + "/defer", text)
            broken = Broken(w, "out")
            code, out, err = w.do(*RETRY)
            eq((code, units(out), in_file(w)), (0, ["queue:out"], ["queue:out"]), err)
            eq(len(records(out, "queue")), len(QUEUES) - 1)
            assert "every unit is tried again" in err, err
            broken.mend()
    with World() as w:
        os.mkdir(w.defer + "/defer")
        code, out, err = w.do(*RETRY)
        assert code == 1 and "cannot be kept" in err, (code, err)


@test
def what_cannot_be_kept_is_no_success():
    with World() as w:
        os.rmdir(w.defer)
        w.ok(*RECOVER)                                                  # nothing to keep
        Broken(w, "in")
        code, _, err = w.do(*RECOVER)
        assert code == 1 and "1 units have to be put off" in err, (code, err)


@test
def one_pass_of_a_node_at_a_time():
    with World() as w:
        other = os.open(w.defer, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        for command in (RECOVER, RETRY):
            code, _, err = w.do(*command)
            assert code == 3 and "another recovery pass" in err, (code, err)
        os.close(other)
        w.ok(*RECOVER)


@test
def beside_a_running_list_server_nothing_of_its_own_is_touched():
    with World() as w:
        broken = Broken(w, "in")
        w.ok(*RECOVER)
        broken.mend()
        due(w)
        kept = [w.entry("in", ext="bak", text=b""), w.entry("in", "1.7e+09+x.pck.tmp"), w.entry("in", "half.tmp"), w.entry("in")]
        put_aside = [w.entry("in", "foo.pck"), w.entry("in", text=b"")]
        out = w.ok(*RETRY)
        eq((units(out), w.entries("in")), ([], sorted(kept)))
        eq(w.quarantined(w.queue), sorted("in." + n for n in put_aside))


@test
def a_worker_that_dies_is_its_units_failure():
    with World() as w:
        put_off = 0
        for call in ("mkdirat", "renameat", "getdents64"):
            for when in range(1, 8):
                if not w.entries("in"):
                    w.entry("in", "foo.pck")
                before = w.inodes()
                # -f: the count is each process's own; of the parent all of this is over before, or comes to more.
                code, out, err = w.do(*RECOVER, strace=["-f", "-e", f"inject={call}:signal=KILL:when={when}"])
                eq(w.inodes(), before, (call, when))
                if code == -9:
                    continue
                assert code in (0, 1) and in_file(w) == units(out), (code, out, err)
                put_off += bool(units(out))
        assert put_off > 0
        due(w)
        w.ok(*RECOVER)
        eq((in_file(w), w.entries("in"), set(w.quarantined(w.queue))), ([], [], {"in.foo.pck"}))


@test
def a_worker_gives_up_what_only_the_pass_needs_before_it_touches_anything():
    with open(STATE, "rb") as f:
        if b"__asan_init" in f.read():
            raise program.Skip("THE SANITIZERS NEED MORE CALLS THAN THE FILTERS LEAVE: none is put on")
    with World() as w:
        log = w.top + "/log"
        w.ok(*RECOVER, strace=["-ff", "-o", log, "-e", "trace=seccomp,recvfrom,openat,clone"])
        workers = 0
        for path in glob.glob(log + ".*"):
            with open(path, encoding="utf-8") as f:
                calls = [line.split("(")[0] for line in f if "SECCOMP_SET_MODE_FILTER" not in line or line.rstrip().endswith("= 0")]
            if "clone" not in calls and "recvfrom" in calls:
                workers += 1
                assert calls.index("seccomp") < calls.index("recvfrom"), calls
        assert workers > 0


@test
def a_name_that_leads_elsewhere_is_no_unit():
    with World() as w:
        os.mkdir(w.top + "/elsewhere")
        w.own(w.top + "/elsewhere")
        w.write(w.top + "/elsewhere/foo.pck")
        w.write(w.defer + "/defer", "epoch 7\n1 queue:../elsewhere 1 1 1 failed\n1 queue:.. 1 1 1 failed\n1 odd 1 1 1 failed\n")
        out = w.do(*RETRY)[1]
        eq((units(out), os.listdir(w.top + "/elsewhere")), (["odd", "queue:..", "queue:../elsewhere"], ["foo.pck"]))


@test
def killed_at_random_no_unit_is_forgotten():
    rng = random.Random(7)
    with World(queues=[*QUEUES, *(f"q{i}" for i in range(30))]) as w:
        wanted = sorted(f"queue:q{i}" for i in range(30) if i % 3 == 0)
        broken = Broken(w, *(u.split(":")[1] for u in wanted))
        begin = time.monotonic()
        w.ok(*RECOVER)
        longest, killed = time.monotonic() - begin, 0
        eq(in_file(w), wanted)
        for _ in range(KILLS):
            child = subprocess.Popen(w.command(*rng.choice((RECOVER, RETRY))), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, longest))
            child.send_signal(signal.SIGKILL)
            if child.wait() == -signal.SIGKILL:
                killed += 1
            else:       # it was faster than that
                longest *= 0.8
            eq(in_file(w), wanted)
        assert killed > KILLS / 3, killed
        broken.mend()
        due(w)
        eq((units(w.ok(*RETRY)), in_file(w)), ([], []))
        print(f"# {killed} kills")


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
