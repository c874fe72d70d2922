#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail traffic of a drill: the sink that counts deliveries, the load, and the prober of the floating address.

usage: traffic.py [--net FD] sink|load|probe OPTIONS...
Each part runs outside the hosts, in the network namespace of the file descriptor FD (the MX's), and writes one JSON
object a line with "ms", CLOCK_BOOTTIME, which all hosts share. SIGTERM ends it."""
import argparse
import asyncio
import ctypes
import fcntl
import json
import os
import re
import select
import signal
import smtplib
import socket
import struct
import sys
import threading
import time

CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
STALL_MS = 50      # the prober is late by more than that: it had no processor
DRILL_DOMAIN = "drill.lab.test"


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


def end_with_parent():
    """A drill that is killed leaves no traffic behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def enter_network(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns to the network namespace of the MX")


class Log:
    """JSON lines, one write each: a reader never sees half a line that stays so."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, **fields):
        fields["ms"] = round(fields.get("ms", now_ms()), 3)
        os.write(self.fd, (json.dumps(fields) + "\n").encode())


# -- sink
class Session:
    """One SMTP session. A message is the sink's when its last dot has come: it is logged before the delay and the 250."""

    def __init__(self, log, delay_ms, answering, reader, writer):
        self.log, self.delay_ms, self.answering, self.reader, self.writer = log, delay_ms, answering, reader, writer
        self.rcpts, self.peer = [], writer.get_extra_info("peername")[0]

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def read_data(self):
        lines = []
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                return None
            if line in (b".\r\n", b".\n"):
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    async def data(self):
        await self.say("354 go on")
        body = await self.read_data()
        if body is None:
            return False
        head = body.partition(b"\r\n\r\n")[0].decode("latin-1")
        found = re.search(r"^Message-ID:\s*<([^@>\s]+)@" + re.escape(DRILL_DOMAIN), head, re.M | re.I)
        slow = re.search(r"^X-Drill-Delay-Ms:\s*(\d+)", head, re.M | re.I)
        self.log.write(id=found.group(1) if found else None, rcpts=self.rcpts, peer=self.peer)
        delay_ms = int(slow.group(1)) if slow else self.delay_ms
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        await self.answering.wait()
        self.rcpts = []
        await self.say("250 taken")
        return True

    async def run(self):
        await self.say("220 sink ESMTP")
        while True:
            line = (await self.reader.readline()).decode("latin-1")
            if not line.endswith("\n"):
                return
            word, _, rest = line.strip().partition(" ")
            word = word.upper()
            if word == "DATA":
                if not await self.data():
                    return
            elif word == "RCPT":
                found = re.search(r"<([^>]*)>", rest)
                self.rcpts.append(found.group(1).lower() if found else rest)
                await self.say("250 ok")
            elif word in ("EHLO", "LHLO"):
                await self.say("250-sink\r\n250-8BITMIME\r\n250 PIPELINING")
            elif word == "QUIT":
                await self.say("221 bye")
                return
            else:
                if word in ("MAIL", "RSET"):
                    self.rcpts = []
                await self.say("250 ok")


async def serve_sink(options):
    """SIGUSR1: messages are taken, but the 250 is held back, until SIGUSR2."""
    log, loop, answering = Log(options.log), asyncio.get_running_loop(), asyncio.Event()
    answering.set()
    loop.add_signal_handler(signal.SIGUSR1, answering.clear)
    loop.add_signal_handler(signal.SIGUSR2, answering.set)

    async def session(reader, writer):
        try:
            await Session(log, options.delay_ms, answering, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(session, options.bind, options.port, limit=1 << 20)
    log.write(event="listening")
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


# -- load
def message_text(options, number, token):
    head = [f"From: {options.sender}", f"To: {options.rcpt}", f"Subject: drill message {number}",
            f"Message-ID: <{token}@{DRILL_DOMAIN}>", f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii"]
    if options.slow_every and number % options.slow_every == 0:
        head.append(f"X-Drill-Delay-Ms: {options.slow_ms}")
    body = [f"This is message {number} of a drill."] + ["x" * 70] * (options.size // 72)
    return "\r\n".join(head + [""] + body) + "\r\n"


def run_load(options):
    """Sends COUNT messages at RATE a second; with --until-stopped at least COUNT, and on until SIGTERM."""
    log, stop = Log(options.log), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    session, number, begin = None, 0, now_ms()
    while not stop.is_set() and (options.until_stopped or number < options.count):
        wait_ms = begin + number * 1000 / options.rate - now_ms()
        if wait_ms > 0 and stop.wait(wait_ms / 1000):
            break
        token = f"{options.prefix}-{number}"
        try:
            if session is None:
                session = smtplib.SMTP(options.host, options.port, timeout=20, local_hostname="load.lab.test")
            session.sendmail(options.sender, [options.rcpt], message_text(options, number, token))
            log.write(event="accepted", id=token, n=number)
        except (OSError, smtplib.SMTPException) as err:
            log.write(event="refused", id=token, n=number, why=str(err)[:200])
            session = None
        number += 1
    if session is not None:
        try:
            session.quit()
        except (OSError, smtplib.SMTPException):
            pass
    log.write(event="done", sent=number)


# -- probe
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Prober:
    """ARP request and ICMP echo every period; LMTP connect often while it fails and seldom while it works."""

    def __init__(self, options):
        self.options, self.log = options, Log(options.log)
        self.target, self.source = socket.inet_aton(options.address), socket.inet_aton(options.source)
        self.interface = self.find_interface(options.source)
        self.arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self.arp.bind((self.interface, 0x0806))
        self.mac = self.arp.getsockname()[4]
        self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.icmp.setblocking(False)
        self.arp.setblocking(False)
        self.ident, self.sequence = os.getpid() & 0xffff, 0
        self.lmtp, self.lmtp_deadline, self.lmtp_next = None, 0.0, 0.0
        self.stop = False

    @staticmethod
    def find_interface(address):
        for _, name in socket.if_nameindex():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                try:
                    reply = fcntl.ioctl(sock, 0x8915, struct.pack("16s24x", name.encode()))
                except OSError:
                    continue
                if socket.inet_ntoa(reply[20:24]) == address:
                    return name
        raise SystemExit(f"traffic.py probe: no interface has {address}")

    def send(self):
        frame = b"\xff" * 6 + self.mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        self.sequence = (self.sequence + 1) & 0xffff
        head = struct.pack("!BBHHH", 8, 0, 0, self.ident, self.sequence)
        echo = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
        for sock, data, to in ((self.arp, frame + self.mac + self.source + b"\0" * 6 + self.target, None),
                               (self.icmp, echo, (self.options.address, 0))):
            try:
                if to is None:
                    sock.send(data)
                else:
                    sock.sendto(data, to)
            except OSError:
                pass        # no neighbour answers: that is what is being measured

    def receive(self):
        for sock in (self.arp, self.icmp):
            while True:
                try:
                    data = sock.recv(2048)
                except OSError:
                    break
                self.judge(sock, data)

    def judge(self, sock, data):
        if sock is self.arp:
            # A reply, or an announcement, that says that the address is at a MAC.
            if len(data) >= 42 and data[28:32] == self.target and data[20:22] in (b"\0\2", b"\0\1"):
                kind = "arp" if data[20:22] == b"\0\2" and data[:6] == self.mac else "announce"
                self.log.write(k=kind, mac=data[22:28].hex(":"))
        elif len(data) >= 28 and data[20] == 0 and data[12:16] == self.target:
            if struct.unpack("!H", data[24:26])[0] == self.ident:
                self.log.write(k="echo", n=struct.unpack("!H", data[26:28])[0])

    def lmtp_start(self, now):
        self.lmtp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.lmtp_deadline = now + 500
        self.lmtp.connect_ex((self.options.address, self.options.lmtp_port))

    def lmtp_end(self, now, greeted):
        self.lmtp.close()
        self.lmtp = None
        self.log.write(k="lmtp", ok=greeted)
        self.lmtp_next = now + (250 if greeted else 10)

    def lmtp_step(self, now):
        if self.lmtp is None:
            if now >= self.lmtp_next:
                self.lmtp_start(now)
            return
        try:
            data = self.lmtp.recv(512)
            self.lmtp_end(now, data.startswith(b"220"))
        except BlockingIOError:
            if now >= self.lmtp_deadline:
                self.lmtp_end(now, False)
        except OSError:
            self.lmtp_end(now, False)

    def run(self):
        poller = select.poll()
        poller.register(self.arp, select.POLLIN)
        poller.register(self.icmp, select.POLLIN)
        self.log.write(event="probing", period_ms=self.options.period_ms)
        following = now_ms()
        while not self.stop:
            now = now_ms()
            if now >= following:
                if now - following > STALL_MS:
                    self.log.write(k="stall", for_ms=now - following)
                self.send()
                following = max(following + self.options.period_ms, now)
            self.lmtp_step(now)
            poller.poll(max(0.5, following - now_ms()))
            self.receive()


def run_probe(options):
    try:
        os.nice(-10)    # its own scheduling delays would be counted as gaps
    except OSError:
        pass
    prober = Prober(options)
    signal.signal(signal.SIGTERM, lambda *_: setattr(prober, "stop", True))
    prober.run()


def parse(argv):
    parser = argparse.ArgumentParser(prog="traffic.py", description=__doc__.splitlines()[0])
    parser.add_argument("--net", type=int, help="descriptor of the network namespace to work in")
    parts = parser.add_subparsers(dest="part", required=True)
    sink = parts.add_parser("sink")
    sink.add_argument("--bind", default="10.77.1.10")
    sink.add_argument("--port", type=int, default=2525)
    sink.add_argument("--delay-ms", type=int, default=0, help="wait so long before each 250")
    load = parts.add_parser("load")
    load.add_argument("--host", default="10.77.1.10")
    load.add_argument("--port", type=int, default=25)
    load.add_argument("--sender", required=True)
    load.add_argument("--rcpt", required=True)
    load.add_argument("--count", type=int, default=200)
    load.add_argument("--rate", type=float, default=12.0)
    load.add_argument("--prefix", default="m")
    load.add_argument("--size", type=int, default=1000)
    load.add_argument("--slow-every", type=int, default=0)
    load.add_argument("--slow-ms", type=int, default=300)
    load.add_argument("--until-stopped", action="store_true")
    probe = parts.add_parser("probe")
    probe.add_argument("--address", default="10.77.1.100")
    probe.add_argument("--source", default="10.77.1.10")
    probe.add_argument("--lmtp-port", type=int, default=8024)
    probe.add_argument("--period-ms", type=float, default=5.0)
    for part in (sink, load, probe):
        part.add_argument("--log", required=True)
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    end_with_parent()
    if options.net is not None:
        enter_network(options.net)
    if options.part == "sink":
        asyncio.run(serve_sink(options))
    elif options.part == "load":
        run_load(options)
    else:
        run_probe(options)


if __name__ == "__main__":
    main(sys.argv[1:])
