# SPDX-License-Identifier: GPL-2.0-or-later
"""The auditor of the lab: ground truth about two hosts, one queue and one address.

It watches from outside the hosts: understudy-audit (fanotify over both shares in one queue, process events, pidfds) and
the kernels' own address messages. It believes nothing that the product says; auditrules.py says what a violation is."""
import ctypes
import fcntl
import json
import os
import re
import select
import socket
import struct
import subprocess
import threading
import time

import auditrules

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = ("audit.c", "audit_out.c", "audit_ns.c", "audit_proc.c", "audit_fs.c")
READY_S = 30.0
SOL_NETLINK, NETLINK_LISTEN_ALL_NSID = 270, 8
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWNSID, RTM_GETNSID = 20, 21, 22, 88, 90
NETNSA_NSID, NETNSA_FD, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 1, 3, 0x10, 0x100


class AuditError(Exception):
    """The auditor can not see; a drill without it proves nothing."""


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


def find_helper(directory, build=None):
    """The program of the build that is under test, or one compiled into DIRECTORY."""
    if build and os.access(os.path.join(build, "tests/lab/understudy-audit"), os.X_OK):
        return os.path.join(build, "tests/lab/understudy-audit")
    target = os.path.join(directory, "understudy-audit")
    sources = [os.path.join(HERE, name) for name in SOURCES]
    newest = max(os.path.getmtime(name) for name in sources + [os.path.join(HERE, "audit.h")])
    if not os.path.exists(target) or os.path.getmtime(target) < newest:
        done = subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-I", HERE, *sources, "-o", target],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AuditError(f"the auditor does not compile: {done.stderr.strip()}")
    return target


class Addresses:
    """Which host's kernel holds the floating address, from one netlink socket, so that the order is the kernel's."""

    def __init__(self, address):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.address = socket.inet_pton(self.family, address)
        self.hosts = {}         # nsid -> [host, pid1]
        self.spans = []         # [host, pid1, start_ms, end_ms]
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.sock.bind((0, RTMGRP_IPV4_IFADDR if self.family == socket.AF_INET else RTMGRP_IPV6_IFADDR))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def ask(self, kind, flags, body):
        self.asker.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        return self.asker.recv(65536)

    def attach(self, host, pid1, netns_fd):
        attribute = struct.pack("=HHI", 8, NETNSA_FD, netns_fd)
        auto = struct.pack("=HHi", 8, NETNSA_NSID, -1)
        self.ask(RTM_NEWNSID, 0x5, b"\0\0\0\0" + attribute + auto)     # EEXIST: somebody has given it one
        reply = self.ask(RTM_GETNSID, 0x1, b"\0\0\0\0" + attribute)
        if struct.unpack_from("=H", reply, 4)[0] != RTM_NEWNSID:
            raise AuditError(f"no id for the network namespace of host {host}")
        self.hosts[struct.unpack_from("=i", reply, 16 + 4 + 4)[0]] = [host, pid1]
        if self.holds_now(netns_fd):
            self.note(host, pid1, True)

    def holds_now(self, netns_fd):
        """Asks the kernel of that host; a thread of its own, since setns moves the thread."""
        answer = []
        libc = ctypes.CDLL(None, use_errno=True)

        def look():
            if libc.setns(netns_fd, 0x40000000) != 0:
                return
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
                sock.send(struct.pack("=IHHII", 20, RTM_GETADDR, 0x301, 1, 0) + struct.pack("=BBBB", self.family, 0, 0, 0))
                going = True
                while going:
                    for kind, body in messages(sock.recv(1 << 17)):
                        going = going and kind != 3
                        if kind == RTM_NEWADDR and local_address(body) == self.address:
                            answer.append(True)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return bool(answer)

    def drain(self):
        while select.select([self.sock], [], [], 0)[0]:
            data, ancillary, _, _ = self.sock.recvmsg(65536, 64)
            nsid = next((struct.unpack("=i", d)[0] for level, kind, d in ancillary
                         if level == SOL_NETLINK and kind == NETLINK_LISTEN_ALL_NSID), None)
            for kind, body in messages(data):
                if nsid in self.hosts and kind in (RTM_NEWADDR, RTM_DELADDR) and local_address(body) == self.address:
                    self.note(*self.hosts[nsid], kind == RTM_NEWADDR)

    def note(self, host, pid1, holds):
        open_span = next((s for s in self.spans if s[1] == pid1 and s[3] is None), None)
        if holds and open_span is None:
            self.spans.append([host, pid1, now_ms(), None])
        elif not holds and open_span is not None:
            open_span[3] = now_ms()


