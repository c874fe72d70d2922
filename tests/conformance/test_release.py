# SPDX-License-Identifier: GPL-2.0-or-later
"""Release and resume of ocf:understudy:mailman3 with Debian's Mailman 3 under load."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import pytest

import agentlib
import mailload
import test_mailman3
from test_mailman3 import RUNNERS, Service

pytestmark = test_mailman3.pytestmark
AGENT = test_mailman3.AGENT
TIMES = int(os.environ.get("UNDERSTUDY_RELEASES", "5"))


def share_make(folder):
    """Mailman's shared tree on a file system of its own, where that can be had: it stands in for the share."""
    os.mkdir(f"{folder}/var")
    with open(f"{folder}/share.img", "wb") as file:
        file.truncate(64 << 20)
    for command in (["mkfs.ext4", "-q", "-F", f"{folder}/share.img"],
                    ["mount", "-o", "loop", f"{folder}/share.img", f"{folder}/var"]):
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            return False
    return True


@pytest.fixture(scope="module", name="tree")
def one_tree():
    folder = tempfile.mkdtemp(prefix="understudy-release-")
    os.chmod(folder, 0o755)
    loop = share_make(folder)
    mta = "smtp_host: 127.0.0.1\nsmtp_port: 2525\n"
    with open(f"{folder}/mailman.cfg", "w", encoding="utf-8") as file:
        file.write(test_mailman3.CONFIG.format(dir=folder) + mta
                   + "".join(f"[runner.{name}]\nstart: no\n" for name in test_mailman3.OTHERS))
    subprocess.run(["chown", "-R", "list:list", folder], check=True)
    mailload.make_list(folder)
    yield folder
    if loop:
        subprocess.run(["fsfreeze", "-u", f"{folder}/var"], check=False, capture_output=True)
        subprocess.run(["umount", f"{folder}/var"], check=True)
    shutil.rmtree(folder)


@pytest.fixture(name="service")
def one_service(tree):
    service = Service(tree)
    service.clear_locks()
    try:
        yield service
    finally:
        service.host.stop()


def start(service):
    service.clear_locks()
    done = service.act("start")
    assert done.returncode == 0, done.stdout + done.stderr


def release(service, **more):
    before = time.monotonic()
    done = service.act("release", **more)
    return done, round((time.monotonic() - before) * 1000)


def parts(done):
    return {record["runner"]: int(record["took_ms"]) for record in agentlib.records(done.stdout, "frozen")}


def test_release_under_load(service):
    """Every message once, none shunted, whatever the moment."""
    load, took, tries = mailload.Load(service), [], []
    try:
        start(service)
        load.start()
        for turn in range(TIMES):
            load.flows(10 + 7 * (turn % 4))
            done, ms = release(service, release_timeout_ms=30000)
            assert done.returncode == 0, done.stdout + done.stderr
            record = agentlib.records(done.stdout, "released")[0]
            assert record["runners"] == str(len(RUNNERS))
            assert list(agentlib.phases(done.stdout)) == ["closed", "frozen", "released"]
            assert not service.pids(f"{service.folder}/mailman.cfg") and service.intake() == "closed"
            queues = load.queued("in", "pipeline", "out", "virgin")
            assert not [n for names in queues.values() for n in names if not n.endswith(".pck")], queues
            took.append(int(record["took_ms"]))
            tries.append(int(record["tries"]))
            print(turn, ms, record, parts(done), {queue: len(names) for queue, names in queues.items()})
            start(service)
        load.stop()
        load.drain()
        print("took ms: median", statistics.median(took), "max", max(took), "tries", tries, "accepted", len(load.accepted()))
        assert load.count() == {"lost": 0, "repeated": 0, "shunt": 0, "bad": 0}
        assert len(load.accepted()) > 10 * TIMES
    finally:
        load.end()


