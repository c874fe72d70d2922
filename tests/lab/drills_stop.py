# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the involuntary stop: a part of the active node's cluster software dies or hangs, its host lives."""
import drillrun
import watching
from drillproduct import begin, finish, need_active, wait_rejoin, wait_takeover
from drillset import drill

STOP_S = 20     # a node that may not serve has stopped by itself by then, without being fenced
MEMBERS_S = 5   # what corosync said last is too old by then


def kill(run, host, part):
    watching.kill_one(watching.pid_of(run.lab.host(host), part))


def wait_stopped(run, product, cut):
    """The host has no list process and not the address, and that by itself: it is still up."""
    host = run.lab.host(cut["host"])
    run.wait(lambda: not product.list_processes(cut["host"]), STOP_S, f"no list process on {cut['host']}")
    cut["stopped_ms"] = round(drillrun.now_ms() - cut["at_ms"], 1)
    if not host.powered or host.boot_id != cut["boot"]:
        raise drillrun.DrillFailed(f"{cut['host']} did not stop by itself: it was fenced first")
    run.say(f"{cut['host']} has stopped its list service by itself, {cut['stopped_ms'] / 1000:.2f} s after")


def involuntary(run, product, how, act, **more):
    """Something happens on the active host, which stops by itself; the other one takes over."""
    active = begin(run, product)
    boot = run.lab.host(active).boot_id
    cut = run.disturb(active, how, lambda: act(active), more.pop("kind", "ended"), **more)
    cut["boot"] = boot
    wait_stopped(run, product, cut)
    return cut


def taken_over(run, product, cut):
    """The stopped node is fenced only if the other one was faster than its end; nobody else ever is."""
    wait_takeover(run, product, cut)
    finish(run)
    wait_rejoin(run, product, cut)
    only_it_fenced(run, cut)


def only_it_fenced(run, cut):
    cut["fenced"] = run.fenced()
    if [name for name in cut["fenced"] if name != cut["host"]]:
        raise drillrun.DrillFailed(f"{cut['fenced']} was fenced")
    run.expect(active=cut["survivor"], rebooted=[])


@drill("engine-killed")
def drill_engine_killed(run, product):
    """The executor stops the list service, proves it, and writes the end itself: mostly nobody need be fenced."""
    taken_over(run, product, involuntary(run, product, "understudy-engine killed", lambda host: kill(run, host, "engine")))


@drill("members-killed")
def drill_members_killed(run, product):
    """The process that talks to corosync dies and is started again. Mostly nothing is lost with it, and the service goes on;
    if corosync was not heard for too long the node stops, and the other one takes over."""
    active = begin(run, product)
    boot, epoch = run.lab.host(active).boot_id, product.epoch(active)
    cut = run.disturb(active, "understudy-members killed", lambda: kill(run, active, "members"), "ended")
    cut["boot"] = boot
    run.wait(lambda: watching.pids_of(run.lab.host(active), "members"), 5, f"{active} has a new understudy-members")
    if not run.happens(lambda: product.state(active) not in (None, "active"), MEMBERS_S):
        cut.update(survivor=active, kind="none", phases=(), limits={"address": 200})
        run.say(f"{active} serves on")
        finish(run)
        run.expect(active=active, fenced=[], rebooted=[], epoch=epoch)
        return
    wait_stopped(run, product, cut)
    taken_over(run, product, cut)


@drill("members-stopped")
def drill_members_stopped(run, product):
    """It hangs instead: what it last said gets old. In the ring, but unheard, the node is given claim_patience."""
    active = need_active(run, product)
    run.undo(run.lab.resume_process, active, "understudy-members")
    cut = involuntary(run, product, "understudy-members stopped",
                      lambda host: run.lab.pause_process(host, "understudy-members"))
    wait_takeover(run, product, cut)
    if watching.pids_of(run.lab.host(active), "members"):
        run.lab.resume_process(active, "understudy-members")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], rebooted=[])


@drill("executor-killed")
def drill_executor_killed(run, product):
    """Its children end with it and the list service runs on, until understudyd is started again and stops it."""
    taken_over(run, product, involuntary(run, product, "understudyd killed", lambda host: kill(run, host, "executor")))


@drill("corosync-killed")
def drill_corosync_killed(run, product):
    """Corosync's end takes the node out of the ring at once; it has to stop, and may be fenced for what it had open."""
    cut = involuntary(run, product, "corosync killed",
                      lambda host: watching.kill_record_of(run.lab.host(host), "corosync"))
    host = run.lab.host(cut["host"])
    run.undo(host.service, "corosync", "start")
    wait_takeover(run, product, cut)
    if host.powered and host.boot_id == cut["boot"]:
        host.service("corosync", "start")       # Debian's unit does not start it again by itself
        run.say(f"corosync is started again on {cut['host']}")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    only_it_fenced(run, cut)


@drill("corosync-stopped")
def drill_corosync_stopped(run, product):
    """Corosync hangs: nothing answers its node, which stops by itself; the other one makes sure by its power."""
    active = need_active(run, product)
    run.undo(run.lab.resume_process, active, "corosync")
    cut = involuntary(run, product, "corosync stopped", lambda host: run.lab.pause_process(host, "corosync"),
                      kind="takeover")
    run.done()      # the power goes, and the stopped process with it
    wait_takeover(run, product, cut)
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[cut["host"]], rebooted=[])
