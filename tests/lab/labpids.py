# SPDX-License-Identifier: GPL-2.0-or-later
"""Pids of a lab host: none left for the children of one process, by a pids cgroup as systemd's TasksMax= makes one."""
import contextlib
import os

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
