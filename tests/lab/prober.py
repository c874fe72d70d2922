# SPDX-License-Identifier: GPL-2.0-or-later
"""The prober of the floating address: a question on the link and an echo every period; LMTP connect often while it fails and
seldom while it works. By ARP for an IPv4 address, by neighbour discovery for an IPv6 one; what it writes is the same."""
import ctypes
import fcntl
import os
import select
import socket
import struct
import time

STALL_MS = 50      # it is late by more than that: it had no processor
SO_ATTACH_FILTER = 26
SOLICITATION, ADVERTISEMENT, ECHO, ECHO_REPLY = 135, 136, 128, 129


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Prober:
    family, protocol = socket.AF_INET, 0x0806

    def __init__(self, options, log):
        self.options, self.log = options, log
        self.target, self.source = (socket.inet_pton(self.family, text) for text in (options.address, options.source))
        self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.prepare_link()
        self.link.bind((self.find_interface(), self.protocol))
        self.mac = self.link.getsockname()[4]
        self.echo = socket.socket(self.family, socket.SOCK_RAW,
                                  socket.IPPROTO_ICMP if self.family == socket.AF_INET else socket.IPPROTO_ICMPV6)
        self.echo.setblocking(False)
        self.link.setblocking(False)
        self.ident, self.sequence = os.getpid() & 0xffff, 0
        self.lmtp, self.lmtp_deadline, self.lmtp_next = None, 0.0, 0.0
        self.stop = False

    def prepare_link(self):
        pass

    def find_interface(self):
        for _, name in socket.if_nameindex():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                try:
                    reply = fcntl.ioctl(sock, 0x8915, struct.pack("16s24x", name.encode()))
                except OSError:
                    continue
                if reply[20:24] == self.source:
                    return name
        raise SystemExit(f"traffic.py probe: no interface has {self.options.source}")

    def question(self):
        frame = b"\xff" * 6 + self.mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        return frame + self.mac + self.source + b"\0" * 6 + self.target

    def echo_request(self):
        head = struct.pack("!BBHHH", 8, 0, 0, self.ident, self.sequence)
        return head[:2] + struct.pack("!H", checksum(head)) + head[4:]

    def send(self):
        self.sequence = (self.sequence + 1) & 0xffff
        for sock, data, to in ((self.link, self.question(), None), (self.echo, self.echo_request(), (self.options.address, 0))):
            try:
                if to is None:
                    sock.send(data)
                else:
                    sock.sendto(data, to)
            except OSError:
                pass        # no neighbour answers: that is what is being measured

    def receive(self):
        for sock, judge in ((self.link, self.judge_link), (self.echo, self.judge_echo)):
            while True:
                try:
                    data, source = sock.recvfrom(2048)
                except OSError:
                    break
                judge(data, source)

    def judge_link(self, data, _source):
        # A reply, or an announcement, that says that the address is at a MAC.
        if len(data) >= 42 and data[28:32] == self.target and data[20:22] in (b"\0\2", b"\0\1"):
            kind = "arp" if data[20:22] == b"\0\2" and data[:6] == self.mac else "announce"
            self.log.write(k=kind, mac=data[22:28].hex(":"))

    def judge_echo(self, data, _source):
        if len(data) >= 28 and data[20] == 0 and data[12:16] == self.target:
            self.note_echo(data[24:28])

    def note_echo(self, ident_and_number):
        ident, number = struct.unpack("!HH", ident_and_number)
        if ident == self.ident:
            self.log.write(k="echo", n=number)

    def lmtp_start(self, now):
        self.lmtp = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
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
        poller.register(self.link, select.POLLIN)
        poller.register(self.echo, select.POLLIN)
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


class Prober6(Prober):
    family, protocol = socket.AF_INET6, 0x86dd

    def prepare_link(self):
        """Advertisements only: the mail itself passes here too."""
        code = ((0x30, 0, 0, 20), (0x15, 0, 3, 58), (0x30, 0, 0, 54), (0x15, 0, 1, ADVERTISEMENT), (0x06, 0, 0, 2048), (0x06, 0, 0, 0))
        block = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
        self.link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(code), ctypes.addressof(block)))

    def find_interface(self):
        with open("/proc/thread-self/net/if_inet6", encoding="ascii") as file:
            for line in file:
                words = line.split()
                if bytes.fromhex(words[0]) == self.source:
                    return words[5]
        raise SystemExit(f"traffic.py probe: no interface has {self.options.source}")

    def question(self):
        group = bytes.fromhex("ff0200000000000000000001ff") + self.target[13:]
        body = self.target + b"\x01\x01" + self.mac
        head = struct.pack("!BBHI", SOLICITATION, 0, 0, 0)
        total = checksum(self.source + group + struct.pack("!II", len(head + body), 58) + head + body)
        packet = struct.pack("!IHBB", 6 << 28, len(head + body), 58, 255) + self.source + group
        return b"\x33\x33" + group[12:] + self.mac + b"\x86\xdd" + packet + head[:2] + struct.pack("!H", total) + head[4:] + body

    def echo_request(self):
        return struct.pack("!BBHHH", ECHO, 0, 0, self.ident, self.sequence)     # the kernel sums it up

    def judge_link(self, data, _source):
        if len(data) >= 78 and data[20] == 58 and data[54] == ADVERTISEMENT and data[62:78] == self.target:
            named = len(data) >= 86 and data[78:80] == b"\x02\x01"
            self.log.write(k="arp" if data[:6] == self.mac else "announce", mac=(data[80:86] if named else data[6:12]).hex(":"))

    def judge_echo(self, data, source):
        if len(data) >= 8 and data[0] == ECHO_REPLY and socket.inet_pton(self.family, source[0]) == self.target:
            self.note_echo(data[4:8])
