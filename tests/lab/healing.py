# SPDX-License-Identifier: GPL-2.0-or-later
"""A fault, its healing, and what must come of it: within SERVED_S one node has to serve and the other one to be ready; a node
that is held says so, and `understudy clear`, which its explain names, has to lift it. The auditor judges all of it."""
import subprocess

import drillrun
import labconf
import labhost
import lablib
from drillproduct import command_done, find_reason, other_of

SERVED_S = 150
STEADY_S = 2.0
BY_ITSELF_S = 30        # what a person would wait before doing anything
GONE = (lablib.LabError, labhost.HostOff, OSError, subprocess.SubprocessError)      # a host that is just fenced, or comes up


class Fault:
    """ACT(run, product, host) does it and HEAL undoes it, after LEAST to MOST seconds."""

    def __init__(self, name, act, heal, least, most):
        self.name, self.act, self.heal, self.least, self.most = name, act, heal, least, most


def is_served(product):
    active = product.active()
    return active if active and product.is_ready(other_of(active)) else None


def lift(run, product):
    """A person does what `explain` says: clear a node that is held, switch on a host that stays off."""
    for host in labconf.CLUSTER_HOSTS:
        if not run.lab.host(host).powered:
            continue
        held = find_reason(product.explain(host).get("why"), "held")
        if held and "understudy clear" in held.get("action", ""):
            command_done(run, product, host, "clear")


def heal(run, product, fault, host):
    """A host that was fenced meanwhile has come up, or comes up, without the fault."""
    try:
        fault.heal(run, product, host)
    except GONE as err:
        run.say(f"not healed: {err}")


def wait_served(run, product):
    """(who serves, since when): it stays so for STEADY_S, since the last word of a daemon that was killed still lies there."""
    deadline, active, since = drillrun.now_ms() + SERVED_S * 1000, None, 0
    asked = drillrun.now_ms() + BY_ITSELF_S * 1000
    while drillrun.now_ms() < deadline:
        now = is_served(product)
        if now != active:
            active, since = now, drillrun.now_ms()
        if active and drillrun.now_ms() - since > STEADY_S * 1000:
            return active, since
        if not active and drillrun.now_ms() > asked:
            asked = drillrun.now_ms() + 5000
            attempt_lift(run, product)
        drillrun.time.sleep(0.1)
    said = {h: sorted(product.reasons(h)) if run.lab.host(h).powered else "off" for h in labconf.CLUSTER_HOSTS}
    raise drillrun.DrillFailed(f"not served {SERVED_S} s after everything was healed: {said}")


def attempt_lift(run, product):
    try:
        for host in labconf.CLUSTER_HOSTS:
            if not run.lab.host(host).powered:
                run.say(f"{host} is still off: switched on by hand")
                run.lab.host(host).power_on("campaign: by hand")
        lift(run, product)
    except (drillrun.DrillFailed, *GONE) as err:
        run.say(f"not now: {err}")      # a daemon that is just starting does not answer; it is asked again


def bounds(product):
    """Path of each report -> how many messages it says may be repeated."""
    return {str(path).rsplit("/", 1)[1] + host: record.get("duplicate_bound") or 0
            for host in labconf.CLUSTER_HOSTS for record, path in product.reports(host)}


def suffer(run, product, fault, role, seconds, number="", look=lambda: None):
    """FAULT for SECONDS on the host that is ROLE ("active" or "passive"), its healing, and who serves then. LOOK() is called
    again and again while it lasts."""
    active, before = product.active(), bounds(product)
    host = active if role == "active" else other_of(active)
    run.undo(fault.heal, run, product, host)
    cut = run.disturb(host, f"{number}{fault.name} for {seconds:.1f} s on the {role} host", lambda: fault.act(run, product, host),
                      "fault")
    run.happens(look, seconds, 0.1)
    heal(run, product, fault, host)
    run.done()
    healed = drillrun.now_ms()
    served, since = wait_served(run, product)
    cut["bound"] = cut["bak"] + sum(value for key, value in bounds(product).items() if key not in before)
    took = (since - healed) / 1000
    cut.update(survivor=served, how=f"{cut['how']} (epoch {product.epoch(served)}, served {took:.1f} s after the healing)")
    run.say(f"{served} serves under epoch {product.epoch(served)}, {took:.1f} s after the healing")
