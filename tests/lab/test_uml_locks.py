# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock library beside Mailman's own on two real NFS clients: four want one lock, and every count of a shared file arrives.
UML_LOCK_ROUNDS: how often the lock is taken in all."""
import time

import pytest

import umlproduct
from umlproduct import rounds

CONTENDER = f"{umlproduct.BUILD}/tests/unit/lock_contender"
UNIT = umlproduct.HERE.parent / "unit"
LOCKS, COUNTER = "/srv/lists/locks", "/srv/lists/counter"

pytestmark = pytest.mark.skipif(bool(umlproduct.why_not(CONTENDER)), reason=umlproduct.why_not(CONTENDER))

# The real library; only its pause of up to two seconds is shorter.
FLUFL = f"""
import random, sys, time
sys.path.insert(0, {str(UNIT)!r})
from flufl.lock import Lock
from lockfile21 import count_one
Lock._sleep = lambda self: time.sleep(random.random() * 0.004)
for i in range(int(sys.argv[2])):
    lock = Lock(sys.argv[1], 600)
    lock.lock()
    count_one(sys.argv[3])
    lock.unlock()
    print(i + 1, flush=True)
"""


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster():
    with umlproduct.real_cluster() as cluster:
        cluster.wait_no_grace()
        yield cluster


class Race:
    """Two on each client, for one lock: both ours, or one of ours and one of Mailman's."""

    def __init__(self, cluster, each, lock, with_flufl=True):
        self.cluster, self.each, self.counter = cluster, each, f"{COUNTER}.{lock}"
        self.began = time.monotonic()
        self.jobs = []
        for index, client in enumerate(cluster.clients.values()):
            ours = [CONTENDER, "--nfs", "--grammar", "3", "--self", index, LOCKS, lock, "count", each, self.counter]
            flufl = ["/usr/bin/python3", "-c", FLUFL, f"{LOCKS}/{lock}", each, self.counter]
            self.jobs += [client.begin(argv, user="list") for argv in (ours, flufl if with_flufl else ours)]

    def end(self, within_s):
        """How long it took; all have counted, and nothing is left."""
        done = [job.wait(within_s) for job in self.jobs]
        took = time.monotonic() - self.began
        counts = [(d.code, len(d.out.splitlines())) for d in done]
        assert counts == [(0, self.each)] * 4, (counts, [d.err for d in done])
        assert self.cluster.server.ok(["/bin/cat", self.counted()]) == str(4 * self.each)
        assert self.cluster.server.ok(["/bin/ls", "/export/lists/locks"]) == ""
        return took

    def counted(self):
        return self.counter.replace("/srv/", "/export/")


def test_four_on_two_clients_count_exactly(cluster):
    each = max(1, rounds("UML_LOCK_ROUNDS", 200) // 4)
    took = Race(cluster, each, "mta").end(120 + each * 2)
    print(f"lab: {4 * each} acquisitions by 2 of ours and 2 of flufl.lock on two NFS clients: counter exact, {took:.0f} s, "
          f"{4 * each / took:.0f} a second")


def test_ours_is_exact_when_the_server_restarts_and_a_client_stands_still(cluster):
    """Twice the server's power goes, and each client is paused once, in the middle of it. Without flufl.lock, which believes the
    answer of a link() that was made twice: it then says that the lock is taken, and leaves it."""
    each = max(10, rounds("UML_LOCK_ROUNDS", 200) // 8)
    race = Race(cluster, each, "rest", with_flufl=False)
    for number, name in enumerate("ab", 1):
        cluster.server.shell(f"until [ 0$(cat {race.counted()} 2>/dev/null) -ge {each * number} ]; do sleep 0.1; done", timeout=600)
        cluster.server_off()
        cluster.server_on()
        cluster[name].pause()
        time.sleep(2)
        cluster[name].resume()
    took = race.end(300 + each * 4)
    print(f"lab: {4 * each} acquisitions by 4 of ours with two power cuts of the server: counter exact, {took:.0f} s")


def test_the_answer_to_the_link_is_lost_with_the_server(cluster):
    """Ours is held all the same. Mailman's library says that this process has it already, and leaves it behind."""
    a = cluster["a"]
    done = cluster.lose_the_answer("a", lambda prefix: a.begin(
        [*prefix, CONTENDER, "--grammar", "3", "--self", 0, LOCKS, "ours", "talk"], user="list", stdin="take\nheld\nrelease\n"),
        "/export/lists/locks/ours")
    assert done.out == "take 0\nheld 1\nrelease 0\n", done
    done = cluster.lose_the_answer("a", lambda prefix: a.begin(
        [*prefix, "/usr/bin/python3", "-c", "import sys; from flufl.lock import Lock; Lock(sys.argv[1], 60).lock()",
         f"{LOCKS}/theirs"], user="list"), "/export/lists/locks/theirs")
    assert "AlreadyLockedError" in done.err, done
    assert "theirs" in cluster.server.ok(["/bin/ls", "/export/lists/locks"]).split()
    cluster.server.shell("rm /export/lists/locks/*")
