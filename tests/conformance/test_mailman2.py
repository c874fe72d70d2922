# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:understudy:mailman2 with the stand-in for Mailman 2.1 (tests/mailman21), in a host of its own."""
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import agentlib
import mailload
from test_release import share_make

sys.path.insert(0, f"{agentlib.SOURCE}/tests/mailman21")
import install  # noqa: E402  pylint: disable=wrong-import-position

needs = agentlib.why_not()
pytestmark = pytest.mark.skipif(bool(needs), reason=needs or "-")

AGENT = agentlib.built("resource/mailman2")
INTAKE = agentlib.built("resource/understudy-intake")
PORT = 8025
RUNNERS = ("ArchRunner", "BounceRunner", "CommandRunner", "IncomingRunner", "NewsRunner", "OutgoingRunner", "VirginRunner", "RetryRunner")
SETTINGS = {"SMTPHOST": "'127.0.0.1'", "SMTPPORT": "2525", "DEFAULT_EMAIL_HOST": "'lab.test'", "QRUNNER_SLEEP_TIME": "0.2",
            "MAX_RESTARTS": "2", "REGISTER_BOUNCES_EVERY": "1"}

# The host's own MTA, without a queue: SMTP that answers 250 once post has ended with 0. To what Mailman sends through it, it takes
# its time to answer, and then takes it.
MTA = r"""
    import socket, subprocess, sys, threading, time
    post = sys.argv[2:]
    def talk(c):
        f = c.makefile('rb')
        say = lambda t: c.sendall(t + b'\r\n')
        say(b'220 mta')
        for line in f:
            word = line[:4].upper()
            if word == b'MAIL':
                out = b'<test-bounces@' in line.lower()
                time.sleep(1.5 if out else 0)
            if word == b'DATA':
                say(b'354 go on')
                text = b''
                for line in f:
                    if line == b'.\r\n':
                        break
                    text += line
                else:
                    return
                say(b'451 later' if not out and subprocess.run(post, input=text, stderr=subprocess.DEVNULL).returncode else b'250 ok')
                continue
            say(b'221 bye' if word == b'QUIT' else b'250 ok')
            if word == b'QUIT':
                return
    def serve(c):
        try:
            talk(c)
        except OSError:
            pass
        c.close()
    s = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=64)
    print('up', flush=True)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


class Load(mailload.Load):
    PROTOCOL, PORT = "SMTP", PORT
    QUEUES, FLOW = "var/qfiles", ("in", "out", "virgin", "archive")


class Service:
    """The stand-in in a folder, a host with an MTA, and the agent."""

    def __init__(self, folder, mta=True):
        self.folder, self.locks, self.prefix = folder, f"{folder}/var/locks", f"{folder}/prefix"
        self.host = agentlib.Host("a", folder)
        self.host.sh("mount -t tmpfs tmpfs /run")
        self.mta = None
        if mta:
            self.mta = self.host.python(MTA, str(PORT), *mailload.AS_LIST, f"{self.prefix}/mail/mailman", "post", "test")
            assert self.mta.stdout.readline() == "up\n"

    def end(self):
        if self.mta:
            self.mta.kill()
            self.mta.wait()
        self.host.stop()

    def env(self, **more):
        params = {"prefix": self.prefix, "lock_dir": self.locks, "queue_dir": f"{self.folder}/var/qfiles",
                  "list_dir": f"{self.folder}/var/lists", "intake_port": PORT, "start_timeout_ms": 20000, **more}
        return {f"OCF_RESKEY_{key}": str(value) for key, value in params.items()}

    def act(self, action, level=0, **more):
        return self.host.run(AGENT, action, env={"OCF_CHECK_LEVEL": str(level), **self.env(**more)})

    def intake(self):
        return agentlib.records(self.host.run(INTAKE, "status", "--port", str(PORT)).stdout, "intake")[0]["state"]

    def pids(self, words):
        return [int(pid) for pid in self.host.run("pgrep", "-f", "--", words).stdout.split()]

    def signal(self, number, words):
        pids = self.pids(words)
        assert pids, words
        self.host.sh(f"kill -{int(number)} {' '.join(map(str, pids))}")

    def start(self):
        """Until each runner has begun its work: its process is there before its interpreter is up."""
        self.clear()
        before = self.begun()
        done = self.act("start")
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = time.monotonic() + 30
        while self.begun() < before + len(RUNNERS):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return done

    def begun(self):
        path = f"{self.folder}/var/logs/qrunner"
        if not os.path.exists(path):
            return 0
        with open(path, encoding="utf-8") as file:
            return file.read().count("qrunner started.")

    def monitor_says(self, code):
        """A signal takes a moment to work on a busy machine."""
        deadline = time.monotonic() + 5
        while True:
            done = self.act("monitor")
            if done.returncode == code or time.monotonic() > deadline:
                assert done.returncode == code, done.stdout + done.stderr
                return done
            time.sleep(0.02)

    def clear(self):
        """What the recovery pass clears before a start."""
        for name in os.listdir(self.locks):
            os.unlink(f"{self.locks}/{name}")

    def lock(self, name, host, pid, counter=None):
        claim = f"{self.locks}/{name}.{host}.{pid}" + ("" if counter is None else f".{counter}")
        with open(claim, "w", encoding="utf-8") as file:
            file.write(claim)
        os.link(claim, f"{self.locks}/{name}")
        user = pwd.getpwnam("list")
        os.chown(claim, user.pw_uid, user.pw_gid)
        os.utime(claim, (time.time() + 100000,) * 2)

    def as_list(self, *words, text=""):
        return self.host.run(*mailload.AS_LIST, *words, input=text)


def tree_make(generation="2.1"):
    folder = tempfile.mkdtemp(prefix="understudy-mailman2-")
    os.chmod(folder, 0o755)
    loop = share_make(folder)
    install.install(f"{folder}/prefix", f"{folder}/var", generation, **SETTINGS)
    for words in (("mailman", "owner@lab.test", "x"), ("test", "owner@lab.test", "x")):
        subprocess.run([*mailload.AS_LIST, f"{folder}/prefix/bin/newlist", "-q", *words], check=True)
    subprocess.run([*mailload.AS_LIST, f"{folder}/prefix/bin/add_members", "-r", "-", "test"], input="a1@lab.test\na2@lab.test\n",
                   text=True, check=True, capture_output=True)
    return folder, loop


def tree_remove(folder, loop):
    if loop:
        subprocess.run(["umount", f"{folder}/var"], check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module", name="tree")
def one_tree():
    folder, loop = tree_make()
    yield folder
    tree_remove(folder, loop)


@pytest.fixture(name="service")
def one_service(tree):
    service = Service(tree)
    service.clear()
    try:
        yield service
    finally:
        service.end()


def test_start_monitor_stop(service):
    assert service.act("monitor").returncode == 7
    assert service.act("stop").returncode == 0
    at = agentlib.phases(service.start().stdout)
    assert list(at) == ["closed", "start", "lmtp", "intake"] and list(at.values()) == sorted(at.values())
    assert service.intake() == "open" and service.act("monitor").returncode == 0
    assert service.act("monitor", level=10).returncode == 0
    again = service.act("start")
    assert again.returncode == 0 and "start" not in agentlib.phases(again.stdout)
    stopped = service.act("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert agentlib.records(stopped.stdout, "killed") == [{"masters": "1", "runners": "8", "commands": "0"}]
    assert service.act("monitor").returncode == 7 and not service.pids(f"{service.prefix}/bin") and service.intake() == "closed"
    refused = service.act("start")      # the lock stays, and who left it is said
    assert refused.returncode == 1 and "this node's own" in refused.stderr and not service.pids("mailmanctl")


def test_the_greeting_is_the_mta_s(service):
    service.start()
    assert service.host.run("pkill", "-KILL", "-f", "create_server").returncode == 0
    service.mta.wait()
    assert service.act("monitor").returncode == 0
    done = service.act("monitor", level=10)
    assert done.returncode == 1 and "SMTP at 127.0.0.1 port 8025 does not greet" in done.stderr, done.stderr
    service.act("stop")
    service.clear()
    done = service.act("start", start_timeout_ms=3000)
    assert done.returncode == 1 and "has not greeted in time" in done.stderr and service.intake() == "closed"


def test_a_runner_that_is_started_again(service):
    """Seen once it is back; and missed when the master has had enough of it."""
    service.start()
    begin = service.pids("--runner=VirginRunner:")
    time.sleep(5.5)
    service.signal(signal.SIGKILL, "--runner=VirginRunner:")
    done = service.act("monitor")
    assert done.returncode == 0, done.stderr
    assert [r["runner"] for r in agentlib.records(done.stdout, "restarted")] == ["VirginRunner"]
    assert service.pids("--runner=VirginRunner:") != begin
    for _ in range(2):
        deadline = time.monotonic() + 10
        while not service.pids("--runner=VirginRunner:"):
            assert time.monotonic() < deadline
        service.signal(signal.SIGKILL, "--runner=VirginRunner:")
        time.sleep(0.5)
    gone = service.act("monitor")
    assert gone.returncode == 1 and "VirginRunner" in gone.stderr and "any more" in gone.stderr, gone.stderr
    half = service.act("start")
    assert half.returncode == 1 and service.intake() == "closed"


def test_a_runner_that_hangs(service):
    service.start()
    service.signal(signal.SIGSTOP, "--runner=OutgoingRunner:")
    done = service.monitor_says(1)
    assert agentlib.records(done.stdout, "runner")[0]["state"] == "stopped"
    assert service.act("stop").returncode == 0 and service.act("monitor").returncode == 7


def test_runners_without_master(service):
    service.start()
    service.signal(signal.SIGKILL, "bin/mailmanctl")
    assert "master is dead" in service.monitor_says(1).stderr
    assert service.act("stop").returncode == 0 and not service.pids(f"{service.prefix}/bin")


@pytest.mark.parametrize("host, pid, words", [("b", 4711, "belongs to b, process 4711"), ("a", 4194303, "this node's own, of process 4194303"),
                                              ("a", 1, "this node's own, of process 1")])
def test_a_lock_refuses(service, host, pid, words):
    """Also the own stale one, of a free pid or of one that is another's by now: who clears it is the recovery pass."""
    service.lock("master-qrunner", host, pid)
    before = sorted(os.listdir(service.locks))
    done = service.act("start")
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert agentlib.records(done.stdout, "lock") == [{"name": "master-qrunner", "host": host, "pid": str(pid)}]
    assert sorted(os.listdir(service.locks)) == before and not service.pids("mailmanctl") and service.intake() == "closed"


