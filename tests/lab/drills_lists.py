# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of a list share that takes nothing from the active host: `lab up --faulty`. Nothing is lost and nobody's mail comes back,
though Mailman's LMTP server says 550 to what it can not queue: the MX tries again, and intake is closed as soon as it is seen."""
import os
import re

import drillrun
from drillproduct import finish, other_of, wait_blocked
from drills_faulty import heal, met, misbehave, start
from drills_net import wait_ready
from drills_runner import BIN, CONFIG, RUNNERS_AT_WORK
from drillset import drill
from healing import bounds

FULL_S = 10
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


def without_space(run, product, rule):
    active = start(run, product)
    kept, reported = preserved(run), bounds(product)
    cut = run.disturb(active, f"list share takes nothing: {rule},", lambda: misbehave(run, active, "lists", rule), "fault")
    cut["explain"] = wait_blocked(run, product, active, "list-share-unwritable", "list share")
    run.say(f"intake closed after {drillrun.now_ms() - cut['at_ms']:.0f} ms, the list server was asked {len(answers(run))} times before")
    drillrun.time.sleep(FULL_S)
    met(run, active, "lists")
    texts = sorted({f"{dsn} {status}: {text}" for _, dsn, status, text in answers(run) if status != "sent"})
    run.say(f"what the MX was told: {texts or 'nothing but 250'}")
    if any(text.startswith("5") for text in texts):
        raise drillrun.DrillFailed("mail was refused for good")
    heal(run)
    run.done()
    cut["survivor"] = run.wait(product.active, 90, "one node is active")
    run.stop_load()
    run.happens(lambda: not run.count_queued() and not run.count_at_mx(), 60, 0.2)
    by_hand = put_back(run, cut["survivor"], kept)
    finish(run)
    # A runner may have handed on what it then could neither finish nor keep; what is put back by hand is such a message.
    cut["bound"] = cut["bak"] + by_hand + RUNNERS_AT_WORK + sum(n for key, n in bounds(product).items() if key not in reported)
    wait_ready(run, product, other_of(cut["survivor"]), 90)
    run.expect(active=active, fenced=[], rebooted=[])


@drill("list-share-full")
def drill_list_share_full(run, product):
    """No block and no inode is left on the list share for the active host."""
    without_space(run, product, "create+write+mkdir=enospc")


@drill("list-share-quota")
def drill_list_share_quota(run, product):
    """Files can be made there, and nothing can be written to them."""
    without_space(run, product, "write=edquot")
