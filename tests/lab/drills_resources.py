# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of a host that has nothing left: no descriptors, no children, no memory, no processor, or an emptied /run. What comes of
it is the product's choice; nothing may be lost, one node serves afterwards, and what is used up is explained meanwhile."""
import contextlib
import os
import resource
import shlex
import signal

import drillproduct
import drillrun
import labconf
import labns
import labpids
import watching
from drillproduct import begin, find_reason, finish
from drills_net import serve_on, undisturbed
from drillset import drill
from healing import GONE, Fault, suffer

RATE = 3.0
SECONDS = 12.0
LONG_S = 18.0           # the product tries for 7.5 s to start its look at the list service, and stops then
BRIEF_S = 5.0           # and here it is not for so long
BURNERS = 4             # more than this machine has processors
BURNT_S = 2             # of processor time, so that it was no mere wish
MEMORY = 3 << 20        # bytes: no program of ours fits in, nor does an interpreter
RUN = "/run/understudy"
ABOUT_PEER = {"fence-running", "fence-failed", "peer-not-heard", "peer-dirty", "patience", "peer-may-end"}


def executors(run, host):
    machine = run.lab.host(host)
    return watching.pids_of(machine, "executor") if machine.powered else []


def goes_without(run, product, host):
    """It fails to ask a fence device, and says so."""
    asked = product.command(host, "fence", f"{drillproduct.other_of(host)}-ipmi")
    if asked.returncode == 0:
        raise drillrun.DrillFailed(f"{host} does not go without: it could ask a fence device")
    run.say(f"{host}: {(asked.stderr or asked.stdout).strip()}")


def limit(what, value):
    """(act, heal): understudyd, and what it starts, have no more of WHAT than VALUE(pid)."""
    def act(run, product, host):
        for pid in executors(run, host):
            resource.prlimit(pid, what, (value(pid), resource.prlimit(pid, what)[1]))
        goes_without(run, product, host)

    def heal(run, _product, host):
        for pid in executors(run, host):
            hard = resource.prlimit(pid, what)[1]
            resource.prlimit(pid, what, (hard, hard))
    return act, heal


def childless():
    """(act, heal): understudyd can start no child more, not even a new engine. What it has started lives on."""
    groups = []

    def act(run, product, host):
        groups.extend(map(labpids.Childless, executors(run, host)))
        goes_without(run, product, host)

    def heal(run, _product, host):
        refused = sum(groups.pop().end() for _ in list(groups))
        if refused:
            run.say(f"{host} was refused a child {refused} times")
    return act, heal


def burn(run, _product, host):
    """Programs that never wait, before all others: the product's nice value of -10 does not help."""
    loop = "while :; do :; done"
    run.lab.host(host).exec(["/bin/sh", "-c", f"for i in $(seq {BURNERS}); do nice -n -20 /bin/sh -c {shlex.quote(loop)} burner & done"
                             " >/dev/null 2>&1 </dev/null"])


def burners(machine):
    return [pid for pid in machine.pids() if drillproduct.command_words(pid)[-2:-1] == ["burner"]]


def quench(run, _product, host):
    if not run.lab.host(host).powered:
        return
    burnt = 0
    for pid in burners(run.lab.host(host)):
        with contextlib.suppress(OSError):
            burnt += int(labns.stat_fields(pid)[11]) / os.sysconf("SC_CLK_TCK")
            os.kill(pid, signal.SIGKILL)
    run.say(f"{burnt:.1f} s of processor time were burnt")
    if burnt < BURNT_S:
        raise drillrun.DrillFailed("the processors were not taken")


def wipe(run, host):
    """As a clean-up that knows no better does it."""
    run.lab.host(host).exec(["/usr/bin/find", RUN, "-mindepth", "1", "-delete"], check=False)
    run.say(f"{RUN} of {host} is empty")