def test_a_malformed_lock(service):
    with open(f"{service.locks}/master-qrunner", "w", encoding="utf-8"):
        pass
    done = service.act("start")
    assert done.returncode == 1 and "does not say whose" in done.stderr


@pytest.mark.parametrize("program, words", [("exit 0", "and said: nothing"), ("echo no way >&2; exit 0", "and said: no way")])
def test_exit_0_is_not_believed(service, program, words):
    """Every start that mailmanctl refuses ends with 0 (facts E)."""
    path = f"{service.prefix}/bin/mailmanctl"
    os.rename(path, path + ".good")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{program}\n")
        os.chmod(path, 0o755)
        done = service.act("start")
        assert done.returncode == 1 and words in done.stderr and service.intake() == "closed", done.stderr
    finally:
        os.rename(path + ".good", path)


def test_never_with_s(service):
    """-s takes any lock before 2.1.16."""
    path, log = f"{service.prefix}/bin/mailmanctl", f"{service.folder}/var/words"
    os.rename(path, path + ".good")
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\necho "$@" >> {log}\nexec {path}.good "$@"\n')
        os.chmod(path, 0o755)
        service.act("start", start_timeout_ms=5000)
        with open(log, encoding="ascii") as file:
            assert file.read() == "-q start\n"
        assert service.act("stop").returncode == 0
    finally:
        os.rename(path + ".good", path)


