# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of the lab, as tests see it."""
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

import labns

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LANG": "C.UTF-8", "TERM": "dumb"}


class HostOff(Exception):
    """Something was asked of a host that is switched off."""


class Host:
    """Made by Lab.host(); holds no state of its own, so that several may look at the same host."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name

    def __repr__(self):
        return f"<host {self.name}{'' if self.powered else ' (off)'}>"

    def _record(self):
        record = self.lab.state().get("hosts", {}).get(self.name, {})
        return record if record.get("powered") and labns.is_same_process(record) else None

    @property
    def pid1(self):
        """Pid of the host's first process as this machine sees it; None when the host is off."""
        record = self._record()
        return record["pid"] if record else None

    @property
    def powered(self):
        return self._record() is not None

    @property
    def boot_id(self):
        record = self._record()
        return record["boot_id"] if record else None

    @property
    def pid_namespace(self):
        """Inode of the host's PID namespace; None when it is off."""
        record = self._record()
        return record["pidns"] if record else None

    @property
    def console(self):
        return self.lab.dir / self.name / "console.log"

    def pids(self):
        """Outer pids of all processes of the host."""
        return labns.pids_in_namespace(self.pid_namespace)

    def file(self, path):
        """The outer path of a file in the host's root: through its first process, or on its disk when it is off."""
        pid1, path = self.pid1, path.lstrip("/")
        if pid1 is not None:
            return pathlib.Path(f"/proc/{pid1}/root") / path
        on_disk = self.lab.dir / self.name / "disk" / path
        return on_disk if on_disk.exists() else pathlib.Path("/") / path

    # -- power
    def power_on(self, reason="lab"):
        self.lab.request(op="power", host=self.name, state="on", reason=reason)

    def power_off(self, reason="lab"):
        """Port down, SIGKILL to the first process; returns when no process of the host is left."""
        self.lab.request(op="power", host=self.name, state="off", reason=reason)

    def service(self, name, word):
        """`systemctl stop` or `start` (WORD) of one of the host's services. Returns when the host's init has taken it."""
        pid1, order = self.pid1, self.file(f"/run/lab/service.{name}")
        if pid1 is None:
            raise HostOff(f"host {self.name} is off")
        self.lab.event("service", host=self.name, service=name, order=word)
        labns.write_atomically(order, word + "\n")
        os.kill(pid1, signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while order.exists():
            if time.monotonic() >= deadline:
                raise OSError(f"host {self.name}: its init does not take the order to {word} {name}")
            time.sleep(0.005)

    # -- running things inside
    def command(self, argv, user=None):
        """ARGV as a command that runs on the host when started here."""
        pid1 = self.pid1
        if pid1 is None:
            raise HostOff(f"host {self.name} is off; `lab power on {self.name}` starts it")
        prefix = ["/usr/bin/nsenter", "-t", str(pid1), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        if user is not None and user != "root":
            prefix += ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return prefix + [str(word) for word in argv]

    def popen(self, argv, user=None, env=None, **kwargs):
        """subprocess.Popen on the host, in a session of its own: end it with kill_popen(), not with Popen.kill()."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("start_new_session", True)
        return subprocess.Popen(self.command(argv, user), env={**ENVIRONMENT, **(env or {})}, cwd="/", **kwargs)

    @staticmethod
    def kill_popen(process, signum=signal.SIGKILL):
        """Signal what popen() started: nsenter and the command inside are one process group."""
        if process.poll() is None:
            try:
                os.killpg(process.pid, signum)
            except ProcessLookupError:
                pass

    def exec(self, argv, timeout=30, check=True, user=None, input=None, text=True, env=None):
        """Run ARGV on the host. Raises CalledProcessError (check) or TimeoutExpired, after killing what it started."""
        # Files, not pipes: a daemon that the command leaves behind keeps its output open, and nobody may wait for that.
        mode = "w+" if text else "w+b"
        with tempfile.TemporaryFile(mode) as stdin, tempfile.TemporaryFile(mode) as out, \
                tempfile.TemporaryFile(mode) as err:
            if input is not None:
                stdin.write(input)
                stdin.flush()
                stdin.seek(0)
            process = self.popen(argv, user=user, env=env, stdin=stdin, stdout=out, stderr=err)
            try:
                process.wait(timeout)
            except BaseException:
                self.kill_popen(process)
                process.wait(5)
                raise
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(argv, process.returncode, out.read(), err.read())
        if check and done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, argv, out, err)
        return done

    # -- network
    def netns_fd(self):
        """A descriptor of the host's network namespace; the caller closes it."""
        pid1 = self.pid1
        if pid1 is None:
            raise HostOff(f"host {self.name} is off")
        return os.open(f"/proc/{pid1}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket that lives on the host: made by a thread that visits its network namespace."""
        return socket_in(self.netns_fd(), family, kind, proto)

    def addresses(self):
        """Addresses of the host, without loopback; empty when it is off."""
        if not self.powered:
            return []
        out = self.exec(["/usr/sbin/ip", "-o", "addr", "show"], timeout=10).stdout
        return [line.split()[3].split("/")[0] for line in out.splitlines() if line.split()[1] != "lo"]


def socket_in(netns_fd, family, kind, proto=0):
    """A socket in the namespace of NETNS_FD, which is closed."""
    result = {}

    def visit():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(netns_fd, labns.CLONE_NEWNET) != 0:
            err = ctypes.get_errno()
            result["error"] = OSError(err, os.strerror(err))
            return
        try:
            result["socket"] = socket.socket(family, kind, proto)
        except OSError as err:
            result["error"] = err

    thread = threading.Thread(target=visit)
    thread.start()
    thread.join()
    os.close(netns_fd)
    if "error" in result:
        raise result["error"]
    return result["socket"]


class Bmc:
    """The BMC of a cluster host. It lives on when its host is off."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name

    @property
    def dead(self):
        """A dead BMC answers nothing at all. Settable."""
        return self.name in self.lab.state().get("dead_bmcs", [])

    @dead.setter
    def dead(self, value):
        self.lab.request(op="bmc", host=self.name, dead=bool(value))

    @property
    def power(self):
        """What the BMC would say of its machine: True when it is on. Asked of the lab, not over the network."""
        return self.lab.request(op="power", host=self.name, state="status")["on"]

    def behave(self, mode, delay_s=0):
        """true, lies, wrong-plug or late: see labfaults.BmcModes."""
        self.lab.request(op="bmc-mode", host=self.name, mode=mode, delay_s=delay_s)
