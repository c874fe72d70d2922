#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash-point sweep of understudy-state: it is killed, or its node loses its power, at every system call that changes
something; then the other node, or this one, does its own pass. Every queue entry is in its queue or in the quarantine, once;
no live lock is gone; and in the end all is as after a run that nobody disturbed."""
import os
import re
import sys

import program
from program import eq, kills, test
from state_world import HASH, LEDGER, PROBE, QUARANTINE, World

DEAD = 4194303                          # nothing here counts up to the limit
STEM = f"1795317467.9471908+{HASH}"     # of the entry that was in a runner's hands before
LIVE = {"dbcreate.lck", "held.lck"}     # of node c, which lives, and of a host that nobody knows
RECOVER = {"a": ("recover", "--epoch", 7, "--harmless", "b"), "b": ("recover", "--epoch", 8, "--harmless", "a")}


def empty(w):
    for folder, dirs, files in os.walk(w.top):
        for name in files:
            if folder != w.top:
                os.unlink(f"{folder}/{name}")
        if QUARANTINE in dirs:
            dirs.remove(QUARANTINE)
            for name in os.listdir(f"{folder}/{QUARANTINE}"):
                os.unlink(f"{folder}/{QUARANTINE}/{name}")
            os.rmdir(f"{folder}/{QUARANTINE}")


def takeover_world(w):
    """What a dead node b leaves to a: its locks, its messages, a file that would kill a runner; and a dead process of a."""
    empty(w)
    w.lock("master.lck", "b.lab.test", DEAD)
    w.lock("mta", "a.lab.test", DEAD)
    w.lock("list1", "b.lab.test", DEAD, claim=False)
    w.lock("dbcreate.lck", "c.lab.test", 5)
    w.lock("held.lck", "unknown.lab.test", 5)
    w.write(f"{w.locks}/waits|b.lab.test|{DEAD}|77", "")
    for queue in ("in", "pipeline", "out"):
        w.entry(queue)
        w.entry(queue, hash_="f" * 40)
    w.entry("in", STEM + ".bak")
    w.entry("in", "foo.pck")
    w.entry("pipeline", text=b"", ext="bak")        # a .bak is always looked into, however slow the machine is
    w.entry("out", text=b"\x80\x05cut off", ext="bak")
    w.entry("out", name=STEM + ".pck.tmp")
    w.entry("shunt")
    w.entry("bad", ext="psv")
    w.write(f"{w.queue}/{LEDGER}", f"1 in {STEM} 1\n", 0o640)
    w.write(f"{w.queue}/{PROBE}a", "of an earlier one")


def ours(name):
    return name.startswith((PROBE, LEDGER, "." + LEDGER))


def where_is_what(w):
    """{file: its paths}, without its place in the quarantine, whose names are drawn."""
    found = {}
    for top in (w.locks, w.queue):
        for folder, _, names in os.walk(top):
            for name in names:
                if ours(name):
                    continue
                path = os.path.relpath(f"{folder}/{name}", w.top)
                kept = "/".join((path.split("/")[0], "quarantine", name.split(".", 2)[2])) if QUARANTINE in path else path
                found.setdefault(os.lstat(f"{folder}/{name}").st_ino, []).append(kept)
    return {ino: sorted(paths) for ino, paths in found.items()}


def lock_paths(files):
    return sorted(p for paths in files.values() for p in paths if p.startswith("locks/"))


def starts(w):
    with open(f"{w.queue}/{LEDGER}", encoding="ascii") as f:
        word, queue, stem, number = f.read().split()
    eq((word, queue, stem), ("1", "in", STEM))
    return int(number)


def nothing_lost(w, before):
    """Each file has as many names as before: in its place or in the quarantine, never both, never none."""
    now = where_is_what(w)
    eq(set(now), set(before), "files")
    for ino, paths in before.items():
        eq(len(now[ino]), len(paths), f"{paths} became {now[ino]}")
    for name in LIVE:
        assert os.path.lexists(f"{w.locks}/{name}"), f"{name} of a live or unknown owner is gone"
    eq([p for p in lock_paths(now) if "c.lab.test" in p or "unknown" in p],
       [p for p in lock_paths(before) if "c.lab.test" in p or "unknown" in p])
    assert 1 <= starts(w) <= 2, "the count of starts is lost, or torn"


def names_only(files):
    return sorted(p for paths in files.values() for p in paths)


def plain(names):
    """Without what differs in each world: the time in the name of an entry, the last part of a claim's."""
    return sorted(re.sub(r"[0-9]+\.[0-9]+\+|\|[0-9]+$", "*", n) for n in names)


