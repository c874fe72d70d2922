# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of the list service itself: a runner dies, hangs, stays a zombie or dies of one message again and again, and
somebody starts a second list service by hand."""
import os
import pickle
import signal
import time

import drillrun
import labconf
import lablib
import watching
from drillproduct import begin, command_done, finish, other_of, wait_blocked
from drillset import drill

AGAIN_S = 10            # mail flows again within that, plus what Mailman needs to start
RUNNERS_AT_WORK = 3     # in, pipeline and out may each have one message in their hands when they are killed
LOOP_S = 240            # until a service that fails each time it is started is left alone
BIN, CONFIG = "/usr/lib/mailman3/bin", "/etc/mailman3/mailman.cfg"
ROGUE_REASONS = ("service-here", "rogue")
ROGUE_MORE_MS = 500     # a rogue may live for one monitor interval and that


def runner_pid(run, product, host, name):
    found = [pid for pid, runner in product.list_processes(host).items() if runner == name]
    if len(found) != 1:
        raise drillrun.DrillFailed(f"{host} has {len(found)} processes of runner {name}")
    return found[0]


def start_ms(product, host):
    """How long Mailman took to start, by the report of how HOST became active."""
    took = {p["name"]: p["took_ms"] for p in product.report(host)[0].get("phases", [])}
    return took.get("start", 0) + took.get("lmtp", 0)


def lose(run, product, how, act, gap, address_ms=200):
    """ACT takes a runner (or its address, away then for ADDRESS_MS at most) from the active node, which makes it good without
    a person, another node or a new epoch."""
    active = begin(run, product)
    epoch = product.epoch(active)
    limit = AGAIN_S * 1000 + start_ms(product, active)
    before = set(product.list_processes(active))
    cut = run.disturb(active, how, lambda: act(active), "none", bound=RUNNERS_AT_WORK, limits={gap: limit, "address": address_ms})
    run.wait(lambda: whole_again(product, active, before) or product.epoch(active) != epoch, 60,
             f"every runner of {active} is there again")
    if product.epoch(active) == epoch:
        run.say(f"{active} is whole again, {(drillrun.now_ms() - cut['at_ms']) / 1000:.2f} s after")
    run.wait(lambda: product.active(), 90, "one node is active")
    finish(run)
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)
    other = other_of(product.active())
    run.wait(lambda: product.is_ready(other), 60, f"{other} is passive, with nothing in its way", 0.1)


def whole_again(product, host, before):
    """All runners live and at least one is new."""
    now = {pid: name for pid, name in product.list_processes(host).items() if process_state(pid) not in "TZX"}
    return set(now) - before and set(labconf.RUNNERS) <= set(now.values()) and product.state(host) == "active"


def process_state(pid):
    return (lablib.labns.stat_fields(pid) or "X")[0]


@drill("runner-killed")
def drill_runner_killed(run, product):
    """The in runner is killed. Mailman does not supervise its runners: nobody but us notices."""
    lose(run, product, "runner in killed", lambda host: watching.kill_one(runner_pid(run, product, host, "in")), "mail")


@drill("runner-zombie")
def drill_runner_zombie(run, product):
    """The lmtp runner is dead and nobody can reap it, for its master is stopped: its pid is still there."""
    def act(host):
        os.kill(runner_pid(run, product, host, "master"), signal.SIGSTOP)
        os.kill(runner_pid(run, product, host, "lmtp"), signal.SIGKILL)
    lose(run, product, "runner lmtp killed and its master stopped", act, "lmtp")


@drill("runner-hung")
def drill_runner_hung(run, product):
    """The out runner is there, alive, and does nothing."""
    lose(run, product, "runner out stopped", lambda host: os.kill(runner_pid(run, product, host, "out"), signal.SIGSTOP),
         "mail")


@drill("address-gone")
def drill_address_gone(run, product):
    """Somebody takes the floating address off the active node, which starts the list service again with it."""
    def act(host):
        run.lab.host(host).exec(["/usr/sbin/ip", "addr", "del", f"{run.lab.floating}/{labconf.PREFIXES[run.lab.floating]}", "dev", "service0"])
    lose(run, product, "the floating address taken off", act, "lmtp", AGAIN_S * 1000)


@drill("runner-poison")
def drill_runner_poison(run, product):
    """A file whose name kills the runner, and each one that is started after it, until the recovery pass sets it aside."""
    def act(host):
        run.lab.host(host).exec(["/usr/bin/touch", f"{labconf.LIST_SHARE}/queue/in/poison.pck"], user="list")
    run.undo(take_away, run, "in", "poison")
    lose(run, product, "a file that kills the runner put into the in queue", act, "mail")
    if [name for q, name in run.find_queued() if name.startswith("poison")]:
        raise drillrun.DrillFailed("the file that kills the runner is still in the queue")
    run.done()


class Deadly:
    def __reduce__(self):
        return (os._exit, (9,))


def deadly_entry():
    """A well-formed queue entry that no runner survives to read."""
    name = f"{time.time()!r}+{'5' * 40}.pck"
    return name, pickle.dumps(Deadly(), 4) + pickle.dumps({"version": 3, "listid": "test.lab.test"}, 4)


@drill("runner-loop")
def drill_runner_loop(run, product):
    """One message kills every runner that reads it. What helps nowhere is left alone, and says what a person can do."""
    active = begin(run, product)
    name, data = deadly_entry()
    run.undo(take_away, run, "in", name[:-4])
    cut = run.disturb(active, "a message that kills the in runner sent", lambda: put_entry(run, "in", name, data), "start")
    held = run.wait(lambda: all(product.state(h) == "hold" for h in labconf.CLUSTER_HOSTS) and labconf.CLUSTER_HOSTS or
                    settled_without(run, product, name), LOOP_S, "the message is set aside, or both nodes are on hold", 0.1)
    run.say(f"{(drillrun.now_ms() - cut['at_ms']) / 1000:.1f} s after: {'both nodes are on hold' if held != 'aside' else 'it is set aside'}")
    if held != "aside":
        for host in labconf.CLUSTER_HOSTS:
            cut["explain"] = wait_blocked(run, product, host, "held", "understudy clear")
            if not product.reasons(host) & {"service-failed"}:
                raise drillrun.DrillFailed(f"{host} is held and does not say why: {product.reasons(host)}")
        take_away(run, "in", name[:-4])
        for host in labconf.CLUSTER_HOSTS:
            command_done(run, product, host, "clear")
    run.done()
    cut["survivor"] = run.wait(product.active, 90, "one node is active")
    cut["bound"] = RUNNERS_AT_WORK * 8      # each start may have had a message in each of its runners' hands
    cut["phases"] = ()
    finish(run)
    other = other_of(cut["survivor"])
    run.wait(lambda: product.is_ready(other), 90, f"{other} is passive, with nothing in its way", 0.1)
    run.expect(active=cut["survivor"], fenced=[], rebooted=[])


def settled_without(run, product, name):
    """The service runs, and has run for some seconds, and the message is in no queue."""
    active = product.active()
    waiting = [entry for _, entry in run.find_queued() if entry.startswith(name[:-4])]
    return "aside" if active and not waiting and product.status(active).get("state_age_ms", 0) > 6000 else None


def put_entry(run, queue, name, data):
    folder = run.lab.list_share / "queue" / queue
    stat = os.stat(folder)
    path = folder / f"{name}.tmp"
    path.write_bytes(data)
    os.chown(path, stat.st_uid, stat.st_gid)
    os.chmod(path, 0o660)
    os.rename(path, folder / name)


def take_away(run, queue, stem):
    for path in (run.lab.list_share / "queue" / queue).glob(f"{stem}*"):
        path.unlink(missing_ok=True)


@drill("rogue")
def drill_rogue(run, product):
    """A list service is started by hand on the passive node, by `mailman start --force` and by its master itself: it is
    seen, killed and reported, and the mail is unharmed.

    What is tolerated: the rogue's own processes for one monitor interval, what it does to the locks, and that `mailman start`
    writes Postfix's maps of the lists anew, if it gets that far."""
    active = begin(run, product)
    epoch, passive = product.epoch(active), other_of(active)
    limit = labconf.TIMINGS["monitor_interval"] + ROGUE_MORE_MS
    for words in ([f"{BIN}/mailman", "-C", CONFIG, "start", "--force"], [f"{BIN}/master", "-C", CONFIG, "--force"]):
        name = os.path.basename(words[0])
        cut = run.disturb(active, f"`{name} --force` by hand on {passive}, beside the service", lambda: None, "none", bound=0,
                          limits={"address": 200})
        run.tolerate(passive, cut["at_ms"], limit, ("locks", "data/postfix_*"))
        end_rogue(run, product, passive, words, limit)
        run.wait(lambda: reported(product, passive, cut), 10, f"{passive} reports `{name} --force`")
        run.wait(lambda: product.is_ready(passive), 60, f"{passive} is passive, with nothing in its way", 0.1)
    finish(run)
    run.expect(active=active, fenced=[], rebooted=[], epoch=epoch, shunted=0)


def end_rogue(run, product, host, words, limit):
    """Starts it and sees it end, with all that it has started, by no doing of ours."""
    began = drillrun.now_ms()
    rogue = run.lab.host(host).popen(words, user="list")
    try:
        run.wait(lambda: rogue.poll() is not None and not product.list_processes(host), 30, f"no list process on {host}")
    finally:
        run.lab.host(host).kill_popen(rogue)
        rogue.wait()
    lived = drillrun.now_ms() - began
    run.say(f"it lived for {lived:.0f} ms, exit status {rogue.returncode}")
    if lived > limit:
        raise drillrun.DrillFailed(f"the rogue on {host} lived for {lived:.0f} ms, at most {limit} may be")
    if rogue.returncode == 0:
        raise drillrun.DrillFailed(f"the rogue on {host} ended by itself: nothing is shown")


def reported(product, host, cut):
    """An alert that is not older than the rogue."""
    alerts, age_ms = product.status(host).get("alerts", []), drillrun.now_ms() - cut["at_ms"]
    return next((a for a in alerts if a["reason"] in ROGUE_REASONS and a["age_ms"] <= age_ms), None)
