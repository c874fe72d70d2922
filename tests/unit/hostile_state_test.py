#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile and broken files on the list share, in the place of the configuration and of reports, through the real programs,
as a table of every file against everything that may lie in its place: a clear refusal or a quarantine, nothing lost,
nothing followed, and no hang."""
import json
import os
import sys
import time

import program
from hostile import Places, remove, tree
from program import eq, run, test
from state_world import HASH, QUARANTINE
from state_world import World as StateWorld

DEADLINE_S = 10
UNDERSTUDY = os.path.join(program.BUILD, "understudy")


def lock_text(w, name):
    return f"{w.top}/../{os.path.basename(w.top)}/locks/{name}|b.lab.test|11|22".encode()


@test
def what_lies_in_the_lock_directory():
    with StateWorld() as w:
        places = Places(w.top, w.user.pw_uid)
        for name in ("master.lck", "mta|b.lab.test|11|22", "-rf", "a\nb"):
            for kind in places.kinds():
                path = f"{w.locks}/{name}"
                places.make(path, kind, lock_text(w, name.split("|", maxsplit=1)[0]))
                before, inodes = tree(w.locks, w.queue), w.inodes()
                for args in (("check",), ("locks", "--json")):
                    code, out, err = w.do(*args, timeout=DEADLINE_S)
                    assert code == 0 and out and "\0" not in out, (name, kind, args, code, err)
                eq(tree(w.locks, w.queue), before, f"{name} {kind}")
                code, out, err = w.do("recover", "--epoch", 7, timeout=DEADLINE_S)  # without any proof
                assert code in (0, 3) and (code == 0 or err), (name, kind, code, out, err)
                after = {p: what for p, what in tree(w.locks, w.queue).items() if QUARANTINE not in p}
                eq(after, before, f"{name} {kind}, no proof")
                code, out, err = w.do("recover", "--epoch", 7, "--harmless", "b", timeout=DEADLINE_S)
                assert code in (0, 3) and (code == 0 or err), (name, kind, code, out, err)
                assert inodes <= w.inodes(), (name, kind)                  # moved at most, never lost
                if kind in ("link", "link-to-sound", "dangling", "loop", "fifo", "directory", "socket", "wrong-owner"):
                    assert os.path.lexists(path), (name, kind)             # a person has to look
                    eq(code, 3 if name == "master.lck" else 0, f"{name} {kind}")
                places.unhurt()
                remove(f"{w.locks}/{QUARANTINE}")
                remove(path)


@test
def what_lies_in_a_queue():
    with StateWorld() as w:
        places = Places(w.top, w.user.pw_uid)
        now = time.time()
        for name in (f"{now:.7f}+{HASH}.pck", f"{now:.7f}+{HASH}.bak", f"{now:.7f}+{HASH}.tmp", "..pck", "a\nb.pck",
                     "x" * 240 + ".pck"):
            for kind in places.kinds():
                path = f"{w.queue}/in/{name}"
                places.make(path, kind, b"\x80\x05x.")
                good = w.entry("in", hash_="f" * 40)
                before, inodes = tree(w.locks, w.queue), w.inodes()
                for args in (("check",), ("queue", "--json")):
                    code, out, err = w.do(*args, timeout=DEADLINE_S)
                    assert code == 0 and out, (name, kind, args, code, err)
                eq(tree(w.locks, w.queue), before, f"{name} {kind}")
                code, out, err = w.do("recover", "--epoch", 7, "--harmless", "b", timeout=DEADLINE_S)
                eq(code, 0, f"{name!r} {kind}: {err}")                     # one odd file is no reason to serve nobody
                assert inodes <= w.inodes(), (name, kind)
                assert os.path.exists(f"{w.queue}/in/{good}"), (name, kind)
                places.unhurt()
                for left in (f"{w.queue}/{QUARANTINE}", path, f"{w.queue}/in/{good}"):
                    remove(left)


@test
def an_entry_that_the_list_user_may_not_read_is_left_to_the_list_server():
    """Root has put it there: it does not keep the service from being taken over, and it is not lost."""
    if os.geteuid() != 0:
        raise program.Skip("needs root")
    with StateWorld() as w:
        name = w.entry("in")
        os.chown(f"{w.queue}/in/{name}", 0, 0)
        os.chmod(f"{w.queue}/in/{name}", 0o600)
        other = w.entry("in")
        for args in (("check",), ("recover", "--epoch", 7, "--harmless", "b")):
            code, out, err = run(w.as_user(w.command(*args)), timeout=DEADLINE_S)
            eq(code, 0, err)
            assert " pck=2 " in out and " unchecked=1" in out, out
        eq(w.entries("in"), sorted([name, other]))


@test
def queues_that_are_none_are_passed_over():
    with StateWorld() as w:
        places = Places(w.top, w.user.pw_uid)
        for kind in places.kinds():
            if kind == "directory":
                continue
            path = f"{w.queue}/extra"
            places.make(path, kind, b"x")
            before = tree(w.queue)
            eq(w.do("recover", "--epoch", 7, "--harmless", "b", timeout=DEADLINE_S)[0], 0, kind)
            eq(tree(w.queue), before, kind)
            remove(path)


@test
def directories_that_are_none_are_named():
    """The list share is not mounted, or something else lies in the place of its directories."""
    with StateWorld() as w:
        places = Places(w.top, w.user.pw_uid)
        for name in ("locks", "queue"):
            path = f"{w.top}/{name}"
            os.rename(path, path + ".kept")
            for kind in ("missing", "empty", "dangling", "loop", "fifo", "socket"):
                if kind != "missing":
                    places.make(path, kind, b"x")
                for args in (("check",), ("recover", "--epoch", 7, "--harmless", "b")):
                    code, out, err = w.do(*args, timeout=DEADLINE_S)
                    assert code == 1 and path in err and "\n" == err[-1], (name, kind, args, code, out, err)
                remove(path)
            os.rename(path + ".kept", path)
        w.ok("check")


@test
def a_report_that_is_none():
    folder = program.scratch()
    places = Places(folder)
    os.mkdir(folder + "/reports")
    for suffix, words in (("txt", ()), ("json", ("--json",))):
        path = f"{folder}/reports/takeover-7.{suffix}"
        for kind in ("link", "dangling", "loop", "fifo", "directory", "socket", "large"):
            places.make(path, kind, b"{}")
            code, out, err = run([UNDERSTUDY, "--statedir", folder, *words, "report", "7"], timeout=DEADLINE_S)
            assert code == 1 and not out and err.startswith("understudy: ") and folder in err, (kind, code, out[:200], err)
            places.unhurt()
            remove(path)
    for name in ("takeover-99999999999999999999.json", "takeover--1.json", "takeover-1.json.json", "takeover-...json"):
        open(f"{folder}/reports/{name}", "w", encoding="ascii").close()
    code, out, err = run([UNDERSTUDY, "--statedir", folder, "report"], timeout=DEADLINE_S)
    assert code == 1 and "not taken over yet" in err, (code, out, err)
    for bad in ("../7", "7.txt", "-7", "", "99999999999999999999", "7/../7"):
        code, out, err = run([UNDERSTUDY, "--statedir", folder, "report", "--", bad], timeout=DEADLINE_S)
        assert code != 0 and not out and err, (bad, code, out, err)
    remove(folder)


CONFIG_KINDS = {"link": "symbolic link", "dangling": "symbolic link", "loop": "symbolic link", "fifo": "not a regular file",
                "directory": "not a regular file", "large": "far too large", "zeroes": "zero byte", "binary": "zero byte",
                "writable": "chmod go-w", "wrong-owner": "chown", "empty": "has no", "missing": "No such file"}


def config_programs(path):
    programs = {"understudy-epoch": ("read",), "understudy": ("locks",), "understudy ": ("init",), "understudy  ": ("check-config",),
                "understudy   ": ("gate",)}
    for name, words in programs.items():
        yield name.strip(), [os.path.join(program.BUILD, name.strip()), "--config", path, *words]
    if os.geteuid() == 0:
        yield "understudyd", [os.path.join(program.BUILD, "understudyd"), "--config", path, "--check"]


@test
def a_configuration_that_is_none_stops_every_program():
    if os.geteuid() != 0:
        raise program.Skip("only root's programs are particular about the owner")
    with StateWorld() as w:
        places = Places(w.top)
        with open(w.conf, "rb") as f:
            sound = f.read()
        os.unlink(w.conf)
        for kind, words in CONFIG_KINDS.items():
            if kind != "missing":
                places.make(w.conf, kind, sound)
            before = tree(w.top)
            for name, command in config_programs(w.conf):
                code, out, err = run(command, timeout=DEADLINE_S)
                assert code in (1, 2) and not out and words in err and err.startswith(w.conf), (name, command, kind, code, out, err)
            code, out, err = run([UNDERSTUDY, "check-config", w.conf, "--json"], timeout=DEADLINE_S)  # a draft
            said = json.loads(out)
            eq(said["ok"], kind in ("writable", "wrong-owner"), f"{kind} {said}")
            eq(tree(w.top), before, kind)
            places.unhurt()
            remove(w.conf)
        with open(w.conf, "wb") as f:
            f.write(sound)
        eq(run([UNDERSTUDY, "--config", w.conf, "check-config"])[0], 0)


SECRET_KINDS = {"link": "symbolic link", "link-to-sound": "symbolic link", "loop": "symbolic link", "fifo": "not a regular file",
                "directory": "not a regular file", "socket": "not a regular file", "large": "far too large", "empty": "has no line",
                "zeroes": "zero byte", "writable": "chmod 0600", "wrong-owner": "chown", "missing": "No such file"}


@test
def a_secret_that_is_none_stops_understudyd_by_its_name():
    if os.geteuid() != 0:
        raise program.Skip("understudyd is root's")
    with StateWorld() as w:
        places = Places(w.top)
        secret = w.top + "/secret"
        for key in ("secret_file", "password_file"):
            with open(w.conf, encoding="ascii") as f:
                text = f.read().split("[fence", maxsplit=1)[0]
            with open(w.conf, "w", encoding="ascii") as f:
                f.write(f"{text}[fence b-x]\nnode = b\nagent = fence_x\n{key} = {secret}\n")
            command = [os.path.join(program.BUILD, "understudyd"), "--config", w.conf, "--check"]
            for kind, words in SECRET_KINDS.items():
                if key == "password_file" and kind == "zeroes":  # its helper alone reads it
                    continue
                if kind != "missing":
                    places.make(secret, kind, b"passwd=hunter2\n")
                if kind in ("large", "empty", "zeroes", "wrong-owner"):
                    os.chmod(secret, 0o600)
                code, out, err = run(command, timeout=DEADLINE_S)
                assert code == 2 and not out and err.startswith(secret) and err.count("; ") >= 2, (key, kind, code, out, err)
                assert words in err or key == "password_file", (kind, err)
                assert "hunter2" not in err
                places.unhurt()
                remove(secret)
            places.make(secret, "writable", b"passwd=hunter2\n")
            os.chmod(secret, 0o600)
            eq(run(command)[0], 0)
            remove(secret)


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