def unbroken(w, command, node="a"):
    takeover_world(w)
    w.ok(*command, node=node)
    return plain(names_only(where_is_what(w)))


@test
def recover():
    with World(nodes="abc") as w:
        whole = {node: unbroken(w, RECOVER[node], node) for node in "ab"}
        eq(whole["a"], whole["b"])
        eq(len([p for p in whole["a"] if "locks/quarantine" in p]), 6)
        eq(len([p for p in whole["a"] if "queue/quarantine" in p]), 4)
        state = {}

        def prepare():
            takeover_world(w)
            state["before"] = where_is_what(w)
        points = 0
        for where, _ in kills(w.command(*RECOVER["a"]), prepare):
            points += 1
            node = "b" if where.startswith("before") else "a"
            try:
                nothing_lost(w, state["before"])
                w.ok(*RECOVER[node], node=node)
                eq(plain(names_only(where_is_what(w))), whole[node])
                eq(set(where_is_what(w)), set(state["before"]))
                assert starts(w) in (2, 3), starts(w)       # once for each of the two, if the first came so far
                eq([n for n in os.listdir(w.queue) if ours(n) and n not in (LEDGER, f"{PROBE}a")], [])
                w.ok(*RECOVER["a"])                         # its probe goes with its own next pass
                eq([n for n in os.listdir(w.queue) if ours(n)], [LEDGER])
            except AssertionError as err:
                raise AssertionError(f"{where}: {err}") from err
        assert points * program.KILLS_EVERY >= 40, points
        print(f"# {points} points")


@test
def recover_is_refused_whole():
    """A live master lock: killed anywhere, nothing of locks and queues has changed at all."""
    with World(nodes="abc") as w:
        def prepare():
            takeover_world(w)
            os.unlink(f"{w.locks}/master.lck")
            w.lock("master.lck", "c.lab.test", 5)
            state["before"] = where_is_what(w)
        state, points = {}, 0
        for where, _ in kills(w.command(*RECOVER["a"]), prepare):
            points += 1
            eq(where_is_what(w), state["before"], where)
            w.code(3, *RECOVER["a"])
            eq(where_is_what(w), state["before"], where)
        assert points, points


@test
def release():
    with World(nodes="abc") as w:
        whole = unbroken(w, ("release", "--epoch", 7))
        eq(len([p for p in whole if "quarantine" in p]), 2)
        state = {}

        def prepare():
            takeover_world(w)
            state["before"] = where_is_what(w)
        points = 0
        for where, _ in kills(w.command("release", "--epoch", 7), prepare):
            points += 1
            nothing_lost(w, state["before"])
            if where.startswith("before"):
                w.ok(*RECOVER["b"], node="b")
                eq(sorted({n.split("|")[0] for n in w.lock_names()}), sorted(LIVE), where)
            else:
                w.ok("release", "--epoch", 7)
                eq(plain(names_only(where_is_what(w))), whole, where)
        assert points * program.KILLS_EVERY >= 6, points


@test
def probe():
    with World(nodes="abc") as w:
        def prepare():
            takeover_world(w)
            os.unlink(f"{w.queue}/{PROBE}a")
            state["before"] = where_is_what(w)
        state, points = {}, 0
        for where, _ in kills(w.command("probe"), prepare):
            points += 1
            eq(where_is_what(w), state["before"], where)
            assert set(os.listdir(w.queue)) - {f"{PROBE}a"} == {LEDGER, "in", "pipeline", "out", "virgin", "shunt", "bad"}, where
            w.ok("probe", node="b")
            w.ok("probe")
            eq((where_is_what(w), os.path.exists(f"{w.queue}/{PROBE}a")), (state["before"], False), where)
        assert points * program.KILLS_EVERY >= 8, points


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
