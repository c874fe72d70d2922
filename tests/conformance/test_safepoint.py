# SPDX-License-Identifier: GPL-2.0-or-later
"""The guards of the release, one by one: programs that look like Mailman's and do one thing wrong. Each has a moment in
which a release would succeed but for that guard."""
import os
import pwd
import subprocess
import time

import pytest

import agentlib

pytestmark = pytest.mark.skipif(bool(agentlib.why_not()), reason=agentlib.why_not() or "-")
AGENT = agentlib.built("resource/mailman3")
INTAKE = agentlib.built("resource/understudy-intake")
NAME = "1795317467.9471908+" + "3f" * 20

# Runs as .../runner -C CONFIG --runner=NAME:SLICE:COUNT. What it does comes by its environment.
RUNNER = r"""
import ctypes, fcntl, os, select, socket, sys, threading, time
what, queue = os.environ.get('WHAT_' + sys.argv[-1].split('=')[1].split(':')[0].upper(), ''), os.environ['QUEUE']
if what == 'lock':
    lock = open(os.environ['QUEUE'] + '/../database', 'w')
    fcntl.lockf(lock, fcntl.LOCK_EX)
elif what == 'thread':
    threading.Thread(target=os.read, args=(os.pipe()[0], 1), daemon=True).start()
elif what == 'pool':
    threading.Thread(target=threading.Semaphore(0).acquire, daemon=True).start()
elif what == 'unread':
    server = socket.create_server(('127.0.0.1', 8024))
open(queue + '/../ready/%d' % os.getpid(), 'w').close()
if what == 'unread':
    taken = server.accept()[0]
elif what == 'sqlite': # sleeps as sqlite does while it waits for the lock that it needs for committing
    while True:
        ctypes.CDLL(None).usleep(100000)
elif what == 'gap':    # the .bak is gone, and what was done with it is not committed yet
    name = queue + '/in/""" + NAME + r"""'
    while True:
        open(name + '.bak', 'w').close()
        time.sleep(0.3)
        os.unlink(name + '.bak')
        open(os.environ['QUEUE'] + '/../unlinked', 'a').write('x')
        begin = time.monotonic()
        while time.monotonic() < begin + 0.3:
            pass
        open(os.environ['QUEUE'] + '/../committed', 'a').write('x')
        open(name + '.pck', 'w').close()
        os.rename(name + '.pck', name + '.taken')
elif what == 'quick':  # takes the next entry before anybody can see that the last one is gone
    name, turn = queue + '/in/""" + NAME + r"""', 0
    os.close(os.open(name + '.bak', os.O_CREAT | os.O_WRONLY))
    while True:
        turn, last = turn + 1, name
        name = queue + '/in/%d' % (1795317468 + turn) + os.path.basename(name)[10:]
        os.close(os.open(name + '.pck', os.O_CREAT | os.O_WRONLY))
        os.close(os.open(queue + '/out/x.tmp', os.O_CREAT | os.O_WRONLY))
        os.rename(queue + '/out/x.tmp', queue + '/out/README')
        time.sleep(0.02)
        os.unlink(last + '.bak'), os.rename(name + '.pck', name + '.bak')
while True:
    if 'lmtp' in sys.argv[-1]:
        select.epoll().poll(1000)
    time.sleep(1000)
"""
MASTER = r"""
import os, signal, subprocess, sys
folder = os.path.dirname(sys.argv[0])
for name in os.environ['RUNNERS'].split():
    subprocess.Popen(['/usr/bin/python3', folder + '/runner', *sys.argv[1:], '--runner=' + name], stdin=subprocess.DEVNULL)
print('up', flush=True)
while True:
    signal.pause()
"""


