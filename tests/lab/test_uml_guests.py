# SPDX-License-Identifier: GPL-2.0-or-later
"""The user-mode Linux guests themselves: real kernels with real NFS between them, that can be killed, paused and cut, and of
which nothing is left."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import labns
import umlguest
import umlnfs

pytestmark = pytest.mark.skipif(bool(umlguest.missing()), reason=f"user-mode Linux: {umlguest.missing()}: REAL NFS WAS NOT TESTED")

LOCKER = """
import fcntl, sys
f = open(sys.argv[1], 'r+')
fcntl.lockf(f, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[2] == 'try' else 0))
print('held', flush=True)
open(sys.argv[3], 'w').close()
sys.stdin.read() if sys.argv[2] == 'try' else __import__('time').sleep(600)
"""


@pytest.fixture(name="nfs", scope="module")
def fixture_nfs():
    with umlnfs.real_nfs() as nfs:
        nfs.server.shell("chmod 1777 /export/lists")
        yield nfs


def test_they_are_kernels_of_their_own(nfs):
    guests = list(nfs.guests.values())
    ids = {g.ok(["/bin/cat", "/proc/sys/kernel/random/boot_id"]) for g in guests}
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        ids.add(file.read())
    assert len(ids) == 4
    assert [g.ok(["/bin/hostname"]).strip() for g in guests] == ["srv", "a", "b"]
    for guest in nfs.clients.values():
        text = guest.ok(["/bin/cat", "/proc/self/mountinfo"])
        assert f"/srv/lists rw,relatime - nfs4 {nfs.server.address}:/lists rw,vers=4.2" in text and ",hard," in text, text


def test_this_machine_is_read_only_for_them(nfs):
    mark = f"/etc/understudy-uml-{os.getpid()}"
    nfs["a"].shell(f"echo x > {mark}; test -s {mark}")
    assert not os.path.exists(mark)
    assert nfs["b"].run(["/usr/bin/test", "-e", mark]).code == 1


def test_a_command_does_not_wait_for_what_it_leaves_behind(nfs):
    done = nfs["a"].run(["/bin/sh", "-c", "sleep 300 & echo $!; exit 3"], timeout=20)
    assert done.code == 3 and done.out.strip().isdigit()
    nfs["a"].ok(["/bin/kill", done.out.strip()])


def test_a_file_of_one_is_read_by_the_other(nfs):
    nfs["a"].shell("echo one > /srv/lists/f; sync /srv/lists/f")
    assert nfs["b"].ok(["/bin/cat", "/srv/lists/f"]) == "one\n"
    assert nfs.server.ok(["/bin/cat", "/export/lists/f"]) == "one\n"


def test_file_locks_hold_between_them_and_over_a_restart_of_the_server(nfs):
    a, b = nfs["a"], nfs["b"]
    a.shell("echo x > /srv/lists/lock; chmod 666 /srv/lists/lock")
    holder = a.begin(["/usr/bin/python3", "-c", LOCKER, "/srv/lists/lock", "wait", "/tmp/held"])
    a.shell("while [ ! -e /tmp/held ]; do sleep 0.1; done")
    attempt = ["/usr/bin/python3", "-c", LOCKER, "/srv/lists/lock", "try", "/tmp/got"]
    done = b.run(attempt)
    assert done.code == 1 and "BlockingIOError" in done.err, done
    nfs.server_off()
    nfs.server_on()
    assert "nfsdcld client tracking" in nfs.server.ok(["/bin/dmesg"])
    nfs.wait_no_grace()
    done = b.run(attempt)      # the client has reclaimed it
    assert done.code == 1 and "BlockingIOError" in done.err, done
    holder.signal(signal.SIGKILL)
    holder.wait()
    assert b.run(attempt).code == 0


def test_a_call_waits_for_the_server_and_its_handles_survive(nfs):
    a = nfs["a"]
    writer = a.begin(["/bin/sh", "-c", "exec 3>> /srv/lists/g; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo after >&3;"
                      "sync /srv/lists/g"])
    a.shell("while [ ! -e /srv/lists/g ]; do sleep 0.1; done")
    nfs.server_off()
    a.shell("touch /tmp/go")
    assert not writer.has_ended(2)
    began = time.monotonic()
    nfs.server_on()
    done = writer.wait(60)
    print(f"lab: a blocked write returned {time.monotonic() - began:.1f} s after the server's power was on again")
    assert done.code == 0, done
    assert nfs.server.ok(["/bin/cat", "/export/lists/g"]) == "after\n"
    nfs.wait_no_grace()


def test_a_paused_guest_does_nothing_and_goes_on(nfs):
    a = nfs["a"]
    counter = a.begin(["/bin/sh", "-c", "n=0; while :; do n=$((n+1)); echo $n > /srv/lists/n; sync /srv/lists/n;"
                       "sleep 0.05; done"])
    nfs.server.shell("while [ ! -s /export/lists/n ]; do sleep 0.1; done")
    a.pause()
    first = nfs.server.ok(["/bin/cat", "/export/lists/n"])
    time.sleep(2)
    assert nfs.server.ok(["/bin/cat", "/export/lists/n"]) == first
    a.resume()
    nfs.server.shell(f"until [ $(cat /export/lists/n) -gt {int(first) + 5} ]; do sleep 0.1; done", timeout=30)
    counter.close()


def test_a_cut_guest_reaches_no_server_until_it_is_healed(nfs):
    a = nfs["a"]
    nfs.network.cut("a")
    job = a.begin(["/bin/sh", "-c", "echo late > /srv/lists/late; sync /srv/lists/late"])
    assert not job.has_ended(2)
    assert nfs.server.run(["/usr/bin/test", "-e", "/export/lists/late"]).code == 1
    nfs.network.heal("a")
    assert job.wait(60).code == 0
    assert nfs.server.ok(["/bin/cat", "/export/lists/late"]) == "late\n"


def test_a_denied_client_is_told_so_and_nothing_of_it_lands(nfs):
    """ESTALE while something else, here the root of the exports, is still exported to it; else EACCES."""
    assert nfs.exported_to("a") == ["control", "lists"]
    nfs.deny("a")
    try:
        assert (nfs.exported_to("a"), nfs.exported_to("b")) == ([], ["control", "lists"])
        done = nfs["a"].run(["/bin/sh", "-c", "echo no > /srv/lists/denied"])
        assert done.code != 0 and "Stale file handle" in done.err, done
        nfs.server.ok(["/usr/sbin/exportfs", "-u", f"{nfs['a'].address}:/export"])
        done = nfs["a"].run(["/bin/sh", "-c", "echo no > /srv/lists/denied"])
        print(f"lab: with no export at all: {done.err.strip()}")
        assert done.code != 0 and re.search("Permission denied|Stale file handle", done.err), done
        assert nfs.server.run(["/usr/bin/test", "-e", "/export/lists/denied"]).code == 1
    finally:
        nfs.allow("a")
    nfs["a"].shell("echo yes > /srv/lists/allowed")


def test_no_process_is_left_of_one_whose_power_was_cut(nfs):
    b = nfs["b"]
    b.begin(["/bin/sleep", "600"])
    pids = b.pids()
    assert len(pids) > 3
    b.power_off()
    assert not [pid for pid in pids if labns.start_time(pid) is not None]
    nfs.power_on("b")
    assert b.ok(["/bin/cat", "/srv/lists/f"]) == "one\n"


def test_all_of_it_dies_with_the_process_that_made_it():
    code = ("import os, tempfile, umlguest\n"
            "net = umlguest.Network()\n"
            "guest = umlguest.Guest(net, tempfile.mkdtemp(dir=os.environ['PLACE']), 'x', 99)\n"
            "guest.start(); guest.wait_ready()\n"
            "print(net.holder.pid, *guest.pids(), flush=True)\n"
            "os.kill(os.getpid(), 9)\n")
    with tempfile.TemporaryDirectory(prefix="understudy-uml.") as place:
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PLACE": place, "PYTHONPATH": str(umlguest.HERE)},
                              stdout=subprocess.PIPE, text=True, check=False, timeout=120)
        pids = [int(word) for word in done.stdout.split()]
        assert done.returncode == -signal.SIGKILL and len(pids) > 4, done
        deadline = time.monotonic() + 10
        while left := [pid for pid in pids if labns.start_time(pid) is not None]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
