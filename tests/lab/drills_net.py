# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the networks: the cluster network is cut, lossy one way, flapping, or held back and then delivered at once."""
import itertools

import drillrun
import labconf
from drillproduct import begin, finish, other_of, wait_blocked, wait_rejoin, wait_takeover, watch_nothing
from drillset import drill
from drills_share import give_back
from drills_stop import wait_stopped

SPLIT_S = 28            # longer than claim_patience: the alert comes after that
CUT_S = 8               # longer than detection, and than the few beats that tell a split from a death
NO_GAP = {"address": 500, "lmtp": 5000}         # the other end of the machine may compile meanwhile
HOLD_S = 90
FLAPS = 6
RETRY_S = 10


def wait_ready(run, product, host, timeout_s=60):
    run.wait(lambda: product.is_ready(host), timeout_s, f"{host} is passive, with nothing in its way", 0.1)


def serve_on(run, product, active, epoch, pids):
    """The active node went on all the time, under the same epoch and with the same processes."""
    finish(run)
    wait_ready(run, product, other_of(active))
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew")
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)


def say_alert(run, product, host, reason, timeout_s):
    found = run.wait(lambda: next((a for a in product.status(host).get("alerts", []) if a["reason"] == reason), None),
                     timeout_s, f"{host} alerts {reason}", 0.2)
    run.say(f"{host} alerts: {found['reason']}: {found['what']}")


def watch_split(run, product, active, seconds):
    """The passive node says split, and nobody does anything."""
    other = other_of(active)
    said = wait_blocked(run, product, other, "split", "Mend the cluster network", 15)
    watch_nothing(run, product, [other], seconds, f"{active} lives behind a cut network")
    if product.state(active) != "active":
        raise drillrun.DrillFailed(f"{active} is {product.state(active)} though only the cluster network is cut")
    return said


def undisturbed(run, product, how, act, limits=None):
    """Mail flows and HOW happens; what serve_on() wants to know, and the cut."""
    active = begin(run, product)
    epoch, pids = product.epoch(active), set(product.list_processes(active))
    cut = run.disturb(active, how, lambda: act(active), "none", bound=0, limits=NO_GAP if limits is None else limits)
    return active, epoch, pids, cut


@drill("split")
def drill_split(run, product):
    """The cluster network is cut and the share alive: beats go on, so the active node serves on and nobody is fenced."""
    host = run.random.choice(labconf.CLUSTER_HOSTS)
    run.undo(run.lab.heal, host)
    active, epoch, pids, cut = undisturbed(run, product, f"cluster network cut at {host}", lambda _: run.lab.cut(host))
    cut["explain"] = watch_split(run, product, active, 1)
    say_alert(run, product, other_of(active), "split", SPLIT_S)
    run.lab.heal(host)
    run.done()
    serve_on(run, product, active, epoch, pids)


@drill("split-share-passive")
def drill_split_share_passive(run, product):
    """And the passive node has no control share either: it knows nothing, and does nothing."""
    kept = {}
    run.undo(lambda: give_back(run, kept["other"]))

    def act(active):
        kept["other"] = other_of(active)
        run.undo(run.lab.heal, active)
        run.lab.take_share(kept["other"], "control")
        run.lab.cut(active)
    active, epoch, pids, cut = undisturbed(run, product, "cluster network cut, the passive node without its share,", act)
    other = kept["other"]
    cut["explain"] = wait_blocked(run, product, other, "share-wrong", "Mount the right share")
    watch_nothing(run, product, [other], CUT_S, "it has no share")
    run.lab.give_share(other, "control")
    wait_blocked(run, product, other, "split", "Mend the cluster network", 15)
    run.lab.heal(active)
    run.done()
    serve_on(run, product, active, epoch, pids)


def split_share_active(run, product, proven):
    active = begin(run, product)
    other, boot = other_of(active), run.lab.host(active).boot_id

    def act():
        if not proven:
            run.lab.cut(other, "mgmt")
        run.lab.cut(active)
        run.lab.take_share(active, "control")
    for call, args in ((give_back, (run, active)), (run.lab.heal, (active,)), (run.lab.heal, (other, "mgmt"))):
        run.undo(call, *args)
    cut = run.disturb(active, "cluster network cut and control share unmounted", act, "ended")
    cut["boot"] = boot
    wait_stopped(run, product, cut)
    if not proven:
        cut["explain"] = wait_blocked(run, product, other, "fence-failed", "Repair the device or the way to it", 60)
        watch_nothing(run, product, [other], CUT_S, f"nothing proves that {active} has stopped")
        run.lab.heal(other, "mgmt")
        run.say("the management network is mended")
    wait_takeover(run, product, cut)
    run.lab.heal(active)
    give_back(run, active)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=other, fenced=[active], rebooted=[])


@drill("split-share-active")
def drill_split_share_active(run, product):
    """And the active node has lost its control share: it stops by itself, can not say so, and is fenced."""
    split_share_active(run, product, True)


@drill("split-share-active-unproven")
def drill_split_share_active_unproven(run, product):
    """The same, and the passive node does not reach the BMC: only a mended network lets it go on."""
    split_share_active(run, product, False)


