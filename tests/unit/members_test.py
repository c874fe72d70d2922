#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-members against a real corosync: two of them in namespaces of their own, joined by a veth pair.

Method: the test is the engine of each node: it holds the other end of members' descriptor 3."""
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engine_fake import CPG_IN, CPG_OUT, MEMBERS, Message, now_ms  # noqa: E402

BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
CONF = """totem {
    version: 2
    cluster_name: t
    transport: knet
    %s
    token: 1000
    consensus: 250
    join: 50
}
nodelist {
    node {
        nodeid: 1
        name: a
        ring0_addr: 10.66.0.1
    }
    node {
        nodeid: 2
        name: b
        ring0_addr: 10.66.0.2
    }
}
quorum {
    provider: corosync_votequorum
    two_node: 1
}
logging {
    to_stderr: yes
    to_syslog: no
}
"""
CRYPTO = "crypto_cipher: aes256\n    crypto_hash: sha256"
PREPARE = """set -e
mount --make-rprivate /
for d in /dev/shm /run /var/lib/corosync /var/log; do mount -t tmpfs t $d; done
mkdir -p /var/lib/corosync /var/log/corosync
mount --bind "$1" /etc/corosync
read go
"""


class Node:
    def __init__(self, folder, number, crypto=CRYPTO):
        self.number, self.crypto, self.folder = number, crypto, os.path.join(folder, str(number))
        os.makedirs(os.path.join(self.folder, "uidgid.d"))
        with open(os.path.join(self.folder, "uidgid.d", "test"), "w", encoding="ascii") as f:
            f.write("uidgid {\n    uid: nobody\n    gid: nogroup\n}\n")
        with open(os.path.join(self.folder, "corosync.conf"), "w", encoding="ascii") as f:
            f.write(CONF % crypto)
        shutil.copy(os.path.join(folder, "authkey"), self.folder)
        # Holds the namespaces, so that corosync can come and go.
        self.holder = subprocess.Popen(["unshare", "-n", "-m", "-i", "sh", "-c", PREPARE + "exec sleep 1000", "sh",
                                        self.folder], stdin=subprocess.PIPE)
        self.corosync = self.members = self.engine = None
        self.last = None
        self.seen, self.received = [], []

    def run(self, *command, **more):
        enter = ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "-i"]
        return subprocess.Popen(enter + list(command), stdin=subprocess.DEVNULL, **more)

    def start_corosync(self):
        with open(os.path.join(self.folder, "log"), "a", encoding="ascii") as log:
            self.corosync = self.run("corosync", "-f", stdout=log, stderr=log)

    def start_members(self):
        self.engine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.engine.setblocking(False)
        fd = theirs.detach()
        with open(os.path.join(self.folder, "members.log"), "a", encoding="ascii") as log:
            self.members = self.run("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups",
                                    os.path.join(BUILD, "understudy-members"), "--node", "x", stderr=log,
                                    preexec_fn=lambda: os.dup2(fd, 3) if fd != 3 else os.set_inheritable(3, True),
                                    pass_fds=(3, fd))
        os.close(fd)

    def drain(self):
        while True:
            try:
                data = self.engine.recv(ctypes.sizeof(Message) + 1)
            except BlockingIOError:
                return
            assert len(data) == ctypes.sizeof(Message), f"{len(data)} bytes"
            m = Message.from_buffer_copy(data)
            if m.kind == MEMBERS:
                self.last = m.u.members
                self.seen.append((now_ms(), self.last))
            elif m.kind == CPG_IN:
                self.received.append((m.u.cpg.sender, bytes(m.u.cpg.data)[:m.u.cpg.len], self.last.cpg_ring))

    def send(self, data):
        m = Message(version=1, kind=CPG_OUT)
        m.u.cpg.len = len(data)
        ctypes.memmove(ctypes.addressof(m.u.cpg.data), data, len(data))
        self.engine.send(bytes(m))

    def view(self):
        m = self.last
        return m and (m.connected, m.quorate, sorted(m.member[:m.n_members]), m.cpg_ring and m.cpg_ring == m.quorum_ring)

    def end(self):
        for p in (self.members, self.corosync, self.holder):
            if p:
                p.send_signal(signal.SIGCONT)
                p.kill()
                p.wait()


