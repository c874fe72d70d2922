#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile and broken files on the control share and beside it, through understudy-epoch, as a table of every file against
everything that may lie in its place: a clear refusal, nothing changed, nothing followed, and no hang."""
import os
import sys
import time

import program
from epoch_world import Watch
from epoch_world import World as EpochWorld
from hostile import Places, remove, told, tree
from program import eq, test

DEADLINE_S = 10
CHANGES = (("claim", 2), ("own", 1, "--proof", "b=off"), ("end", 1, "--planned"), ("maintain",), ("unmaintain",),
           ("drain", "--duration", 1), ("init",))


def epoch_world():
    w = EpochWorld()
    w.tenure("a", 1)
    return w, Places(w.share), Places(w.top)


def in_place(places, path, kind, sound):
    """The hostile thing instead of the file; what was there is given back by the function that is returned."""
    kept = path + "-kept-beside" if os.path.lexists(path) else None
    kept = kept and os.path.join(places.folder, "kept")
    if kept:
        os.rename(path, kept)
    places.make(path, kind, sound)

    def back():
        remove(path)
        if kept:
            os.rename(kept, path)
    return back


@test
def what_lies_in_the_place_of_an_epoch_or_the_identity():
    w, places, _ = epoch_world()
    with w:
        w.ok("a", "end", 1, "--unplanned")
        for name in ("identity", "epoch.0", "epoch.1", "epoch.1.own", "epoch.1.end", "epoch.2", "epoch.1.own.x", "epoch.."):
            path = f"{w.dir}/{name}"
            sound = open(path, "rb").read() if os.path.exists(path) else w.text("epoch.1").encode()
            for kind in places.kinds():
                back = in_place(places, path, kind, sound)
                before = tree(w.share, w.top)
                for args in CHANGES if kind in ("torn", "fifo") else CHANGES[:2]:
                    told((name, kind, args), w.do("a", *args, timeout=DEADLINE_S))
                code, out, err = w.do("a", "read", timeout=DEADLINE_S)
                assert code in (4, 5) and "share state=" in out and "why=-" not in out, (name, kind, code, out, err)
                eq(tree(w.share, w.top), before, f"{name} {kind}")
                places.unhurt()
                back()
        w.read()


@test
def what_lies_in_the_place_of_the_local_maximum():
    w, _, places = epoch_world()
    with w:
        path = w.state("a") + "/epoch.max"
        sound = open(path, "rb").read()
        for kind in places.kinds():
            if kind in ("writable", "wrong-owner"):  # the directory is ours alone
                continue
            back = in_place(places, path, kind, sound)
            before = tree(w.share, w.state("a"))
            for args in CHANGES:
                told((kind, args), w.do("a", *args, timeout=DEADLINE_S))
            code, out, err = w.do("a", "read", timeout=DEADLINE_S)
            assert code != 0 and (out or err), (kind, code, out, err)
            eq(tree(w.share, w.state("a")), before, kind)
            places.unhurt()
            back()
        w.ok("a", "end", 1, "--planned")


@test
def the_other_local_files_are_only_a_help():
    """epoch.checked saves reading, epoch.lock holds two of us apart: neither can do harm, whatever lies there."""
    w, _, places = epoch_world()
    with w:
        sound = open(w.state("a") + "/epoch.max", "rb").read()
        for name in ("epoch.checked", "epoch.max.new", "epoch.lock"):
            for kind in places.kinds():
                path = f"{w.state('a')}/{name}"
                back = in_place(places, path, kind, sound)
                share = tree(w.share)
                result = w.do("a", "claim", 3, timeout=DEADLINE_S)  # reads it, and changes nothing as 2 is the next
                told((name, kind), result)
                eq(tree(w.share), share, f"{name} {kind}")
                places.unhurt()
                back()
        w.ok("a", "end", 1, "--planned")


@test
def what_lies_in_the_place_of_maintenance_suspends_claims_and_permits_nothing():
    w, places, _ = epoch_world()
    with w:
        w.ok("a", "end", 1, "--planned")
        w.ok("a", "maintain", "--reason", "x")
        path, sound = w.dir + "/maintenance", w.text("maintenance").encode()
        os.unlink(path)
        for kind in places.kinds():
            places.make(path, kind, sound)
            before = tree(w.share)
            told(kind, w.do("a", "claim", 2, timeout=DEADLINE_S))
            told(kind, w.do("a", "maintain", timeout=DEADLINE_S))
            eq(w.read()["maintenance"]["state"], "malformed", kind)
            eq(tree(w.share), before, kind)
            if kind == "directory":
                told(kind, w.do("a", "unmaintain", timeout=DEADLINE_S))  # a person has to look
                os.rmdir(path)
            w.ok("a", "unmaintain", timeout=DEADLINE_S)
            assert not os.path.lexists(path), kind
            places.unhurt()


@test
def what_lies_in_the_place_of_a_beat():
    """The other's is not believed; ours is replaced, and nothing is written through what lay there."""
    w, places, _ = epoch_world()
    with w:
        w.configure(more="beat_interval = 50ms")
        watch = Watch(w, "b")
        watch.until(lambda r: True)
        time.sleep(0.4)
        watch.close()
        sound = w.text("beat.b").encode()
        for kind in places.kinds():
            back = in_place(places, w.dir + "/beat.b", kind, sound)
            before = tree(w.share)
            eq(w.read()["beat"], [], kind)
            eq(tree(w.share), before, kind)
            back()
        run_id = "00000000000000aa"
        for name in ("beat.a", f".beat.a.{run_id}"):
            for kind in places.kinds():
                path = f"{w.dir}/{name}"
                remove(path)
                remove(w.dir + "/beat.a")
                places.make(path, kind, sound)
                watch = Watch(w, "a")
                report = watch.until(lambda r: True)
                eq(report["share"]["state"], "ok", kind)
                if kind != "directory":
                    watch.until(lambda r: sane_beat(w), DEADLINE_S)
                watch.close()
                assert kind == "directory" or sane_beat(w), (name, kind)
                places.unhurt()
                remove(path)


def sane_beat(w):
    path = w.dir + "/beat.a"
    return os.path.isfile(path) and not os.path.islink(path) and os.stat(path).st_nlink == 1 and \
        w.text("beat.a").startswith("understudy-epoch 1\nkind=beat\nnode=a\n")


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
