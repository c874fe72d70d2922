# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces for the tests of the resource agents: a host of its own, with veth pairs to another one."""
import os
import shutil
import subprocess
import textwrap
import time

BUILD = os.environ.get("UNDERSTUDY_BUILD", "")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = "/usr/bin/python3"
# PID 1: reaps everything, as a host's does.
INIT = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: signal.pause()"


def built(name):
    return os.path.join(BUILD, name)


def why_not():
    """Why these tests cannot run here, or an empty text."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    if not BUILD or not os.path.exists(built("resource/address")):
        return "UNDERSTUDY_BUILD names no finished build"
    return ""


def now_ms():
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)


class Host:
    """Own network, PIDs, host name and mounts; ended by stop()."""

    def __init__(self, name, folder):
        self.name, self.folder = name, str(folder)
        os.makedirs(self.folder, exist_ok=True)
        hosts = os.path.join(self.folder, f"hosts.{name}")
        with open(hosts, "w", encoding="utf-8") as file:
            file.write(f"127.0.0.1 localhost\n127.0.1.1 {name}.lab.test {name}\n")
        self.process = subprocess.Popen(
            ["unshare", "-n", "-u", "-m", "-i", "-p", "-f", "--mount-proc", "--kill-child", PYTHON, "-I", "-c", INIT],
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            self.pid = int(file.read().split()[0])
        self.sh(f"hostname {name} && mount --bind {hosts} /etc/hosts && ip link set lo up")

    def argv(self, argv):
        return ["nsenter", f"--target={self.pid}", "-n", "-u", "-m", "-i", "-p", *argv]

    def run(self, *argv, env=None, **how):
        how.setdefault("timeout", 120)
        return subprocess.run(self.argv(argv), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})},
                              capture_output=True, text=True, check=False, **how)

    def start(self, *argv, env=None, **how):
        return subprocess.Popen(self.argv(argv), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how)

    def python(self, program, *argv):
        """A Python program in this host that is talked to over its standard input and output."""
        return self.start(PYTHON, "-I", "-c", textwrap.dedent(program), *argv)

    def sh(self, command):
        done = self.run("/bin/sh", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def join(one, other, subnet="10.9.0"):
    """A cable between two hosts: .1 and .2 of the subnet on interface v0."""
    subprocess.run(["ip", "link", "add", "name", f"u{one.pid}", "type", "veth", "peer", "name", f"w{one.pid}"], check=True)
    for host, link, last in ((one, f"u{one.pid}", 1), (other, f"w{one.pid}", 2)):
        subprocess.run(["ip", "link", "set", link, "netns", str(host.pid), "name", "v0"], check=True)
        host.sh(f"ip addr add {subnet}.{last}/24 dev v0 && ip link set v0 up")
    deadline = time.monotonic() + 5
    while "LOWER_UP" not in one.sh("ip link show v0") or one.run("ping", "-c1", "-W1", f"{subnet}.2").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def records(text, word):
    """The records of a kind, each as a dictionary."""
    return [dict(pair.split("=", 1) for pair in line.split()[1:]) for line in text.splitlines()
            if line.split()[:1] == [word]]


def phases(text):
    return {record["name"]: int(record["at_ms"]) for record in records(text, "phase")}


def check_wrong_prefix(one, act, ip, wrong, right, more=""):
    """The address is there with prefix WRONG; ACT(host, action, ...) runs the agent, whose parameters ask for RIGHT."""
    one.sh(f"ip addr add {ip}/{wrong} dev v0 {more}")
    for action in ("monitor", "start"):
        done = act(one, action)
        assert done.returncode == 1 and f"prefix {wrong} and should have {right}" in done.stderr, done.stderr
    assert act(one, "monitor", ip=ip).returncode == 0, "no prefix asked for: any is right"
    assert act(one, "stop").returncode == 0
    assert act(one, "start").returncode == 0


def program(name):
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
