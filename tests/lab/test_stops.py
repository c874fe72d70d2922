# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way in which a part of understudyd can go wrong on the active node, with everything real: what runs there is
stopped or the node is reset, the service goes on somewhere, and never in two places. Each host has a watchdog, which
stands outside of it (labwatchdog.py); the auditor watches all of it.

One lab for all of them, in the order of the file: each begins with one active and one passive node and leaves them so."""
import contextlib
import json
import os

import pytest

import auditor
import labconf
import lablib
import labns
import watching
from test_hangs import Pair, list_processes
from testlab import needs_product, temporary_lab

AGENT = "/usr/lib/ocf/resource.d/understudy/mailman3"
CONF = "/etc/understudy/understudy.conf"
WATCHDOG_S = 10
PERMIT_S = 3
RESTART_S = 2       # of the systemd unit

pytestmark = needs_product


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    with temporary_lab("stop", watchdog=True) as lab:
        yield lab


class Stop:
    """One of them: from a pair at rest to a pair at rest, under the auditor's eyes."""

    def __init__(self, lab, directory):
        self.lab, self.pair = lab, Pair(lab)
        self.product, self.old, self.other = self.pair.product, self.pair.active, self.pair.passive
        self.epoch, self.boot = self.product.status(self.old.name)["claim"], self.old.boot_id
        self.from_event = len(self.events())
        self.eye = auditor.Auditor(lab, str(directory), labconf.FLOATING, labconf.CLUSTER_HOSTS, epochs=True)
        self.eye.start()
        self.at_ms, self.figures = None, []

    def begin(self):
        self.at_ms = labns.boottime_ms()

    def wait(self, test, timeout_s, what):
        result = lablib.wait_until(test, timeout_s, what)
        self.figures.append(f"{what} after {labns.boottime_ms() - self.at_ms} ms")
        return result

    def events(self, name=None):
        with open(self.lab.events, encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        return found if name is None else [e for e in found[self.from_event:] if e["event"] == name]

    def resets(self):
        return [e["event"] for e in self.events()[self.from_event:] if e["event"] in ("watchdog-bite", "rebooted", "halted")]

    def watchdog(self, **fields):
        return self.lab.request(op="watchdog", host=self.old.name, **fields)

    def ended(self):
        return (self.lab.control_share / ".understudy" / f"epoch.{self.epoch}.end").exists()

    def nothing_runs(self):
        return not list_processes(self.old) and labconf.FLOATING not in self.old.addresses()

    def serves_anew(self):
        name = self.product.active()
        return name if name and self.product.status(name)["claim"] > self.epoch else None

    def wait_stopped(self, timeout_s):
        self.wait(lambda: not list_processes(self.old), timeout_s, "no list process")
        self.wait(self.ended, timeout_s, "end")
        assert self.nothing_runs() and self.old.boot_id == self.boot

    def wait_served(self, timeout_s=90):
        name = self.wait(self.serves_anew, timeout_s, "served again")
        passive = self.lab.host(next(h for h in labconf.CLUSTER_HOSTS if h != name))
        self.pair.wait_ready(passive)
        assert self.lab.address_holders() == [name] and not list_processes(passive)
        return name

    def end(self, what):
        verdict = self.eye.stop()
        print(f"lab: {what}: {', '.join(self.figures)}; resets {self.resets() or 'none'}")
        assert (verdict["overlaps"], verdict["late_writes"], verdict["address_conflicts"]) == (0, 0, 0), verdict["details"]


@pytest.fixture(name="stop")
def fixture_stop(lab, tmp_path):
    return Stop(lab, tmp_path / "audit")


def restart_executor(host):
    """As systemd does, after RestartSec."""
    with open(host.console, "ab") as console:
        host.popen(["/usr/sbin/understudyd", "--foreground"], env=labconf.watchdog_env(), stdout=console, stderr=console)


@contextlib.contextmanager
def without_bmc(lab, host):
    """Fencing is not what is tried here: it would be quicker than the watchdog."""
    lab.bmc(host.name).dead = True
    try:
        yield
    finally:
        lab.bmc(host.name).dead = False


def status_text(host):
    return host.exec(["/usr/bin/understudy", "status"]).stdout


# -- the watchdog is armed
def test_armed_while_active_only(stop):
    assert stop.watchdog()["armed"] and not stop.lab.request(op="watchdog", host=stop.other.name)["armed"]
    assert stop.product.status(stop.old.name)["watchdog"]["state"] == "armed"
    assert stop.product.status(stop.other.name)["watchdog"]["state"] == "off"
    assert "watchdog   armed: /dev/watchdog resets this node 10 s after the last permit" in status_text(stop.old)
    assert stop.product.status(stop.old.name)["self_fence"]["state"] == "on"
    stop.end("at rest")


# -- the engine and members
def test_engine_killed(stop):
    stop.begin()
    watching.kill_one(watching.pid_of(stop.old, "engine"))
    stop.wait_stopped(PERMIT_S)
    stop.wait_served()
    assert stop.resets() == []
    stop.end("engine killed")


@pytest.mark.long
def test_engine_stopped(stop):
    """It says nothing more, and holds its connections open: its permit runs out."""
    stop.begin()
    stop.lab.pause_process(stop.old.name, "understudy-engine")
    stop.wait_stopped(PERMIT_S + 3)
    stop.wait_served()
    assert stop.resets() == []
    stop.end("engine stopped")


@pytest.mark.long
def test_members_killed(stop):
    """Started again at once: nothing else happens, or the node stops; both in order."""
    stop.begin()
    watching.kill_one(watching.pid_of(stop.old, "members"))
    stop.wait(lambda: watching.pids_of(stop.old, "members"), 5, "new members")
    lablib.wait_until(lambda: stop.product.status(stop.old.name)["corosync"]["fresh"], 10, "corosync is heard again")
    name = lablib.wait_until(stop.product.active, 60, "one node is active")
    stop.figures.append(f"epoch {stop.epoch} of {stop.old.name}, now {stop.product.status(name)['claim']} of {name}")
    stop.pair.wait_ready(stop.lab.host(next(h for h in labconf.CLUSTER_HOSTS if h != name)))
    assert stop.resets() == []
    stop.end("members killed")


@pytest.mark.long
def test_members_stopped(stop):
    """The engine hears nothing of corosync any more and stops; the other node takes over from its end."""
    stop.begin()
    stop.lab.pause_process(stop.old.name, "understudy-members")
    stop.wait_stopped(PERMIT_S + 3)
    name = stop.wait(stop.serves_anew, 90, "served again")
    assert name == stop.other.name and stop.resets() == []
    if stop.old.boot_id == stop.boot:
        stop.lab.resume_process(stop.old.name, "understudy-members")
    stop.wait_served()
    stop.end("members stopped")


# -- the executor
@pytest.mark.long
def test_executor_killed_and_started_again(stop):
    with without_bmc(stop.lab, stop.old):
        stop.begin()
        watching.kill_one(watching.pid_of(stop.old, "executor"))
        stop.wait(lambda: not watching.pids_of(stop.old, "engine"), 5, "engine gone")
        assert list_processes(stop.old) and stop.watchdog()["armed"]
        lablib.wait_until(lambda: labns.boottime_ms() - stop.at_ms >= RESTART_S * 1000, 5, "RestartSec")
        restart_executor(stop.old)
        stop.wait(lambda: not list_processes(stop.old), 8, "no list process")
        stop.wait(stop.ended, 10, "end")
        stop.wait(lambda: not stop.watchdog()["armed"] or stop.serves_anew(), 10, "disarmed")
        stop.wait(stop.serves_anew, 90, "served again")
    stop.wait_served()
    assert stop.resets() == [] and stop.old.boot_id == stop.boot
    requests = [e["request"] for e in stop.events("watchdog") if e["host"] == stop.old.name]
    assert requests.index("close") < requests.index("open")     # without a V: it was taken over while it ran
    stop.end("executor killed, started again")


def expect_bite(stop, what):
    """What runs on the old node is not stopped by anybody: it is reset, and that is what the other one goes on by."""
    stop.wait(lambda: stop.events("watchdog-bite"), WATCHDOG_S + 2, "watchdog bites")
    assert not stop.ended()
    bite = stop.events("watchdog-bite")[0]
    assert bite["host"] == stop.old.name and bite["at_ms"] - stop.at_ms >= (WATCHDOG_S - PERMIT_S) * 1000
    stop.wait(lambda: stop.old.powered and stop.old.boot_id != stop.boot, 30, "booted again")
    stop.wait(stop.serves_anew, 90, "served again")
    stop.figures.append(what)


def test_executor_killed(stop):
    with without_bmc(stop.lab, stop.old):
        stop.begin()
        watching.kill_one(watching.pid_of(stop.old, "executor"))
        expect_bite(stop, "by the watchdog")
        stop.wait_served()
    assert stop.resets() == ["watchdog-bite"]
    stop.end("executor killed")


@pytest.mark.long
def test_executor_stopped(stop):
    with without_bmc(stop.lab, stop.old):
        stop.begin()
        stop.lab.pause_process(stop.old.name, "understudyd")
        expect_bite(stop, "by the watchdog")
        stop.wait_served()
    assert stop.resets() == ["watchdog-bite"]
    stop.end("executor stopped")


# -- a stop that is not proven
def break_stop(host, until="/run/lab/stop-fails"):
    """The agent's stop fails until the next boot: /run is empty then."""
    agent = host.file(AGENT)
    if not os.path.exists(f"{agent}.real"):
        os.rename(agent, f"{agent}.real")
        agent.write_text(f"#!/bin/sh\n[ \"$1\" = stop ] && [ -e {until} ] && exit 1\nexec {AGENT}.real \"$@\"\n", encoding="ascii")
        os.chmod(agent, 0o755)
    host.file(until).touch()


def test_an_unproven_stop_ends_in_a_reboot(stop):
    with without_bmc(stop.lab, stop.old):
        break_stop(stop.old)
        stop.begin()
        watching.kill_one(watching.pid_of(stop.old, "engine"))
        stop.wait(lambda: stop.events("rebooted"), 8, "reboot")
        assert not stop.ended()
        stop.wait(lambda: stop.old.powered and stop.old.boot_id != stop.boot, 30, "booted again")
        stop.wait(stop.serves_anew, 90, "served again")
        stop.wait_served()
    assert stop.resets() == ["rebooted"]
    fence = stop.product.status(stop.old.name)["self_fence"]
    assert (fence["within_hour"], fence["last_epoch"], fence["last_why"]) == (1, stop.epoch, "its stop cannot be proven")
    assert f"in epoch {stop.epoch}: its stop cannot be proven" in status_text(stop.old)
    note = stop.old.file("/var/lib/understudy/self-fence").read_text(encoding="utf-8")
    assert note.count("\n") == 1 and f" boot={stop.boot} " in note
    stop.end("unproven stop")


SEND = f"""import smtplib
lmtp = smtplib.LMTP({labconf.FLOATING!r}, {labconf.LMTP_PORT})
lmtp.sendmail({labconf.LIST_MEMBERS[0]!r}, [{labconf.LIST_ADDRESS!r}],
              "From: {labconf.LIST_MEMBERS[0]}\\nTo: {labconf.LIST_ADDRESS}\\nMessage-ID: <hangs@lab.test>\\n\\nx")
"""


def is_hanging(host):
    return any((labns.stat_fields(pid) or "X")[0] == "D" for pid in list_processes(host))


def fences(stop):
    """Lines of the note, on the old node's disk."""
    note = stop.lab.dir / stop.old.name / "disk/var/lib/understudy/self-fence"
    return note.read_text(encoding="utf-8").count("\n") if note.exists() else 0


@pytest.mark.long
def test_a_list_share_that_hangs_ends_in_a_reboot(stop):
    """The runner that takes a message sleeps uninterruptibly and survives SIGKILL. Nothing of the executor waits for it.
    No watchdog here: it would be quicker than stop_timeout, which is what a stop that hangs is given."""
    stop.watchdog(mode="absent")
    with contextlib.ExitStack() as stack:
        stack.callback(stop.watchdog, mode="ok")
        make_active_again(stop)
        stack.enter_context(without_bmc(stop.lab, stop.old))
        thaw = stack.enter_context(contextlib.ExitStack())
        stop.lab.freeze_share("lists")
        thaw.callback(stop.lab.thaw_share, "lists")
        sender = stop.lab.host("mx").popen(["/usr/bin/python3", "-c", SEND])
        stack.callback(stop.lab.host("mx").kill_popen, sender)
        lablib.wait_until(lambda: is_hanging(stop.old), 20, "a runner hangs on the share")
        before = fences(stop)
        stop.begin()
        watching.kill_one(watching.pid_of(stop.old, "engine"))
        stop.wait(lambda: fences(stop) > before, 25, "self-fence")
        assert not stop.ended() and is_hanging(stop.old)
        thaw.close()    # a machine that is reset has no processes left; the kernel under the lab can end these only now
        stop.wait(lambda: stop.old.powered and stop.old.boot_id != stop.boot, 30, "booted again")
        stop.wait(stop.serves_anew, 90, "served again")
        stop.wait_served()
    assert stop.resets() == ["rebooted"]
    stop.end("list share hangs")


def make_active_again(stop):
    """The old node, which then has tried its watchdog anew."""
    make_active(stop, stop.other)
    stop.pair.wait_ready(stop.old)
    make_active(stop, stop.old)
    stop.pair.wait_ready(stop.other)
    stop.epoch = stop.product.status(stop.old.name)["claim"]


@contextlib.contextmanager
def configured(host, *lines):
    """Lines of [cluster], on this host only, from its next understudyd on."""
    conf = host.file(CONF)
    good = conf.read_text(encoding="utf-8")
    conf.write_text(good.replace("\n[address]", "".join(line + "\n" for line in lines) + "\n[address]", 1), encoding="utf-8")
    try:
        yield
    finally:
        host.file(CONF).write_text(good, encoding="utf-8")


def reboot(stop, host):
    host.power_off("new configuration")
    host.power_on("new configuration")
    stop.pair.wait_ready(host)


def make_active(stop, host):
    """By the end of the other one's tenure."""
    if stop.product.active() != host.name:
        watching.kill_one(watching.pid_of(stop.lab.host(stop.product.active()), "engine"))
        stop.pair.wait_active(host)


@pytest.mark.long
def test_without_self_fence_the_watchdog_bites(stop):
    host = stop.other
    with configured(host, "self_fence = off"):
        reboot(stop, host)
        make_active(stop, host)
        stop.eye.stop()
    again = Stop(stop.lab, stop.eye.directory + ".again")
    assert again.old.name == host.name and again.product.status(host.name)["self_fence"]["state"] == "off"
    with without_bmc(again.lab, again.old):
        break_stop(again.old)
        again.begin()
        watching.kill_one(watching.pid_of(again.old, "engine"))
        expect_bite(again, "by the watchdog")
        again.wait_served()
    assert again.resets() == ["watchdog-bite"]
    again.end("unproven stop, self_fence off")


@pytest.mark.long
@pytest.mark.parametrize("mode,says", [("busy", "held by another program"), ("absent", "No such file"),
                                       ("fixed", "its timeout cannot be set")])
def test_a_node_without_its_watchdog_works_and_says_so(stop, mode, says):
    stop.lab.request(op="watchdog", host=stop.other.name, mode=mode)
    try:
        stop.begin()
        make_active(stop, stop.other)
        watchdog = stop.product.status(stop.other.name)["watchdog"]
        assert watchdog["state"] == ("failed" if mode == "fixed" else mode) and says in watchdog["says"]
        assert not stop.lab.request(op="watchdog", host=stop.other.name)["armed"]
        assert says in stop.other.exec(["/usr/bin/understudy", "explain"]).stdout
    finally:
        stop.lab.request(op="watchdog", host=stop.other.name, mode="ok")
    stop.wait_served()
    stop.end(f"watchdog {mode}")
