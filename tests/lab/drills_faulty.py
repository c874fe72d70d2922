# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of shares that misbehave for one host or both: `lab up --faulty`. What a server, its disk or its client can do to a
call is done to it by understudy-faultfs."""
import os

import drillrun
import labconf
import labfaultfs
from drillexpect import DEMANDED
from drillproduct import (begin, find_reason, finish, other_of, wait_blocked, wait_rejoin, wait_takeover,
                          watch_nothing)
from drillset import drill
from drills_net import wait_ready
from drills_pause import claims
from drills_stop import only_it_fenced

HANG_S = 5              # longer than share_deadline, shorter than share_patience
NOTHING_S = 4           # how long a node that can not go on is watched doing nothing
RATE = 3.0
EPOCH_FILES = "path=.understudy/epoch.*"
STALE_S = 12            # shorter than claim_patience
TAKEOVER_S = 150        # three times claim_patience, where a member can not end what it holds
BLOCKED = ("passive", "proof", "drain", "ending", "hold")
NAMELESS_S = 5          # a guard that falls is seen at the next look; a claim that fails, after the second try
LATE_MS = 3000          # from the last sign of life to the end of the drain it takes longer than that


def misbehave(run, host, share, *rules):
    """Until heal(); what was met before is not counted."""
    run.undo(run.lab.heal_shares)
    run.faults[(host, share)] = len(run.lab.rules(host, share).hits())
    run.lab.fault(host, share, *rules)
    run.say(f"share {share} of {host}: {' '.join(rules)}")


def heal(run):
    run.lab.heal_shares()
    run.say("the shares work again")


def met(run, host, share="control", op=None):
    """Operations that the rules have met, of kind OP. None at all: the drill has shown nothing."""
    hits = [h for h in run.lab.rules(host, share).hits(run.faults[(host, share)]) if op in (None, h["op"])]
    if not hits:
        raise drillrun.DrillFailed(f"no {op or 'operation'} of {host} on share {share} has met the fault")
    run.say(f"{len(hits)} operations of {host} on share {share} met it, the first: {hits[0]['op']} {hits[0]['to'] or hits[0]['path']}")
    return hits


def takes_over(run, product, cut, timeout_s=TAKEOVER_S):
    """The survivor becomes active. As long as it is not, neither node may be blocked without a name for it."""
    nameless, deadline = {}, drillrun.now_ms() + timeout_s * 1000
    while product.state(cut["survivor"]) != "active":
        now = drillrun.now_ms()
        if now >= deadline:
            raise drillrun.DrillFailed(f"{cut['survivor']} is not active after {timeout_s} s: {said(product)}")
        for host in labconf.CLUSTER_HOSTS:
            status = product.status(host) if run.lab.host(host).powered else {}
            if status.get("state") not in BLOCKED or status.get("why"):
                nameless.pop(host, None)
            elif now - nameless.setdefault(host, now) > NAMELESS_S * 1000:
                raise drillrun.DrillFailed(f"{host} is {status['state']} for {NAMELESS_S} s and names nothing that blocks it")
        drillrun.time.sleep(0.1)
    wait_takeover(run, product, cut)


def said(product):
    return {host: {key: product.status(host).get(key) for key in ("state", "why")} for host in labconf.CLUSTER_HOSTS}


def start(run, product, rate=RATE):
    """The active host, once it is known that shares can misbehave here."""
    if not os.path.isdir(labfaultfs.rules_folder(str(run.lab.dir), labconf.CLUSTER_HOSTS[0])):
        raise drillrun.DrillFailed("the shares of this lab can not misbehave: `lab up --faulty`")
    run.faults = {}
    return begin(run, product, rate)


def intake_closes(run, product, active, rule):
    """The control share does not answer the active host alone for a while: intake is closed meanwhile, nobody fails over."""
    epoch, pids = product.epoch(active), set(product.list_processes(active))
    cut = run.disturb(active, f"control share answers with {rule}", lambda: misbehave(run, active, "control", f"all={rule}"),
                      "none", bound=0, limits={"lmtp": HANG_S * 1000 + 8000, "address": 1000})
    cut["explain"] = wait_blocked(run, product, active, "share-unknown", "NFS server")
    run.wait(lambda: not run.lab.lmtp_greets(), 10, "intake is closed")
    run.say("intake is closed")
    left = cut["at_ms"] + HANG_S * 1000 - drillrun.now_ms()
    watch_nothing(run, product, [other_of(active)], max(left, 0) / 1000, f"{active} is in the ring and holds the epoch")
    met(run, active)
    heal(run)
    run.done()
    run.wait(run.lab.lmtp_greets, 20, "intake is open again")
    finish(run)
    if set(product.list_processes(active)) != pids:
        raise drillrun.DrillFailed(f"the list service of {active} was started anew")
    wait_ready(run, product, other_of(active), 60)
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)


@drill("share-eio")
def drill_share_eio(run, product):
    """Each call of the active host on the control share fails with EIO for a while: no answer is no answer."""
    intake_closes(run, product, start(run, product), "eio")


@drill("share-hang")
def drill_share_hang(run, product):
    """Each call of the active host on the control share hangs for a while, and its children with it."""
    intake_closes(run, product, start(run, product), "hang")


def given_up(run, product, rule, *shares):
    """The active host alone has lost SHARES for good: it stops after share_patience, can not write its end, and is fenced."""
    active = start(run, product)
    boot = run.lab.host(active).boot_id

    def act():
        for share in shares:
            misbehave(run, active, share, f"all={rule}")
    cut = run.disturb(active, f"{' and '.join(shares)} share answers with {rule}", act, "ended")
    cut["boot"] = boot
    cut["explain"] = wait_blocked(run, product, active, "share-unknown", "NFS server")
    takes_over(run, product, cut)
    if drillrun.now_ms() - cut["at_ms"] < labconf.TIMINGS["share_patience"]:
        raise drillrun.DrillFailed("the other node took over before share_patience was over")
    run.wait(lambda: run.lab.host(active).powered, 60, f"{active} is on again")
    run.wait(lambda: find_reason(product.explain(active), "share-unknown"), 60, f"{active} says that its share does not answer", 0.5)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    return cut


@drill("share-estale")
def drill_share_estale(run, product):
    """The export of the control share was replaced for the active host: ESTALE for ever, also after its boot, until mended."""
    only_it_fenced(run, given_up(run, product, "estale", "control"))


@drill("share-hang-both")
def drill_share_hang_both(run, product):
    """Both shares hang for the active host for good: its runners can not even be killed."""
    cut = given_up(run, product, "hang", "control", "lists")
    run.expect(active=cut["survivor"])


def ask_switchover(run, host):
    """The command, which may wait for longer than the drill does."""
    path = run.path("switchover.out")
    with open(path, "wb") as out:
        return run.lab.host(host).popen(["/usr/bin/understudy", "switchover"], stdout=out, stderr=out), path


def say_switchover(run, asked):
    """What it said. That of a host which was fenced says nothing."""
    process, path = asked
    run.happens(lambda: process.poll() is not None, 60, 0.1)
    run.lab.host(labconf.CLUSTER_HOSTS[0]).kill_popen(process)
    with open(path, encoding="utf-8", errors="replace") as file:
        run.say(f"`understudy switchover`: exit status {process.wait()}: {file.read().strip()}")


def unclaimable(run, product, rule, hosts):
    """The active host loses its power while the control share takes nothing from the other one."""
    active = start(run, product)
    other, epoch = other_of(active), product.epoch(active)
    for host in hosts(active):
        misbehave(run, host, "control", rule)
    wait_blocked(run, product, hosts(active)[0], "share-unwritable", "control share")
    drillrun.time.sleep(2)
    if product.state(active) != "active" or not run.lab.lmtp_greets():
        raise drillrun.DrillFailed(f"{active} does not serve on though it can read its epochs")
    cut = run.cut(active)
    cut["explain"] = wait_blocked(run, product, other, "claim-failed", "control share")
    watch_nothing(run, product, [other], NOTHING_S, "it can not write a claim")
    if max(claims(run)) != epoch:
        raise drillrun.DrillFailed(f"epoch {max(claims(run))} is on a share that takes nothing")
    met(run, other)
    heal(run)
    run.done()
    takes_over(run, product, cut)
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=other, fenced=[], rebooted=[])


@drill("share-full")
def drill_share_full(run, product):
    """The control share is full for both. Who serves goes on; when its power goes nobody can claim, until there is space."""
    unclaimable(run, product, "changes=enospc", lambda active: labconf.CLUSTER_HOSTS)


@drill("share-readonly")
def drill_share_readonly(run, product):
    """The passive host alone can only read the control share."""
    unclaimable(run, product, "changes=erofs", lambda active: [other_of(active)])


@drill("share-quota")
def drill_share_quota(run, product):
    """The active host has used up its quota on the control share and shall release the service: it stops, and its end can not be
    written; the other node is patient, and then makes sure."""
    active = start(run, product)
    cut = run.disturb(active, "quota used up before a switchover",
                      lambda: misbehave(run, active, "control", "changes=edquot"), "fault")
    asked = ask_switchover(run, active)
    cut["explain"] = wait_blocked(run, product, active, "share-unwritable", "control share")
    wait_blocked(run, product, active, "end-pending", "control share")
    takes_over(run, product, cut)
    say_switchover(run, asked)
    met(run, active)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    only_it_fenced(run, cut)


@drill("share-slow")
def drill_share_slow(run, product):
    """Listing the control share takes long for both, and no longer than is allowed: nothing happens. Then the power goes."""
    active = start(run, product)
    epoch = product.epoch(active)
    for host in labconf.CLUSTER_HOSTS:
        misbehave(run, host, "control", "readdir=delay:600")
    drillrun.time.sleep(6)
    if product.state(active) != "active" or product.epoch(active) != epoch or not run.lab.lmtp_greets():
        raise drillrun.DrillFailed(f"{active} does not serve on: {product.status(active).get('why')}")
    met(run, active)
    cut = run.cut(active)
    takes_over(run, product, cut)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


def links(run, product, *rules, **more):
    """The active host loses its power, and the links of the other one's epochs go wrong. (cut, the epoch before)"""
    active = start(run, product)
    epoch = product.epoch(active)
    misbehave(run, other_of(active), "control", *rules)
    return run.cut(active, **more), epoch


