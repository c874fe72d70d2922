# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of a pause: the active host, or one process of it, stands still for a while and then goes on."""
import os

import drillproduct
import drillrun
import labns
import watching
from drillproduct import begin, command_done, finish, other_of, wait_blocked, wait_rejoin, wait_takeover, watch_nothing
from drillset import drill
from drills_net import serve_on, undisturbed, wait_ready
from drills_share import serve_again

SHORT_S = 0.6           # shorter than corosync's token, longer than what counts as a gap in a node's own time
LATE_S = 6.0            # a BMC takes so long for its off: the host goes on before that
SLOW_MS = 3000          # a step of a takeover that takes longer than this says so
SOON_S = 20             # what is said of a host that goes on is done by then


@drill("pause-short")
def drill_pause_short(run, product):
    """The active host stands still for less than detection takes, three times: it makes sure of its epoch and goes on."""
    def act(active):
        run.undo(run.lab.resume, active)
        for _ in range(3):
            run.lab.pause(active)
            drillrun.time.sleep(SHORT_S)
            run.lab.resume(active)
            drillrun.time.sleep(2)
    active, epoch, pids, _ = undisturbed(run, product, f"three pauses of {SHORT_S:g} s", act, {"address": 500})
    run.done()
    serve_on(run, product, active, epoch, pids)


def claims(run):
    """Numbers of all epochs on the control share."""
    names = os.listdir(run.lab.control_share / ".understudy")
    return {int(parts[1]) for parts in (n.split(".") for n in names) if parts[0] == "epoch" and len(parts) == 2}


def is_there(record):
    """It has not ended: one that only waits to be reaped has."""
    return labns.is_same_process(record) and (labns.stat_fields(record["pid"]) or "X")[0] not in ("Z", "X")


def wait_stopped_again(run, product, host, since_ms):
    """A host that goes on under a lost epoch stops its list service by itself, or its power goes first. A process on its way
    out has no command line any more and has not ended yet."""
    records = [labns.process_record(pid) for pid in run.lab.host(host).pids()]
    run.wait(lambda: not run.lab.host(host).powered or not product.list_processes(host), SOON_S, f"no list process on {host}")
    leaving = [r for r in records if labns.is_same_process(r) and drillproduct.command_words(r["pid"]) in ([], [""])]
    run.wait(lambda: not any(map(is_there, leaving)), SOON_S, f"the list processes of {host} have ended")
    run.say(f"{host} has no list process {(drillrun.now_ms() - since_ms) / 1000:.2f} s after it went on")


@drill("pause-claim")
def drill_pause_claim(run, product):
    """It goes on after the other node's claim and before the off, which its BMC does late: the host stops for the higher
    claim, and the off hits one that is harmless already, or is about to be."""
    active = begin(run, product)
    other, epoch = other_of(active), product.epoch(active)
    run.undo(run.lab.host(active).power_on, "drill: repaired")
    run.undo(run.lab.bmc(active).behave, "true")
    run.lab.bmc(active).behave("late", LATE_S)
    cut = run.cut(active, "pause", kind="ended")
    run.wait(lambda: max(claims(run)) > epoch, 30, f"{other} claims", 0.005)
    run.say(f"{other} has claimed epoch {max(claims(run))}")
    run.lab.resume(active)
    wait_stopped_again(run, product, active, drillrun.now_ms())
    wait_takeover(run, product, cut)
    run.happens(lambda: not run.lab.host(active).powered or run.fenced(), LATE_S * 2)
    run.lab.bmc(active).behave("true")
    run.happens(lambda: run.lab.host(active).powered, 15)
    run.lab.host(active).power_on("drill: repaired")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    only_fenced(run, active)
    run.expect(active=other, rebooted=[])


