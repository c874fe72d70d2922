# SPDX-License-Identifier: GPL-2.0-or-later
"""User-mode Linux guests: real kernels as ordinary processes, in a network namespace of their own.

Everything ends with the process that made it: the network's holder and each guest's first process get SIGKILL when their
parent dies, and a guest's processes live in a PID namespace, which the kernel empties when its first process is gone."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import labhost
import labns

HERE = pathlib.Path(__file__).resolve().parent
KERNEL = "/usr/bin/linux.uml"
PORT = 700              # umlinit.py's
NETS = {"data": "10.78.0", "ctl": "10.78.1"}
MEMORY_MB = 384
BOOT_S = 90


class GuestError(Exception):
    """A guest did not do what was asked of it."""


def missing():
    """Why no guest can be started here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for path, package in ((KERNEL, "user-mode-linux"), ("/usr/sbin/rpc.nfsd", "nfs-kernel-server"),
                          ("/usr/sbin/mount.nfs", "nfs-common"), ("/dev/net/tun", "the tun driver")):
        if not os.path.exists(path):
            return f"needs {package}"
    return None


def tracer(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(re.search(r"^TracerPid:\s*(\d+)", text, re.M).group(1))


class Network:
    """A network namespace with one bridge for the data and one for the guests' control."""

    def __init__(self):
        self.holder = subprocess.Popen(["/usr/bin/setpriv", "--pdeathsig", "KILL", "/usr/bin/unshare", "-n", "-m", "-u", "-i",
                                        "--", "/usr/bin/sleep", "infinity"], stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not self._is_apart():
                if time.monotonic() > deadline or self.holder.poll() is not None:
                    raise GuestError("no network namespace")
                time.sleep(0.01)
            lines = ["link set dev lo up"]
            for net, prefix in NETS.items():
                lines += [f"link add name {net} type bridge", f"addr add {prefix}.254/24 dev {net}", f"link set dev {net} up"]
            self.ip(*lines)
        except BaseException:
            self.close()
            raise

    def _is_apart(self):
        path = f"/proc/{self.holder.pid}"
        return (os.readlink(f"{path}/ns/net") != os.readlink("/proc/self/ns/net")
                and pathlib.Path(f"{path}/comm").read_text(encoding="ascii").strip() == "sleep")

    def enter(self, *words):
        return ["/usr/bin/nsenter", "-t", str(self.holder.pid), "-n", "--", *words]

    def ip(self, *lines):
        subprocess.run(self.enter("/usr/sbin/ip", "-batch", "-"), input="\n".join(lines) + "\n", text=True, check=True)

    def add_tap(self, name, net):
        self.ip(f"tuntap add dev {name} mode tap", f"link set dev {name} master {net} up")

    def cut(self, guest):
        """Takes the guest's port out of the data network. Its link stays up: a NIC of a guest whose tap was down stays dead."""
        self.ip(f"link set dev {guest}-data nomaster")

    def heal(self, guest):
        self.ip(f"link set dev {guest}-data master data")

    def deafen(self, guest, deaf=True):
        """What is sent to the guest on the data network is lost; what it sends arrives. DEAF False: no longer."""
        hook = f"type filter hook egress device {guest}-data priority 0; policy drop;"
        lines = (["add table netdev lab", f"add chain netdev lab {guest} {{ {hook} }}"] if deaf
                 else [f"delete chain netdev lab {guest}"])
        subprocess.run(self.enter("/usr/sbin/nft", "-f", "-"), input="\n".join(lines) + "\n", text=True, check=True)

    def socket(self):
        return labhost.socket_in(os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC),
                                 socket.AF_INET, socket.SOCK_STREAM)

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Guest:
    """NUMBER: the last byte of its addresses. FILES: path -> {text, mode, uid, gid}. MODULES: those of its kernel that it loads.
    FIRST: commands before its network is up. DISK: an image that it has as /dev/ubda."""

    def __init__(self, network, directory, name, number, files=None, modules=(), first=(), disk=None):
        self.network, self.name, self.number, self.disk = network, name, number, disk
        self.dir = pathlib.Path(directory) / name
        self.dir.mkdir()
        self.console = self.dir / "console.log"
        self.address, self.control = (f"{NETS[net]}.{number}" for net in ("data", "ctl"))
        self.files, self.modules, self.first, self.process, self.boots = files or {}, list(modules), list(first), None, 0
        for net in NETS:
            network.add_tap(f"{name}-{net}", net)

    # -- power
    def start(self):
        """Switches it on, without waiting."""
        self.boots += 1
        spec = self.dir / "spec.json"
        text = json.dumps({"name": self.name, "files": self.files, "modules": self.modules, "first": self.first,
                           "control": self.control, "nics": {"vec0": f"{self.address}/24", "vec1": f"{self.control}/24"}})
        spec.write_text(text, encoding="utf-8")
        words = [KERNEL, f"mem={MEMORY_MB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "panic=-1", "quiet",
                 f"init={HERE}/umlinit.py", f"guest_spec={spec}", "PYTHONDONTWRITEBYTECODE=1",
                 "con=null", "con0=null,fd:1", f"umid={self.name}.{self.boots}", f"uml_dir={self.dir}/"]
        for index, net in enumerate(NETS):
            words.append(f"vec{index}:transport=tap,ifname={self.name}-{net},depth=128,gro=1,"
                         f"mac=02:00:00:78:{index:02x}:{self.number:02x}")
        if self.disk:
            words.append(f"ubda={self.disk}")
        with open(self.console, "ab") as console:
            self.process = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", "/usr/bin/nice", "-n", "19",
                 *self.network.enter("/usr/bin/unshare", "-m", "-u", "-i", "-p", "--fork", "--kill-child=KILL", "--mount-proc",
                                     "--", "/bin/sh", "-c", '"$@"; exit $?', "guest", *words)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, cwd=self.dir,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir), "TMPDIR": "/dev/shm"})

    def wait_ready(self):
        deadline = time.monotonic() + BOOT_S
        while True:
            if self.process.poll() is not None:
                raise GuestError(f"guest {self.name} has ended: {self.tail()}")
            try:
                if self.run(["/bin/true"], timeout=5).code == 0:
                    return self
            except (OSError, GuestError):
                pass
            if time.monotonic() > deadline:
                raise GuestError(f"guest {self.name} is not ready after {BOOT_S} s: {self.tail()}")
            time.sleep(0.1)

    @property
    def powered(self):
        return self.process is not None and self.process.poll() is None

    def pids(self):
        """The machine's pids of the guest's processes; the first one leads into its PID namespace."""
        if not self.powered:
            return []
        first = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        return [] if not first else sorted(labns.pids_in_namespace(labns.pid_namespace(int(first[0]))))

    def power_off(self):
        """Nothing of it runs any more when this returns."""
        if self.process is None:
            return
        pids = self.pids()
        if pids:        # the end of its first process is that of all of them
            labns.kill_record(labns.process_record(pids[0]))
        self.process.kill()
        self.process.wait()

    def kernel_pids(self):
        """Those that are its kernel; the others are its programs, which can do nothing without it, and which it traces: a SIGSTOP
        would reach the program."""
        return [pid for pid in self.pids() if tracer(pid) == 0]

    def pause(self):
        """It stands still when this returns."""
        pids = self.kernel_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while any((labns.stat_fields(pid) or "T")[0] != "T" for pid in pids):
            if time.monotonic() > deadline:
                raise GuestError(f"guest {self.name} does not stand still")
            time.sleep(0.01)

    def resume(self):
        for pid in self.kernel_pids():
            os.kill(pid, signal.SIGCONT)

    # -- commands
    def begin(self, argv, user=None, **more):
        """Starts a command; a Job."""
        return Job(self, {"argv": [str(word) for word in argv], "user": user, **more})

    def run(self, argv, user=None, timeout=60, **more):
        """A command with its code, out and err. GuestError when there is no answer in time."""
        return self.begin(argv, user, timeout_s=timeout, **more).wait(timeout)

    def ok(self, argv, user=None, timeout=60, **more):
        """Its output; GuestError when it fails."""
        done = self.run(argv, user, timeout, **more)
        if done.code != 0:
            raise GuestError(f"guest {self.name}: {argv}: exit {done.code}: {done.out}{done.err}")
        return done.out

    def shell(self, text, **more):
        return self.ok(["/bin/sh", "-ec", text], **more)

    def tail(self, lines=12):
        """The end of its console, without the addresses of a kernel that has stopped."""
        text = self.console.read_text(encoding="utf-8", errors="replace") if self.console.exists() else ""
        said = [re.sub(r"[^\x20-\x7e]", "", line) for line in text.splitlines() if not line.startswith(" [<")]
        return "\n".join(said[-lines:])


