# SPDX-License-Identifier: GPL-2.0-or-later
"""When a lab is ready: its parts answer, and the product has one active node."""
import json
import os
import socket
import time

import labconf
import labns

NEEDED = {"/usr/sbin/corosync": "corosync", "/usr/lib/mailman3/bin/mailman": "mailman3", "/usr/sbin/postfix": "postfix",
          "/usr/bin/ipmi_sim": "openipmi", "/usr/bin/ipmitool": "ipmitool", "/usr/sbin/fence_ipmilan": "fence-agents",
          "/usr/sbin/ip": "iproute2", "/usr/bin/nsenter": "util-linux", "/usr/sbin/mkfs.ext4": "e2fsprogs",
          "/usr/sbin/nft": "nftables", "/usr/bin/setpriv": "util-linux"}


class LabError(Exception):
    """Something for a person, with what to do about it."""


def wait_until(test, timeout_s, what, interval_s=0.02):
    """Wait until TEST() is true; what it returned. LabError after TIMEOUT_S."""
    deadline = labns.boottime_ms() + int(timeout_s * 1000)
    while True:
        result = test()
        if result:
            return result
        if labns.boottime_ms() >= deadline:
            raise LabError(f"{what}: not so after {timeout_s:g} s")
        time.sleep(interval_s)


def wait_gone(record, timeout_s):
    deadline = labns.boottime_ms() + int(timeout_s * 1000)
    while labns.is_same_process(record):
        if labns.boottime_ms() >= deadline:
            return False
        time.sleep(0.01)
    return True


class Readiness:
    """The part of Lab that waits."""

    def wait_ready(self, timeout_s=30):
        wait_until(self.ring_is_whole, timeout_s, "corosync on a and b has a ring of two (see a/disk/var/log/corosync)")
        wait_until(self._mx_answers, timeout_s, "Postfix on mx accepts mail (see mx/console.log)")
        wait_until(self._bmcs_listen, timeout_s, "the BMCs listen (see bmc/console.log)")

    def lmtp_greets(self, timeout_s=1):
        """The list server takes mail on the floating address."""
        try:
            family = socket.AF_INET6 if ":" in self.floating else socket.AF_INET
            with self.host("mx").socket(family) as sock:
                sock.settimeout(timeout_s)
                sock.connect((self.floating, labconf.INTAKE_PORTS[self.service]))
                return sock.recv(512).startswith(b"220")
        except OSError:
            return False

    def ring_is_whole(self):
        """Both cluster hosts see a quorate ring of two."""
        for name in labconf.CLUSTER_HOSTS:
            done = self.host(name).exec(["/usr/sbin/corosync-quorumtool", "-s"], check=False, timeout=10)
            words = " ".join(done.stdout.split())
            if "Nodes: 2" not in words or "Quorate: Yes" not in words:
                return False
        return True

    def _mx_answers(self):
        try:
            with self.host("mx").socket() as sock:
                sock.settimeout(2)
                sock.connect(("127.0.0.1", 25))
                return sock.recv(512).startswith(b"220")
        except OSError:
            return False

    def _bmcs_listen(self):
        with open(f"/proc/{self.host('bmc').pid1}/net/udp", encoding="ascii") as file:
            return sum(1 for line in file if ":026F " in line) == len(labconf.BMC_ADDRESSES)

    def active(self):
        """Name of the host whose understudyd says that it is active, or None."""
        for name in labconf.CLUSTER_HOSTS:
            try:
                status = json.loads(self.host(name).file("/run/understudy/status.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if status.get("state") == "active":
                return name
        return None

    def start_product(self, timeout_s=60):
        """Give the cluster its identity when it has none, and wait until one node is active."""
        if not (self.control_share / ".understudy" / "identity").exists():
            self._init_cluster(30)
        try:
            wait_until(self.active, timeout_s, "one node is active", 0.1)
        except LabError as err:
            raise LabError(f"{err}; the lab in {self.dir} is left up to look at\n{self._explain()}") from None

    def _init_cluster(self, timeout_s):
        """`understudy init` wants all nodes joined, so early tries may be refused."""
        last = {}

        def accepted():
            last["done"] = self.host("a").exec(["/usr/bin/understudy", "init"], check=False, timeout=20)
            return last["done"].returncode == 0

        try:
            wait_until(accepted, timeout_s, "`understudy init` on a", 0.1)
        except LabError as err:
            done = last["done"]
            raise LabError(f"{err}; the lab in {self.dir} is left up to look at\nits last answer (exit status "
                           f"{done.returncode}): {done.stdout}{done.stderr}") from None

    def _explain(self):
        answers = []
        for name in labconf.CLUSTER_HOSTS:
            done = self.host(name).exec(["/usr/bin/understudy", "explain"], check=False, timeout=20)
            answers.append(f"{name}: {done.stdout}{done.stderr}".rstrip())
        return "\n".join(answers)


def check_machine():
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it makes namespaces, mounts and network ports (sudo)")
    missing = sorted({package for path, package in NEEDED.items() if not os.path.exists(path)})
    if missing:
        raise LabError(f"missing Debian packages: apt-get install {' '.join(missing)}")
