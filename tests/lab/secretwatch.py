#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for secrets in the arguments and the environment of every process, at its exec and every 50 ms.

Reads the secrets from standard input, one a line, until its end; says `ready`; on SIGTERM prints one JSON object: execs
(seen), missed (gone before they could be read), scans, found (pid, where, and the process's program and first words)."""
import json
import os
import select
import signal
import socket
import struct
import sys

NETLINK_CONNECTOR, CN_IDX_PROC, PROC_CN_MCAST_LISTEN, PROC_EVENT_EXEC = 11, 1, 1, 0x2
SCAN_MS = 50


def listen():
    """Process events of the kernel; only in the first PID and network namespaces."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((0, CN_IDX_PROC))
    sock.send(struct.pack("=IHHII", 40, 3, 0, 0, os.getpid()) + struct.pack("=IIIIHHI", CN_IDX_PROC, 1, 0, 0, 4, 0,
                                                                          PROC_CN_MCAST_LISTEN))
    sock.setblocking(False)
    return sock


class Watch:
    def __init__(self, secrets):
        self.secrets, self.found, self.execs, self.missed, self.scans = secrets, {}, 0, 0, 0
        self.ending = False

    def look(self, pid):
        """False when PID has gone."""
        try:
            for where in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{where}", "rb") as file:
                    text = file.read()
                if any(secret in text for secret in self.secrets):
                    self.note(pid, where)
            return True
        except OSError:
            return False

    def note(self, pid, where):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
        self.found.setdefault((pid, where), {"pid": pid, "where": where, "program": words[:2]})

    def take(self, sock):
        while True:
            try:
                data = sock.recv(8192)
            except BlockingIOError:
                return
            if len(data) >= 60 and struct.unpack_from("=I", data, 36)[0] == PROC_EVENT_EXEC:
                self.execs += 1
                self.missed += not self.look(struct.unpack_from("=I", data, 52)[0])

    def scan(self):
        self.scans += 1
        for name in os.listdir("/proc"):
            if name.isdigit():
                self.look(int(name))

    def run(self, sock):
        def end(*_):
            self.ending = True
        signal.signal(signal.SIGTERM, end)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not self.ending:
            if select.select([sock], [], [], SCAN_MS / 1000)[0]:
                self.take(sock)
            else:
                self.scan()


def main():
    watch = Watch([line.encode() for line in sys.stdin.read().split()])
    with listen() as sock:
        watch.run(sock)
    json.dump({"execs": watch.execs, "missed": watch.missed, "scans": watch.scans, "found": list(watch.found.values())},
              sys.stdout)


main()
