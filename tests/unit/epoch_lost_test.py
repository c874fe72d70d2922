#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A share that is taken away, emptied, replaced or restored, a local disk that is old, and the way on above them."""
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import program
from epoch_world import BOOT, Watch, World
from program import eq, test


def seen(w, change, state, why, back=None):
    """An active node's watch reports it within two intervals, does not beat on it, and says ok again once it is back."""
    watch = Watch(w, "a")
    try:
        watch.until(lambda r: r["share"]["state"] == "ok" and r["beat"])
        begin = time.monotonic()
        change()
        report = watch.until(lambda r: r["share"]["state"] != "ok")
        assert time.monotonic() - begin < 1, "late"
        eq((report["share"]["state"], report["share"]["why"]), (state, why))
        beats = [n for n in (w.names() if os.path.isdir(w.dir) else []) if n.startswith("beat")]
        before = [w.text(n) for n in beats]
        for _ in range(3):
            eq(watch.chunk()["share"]["state"], state)
        eq([w.text(n) for n in beats], before)
        if back:
            back()
            watch.until(lambda r: r["share"]["state"] == "ok")
    finally:
        watch.close()


@test
def an_active_nodes_watch_sees_its_share_go():
    with World() as w:
        w.tenure("a", 1)
        kept, other = w.share + "/kept", w.top + "/other"

        def away():
            os.rename(w.dir, kept)

        def again():
            shutil.rmtree(w.dir, ignore_errors=True)
            os.rename(kept, w.dir)
        seen(w, away, "wrong", "missing", again)

        def replaced_by_an_empty_one():
            os.mkdir(w.share + "/new")
            os.rename(w.dir, kept)
            os.rename(w.share + "/new", w.dir)
        seen(w, replaced_by_an_empty_one, "wrong", "no-identity", again)

        def emptied():
            os.mkdir(kept)
            for name in w.names():
                os.rename(f"{w.dir}/{name}", f"{kept}/{name}")
        seen(w, emptied, "wrong", "no-identity", again)

        shutil.copytree(w.dir, other)
        identity = w.text("identity")

        def identity_replaced():
            os.rename(w.dir, kept)
            shutil.copytree(other, w.dir)
            w.write("identity", identity.replace(w.uuid, BOOT["f"]))
        w.uuid = w.read()["share"]["uuid"]
        seen(w, identity_replaced, "wrong", "other-identity", again)

        def of_yesterday():
            os.rename(w.dir, kept)
            shutil.copytree(other, w.dir)
            for name in ("epoch.1", "epoch.1.own"):
                os.unlink(f"{w.dir}/{name}")
        seen(w, of_yesterday, "wrong", "epoch-lost", again)             # it was there under this very watch

        def unmounted():
            subprocess.run(["umount", "-l", w.share], check=True)
        seen(w, unmounted, "wrong", "not-mounted")


@test
def a_watch_that_starts_on_an_old_share_says_behind():
    with World() as w:
        shutil.copytree(w.dir, w.top + "/yesterday")
        w.tenure("a", 1)
        w.read("b")
        w.code(3, "b", "claim", 1)
        shutil.rmtree(w.dir)
        shutil.copytree(w.top + "/yesterday", w.dir)
        for node in "ab":
            watch = Watch(w, node)
            try:
                report = watch.chunk()
                eq((report["share"]["state"], report["share"]["highest"], report["share"]["local_max"]), ("behind", "0", "1"))
            finally:
                watch.close()


def recovered(w, n, node="b"):
    """What every node then sees, and that the next tenure is above all that was."""
    for other in w.nodes:
        look = w.read(other)
        eq((look["share"]["state"], look["last"]["n"], look["last"]["node"], look["share"]["open"]), ("ok", str(n), "-", "0"))
        eq((look["last"]["ended"], look["last"]["planned"]), ("1", "0"))    # the drain is not skipped
        eq(look["share"]["uuid"], w.uuid)
    w.code(3, node, "claim", n)
    w.tenure(node, n + 1, "a=not-needed" if node == "b" else "b=not-needed")


@test
def recover_after_the_share_was_emptied():
    with World() as w:
        w.uuid = w.read()["share"]["uuid"]
        for n in (1, 2, 3):
            w.tenure("a", n)
            if n < 3:
                w.ok("a", "end", n, "--planned")
        w.code(3, "b", "claim", 3)                                      # b has seen them too
        for name in w.names():
            os.unlink(f"{w.dir}/{name}")
        eq(w.why(), "no-identity")
        w.code(1, "a", "init")
        eq(w.ok("b", "init", "--recover"), f"init n=4 uuid={w.uuid}\n")
        eq(w.ok("a", "end", 3, "--unplanned"), "end n=3 planned=0 superseded=1\n")
        eq(sorted(w.files()), ["epoch.4", "identity"])
        recovered(w, 4)


