# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:understudy:mailman2 with generation 2.0, of the stand-in: no master, cron's qrunner behind the gate."""
import os
import time

import pytest

import agentlib
import mailload
import test_mailman2
from test_mailman2 import Service, tree_make, tree_remove

pytestmark = test_mailman2.pytestmark


class Service20(Service):
    def env(self, **more):
        return super().env(generation="2.0", gate_dir="/run/gate", state_file="/run/state/started", **more)

    def token(self, there=True, ahead_ms=50000):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        text = (f"understudy-tenure 1\ncluster=lab\nnode=a\nepoch=3\nboot={boot}\nrun=00000000000000aa\n"
                f"until_ms={agentlib.now_ms() + ahead_ms}\nend=1\n")
        self.host.sh(f"mkdir -p -m 0755 /run/gate && rm -f /run/gate/tenure && {'cat > /run/gate/tenure' if there else 'true'} <<'E'\n{text}E\n")

    def qrunner(self):
        """As cron starts it, once the gate is behind it; at work for 30 s."""
        path = f"{self.folder}/prefix/cron/qrunner"
        doing = self.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", agentlib.PYTHON, "-S", path)
        deadline = time.monotonic() + 10
        while not self.pids(f"^{agentlib.PYTHON} -S {path}"):  # not setpriv any more, which is root's
            assert time.monotonic() < deadline
        return doing


@pytest.fixture(scope="module", name="tree")
def one_tree():
    folder, loop = tree_make("2.0")
    path = f"{folder}/prefix/cron/qrunner"
    os.rename(path, path + ".real")
    with open(path, "w", encoding="utf-8") as file:
        file.write("import time\ntime.sleep(30)\n")
    yield folder
    tree_remove(folder, loop)


@pytest.fixture(name="service")
def one_service(tree):
    service = Service20(tree)
    service.clear()
    try:
        yield service
    finally:
        service.end()


def test_it_runs_while_the_gate_is_open(service):
    assert service.act("monitor").returncode == 7
    done = service.act("start")
    assert done.returncode == 0 and list(agentlib.phases(done.stdout)) == ["closed", "start", "lmtp", "intake"], done.stderr
    assert service.intake() == "open"
    shut = service.act("monitor")
    assert shut.returncode == 1 and "there is no tenure token" in shut.stderr
    service.token()
    assert service.act("monitor").returncode == 0 and service.act("monitor", level=10).returncode == 0
    service.token(ahead_ms=-1)
    assert "has expired" in service.act("monitor").stderr
    assert service.act("start").returncode == 0
    assert service.act("stop").returncode == 0 and service.intake() == "closed"
    assert service.act("monitor").returncode == 7


def test_a_qrunner_is_killed_by_a_stop(service):
    service.token()
    assert service.act("start").returncode == 0
    doing = service.qrunner()
    assert service.act("monitor").returncode == 0
    done = service.act("stop")
    assert done.returncode == 0 and agentlib.records(done.stdout, "killed") == [{"masters": "0", "runners": "1", "commands": "0"}]
    assert doing.wait(10) != 0 and service.act("monitor").returncode == 7


def test_a_qrunner_where_it_must_not_be(service):
    doing = service.qrunner()
    done = service.act("monitor")
    assert done.returncode == 1 and "although its service is not started" in done.stderr
    assert service.act("start").returncode == 1 and service.intake() == "closed"
    assert service.act("stop").returncode == 0 and doing.wait(10) != 0


def test_a_stale_lock_refuses(service):
    service.lock("qrunner.lock", "b", 4711)
    done = service.act("start")
    assert done.returncode == 1 and "qrunner.lock belongs to b, process 4711" in done.stderr and service.intake() == "closed"


def test_a_release_waits_for_the_qrunner(service):
    service.token()
    assert service.act("start").returncode == 0
    doing = service.qrunner()
    done = service.act("release", release_timeout_ms=1500)
    assert done.returncode == 1 and agentlib.records(done.stdout, "service") == [{"state": "serving"}]
    assert "qrunner) is at work" in done.stderr and service.intake() == "open" and doing.poll() is None
    assert service.host.run("pkill", "-f", "cron/qrunner").returncode == 0
    doing.wait(10)
    done = service.act("release")
    assert done.returncode == 0 and len(agentlib.records(done.stdout, "released")) == 1, done.stderr
    assert service.intake() == "closed" and service.act("monitor").returncode == 7
    assert service.act("resume").returncode == 1


def test_a_post_is_waited_for(service):
    service.token()
    assert service.act("start").returncode == 0
    post = service.host.start(*mailload.AS_LIST, f"{service.prefix}/mail/mailman", "post", "test")
    time.sleep(0.5)
    done = service.act("release", release_timeout_ms=1000)
    assert done.returncode == 1 and "a command) is at work" in done.stderr
    post.communicate("From: a1@lab.test\n\nx\n", timeout=20)
    assert service.act("release").returncode == 0