@drill("pause-acknowledged")
def drill_pause_acknowledged(run, product):
    """A person says of a host that only stands still that it is off. Its kernel answers for the address, which voids the word:
    stop, hold, alert. When it goes on it stops for the higher epoch; what its list service does until then is excused."""
    active = begin(run, product)
    other = other_of(active)
    run.undo(setattr, run.lab.bmc(active), "dead", False)
    run.lab.bmc(active).dead = True
    cut = run.cut(active, "pause", kind="ended")
    run.undo(run.lab.resume, active)
    wait_blocked(run, product, other, "fence-failed", "acknowledge", 120)
    # Alive while another host owns is what the lie brings; changes are excused from the moment on when it goes on.
    cut["acknowledged_ms"] = drillrun.now_ms()
    command_done(run, product, other, "acknowledge", active, "--yes")
    run.say(f"acknowledged by hand: {active} is off, and that is not true")
    cut["explain"] = wait_blocked(run, product, other, "duplicate-address", "understudy clear", 60)
    cut["epoch"] = max(claims(run))
    run.say(f"{other} holds, with {len(product.list_processes(active))} list processes stopped on {active}")
    resumed = drillrun.now_ms()
    run.lab.resume(active)
    wait_stopped_again(run, product, active, resumed)
    stopped = drillrun.now_ms()
    run.tolerate(active, resumed, stopped - resumed, ["queue", "data", "locks", "lists", "messages", "templates", "archives"])
    run.lab.bmc(active).dead = False
    command_done(run, product, other, "clear")
    run.tolerate(active, run.began_ms, drillrun.now_ms() - run.began_ms, [])
    run.done()
    serve_again(run, product, cut)
    only_fenced(run, active)


def only_fenced(run, host):
    """Whether HOST was back and clean before the other node claimed is a matter of moments; nobody else may be fenced."""
    if set(run.fenced()) - {host}:
        raise drillrun.DrillFailed(f"{run.fenced()} was fenced")
    run.expect(fenced=run.fenced())


# -- single processes
def process_paused(run, product, part, seconds):
    """PART of the active node stops for SECONDS. The node goes on, or stops and is taken over: one of both, and soon."""
    active = begin(run, product)
    boot, epoch = run.lab.host(active).boot_id, product.epoch(active)
    name = watching.NAMES.get(part, part)
    run.undo(resume_if_alive, run, active, name)
    cut = run.disturb(active, f"{name} paused for {seconds:g} s", lambda: run.lab.pause_process(active, name), "ended")
    cut["boot"] = boot
    drillrun.time.sleep(seconds)
    resume_if_alive(run, active, name)
    run.done()
    end_either_way(run, product, cut, epoch)


def resume_if_alive(run, host, name):
    if run.lab.host(host).powered and watching.pids_of_program(run.lab.host(host), name):
        run.lab.resume_process(host, name)


def end_either_way(run, product, cut, epoch):
    """Whoever serves afterwards, one does, the other one is ready, and only the disturbed host may have been fenced."""
    run.happens(lambda: product.state(cut["host"]) != "active", 3)
    served = run.wait(product.active, 90, "one node is active")
    if served == cut["host"] and product.epoch(served) == epoch:
        cut.update(survivor=served, kind="none", phases=(), limits={})
        run.say(f"{served} serves on")
        finish(run)
    else:
        cut["survivor"] = served
        wait_takeover(run, product, cut)
        finish(run)
    wait_ready(run, product, other_of(served), 90)
    only_fenced(run, cut["host"])
    run.expect(active=served, rebooted=[])


for process, program in (("engine", "engine"), ("executor", "executor"), ("members", "members"), ("corosync", "corosync")):
    for length in (1, 6):
        drill(f"pause-{process}-{length}")(
            lambda run, product, part=program, seconds=length: process_paused(run, product, part, seconds))


@drill("pause-recover")
def drill_pause_recover(run, product):
    """The child that recovers the list share hangs in the middle of a rename, beyond its deadline: it can not be reaped, so
    nothing is served and no end is written until the share answers again."""
    active = begin(run, product)
    other = other_of(active)
    run.undo(run.lab.host(active).power_on, "drill: repaired")
    run.undo(run.lab.thaw_share, "lists")
    cut = run.cut(active, kind="start")
    run.lab.freeze_share("lists")
    run.wait(lambda: product.state(other) == "recover", 60, f"{other} recovers", 0.005)
    run.say(f"{other} recovers, and the list share hangs")
    slow = wait_blocked(run, product, other, "step-slow", "list share", 15)
    if "step recover (state-recover)" not in slow["detail"] or not SLOW_MS <= slow["value"] < 3 * SLOW_MS:
        raise drillrun.DrillFailed(f"{other} does not say that its recovery takes long: {slow}")
    cut["explain"] = wait_blocked(run, product, other, "unreaped", "NFS server answer again", 90)
    watch_nothing(run, product, [other], SHORT_S * 5, "its list share hangs")
    cut["epoch"] = max(claims(run))
    run.lab.thaw_share("lists")
    run.lab.host(active).power_on("drill: repaired")
    run.done()
    serve_again(run, product, cut)
    only_fenced(run, active)    # it is on again in the middle of the next claim, and may not be back yet