def test_another_python(service):
    """The interpreter is a parameter, and the processes are known all the same."""
    os.chmod(f"{service.prefix}/bin/mailmanctl", 0o644)
    try:
        service.clear()
        assert service.act("start").returncode == 1
        done = service.act("start", python=agentlib.PYTHON)
        assert done.returncode == 0, done.stdout + done.stderr
        assert service.act("monitor").returncode == 0
    finally:
        os.chmod(f"{service.prefix}/bin/mailmanctl", 0o755)


def test_the_pid_file_names_anybody(service):
    """It lies on the share, and mailmanctl stop signals what it names."""
    innocent = service.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", "sleep", "100")
    pid = service.pids("^sleep 100")[0]
    path = f"{service.folder}/var/data/master-qrunner.pid"

    def write():
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")

    write()
    service.start()
    write()
    assert service.act("stop").returncode == 0 and innocent.poll() is None
    with open(path, encoding="ascii") as file:
        assert file.read() == f"{pid}\n"
    service.start()
    write()
    assert service.act("release").returncode == 0 and innocent.poll() is None
    innocent.kill()


def test_an_operator_starts_it_twice(service):
    """Such a mailmanctl looks like a second master for a moment; and no other one comes of it."""
    service.start()
    codes = []
    for _ in range(5):
        doing = service.host.start(*mailload.AS_LIST, f"{service.prefix}/bin/mailmanctl", "-q", "start", stderr=subprocess.DEVNULL)
        codes.append(service.act("monitor").returncode)
        assert doing.wait(20) == 0
    assert codes == [0] * 5 and len(service.pids("bin/mailmanctl")) == 1


def test_no_share_in_monitor_and_stop(service):
    service.start()
    for action in ("monitor", "stop", "monitor"):
        trace = service.host.run("strace", "-f", "-e", "trace=%file", AGENT, action, env=service.env())
        assert '"/proc"' in trace.stderr and f"{service.folder}/var" not in trace.stderr, trace.stderr
        assert trace.returncode in (0, 7)