def test_every_kind_of_runner(service):
    """REST with its workers, task, nntp and the rest of Debian's set: all come to a safe point."""
    path, everything = f"{service.folder}/mailman.cfg", " ".join((*RUNNERS, *test_mailman3.OTHERS))
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("start: no", "start: yes"))
        service.clear_locks()
        done = service.act("start", runners=everything, start_timeout_ms=180000)
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = time.monotonic() + 120
        while len(service.pids("--runner=rest:")) < 3: # gunicorn's and two workers
            assert time.monotonic() < deadline
            time.sleep(0.5)
        done, _ = release(service, runners=everything, release_timeout_ms=30000)
        assert done.returncode == 0, done.stdout + done.stderr
        print(agentlib.records(done.stdout, "released"), parts(done))
        assert not service.pids(path)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def tracing(service, n):
    """Waits until so many processes are held."""
    deadline = time.monotonic() + 30
    while service.host.run("ps", "-u", "list", "-o", "state=").stdout.split().count("t") < n:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def goes_on(service):
    assert "t" not in service.host.run("ps", "-u", "list", "-o", "state=").stdout.split()
    assert service.act("monitor").returncode == 0 and service.intake() == "open"


def test_no_safe_point(service):
    """A relay that does not answer: refused, cut off, and with the share frozen in the middle; nothing comes of it."""
    load = mailload.Load(service)
    try:
        start(service)
        load.start()
        load.flows(10)
        load.answer(silent=True)
        while not [n for n in load.queued("out")["out"] if n.endswith(".bak")]:
            time.sleep(0.05)
        time.sleep(1)
        done, ms = release(service, release_timeout_ms=4000)
        assert done.returncode == 1 and ms < 12000, done.stdout
        refused = agentlib.records(done.stdout, "refused")[0]
        assert (refused["runner"], refused["why"]) == ("out", "bak") and "in its hands for" in done.stderr, done.stderr
        assert agentlib.records(done.stdout, "service") == [{"state": "serving"}]
        goes_on(service)
        cut_off(service)
        frozen_share(service)
        load.answer(silent=False)
        load.flows(10)
        load.stop()
        load.drain()
        assert load.count() == {"lost": 0, "repeated": 0, "shunt": 0, "bad": 0}
    finally:
        load.end()


def begin(service, timeout_ms):
    doing = service.host.start(AGENT, "release", env=service.env(release_timeout_ms=timeout_ms), stderr=subprocess.STDOUT)
    tracing(service, len(RUNNERS))
    return doing


def cut_off(service):
    doing = begin(service, 60000)
    assert service.host.run("pkill", "-o", "-KILL", "-f", f"^{AGENT} release").returncode == 0
    doing.wait()
    assert service.intake() == "closed"
    time.sleep(0.2)
    done = service.act("resume")
    assert done.returncode == 0, done.stdout + done.stderr
    goes_on(service)


def frozen_share(service):
    """As on a hung NFS server: what wants to write waits for ever, and the release must not."""
    if not os.path.ismount(f"{service.folder}/var"):
        print("the share could not be frozen: no loop devices here")
        return
    doing = begin(service, 6000)
    subprocess.run(["fsfreeze", "-f", f"{service.folder}/var"], check=True)
    try:
        text = doing.communicate(timeout=20)[0]
        assert doing.returncode == 1 and agentlib.records(text, "service") == [{"state": "serving"}], text
        again, ms = release(service, release_timeout_ms=1500)
        assert again.returncode == 1 and ms < 10000, again.stdout + again.stderr
    finally:
        subprocess.run(["fsfreeze", "-u", f"{service.folder}/var"], check=True)
    goes_on(service)


def test_held_messages(service):
    """A message that is held for a moderator is in the database only; Mailman commits it after it has left the queue."""
    load, before = mailload.Load(service, sender="stranger@lab.test"), mailload.held_messages(service.folder)
    try:
        start(service)
        load.start()
        for turn in range(max(1, TIMES // 4)):
            wanted = mailload.held_messages(service.folder) + 5
            deadline = time.monotonic() + 120
            while mailload.held_messages(service.folder) < wanted:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            done, _ = release(service, release_timeout_ms=30000)
            assert done.returncode == 0, done.stdout + done.stderr
            held = mailload.held_messages(service.folder) - before
            assert len(load.accepted()) <= held + len(load.queued("in")["in"]) <= len(load.accepted()) + turn + 1
            start(service)
        load.stop()
        load.drain()
        held = mailload.held_messages(service.folder) - before
        # Those of which LMTP's last answer was not seen came twice, and may be held twice.
        assert len(load.accepted()) <= held <= len(load.accepted()) + TIMES, (held, len(load.accepted()))
    finally:
        load.end()