def taken(run, product, cut, epoch):
    """Under the very next number: none was burnt."""
    takes_over(run, product, cut)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[], epoch=epoch)


@drill("share-link-lost")
def drill_share_link_lost(run, product):
    """The claim and the tenure are linked, and the answers say EIO and EEXIST: what link() answers counts for nothing."""
    cut, epoch = links(run, product, f"link=lost,{EPOCH_FILES},count=1", f"link=lost:eexist,{EPOCH_FILES},count=1")
    takes_over(run, product, cut)
    if len(met(run, cut["survivor"], op="link")) != 2:
        raise drillrun.DrillFailed("claim and own did not both meet the fault")
    taken(run, product, cut, epoch + 1)


@drill("share-link-lied")
def drill_share_link_lied(run, product):
    """Links are answered with success and are not there: nobody believes in a claim that can not be read back."""
    cut, epoch = links(run, product, f"link=lied,{EPOCH_FILES}")
    cut["explain"] = wait_blocked(run, product, cut["survivor"], "claim-failed", "control share")
    watch_nothing(run, product, [cut["survivor"]], NOTHING_S, "its claim is not on the share")
    met(run, cut["survivor"], op="link")
    heal(run)
    taken(run, product, cut, epoch + 1)


@drill("share-link-late")
def drill_share_link_late(run, product):
    """The link of the claim hangs for longer than it may and lands later: a claim that nobody pursues is withdrawn."""
    cut, epoch = links(run, product, f"link=late:12000,{EPOCH_FILES},count=1", phases=DEMANDED["ended"])
    takes_over(run, product, cut)
    met(run, cut["survivor"], op="link")
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    if not os.path.exists(run.lab.control_share / ".understudy" / f"epoch.{epoch + 1}.end"):
        raise drillrun.DrillFailed(f"the claim of epoch {epoch + 1} that landed late was not withdrawn")
    run.expect(active=cut["survivor"], fenced=[], rebooted=[], epoch=epoch + 2)