@test
def recover_after_a_backup_of_yesterday():
    with World() as w:
        w.uuid = w.read()["share"]["uuid"]
        w.tenure("a", 1)
        shutil.copytree(w.dir, w.top + "/yesterday")
        w.ok("a", "end", 1, "--planned")
        w.tenure("b", 2)
        w.code(3, "a", "claim", 2)
        shutil.rmtree(w.dir)
        shutil.copytree(w.top + "/yesterday", w.dir)
        w.read("a", 5)
        w.code(5, "a", "claim", 2)                                      # never: 2 is b's
        w.code(5, "b", "end", 2, "--unplanned")
        w.ok("a", "init", "--recover")
        for n in (1, 2):
            w.ok("ab"[n - 1], "end", n, "--unplanned")                  # owed, and owed no longer
        eq(sorted(w.files()), ["epoch.0", "epoch.1", "epoch.1.own", "epoch.3", "identity"])
        recovered(w, 3)


@test
def recover_counts_what_other_nodes_have_seen():
    with World() as w:
        w.uuid = w.read()["share"]["uuid"]
        w.code(2, "b", "claim", 5)                                      # remembers the identity, has seen no epoch
        w.tenure("a", 1)
        os.unlink(w.dir + "/identity")
        w.code(1, "b", "init")
        w.ok("b", "init", "--recover", "--above", 41)
        eq((w.read("a")["last"]["n"], w.read("a")["share"]["uuid"]), ("42", w.uuid))


@test
def recover_knows_the_share_of_another_cluster_or_identity():
    with World() as w:
        w.tenure("a", 1)
        before = w.text("identity")
        w.write("identity", before.replace(w.read()["share"]["uuid"], BOOT["f"]))
        files = w.files()
        w.code(4, "a", "init", "--recover")
        w.write("identity", before.replace("cluster=lab", "cluster=other"))
        w.code(4, "a", "init", "--recover")
        eq(sorted(w.files()), sorted(files))


@test
def recover_by_a_node_that_never_saw_the_identity_says_what_the_others_will_say():
    with World() as w:
        w.tenure("a", 1)
        for name in w.names():
            os.unlink(f"{w.dir}/{name}")
        code, out, err = w.do("b", "init", "--recover", "--above", 1)
        eq((code, out.split()[:2]), (0, ["init", "n=2"]))
        assert "other-identity" in err and "epoch.max" in err, err
        eq(w.why("a"), "other-identity")                                # the careful side
        w.code(4, "a", "claim", 3)
        os.unlink(w.state("a") + "/epoch.max")
        eq(w.read("a")["share"]["state"], "ok")


@test
def an_end_below_a_base_is_owed_no_longer_and_only_there():
    with World() as w:
        w.tenure("a", 1)
        w.ok("a", "end", 1, "--planned")
        w.tenure("b", 2)
        w.code(3, "a", "end", 2, "--unplanned")
        w.ok("a", "init", "--recover")
        eq(w.ok("a", "end", 2, "--unplanned"), "end n=2 planned=0 superseded=1\n")
        w.code(3, "a", "end", 3, "--unplanned")                         # the base itself is nobody's
        w.code(1, "a", "end", 4, "--unplanned")


@test
def a_local_disk_of_yesterday_takes_nothing_back():
    with World() as w:
        w.tenure("a", 1)
        shutil.copytree(w.state("a"), w.top + "/yesterday")
        w.ok("a", "end", 1, "--planned")
        w.tenure("b", 2)
        w.ok("b", "end", 2, "--planned")
        w.tenure("a", 3)
        for restored in (True, False):                                  # of yesterday, and a new disk
            shutil.rmtree(w.state("a"))
            if restored:
                shutil.copytree(w.top + "/yesterday", w.state("a"))
            else:
                os.mkdir(w.state("a"))
            look = w.read("a")
            eq((look["share"]["state"], look["share"]["highest"], len(look["open"])), ("ok", "3", 1))
            for n in (1, 2, 3):
                w.code(3, "a", "claim", n)                              # the share's highest wins
            for n in (1, 2):
                w.code(3, "a", "own", n, "--proof", "b=off")
            watch = Watch(w, "a")
            try:
                eq(watch.chunk()["share"]["local_max"], "3")            # remembered again before it is reported
            finally:
                watch.close()
            with open(w.state("a") + "/epoch.max", encoding="ascii") as f:
                assert "\nn=3\n" in f.read()
        w.ok("a", "end", 3, "--unplanned", run_id="0000000000000001", boot=BOOT["c"])
        w.tenure("b", 4)


@test
def a_nudge_makes_watch_look_at_once():
    with World() as w:
        w.configure(more="beat_interval = 2s\nshare_deadline = 10s")
        w.tenure("a", 1)
        watch = Watch(w, "b")
        try:
            watch.until(lambda r: r["open"])
            time.sleep(0.2)
            w.ok("a", "end", 1, "--planned")
            begin = time.monotonic()
            watch.child.send_signal(signal.SIGUSR1)
            report = watch.chunk()
            took = time.monotonic() - begin
            eq((report["last"]["ended"], report["open"]), ("1", []))
            assert took < 0.5, took
            counter = w.text("beat.b")
            for _ in range(50):
                watch.child.send_signal(signal.SIGUSR1)         # however many: it lives, and beats with each look
            watch.until(lambda r: w.text("beat.b") != counter)
            eq(watch.child.poll(), None)
            while select.select([watch.child.stdout], [], [], 0.5)[0]:  # then it is quiet, and the interval goes on
                assert os.read(watch.child.stdout.fileno(), 65536)
            watch.chunk(4)
        finally:
            watch.close()


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
