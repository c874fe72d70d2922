#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""understudy-post: what the list host's MTA is told, by what the gate and Mailman say, and where the message goes."""
import os
import socketserver
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
from program import eq, main, test  # noqa: E402

TOP = os.environ.get("top_srcdir", ".")
POST = os.path.join(TOP, "resource/understudy-post")
TEXT = "From: x@lab.test\nSubject: s\n\nbody\n"
CLOSED = "exit 1"
SILENT = "understudy: gate closed (share-silent): the control share does not answer; see"


class World:
    """Programs in the place of understudy, which lets through or not, of Mailman, and of ip."""

    def __init__(self, gate, mailman="exit 0", here=False):
        self.folder = tempfile.mkdtemp(prefix="post_test.")
        self.log, self.prefix = f"{self.folder}/log", f"{self.folder}/mm"
        self.program("understudy", f'[ "$1 $2 $3" = "gate --quiet --" ] || exit 9\nshift 3\n{gate}')
        self.program("mm/mail/mailman", f'echo "$@" >> {self.log}\ncat >> {self.log}\n{mailman}')
        self.program("ip", f'echo "2: eth0 inet {"192.0.2.100" if here else "192.0.2.1"}/24"')
        with open(POST, encoding="utf-8") as file:      # its own PATH is for the host's real ip
            text = file.read().replace("PATH=/usr/sbin:", f"PATH={self.folder}:/usr/sbin:")
        self.program("post", text.split("\n", 1)[1])

    def program(self, name, text):
        os.makedirs(os.path.dirname(f"{self.folder}/{name}"), exist_ok=True)
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(f"{self.folder}/{name}", 0o755)

    def post(self, recipient="test@lab.test", floating="192.0.2.100", sender="x@lab.test"):
        done = subprocess.run([f"{self.folder}/post", self.prefix, floating, sender, recipient], input=TEXT, text=True, check=False,
                              capture_output=True, env={"PATH": f"{self.folder}:/usr/bin:/bin"}, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def done(self):
        if not os.path.exists(self.log):
            return None
        with open(self.log, encoding="utf-8") as file:
            return file.read()


@test
def through_the_gate_into_mailman():
    for recipient, words in (("test@lab.test", "post test"), ("test-bounces@lab.test", "bounces test"), ("a-b@lab.test", "post a-b"),
                             ("a-b-request@lab.test", "request a-b"), ("test-bounces+x=y.z@lab.test", "bounces test"),
                             ("test-confirm+abc@lab.test", "confirm test"), ("test-unsubscribe@lab.test", "unsubscribe test")):
        w = World('exec "$@"')
        eq((w.post(recipient), w.done()), ((0, ""), f"{words}\n{TEXT}"))


@test
def only_a_list_that_is_not_there_is_for_good():
    eq(World('exec "$@"', "echo post script, list not found: test >&2; exit 1").post()[0], 67)
    for mailman in ("echo 'IOError: [Errno 28] No space left on device' >&2; exit 1", "echo x >&2; exit 127", "echo x >&2; kill -9 $$",
                    "echo x >&2; exit 75", "echo group mismatch error >&2; exit 2"):
        code, said = World('exec "$@"', mailman).post()
        eq(code, 75, mailman)
        assert said, mailman


@test
def where_the_gate_is_closed_mailman_is_not_started():
    for gate in (CLOSED, f"echo '{SILENT}' >&2; exit 1"):
        w = World(gate, here=True)
        eq((w.post()[0], w.done()), (75, None))


@test
def a_node_that_is_not_active_keeps_nothing():
    got = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 active node\r\n")
            for line in self.rfile:
                got.append(line.decode().strip())
                if line.upper() == b"DATA\r\n":
                    self.wfile.write(b"354 go on\r\n")
                    got.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if line.upper() == b"QUIT\r\n" else b"250 ok\r\n")
                if line.upper() == b"QUIT\r\n":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        w = World(CLOSED)
        floating = f"127.0.0.1:{server.server_address[1]}"
        eq(w.post(floating=floating, sender="MAILER-DAEMON"), (0, ""))
        eq(w.done(), None)
        server.shutdown()
    assert any(word.lower().startswith("mail from:<>") for word in got), got
    assert "rcpt TO:<test@lab.test>".lower() in [word.lower() for word in got], got
    assert TEXT.replace("\n", "\r\n") in got, got
    code, said = w.post(floating=floating)              # nobody is there any more
    eq(code, 75)
    assert "passing it on to" in said, said


if __name__ == "__main__":
    sys.exit(main())
