#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""understudy locks and understudy queue: what understudy-state says, shown to a person and passed through as JSON."""
import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import BUILD, main, test  # noqa: E402
from state_world import World  # noqa: E402

CLI = os.path.join(BUILD, "understudy")


def scratch():
    folder = program.scratch()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Here(World):
    """This host is node a."""

    def __init__(self):
        super().__init__()
        atexit.register(shutil.rmtree, self.top, ignore_errors=True)
        with open(self.conf, encoding="ascii") as file:
            text = file.read()
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(text.replace("hostname = a\n", f"hostname = {socket.gethostname()}\n"))

    def show(self, *words, libexec=None):
        done = subprocess.run([CLI, "--config", self.conf, "--libexecdir", libexec or os.path.abspath(BUILD), *words],
                              capture_output=True, text=True, check=False, timeout=40)
        return done.returncode, done.stdout, done.stderr


@test
def no_lock_is_said():
    w = Here()
    code, out, err = w.show("locks")
    assert code == 0 and "holds no lock" in out, (code, out, err)
    code, out, err = w.show("locks", "--json")
    assert code == 0 and json.loads(out)["locks"] == [], (out, err)


@test
def locks_are_shown_with_owner_and_age():
    w = Here()
    pid = w.flufl("master.lck", "b.lab.test")
    time.sleep(1.1)
    code, out, err = w.show("locks")
    lines = [line.split(None, 4) for line in out.splitlines()]
    assert code == 0 and err == "" and len(lines) == 3, (code, out, err)
    assert all(line[:2] == ["b", str(pid)] and line[3] == "s" for line in lines[1:]), out
    assert all("proven harmless" in line[4] for line in lines[1:]), out
    code, out, _ = w.show("locks", "--json")
    locks = json.loads(out)["locks"]
    assert code == 0 and {lock["host"] for lock in locks} == {"b.lab.test"}, out
    assert all(1000 <= lock["age_ms"] < 60000 for lock in locks), out
    assert os.listdir(w.locks), "it is read only"


@test
def a_lock_of_this_node_and_of_a_stranger():
    w = Here()
    w.flufl("master.lck", "a.lab.test")
    _, out, _ = w.show("locks")
    assert "its process is gone" in out and "\na " in out, out
    w = Here()
    w.flufl("master.lck", "far.example.org")
    _, out, _ = w.show("locks")
    assert "far.example.org" in out and "never cleared" in out, out


@test
def queues_are_shown_with_their_oldest_entry():
    w = Here()
    w.entry("in", age_s=600)
    w.entry("in", age_s=30)
    w.entry("out", age_s=5, ext="bak")
    w.entry("shunt", age_s=90)
    code, out, err = w.show("queue")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    assert code == 0 and err == "", (code, err)
    assert rows["in"].startswith("2 0 10 min"), out
    assert rows["out"].startswith("0 1 5.") and rows["pipeline"].startswith("0 0 -"), out
    assert rows["shunt"].startswith("1 ") and "a person has to look" in rows["shunt"], out
    code, out, _ = w.show("queue", "--json")
    queues = {q["name"]: q for q in json.loads(out)["queues"]}
    assert code == 0 and queues["in"]["pck"] == 2 and 600000 <= queues["in"]["oldest_ms"] < 660000, out


@test
def what_the_program_says_more_is_passed_through():
    w = Here()
    folder = scratch()
    script = os.path.join(folder, "understudy-state")
    with open(script, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\necho \'{"locks": [], "queues": [{"name": "in", "pck": 1, "bak": 0, "oldest_ms": 5, '
                   '"slices": [{"slice": 0, "pck": 1, "bak": 0, "oldest_ms": 5}], "more": 3, "zero": 0},'
                   '{"name": "bounces", "pck": 2, "bak": 1, "oldest_ms": 9, "slices": [{"slice": 0, "pck": 0, "bak": 1, "oldest_ms": 9}, '
                   '{"slice": 1, "pck": 2, "bak": 0, "oldest_ms": 7}]}]}\'\n')
    os.chmod(script, 0o755)
    code, out, err = w.show("queue", libexec=folder)
    lines = [line.split() for line in out.splitlines()[1:]]
    assert code == 0 and lines == [["bounces", "2", "1", "9", "ms"], ["slice", "0", "0", "1", "9", "ms"],
                                   ["slice", "1", "2", "0", "7", "ms"], ["in", "1", "0", "5", "ms", "more=3"]], (code, out, err)


@test
def it_says_why_it_cannot():
    w = Here()
    shutil.rmtree(w.locks)
    code, out, err = w.show("locks")
    assert code == 1 and out == "" and "locks" in err and "No such file" in err, (code, out, err)
    code, out, err = w.show("locks", libexec="/nonexistent")
    assert code == 1 and "could not be run" in err, (code, err)
    code, _, err = w.show("queue", "too", "much")
    assert code == 2 and "usage" in err, err


@test
def a_share_that_hangs_is_given_up():
    w = Here()
    folder = scratch()
    script = os.path.join(folder, "understudy-state")
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\ntrap '' TERM HUP INT\nexec sleep 60\n")
    os.chmod(script, 0o755)
    begin = time.monotonic()
    code, _, err = w.show("queue", libexec=folder)
    took = time.monotonic() - begin
    assert code == 1 and "the list share hangs" in err and 9 < took < 13, (code, err, took)


@test
def root_looks_as_the_list_user():
    if os.geteuid() != 0:
        raise program.Skip("ONLY ROOT HAS RIGHTS TO GIVE UP")
    w = Here()
    folder = scratch()
    script = os.path.join(folder, "understudy-state")
    with open(script, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\necho "{\\"locks\\": [], \\"uid\\": \\"$(id -u):$(id -G)\\"}"\n')
    os.chmod(script, 0o755)
    code, out, err = w.show("locks", "--json", libexec=folder)
    assert code == 0, (code, err)
    uid, groups = json.loads(out)["uid"].split(":")
    assert int(uid) == w.user.pw_uid and "0" not in groups.split(), out


if __name__ == "__main__":
    sys.exit(main())
