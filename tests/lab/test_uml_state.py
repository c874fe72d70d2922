# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state and the drain between two real NFS clients: what a dead client leaves, what the other one's caches know of it,
and what is on the server when `sync` has said so."""
import signal
import time

import pytest

import umlproduct
from umlnfs import LEASE_S
from umlproduct import record, records, rounds

pytestmark = pytest.mark.skipif(bool(umlproduct.why_not()), reason=umlproduct.why_not())

REFUSED = 3
LOCKS, QUEUE = "/srv/lists/locks", "/srv/lists/queue"

# A real lock of the real library, kept for good.
FLUFL = """
import sys, time
from flufl.lock import Lock
lock = Lock(sys.argv[1], 108000)
lock.lock(timeout=4)
open(sys.argv[2], 'w').close()
time.sleep(1000)
"""
TAKE = "import sys; from flufl.lock import Lock; Lock(sys.argv[1], 60).lock(timeout=8)"

# Without fsync, kept open: nothing but the kernel sends it.
WRITER = """
import sys, time
f = open(sys.argv[1], 'wb', buffering=0)
f.write(b'x' * 100000)
open(sys.argv[2], 'w').close()
time.sleep(1000)
"""
# In the middle of what runners do: waiting for data, for a name, or for nothing with data that the kernel has not sent.
BUSY = """
import os, sys, time
path, mark, what = sys.argv[1:]
if what == 'reading':
    open(path, 'wb').close()
f = open(path, 'rb') if what == 'reading' else open(path + '.' + what, 'wb', buffering=0)
open(mark, 'w').close()
while True:
    if what != 'reading':
        f.write(b'x' * 1000)
    if what == 'fsync':
        os.fsync(f.fileno())
    elif what == 'rename':
        open(path + '.n', 'wb').close()
        os.rename(path + '.n', path + '.m')
    else:
        time.sleep(1000)
"""
FILE_LOCK = """
import fcntl, sys, time
f = open(sys.argv[1], 'r+')
fcntl.lockf(f, fcntl.LOCK_EX)
open(sys.argv[2], 'w').close()
time.sleep(int(sys.argv[3]))
"""


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster():
    with umlproduct.real_cluster() as cluster:
        cluster.wait_no_grace()
        yield cluster


def python(guest, code, *args, done=None):
    """Runs on as the list user; returns when it has made the file DONE."""
    job = guest.begin(["/usr/bin/python3", "-c", code, *args], user="list")
    if done:
        guest.shell(f"until [ -e {done} ]; do sleep 0.1; done", timeout=60)
    return job


def locks_seen(cluster, name):
    done = cluster.state(name, "locks")
    return sorted(fields["name"] for word, fields in records(done.out) if word == "lock")


def test_a_dead_clients_locks_and_queue_entries(cluster):
    """Refused while nothing is proven of it; then cleared, and Mailman's own library gets them at once."""
    a, b = cluster["a"], cluster["b"]
    python(a, FLUFL, f"{LOCKS}/master.lck", "/tmp/one", done="/tmp/one")
    python(a, FLUFL, f"{LOCKS}/mta", "/tmp/two", done="/tmp/two")
    stamp = time.time()
    exts = ("pck", "bak", "bak")        # a .bak is looked into, however little time there is
    names = [f"{QUEUE}/in/{stamp + n:.7f}+{str(n) * 40}.{ext}" for n, ext in enumerate(exts)]
    pickle = "printf '\\200\\005x.'"
    a.ok(["/bin/sh", "-c", f"{pickle} > {names[0]}; {pickle} > {names[1]}; : > {names[2]}; sync"], user="list")
    a.power_off()
    try:
        assert cluster.state("b", "recover", "--epoch", "5").code == REFUSED
        done = cluster.state("b", "recover", "--epoch", "5", "--harmless", "a")
        print(f"lab: recover took {done.took_s:.1f} s: {done.out.splitlines()[-1]}")
        assert done.code == 0, done
        summary = record(done.out, "summary")
        assert (summary["locks_cleared"], summary["locks_refused"], summary["bak"], summary["pck"]) == ("4", "0", "1", "1"), summary
        assert summary["quarantined"] == "1", summary          # the empty one
        for lock in ("master.lck", "mta"):
            b.ok(["/usr/bin/python3", "-c", TAKE, f"{LOCKS}/{lock}"], user="list")
    finally:                                                    # the others need both
        cluster.server.shell("cd /export/lists; rm -rf locks/* queue/in/* locks/.u* queue/in/.u*")
        cluster.power_on("a")


def test_a_lock_made_by_the_other_client_is_seen_at_once(cluster):
    """Also where the directory has just been looked at: no cached listing and no cached "there is no such file" hides it."""
    made = f"f={LOCKS}/\"mta|a.lab.test|4242|1\"; printf %s \"$f\" > \"$f\"; ln \"$f\" {LOCKS}/mta"
    late = []
    for _ in range(rounds("UML_LOOKS", 4)):
        assert locks_seen(cluster, "b") == []
        cluster["b"].run(["/bin/ls", f"{LOCKS}/mta"])
        cluster["a"].ok(["/bin/sh", "-c", made], user="list")
        seen = locks_seen(cluster, "b")
        if not seen:
            late.append(seen)
        cluster["a"].ok(["/bin/sh", "-c", f"rm {LOCKS}/*"], user="list")
        if locks_seen(cluster, "b"):
            late.append("gone")
    assert not late, late


