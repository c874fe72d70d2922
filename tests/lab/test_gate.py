# SPDX-License-Identifier: GPL-2.0-or-later
"""The gate with real Mailman: who holds the tenure may, the others may not, and what is started by hand all the same is
killed and named, or finds nothing to work on where the list share is mounted with the service."""
import contextlib
import re
import time

import pytest

import drills
import labconf
import lablib
import labns
import watching
from test_hangs import Pair, command_line, list_processes
from testlab import needs_product, temporary_lab

pytestmark = needs_product
UNDERSTUDY = "/usr/bin/understudy"
SETUP = "/usr/libexec/understudy/understudy-gate-setup"
START_FORCE = ["/usr/lib/mailman3/bin/mailman", "-C", "/etc/mailman3/mailman.cfg", "start", "--force"]


@contextlib.contextmanager
def a_lab(list_mount):
    with temporary_lab("gate", list_mount=list_mount) as lab:
        yield lab


@pytest.fixture(name="pair")
def fixture_pair(lab):
    return Pair(lab)


def gate(host, *words, user=None):
    done = host.exec([UNDERSTUDY, "gate", *words], check=False, user=user)
    return done.returncode, done.stdout, done.stderr


def cron_jobs(host):
    """(user, command) of what cron would run of Debian's package."""
    text = host.exec(["/bin/sh", "-c", "cd /etc/cron.d && cat $(ls | grep -x 'mailman3')"], check=False).stdout
    return [tuple(line.split(None, 6)[5:]) for line in text.splitlines() if re.match(r"[0-9*]", line)]


def mounted(host):
    with open(f"/proc/{host.pid1}/mountinfo", encoding="utf-8") as file:
        return any(line.split()[4] == labconf.LIST_SHARE for line in file)


def has_ended(host, process):
    """The daemon stops a process before it kills it, and nsenter, which leads into the host, stops with its command."""
    labns.wake_entered(host.pid1)
    return process.poll() is not None


def rogue_start(host):
    """`mailman start --force` by hand; how long list processes lived after it, and the pids that were seen."""
    process = host.popen(START_FORCE, user="list")
    began, seen, last = labns.boottime_ms(), {}, None
    while labns.boottime_ms() < began + 8000:
        here = {pid: command_line(pid) for pid in host.pids() if "/mailman" in command_line(pid) or "--runner" in command_line(pid)}
        here = {pid: line for pid, line in here.items() if "nsenter" not in line and "setpriv" not in line}
        seen.update(here)
        if here:
            last = labns.boottime_ms()
        elif seen and has_ended(host, process) and labns.boottime_ms() > (last or began) + 1500:
            break
        time.sleep(0.01)
    process.wait(5)
    return (last - began if last else None), seen


# -- the list share is always mounted
def test_open_on_the_active_node_only(pair):
    for user in (None, "list"):
        code, out, _ = gate(pair.active, user=user)
        assert (code, out.startswith("gate open: node ")) == (0, True), out
        code, _, err = gate(pair.passive, user=user)
        assert code == 1 and "no-token" in err and "active node" in err, err
        assert gate(pair.passive, "--quiet", "--", "/bin/touch", "/tmp/ran", user=user) == (1, "", "")
        assert gate(pair.active, "--quiet", "--", "/bin/echo", "ran", user=user) == (0, "ran\n", "")
    assert not pair.passive.file("/tmp/ran").exists()


def test_debians_own_jobs_are_gated(pair):
    for host in (pair.active, pair.passive):
        assert host.exec([SETUP, "status"], check=False).returncode == 1
        before = cron_jobs(host)
        host.exec([SETUP, "on"])
        done = host.exec([SETUP, "status"])
        assert "state=masked" in done.stdout and "state=gated" in done.stdout
        jobs = cron_jobs(host)
        assert len(before) == len(jobs) == 2 and [user for user, _ in jobs] == ["list", "list"]
        for _, command in jobs:     # as cron runs it
            log = "/tmp/strace"
            host.exec(["/usr/bin/rm", "-f", log])
            done = host.exec(["/usr/bin/strace", "-f", "-e", "trace=execve", "-o", log, "/bin/sh", "-c", command], user="list",
                             check=False, timeout=60)
            ran = "bin/mailman" in host.file(log).read_text(encoding="utf-8", errors="replace").replace("/bin/sh", "")
            assert ran == (host is pair.active), (host, command, done.stderr)
            assert done.stderr == "", done.stderr     # no mail of cron's
    assert pair.product.active() == pair.active.name


def test_a_rogue_start_is_killed_within_a_monitor_interval_and_named(pair):
    epoch = pair.product.status(pair.active.name)["claim"]
    serving = set(list_processes(pair.active))
    lived_ms, seen = rogue_start(pair.passive)
    print(f"lab: a rogue start on the passive node lived {lived_ms} ms: {sorted(set(seen.values()))}")
    assert seen and lived_ms is not None and lived_ms < labconf.TIMINGS["monitor_interval"]
    text = lablib.wait_until(lambda: re.search(r"^alert .*service-here.*started here without the tenure \((.*)\)",
                                               pair.passive.exec([UNDERSTUDY, "status"]).stdout, re.M), 5, "status names it")
    inner = {int(n) for n in re.findall(r"pid (\d+)", text.group(1))}
    assert inner, text.group(0)
    print(f"lab: {text.group(0)}")
    pair.wait_ready(pair.passive)
    assert not list_processes(pair.passive)
    assert pair.product.active() == pair.active.name and pair.product.status(pair.active.name)["claim"] == epoch
    assert serving <= set(list_processes(pair.active))