class World:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="members_test.")
        os.chmod(self.folder, 0o755)
        subprocess.run(["corosync-keygen", "-l", "-k", os.path.join(self.folder, "authkey")], check=True,
                       stdout=subprocess.DEVNULL)
        self.nodes = []

    def add(self, number, crypto=CRYPTO):
        self.nodes.append(Node(self.folder, number, crypto))
        return self.nodes[-1]

    def connect(self):
        a, b = self.nodes
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{a.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net") or os.readlink(
                f"/proc/{b.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < deadline, "no namespaces"
            time.sleep(0.01)
        ip("link", "add", "ua0", "netns", str(a.holder.pid), "type", "veth", "peer", "name", "ub0", "netns",
           str(b.holder.pid))
        for node, dev in ((a, "ua0"), (b, "ub0")):
            for command in (["addr", "add", f"10.66.0.{node.number}/24", "dev", dev], ["link", "set", dev, "up"],
                            ["link", "set", "lo", "up"]):
                ip(*command, pid=node.holder.pid)
            node.holder.stdin.write(b"go\n")
            node.holder.stdin.flush()
        time.sleep(0.1)

    def wait(self, what, condition, seconds=15):
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"{what}: " + ", ".join(str(n.view()) for n in self.nodes)
            select.select([n.engine for n in self.nodes if n.engine], [], [], min(left, 0.05))
            for n in self.nodes:
                if n.engine:
                    n.drain()

    def settle(self, seconds):
        until = time.monotonic() + seconds
        self.wait("settle", lambda: time.monotonic() >= until, seconds + 5)

    def end(self):
        for n in self.nodes:
            n.end()
        shutil.rmtree(self.folder)


def ip(*command, pid=None):
    enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
    subprocess.run(enter + ["ip"] + list(command), check=True)


def both_there(w):
    a, b = w.nodes
    w.wait("one ring", lambda: a.view() == b.view() == (1, 1, [1, 2], True) and a.last.cpg_ring == b.last.cpg_ring)


def start(w):
    a, b = w.add(1), w.add(2)
    w.connect()
    for n in w.nodes:
        n.start_corosync()
        n.start_members()
    both_there(w)
    return a, b


def sees_the_ring_and_passes_messages(w):
    a, b = start(w)
    w.wait("crypto", lambda: a.last.encrypted == 1 and b.last.encrypted == 1)
    w.wait("how soon a death is noticed", lambda: a.last.detect_ms == b.last.detect_ms == 1250)
    b.received.clear()
    a.send(b"hello from a")
    w.wait("message", lambda: (1, b"hello from a", b.last.cpg_ring) in b.received)
    a.seen.clear()
    w.settle(1.0)
    gaps = [y[0] - x[0] for x, y in zip(a.seen, a.seen[1:])]
    ages = [t - m.sampled_ms for t, m in a.seen]
    assert len(a.seen) >= 8 and max(gaps) < 250 and max(ages) < 250, (len(a.seen), gaps, ages)


def sees_a_dead_peer(w):
    a, b = start(w)
    ring = a.last.cpg_ring
    before = time.monotonic()
    b.corosync.kill()
    w.wait("ring without b", lambda: a.view() == (1, 1, [1], True) and a.last.cpg_ring > ring)
    took = time.monotonic() - before
    assert took < 5, took
    w.wait("b knows", lambda: b.last.connected == 0 and b.last.n_members == 0 and b.last.cpg_ring == 0)
    assert not [m for t, m in a.seen if m.quorate and m.quorum_ring not in (0, m.cpg_ring) and m.quorum_ring < ring]
    b.corosync.wait()
    b.start_corosync()
    both_there(w)  # members has connected again by itself


def a_stopped_corosync_ages(w):
    a, b = start(w)
    a.corosync.send_signal(signal.SIGSTOP)
    w.settle(0.4)
    frozen = a.last.sampled_ms
    a.seen.clear()
    w.settle(1.0)
    assert all(m.sampled_ms == frozen for t, m in a.seen), "fresh facts from a stopped corosync"
    assert now_ms() - a.last.sampled_ms > 1000
    a.corosync.send_signal(signal.SIGCONT)
    both_there(w)
    w.wait("fresh again", lambda: now_ms() - a.last.sampled_ms < 300)


VARIANTS = [
    (CRYPTO, 1), ("secauth: on", 1),
    ("secauth: off", 0), ("", 0),                           # what an old guide says, and what corosync does by itself
    ("crypto_cipher: none\n    crypto_hash: none", 0),
    ("crypto_cipher: none\n    crypto_hash: sha256", 0),    # authenticated, but anybody reads
    ("secauth: on\n    crypto_cipher: none\n    crypto_hash: none", 0),
]


def knows_whether_corosync_encrypts(w):
    """Each on its own: what cmap says does not need a peer."""
    nodes = [w.add(i + 1, crypto) for i, (crypto, _) in enumerate(VARIANTS)]
    deadline = time.monotonic() + 5
    for n in nodes:
        while os.readlink(f"/proc/{n.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < deadline, "no namespace"
            time.sleep(0.01)
        ip("addr", "add", "10.66.0.1/24", "dev", "lo", pid=n.holder.pid)
        ip("link", "set", "lo", "up", pid=n.holder.pid)
        n.holder.stdin.write(b"go\n")
        n.holder.stdin.flush()
    time.sleep(0.1)
    for n in nodes:
        n.start_corosync()
        n.start_members()
    w.wait("all connected", lambda: all(n.last and n.last.connected == 1 and n.last.sampled_ms for n in nodes))
    w.settle(0.5)
    found = [(n.crypto, n.last.encrypted) for n in nodes]
    assert found == VARIANTS, found


def ends_with_its_engine(w):
    a, b = start(w)
    a.engine.close()
    a.engine = None
    assert a.members.wait(5) == 0
    w.wait("b sees it leave the group", lambda: b.view()[2] == [2])
    assert b.last.cpg_ring == b.last.quorum_ring  # the ring is the same: only the group has changed


TESTS = [sees_the_ring_and_passes_messages, sees_a_dead_peer, a_stopped_corosync_ages, knows_whether_corosync_encrypts,
         ends_with_its_engine]


def can_run():
    if os.geteuid() != 0:
        return "namespaces need root"
    for program in ("corosync", "corosync-keygen", "unshare", "nsenter", "ip", "setpriv"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return ""


def main():
    print(f"1..{len(TESTS)}")
    why, failed = can_run(), False
    for number, test in enumerate(TESTS, 1):
        if why:
            print(f"ok {number} - {test.__name__} # SKIP {why}")
            continue
        w = World()
        try:
            test(w)
            print(f"ok {number} - {test.__name__}", flush=True)
        except Exception as e:  # one test's failure is no reason to leave its corosync running
            failed = True
            print(f"not ok {number} - {test.__name__}\n# {e!r}", flush=True)
            for n in w.nodes:
                for name in ("members.log", "log"):
                    path = os.path.join(n.folder, name)
                    if os.path.exists(path):
                        with open(path, encoding="utf-8", errors="replace") as f:
                            print("".join(f"# {n.number} {line}" for line in f.readlines()[-15:]), end="", flush=True)
        finally:
            w.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
