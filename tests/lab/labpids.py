# SPDX-License-Identifier: GPL-2.0-or-later
"""Pids of a lab host: none left for the children of one process, by a pids cgroup as systemd's TasksMax= makes one; and a program
under a pid of choice, as if the kernel's numbers had come round to it."""
import contextlib
import os
import subprocess
import time

import labns

CGROUPS = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")     # version 1, version 2


def read(*path):
    with open(os.path.join(*path), encoding="ascii") as file:
        return file.read()


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="ascii") as file:
        file.write(text)


def cgroup_of(pid, root):
    """The folder below ROOT that PID is in."""
    wanted = "pids" if root == CGROUPS[0] else ""
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if wanted in controllers.split(","):
            return root + path
    return root


class Childless:
    """Process PID can start neither a process nor a thread more: fork(2) says EAGAIN. What it has started lives on."""

    def __init__(self, pid):
        self.record, self.path = labns.process_record(pid), None
        for root in CGROUPS:
            path = os.path.join(root, f"understudy-lab-{os.getpid()}-{pid}")
            with contextlib.suppress(OSError):
                os.mkdir(path)
                if os.path.exists(f"{path}/pids.max"):
                    self.home, self.path = cgroup_of(pid, root), path
                    break
                os.rmdir(path)
        if not self.path:
            raise OSError("no pids cgroup can be made on this machine")
        write(str(pid), self.path, "cgroup.procs")
        write(read(self.path, "pids.current"), self.path, "pids.max")

    def refused(self):
        """How often it was refused a child."""
        return sum(int(line.split()[1]) for line in read(self.path, "pids.events").splitlines() if line.startswith("max "))

    def end(self):
        """It may again; how often it was refused meanwhile."""
        refused = self.refused()
        for pid in read(self.path, "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                write(pid, self.home, "cgroup.procs")
        os.rmdir(self.path)
        return refused


# Runs in the host's PID namespace and nowhere else of it yet: ns_last_pid is of the namespace of who writes it, and a host may
# not write it. The child enters the rest by nsenter, which keeps its pid.
SPAWN = """
import os, sys
pid, command = int(sys.argv[1]), sys.argv[2:]
for _ in range(200):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    child = os.fork()
    if child == 0:
        if os.getpid() != pid:
            os._exit(1)
        os.setsid()
        os.dup2(1, 2)
        os.execv(command[0], command)
    if child == pid:
        sys.exit(0)
    os.waitpid(child, 0)
sys.exit("pid %d is not free" % pid)
"""


def inner_pid(pid):
    """What process PID is called in the innermost PID namespace that it is in."""
    return int(next(line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("NSpid:")).split()[-1])


def outer_pid(host, pid):
    """The pid here of what HOST calls PID, or None."""
    for outer in host.pids():
        with contextlib.suppress(OSError, StopIteration):
            if inner_pid(outer) == pid:
                return outer
    return None


def count_from(host, pid):
    """What HOST starts next has a pid of about PID."""
    subprocess.run(["/usr/bin/nsenter", "-t", str(host.pid1), "-p", "--", "/bin/sh", "-c", f"echo {pid} > /proc/sys/kernel/ns_last_pid"],
                   stdin=subprocess.DEVNULL, check=True, timeout=20, cwd="/")


def start_as(host, pid, argv, user):
    """ARGV on HOST under exactly the pid PID there; the record of the process."""
    command = ["/usr/bin/nsenter", "-t", str(host.pid1), "-m", "-u", "-i", "-n", "-C", "--", "/usr/bin/setpriv", f"--reuid={user}",
               f"--regid={user}", "--init-groups", *argv]
    null = subprocess.DEVNULL
    done = subprocess.run(["/usr/bin/nsenter", "-t", str(host.pid1), "-p", "--", "/usr/bin/python3", "-I", "-c", SPAWN, str(pid),
                           *command], stdin=null, stdout=null, stderr=subprocess.PIPE, text=True, check=False, timeout=20, cwd="/")
    if done.returncode != 0:
        raise OSError(f"nothing can be started as pid {pid} of {host.name}: {done.stderr.strip()}")
    wanted, deadline = "\0".join((*argv, "")), time.monotonic() + 5
    while time.monotonic() < deadline:
        outer = outer_pid(host, pid)
        if outer and read(f"/proc/{outer}/cmdline") == wanted:
            return labns.process_record(outer)
        time.sleep(0.002)
    raise OSError(f"{argv[0]} does not run as pid {pid} of {host.name}")
