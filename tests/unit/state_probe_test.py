#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state probe on file systems that are full, read-only or nearly so."""
import contextlib
import json
import os
import subprocess
import sys

import program
from program import eq, fill, kills, test
from state_world import PROBE, World, records


@contextlib.contextmanager
def small(path, options):
    """A file system of its own at PATH."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=1777,{options}", "small", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def reserve(w, size):
    with open(w.conf, encoding="ascii") as f:
        text = f.read()
    with open(w.conf, "w", encoding="ascii") as f:
        f.write(text.replace("control_share", f"list_reserve = {size}\ncontrol_share", 1))


def left(w):
    return [n for folder in (w.queue, w.locks) for n in os.listdir(folder) if n.startswith(PROBE)]


def refused(w, *words, code=4):
    for command in (("probe",), ("recover", "--epoch", 7, "--harmless", "b")):
        told(w, code, command, words)


def told(w, code, command, words):
    found, out, err = w.do(*command)
    eq((found, records(out, "room")), (code, []), err)
    for word in words:
        assert word in err, (word, err)
    eq(left(w), [])


@test
def where_there_is_room_it_says_how_much():
    with World() as w:
        before = w.snapshot()
        room = records(w.ok("probe"), "room")[0]
        assert int(room["free_bytes"]) > 64 << 20 and int(room["took_ms"]) < 5000, room
        eq(json.loads(w.ok("--json", "probe"))["room"].keys(), {"free_bytes", "free_files", "took_ms"})
        eq(w.snapshot(), before)


@test
def a_full_file_system():
    with World() as w:
        reserve(w, "0M")
        with small(w.queue, "size=64k"):
            w.ok("probe")
            fill(w.queue)
            refused(w, "writing a file in", w.queue, "No space left")
            os.unlink(f"{w.queue}/fill")
            w.ok("probe")


@test
def no_inode_is_left():
    with World() as w:
        with small(w.queue, "size=256m,nr_inodes=8"):
            refused(w, "inodes for 7 files left, less than 1000")
            for n in range(7):
                os.close(os.open(f"{w.queue}/{n}", os.O_WRONLY | os.O_CREAT))
            reserve(w, "0M")
            refused(w, "making a file in", "No space left")


@test
def less_than_the_reserve():
    with World() as w:
        with small(w.queue, "size=65m"):
            w.ok("probe")                               # 64M is the preset
            with open(f"{w.queue}/some", "wb") as f:
                f.write(b"x" * (2 << 20))
            refused(w, "has 63 MiB left for the list user, less than list_reserve = 64M")
            reserve(w, "63M")
            w.ok("probe")


@test
def locks_on_a_file_system_of_their_own():
    with World() as w:
        reserve(w, "0M")
        with small(w.locks, "size=64k"):
            fill(w.locks)
            refused(w, "writing a file in", w.locks)


@test
def read_only_or_not_there():
    with World() as w:
        with small(w.queue, "size=128m"):
            subprocess.run(["mount", "-o", "remount,ro", w.queue], check=True)
            refused(w, "making a file in", "Read-only", code=1)
        os.rename(w.queue, w.queue + ".away")
        code, _, err = w.do("probe")
        eq((code, "opening" in err, w.queue in err), (1, True, True), err)
        os.rename(w.queue + ".away", w.queue)


@test
def what_an_earlier_one_left_is_no_obstacle():
    with World() as w:
        name = f"{w.queue}/{PROBE}a"
        w.write(name, b"torn")
        w.ok("probe")
        target = w.write(f"{w.top}/target", b"mine")
        os.symlink(target, name)
        w.ok("probe")
        with open(target, "rb") as f:
            eq(f.read(), b"mine")
        eq(left(w), [])
        os.mkdir(name)
        code, _, err = w.do("probe")
        eq((code, "removing the file of an earlier probe" in err), (1, True), err)


@test
def killed_anywhere_it_leaves_its_own_file_at_most():
    with World() as w:
        before = w.snapshot()
        killed = 0
        for where, _ in kills(w.command("probe"), lambda: None):
            killed += 1
            eq(set(w.snapshot()) - set(before) <= {(w.queue, f"{PROBE}a")}, True, where)
            w.ok("probe")
            eq(w.snapshot(), before, where)
        assert killed * program.KILLS_EVERY >= 3, killed


@test
def each_call_that_fails_is_told():
    with World() as w:
        for call, words in (("fsync:error=EIO", "syncing a file in"), ("write:error=EDQUOT:when=1", "writing a file in"),
                            ("fstatfs:error=ESTALE", "asking for the space"), ("unlinkat:error=EIO", "removing a file in")):
            code, _, err = program.run(w.command("probe"), strace=["-e", f"inject={call}"])
            assert code == (4 if "EDQUOT" in call else 1) and words in err, (call, code, err)
            w.ok("probe")


if __name__ == "__main__":
    program.enter_pid_namespace()
    program.enter_mount_namespace()
    sys.exit(program.main())
