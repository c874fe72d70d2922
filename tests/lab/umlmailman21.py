# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in for Mailman 2.1 on two real NFS clients: one VAR_PREFIX on the list share, programs from this machine, a relay and
a mail exchanger on this side."""
import pathlib
import queue
import socket
import subprocess
import threading
import time

import umlproduct
from umlsender import GATEWAY, LIST, MX_PORT

HERE = pathlib.Path(__file__).resolve().parent
STANDIN = HERE.parent / "mailman21"
VAR = "/srv/lists/mm"
LOCKS = f"{VAR}/locks"
RECIPIENTS = ("r1@lab.test", "r2@lab.test")
RELAY_PORT = 2525
RUNNERS = ("ArchRunner", "IncomingRunner", "OutgoingRunner")
AHEAD = 10


class Exchanger:
    """Gives numbers to the hosts that post, a few more than RELAY has got, and those that one has not confirmed to another one."""

    def __init__(self, listener, relay):
        self.relay = relay
        self.todo, self.numbers, self.listener, self.lock = {}, {}, listener, threading.Lock()
        self.queued, self.bounced, self.open = set(), [], set()
        listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def give(self, name, numbers):
        todo = self.todo.setdefault(name, queue.SimpleQueue())
        for number in numbers:
            todo.put(number)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock, sock.makefile("rw", encoding="ascii") as stream:
            todo = self.todo[stream.readline().strip()]
            while (number := todo.get()) is not None:
                while len(self.queued) > self.relay.messages + AHEAD:
                    time.sleep(0.05)
                with self.lock:
                    self.open.add(number)
                try:
                    stream.write(f"{number}\n")
                    stream.flush()
                    answer = stream.readline().split()
                except OSError:
                    answer = []
                if not answer:
                    return
                with self.lock:
                    self.open.discard(number)
                    if answer[1] == "queued":
                        self.queued.add(number)
                    else:
                        self.bounced.append(number)

    def move(self, name, other):
        """What the dead host NAME has not confirmed goes to OTHER; the numbers that were in its hands."""
        with self.lock:
            in_hands, rest = self.open & self.numbers[name], self.numbers[name] - self.queued
        self.give(other, sorted(rest))
        return in_hands

    def start(self, numbers):
        """NUMBERS: name -> set."""
        self.numbers.update(numbers)
        for name, mine in numbers.items():
            self.give(name, sorted(mine))


def bound(network, port):
    sock = network.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((GATEWAY, port))
    return sock


class Standin:
    """Installed, with its site list and a list of two members; nothing runs."""

    def __init__(self, cluster):
        self.cluster, self.prefix = cluster, cluster.dir / "mm"
        script = (f"mount -t tmpfs none /srv && exec /usr/bin/python3 {STANDIN}/install.py {self.prefix} {VAR} "
                  f"\"SMTPHOST='{GATEWAY}'\" SMTPPORT={RELAY_PORT} QRUNNER_SLEEP_TIME=0.5 \"QRUNNERS={[(r, 1) for r in RUNNERS]}\"")
        subprocess.run(["/usr/bin/unshare", "-m", "/bin/sh", "-ec", script], check=True)
        code = f"import sys; sys.path[:0] = [{str(self.prefix / 'Mailman')!r}]; import mmconf; mmconf.make_folders()"
        cluster.server.shell("mkdir -p /srv/lists; mount --bind /export/lists /srv/lists\n"
                             "mkdir -p /srv/lists/mm; chown list:list /srv/lists/mm")
        cluster.server.ok(["/usr/bin/python3", "-c", code], user="list")
        for name in ("mailman", LIST):
            self.program("a", "bin/newlist", "-q", name, "owner@lab.test", "secret")
        self.conf = "/etc/understudy/mailman2.conf"
        for client in cluster.clients.values():
            client.ok(["/usr/bin/tee", self.conf], stdin=umlproduct.CONF.format(service="mailman2", more=(
                f"prefix = {self.prefix}\nvar_prefix = {VAR}\nrunners = {' '.join(RUNNERS)}\n")))
        self.program("a", "bin/add_members", "-r", "-", LIST, stdin="".join(f"{r}\n" for r in RECIPIENTS))

    def program(self, name, path, *args, **how):
        return self.cluster[name].ok([self.prefix / path, *args], user="list", timeout=120, **how)

    def begin(self, name, word, argument):
        modules = f"{self.prefix}/Mailman"
        return self.cluster[name].begin(["/usr/bin/python3", HERE / "umlsender.py", word, argument], user="list",
                                        env={"MAILMAN21_CFG": f"{modules}/mm_cfg.py", "PYTHONPATH": modules})

    def recover(self, name, number, *args):
        return self.cluster.state(name, "--config", self.conf, "recover", "--epoch", str(number), *args)

    def start(self, name):
        """Mailman; returns what a refused start says."""
        done = self.cluster[name].run([self.prefix / "bin/mailmanctl", "-q", "start"], user="list", timeout=120)
        assert done.code == 0, done
        return done.err

    def stop(self, name):
        self.program(name, "bin/mailmanctl", "-q", "stop")

    def at_server(self, text):
        return self.cluster.server.shell(f"cd {VAR.replace('/srv/', '/export/')}; {text}")

    def entries(self, extension="pck", queues="in out archive"):
        listing = self.at_server(f"for q in {queues}; do ls qfiles/$q; done")
        return [line for line in listing.splitlines() if line.endswith("." + extension)]

    def in_hands(self):
        """Numbers of the messages that a runner had in its hands."""
        text = self.at_server("cat qfiles/*/*.bak 2>/dev/null | grep -aoE '<[0-9]+@lab.test>' || :")
        return {int(line[1:].partition("@")[0]) for line in text.splitlines()}