class Done:
    def __init__(self, answer, took_s):
        self.code, self.out, self.err, self.took_s = answer["code"], answer["out"], answer["err"], took_s

    def __repr__(self):
        return f"<exit {self.code} after {self.took_s:.2f} s: {self.out}{self.err}>"


class Job:
    """A command that runs on a guest."""

    def __init__(self, guest, request):
        self.guest, self.began, self.lock = guest, time.monotonic(), threading.Lock()
        self.sock = guest.network.socket()
        try:
            self.sock.settimeout(request.pop("timeout_s", 30))
            self.sock.connect((guest.control, PORT))
            self.sock.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            self.sock.close()
            raise
        self.lines = self.sock.makefile("rb")
        self.done = None

    def wait(self, timeout=60):
        """GuestError when it has not ended in time: it then runs on, until kill()."""
        if self.done is None:
            self.sock.settimeout(max(0.01, timeout))
            try:
                line = self.lines.readline()
            except OSError as err:
                raise GuestError(f"guest {self.guest.name}: no answer within {timeout} s: {err}") from None
            if not line:
                raise GuestError(f"guest {self.guest.name} hung up")
            self.done = Done(json.loads(line), time.monotonic() - self.began)
            self.close()
        return self.done

    def has_ended(self, within=0.0):
        """A look that does not disturb it."""
        if self.done is None:
            self.sock.settimeout(max(0.001, within))
            try:
                if not self.sock.recv(1, socket.MSG_PEEK):
                    raise GuestError(f"guest {self.guest.name} hung up")
            except TimeoutError:
                return False
        return True

    def signal(self, number):
        self.sock.sendall(json.dumps({"signal": int(number)}).encode() + b"\n")

    def close(self):
        """Ends the command if it still runs and its guest is alive."""
        self.lines.close()
        self.sock.close()
