# SPDX-License-Identifier: GPL-2.0-or-later
"""One machine of the lab as its power daemon has it: power, ports, pause."""
import json
import os
import select
import signal
import subprocess
import threading
import time
import uuid

import labfaultfs
import labns

HERE = os.path.dirname(os.path.abspath(__file__))
KILL_TIMEOUT_S = 20.0
START_TIMEOUT_S = 20.0


class LabError(Exception):
    """Something for the one who asked, with what to do about it."""


def ip_batch(lines, may_fail=False):
    command = ["/usr/sbin/ip"] + (["-force"] if may_fail else []) + ["-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
    if done.returncode != 0 and not may_fail:
        raise LabError(f"ip -batch: {done.stderr.strip()} (for: {'; '.join(lines)})")


class Machine:
    """One host: off, or on with a first process."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.lock = threading.RLock()
        self.pid1 = None
        self.pidfd = None
        self.ended = None
        self.status = None
        self.info = {"powered": False}
        self.wires = []

    def directory(self):
        return os.path.join(self.daemon.dir, self.name)

    def is_on(self):
        return self.pid1 is not None and not self.ended.is_set()

    # -- on
    def power_on(self, reason):
        with self.lock:
            if self.is_on():
                return
            self._collect()
            if self.name in self.daemon.watchdogs:
                self.daemon.watchdogs[self.name].reset()
            spec = self._make_spec()
            self.daemon.event("power-on", host=self.name, boot_id=spec["boot_id"], reason=reason)
            child = self._launch(spec)
            try:
                self._wait_up(child, spec)
            except (LabError, OSError):
                self.power_off("did not start")
                raise
            finally:
                child.stdin.close()
                child.stdout.close()
                child.wait()
            self.daemon.event("powered-on", host=self.name, boot_id=spec["boot_id"], pid1=self.pid1,
                              wires=[wire.pid for wire in self.wires])

    def _make_spec(self):
        spec = dict(self.daemon.conf()["hosts"][self.name])
        spec["boot_id"] = str(uuid.uuid4())
        labns.write_atomically(os.path.join(self.directory(), "spec.json"), json.dumps(spec, indent=1))
        return spec

    def _launch(self, spec):
        """What the last boot had on its way is left to arrive; its wires end by themselves."""
        directory, wires = self.directory(), labfaultfs.start_wires(spec["binds"])
        self.wires = [process for _, process, _ in wires]
        with open(os.path.join(directory, "console.log"), "ab") as console:
            child = subprocess.Popen(
                ["/usr/bin/python3", "-I", os.path.join(HERE, "labinit.py"), os.path.join(directory, "spec.json"),
                 *(f"{name}={sock.fileno()}" for name, _, sock in wires)], pass_fds=[sock.fileno() for _, _, sock in wires],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, start_new_session=True, cwd="/")
        for _, _, sock in wires:
            sock.close()
        return child

    def cut_wires(self):
        """What is on its way is lost."""
        for wire in self.wires:
            wire.kill()
            wire.wait()

    def _wait_up(self, child, spec):
        word = self._answer(child).split()
        if len(word) != 2 or word[0] != "pid":
            raise LabError(f"host {self.name} did not start; see {self.directory()}/console.log")
        child.wait()  # from here on the first process is our child: we are its subreaper
        self._adopt(int(word[1]), spec)
        self._plug(spec)
        child.stdin.write(b"go\n")
        child.stdin.flush()
        if self._answer(child) != "up":
            raise LabError(f"host {self.name} did not come up; see {self.directory()}/console.log")

    @staticmethod
    def _answer(child):
        poller = select.poll()
        poller.register(child.stdout, select.POLLIN)
        if not poller.poll(START_TIMEOUT_S * 1000):
            raise LabError("a host's first process does not answer")
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(child.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode().strip()

    def _adopt(self, pid, spec):
        self.pid1 = pid
        self.pidfd = os.pidfd_open(pid)
        self.ended = threading.Event()
        self.status = None
        record = labns.process_record(pid)
        self.info = {"powered": True, **record, "pidns": labns.pid_namespace(pid), "boot_id": spec["boot_id"]}
        self.daemon.save()
        threading.Thread(target=self._watch, args=(pid, self.ended), daemon=True).start()

    def _plug(self, spec):
        lines = []
        for nic in spec["nics"]:
            port = self.port(nic["net"])
            lines += [f"link add name {port} address {nic['port_mac']} type veth "
                      f"peer name {nic['name']} address {nic['mac']} netns {self.pid1}",
                      f"link set dev {port} master br-{nic['net']}"]
            if (self.name, nic["net"]) not in self.daemon.cuts:
                lines.append(f"link set dev {port} up")
        ip_batch(lines)
        self.daemon.loss.plug(self)

    def port(self, net):
        return f"{self.name}-{net}"

    # -- off
    def power_off(self, reason):
        with self.lock:
            if not self.is_on():
                self._collect()
                return
            self.daemon.event("power-off", host=self.name, boot_id=self.info["boot_id"], pid1=self.pid1, reason=reason)
            began = labns.boottime_ms()
            self._ports_down()
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            # The first process of a PID namespace ends only after all others in it are gone.
            if not self._wait_ended():
                raise LabError(f"host {self.name}: processes hang in the kernel and do not end; is a share frozen?")
            self._collect()
            self.daemon.event("powered-off", host=self.name, took_ms=labns.boottime_ms() - began)

    def _wait_ended(self):
        deadline = labns.boottime_ms() + int(KILL_TIMEOUT_S * 1000)
        while not self.ended.wait(0.1):
            labns.wake_entered(self.pid1)
            if labns.boottime_ms() >= deadline:
                return False
        return True

    def _ports_down(self):
        for net in self.daemon.nets_of(self.name):
            try:
                labns.set_link(self.port(net), False)
            except OSError:
                pass

    def _collect(self):
        """After the end of the first process: its ports and the record of it go."""
        if self.pid1 is None:
            return
        self._ports_down()
        ip_batch([f"link del dev {self.port(net)}" for net in self.daemon.nets_of(self.name)], may_fail=True)
        os.close(self.pidfd)
        self.pid1 = self.pidfd = None
        self.info = {"powered": False}
        self.daemon.save()

    def _watch(self, pid, ended):
        _, status = os.waitpid(pid, 0)
        self.status = status
        ended.set()
        with self.lock:
            if self.ended is not ended or self.pid1 is None:
                return
            # Nobody cut the power: the host has halted, rebooted (the kernel says so by SIGHUP) or its init has died.
            rebooted = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP
            self.daemon.event("rebooted" if rebooted else "halted", host=self.name, wait_status=status)
            self._collect()
            if rebooted:
                self.power_on("reboot")

    # -- pause
    def pause(self):
        with self.lock:
            self._need_on()
            self.daemon.event("pause", host=self.name)
            stopped = set()
            while True:  # again until no new process has appeared
                pids = labns.pids_in_namespace(self.info["pidns"]) - stopped
                if not pids:
                    break
                self.send(pids, signal.SIGSTOP)
                stopped |= pids
            wait_stopped(stopped)
            self.daemon.event("paused", host=self.name, processes=len(stopped))

    def resume(self):
        with self.lock:
            self._need_on()
            self.daemon.event("resume", host=self.name)
            self.send(labns.pids_in_namespace(self.info["pidns"]), signal.SIGCONT)
            labns.wake_entered(self.pid1)

    def signal_named(self, process, signum, word):
        with self.lock:
            self._need_on()
            pids = {p for p in labns.pids_in_namespace(self.info["pidns"]) if process in process_names(p)}
            if not pids:
                raise LabError(f"host {self.name} runs no process called {process}")
            self.daemon.event(word, host=self.name, process=process, pids=sorted(pids))
            self.send(pids, signum)
            if signum == signal.SIGCONT:
                labns.wake_entered(self.pid1)
            else:
                wait_stopped(pids)
            return sorted(pids)

    @staticmethod
    def send(pids, signum):
        for pid in pids:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass

    def _need_on(self):
        if not self.is_on():
            raise LabError(f"host {self.name} is off; `lab power on {self.name}` starts it")


def wait_stopped(pids, timeout_s=2.0):
    """Wait until the processes have stopped, or hang in the kernel, where they can not run either."""
    deadline = labns.boottime_ms() + int(timeout_s * 1000)
    while any((labns.stat_fields(pid) or "X")[0] not in "TZXD" for pid in pids):
        if labns.boottime_ms() >= deadline:
            raise LabError("not all processes have stopped")
        time.sleep(0.002)


def process_names(pid):
    """The names under which a process may be called: its comm, its program and, for a script, the script."""
    names = set()
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            names.add(file.read().strip())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except OSError:
        return names
    names.update(os.path.basename(word) for word in words[:2])
    return names