@drill("split-share-both")
def drill_split_share_both(run, product):
    """And the share hangs for both, for less than share_patience: intake closes, and the active node goes on afterwards."""
    run.undo(run.lab.thaw_share, "control")

    def act(active):
        run.undo(run.lab.heal, active)
        run.lab.cut(active)
        run.lab.freeze_share("control")
    active, epoch, pids, cut = undisturbed(run, product, "cluster network cut and control share hangs,", act,
                                           {"address": NO_GAP["address"]})
    cut["explain"] = wait_blocked(run, product, active, "share-unknown", "NFS server")
    wait_blocked(run, product, other_of(active), "share-unknown", "NFS server")
    left = CUT_S * 1000 + cut["at_ms"] - drillrun.now_ms()
    watch_nothing(run, product, [other_of(active)], max(left, 0) / 1000, "the share hangs for it as well")
    run.lab.thaw_share("control")
    run.wait(run.lab.lmtp_greets, 20, "intake is open again")
    wait_blocked(run, product, other_of(active), "split", "Mend the cluster network", 15)
    run.lab.heal(active)
    run.done()
    serve_on(run, product, active, epoch, pids)


# -- every combination of the active host's networks
NETS = {"c": "cluster", "s": "service", "m": "mgmt"}


def networks(run, product, letters):
    cut_nets = [NETS[letter] for letter in letters]

    def act(active):
        for net in cut_nets:
            run.undo(run.lab.heal, active, net)
            run.lab.cut(active, net)
    limits = {} if "s" in letters else NO_GAP
    active, epoch, pids, cut = undisturbed(run, product, f"{' and '.join(cut_nets) or 'no'} network cut", act, limits)
    other = other_of(active)
    if "s" in letters:
        unreachable(run, product, cut, cut_nets)
        return
    if "c" in letters:
        cut["explain"] = watch_split(run, product, active, CUT_S / 2)
    else:
        watch_nothing(run, product, [other], CUT_S / 2, f"{active} serves")
    for net in cut_nets:
        run.lab.heal(active, net)
    run.done()
    serve_on(run, product, active, epoch, pids)


def unreachable(run, product, cut, cut_nets):
    """Nobody reaches the address on the active host, which says so. It may start anew, or stop and let the other node serve; it
    is fenced by nobody, and once the network is mended one node serves."""
    cut["bound"] = None
    say_alert(run, product, cut["host"], "address-failed", CUT_S)
    run.happens(lambda: False, CUT_S)
    run.say(f"{cut['host']} is {product.state(cut['host'])}, {other_of(cut['host'])} is {product.state(other_of(cut['host']))}; "
            f"reasons: {sorted(product.reasons(cut['host']))}, {sorted(product.reasons(other_of(cut['host'])))}")
    for net in cut_nets:
        run.lab.heal(cut["host"], net)
    run.done()
    served = run.wait(product.active, 90, "one node is active")
    run.happens(lambda: False, RETRY_S)     # the connections that were being tried
    run.retry_now()
    finish(run)
    served = product.active() or served
    cut["bound"] = sum(product.report(host)[0].get("duplicate_bound") or 0 for host in labconf.CLUSTER_HOSTS)
    wait_ready(run, product, other_of(served), 90)
    run.expect(active=served, fenced=[], rebooted=[])


for combination in ("".join(c) for n in range(4) for c in itertools.combinations(NETS, n)):
    drill(f"networks-{combination or 'none'}")(
        lambda run, product, letters=combination: networks(run, product, letters))


# -- one way, flapping, held back
def one_way(run, product, direction):
    def act(active):
        run.undo(run.lab.lose, active, direction, "cluster", False)
        run.lab.lose(active, direction)
    active, epoch, pids, cut = undisturbed(
        run, product, f"frames {'to' if direction == 'in' else 'from'} the active host are lost on the cluster network,", act)
    cut["explain"] = watch_split(run, product, active, CUT_S)
    run.lab.lose(active, direction, lost=False)
    run.done()
    serve_on(run, product, active, epoch, pids)


@drill("one-way-in")
def drill_one_way_in(run, product):
    """The active host is heard and hears nothing."""
    one_way(run, product, "in")


@drill("one-way-out")
def drill_one_way_out(run, product):
    """The active host hears and is not heard."""
    one_way(run, product, "out")


def flap(run, product, share):
    """The link of the active host goes up and down again and again, each time for SHARE of corosync's token."""
    half_s = labconf.TIMINGS["token"] * share / 1000

    def act(active):
        run.undo(run.lab.heal, active)
        for _ in range(FLAPS):
            run.lab.cut(active)
            drillrun.time.sleep(half_s)
            run.lab.heal(active)
            drillrun.time.sleep(half_s)
    active, epoch, pids, _ = undisturbed(run, product, f"{FLAPS} cuts of {half_s:g} s on the cluster network", act)
    run.done()
    serve_on(run, product, active, epoch, pids)


for name, factor in (("flap-half", 0.5), ("flap-token", 1), ("flap-double", 2)):
    drill(name)(lambda run, product, share=factor: flap(run, product, share))


@drill("held-back")
def drill_held_back(run, product):
    """Nothing passes on the cluster network for 90 s, and then all of it at once: old words move nobody."""
    run.undo(run.lab.release_net)
    active, epoch, pids, cut = undisturbed(run, product, "cluster network held back", lambda _: run.lab.hold_net())
    cut["explain"] = watch_split(run, product, active, 1)
    run.stop_load()
    left = HOLD_S - (drillrun.now_ms() - cut["at_ms"]) / 1000
    watch_nothing(run, product, [other_of(active)], left, "the active node lives")
    frames = run.lab.release_net()
    run.done()
    if not frames:
        raise drillrun.DrillFailed("nothing was held back: the drill has tried nothing")
    run.say(f"{frames} frames of {HOLD_S} s are delivered at once")
    watch_nothing(run, product, [other_of(active)], CUT_S / 2, "what it hears is old")
    serve_on(run, product, active, epoch, pids)
