#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The first process of a lab host: builds its namespaces and its root, starts its services, reaps.

Started by labd with the host's spec file and the wires (NAME=FD) of its shares that misbehave. Makes the namespaces and forks; the child is PID 1 of the host. A service that
fails is started again after its restart_ms where it has one, as its systemd unit would; else it stays dead. A person's
`systemctl stop` and `start` are a word in /run/lab/service.NAME and SIGUSR1."""
import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labfaultfs  # noqa: E402
import labns  # noqa: E402

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
# Not namespaced: a host with these could set the clock, load modules or read the log of the machine under the lab.
DROPPED_CAPABILITIES = {"sys_module": 16, "sys_rawio": 17, "sys_time": 25, "syslog": 34}
NOTIFY_TIMEOUT_S = 30.0
ORDERS = "/run/lab"
SERVERS = []    # of shares that misbehave


def log(text):
    sys.stderr.write(f"{labns.boottime_ms()} init: {text}\n")
    sys.stderr.flush()


def tell(text):
    os.write(1, text.encode() + b"\n")


def mount_tmpfs(path, mode, size="64m"):
    os.makedirs(path, exist_ok=True)
    labns.mount("tmpfs", path, "tmpfs", labns.MS_NOSUID, f"mode={mode},size={size}")


def make_dev(dev, watchdog):
    mount_tmpfs(dev, "755")
    for name, (major, minor) in DEVICES.items():
        os.mknod(f"{dev}/{name}", 0o020666, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"),
                         ("ptmx", "pts/ptmx")):
        os.symlink(target if target.startswith("/") else target, f"{dev}/{name}")
    if watchdog:    # for who looks whether there is one; who opens it gets the one of watchdogshim.c
        os.mknod(f"{dev}/watchdog", 0o020600, os.makedev(*DEVICES["null"]))
    os.mkdir(f"{dev}/pts")
    labns.mount("devpts", f"{dev}/pts", "devpts", labns.MS_NOSUID, "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount_tmpfs(f"{dev}/shm", "1777", "512m")


def mount_root(spec, wires):
    root = spec["root"]
    labns.mount("none", "/", None, labns.MS_REC | labns.MS_PRIVATE)
    labns.mount("overlay", root, "overlay", 0,
                f"lowerdir={spec['lower']},upperdir={spec['upper']},workdir={spec['work']}")
    labns.mount("proc", f"{root}/proc", "proc", labns.MS_NOSUID | labns.MS_NODEV)
    labns.mount("sysfs", f"{root}/sys", "sysfs", labns.MS_NOSUID | labns.MS_NODEV | labns.MS_RDONLY)
    make_dev(f"{root}/dev", spec.get("watchdog"))
    mount_tmpfs(f"{root}/run", "755")
    mount_tmpfs(f"{root}/tmp", "1777", "512m")
    guard_proc(f"{root}/proc")
    for entry in spec["run_dirs"]:
        path = f"{root}/run/{entry['path']}"
        os.makedirs(path, exist_ok=True)
        os.chown(path, entry["uid"], entry["gid"])
        os.chmod(path, entry["mode"])
    bind_boot_id(root, spec["boot_id"])
    for entry in spec["binds"]:
        os.makedirs(root + entry["target"], exist_ok=True)
        if "faulty" in entry:
            SERVERS.append(labfaultfs.mount(entry, root + entry["target"], wires.get(entry["faulty"])))
        else:
            labns.bind(entry["source"], root + entry["target"], entry.get("read_only", False))
    for fd in wires.values():
        os.close(fd)
    labns.pivot_root(root)


def guard_proc(proc):
    """Only what belongs to a namespace of the host may be written: the rest is the machine's under the lab."""
    if os.path.exists(f"{proc}/sysrq-trigger"):
        labns.bind("/dev/null", f"{proc}/sysrq-trigger")
    labns.bind(f"{proc}/sys", f"{proc}/sys", read_only=True)
    labns.bind(f"{proc}/sys/net", f"{proc}/sys/net")
    labns.mount("none", f"{proc}/sys/net", None, labns.MS_BIND | labns.MS_REMOUNT)


def bind_boot_id(root, boot_id):
    os.makedirs(f"{root}/run/lab", exist_ok=True)
    path = f"{root}/run/lab/boot_id"
    with open(path, "w", encoding="ascii") as file:
        file.write(boot_id + "\n")
    os.chmod(path, 0o444)
    labns.bind(path, f"{root}/proc/sys/kernel/random/boot_id")


def write_sysctl(name, value):
    with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(value)


