# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign: random faults, one after the other, on a lab that serves mail all the time. The same seed makes the same choices.

After each one everything is healed, and within SERVED_S one node has to serve and the other one to be ready; a node that is
held says so, and `understudy clear`, which its explain names, has to lift it. The auditor judges all of it."""
import os
import random
import signal
import subprocess
import sys

import drillrun
import drills
import labconf
import labhost
import lablib
import watching
from drillproduct import command_done, find_reason, other_of
from drills_net import RETRY_S
from drills_share import give_back

SERVED_S = 150
RATE = 2.0
CALM_S = 3.0            # between two faults
STEADY_S = 2.0
BY_ITSELF_S = 30        # what a person would wait before doing anything
GONE = (lablib.LabError, labhost.HostOff, OSError, subprocess.SubprocessError)      # a host that is just fenced, or comes up


class Fault:
    """ACT(run, product, host) does it and HEAL undoes it, after LEAST to MOST seconds."""

    def __init__(self, name, act, heal, least, most):
        self.name, self.act, self.heal, self.least, self.most = name, act, heal, least, most


def nothing(*_):
    pass


def on(run, _product, host):
    run.lab.host(host).power_on("campaign")


def resume(run, _product, host, name=None):
    machine = run.lab.host(host)
    if not machine.powered:
        return
    if name is None:
        run.lab.resume(host)
    elif watching.pids_of_program(machine, name):
        run.lab.resume_process(host, name)


def kill_part(part):
    return lambda run, product, host: watching.kill_one(watching.pid_of(run.lab.host(host), part))


def kill_corosync(run, _product, host):
    watching.kill_record_of(run.lab.host(host), "corosync")


def start_corosync(run, _product, host):
    if run.lab.host(host).powered and not watching.pids_of_program(run.lab.host(host), "corosync"):
        run.lab.host(host).service("corosync", "start")


def kill_runner(run, product, host):
    """One of the list service's processes, wherever that runs."""
    found = sorted(product.list_processes(product.active() or host))
    if found:
        os.kill(found[0], signal.SIGKILL)


def power_and_bmc(run, _product, host):
    run.lab.bmc(host).dead = True
    run.lab.host(host).power_off("campaign")


def bmc_and_on(run, product, host):
    run.lab.bmc(host).dead = False
    on(run, product, host)


def switch_over(run, product, _host):
    active = product.active()
    if active:
        run.lab.host(active).exec(["/usr/bin/understudy", "switchover"], check=False, timeout=90)


def nets(net):
    return (lambda run, product, host: run.lab.cut(host, net)), (lambda run, product, host: run.lab.heal(host, net))


def losses(direction):
    return (lambda run, product, host: run.lab.lose(host, direction)), \
        (lambda run, product, host: run.lab.lose(host, direction, lost=False))


def stops(name):
    return (lambda run, product, host: run.lab.pause_process(host, name)), \
        (lambda run, product, host: resume(run, product, host, name))


FAULTS = (
    Fault("power off", lambda run, product, host: run.lab.host(host).power_off("campaign"), on, 0.5, 20),
    Fault("power and BMC off", power_and_bmc, bmc_and_on, 5, 30),
    Fault("pause", lambda run, product, host: run.lab.pause(host), resume, 0.3, 8),
    *(Fault(f"{net} network cut", *nets(net), 0.3, 15) for net in labconf.NETS),
    *(Fault(f"cluster frames lost {word}", *losses(word), 0.3, 10) for word in ("in", "out")),
    Fault("cluster network held back", lambda run, product, host: run.lab.hold_net(),
          lambda run, product, host: run.lab.release_net(), 0.3, 10),
    Fault("control share hangs", lambda run, product, host: run.lab.freeze_share("control"),
          lambda run, product, host: run.lab.thaw_share("control"), 0.5, 10),
    Fault("control share unmounted", lambda run, product, host: run.lab.take_share(host, "control"),
          lambda run, product, host: give_back(run, host), 1, 10),
    *(Fault(f"{watching.NAMES[part]} killed", kill_part(part), nothing, 0.1, 1) for part in ("engine", "members", "executor")),
    *(Fault(f"{name} stopped", *stops(name), 0.3, 8) for name in ("understudy-engine", "understudy-members", "corosync")),
    Fault("corosync killed", kill_corosync, start_corosync, 0.5, 10),
    Fault("a list process killed", kill_runner, nothing, 0.1, 5),
    Fault("switchover", switch_over, nothing, 0.1, 1),
)


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


def choose(chance):
    """What is done next, to which host, and for how many seconds."""
    fault = chance.choice(FAULTS)
    return fault, chance.choice(("active", "active", "passive")), chance.uniform(fault.least, fault.most)


def choices(seed, number):
    """The first NUMBER steps of a campaign with SEED."""
    chance = random.Random(seed)
    return [(fault.name, role, seconds) for fault, role, seconds in (choose(chance) for _ in range(number))]


def step(run, product, number):
    fault, role, seconds = choose(run.random)
    active, before = product.active(), bounds(product)
    host = active if role == "active" else other_of(active)
    run.undo(fault.heal, run, product, host)
    cut = run.disturb(host, f"{number}: {fault.name} for {seconds:.1f} s on the {role} host",
                      lambda: fault.act(run, product, host), "fault")
    run.happens(lambda: False, seconds, 0.1)
    heal(run, product, fault, host)
    run.done()
    healed = drillrun.now_ms()
    served, since = wait_served(run, product)
    cut["bound"] = cut["bak"] + sum(value for key, value in bounds(product).items() if key not in before)
    took = (since - healed) / 1000
    cut.update(survivor=served, how=f"{cut['how']} (epoch {product.epoch(served)}, served {took:.1f} s after the healing)")
    run.say(f"{served} serves under epoch {product.epoch(served)}, {took:.1f} s after the healing")
    run.happens(lambda: False, CALM_S, 0.1)
    run.retry_now()


def scenario(minutes):
    def campaign(run, product):
        run.wait(lambda: is_served(product), 60, "one node is active and the other one ready")
        run.begin()
        run.load(RATE, most=int(minutes * 60 * RATE * 4) + 1000)
        end, number = drillrun.now_ms() + minutes * 60000, 0
        while drillrun.now_ms() < end:
            number += 1
            step(run, product, number)
        run.stop_load()
        run.happens(lambda: False, RETRY_S)
        run.retry_now()
        run.wait_delivered()
        run.expect(active=run.wait(lambda: is_served(product), 60, "one node is active and the other one ready"))
    return campaign


def run(lab, minutes, seed=None, json_path=None, out=sys.stdout):
    """The record, as of a drill; each step is one of its disturbances."""
    return drills.run_scenario(lab, "campaign", scenario(minutes), drills.Product(lab), False, None, json_path, out, seed)


def main(lab, minutes, seed=None, json_path=None, out=sys.stdout):
    """For the command line: 0 when everything was served again and the auditor saw nothing forbidden."""
    return drills.report(lambda: run(lab, minutes, seed, json_path, out), "campaign", out)
