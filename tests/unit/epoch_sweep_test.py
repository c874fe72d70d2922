#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash-point sweep of understudy-epoch: a node is killed, or loses its power, at every system call of a command that changes
something; then the other node, or this one after its boot, does what it would do. What is there is always the old or the
new state, each name with its whole content, and everybody can go on."""
import os
import re
import subprocess
import sys

import program
from epoch_world import RUN, World
from program import eq, kills, test

AGAIN = "00000000000000a2"      # the engine run of node a after the crash
DAMAGED = "understudy-epoch 1\nkind=identity\n"
OFF = {"a": "b=off", "b": "a=off"}


def empty(w):
    subprocess.run(f"rm -rf {w.dir}/* {w.dir}/.[!.]* {w.state('a')}/* {w.state('b')}/*", shell=True, check=True)


def protocol(w):
    """Names and texts of the protocol, all of them whole."""
    found = {n: w.text(n) for n in w.names() if re.fullmatch(r"epoch\..*|identity|maintenance", n)}
    if found.get("identity") == DAMAGED:
        del found["identity"]
    for name, text in found.items():
        assert text.startswith("understudy-epoch 1\n") and text.endswith("\nend=1\n"), f"{name} has no whole content: {text!r}"
    return found


def sweep(prepare, command, new, after, least):
    """`new`: the names that the command makes, in their order. after(w, made, node): `node` goes on, of `new` the names of
    `made` are there."""
    with World(init=False) as w:
        state = {}

        def begin():
            empty(w)
            prepare(w)
            w.boot("a" * 8 + "-aaaa-4aaa-8aaa-" + "a" * 12)
            state["old"] = protocol(w)
        points = [0, 0]
        for where, result in kills(w.command("a", *command), begin):
            try:
                found = protocol(w)
                made = [n for n in new if n in found]
                eq(made, list(new[:len(made)]), "in their order")
                eq({n: t for n, t in found.items() if n not in new}, {n: t for n, t in state["old"].items() if n not in new})
                if result[1]:
                    eq(made, list(new), f"{result[1]} was said")
                points[len(made) == len(new)] += 1
                # Each state is met twice: before a change, and after the one before it.
                after(w, made, "b" if where.startswith("before") else "a")
                protocol(w)
            except AssertionError as err:
                raise AssertionError(f"{where}: {err}") from err
        assert min(points) > 0 and sum(points) * program.KILLS_EVERY >= least, points
        print(f"# {sum(points)} points, {points[1]} of them with the new state")


def takes_over(w, node, n, proof=None, run_id=None):
    w.ok(node, "claim", n, run_id=run_id)
    w.ok(node, "own", n, "--proof", proof or OFF[node], run_id=run_id)
    w.ok(node, "end", n, "--planned", run_id=run_id)


@test
def claim():
    def after(w, made, node):
        n = 2 if made else 1
        if made and node == "a":
            w.code(3, "a", "own", 1, "--proof", "b=off", run_id=AGAIN)      # never by a run that has not claimed it
            w.ok("a", "end", 1, "--unplanned", run_id=AGAIN)
        elif made:
            eq([e["node"] for e in w.read("b")["open"]], ["a"])
            w.ok("b", "claim", n)
            w.code(1, "b", "own", n, "--proof", "a=ended")                  # it has not
            w.ok("b", "own", n, "--proof", "a=off")
            w.code(3, "a", "claim", n)
            return
        takes_over(w, node, n, run_id=AGAIN if node == "a" else None)
    sweep(lambda w: w.ok("a", "init"), ("claim", 1), ("epoch.1",), after, 20)


@test
def own():
    def prepare(w):
        w.ok("a", "init")
        w.ok("a", "claim", 1)

    def after(w, made, node):
        eq(w.read(node)["open"][0]["owned"], str(len(made)))
        if node == "a":
            w.ok("a", "own", 1, "--proof", "b=off")                         # of the same run: the engine asks again
            eq(w.read()["open"][0]["owned"], "1")
            w.ok("a", "end", 1, "--unplanned", run_id=AGAIN)
            return
        w.ok("b", "claim", 2)
        w.code(1, "b", "own", 2, "--proof", "a=ended")
        w.ok("b", "own", 2, "--proof", "a=off")
        w.code(3, "a", "own", 1, "--proof", "b=off")
    sweep(prepare, ("own", 1, "--proof", "b=off"), ("epoch.1.own",), after, 15)


@test
def end():
    def prepare(w):
        w.ok("a", "init")
        w.tenure("a", 1)

    def after(w, made, node):
        if node == "a":
            eq(w.ok("a", "end", 1, "--unplanned", run_id=AGAIN), f"end n=1 planned={len(made)}\n")
            eq(w.read()["open"], [])
            takes_over(w, "a", 2, run_id=AGAIN)
            return
        w.ok("b", "claim", 2)
        w.code(0 if made else 1, "b", "own", 2, "--proof", "a=ended")       # the end is a proof, and nothing short of it
        w.ok("b", "own", 2, "--proof", "a=off")
    sweep(prepare, ("end", 1, "--planned"), ("epoch.1.end",), after, 15)


@test
def init():
    def after(w, made, node):
        if len(made) < 2:
            w.code(4, node, "claim", 1)                                     # without an identity nothing is claimed
            w.ok(node, "init")
        w.code(1, "b", "init")
        eq(w.read("b")["share"]["state"], "ok")
        takes_over(w, node, 1)
    sweep(lambda w: None, ("init",), ("epoch.0", "identity"), after, 25)


def lost(w):
    """Two tenures, both nodes have seen them; the identity is gone."""
    w.ok("a", "init")
    w.tenure("a", 1)
    w.ok("a", "end", 1, "--planned")
    w.tenure("b", 2)
    w.read("a")
    w.code(3, "a", "claim", 2)                                              # it has seen 2
    os.unlink(w.dir + "/identity")


@test
def init_recover():
    def after(w, made, node):
        if "identity" not in made:
            w.code(4, node, "claim", 3)
            w.ok(node, "init", "--recover")
        look = w.read("a")
        top = int(look["last"]["n"])
        assert top > 2 and look["last"]["node"] == "-" and look["share"]["state"] == "ok", look
        eq(w.read("b")["share"]["uuid"], look["share"]["uuid"])             # the old one: the other node knows it
        takes_over(w, node, top + 1)
    sweep(lost, ("init", "--recover"), ("epoch.3", "identity"), after, 25)


@test
def init_recover_over_a_damaged_identity():
    def prepare(w):
        lost(w)
        w.write("identity.damaged.0", "")                                   # an earlier one is no obstacle
        w.write("identity", DAMAGED)

    def after(w, made, node):
        if w.do(node, "read")[0]:
            w.ok(node, "init", "--recover")
        look = w.read("b" if node == "a" else "a")
        eq((look["share"]["state"], look["last"]["node"]), ("ok", "-"), made)
        takes_over(w, node, int(look["last"]["n"]) + 1)
    sweep(prepare, ("init", "--recover"), ("epoch.3", "identity"), after, 25)


@test
def maintain_and_unmaintain():
    def prepare(w):
        w.ok("a", "init")
        w.ok("a", "claim", 1)

    def after(w, made, node):
        eq(w.read(node)["maintenance"]["state"], "on" if made else "off")
        w.ok(node, "maintain", "--reason", "y")
        eq(w.read("b")["maintenance"]["reason"], "x" if made else "y")
        w.code(1, "b", "claim", 2)
        w.ok(node, "unmaintain")
        w.ok("b", "claim", 2)
    sweep(prepare, ("maintain", "--reason", "x"), ("maintenance",), after, 15)
    with World(init=False) as w:
        def begin():
            empty(w)
            w.ok("a", "init")
            w.ok("a", "maintain")
        for where, _ in kills(w.command("a", "unmaintain"), begin):
            protocol(w)
            node = "b" if where.startswith("before") else "a"
            w.ok(node, "unmaintain")
            takes_over(w, node, 1)


def left_of_us(w):
    return [n for n in w.names() if n.startswith(".")]


def sane_beats(w, node):
    """What the reader believes of the beats."""
    return [(b["node"], b["run"]) for b in w.read(node)["beat"]]


@test
def beat():
    """Three rounds of watch, with a beat each. It proves nothing and is not synced: what is torn or empty is not believed."""
    with World(init=False) as w:
        def begin():
            empty(w)
            w.ok("a", "init")
            w.tenure("a", 1)
            w.boot("a" * 8 + "-aaaa-4aaa-8aaa-" + "a" * 12)
        points, believed = 0, 0
        w.configure(more="beat_interval = 50ms")
        for where, _ in kills(w.command("a", "watch"), begin, 24):
            points += 1
            protocol(w)
            beats = sane_beats(w, "b")
            assert beats in ([], [("a", RUN["a"])]), (where, beats)
            believed += len(beats)
            if where.startswith("before"):
                w.ok("b", "claim", 2)
                w.ok("b", "own", 2, "--proof", "a=off")
                continue
            w.ok("a", "end", 1, "--unplanned", run_id=AGAIN)
            result, changes = program.crash(w.command("a", "watch", run_id=AGAIN), "after", 12)     # watch goes on until then
            eq(result[0], -9, changes)
            eq(sane_beats(w, "b"), [("a", AGAIN)], where)
            eq([n for n in left_of_us(w) if AGAIN not in n], [], f"{where}: swept up")
        assert points * program.KILLS_EVERY >= 24 and 0 < believed < points, (points, believed)
        print(f"# {points} points, at {believed} of them a beat could be read")


@test
def drain():
    with World(init=False) as w:
        w.configure(more="beat_interval = 50ms")

        def begin():
            empty(w)
            w.ok("a", "init")
        for where, _ in kills(w.command("a", "drain", "--duration", 20), begin):
            assert all(re.match(r"\.probe\.a\.", n) for n in left_of_us(w)), where
            w.ok("b", "drain", "--duration", 1)
            eq(program.crash(w.command("a", "watch", run_id=AGAIN), "after", 12)[0][0], -9)
            eq([n for n in left_of_us(w) if AGAIN not in n], [], f"{where}: swept up")
            takes_over(w, "b", 1)


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
