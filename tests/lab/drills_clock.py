# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the wall clock: that of the active host jumps, for the list server, for understudyd and for all else there. Clocks that
count from the boot go on, and so do the clocks of the file server and of everybody else."""
import os
import shutil
import struct

import drillrun
import watching
from drillproduct import command_done, need_active, other_of
from drills_net import serve_on, undisturbed, wait_ready
from drillset import drill

DAY_S = 86400
HOLD_S = 8              # on the wrong day
STROBE_S, STROBE_EVERY_S = 20, 0.2
SHIM, PRELOAD, CLOCK = "/usr/local/lib/clockshim.so", "/etc/ld.so.preload", "/var/lib/lab-clock"
LIMITS = {"address": 500, "lmtp": 5000}


class Clock:
    """The wall clock of HOST, as clockshim.c shows it to all programs that were started since install()."""

    def __init__(self, run, host):
        self.run, self.host = run, run.lab.host(host)

    def install(self):
        shim = os.path.join(self.run.lab.status()["build"] or "", "tests/lab/clockshim.so")
        if not os.path.exists(shim):
            raise drillrun.DrillFailed(f"{shim} is missing: the clock of a host needs a build")
        shutil.copy(shim, self.host.file(SHIM))
        self.host.file(CLOCK).write_bytes(struct.pack("=q", 0))
        self.host.file(PRELOAD).write_text(SHIM + "\n", encoding="ascii")

    def remove(self):
        """What runs keeps the shim, and the right time; what is started has none."""
        self.set(0)
        self.host.file(PRELOAD).unlink(missing_ok=True)

    def set(self, seconds):
        with open(self.host.file(CLOCK), "r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))

    def is_seen_by(self, pid):
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            text = file.read()
        return os.path.basename(SHIM) in text and os.path.basename(CLOCK) in text

    def demand_wrong(self, seconds):
        """A program of the host has the wrong time."""
        there = float(self.host.exec(["/usr/bin/date", "+%s.%N"]).stdout)
        if abs(there - drillrun.time.time() - seconds) > 5:
            raise drillrun.DrillFailed(f"the clock of {self.host.name} is {there - drillrun.time.time():+.1f} s off, not {seconds:+d}")


def movable(run, product):
    """The passive host boots with a clock that can be moved, and the service is moved to it."""
    before = need_active(run, product)
    host = other_of(before)
    clock = Clock(run, host)
    run.undo(clock.remove)
    clock.install()
    run.lab.host(host).power_off(f"drill {run.name}")
    run.lab.host(host).power_on(f"drill {run.name}")
    wait_ready(run, product, host, 90)
    command_done(run, product, before, "switchover", timeout_s=90)
    run.wait(lambda: product.active() == host, 60, f"{host} is active")
    wait_ready(run, product, before)
    pids = set(product.list_processes(host)).union(*(watching.pids_of(run.lab.host(host), part) for part in watching.NAMES))
    blind = [pid for pid in pids if not clock.is_seen_by(pid)]
    if blind or len(pids) < 8:
        raise drillrun.DrillFailed(f"{len(pids)} processes of {host}, and {len(blind)} of them do not see the clock")
    return clock


def locks(run):
    folder = run.lab.list_share / "locks"
    return (folder / "master.lck").read_text(encoding="ascii"), sorted(os.listdir(folder / ".understudy-quarantine")
                                                                       if (folder / ".understudy-quarantine").exists() else ())


def demand_unbroken(run, clock, before):
    """The master's lock is the one of before, nothing was set aside, and nobody has found a lock expired."""
    if locks(run) != before:
        raise drillrun.DrillFailed(f"the locks were {before} and are {locks(run)}")
    for log in clock.host.file("/var/log/mailman3").glob("*.log"):
        if "lifetime has expired, breaking" in log.read_text(encoding="utf-8", errors="replace"):
            raise drillrun.DrillFailed(f"a lock was broken: see {log}")


def clocked(run, product, how, move):
    """MOVE(clock) under load, and nothing comes of it."""
    clock = movable(run, product)
    before = locks(run)

    def act(_active):
        move(clock)
        clock.set(0)
    active, epoch, pids, _ = undisturbed(run, product, how, act, LIMITS)
    if active != clock.host.name:
        raise drillrun.DrillFailed(f"{active} is active, and the clock of {clock.host.name} was moved")
    demand_unbroken(run, clock, before)
    clock.remove()
    run.done()
    serve_on(run, product, active, epoch, pids)


@drill("clock-step")
def drill_clock_step(run, product):
    """The clock of the active host is a day ahead, then a day behind, then right again."""
    def move(clock):
        for seconds in (DAY_S, -DAY_S):
            clock.set(seconds)
            clock.demand_wrong(seconds)
            if run.happens(lambda: product.state(clock.host.name) != "active", HOLD_S, 0.1):
                raise drillrun.DrillFailed(f"{clock.host.name} is {product.state(clock.host.name)} with a clock {seconds:+d} s off")
    clocked(run, product, "a clock that is a day ahead, and then a day behind,", move)


@drill("clock-strobe")
def drill_clock_strobe(run, product):
    """It jumps to and fro, a day each time."""
    def move(clock):
        clock.set(DAY_S)
        clock.demand_wrong(DAY_S)
        for n in range(int(STROBE_S / STROBE_EVERY_S)):
            clock.set(DAY_S if n % 2 == 0 else 0)
            drillrun.time.sleep(STROBE_EVERY_S)
    clocked(run, product, f"a clock that jumps by a day each {STROBE_EVERY_S:g} s", move)
