# SPDX-License-Identifier: GPL-2.0-or-later
"""A share that misbehaves for one host: understudy-faultfs, its rules, and the wire that outlives the host.

A rule is OP[+OP...]=KIND[:ARG][,path=GLOB][,count=N]; tests/lab/README has the words."""
import json
import os
import shutil
import socket
import subprocess
import time

import labns

PROGRAM = "understudy-faultfs"
FSTYPE = "fuse.faultfs"     # as mountinfo has it
SEEN_S = 10.0


class FaultError(Exception):
    """A rule that is not understood, or a share that is not there to take it."""


def find_program(build):
    path = os.path.join(build or "", "tests/lab", PROGRAM)
    if not os.access(path, os.X_OK):
        raise FaultError(f"{path} is missing: a share that misbehaves needs a build that found libfuse (apt-get install "
                         "libfuse3-dev, then configure and make again); give it with --build")
    if not os.path.exists("/dev/fuse"):
        raise FaultError("/dev/fuse is missing: this machine's kernel has no FUSE (modprobe fuse)")
    return path


def prepare(directory, build, hosts):
    """A copy of the program that lives as long as the lab, and a folder of rules for each host."""
    target = os.path.join(directory, "faults", PROGRAM)
    os.makedirs(os.path.dirname(target))
    shutil.copy(find_program(build), target)
    for host in hosts:
        os.mkdir(rules_folder(directory, host))


def rules_folder(directory, host):
    return os.path.join(directory, "faults", host)


def bind(directory, host, name, source, target):
    """The entry of a host's binds that labinit mounts through the program."""
    return {"source": source, "target": target, "faulty": name, "program": os.path.join(directory, "faults", PROGRAM),
            "rules": rules_folder(directory, host)}


class Rules:
    """The rules of one share of one host."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name

    def path(self, what):
        return os.path.join(self.folder, f"{self.name}.{what}")

    def read(self):
        """The rules that were set last."""
        try:
            with open(self.path("rules"), encoding="utf-8") as file:
                return file.read().splitlines()[1:]
        except FileNotFoundError:
            return []

    def set(self, rules, running=True):
        """These rules, in their order, instead of those before. RUNNING: returns when they are in force."""
        if not os.path.isdir(self.folder):
            raise FaultError("the hosts' shares are plain: `lab up --faulty` makes those that can misbehave")
        generation = labns.boottime_ms()
        last = self.seen()[0]
        generation = max(generation, last + 1)
        before = self.read()
        labns.write_atomically(self.path("rules"), "\n".join([f"generation {generation}", *rules]) + "\n")
        if running:
            self._wait_seen(generation, before)

    def seen(self):
        try:
            with open(self.path("seen"), encoding="utf-8") as file:
                number, _, word = file.read().strip().partition(" ")
                return int(number), word
        except FileNotFoundError:
            return 0, ""

    def _wait_seen(self, generation, before):
        deadline = time.monotonic() + SEEN_S
        while self.seen()[0] != generation:
            if time.monotonic() >= deadline:
                raise FaultError(f"the share {self.name} does not take its rules; does its {PROGRAM} still run, and is it paused?")
            time.sleep(0.002)
        word = self.seen()[1]
        if word != "ok":
            self.set(before)
            raise FaultError(f"{word}; tests/lab/README has the operations and kinds. The rules are as before")

    def hits(self, since=0):
        """What the rules have met, from the SINCEth on."""
        try:
            with open(self.path("hits"), encoding="utf-8", errors="replace") as file:
                return [json.loads(line) for line in file.read().splitlines()[since:]]
        except FileNotFoundError:
            return []

    def deliveries(self):
        """What the wire has delivered: `alone` when the host had gone by then."""
        try:
            with open(self.path("wire"), encoding="utf-8", errors="replace") as file:
                return [json.loads(line) for line in file.read().splitlines()]
        except FileNotFoundError:
            return []


def start_wires(binds):
    """The wires of a host's shares that misbehave: [(name, process, the other end of its socket)]."""
    return [(entry["faulty"], *start_wire(entry)) for entry in binds if "faulty" in entry]


def start_wire(entry):
    """(process, the other end of its socket) for an entry of a host's binds."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen([entry["program"], "wire", entry["source"], os.path.join(entry["rules"], entry["faulty"] + ".wire"),
                                    str(its.fileno())], pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, cwd="/",
                                   start_new_session=True)
    return process, ours


def mount(entry, point, wire_fd=None):
    """Mounts it at POINT in this mount namespace; the process that serves it, in this process namespace."""
    words = [] if wire_fd is None else [str(wire_fd)]
    process = subprocess.Popen([entry["program"], "mount", entry["faulty"], entry["source"], point, entry["rules"], *words],
                               pass_fds=[] if wire_fd is None else [wire_fd], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, cwd="/", start_new_session=True)
    with process.stdout:
        if process.stdout.readline() != b"ready\n":
            raise FaultError(f"{entry['target']}: {PROGRAM} does not mount it")
    return process
