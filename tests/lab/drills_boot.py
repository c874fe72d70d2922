# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the boot: both hosts at once or one after the other, or one alone."""
import threading

import drillrun
import labconf
from drillproduct import (begin, command_done, finish, other_of, wait_blocked, wait_rejoin, wait_takeover,
                          watch_nothing)
from drillset import drill

SKEW_S = 60             # the second host of reboot-skew comes so much later at most
ALONE_S = 3             # how long a lone host is watched doing nothing
RATE = 3.0              # what piles up at the MX while nobody serves has to be delivered afterwards


def power_both(run, power):
    threads = [threading.Thread(target=power, args=(host,)) for host in labconf.CLUSTER_HOSTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def off_both(run):
    power_both(run, lambda host: run.lab.host(host).power_off(f"drill {run.name}"))


def on(run, host):
    run.lab.host(host).power_on(f"drill {run.name}")


def restore_power(run):
    for host in labconf.CLUSTER_HOSTS:
        on(run, host)


def wait_served(run, product, cut, timeout_s=90):
    cut["survivor"] = run.wait(product.active, timeout_s, "one node is active")
    wait_takeover(run, product, cut)


def reboot(run, product, skew_s):
    active = begin(run, product, RATE)
    first = run.random.choice(labconf.CLUSTER_HOSTS)
    run.undo(restore_power, run)
    cut = run.disturb(active, "power-off of both", lambda: off_both(run), "start")
    if skew_s:
        on(run, first)
        run.say(f"{first} is on again; {other_of(first)} follows {skew_s:.1f} s later")
        lonely(run, product, first, skew_s)
        on(run, other_of(first))
    else:
        power_both(run, lambda host: on(run, host))
        run.say("both hosts are on again")
    run.done()
    wait_served(run, product, cut)
    finish(run)
    loser = other_of(cut["survivor"])
    run.wait(lambda: product.is_ready(loser), 60, f"{loser} is passive, with nothing in its way", 0.1)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


def lonely(run, product, host, seconds):
    """Alone, it says that it has not seen the other one, and does nothing."""
    end = drillrun.now_ms() + seconds * 1000
    if seconds > 6:
        wait_blocked(run, product, host, "unseen-peer", "--boot-alone", seconds)
    while drillrun.now_ms() < end:
        watch_nothing(run, product, [host], 0.1, "it had not seen the other node since it booted")


@drill("reboot-both")
def drill_reboot_both(run, product):
    """A power cut of both under load, and both are back at the same moment."""
    reboot(run, product, 0)


@drill("reboot-skew")
def drill_reboot_skew(run, product):
    """The same, and one host comes later, by a time that the seed says."""
    reboot(run, product, run.random.uniform(0.5, SKEW_S))


@drill("reboot-takeover")
def drill_reboot_takeover(run, product):
    """The active host loses its power, and in the middle of the takeover, at a moment that the seed says, both have none."""
    active = begin(run, product, RATE)
    other = other_of(active)
    run.undo(restore_power, run)
    state = run.random.choice(("claiming", "proof", "drain", "owning", "recover", "address", "service"))
    first = run.cut(active, kind="takeover", phases=())
    seen = run.wait(lambda: reached(product, other, state), 60, f"{other} is on its way", 0.002)
    cut = run.disturb(other, f"power-off of both while {other} was in state {seen}", lambda: off_both(run), "start")
    first["report"] = {"duplicate_bound": 0}    # what was half done then is counted at the second cut, where it still lies
    power_both(run, lambda host: on(run, host))
    run.done()
    wait_served(run, product, cut)
    finish(run)
    loser = other_of(cut["survivor"])
    run.wait(lambda: product.is_ready(loser), 60, f"{loser} is passive, with nothing in its way", 0.1)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


ORDER = ("passive", "claiming", "proof", "drain", "owning", "recover", "address", "service", "active")


def reached(product, host, state):
    """A short state may be over before it is seen: a later one will do."""
    now = product.state(host)
    return now if now in ORDER and ORDER.index(now) >= ORDER.index(state) else None


def alone(run, product, bmc_dead):
    active = begin(run, product, RATE)
    away = run.random.choice(labconf.CLUSTER_HOSTS)
    host = other_of(away)
    run.undo(restore_power, run)
    cut = run.disturb(active, "power-off of both", lambda: off_both(run), "start", survivor=host)
    if bmc_dead:
        run.undo(setattr, run.lab.bmc(away), "dead", False)
        run.lab.bmc(away).dead = True
    on(run, host)
    run.say(f"only {host} is on again; the BMC of {away} {'is dead' if bmc_dead else 'answers'}")
    cut["explain"] = wait_blocked(run, product, host, "unseen-peer", f"understudy acknowledge {away} --boot-alone")
    watch_nothing(run, product, [host], ALONE_S, f"it had not seen {away} since it booted")
    cut["acknowledged_ms"] = drillrun.now_ms()
    command_done(run, product, host, "acknowledge", away, "--boot-alone", "--yes", timeout_s=120)   # fencing is tried first
    wait_takeover(run, product, cut)
    finish(run)
    run.lab.bmc(away).dead = False
    on(run, away)
    run.done()
    wait_rejoin(run, product, {"host": away, "survivor": host})
    run.expect(active=host, fenced=[], rebooted=[])


@drill("boot-alone")
def drill_boot_alone(run, product):
    """One host stays away and its BMC answers: off can be proven, once a person has said that the host may go on alone."""
    alone(run, product, False)


@drill("boot-alone-unproven")
def drill_boot_alone_unproven(run, product):
    """One host stays away and its BMC with it: only a person's word is left."""
    alone(run, product, True)