class Fake:
    def __init__(self, folder):
        self.folder, self.queue = str(folder), f"{folder}/queue"
        os.chmod(folder, 0o755)
        for path in ("bin", "locks", "queue", "queue/in", "queue/out", "queue/command", "queue/bounces", "ready"):
            os.mkdir(f"{folder}/{path}")
        for name, text in (("bin/master", MASTER), ("bin/runner", RUNNER), ("mailman.cfg", "")):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["chown", "-R", "list:list", folder], check=True)
        self.host = agentlib.Host("a", f"{folder}/host")
        self.params = {"config": f"{folder}/mailman.cfg", "lock_dir": f"{folder}/locks", "queue_dir": self.queue,
                       "runners": "lmtp in out task", "release_timeout_ms": 1200}

    def start(self, runners="lmtp:0:1 in:0:1 out:0:1 task:0:1", **what):
        env = {"RUNNERS": runners, "QUEUE": self.queue, **{f"WHAT_{name.upper()}": word for name, word in what.items()}}
        master = self.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", "/usr/bin/python3",
                                 f"{self.folder}/bin/master", "-C", f"{self.folder}/mailman.cfg", env=env)
        assert master.stdout.readline() == "up\n"
        deadline = time.monotonic() + 60
        while len(os.listdir(f"{self.folder}/ready")) < len(runners.split()):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def processes(self):
        out = self.host.run("ps", "-u", "list", "-o", "pid=,state=").stdout.split()
        return list(zip(out[::2], out[1::2]))

    def act(self, action, **more):
        params = {**self.params, **more}
        return self.host.run(AGENT, action, env={f"OCF_RESKEY_{key}": str(value) for key, value in params.items()})

    def entry(self, queue, ext, hash_="3f" * 20):
        path = f"{self.queue}/{queue}/1795317467.9471908+{hash_}.{ext}"
        with open(path, "w", encoding="ascii") as file:
            file.write("x.")
        user = pwd.getpwnam("list")
        os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def size(self, name):
        return os.stat(f"{self.folder}/{name}").st_size

    def refused(self, runner, why, text, **more):
        """It says who and why, and everything goes on as before."""
        before = self.host.run("pgrep", "-u", "list").stdout
        done = self.act("release", **more)
        assert done.returncode == 1, done.stdout + done.stderr
        record = agentlib.records(done.stdout, "refused")[0]
        assert (record["runner"], record["why"]) == (runner, why), done.stdout + done.stderr
        assert text in done.stderr and "--force" in done.stderr, done.stderr
        assert agentlib.records(done.stdout, "service") == [{"state": "serving"}]
        self.whole(before)
        return done

    def whole(self, before=None):
        assert before is None or self.host.run("pgrep", "-u", "list").stdout == before
        assert not [s for _, s in self.processes() if s in "tT"], self.processes()
        assert self.act("monitor").returncode == 0
        state = self.host.run(INTAKE, "status", "--port", "8024").stdout
        assert agentlib.records(state, "intake")[0]["state"] == "open"

    def released(self, **more):
        done = self.act("release", **more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert agentlib.records(done.stdout, "released")
        assert not [s for _, s in self.processes() if s != "Z"]
        return done


@pytest.fixture(name="fake")
def one_fake(tmp_path):
    for path in (tmp_path, *tmp_path.parents):
        if str(path).startswith("/tmp/"):
            os.chmod(path, 0o755)
    fake = Fake(tmp_path)
    try:
        yield fake
    finally:
        fake.host.stop()


def test_released(fake):
    fake.start()
    done = fake.released()
    order = [record["runner"] for record in agentlib.records(done.stdout, "frozen")]
    assert order == ["master", "lmtp", "task", "in", "out"]
    assert agentlib.records(done.stdout, "killed") == [{"masters": "1", "runners": "4", "commands": "0"}]
    again = fake.act("release")
    assert again.returncode == 1 and "nothing of Mailman runs here" in again.stderr
    resumed = fake.act("resume")
    assert resumed.returncode == 1 and agentlib.records(resumed.stdout, "service") == [{"state": "stopped"}]


def test_bak(fake):
    """Asleep, but an entry is in its hands, as while it waits for one of Mailman's locks."""
    fake.start()
    path = fake.entry("in", "bak")
    fake.refused("in", "bak", os.path.basename(path))
    os.unlink(path)
    fake.released()


def test_slice(fake):
    """The .bak of one slice is none of the other's."""
    fake.params["runners"] = "lmtp in:2 out task"
    fake.start("lmtp:0:1 in:0:2 in:1:2 out:0:1 task:0:1")
    fake.entry("in", "bak", "8" * 40)
    done = fake.refused("in", "bak", "slice 1 of 2")
    assert agentlib.records(done.stdout, "refused")[0]["slice"] == "1"
    assert [record["slice"] for record in agentlib.records(done.stdout, "frozen") if record["runner"] == "in"] == ["0"]


def test_lock(fake):
    fake.start(task="lock")
    fake.refused("task", "lock", "holds a lock on file")


def test_lock_of_a_queue_runner(fake):
    fake.start(out="lock")
    fake.refused("out", "lock", "holds a lock on file")


def test_thread(fake):
    fake.start(lmtp="thread")
    fake.refused("lmtp", "busy", "in system call")


def test_pool(fake):
    """A thread that waits for work, as asyncio's pool has it, is no work."""
    fake.start(lmtp="pool")
    fake.released()


def test_sleep_of_sqlite(fake):
    """No .bak, no lock, asleep, and yet in the middle of a commit."""
    fake.start(out="sqlite")
    fake.refused("out", "busy", "at work")


def test_uncommitted(fake):
    """Without .bak and lock, but what was done with the entry is not committed yet: never killed there."""
    fake.start(**{"in": "gap"})
    fake.released(release_timeout_ms=8000)
    assert fake.size("unlinked") == fake.size("committed") > 0
    assert os.path.exists(f"{fake.queue}/in/{NAME}.pck") and not os.path.exists(f"{fake.queue}/in/{NAME}.bak")


def test_next_entry_is_taken_at_once(fake):
    """It sleeps and renames other files with the next entry in its hands: those are no safe points."""
    fake.start(**{"in": "quick"})
    done = fake.act("release", release_timeout_ms=2500)
    left = [name for name in os.listdir(f"{fake.queue}/in") if name.endswith(".bak")]
    assert not left or agentlib.records(done.stdout, "service") == [{"state": "serving"}], done.stdout
    assert done.returncode == (1 if left else 0), done.stderr


def test_tmp(fake):
    """Half written by LMTP: not acknowledged, but nobody else would finish it. An old one was left behind long ago."""
    fake.start()
    path = fake.entry("in", "pck.tmp")
    fake.refused("lmtp", "tmp", os.path.basename(path))


def test_unread(fake):
    """A session closed with something unread is reset, and its last 250 may get lost."""
    fake.start(lmtp="unread")
    client = fake.host.python("import socket\ns = socket.create_connection(('127.0.0.1', 8024))\ns.sendall(b'x')\n"
                              "print('sent', flush=True)\ninput()")
    assert client.stdout.readline() == "sent\n"
    fake.refused("lmtp", "unread", "has not read")


def test_queue_that_is_not_there(fake):
    fake.start()
    os.rename(f"{fake.queue}/out", f"{fake.queue}/elsewhere")
    fake.refused("out", "share", "cannot be listed")


def test_command(fake):
    """A command of an operator or of cron: what it does nobody would repeat."""
    fake.start()
    with open(f"{fake.folder}/bin/mailman", "w", encoding="ascii") as file:
        file.write("import time\ntime.sleep(1000)")
    command = fake.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", "/usr/bin/python3",
                              f"{fake.folder}/bin/mailman", "-C", f"{fake.folder}/mailman.cfg", "digests")
    time.sleep(0.5)
    fake.refused("service", "command", "a command of Mailman")
    assert command.poll() is None