def start_network(spec):
    for scope in ("all", "default"):
        write_sysctl(f"ipv6/conf/{scope}/disable_ipv6", "1")
    lines = ["link set dev lo up"]
    for nic in spec["nics"]:
        ipv6 = [address for address in nic["addresses"] if ":" in address]
        for name in ("lo", nic["name"]) if ipv6 else ():
            write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "0")
        lines += [f"addr add {address} dev {nic['name']} nodad" for address in ipv6]
        lines += [f"addr add {address} brd + dev {nic['name']}" for address in nic["addresses"] if address not in ipv6]
        lines += [f"link set dev {nic['name']} up"]
    subprocess.run(["/usr/sbin/ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


class Services:
    """Starts the services in order, each one after the one before it has said READY=1 where it does that."""

    def __init__(self, services):
        self.waiting = [s for s in services if "only_if" not in s or os.path.exists(s["only_if"])]
        self.known = {s["name"]: s for s in self.waiting}
        self.names = {}
        self.again = {}         # name -> when it is started again, ms
        self.stopped = set()    # by a person
        self.wanted = set()     # likewise, and started again before its end was seen
        self.notify = None
        self.deadline_ms = None

    def start_next(self):
        while self.waiting and self.notify is None:
            self._start(self.waiting.pop(0))
        if not self.waiting and self.notify is None:
            log("all services started")
            self.waiting = None

    def _start(self, service, first=True):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8", **service.get("env", {})}
        if service.get("notify") and first:
            path = f"{ORDERS}/notify.{service['name']}"
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.bind(path)
            env["NOTIFY_SOCKET"] = path
            self.deadline_ms = labns.boottime_ms() + int(NOTIFY_TIMEOUT_S * 1000)
        pid = os.fork()
        if pid == 0:
            run_service(service, env)
        self.names[pid] = service["name"]
        log(f"service {service['name']}: started, pid {pid}")

    def handle_notify(self):
        text = self.notify.recv(4096).decode(errors="replace")
        if "READY=1" in text.split("\n"):
            log("service is ready")
            self._end_wait()

    def _end_wait(self):
        self.notify.close()
        self.notify = None
        self.deadline_ms = None

    def check_deadline(self):
        now = labns.boottime_ms()
        if self.deadline_ms is not None and now >= self.deadline_ms:
            log(f"service did not say that it is ready within {NOTIFY_TIMEOUT_S:.0f} s; going on without")
            self._end_wait()
        for name in [name for name, at_ms in self.again.items() if now >= at_ms]:
            del self.again[name]
            self._start(self.known[name], first=False)

    def handle_exit(self, pid, status):
        name = self.names.pop(pid, None)
        if name is None:
            return
        restart_ms = self.known[name].get("restart_ms")
        if name in self.wanted:
            log(f"service {name}: pid {pid} ended, wait status {status}")
            self.wanted.discard(name)
            self.again[name] = labns.boottime_ms()
        elif restart_ms is None or status == 0 or name in self.stopped:
            log(f"service {name}: pid {pid} ended, wait status {status}; it is not started again")
        else:
            log(f"service {name}: pid {pid} ended, wait status {status}; it is started again in {restart_ms} ms")
            self.again[name] = labns.boottime_ms() + restart_ms
        if self.notify is not None and not self.names:
            self._end_wait()

    def obey(self):
        """What a person has ordered since the last time: stop or start."""
        for name in self.known:
            try:
                path = f"{ORDERS}/service.{name}"
                with open(path, encoding="ascii") as file:
                    word = file.read().strip()
                os.unlink(path)
            except FileNotFoundError:
                continue
            log(f"service {name}: {word}, by a person")
            self.order(name, word)

    def order(self, name, word):
        if word == "stop":
            self.stopped.add(name)
            self.wanted.discard(name)
            self.again.pop(name, None)
            for pid in [pid for pid, other in self.names.items() if other == name]:
                os.kill(pid, signal.SIGTERM)
        elif word == "start":
            if name not in self.names.values():
                self.again[name] = labns.boottime_ms()
            elif name in self.stopped:
                self.wanted.add(name)
            self.stopped.discard(name)

    def poll_ms(self):
        times = list(self.again.values()) + ([] if self.deadline_ms is None else [self.deadline_ms])
        return max(0, min(times) - labns.boottime_ms()) if times else None


def run_service(service, env):
    """In the child: never returns."""
    try:
        for signum in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.setsid()
        labns.session_nice()
        os.dup2(2, 1)
        if "user" in service:
            entry = pwd.getpwnam(service["user"])
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        os.execve(service["argv"][0], service["argv"], env)
    except OSError as err:
        log(f"service {service['name']}: cannot start {service['argv'][0]}: {err}")
    os._exit(127)


def reap(services):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        services.handle_exit(pid, status)


def run(spec):
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(signum, lambda *_: None)
    services = Services(spec["services"])
    while True:
        reap(services)
        services.obey()
        services.check_deadline()
        if services.waiting is not None:
            services.start_next()
        poller = select.poll()
        poller.register(read_end, select.POLLIN)
        if services.notify is not None:
            poller.register(services.notify.fileno(), select.POLLIN)
        for fd, _ in poller.poll(services.poll_ms()):
            if fd == read_end:
                os.read(read_end, 512)
            else:
                services.handle_notify()


def first_process(spec, wires):
    """PID 1 of the host."""
    if sys.stdin.readline().strip() != "go":  # labd died before it had plugged the host in
        os._exit(1)
    mount_root(spec, wires)
    os.nice(spec["nice"])
    socket.sethostname(spec["hostname"])
    start_network(spec)
    for number in DROPPED_CAPABILITIES.values():
        labns.drop_bounding_capability(number)
    null = os.open("/dev/null", os.O_RDWR)
    tell("up")
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    log(f"{spec['hostname']} is up, boot id {spec['boot_id']}")
    run(spec)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    wires = {name: int(fd) for name, _, fd in (word.partition("=") for word in sys.argv[2:])}
    labns.unshare(labns.CLONE_NEWNS | labns.CLONE_NEWUTS | labns.CLONE_NEWIPC | labns.CLONE_NEWNET |
                  labns.CLONE_NEWPID | labns.CLONE_NEWCGROUP)
    pid = os.fork()
    if pid != 0:
        tell(f"pid {pid}")
        os._exit(0)
    try:
        first_process(spec, wires)
    except (OSError, subprocess.SubprocessError, KeyError, labfaultfs.FaultError) as err:
        log(f"cannot start: {err}")
    os._exit(1)


if __name__ == "__main__":
    main()
