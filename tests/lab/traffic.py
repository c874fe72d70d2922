#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail traffic of a drill: the sink that counts deliveries, the load, and the prober of the floating address.

usage: traffic.py [--net FD] sink|load|probe OPTIONS...
Each part runs outside the hosts, in the network namespace of the file descriptor FD (the MX's), and writes one JSON
object a line with "ms", CLOCK_BOOTTIME, which all hosts share. SIGTERM ends it."""
import argparse
import asyncio
import ctypes
import json
import os
import re
import signal
import smtplib
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labns  # noqa: E402  pylint: disable=wrong-import-position
from prober import Prober, Prober6  # noqa: E402  pylint: disable=wrong-import-position

CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
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
def run_probe(options):
    try:
        os.nice(-10)    # its own scheduling delays would be counted as gaps
    except OSError:
        pass
    labns.session_nice()
    prober = (Prober6 if ":" in options.address else Prober)(options, Log(options.log))
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
