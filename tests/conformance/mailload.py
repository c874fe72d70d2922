# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail through a real Mailman in a host of its own: an LMTP client that retries as an MX does, and a sink behind it."""
import json
import os
import subprocess
import time

import agentlib

LIST = "test@lab.test"
MAILMAN = "/usr/lib/mailman3/bin/mailman"
AS_LIST = ("setpriv", "--reuid=list", "--regid=list", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin")

# SMTP: counts a message when its dot has come, answers after a delay; the file `hold` makes it answer never.
SINK = r"""
    import os, re, socket, sys, threading, time
    log, hold, delay = open(sys.argv[1], 'a', buffering=1), sys.argv[2], float(sys.argv[3])
    def talk(c):
        f = c.makefile('rb')
        say = lambda t: c.sendall(t + b'\r\n')
        rcpts, say_ = [], say(b'220 sink')
        for line in f:
            word = line[:4].upper()
            if word == b'RCPT':
                rcpts.append(line.split(b'<')[1].split(b'>')[0].decode())
            if word == b'DATA':
                say(b'354 go on')
                text = b''
                for line in f:
                    if line == b'.\r\n':
                        break
                    text += line
                else:
                    return
                while os.path.exists(hold):
                    time.sleep(0.02)
                number = re.search(rb'Message-ID: <n([0-9]+)@', text, re.I)
                for rcpt in rcpts:
                    print(int(number.group(1)) if number else -1, rcpt, file=log)
                rcpts = []
                time.sleep(delay)
            say(b'221 bye' if word == b'QUIT' else b'250 ok')
            if word == b'QUIT':
                return
    def serve(c):
        try:
            talk(c)
        except OSError:
            pass
        c.close()
    s = socket.create_server(('127.0.0.1', 2525), backlog=64)
    print('up', flush=True)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""

# LMTP: messages FIRST.. until `stop` exists; each until its 250. One session as long as it lasts. A backlog is kept, but a
# small one: a busy machine has to get through it afterwards.
LOAD = r"""
    import os, smtplib, sys, time
    log, stop, sender, first, queue = open(sys.argv[1], 'a', buffering=1), *sys.argv[2:4], int(sys.argv[4]), sys.argv[5]
    connect, port = {'LMTP': smtplib.LMTP, 'SMTP': smtplib.SMTP}[sys.argv[6]], int(sys.argv[7])
    session, number = None, first
    print('up', flush=True)
    while not os.path.exists(stop):
        text = f'From: {sender}\r\nTo: test@lab.test\r\nSubject: n{number}\r\nMessage-ID: <n{number}@load>\r\n\r\nx\r\n'
        while len(os.listdir(queue)) > 30 and not os.path.exists(stop):
            time.sleep(0.05)
        try:
            session = session or connect('127.0.0.1', port, timeout=20)
            session.sendmail(sender, ['test@lab.test'], text)
            print(number, file=log)
            number += 1
        except smtplib.SMTPResponseException as error:
            if sys.argv[6] == 'SMTP' and error.smtp_code < 500:     # the MX tries again
                time.sleep(0.1)
                continue
            print('refused', number, error, flush=True)
            break
        except (OSError, smtplib.SMTPException):
            session = None
            time.sleep(0.02)
    print('done', number - first, flush=True)
"""


class Load:
    """Sink and client in the host of `service`, whose Mailman sends to the sink."""
    PROTOCOL, PORT = "LMTP", 8024
    QUEUES, FLOW = "var/queue", ("in", "pipeline", "out", "virgin")

    def __init__(self, service, delay=0.03, sender="a1@lab.test", first=0):
        self.service, self.folder = service, service.folder
        self.accepted_log, self.delivered_log = f"{self.folder}/accepted", f"{self.folder}/delivered"
        self.hold, self.stop_file = f"{self.folder}/hold", f"{self.folder}/stop"
        for path in (self.accepted_log, self.delivered_log, self.hold, self.stop_file):
            if os.path.exists(path):
                os.unlink(path)
        self.sink = service.host.python(SINK, self.delivered_log, self.hold, str(delay))
        assert self.sink.stdout.readline() == "up\n"
        self.sender, self.next, self.client = sender, first, None

    def start(self):
        self.client = self.service.host.python(LOAD, self.accepted_log, self.stop_file, self.sender, str(self.next),
                                               f"{self.folder}/{self.QUEUES}/in", self.PROTOCOL, str(self.PORT))
        assert self.client.stdout.readline() == "up\n"

    def stop(self):
        with open(self.stop_file, "w", encoding="ascii"):
            pass
        last = self.client.stdout.readline()
        assert last.startswith("done"), last
        self.client.wait(30)
        self.next += int(last.split()[1])
        os.unlink(self.stop_file)

    def answer(self, silent):
        if silent:
            with open(self.hold, "w", encoding="ascii"):
                pass
        else:
            os.unlink(self.hold)

    def accepted(self):
        return [int(line) for line in lines(self.accepted_log)]

    def delivered(self):
        return [(int(number), rcpt) for number, rcpt in (line.split() for line in lines(self.delivered_log))]

    def flows(self, more=10, timeout_s=120):
        """Waits until so many more deliveries have come: what was started is at work."""
        wanted, deadline = len(self.delivered()) + more, time.monotonic() + timeout_s
        while len(self.delivered()) < wanted:
            assert time.monotonic() < deadline, (len(self.delivered()), wanted)
            time.sleep(0.02)

    def queued(self, *queues):
        return {queue: [n for n in os.listdir(f"{self.folder}/{self.QUEUES}/{queue}") if n != "README"] for queue in queues}

    def drain(self, timeout_s=240):
        deadline = time.monotonic() + timeout_s
        while left := {queue: len(names) for queue, names in self.queued(*self.FLOW).items() if names}:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)

    def count(self):
        """Lost, repeated, shunted, bad; after drain()."""
        got, wanted = self.delivered(), set(self.accepted())
        # The last message may have been accepted without its sender having seen it.
        lost = sum((number, rcpt) not in set(got) for number in wanted for rcpt in ("a1@lab.test", "a2@lab.test"))
        aside = self.queued("shunt", "bad")
        return {"lost": lost, "repeated": len(got) - len(set(got)), "shunt": len(aside["shunt"]), "bad": len(aside["bad"])}

    def end(self):
        for process in (self.client, self.sink):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return file.read().splitlines()


def make_list(folder):
    """Before any start, and in no host: nothing is sent."""
    for words, text in ((("create", LIST), ""), (("addmembers", "-w", "-", LIST), "a1@lab.test\na2@lab.test\n")):
        subprocess.run([*AS_LIST, MAILMAN, "-C", f"{folder}/mailman.cfg", *words], input=text, text=True, check=True,
                       capture_output=True)


def held_messages(folder):
    """Numbers of the messages that wait for a moderator."""
    code = ("import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); "
            "print(len(d.execute('select 1 from _request where request_type = 1').fetchall()))")
    done = subprocess.run([agentlib.PYTHON, "-I", "-c", code, f"{folder}/var/data/mailman.db"], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)
