# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign: random faults, one after the other, on a lab that serves mail all the time. The same seed makes the same choices.

After each one everything is healed, and within SERVED_S one node has to serve and the other one to be ready; a node that is
held says so, and `understudy clear`, which its explain names, has to lift it. The auditor judges all of it."""
import os
import random
import signal
import sys

import drillrun
import drills
import labconf
import watching
from drills_net import RETRY_S
from drills_resources import RESOURCES
from drills_share import give_back
from healing import Fault, is_served, suffer

RATE = 2.0
CALM_S = 3.0            # between two faults


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
    *RESOURCES.values(),
)


def choose(chance):
    """What is done next, to which host, and for how many seconds."""
    fault = chance.choice(FAULTS)
    return fault, chance.choice(("active", "active", "passive")), chance.uniform(fault.least, fault.most)


def choices(seed, number):
    """The first NUMBER steps of a campaign with SEED."""
    chance = random.Random(seed)
    return [(fault.name, role, seconds) for fault, role, seconds in (choose(chance) for _ in range(number))]


def step(run, product, number):
    suffer(run, product, *choose(run.random), number=f"{number}: ")
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
