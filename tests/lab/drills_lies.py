# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of fence devices that lie, switch the wrong machine, or come late."""
import drillrun
from drillproduct import begin, command_done, finish, other_of, wait_blocked, wait_rejoin, wait_takeover
from drillset import drill
from drills_net import say_alert, wait_ready
from drills_pause import SOON_S, claims, only_fenced, wait_stopped_again
from drills_share import serve_again

STATES_LATER = ("drain", "owning", "recover", "address", "service", "active")
BEYOND_S = 20.0         # later than the fence program's timeout of 15 s


def lie(run, host, mode, delay_s=0):
    run.undo(run.lab.host(host).power_on, "drill: repaired")
    run.undo(run.lab.bmc(host).behave, "true")
    run.lab.bmc(host).behave(mode, delay_s)


@drill("fence-lies")
def drill_fence_lies(run, product):
    """The BMC says off, and the host only stands still. Its kernel answers for the address, which voids the proof: stop, hold,
    alert. Its list processes are alive all the time, which is excused; that they change something is not."""
    active = begin(run, product)
    other = other_of(active)
    lie(run, active, "lies")
    cut = run.cut(active, "pause", kind="start")
    run.undo(run.lab.resume, active)
    cut["explain"] = wait_blocked(run, product, other, "duplicate-address", "understudy clear", 60)
    say_alert(run, product, other, "duplicate-address", 5)
    if product.list_processes(other):
        raise drillrun.DrillFailed(f"{other} runs a list service though another host answers for the address")
    cut["epoch"] = max(claims(run))
    run.lab.bmc(active).behave("true")
    run.lab.host(active).power_off("drill: a person cuts the power by hand")
    run.tolerate(active, run.began_ms, drillrun.now_ms() - run.began_ms, [])
    run.say(f"the BMC is mended, and {active} is off")
    command_done(run, product, other, "clear")
    wait_takeover(run, product, cut)
    run.lab.host(active).power_on("drill: repaired")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=other, rebooted=[])


@drill("fence-lies-wakes")
def drill_fence_lies_wakes(run, product):
    """The BMC says off, and the host goes on while the other node drains: its sign of life voids the proof. No excuse here."""
    active = begin(run, product)
    other = other_of(active)
    lie(run, active, "lies")
    cut = run.cut(active, "pause", kind="start")
    run.undo(run.lab.resume, active)
    cut["epoch"] = product.epoch(active)
    run.wait(lambda: product.state(other) in STATES_LATER, 60, f"{other} believes the BMC", 0.002)
    run.say(f"{other} believes the BMC and is in state {product.state(other)}")
    run.lab.resume(active)
    wait_stopped_again(run, product, active, drillrun.now_ms())
    run.lab.bmc(active).behave("true")
    if run.happens(lambda: product.state(other) == "hold", 8):
        cut["explain"] = wait_blocked(run, product, other, "held", "understudy clear")
        command_done(run, product, other, "clear")
    run.lab.host(active).power_on("drill: repaired")
    run.done()
    serve_again(run, product, cut)
    only_fenced(run, active)


@drill("fence-wrong-plug")
def drill_fence_wrong_plug(run, product):
    """The BMC of the active host switches the other one: the node that fences cuts its own power. Its claim stays, so that the
    active host, when it goes on, stops, and serves again once that claim's node is proven off."""
    active = begin(run, product)
    other = other_of(active)
    lie(run, active, "wrong-plug")
    run.undo(run.lab.host(other).power_on, "drill: repaired")
    cut = run.cut(active, "pause", kind="start", survivor=active)
    run.undo(run.lab.resume, active)
    run.wait(lambda: not run.lab.host(other).powered, 60, f"{other} has cut its own power")
    run.say(f"{other} has cut its own power")
    run.lab.bmc(active).behave("true")
    cut["epoch"] = product.epoch(active)
    run.lab.resume(active)
    wait_stopped_again(run, product, active, drillrun.now_ms())
    run.wait(lambda: product.state(active) == "active" and product.epoch(active) > cut["epoch"], 90, f"{active} is active again")
    run.lab.host(other).power_on("drill: repaired")
    run.done()
    wait_takeover(run, product, cut)
    finish(run)
    wait_ready(run, product, other, 90)
    run.expect(active=active, rebooted=[])


@drill("fence-late")
def drill_fence_late(run, product):
    """The off comes after the fence program has given up, and after the paused host went on and the other one took over on its
    end: it hits a passive host, which is switched on again by hand."""
    active = begin(run, product)
    other, epoch = other_of(active), product.epoch(active)
    lie(run, active, "late", BEYOND_S)
    cut = run.cut(active, "pause", kind="ended")
    run.undo(run.lab.resume, active)
    run.wait(lambda: max(claims(run)) > epoch, 30, f"{other} claims", 0.005)
    run.wait(lambda: [r for r in run.events.read()[run.events_before:] if r["event"] == "bmc-late"], SOON_S, "off is on its way")
    run.lab.resume(active)
    wait_stopped_again(run, product, active, drillrun.now_ms())
    run.wait(run.fenced, BEYOND_S * 2, "the late off has come")
    run.say(f"the late off has come; {other} is {product.state(other)}")
    run.lab.bmc(active).behave("true")
    wait_takeover(run, product, cut)
    run.lab.host(active).power_on("drill: repaired")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    if set(run.fenced()) != {active}:
        raise drillrun.DrillFailed(f"{run.fenced()} was fenced")
    run.expect(active=other, rebooted=[])
