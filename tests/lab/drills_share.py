# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the control share: it hangs, goes away, comes back empty, or as it was yesterday."""
import json
import os
import re

import drillrun
import labconf
from drillproduct import (begin, command_done, finish, find_reason, other_of, wait_blocked, wait_rejoin,
                          wait_takeover, watch_nothing)
from drillset import drill
from drills_stop import wait_stopped

HANG_S = 6              # longer than share_deadline, shorter than share_patience
NOTHING_S = 4           # how long two nodes with a wrong share are watched doing nothing
RATE = 3.0


@drill("share-lost")
def drill_share_lost(run, product):
    """The control share hangs for a while, as when its server reboots: intake closes meanwhile, and nobody fails over."""
    active = begin(run, product)
    epoch, pids = product.epoch(active), set(product.list_processes(active))
    run.undo(run.lab.thaw_share, "control")
    cut = run.disturb(active, "control share hangs", lambda: run.lab.freeze_share("control"), "none", bound=0,
                      limits={"lmtp": HANG_S * 1000 + 6000, "address": 200})
    cut["explain"] = wait_blocked(run, product, active, "share-unknown", "NFS server")
    run.wait(lambda: not run.lab.lmtp_greets(), 10, "intake is closed")
    run.say("intake is closed")
    left = cut["at_ms"] + HANG_S * 1000 - drillrun.now_ms()
    watch_nothing(run, product, [other_of(active)], max(left, 0) / 1000, "the share hangs for it as well")
    run.lab.thaw_share("control")
    run.done()
    run.wait(run.lab.lmtp_greets, 20, "intake is open again")
    finish(run)
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew")
    run.wait(lambda: product.is_ready(other_of(active)), 30, f"{other_of(active)} is passive, with nothing in its way", 0.1)
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)


@drill("share-patience")
def drill_share_patience(run, product):
    """It hangs for longer than share_patience: the list service stops, and the other node serves once it is back."""
    active = begin(run, product, RATE)
    boot = run.lab.host(active).boot_id
    run.undo(run.lab.thaw_share, "control")
    cut = run.disturb(active, "control share hangs", lambda: run.lab.freeze_share("control"), "ended")
    cut["boot"] = boot
    run.wait(lambda: not product.list_processes(active), 60, f"no list process on {active}", 0.1)
    waited = drillrun.now_ms() - cut["at_ms"]
    run.say(f"{active} has stopped, {waited / 1000:.1f} s after")
    if waited < labconf.TIMINGS["share_patience"]:
        raise drillrun.DrillFailed(f"{active} stopped after {waited:.0f} ms, and share_patience is longer")
    watch_nothing(run, product, labconf.CLUSTER_HOSTS, NOTHING_S, "the share hangs")
    run.lab.thaw_share("control")
    run.done()
    serve_again(run, product, cut)


@drill("share-gone")
def drill_share_gone(run, product):
    """The active host alone has its control share no longer: it can not write its end, so the other one makes sure."""
    active = begin(run, product, RATE)
    boot = run.lab.host(active).boot_id
    run.undo(give_back, run, active)
    cut = run.disturb(active, "control share unmounted", lambda: run.lab.take_share(active, "control"), "ended")
    cut["boot"] = boot
    wait_stopped(run, product, cut)
    cut["explain"] = wait_blocked(run, product, active, "share-wrong", "Mount the right share")
    wait_takeover(run, product, cut)
    finish(run)
    give_back(run, active)
    run.done()
    wait_rejoin(run, product, cut)
    cut["fenced"] = run.fenced()
    run.expect(active=cut["survivor"], rebooted=[])


def give_back(run, host):
    """A host that was fenced has mounted everything anew."""
    if run.lab.host(host).powered and run.lab.host(host).file("/run/lab/away.control").exists():
        run.lab.give_share(host, "control")


def serve_again(run, product, cut):
    """Both may serve: which one does is the product's choice, but none is fenced."""
    cut["survivor"] = run.wait(lambda: newly_active(product, cut), 60, "one node is active")
    wait_takeover(run, product, cut)
    finish(run)
    loser = other_of(cut["survivor"])
    run.wait(lambda: product.is_ready(loser), 60, f"{loser} is passive, with nothing in its way", 0.1)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


def newly_active(product, cut):
    name = product.active()
    return name if name and product.epoch(name) > cut.get("epoch", 0) else None


def blocked(run, product, reasons, action):
    """Both nodes say one of REASONS; what the first of them says. None of them serves meanwhile."""
    for host in labconf.CLUSTER_HOSTS:
        try:
            reason = run.wait(lambda h=host: next((r for r in reasons if find_reason(product.explain(h), r)), None), 30,
                              f"{host} says one of {', '.join(reasons)}", 0.2)
        except drillrun.DrillFailed as err:
            raise drillrun.DrillFailed(f"{err}; it says {json.dumps(product.explain(host).get('why'))}; its share is "
                                       f"{json.dumps(product.status(host).get('share'))}") from err
        said = wait_blocked(run, product, host, reason, action)
    watch_nothing(run, product, labconf.CLUSTER_HOSTS, NOTHING_S, "the share is not the one that they know")
    return said


@drill("share-emptied")
def drill_share_emptied(run, product):
    """Identity and epochs are gone: the active node stops, nobody begins anew by itself, the right share lifts it."""
    active = begin(run, product, RATE)
    kept = {}
    run.undo(lambda: run.lab.replace_epochs(kept["aside"]))
    boot, epoch = run.lab.host(active).boot_id, product.epoch(active)
    cut = run.disturb(active, "control share emptied", lambda: kept.update(aside=run.lab.replace_epochs()), "ended")
    cut.update(boot=boot, epoch=epoch)
    wait_stopped(run, product, cut)
    cut["explain"] = blocked(run, product, ("share-wrong", "epoch-lost"), "Mount the right share")
    run.lab.replace_epochs(kept["aside"])
    run.done()
    run.say("the right share is back")
    serve_again(run, product, cut)


@drill("share-old")
def drill_share_old(run, product):
    """The share was restored from yesterday. Both nodes know better; `init --recover` goes on above all of them."""
    active = begin(run, product, RATE)
    epoch = product.epoch(active)
    yesterday = make_yesterday(run, epoch)
    kept = {}
    run.undo(lambda: run.lab.replace_epochs(kept["aside"]))
    boot = run.lab.host(active).boot_id
    cut = run.disturb(active, "control share restored from yesterday",
                      lambda: kept.update(aside=run.lab.replace_epochs(yesterday)), "ended")
    cut.update(boot=boot, epoch=epoch)
    wait_stopped(run, product, cut)
    cut["explain"] = blocked(run, product, ("epoch-lost",), "understudy init --recover")
    cut["acknowledged_ms"] = drillrun.now_ms()
    command_done(run, product, active, "init", "--recover", "--yes", timeout_s=60)
    run.done()
    serve_again(run, product, cut)
    if product.epoch(product.active()) <= epoch:
        raise drillrun.DrillFailed(f"epoch {product.epoch(product.active())} is not above {epoch}, which was in use before")


def make_yesterday(run, epoch):
    """The share as it was before the last tenure began."""
    backup = run.lab.backup_epochs()
    for name in os.listdir(backup):
        found = re.match(r"epoch\.(\d+)", name)
        if found and int(found.group(1)) >= epoch:
            os.unlink(os.path.join(backup, name))
    return backup
