# SPDX-License-Identifier: GPL-2.0-or-later
"""Release and resume of ocf:understudy:mailman2 with the stand-in for Mailman 2.1 under load."""
import os
import statistics
import subprocess
import time

import agentlib
import mailload
import test_mailman2
from test_mailman2 import AGENT, Load, one_service, one_tree  # noqa: F401  pylint: disable=unused-import

pytestmark = test_mailman2.pytestmark
TIMES = int(os.environ.get("UNDERSTUDY_RELEASES", "5"))


def test_release_under_load(service):
    """Every message once, none shunted, whatever the moment."""
    load, took = Load(service), []
    try:
        service.start()
        load.start()
        for turn in range(TIMES):
            load.flows(10 + 7 * (turn % 4))
            done = service.act("release", release_timeout_ms=30000)
            assert done.returncode == 0, done.stdout + done.stderr
            record = agentlib.records(done.stdout, "released")[0]
            assert record["runners"] == "8" and list(agentlib.phases(done.stdout)) == ["closed", "frozen", "released"]
            assert not service.pids(f"{service.prefix}/bin") and service.intake() == "closed"
            left = load.queued(*load.FLOW)
            assert not [n for names in left.values() for n in names if not n.endswith(".pck")], left
            assert [n for n in os.listdir(service.locks) if ".lock" in n] == []
            took.append(int(record["took_ms"]))
            service.start()
        load.stop()
        load.drain()
        print("took ms: median", statistics.median(took), "max", max(took), "accepted", len(load.accepted()))
        assert load.count() == {"lost": 0, "repeated": 0, "shunt": 0, "bad": 0}
        assert len(load.accepted()) > 5 * TIMES
    finally:
        load.end()


def goes_on(service):
    assert service.act("monitor").returncode == 0 and service.intake() == "open"
    assert "t" not in service.host.run("ps", "-u", "list", "-o", "state=").stdout.split()


def test_no_safe_point(service):
    """A relay that does not answer: refused, and nothing comes of it."""
    load = Load(service)
    try:
        service.start()
        load.start()
        load.flows(10)
        load.answer(silent=True)
        while not [n for n in load.queued("out")["out"] if n.endswith(".bak")]:
            time.sleep(0.05)
        time.sleep(1)
        done = service.act("release", release_timeout_ms=3000)
        assert done.returncode == 1, done.stdout
        refused = agentlib.records(done.stdout, "refused")[0]
        assert (refused["runner"], refused["why"]) == ("OutgoingRunner", "bak"), done.stderr
        assert agentlib.records(done.stdout, "service") == [{"state": "serving"}]
        goes_on(service)
        load.answer(silent=False)
        load.flows(10)
        load.stop()
        load.drain()
        assert load.count() == {"lost": 0, "repeated": 0, "shunt": 0, "bad": 0}
    finally:
        load.end()


def test_a_list_lock_is_in_its_hands(service):
    """BounceRunner waits for a list lock with no entry taken: by its .bak alone it would seem to have nothing in its hands."""
    service.start()
    service.lock("test.lock", "a", 1, 7)
    bounce = "From: x@lab.test\nTo: test-bounces@lab.test\nX-Failed-Recipients: a1@lab.test\n\nx\n"
    assert service.as_list(f"{service.prefix}/mail/mailman", "bounces", "test", text=bounce).returncode == 0
    deadline = time.monotonic() + 20
    pid = service.pids("--runner=BounceRunner:")[0]
    while not [n for n in os.listdir(service.locks) if n.startswith(f"test.lock.a.{pid}.")]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not [n for n in os.listdir(f"{service.folder}/var/qfiles/bounces") if n.endswith(".bak")]
    done = service.act("release", release_timeout_ms=2000)
    assert done.returncode == 1 and agentlib.records(done.stdout, "refused")[0]["runner"] == "BounceRunner", done.stdout + done.stderr
    assert agentlib.records(done.stdout, "refused")[0]["why"] == "lock" and "list lock test.lock" in done.stderr
    goes_on(service)
    service.act("stop")


def test_a_post_is_waited_for(service):
    """What the MTA's pipe has started writes into the queue: a release does not end beside it."""
    service.start()
    post = service.host.start(*mailload.AS_LIST, f"{service.prefix}/mail/mailman", "post", "test")
    time.sleep(0.5)             # it reads its message
    done = service.act("release", release_timeout_ms=1500)
    assert done.returncode == 1 and agentlib.records(done.stdout, "refused")[0]["why"] == "command", done.stdout + done.stderr
    goes_on(service)
    post.communicate("From: a1@lab.test\nMessage-ID: <n1@x>\n\nx\n", timeout=20)
    assert post.returncode == 0
    done = service.act("release")
    assert done.returncode == 0, done.stderr


def test_a_delivery_through_the_host_s_own_mta_comes_to_its_end(service):
    """Mailman's preset for SMTPHOST is this host, and its MTA's port is the one that is closed: for the MX, not for the runners."""
    config = f"{service.prefix}/Mailman/mm_cfg.py"
    with open(config, encoding="utf-8") as file:
        text = file.read()
    try:
        with open(config, "w", encoding="utf-8") as file:
            file.write(text.replace("SMTPPORT = 2525", f"SMTPPORT = {service.env()['OCF_RESKEY_intake_port']}"))
        service.start()
        assert service.as_list(f"{service.prefix}/mail/mailman", "post", "test", text="From: a1@lab.test\n\nx\n").returncode == 0
        out, deadline = f"{service.folder}/var/qfiles/out", time.monotonic() + 30
        while not (taken := [n for n in os.listdir(out) if n.endswith(".bak")]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        done = service.act("release", release_timeout_ms=8000)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not [n for n in os.listdir(out) if n.startswith(taken[0][:-4])]      # delivered, and not for later
    finally:
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)


def test_cut_off_and_resumed(service):
    load = Load(service)
    try:
        service.start()
        load.start()
        load.flows(10)
        load.answer(silent=True)
        time.sleep(1)
        doing = service.host.start(AGENT, "release", env=service.env(release_timeout_ms=60000), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 30
        while service.host.run("ps", "-u", "list", "-o", "state=").stdout.split().count("t") < 4:
            assert time.monotonic() < deadline
        assert service.host.run("pkill", "-o", "-KILL", "-f", f"^{AGENT} release").returncode == 0
        doing.wait()
        time.sleep(0.2)
        assert service.intake() == "closed"
        done = service.act("resume")
        assert done.returncode == 0, done.stdout + done.stderr
        goes_on(service)
    finally:
        load.end()
