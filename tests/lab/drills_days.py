# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the ordinary days: a switchover, one that is refused, one that is forced, and an upgrade of the daemon."""
import re

import drillrun
import watching
from drillproduct import begin, command_done, finish, other_of, wait_rejoin, wait_takeover
from drillset import drill

SWITCH_S = 90
ADDRESS_MS = 1000           # a switchover moves it in a fraction of that; more is an outage that somebody sees
NO_GAP = {"address": 100, "lmtp": 2000, "mail": 3000}      # LMTP is asked four times a second, and answers between messages


def switchover(run, product, host, *words):
    """The command as an operator gives it on HOST: what it said, and its exit status."""
    done = run.lab.host(host).exec(["/usr/bin/understudy", "switchover", *words], check=False, timeout=SWITCH_S)
    run.say(f"`understudy switchover {' '.join(words)}` on {host}: exit status {done.returncode}: "
            f"{(done.stdout + done.stderr).strip()}")
    return done


def take_release(run, product, cut, host, epoch):
    report, path = product.release(host)
    if report.get("epoch") not in (epoch, product.epoch(product.active())):
        raise drillrun.DrillFailed(f"{host} wrote no report of its release of epoch {epoch}")
    cut["release"] = report
    run.keep(path, f"release-{len(run.cuts)}.json")


@drill("switchover")
def drill_switchover(run, product):
    """Planned, under load: nothing lost, nothing repeated, nothing shunted, nobody fenced."""
    active = begin(run, product, drillrun.RATE)
    other, epoch = other_of(active), product.epoch(active)
    words = run.random.choice(((), (other,)))
    said = {}
    cut = run.disturb(active, "switchover", lambda: None, "switchover", bound=0, limits={"address": ADDRESS_MS})
    said["done"] = switchover(run, product, active, *words)
    if said["done"].returncode != 0:
        raise drillrun.DrillFailed(f"switchover failed: {said['done'].stderr.strip()}")
    if product.state(other) != "active":
        raise drillrun.DrillFailed(f"switchover said that it is done, and {other} is {product.state(other)}")
    wait_takeover(run, product, cut)
    take_release(run, product, cut, active, epoch)
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=other, fenced=[], rebooted=[], shunted=0)


def hold_out_runner(run):
    """The relay takes a message and does not say so: the out runner has it in its hands until the relay answers."""
    run.sink_hold(True)
    run.undo(run.sink_hold, False)
    run.wait(lambda: any(name.endswith(".bak") for queue, name in run.find_queued() if queue == "out"), 30,
             "the out runner has a message in its hands")


@drill("switchover-refused")
def drill_switchover_refused(run, product):
    """A runner that cannot reach a safe point: the node says so and goes on serving, as if nobody had asked."""
    active = begin(run, product)
    epoch, pids = product.epoch(active), set(product.list_processes(active))
    hold_out_runner(run)
    cut = run.disturb(active, "switchover with a runner that is in the middle of a message", lambda: None, "none", bound=0,
                      limits={"address": 100})
    done = switchover(run, product, active)
    if done.returncode != 1 or not re.search(r"\bout\b", done.stderr + done.stdout):
        raise drillrun.DrillFailed(f"switchover should be refused because of runner out: exit status {done.returncode}: "
                                   f"{done.stdout.strip()} {done.stderr.strip()}")
    cut["explain"] = {"what": (done.stderr or done.stdout).strip()}
    run.sink_hold(False)
    run.done()
    run.wait(lambda: product.state(active) == "active", 20, f"{active} goes on serving")
    finish(run)
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew")
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)


@drill("switchover-forced")
def drill_switchover_forced(run, product):
    """The same with --force: stopped hard, so that the message in its hands may be repeated, and only that one."""
    active = begin(run, product)
    hold_out_runner(run)
    cut = run.disturb(active, "forced switchover", lambda: None, "ended", bound=1)
    done = switchover(run, product, active, "--force")
    run.sink_hold(False)
    run.done()
    if done.returncode != 0:
        raise drillrun.DrillFailed(f"forced switchover failed: {done.stderr.strip()}")
    wait_takeover(run, product, cut)
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[], shunted=0)


def renew_daemon(run, product, host, state):
    """What a package's upgrade does to understudyd."""
    old = product.status(host).get("run")
    run.lab.host(host).service("understudyd", "stop")
    run.wait(lambda: not watching.pids_of(run.lab.host(host), "executor"), 30, f"understudyd on {host} has ended")
    run.say(f"understudyd on {host} has ended")
    run.lab.host(host).service("understudyd", "start")
    run.wait(lambda: state_of_new(product, host, old) == state, 60, f"{host} is {state} again under a new understudyd")
    run.say(f"{host} is {state} again under a new understudyd")


def state_of_new(product, host, old_run):
    """Of the daemon that runs now: the old one's last word still lies there until it has said something itself."""
    status = product.status(host)
    return status.get("state") if status.get("run") != old_run else None


@drill("upgrade")
def drill_upgrade(run, product):
    """Under maintenance the daemon of both nodes is replaced while mail flows: the service does not notice."""
    active = begin(run, product)
    other, epoch, pids = other_of(active), product.epoch(active), set(product.list_processes(active))
    run.undo(lambda: product.command(active, "maintenance", "off"))
    command_done(run, product, active, "maintenance", "on")
    run.disturb(active, "understudyd replaced on both nodes", lambda: None, "none", bound=0, limits=NO_GAP)
    for host, state in ((other, "passive"), (active, "active")):
        run.wait(lambda h=host: "maintenance" in product.reasons(h), 20, f"{host} says that maintenance is on", 0.1)
        run.undo(run.lab.host(host).service, "understudyd", "start")
        renew_daemon(run, product, host, state)
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew")
    command_done(run, product, active, "maintenance", "off")
    run.done()
    finish(run)
    run.wait(lambda: product.is_ready(other), 60, f"{other} is passive, with nothing in its way", 0.1)
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew when maintenance ended")
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)
