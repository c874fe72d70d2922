#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The recovery pass over the lists of Mailman 2.1: one that is locked holds back none of the others, and is finished soon after.

PASS_LISTS: how many lists (default 300; 3000 by `make check-pass-long`), PASS_LOCKED_S: how long one of them stays locked (default 4),
PASS_KILLS: how often the pass is killed at random (default 20)."""
import os
import random
import signal
import subprocess
import sys
import time

import program
from program import eq, test
from state_world import records
from state_world2 import GONE, World2

LISTS = int(os.environ.get("PASS_LISTS", "300"))
LOCKED_S = float(os.environ.get("PASS_LOCKED_S", "4"))
KILLS = int(os.environ.get("PASS_KILLS", "20"))
RECOVER = ("recover", "--epoch", 7, "--harmless", "b")
RETRY = ("retry", "--epoch", 7)
WHOLE = b"(dp0\ns."
DONE_WITHIN_S = 5


class Lists(World2):
    """`names` with a configuration each; a save was cut off in every one, so that there is something to do."""

    def __init__(self, names, tidy=True):
        super().__init__()
        self.names, self.tidy = names, tidy
        for name in names:
            os.mkdir(f"{self.lists}/{name}")
            self.own(f"{self.lists}/{name}")
            self.write(f"{self.lists}/{name}/config.pck", WHOLE)
            os.link(f"{self.lists}/{name}/config.pck", f"{self.lists}/{name}/config.pck.last")
        self.soil()
        self.holders = []

    def soil(self):
        for name in self.names if self.tidy else ():
            if os.path.exists(f"{self.lists}/{name}/config.pck.last"):
                os.unlink(f"{self.lists}/{name}/config.pck.last")

    def untidy(self):
        return sorted(n for n in self.names if not os.path.exists(f"{self.lists}/{n}/config.pck.last"))

    def live(self):
        """The number of a process of the list user that works here."""
        holder = subprocess.Popen(self.as_user(["sleep", "600"]))
        self.holders.append(holder)
        while os.stat(f"/proc/{holder.pid}").st_uid != self.user.pw_uid:  # it has not become that user yet
            time.sleep(0.001)
        return holder.pid

    def hold(self, name, host="a", pid=None):
        self.lock2(f"{name}.lock", host, pid or self.live(), 1)

    def let_go(self, name):
        for entry in os.listdir(self.locks):
            if entry.startswith(f"{name}.lock"):
                os.unlink(f"{self.locks}/{entry}")

    def __exit__(self, *args):
        for holder in self.holders:
            holder.kill()
            holder.wait()
        return super().__exit__(*args)


def units(out):
    return {r["unit"]: r for r in records(out, "deferred")}


def in_file(w):
    path = w.defer + "/defer"
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as f:
        return sorted(line.split()[1] for line in f if not line.startswith("epoch"))


def counts(out):
    return {k: int(v) for k, v in records(out, "lists")[0].items()}


def retry_until(w, done, give_up_s=20):
    """As the engine does it: when the first is due, one at a time."""
    until = time.monotonic() + give_up_s
    while time.monotonic() < until:
        out = w.ok(*RETRY)
        whole = records(out, "defer")[0]
        if done(whole):
            return out
        time.sleep(min(max(int(whole["next_in_ms"]), 1000) / 1000, until - time.monotonic() + 0.01))
    raise AssertionError(out)


@test
def each_kind_of_owner_that_may_live_puts_off_its_list_alone():
    names = [f"l{i}" for i in range(9)]
    with Lists(names) as w:
        for name, host, pid in (("l0", "a", None), ("l4", "elsewhere", 7), ("l8", "c", 7)):  # here; unknown hosts
            w.hold(name, host, pid)
        w.hold("l2", "b", GONE)                                         # proven harmless
        w.hold("l3", "a", GONE)                                         # of a dead process of ours
        out = w.ok(*RECOVER)
        wanted = ["list:l0", "list:l4", "list:l8"]
        eq((sorted(units(out)), in_file(w), w.untidy()), (wanted, wanted, ["l0", "l4", "l8"]))
        eq({u["reason"] for u in units(out).values()}, {"locked"})
        eq((counts(out)["tidied"], counts(out)["sound"], counts(out)["gone"]), (6, 0, 0))
        assert not [n for n in w.lock_names() if n.split(".")[0] not in ("l0", "l4", "l8")], w.lock_names()
        for name in ("l0", "l4", "l8"):
            w.let_go(name)
        out = retry_until(w, lambda whole: whole["units"] == "0")
        eq((in_file(w), w.lock_names()), ([], []))


@test
def the_first_the_last_and_every_one():
    names = [f"l{i:02}" for i in range(12)]
    with Lists(names) as w:
        order = [r["name"] for r in records(w.ok(*RECOVER), "list")]
        eq(sorted(order), names)
    for locked in (order[:1], order[-1:], order):
        with Lists(names) as w:
            for name in locked:
                w.hold(name, "elsewhere", 7)
            out = w.ok(*RECOVER)
            eq((in_file(w), w.untidy()), (sorted(f"list:{n}" for n in locked), sorted(locked)))
            eq(counts(out)["tidied"], len(names) - len(locked))


@test
def an_error_in_one_is_its_own():
    names = [f"l{i:02}" for i in range(12)]
    for bad in ("l00", "l11"):
        with Lists(names) as w:
            os.chmod(f"{w.lists}/{bad}", 0)
            if os.geteuid() == 0:
                os.chown(f"{w.lists}/{bad}", 0, 0)
            code, out, err = w.do(*RECOVER)
            eq((code, in_file(w), units(out)[f"list:{bad}"]["reason"]), (0, [f"list:{bad}"], "failed"), err)
            assert f"list {bad}: Permission denied" in err, err
            eq(counts(out)["tidied"], 11)


@test
def what_a_crash_of_the_file_server_leaves_is_restored_or_named():
    with Lists(["whole", "cut", "old", "lost"], tidy=False) as w:
        config = {n: f"{w.lists}/{n}/config.pck" for n in w.names}
        for name in ("cut", "old", "lost"):
            os.unlink(config[name])
            w.write(config[name], b"(dp")
        for name in ("old", "lost"):
            os.unlink(config[name] + ".last")
            w.write(config[name] + ".last", b"")
        w.write(config["old"] + ".safety", b"older.")
        os.mkdir(f"{w.lists}/no-list")
        w.own(f"{w.lists}/no-list")
        code, out, err = w.do(*RECOVER)
        eq((code, counts(out)), (0, {"sound": 2, "tidied": 0, "restored": 1, "restored_old": 1, "gone": 1}), err)
        eq({r["name"]: r["result"] for r in records(out, "list")}, {"cut": "restored", "old": "restored-old", "lost": "gone"})
        for name, text in (("whole", WHOLE), ("cut", WHOLE), ("old", b"older."), ("lost", b"(dp")):
            with open(config[name], "rb") as f:
                eq(f.read(), text, name)
        assert "list lost: neither" in err and "list old: config.pck is what" in err and "no-list" not in err, err
        eq(w.lock_names(), [])


def timed(w):
    begin = time.monotonic()
    out = w.ok(*RECOVER, timeout=300)
    return time.monotonic() - begin, out


@test
def one_of_many_that_is_locked_for_long():
    names = [f"list-{i:04}" for i in range(LISTS)]
    with Lists(names) as w:
        free, locked, one = [], [], names[LISTS // 3]
        for _ in range(3):                                              # in turn, on the same directories
            w.soil()
            took, out = timed(w)
            eq((counts(out)["tidied"], in_file(w)), (LISTS, []))
            free.append(took)
            w.soil()
            w.hold(one)
            took, out = timed(w)
            eq((counts(out)["tidied"], in_file(w), w.untidy()), (LISTS - 1, [f"list:{one}"], [one]))
            locked.append(took)
            if len(locked) < 3:
                w.let_go(one)
        began = time.monotonic()
        while time.monotonic() < began + LOCKED_S:
            out = w.ok(*RETRY)
            eq(in_file(w), [f"list:{one}"])
            time.sleep(min(max(int(records(out, "defer")[0]["next_in_ms"]), 1000) / 1000, max(began + LOCKED_S - time.monotonic(), 0)))
        w.let_go(one)
        let_go = time.monotonic()
        time.sleep(int(units(w.do("check")[1])[f"list:{one}"]["next_in_ms"]) / 1000)
        retry_until(w, lambda whole: whole["units"] == "0")
        took = time.monotonic() - let_go
        eq((w.untidy(), in_file(w)), ([], []))
        ratio = min(locked) / min(free)
        print(f"# {LISTS} lists: {min(free) * 1000:.0f} ms without a lock, {min(locked) * 1000:.0f} ms with one locked, ratio {ratio:.2f}; "
              f"locked for {LOCKED_S:g} s, done {took:.1f} s after its release")
        assert ratio < 1.5 and took < DONE_WITHIN_S, (free, locked, took)


@test
def bounces_of_a_dead_runner_go_to_the_one_that_works():
    """They are put off until there is one, and handed over while the service runs."""
    with Lists(["l0"], tidy=False) as w:
        def bounces():
            return sorted(n for n in os.listdir(w.data) if n.startswith("bounce-events"))
        for number, text in ((GONE, b"(dp0\ns."), (GONE - 1, b"(dp0"), (w.live(), b"(dp0\ns.")):
            w.write(f"{w.data}/bounce-events-{number:05d}.pck", text)
        left = [n for n in bounces() if n != f"bounce-events-{GONE - 1:05d}.pck"]
        code, out, err = w.do(*RECOVER)
        eq((code, units(out)["bounces:data"]["reason"]), (0, "busy"), err)
        assert "1 files of bounces were cut off" in err, err
        eq((bounces(), w.quarantined(w.data)), (left, [f"data.bounce-events-{GONE - 1:05d}.pck"]))
        program_file = w.write(f"{w.top}/qrunner", "import time; time.sleep(600)\n")
        runner = subprocess.Popen(w.as_user(["/usr/bin/python3", program_file, "--runner=BounceRunner:0:1", "-s"]))
        try:
            time.sleep(1.5)     # it is due then, and the runner is the list user's
            code, out, err = w.do(*RETRY)
            eq((code, units(out)), (0, {}), err)
            assert "were given to the BounceRunner" in err, err
            eq(bounces(), sorted([f"bounce-events-{runner.pid:05d}.pck"] + [n for n in left if f"{GONE}" not in n]))
        finally:
            runner.kill()
            runner.wait()


@test
def killed_at_random_no_list_is_forgotten():
    rng = random.Random(11)
    names = [f"l{i:02}" for i in range(40)]
    with Lists(names) as w:
        pid = w.live()
        wanted = sorted(f"list:{n}" for n in names[::4])
        for name in names[::4]:
            w.hold(name, "a", pid)
        longest = timed(w)[0]
        killed = 0
        eq(in_file(w), wanted)
        for _ in range(KILLS):
            w.soil()
            child = subprocess.Popen(w.command(*rng.choice((RECOVER, RETRY))), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, longest))
            child.send_signal(signal.SIGKILL)
            if child.wait() == -signal.SIGKILL:
                killed += 1
            else:       # it was faster than that
                longest *= 0.8
            eq(set(wanted) - set(in_file(w)), set())
        w.ok(*RECOVER)                                                  # over what dead workers have left
        eq((in_file(w), w.untidy()), (wanted, sorted(names[::4])))
        for name in names[::4]:
            w.let_go(name)
        retry_until(w, lambda whole: whole["units"] == "0")
        eq((in_file(w), w.untidy(), w.lock_names()), ([], [], []))
        assert killed > KILLS / 3, killed
        print(f"# {killed} kills")


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
