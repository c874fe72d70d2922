# SPDX-License-Identifier: GPL-2.0-or-later
"""The auditor has to fire: pretended hosts do each forbidden thing, and nothing else may be reported.

The hosts here are bare namespaces, and the list processes are shell scripts with Mailman's command lines: the auditor
must not care. The same checks with real Mailman and real faults are in test_broken.py."""
import os
import select
import shutil
import signal
import subprocess
import time

import pytest

import auditor
import auditrules

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="fanotify and namespaces need root")
FLOATING, FLOATING6 = "10.77.1.100", "fd77:1::100"


class Host:
    """A host: a process namespace and a network of its own with one end of nothing."""

    def __init__(self, name, scripts):
        self.name, self.scripts, self.started = name, scripts, []
        self.process = subprocess.Popen(["unshare", "--pid", "--net", "--mount", "--mount-proc", "--fork", "--kill-child",
                                         "sh", "-c", "ip link set lo up; echo up; exec cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            self.pid1 = int(file.read().split()[0])

    def netns_fd(self):
        return os.open(f"/proc/{self.pid1}/ns/net", os.O_RDONLY)

    def command(self, script):
        return ["nsenter", f"--target={self.pid1}", "--pid", "--net", "--mount", "sh", "-c", script]

    def run(self, script):
        subprocess.run(self.command(script), check=True)

    def start_runner(self, script):
        """A list process: `sh .../bin/runner --runner=out:0:1` that runs SCRIPT."""
        self.started.append(subprocess.Popen(self.command(f"exec sh {self.scripts}/bin/runner --runner=out:0:1 '{script}'")))
        return self.started[-1]

    def power_off(self):
        if self.process.poll() is None:
            init, poller = os.pidfd_open(self.pid1), select.poll()
            self.process.kill()
            self.process.wait()
            for process in self.started:    # nsenter stops with its child; the host ends when it has reaped that
                process.send_signal(signal.SIGCONT)
            poller.register(init, select.POLLIN)
            assert poller.poll(10000), "the host does not end"
            os.close(init)
            self.process.stdin.close()
            self.process.stdout.close()
        for process in self.started:
            process.kill()
            process.wait()


class PretendedLab:
    def __init__(self, directory):
        self.list_share, self.control_share = self.make_share(directory, "lists"), self.make_share(directory, "control")
        self.scripts = str(directory)
        os.makedirs(f"{directory}/bin")
        with open(f"{directory}/bin/runner", "w", encoding="ascii") as file:
            file.write('eval "$2"\n')
        for name in ("queue/out", "queue/in", "locks", "data"):
            os.makedirs(f"{self.list_share}/{name}")
        os.makedirs(f"{self.control_share}/.understudy")
        self.hosts = {name: Host(name, self.scripts) for name in ("a", "b")}

    def make_share(self, directory, name):
        target = f"{directory}/{name}"
        os.makedirs(target)
        subprocess.run(["truncate", "-s", "32M", f"{target}.img"], check=True)
        subprocess.run(["mkfs.ext4", "-q", f"{target}.img"], check=True)
        subprocess.run(["mount", "-o", "loop", f"{target}.img", target], check=True)
        return target

    def host(self, name):
        return self.hosts[name]

    def own(self, name, epoch):
        folder = f"{self.control_share}/.understudy"
        self.hosts[name].run(f"echo node={name} > {folder}/epoch.{epoch}; ln {folder}/epoch.{epoch} {folder}/epoch.{epoch}.own")

    def close(self):
        for host in self.hosts.values():
            host.power_off()
        for share in (self.list_share, self.control_share):
            subprocess.run(["umount", "-l", share], check=False)


@pytest.fixture(name="lab")
def fixture_lab(tmp_path):
    if not shutil.which("mkfs.ext4"):
        pytest.skip("no mkfs.ext4")
    lab = PretendedLab(tmp_path / "lab")
    yield lab
    lab.close()


def audit(lab, tmp_path, **options):
    eye = auditor.Auditor(lab, str(tmp_path / "audit"), **options)
    eye.start()
    return eye


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def serve(lab, name, script):
    """A list process that has begun to work, and stays."""
    mark = f"{lab.list_share}/queue/out/begun.{name}"
    process = lab.host(name).start_runner(f"{script}; : > {mark}; sleep 1000")
    wait_for(lambda: os.path.exists(mark))
    return process


def work(lab, number):
    return f"cd {lab.list_share}/queue/out; echo x > {number}.pck.tmp; mv {number}.pck.tmp {number}.pck; rm {number}.pck"


def counts(verdict):
    return [verdict[key] for key in ("overlaps", "late_writes", "address_conflicts", "unknown")]


@pytest.mark.parametrize("process_events", [True, False])
def test_clean_takeover_is_clean(lab, tmp_path, process_events):
    """The dead host's writes lie before own, the survivor's behind it: nothing to report, nobody unknown."""
    lab.own("a", 1)
    eye = audit(lab, tmp_path, epochs=True, process_events=process_events)
    first = serve(lab, "a", work(lab, 1))
    lab.host("a").run(f"ip addr add {FLOATING}/24 dev lo")
    lab.host("a").power_off()
    first.wait()
    lab.own("b", 2)
    lab.host("b").run(f"ip addr add {FLOATING}/24 dev lo")
    second = serve(lab, "b", work(lab, 2))
    verdict = eye.stop()
    lab.host("b").power_off()
    second.wait()
    if verdict["unknown"] and not process_events:
        return      # what ended before its event was read stays unknown: that is said, and fails a drill
    assert counts(verdict) == [0, 0, 0, 0], verdict
    assert [x["host"] for x in verdict["owns"]] == ["b"]
    assert [x["host"] for x in verdict["services"]] == ["a", "b"] and verdict["events"] > 10
    assert [x["host"] for x in verdict["holdings"]] == ["a", "b"]


def test_short_lived_processes_are_known(lab, tmp_path):
    """A hundred processes that end at once: each change has a host."""
    eye = audit(lab, tmp_path)
    lab.host("a").run(f"cd {lab.list_share}/queue/in; for i in $(seq 50); do touch $i.pck; mv $i.pck $i.bak; done")
    verdict = eye.stop()
    assert verdict["unknown"] == 0 and verdict["events"] >= 150


def test_two_services_fire_overlap(lab, tmp_path):
    """What `mailman start --force` on the passive host does."""
    lab.own("a", 1)
    eye = audit(lab, tmp_path, epochs=True)
    processes = [serve(lab, "a", work(lab, 1)), serve(lab, "b", work(lab, 2))]
    verdict = eye.stop()
    lab.close()
    assert [p.wait() is not None for p in processes]
    assert verdict["overlaps"] == 1 and verdict["late_writes"] > 0
    assert {x["what"] for x in verdict["details"]} == {"two list services at once", "changes by a host without the tenure"}


def test_two_services_without_epochs_fire_overlap(lab, tmp_path):
    eye = audit(lab, tmp_path)
    script = f"while :; do {work(lab, 1)}; sleep 0.05; done"
    lab.host("a").start_runner(script)
    wait_for(lambda: any(r["ev"] == "proc" for r in eye.records))
    serve(lab, "b", work(lab, 2))
    time.sleep(0.3)
    verdict = eye.stop()
    assert verdict["overlaps"] == 1 and verdict["late_writes"] > 3


def test_stopped_process_that_survives_own_fires(lab, tmp_path):
    """A frozen runner is no dead runner: the fence agent said off and did nothing."""
    lab.own("a", 1)
    eye = audit(lab, tmp_path, epochs=True)
    serve(lab, "a", work(lab, 1))
    lab.host("a").run("kill -STOP -1")
    lab.own("b", 2)
    verdict = eye.stop()
    assert verdict["overlaps"] == 1 and verdict["late_writes"] == 0
    assert verdict["details"][0]["what"] == "list process alive after another host's own"


def test_single_late_write_fires(lab, tmp_path):
    """One change by a process that is no list process, after own."""
    lab.own("a", 1)
    eye = audit(lab, tmp_path, epochs=True)
    lab.host("a").run(f"touch {lab.list_share}/queue/in/before.pck")
    lab.own("b", 2)
    lab.host("a").run(f"mv {lab.list_share}/queue/in/before.pck {lab.list_share}/queue/in/after.bak")
    verdict = eye.stop()
    assert verdict["overlaps"] == 0 and verdict["late_writes"] == 2     # a name that goes and a name that comes
    assert verdict["details"][-1]["first"]["name"] == "before.pck"


def test_write_before_own_fires(lab, tmp_path):
    """The new host may not touch the list share before its own."""
    lab.own("a", 1)
    eye = audit(lab, tmp_path, epochs=True)
    lab.host("a").power_off()
    lab.host("b").run(f"touch {lab.list_share}/queue/in/early.pck")
    lab.own("b", 2)
    verdict = eye.stop()
    assert verdict["late_writes"] > 0


@pytest.mark.parametrize("address", [FLOATING, FLOATING6])
def test_two_holders_fire_address_conflict(lab, tmp_path, address):
    eye = audit(lab, tmp_path, address=address)
    for name in ("a", "b"):
        lab.host(name).run(f"ip addr add {address}/{'64 nodad' if ':' in address else '24'} dev lo")
    wait_for(lambda: len(eye.addresses.spans) == 2)
    verdict = eye.stop()
    assert verdict["address_conflicts"] == 1


@pytest.mark.parametrize("address, how", [(FLOATING, "24"), (FLOATING6, "64")])
def test_address_held_at_the_beginning_is_seen(lab, tmp_path, address, how):
    lab.host("a").run(f"ip addr add {address}/{how} dev lo")
    eye = audit(lab, tmp_path, address=address)
    lab.host("a").run(f"ip addr del {address}/{how} dev lo")
    lab.host("b").run(f"ip addr add {address}/{how} dev lo")
    wait_for(lambda: len(eye.addresses.spans) == 2)
    verdict = eye.stop()
    assert verdict["address_conflicts"] == 0 and [x["host"] for x in verdict["holdings"]] == ["a", "b"]


def answers(*macs):
    return [{"k": "arp", "mac": mac, "ms": 10.0 * i} for i, mac in enumerate(macs)]


def test_two_macs_that_answer_by_turns_fire():
    assert len(auditrules.find_answer_conflicts(answers("a", "a", "b", "a", "b", "a"))) == 1


def test_a_handover_of_the_address_is_no_conflict():
    assert auditrules.find_answer_conflicts(answers("a", "a", "b", "b")) == []
    there, back = answers("a", "b", "b"), {"k": "arp", "mac": "a", "ms": 5000.0}
    assert auditrules.find_answer_conflicts(there + [back]) == []


def test_plain_directories_are_watched_too(tmp_path):
    """Without a file system of their own the shares are watched folder by folder, new folders as well."""
    lab = PretendedLab.__new__(PretendedLab)
    lab.list_share, lab.control_share = str(tmp_path / "lists"), str(tmp_path / "control")
    os.makedirs(f"{lab.list_share}/queue/in")
    os.makedirs(lab.control_share)
    lab.hosts = {name: Host(name, str(tmp_path)) for name in ("a", "b")}
    try:
        eye = audit(lab, tmp_path)
        lab.host("a").run(f"mkdir {lab.list_share}/queue/new")
        eye.barrier()
        lab.host("a").run(f"touch {lab.list_share}/queue/new/x.pck")
        verdict = eye.stop()
        assert any(r["ev"] == "fs" and r["dir"] == "queue/new" and r["name"] == "x.pck" for r in eye.records)
        assert verdict["unknown"] == 0
    finally:
        for host in lab.hosts.values():
            host.power_off()