@drill("share-rename-lied")
def drill_share_rename_lied(run, product):
    """The dead host's locks are put into quarantine, and the rename is answered with success and was not done: the start is given
    up, and tried again."""
    active = start(run, product)
    misbehave(run, other_of(active), "lists", "rename=lied,path=locks/*,count=1")
    cut = run.cut(active, phases=())
    takes_over(run, product, cut)
    met(run, other_of(active), "lists", "rename")
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


@drill("share-beat-still")
def drill_share_beat_still(run, product):
    """The active host's beats do not reach the share and it sees none of what others do there, while the cluster network is cut:
    the other node takes it for dead, and makes sure."""
    active = start(run, product)
    misbehave(run, active, "control", "rename=lied,path=.understudy/beat.*", "names=stale:60")
    cut = run.disturb(active, "cluster network cut", lambda: run.lab.cut(active))
    run.undo(run.lab.heal, active)
    takes_over(run, product, cut)
    met(run, active, op="rename")
    run.lab.heal(active)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[active], rebooted=[])


@drill("share-stale")
def drill_share_stale(run, product):
    """The passive host sees names and attributes of the past while the service is moved to it: it takes over once it sees the end,
    and fences nobody for what it can not see."""
    active = start(run, product)
    other, epoch = other_of(active), product.epoch(active)
    cut = run.disturb(active, "switchover to a node that sees the past",
                      lambda: misbehave(run, other, "control", f"names=stale:{STALE_S}"), "ended", bound=0)
    asked = ask_switchover(run, active)
    run.wait(lambda: os.path.exists(run.lab.control_share / ".understudy" / f"epoch.{epoch}.end"), 60, "the end is written")
    watch_nothing(run, product, [other], 1, "it can not see the end of the epoch")
    takes_over(run, product, cut)
    say_switchover(run, asked)
    met(run, other)
    heal(run)
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=other, fenced=[], rebooted=[])


@drill("share-late-writes")
def drill_share_late_writes(run, product):
    """What the active host has on its way to the list share when its power goes lands seconds later: before the other one's own."""
    active = start(run, product, drillrun.EASY)
    misbehave(run, active, "lists", f"write+link+rename+unlink=late:{LATE_MS}")
    before = len(run.lab.rules(active, "lists").deliveries())
    drillrun.time.sleep(1.5)
    cut = run.cut(active)
    met(run, active, "lists")
    run.lab.fault(active, "lists")
    takes_over(run, product, cut)
    landed = [d for d in run.lab.rules(active, "lists").deliveries()[before:] if d["alone"]]
    if not landed:
        raise drillrun.DrillFailed(f"nothing of {active} was on its way when its power went")
    run.say(f"{len(landed)} changes landed after the cut, the last {(landed[-1]['at_ms'] - cut['at_ms']) / 1000:.2f} s after")
    run.done()
    finish(run)
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])