class Said:
    """What the nodes explain while a fault lasts; a node without an engine explains nothing."""

    def __init__(self, run, product):
        self.run, self.product, self.why = run, product, {}

    def look(self):
        for host in labconf.CLUSTER_HOSTS:
            with contextlib.suppress(drillrun.DrillFailed, *GONE):
                self.why.update({(host, why["reason"]): why for why in self.product.explain(host).get("why", [])})

    def demand(self, host, own):
        """HOST has named one of OWN, if any; and when it was fenced the other node has said what it did to it."""
        named = [self.why[(host, reason)] for reason in own if (host, reason) in self.why]
        if own and not named:
            raise drillrun.DrillFailed(f"{host} explained none of {sorted(own)}, but {sorted(self.why)}")
        about = [why for (who, reason), why in self.why.items() if who != host and why["node"] == host and reason in ABOUT_PEER]
        if host in self.run.fenced() and not about:
            raise drillrun.DrillFailed(f"{host} was fenced, and nobody explained it: {sorted(self.why)}")
        for why in named + about:
            self.run.say(f"explained meanwhile: {why['reason']} of {why['node']}: {why['what']} {why['detail']}")
            if not why["action"]:
                raise drillrun.DrillFailed(f"no way out of {why['reason']} is named")
        return (named + about or [None])[0]


REFUSED = {"start-refused"}
RESOURCES = {
    "descriptors": Fault("descriptors used up", *limit(resource.RLIMIT_NOFILE, lambda pid: len(os.listdir(f"/proc/{pid}/fd"))), 1, 20),
    "children": Fault("no child can be started", *childless(), 1, 20),
    "memory": Fault("no more memory", *limit(resource.RLIMIT_AS, lambda pid: MEMORY), 5, 15),
    "processor": Fault("processors taken", burn, quench, 5, 15),
}


# What the host itself has to name; one without processors goes on.
NAMED = {RESOURCES[word]: REFUSED for word in ("descriptors", "children", "memory")}
# Where the product tries on for a while: in want of memory its programs are started, and die.
WAITED = (RESOURCES["descriptors"], RESOURCES["children"])


def register(name, fault, role):
    @drill(name)
    def scenario(run, product):
        begin(run, product, RATE)
        said = Said(run, product)
        suffer(run, product, fault, role, LONG_S if fault in WAITED else SECONDS, look=said.look)
        run.cuts[-1]["explain"] = said.demand(run.cuts[-1]["host"], NAMED.get(fault, ()))
        finish(run)
        run.expect(active=product.active())


for word, one in RESOURCES.items():
    for who in ("active", "passive"):
        register(f"no-{word}-{who}", one, who)


def unwatched(product, host):
    why = find_reason(product.explain(host), "start-refused") or {}
    return why if "goes on unwatched" in why.get("detail", "") else None


@drill("no-children-brief")
def drill_no_children_brief(run, product):
    """understudyd of the active node can start nothing for some seconds: its looks at the list service wait, which is explained, and
    nobody stops or is fenced."""
    act, heal = childless()

    def begin_fault(host):
        run.undo(heal, run, product, host)
        act(run, product, host)
    active, epoch, pids, cut = undisturbed(run, product, f"no child can be started for {BRIEF_S:g} s", begin_fault)
    end_ms = drillrun.now_ms() + BRIEF_S * 1000
    cut["explain"] = run.wait(lambda: unwatched(product, active), BRIEF_S, f"{active} says that its list service goes on unwatched", 0.1)
    run.say(f"{active} explains: {cut['explain']['what']} {cut['explain']['detail']}")
    drillrun.time.sleep(max(0.0, end_ms - drillrun.now_ms()) / 1000)
    heal(run, product, active)
    run.done()
    run.wait(lambda: not find_reason(product.explain(active), "start-refused"), 10, f"{active} starts its programs again", 0.2)
    serve_on(run, product, active, epoch, pids)


@drill("run-wiped")
def drill_run_wiped(run, product):
    """/run/understudy is emptied on both hosts: status, token and sockets come back by themselves, and the service goes on."""
    active, epoch, pids, _ = undisturbed(run, product, f"{RUN} emptied", lambda a: [wipe(run, h) for h in ("a", "b")])
    for host in ("a", "b"):
        run.wait(lambda h=host: product.status(h).get("state"), 15, f"{host} has a status again", 0.1)
    run.wait(lambda: product.command(active, "gate").returncode == 0, 15, f"the gate of {active} is open again", 0.2)
    run.done()
    serve_on(run, product, active, epoch, pids)