def test_a_master_that_starts_by_itself_is_killed_too(pair):
    """Not by Mailman's command: a process of the list user that has the form of a master or runner is one."""
    process = pair.passive.popen(["/usr/bin/python3", "-c", "import os; os.execv('/bin/sleep', ['/x/bin/master', '60'])"],
                                 user="list")
    began = labns.boottime_ms()
    lablib.wait_until(lambda: has_ended(pair.passive, process), 8, "it is killed", 0.01)
    print(f"lab: killed after {labns.boottime_ms() - began} ms")
    assert labns.boottime_ms() - began < labconf.TIMINGS["monitor_interval"]
    pair.wait_ready(pair.passive)


def test_the_gate_closes_before_an_involuntary_stop_ends(pair):
    """The engine of the active node dies: the token is gone at once, and a job that comes then does not run."""
    old = pair.active
    watching.kill_one(watching.pid_of(old, "engine"))
    lablib.wait_until(lambda: not old.file("/run/understudy-gate/tenure").exists(), 1, "the token is gone", 0.002)
    assert gate(old, "--quiet", "--", "/bin/echo", "ran")[1] == ""
    lablib.wait_until(pair.product.active, 90, "a node serves again", 0.1)


# -- the list share is mounted with the service
@pytest.fixture(name="with_service", scope="module")
def fixture_with_service():
    with a_lab("with-service") as lab:
        yield lab


@pytest.fixture(name="duo")
def fixture_duo(with_service):
    return Pair(with_service)


def test_the_share_is_where_the_service_is(duo):
    assert mounted(duo.active) and not mounted(duo.passive)
    assert gate(duo.active)[0] == 0


def test_a_rogue_start_finds_nothing(duo):
    store = duo.active.file(labconf.LIST_STORE)
    before = {p: p.stat().st_mtime_ns for p in (store / "locks").iterdir()}
    _, seen = rogue_start(duo.passive)
    assert not any("master" in line.split("/")[-1] and "start" not in line for line in seen.values()), seen
    assert not list_processes(duo.passive) and not mounted(duo.passive)
    assert {p for p in before if "master" in p.name} <= set((store / "locks").iterdir())    # the lock of the active one stands
    assert list_processes(duo.active) and duo.product.active() == duo.active.name
    duo.wait_ready(duo.passive)


def test_a_share_mounted_by_hand_on_a_passive_node_goes_at_its_next_start(duo):
    duo.passive.exec(["/usr/bin/mount", labconf.LIST_SHARE])
    assert mounted(duo.passive)
    watching.kill_one(watching.pid_of(duo.passive, "engine"))
    lablib.wait_until(lambda: not mounted(duo.passive), 20, "the share is taken down")
    duo.wait_ready(duo.passive)


@pytest.mark.long
def test_a_takeover_mounts_it_and_the_returning_node_has_it_not(duo):
    old, new = duo.active, duo.passive
    old.power_off("test")
    duo.wait_active(new)
    assert mounted(new) and list_processes(new)
    lablib.wait_until(lambda: old.powered, 60, "the fenced node is switched on again", 0.1)
    duo.wait_ready(old)
    assert not mounted(old)


@pytest.mark.long
def test_a_busy_share_is_detached_and_its_holder_named(duo):
    """The executor's own stop: somebody stands in the share."""
    stands = duo.active.popen(["/bin/sh", "-c", f"cd {labconf.LIST_SHARE} && exec sleep 299"], user="list")
    try:
        lablib.wait_until(lambda: any("sleep 299" in command_line(pid) for pid in duo.active.pids()), 5, "it stands there")
        before = duo.product.status(duo.active.name)
        epoch = before["claim"]
        watching.kill_one(watching.pid_of(duo.active, "engine"))
        lablib.wait_until(lambda: not mounted(duo.active), 20, "the share is taken down")
        lablib.wait_until(lambda: (duo.lab.control_share / ".understudy" / f"epoch.{epoch}.end").exists(), 20, "the end is written")
        text = duo.active.console.read_text(encoding="utf-8", errors="replace")
        assert re.search(r"busy pid=\d+ uid=\d+ comm=sleep by=cwd path=" + labconf.LIST_SHARE, text), text[-2000:]
        lablib.wait_until(lambda: duo.product.status(duo.active.name).get("run") != before["run"], 20, "a new engine speaks")
        lablib.wait_until(duo.product.active, 90, "a node serves again", 0.1)
    finally:
        duo.active.kill_popen(stands)


@pytest.mark.long
def test_a_drill_passes_with_it(with_service, duo):
    del duo
    record = drills.run(with_service, "power-off", messages=60)
    assert record["verdict"] == "pass", record["why"]
