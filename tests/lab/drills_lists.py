# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of a list share that takes nothing from the active host: `lab up --faulty`. What has Mailman's 250 must not be lost. What
Mailman refuses for good meanwhile (its LMTP server says 550 to what it can not queue) is its own word, and is counted."""
import os
import re

import drillrun
from drillproduct import finish, other_of
from drills_faulty import RATE, heal, met, misbehave, start
from drills_net import wait_ready
from drills_runner import BIN, CONFIG, RUNNERS_AT_WORK
from drillset import drill
from healing import bounds

FULL_S = 10
SENDER = "poster@members.test"      # of the load
NAMED = re.compile(r"postfix/cleanup\[\d+\]: (\w+): message-id=<([^@>]+)@")
ANSWERED = re.compile(r"postfix/lmtp\[\d+\]: (\w+): to=<.*dsn=([\d.]+), status=(\w+) \((.*)\)")


def answers(run):
    """[(id, DSN, status, text)] of each try of this drill's messages at the list server's LMTP, by Postfix's log."""
    names, found = {}, []
    with open(run.mx_log(), encoding="utf-8", errors="replace") as file:
        file.seek(run.mx_log_before)
        for line in file:
            named, answered = NAMED.search(line), ANSWERED.search(line)
            if named:
                names[named[1]] = named[2]
            elif answered and names.get(answered[1], "").startswith(run.prefix):
                found.append((names[answered[1]], *answered.groups()[1:]))
    return found


def taken(run):
    """Messages that have the list server's 250."""
    return {i for i, _, status, _ in answers(run) if status == "sent"}


def preserved(run):
    """What Mailman could not even shunt."""
    return set((run.lab.list_share / "queue" / "bad").glob("*.psv"))


def put_back(run, active, before):
    """What a person does when there is space again, with what was set aside since BEFORE; how many entries."""
    run.lab.host(active).exec([f"{BIN}/mailman", "-C", CONFIG, "unshunt"], user="list", timeout=60)
    kept = preserved(run) - before
    for path in kept:
        os.rename(path, run.lab.list_share / "queue" / "in" / f"{path.stem}.pck")
    if kept:
        run.say(f"{len(kept)} entries that Mailman could not even shunt are put back by hand")
    return len(kept)


def named(product, hosts, since_ms):
    """What status names now, by itself or by an alert that is not older."""
    found = set()
    for host in hosts:
        status, age_ms = product.status(host), drillrun.now_ms() - since_ms
        found.update((host, why["reason"]) for why in status.get("why", []) if why["reason"] != "peer-active")
        found.update((host, alert["reason"]) for alert in status.get("alerts", []) if alert["age_ms"] < age_ms)
    return found


def refuse(run):
    """What Mailman has refused for good is no message of its own any more, once its sender has been told."""
    refused = {i for i, _, status, _ in answers(run) if status == "bounced"} - taken(run)
    run.wait(lambda: sum(1 for r in run.sink.read() if r.get("rcpts") == [SENDER]) >= len(refused), 30, "the senders are told")
    run.refuse(refused)


def without_space(run, product, rule):
    active = start(run, product)
    kept, reported = preserved(run), bounds(product)
    cut = run.disturb(active, f"list share takes nothing: {rule},", lambda: misbehave(run, active, "lists", rule), "fault")
    said, end = set(), cut["at_ms"] + FULL_S * 1000
    while drillrun.now_ms() < end:
        said |= named(product, (active, other_of(active)), cut["at_ms"])
        drillrun.time.sleep(0.1)
    met(run, active, "lists")
    run.say(f"status named meanwhile: {sorted(said) or 'nothing'}; {active} is {product.state(active)}")
    heal(run)
    run.done()
    texts = sorted({f"{dsn} {status}: {text}" for _, dsn, status, text in answers(run) if status != "sent"})
    run.say(f"the MX was told: {texts or 'nothing but 250'}")
    cut["survivor"] = run.wait(product.active, 90, "one node is active")
    run.stop_load()
    run.happens(lambda: not run.count_queued() and not run.count_at_mx(), 60, 0.2)
    by_hand = put_back(run, cut["survivor"], kept)
    refuse(run)
    finish(run)
    # A runner may have handed on what it then could neither finish nor keep; what is put back by hand is such a message.
    cut["bound"] = cut["bak"] + by_hand + RUNNERS_AT_WORK + sum(n for key, n in bounds(product).items() if key not in reported)
    wait_ready(run, product, other_of(cut["survivor"]), 90)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


@drill("list-share-full")
def drill_list_share_full(run, product):
    """No block and no inode is left on the list share for the active host."""
    without_space(run, product, "create+write+mkdir=enospc")


@drill("list-share-quota")
def drill_list_share_quota(run, product):
    """Files can be made there, and nothing can be written to them."""
    without_space(run, product, "write=edquot")