def test_open_for_writing(fake):
    """Planned means that nothing more is written from here."""
    fake.start()
    writer = fake.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", agentlib.PYTHON, "-I", "-c",
                             "import sys, time; f = open(sys.argv[1], 'a'); print('up', flush=True); time.sleep(1000)",
                             f"{fake.queue}/in/README")
    assert writer.stdout.readline() == "up\n"
    fake.refused("service", "open", "open for writing")
    assert writer.poll() is None


def test_worker(fake):
    """What a runner has forked is frozen and killed with it."""
    fake.params["runners"] = "lmtp in out rest"
    with open(f"{fake.folder}/bin/runner", "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write("import os, sys\nif 'rest' in sys.argv[-1]: os.fork()\n" + text)
    fake.start("lmtp:0:1 in:0:1 out:0:1 rest:0:1")
    done = fake.released()
    assert agentlib.records(done.stdout, "released")[0]["runners"] == "5"


@pytest.mark.parametrize("way,who", [("killed", 0), ("killed", 1), ("killed", 2), ("stopped", 0)])
def test_resume(fake, way, who):
    """A release that is killed leaves nothing frozen but a closed intake; whatever else is stopped goes on as well."""
    fake.start()
    fake.entry("out", "bak")
    doing = fake.host.start(AGENT, "release", env={f"OCF_RESKEY_{k}": str(v) for k, v in
                                                   {**fake.params, "release_timeout_ms": 60000}.items()})
    deadline = time.monotonic() + 20
    while sum(state == "t" for _, state in fake.processes()) < 4:
        assert time.monotonic() < deadline and doing.poll() is None
        time.sleep(0.02)
    pids = sorted(fake.host.run("pgrep", "-f", f"^{AGENT} release").stdout.split(), key=int)
    fake.host.sh(f"kill -KILL {pids[who]}")  # the agent, the process that holds, the one that lists
    code = doing.wait()
    if who > 0: # the agent itself sees to the rest
        assert code == 1
        fake.whole()
    deadline = time.monotonic() + 5
    while any(state in "tT" for _, state in fake.processes()):
        assert time.monotonic() < deadline, fake.processes()
    if way == "stopped":
        assert fake.host.run("pkill", "-STOP", "-u", "list").returncode == 0
    for _ in range(2):
        done = fake.act("resume")
        assert done.returncode == 0, done.stdout + done.stderr
        fake.whole()
    fake.host.run("pkill", "-CONT", "-u", "list")  # what the agent that was killed had started, too


def test_resume_with_a_runner_gone(fake):
    fake.start()
    assert fake.host.run("pkill", "-KILL", "-f", "--", "--runner=out:").returncode == 0
    assert fake.host.run(INTAKE, "close", "--port", "8024").returncode == 0
    done = fake.act("resume")
    assert done.returncode == 1 and "not runner out" in done.stderr, done.stderr
    assert agentlib.records(done.stdout, "service") == [{"state": "unknown"}]
    assert "closed" in fake.host.run(INTAKE, "status", "--port", "8024").stdout


def test_traced_by_another(fake):
    fake.start()
    pid = fake.host.run("pgrep", "-f", "--", "--runner=out:").stdout.split()[0]
    strace = fake.host.start("strace", "-qq", "-p", pid, stderr=subprocess.DEVNULL)
    time.sleep(1)
    done = fake.act("release")
    assert done.returncode == 1 and "cannot be traced" in done.stderr, done.stdout + done.stderr
    strace.terminate()
    strace.wait()


def test_no_share_as_root(fake):
    """Root names no path of the share; the child that does has become the list user before."""
    fake.start()
    trace = fake.host.run("strace", "-f", "-o", f"{fake.folder}/trace", "-e", "trace=%file,setresuid", AGENT, "release",
                          env={f"OCF_RESKEY_{k}": str(v) for k, v in fake.params.items()})
    assert trace.returncode == 0, trace.stdout + trace.stderr
    became, looked = set(), 0
    with open(f"{fake.folder}/trace", encoding="utf-8", errors="replace") as file:
        for line in file:
            pid, call = line.split(None, 1)
            if call.startswith("setresuid("):
                became.add(pid)
            elif f'"{fake.queue}' in call or f'"{fake.folder}/locks' in call:
                looked += 1
                assert pid in became, line
    assert looked > 0