def test_what_sync_has_said_is_on_the_server(cluster):
    """A power cut after it loses nothing; without it the last writes are gone, which no local file system would show."""
    path = {True: f"{QUEUE}/shunt/synced", False: f"{QUEUE}/shunt/unsynced"}
    for synced in (False, True):
        python(cluster["a"], WRITER, path[synced], "/tmp/written", done="/tmp/written")
        if synced:
            done = cluster.state("a", "sync")
            assert done.code == 0 and record(done.out, "synced")["file_systems"] == "1", done
        cluster["a"].power_off()
        size = int(cluster.server.ok(["/usr/bin/stat", "-c", "%s", path[synced].replace("/srv/", "/export/")]))
        assert size == (100000 if synced else 0)
        cluster.power_on("a")
    cluster.server.shell("rm /export/lists/queue/shunt/*")


def test_sync_waits_for_a_hung_server_and_dies_by_a_kill(cluster):
    python(cluster["a"], WRITER, f"{QUEUE}/shunt/w", "/tmp/w", done="/tmp/w")
    cluster.server.pause()
    try:
        job = cluster["a"].begin([umlproduct.STATE, "sync"])
        assert not job.has_ended(4)
        job.signal(signal.SIGKILL)
        assert job.wait(10).code == -signal.SIGKILL
        job = cluster["a"].begin([umlproduct.STATE, "sync"])
    finally:
        cluster.server.resume()
    done = job.wait(60)
    assert done.code == 0, done
    assert cluster.server.ok(["/usr/bin/stat", "-c", "%s", "/export/lists/queue/shunt/w"]).strip() == "100000"
    cluster["a"].run(["/usr/bin/pkill", "-f", "sys.argv"])
    cluster.server.shell("rm /export/lists/queue/shunt/*")


def test_who_writes_cannot_be_killed_while_the_server_hangs(cluster):
    """SIGKILL ends a process only when its files are closed, and that waits for the server, even for one that only reads: the
    stop of an active node is not proven then, and its watchdog resets it."""
    kinds = ("fsync", "rename", "dirty", "reading")
    jobs = {what: python(cluster["a"], BUSY, f"{QUEUE}/shunt/busy", f"/tmp/busy.{what}", what, done=f"/tmp/busy.{what}")
            for what in kinds}
    cluster.server.pause()
    try:
        time.sleep(2)
        for job in jobs.values():
            job.signal(signal.SIGKILL)
        time.sleep(8)
        ended = [what for what, job in jobs.items() if job.has_ended()]
        print(f"lab: killed while the server hung and ended within 8 s: {ended}")
    finally:
        cluster.server.resume()
    began = time.monotonic()
    assert {what: job.wait(60).code for what, job in jobs.items()} == {what: -signal.SIGKILL for what in kinds}
    print(f"lab: all of them have ended {time.monotonic() - began:.1f} s after the server was back")
    assert not {"fsync", "dirty"} & set(ended), ended
    cluster.server.shell("rm -f /export/lists/queue/shunt/*")


def test_after_a_planned_stop_nothing_needs_a_proof(cluster):
    """Its own dead locks go with `sync --epoch`, its data is on the server, and the other node takes over beside it."""
    number = cluster.tenure("a")
    job = python(cluster["a"], FLUFL, f"{LOCKS}/master.lck", "/tmp/planned", done="/tmp/planned")
    assert locks_seen(cluster, "b") != []
    job.signal(signal.SIGKILL)
    job.wait()
    done = cluster.state("a", "sync", "--epoch", str(number))
    assert done.code == 0 and "synced " in done.out, done
    cluster.epoch_ok("a", "end", number, "--planned")
    assert locks_seen(cluster, "b") == []
    taken = cluster.highest() + 1
    cluster.epoch_ok("b", "claim", taken)
    cluster.epoch_ok("b", "own", taken, "--proof", "a=ended")
    cluster["b"].ok(["/usr/bin/python3", "-c", TAKE, f"{LOCKS}/master.lck"], user="list")
    cluster.epoch_ok("b", "end", taken, "--planned")


def test_a_dead_clients_file_lock_ends_with_its_lease(cluster):
    """As sqlite's do: nobody can write to the database before."""
    cluster.server.shell("touch /export/lists/db; chmod 666 /export/lists/db")
    python(cluster["a"], FILE_LOCK, "/srv/lists/db", "/tmp/held", "1000", done="/tmp/held")
    began = time.monotonic()
    cluster["a"].power_off()
    job = cluster["b"].begin(["/usr/bin/python3", "-c", FILE_LOCK, "/srv/lists/db", "/tmp/got", "0"], user="list")
    assert not job.has_ended(LEASE_S / 3)
    done = job.wait(60)
    took = time.monotonic() - began
    print(f"lab: a dead client's file lock was free after {took:.1f} s with a lease of {LEASE_S} s")
    assert done.code == 0 and took < 3 * LEASE_S + 10, done
    cluster.power_on("a")


def test_the_drain_begins_again_when_the_server_was_away(cluster):
    began = time.monotonic()
    cluster.epoch_ok("b", "drain", "--duration", "3000")
    usual = time.monotonic() - began
    job = cluster.epoch_begin("b", "drain", "--duration", "3000")
    time.sleep(2)
    cluster.server.pause()
    time.sleep(4)
    cluster.server.resume()
    resumed = time.monotonic()
    done = job.wait(60)
    print(f"lab: a drain of 3 s took {usual:.1f} s, and {time.monotonic() - resumed:.1f} s after the server was back")
    assert done.code == 0 and time.monotonic() - resumed >= 2.9, done
