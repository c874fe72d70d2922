#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A watchdog as a machine has one, outside of the host: watchdogshim.c is its device there.

Armed by the open, it bites unless it is petted within its timeout; only a close after a 'V' ends that, and not even that
one with nowayout. By itself (labwatchdog.py SOCKET LOG [MODE]) it serves the executor's unit test and writes what it is
asked into LOG, a line each with the milliseconds of CLOCK_BOOTTIME; the bite is the line "BITE"."""
import errno
import os
import select
import socket
import sys
import threading
import time

WDIOF_SETTIMEOUT, WDIOF_MAGICCLOSE, WDIOF_KEEPALIVEPING = 0x80, 0x100, 0x8000
# busy: another one has it; absent: there is none; fixed: the timeout can not be set; other: it takes another timeout;
# plain: the driver has no magic close, every close disarms; slow: the open takes its time.
MODES = ("ok", "busy", "absent", "fixed", "other", "plain", "nowayout", "slow")
SLOW_S = 0.3
TIMEOUT_MAX_S = 600


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


class Watchdog:
    """Serves in a thread of its own. BITE() is called in that thread, TELL(word) for each request."""

    def __init__(self, path, bite, tell=lambda word: None, mode="ok"):
        self.bite, self.tell, self.mode = bite, tell, mode
        self.holder = self.deadline_ms = None
        self.timeout_s, self.magic, self.pets = 60, False, 0
        self.forget = False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.connections = []
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def start(self):
        self.thread.start()
        return self

    @property
    def armed(self):
        return self.deadline_ms is not None

    def reset(self):
        """The machine begins anew: whatever was armed is not any more, and who had it is gone."""
        self.forget = True

    def serve(self):
        while True:
            ready, _, _ = select.select([self.listener, *self.connections], [], [], 0.05)
            if self.forget:
                self.forget = False
                self.deadline_ms = None
                for connection in list(self.connections):
                    self.drop(connection)
                continue
            if self.armed and now_ms() >= self.deadline_ms:
                self.deadline_ms = None
                self.tell("BITE")
                self.bite()
            for sock in ready:
                if sock is self.listener:
                    self.connections.append(sock.accept()[0])
                elif sock in self.connections:
                    self.take(sock)

    def drop(self, connection):
        self.connections.remove(connection)
        connection.close()
        if self.holder is connection:
            self.holder = None

    def take(self, connection):
        try:
            words = connection.recv(64).decode("ascii").split()
        except OSError:
            words = []
        if not words:
            if self.holder is connection:
                self.closed()
            self.drop(connection)
            return
        answer = self.answer(connection, words)
        self.tell(" ".join(words) + ("" if answer == 0 else f" = {answer}"))
        try:
            connection.send(str(answer).encode("ascii"))
        except OSError:
            pass

    def closed(self):
        self.tell("close")
        if self.mode != "nowayout" and (self.magic or self.mode == "plain"):
            self.deadline_ms = None
            self.tell("disarmed")

    def answer(self, connection, words):
        if words == ["open"]:
            return self.open(connection)
        if connection is not self.holder:
            return -errno.EBADF
        if words[0] == "timeout":
            return self.set_timeout(int(words[1]))
        return {"support": self.support, "gettimeout": lambda: self.timeout_s, "pet": self.pet, "V": self.write_v,
                "write": self.pet, "disable": self.disable}.get(words[0], lambda: -errno.EINVAL)()

    def open(self, connection):
        if self.mode == "slow":
            time.sleep(SLOW_S)
        if self.mode == "absent":
            return -errno.ENOENT
        if self.mode == "busy" or self.holder:
            return -errno.EBUSY
        self.holder, self.magic, self.pets = connection, False, 0
        return self.pet()

    def support(self):
        return WDIOF_KEEPALIVEPING | (0 if self.mode == "fixed" else WDIOF_SETTIMEOUT) | \
            (0 if self.mode == "plain" else WDIOF_MAGICCLOSE)

    def set_timeout(self, seconds):
        if self.mode == "fixed":
            return -errno.EOPNOTSUPP
        if not 1 <= seconds <= TIMEOUT_MAX_S:
            return -errno.EINVAL
        self.timeout_s = 2 * seconds if self.mode == "other" else seconds
        self.pet()
        return 0

    def pet(self):
        self.magic = False
        self.pets += 1
        self.deadline_ms = now_ms() + self.timeout_s * 1000
        return 0

    def write_v(self):
        self.pet()
        self.magic = True
        return 0

    def disable(self):
        if self.mode == "nowayout":
            return -errno.EBUSY
        self.deadline_ms = None
        return 0


def main():
    path, log = sys.argv[1:3]
    mode = sys.argv[3] if len(sys.argv) > 3 else "ok"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    Watchdog(path, lambda: None, lambda word: os.write(fd, f"{now_ms()} {word}\n".encode("ascii")), mode).start()
    os.write(1, b"ready\n")
    sys.stdin.read()    # until the test ends


if __name__ == "__main__":
    main()