def messages(data):
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3:]


def local_address(body):
    at, found = 8, {}
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            break
        found[kind] = body[at + 4:at + length]
        at += (length + 3) & ~3
    return found.get(2, found.get(1))


class Auditor:
    """start(), then whatever is to be watched, then stop(), which returns the verdict."""

    def __init__(self, lab, directory, address="10.77.1.100", names=("a", "b"), epochs=False, process_events=True):
        self.lab, self.directory, self.names, self.epochs = lab, directory, names, epochs
        self.process_events, self.address = process_events, address
        self.records, self.pid1_host, self.marks = [], {}, 0
        self.process = self.reader = self.watcher = self.addresses = None
        self.arrived, self.ending = threading.Condition(), threading.Event()
        self.known = {}         # host -> pid1 whose network is attached
        self.at_start = None    # (epoch, node) of the tenure
        os.makedirs(directory, exist_ok=True)

    def start(self):
        command = [find_helper(self.directory, getattr(self.lab, "build", None))]
        if not self.process_events:
            command.append("--no-process-events")
        errors = open(os.path.join(self.directory, "audit.err"), "ab")
        self.process = subprocess.Popen([*command, self.lab.list_share, self.lab.control_share], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        errors.close()
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.read_all = False
        self.addresses = Addresses(self.address)
        self.at_start = find_tenure(self.lab.control_share) if self.epochs else None
        self.attach_hosts()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.reader.start()
        self.watcher.start()
        self.wait(lambda: any(r["ev"] == "ready" for r in self.records), "does not get ready")
        self.started_ms = now_ms()

    def wait(self, condition, what):
        with self.arrived:
            # Its end shows in what it wrote, not in its exit: the last lines may still be in the pipe then.
            if not self.arrived.wait_for(lambda: condition() or self.read_all, READY_S) or not condition():
                with open(os.path.join(self.directory, "audit.err"), encoding="utf-8", errors="replace") as file:
                    raise AuditError(f"the auditor {what}: {file.read()[-500:].strip()}")

    def read(self):
        with open(os.path.join(self.directory, "audit.jsonl"), "wb") as copy:
            for line in self.process.stdout:
                copy.write(line)
                with self.arrived:
                    self.records.append(json.loads(line))
                    self.arrived.notify_all()
        with self.arrived:
            self.read_all = True
            self.arrived.notify_all()

    def watch(self):
        poller = select.poll()
        poller.register(self.addresses.sock, select.POLLIN)
        while not self.ending.is_set():
            poller.poll(50)
            self.addresses.drain()
            self.attach_hosts()

    def attach_hosts(self):
        for name in self.names:
            host = self.lab.host(name)
            pid1 = host.pid1
            if not pid1 or self.known.get(name) == pid1:
                continue
            try:
                fd = host.netns_fd()
            except OSError:
                continue        # on its way up or down
            try:
                self.addresses.attach(name, pid1, fd)
                self.known[name] = pid1
                self.pid1_host[pid1] = name
            finally:
                os.close(fd)

    def barrier(self):
        """Everything that has happened on the shares before this call is in the records after it."""
        self.marks += 1
        word = f"m{self.marks}"
        self.process.stdin.write(f"mark {word}\n".encode())
        self.process.stdin.flush()
        self.wait(lambda: any(r["ev"] == "mark" and r["word"] == word for r in self.records), "does not answer")

    def stop(self, probes=(), tolerated=()):
        self.barrier()
        self.process.stdin.close()
        self.wait(lambda: any(r["ev"] == "end" for r in self.records[-4:]), "does not end")
        self.process.wait()
        self.reader.join()
        self.ending.set()
        self.watcher.join()
        self.addresses.drain()
        return self.judge(list(probes), tolerated)

    def hosts_of_instances(self):
        """Instance number -> host, None for process namespaces that are none of this lab's."""
        return {r["inst"]: self.pid1_host.get(r["init"]) for r in list(self.records) if r["ev"] == "ns"}

    def find_wires(self):
        """Pid of a process that delivers what a boot has on its way -> instance number of that boot."""
        instances = {r["init"]: r["inst"] for r in list(self.records) if r["ev"] == "ns"}
        try:
            with open(self.lab.events, encoding="utf-8") as file:
                events = [json.loads(line) for line in file]
        except (AttributeError, FileNotFoundError):
            return {}       # bare hosts have no power daemon
        return {pid: instances[e["pid1"]] for e in events if e["event"] == "powered-on" and e["pid1"] in instances
                for pid in e.get("wires", ())}

    def first_holder(self, hosts):
        """Instance that has the tenure when the audit begins, from the epoch files themselves: those of now, and those of
        then, as a drill may have put older ones in their place."""
        if not self.epochs:
            return None
        own = self.first_own()
        found = [t for t in (self.at_start, find_tenure(self.lab.control_share, before=own)) if t and (own is None or t[0] < own)]
        node = max(found, default=(0, None))[1]
        return next((number for number, host in hosts.items() if host == node), None) if node else None

    def first_own(self):
        for record in self.records:
            # Not what the lab itself copies there to play a backup.
            found = record["ev"] == "fs" and record["share"] == "control" and record["inst"] > 0 and \
                auditrules.OWN.match(record["name"])
            if found and "create" in record["mask"]:
                return int(found.group(1))
        return None

    def holdings(self):
        """A host's hold ends with its power at the latest: its kernel's part in this one's may be cleaned up much later."""
        ends = {r["init"]: r["ms"] for r in self.records if r["ev"] == "gone"}
        return [(host, pid1, start, min((t for t in (end, ends.get(pid1)) if t is not None), default=None))
                for host, pid1, start, end in self.addresses.spans]

    def judge(self, probes, tolerated=()):
        hosts = self.hosts_of_instances()
        judge = auditrules.Judge(hosts, self.first_holder(hosts), self.epochs, tolerated, self.find_wires())
        for record in self.records:
            judge.feed(record)
        verdict = judge.verdict()
        conflicts = auditrules.find_holding_conflicts(self.holdings()) + auditrules.find_answer_conflicts(probes)
        verdict["address_conflicts"] = len(conflicts)
        verdict["details"] += conflicts
        verdict["holdings"] = [{"host": h, "from_ms": s, "until_ms": e} for h, _, s, e in self.holdings()]
        verdict["records"] = os.path.join(self.directory, "audit.jsonl")
        return verdict


def find_tenure(control_share, before=None):
    """(epoch, node) of the highest epoch (below BEFORE) that has an own, or None."""
    folder = os.path.join(control_share, ".understudy")
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        return None
    owned = sorted(int(m.group(1)) for m in map(auditrules.OWN.match, names) if m)
    owned = [n for n in owned if before is None or n < before]
    if not owned:
        return None
    with open(os.path.join(folder, f"epoch.{owned[-1]}"), encoding="utf-8") as file:
        found = re.search(r"^node=(\S+)$", file.read(), re.M)
    return (owned[-1], found.group(1)) if found else None
