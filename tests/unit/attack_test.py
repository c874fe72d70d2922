#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fence devices and list users that mean harm, against the engine and understudy-state. tests/conformance/threats.md says
which other tests belong to these."""
import os
import re
import shutil
import sys

import program
from engine_lib import TOP, ask, cut_power_of_peer, peer_active
from program import eq, main, test
from state_world import World

HARMLESS = ("recover", "--epoch", 7, "--harmless", "b")
# Everything but the answer that the fence agent API has for off: status 2 of a status query. See engine_driver_test, too.
JUNK = [(1, "Status: OFF\nSuccess: Powered OFF\n"), (-2, "off \x1b[2J\n" * 20)]


@test
def junk_of_a_fence_device_proves_nothing():
    """Whatever "off" says, and whatever words come: only status 2 of a status query is off."""
    w = peer_active("junk")
    try:
        w.fail = {"fence-off": (0, "Success: Powered OFF\n"), "fence-status": JUNK[0]}
        cut_power_of_peer(w)
        for answer in JUNK:
            w.fail["fence-status"] = answer
            before = w.jobs().count("fence-status")
            w.until(lambda n=before: w.jobs().count("fence-status") > n, 10)
            w.pause(0.2)
            done = set(w.jobs()) & {"epoch-drain", "epoch-own", "address-start", "service-start"}
            assert not done and w.state() == "proof", (answer, done, w.state())
        code, out, _ = ask(w, "explain")
        assert code == 0 and "fence-failed" in out, out
        w.fail = {}                                     # and an honest one is believed
        w.until(lambda: w.state() == "active", 20)
    finally:
        w.close()


@test
def one_off_between_two_on_is_no_proof():
    w = peer_active("flip")
    try:
        seen = []

        def flip():
            n = w.jobs().count("fence-status")
            if n not in seen:
                seen.append(n)
            w.fail["fence-status"] = (2, "") if n % 2 else (0, "Status: OFF\n")
        w.fail = {"fence-off": (0, ""), "fence-status": (0, "")}
        w.each_step = flip
        cut_power_of_peer(w)
        w.until(lambda: len(seen) >= 5, 20)
        assert "epoch-own" not in w.jobs() and "epoch-drain" not in w.jobs(), w.jobs()
    finally:
        w.close()


def precious(w):
    """A folder of somebody else that looks like what the list user's own do."""
    folder = os.path.join(w.top, "precious")
    os.mkdir(folder, 0o755)
    for name in ("master.lck", "master.lck|b.lab.test|5|6", "mta"):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(f"{folder}/master.lck|b.lab.test|5|6")
    return folder


def contents(folder):
    return {name: open(os.path.join(folder, name), encoding="ascii").read() for name in sorted(os.listdir(folder))}


@test
def a_lock_directory_that_became_a_link_is_not_entered():
    with World() as w:
        folder = precious(w)
        before = contents(folder)
        shutil.rmtree(w.locks)
        os.symlink(folder, w.locks)
        code, out, err = w.do(*HARMLESS)
        assert code == 1 and err, (code, out, err)
        eq(contents(folder), before)


@test
def a_queue_that_became_a_link_is_not_entered():
    with World() as w:
        folder = precious(w)
        for path in (folder, f"{folder}/1.5+0123456789abcdef0123456789abcdef01234567.pck"):
            if path != folder:
                with open(path, "w", encoding="ascii"):
                    pass                                # of no length: in a queue it is put aside
            w.own(path)                                 # nothing but the link is in the way
        before = contents(folder)
        shutil.rmtree(f"{w.queue}/in")
        os.symlink(folder, f"{w.queue}/in")
        w.do(*HARMLESS)
        eq(contents(folder), before)


@test
def a_hard_link_to_a_file_of_somebody_else_is_not_moved():
    """The kernel forbids to make one (fs.protected_hardlinks); where it does not, it is no lock."""
    with World() as w:
        folder = precious(w)
        os.link(f"{folder}/master.lck", f"{w.locks}/master.lck")
        before = contents(folder)
        code, out, _ = w.do(*HARMLESS)
        if os.geteuid() == 0:                           # root's
            eq(code, 3)
            assert "foreign-owner" in out and w.lock_names() == ["master.lck"], out
        eq(contents(folder), before)


@test
def a_forged_lock_of_the_peer_says_nothing_of_the_peer():
    """Without a proof from elsewhere none of its locks goes, however old and however it is written."""
    with World() as w:
        w.lock("master.lck", "b.lab.test", 5)
        w.lock("mta", "b.lab.test", 6)
        for name in os.listdir(w.locks):
            os.utime(f"{w.locks}/{name}", (1, 1))
        before = w.snapshot()
        w.code(3, "recover", "--epoch", 7)
        eq(w.snapshot(), before)


@test
def a_lock_with_the_number_of_roots_process_signals_nobody():
    """A pid in a lock is looked up in /proc, and never signalled; the pass ends its own workers, and nobody else."""
    if not program.strace_works():
        raise program.Skip("strace cannot be used here")
    with World() as w:
        w.lock("master.lck", "a.lab.test", 1)
        log = w.top + "/log"
        w.do("recover", "--epoch", 7, strace=["-f", "-o", log, "-e", "trace=kill,tkill,tgkill,pidfd_send_signal,ptrace"])
        with open(log, encoding="utf-8") as f:
            lines = list(f)
        ours = {line.split()[0] for line in lines}
        calls = [line for line in lines if "(" in line and "+++" not in line]
        eq([line for line in calls if not (line.split()[1].startswith("kill(") and re.search(r"\((\d+),", line).group(1) in ours)], [])


if __name__ == "__main__":
    done = main()
    if not done:
        shutil.rmtree(TOP, ignore_errors=True)
    sys.exit(done)
