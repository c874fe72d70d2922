#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""The ordinary days of the real engine process: switchover, restart here, maintenance, adoption, reload."""
import json
import os
import sys

sys.dont_write_bytecode = True
from engine_fake import BOOT_B, RUN_B, RELOAD, RELOADED, Epoch, now_ms  # noqa: E402
from engine_lib import ask, main, test, world  # noqa: E402

READY = 7 | 16


def active(name, **fields):
    """a is active under epoch 1, b is a clean member and ready."""
    w = world(name, peer_alive=True, peer_beats="moving", members=[1, 2], peer_flags=READY, **fields)
    w.members_send()
    w.until(lambda: w.state() == "active")
    w.pause(0.5)
    return w


def planned_ends(w):
    return [bool(r.planned) for n, r, _ in w.runs if n == "epoch-end"]


@test
def a_switchover_ends_as_planned_and_waits_for_the_other_node():
    w = active("switchover")
    try:
        w.records["service-release"] = f"phase name=closed at_ms={now_ms()}\n"
        begun = len(w.jobs())

        def peer_takes_over():
            ended = w.epochs[-1].ended and w.epochs[-1].n == 1
            if ended and w.nudged >= next(at for n, _, at in w.runs if n == "epoch-end"):  # it looks at its end at once
                w.epochs.append(Epoch(2, "b", BOOT_B, RUN_B))
                w.peer_state = "active"
            return False
        w.each_step = peer_takes_over
        code, out, err = ask(w, "switchover", "b")
        assert code == 0, (code, out, err)
        for phase in ("intake", "safe_point", "sync", "address", "end", "Node b is active"):
            assert phase in out, (phase, out)
        order = [j for j in w.jobs()[begun:] if j in ("service-release", "state-sync", "address-stop", "epoch-end")]
        assert order == ["service-release", "state-sync", "address-stop", "epoch-end"], order
        assert planned_ends(w) == [True] and w.state() == "passive"
        path = os.path.join(w.dir, "reports", "switchover-1.json")
        w.until(lambda: os.path.exists(path))
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        assert report["result"] == "released" and [p["name"] for p in report["phases"]] == [
            "intake", "safe_point", "sync", "address", "end"], report
    finally:
        w.close()


@test
def a_refused_switchover_serves_on_and_says_why():
    w = active("refused")
    try:
        w.fail["service-release"] = (1, "mailman3 release: runner out has had an entry in its hands for 10 s\n")
        code, _, err = ask(w, "switchover")
        assert code == 1 and "runs on as before" in err and "runner out" in err, (code, err)
        assert "service-resume" in w.jobs() and "epoch-end" not in w.jobs(), w.jobs()
        w.until(lambda: w.state() == "active")
        del w.fail["service-release"]
        w.fail["service-release"] = (1, "again\n")
        w.events.clear()
        code, _, err = ask(w, "switchover", "c")
        assert code == 1 and 'no node "c"' in err, err
    finally:
        w.close()


@test
def a_forced_switchover_writes_no_planned_end():
    w = active("forced")
    try:
        w.fail["service-release"] = (1, "no safe point\n")
        w.each_step = lambda: setattr(w, "peer_state", "active") if w.epochs[-1].ended else None
        code, out, err = ask(w, "switchover", "--force")
        assert code == 0 and "may be repeated" in out, (code, out, err)
        assert planned_ends(w) == [False]
    finally:
        w.close()


@test
def a_switchover_needs_somebody_who_is_ready():
    w = active("unready")
    try:
        w.peer_flags = 7
        w.pause(0.5)
        code, _, err = ask(w, "switchover", "--force")
        assert code == 1 and "no-successor" in err and "explain" in err, err
        assert "service-release" not in w.jobs()
    finally:
        w.close()


@test
def a_list_service_that_is_not_whole_is_started_again_here():
    w = active("restart")
    try:
        w.fail["service-monitor"] = (1, "runner out is dead\n")
        begun = len(w.jobs())
        w.until(lambda: w.state() in ("restarting", "recover", "address", "service"))
        del w.fail["service-monitor"]
        w.until(lambda: w.state() == "active")
        beside = ("service-monitor", "address-monitor", "fence-status", "intake-close", "intake-open")
        order = [j for j in w.jobs()[begun:] if j not in beside]
        assert order == ["service-stop", "state-recover", "address-start", "service-start"], order
        assert w.epochs[-1].n == 1 and not w.epochs[-1].ended and w.status()["failures"] == 1
    finally:
        w.close()


@test
def maintenance_is_asked_of_the_share():
    w = active("maintenance")
    try:
        code, out, _ = ask(w, "maintenance")
        assert code == 0 and "off" in out
        code, _, err = ask(w, "maintenance", "on", "--reason", b"\xff")
        assert code == 2 and "UTF-8" in err, err
        code, _, err = ask(w, "maintenance", "on", "--reason", "x" * 81)
        assert code == 1 and "80 characters" in err and "epoch-maintain" not in w.jobs(), err
        code, out, err = ask(w, "maintenance", "on", "--reason", "a new disk")
        assert code == 0 and w.runs[-1][0] == "epoch-maintain" and w.runs[-1][1].reason == b"a new disk", (out, err)
        w.maintenance = "state=on node=a since=2026-01-01T00:00:00Z reason=work"
        w.until(lambda: w.status()["maintenance"]["state"] == "on")
        w.until(lambda: w.permit_maintenance == 1)
        code, _, err = ask(w, "switchover")
        assert code == 1 and "maintenance" in err, err
        before = w.jobs().count("service-monitor")
        w.pause(3)
        assert w.jobs().count("service-monitor") == before, "restarts are suspended, so nobody needs to know"
        code, out, _ = ask(w, "maintenance")
        assert code == 0 and out.startswith("Maintenance is on since 2026-01-01T00:00:00Z, from node a: work\n"), out
        code, _, err = ask(w, "maintenance", "off", "--reason", "done")
        assert code == 2 and "--reason goes with" in err, err
        code, _, err = ask(w, "maintenance", "perhaps")
        assert code == 2, err
        w.fail["epoch-unmaintain"] = (1, "understudy-epoch: no space left\n")
        code, _, err = ask(w, "maintenance", "off")
        assert code == 1 and "no space left" in err, err
    finally:
        w.close()


def reload_answered(w, status):
    def step():
        if any(m.kind == RELOAD for m in w.other):
            w.other.clear()
            w.send(w.ex, RELOADED, lambda u: setattr(u, "status", status))
    w.each_step = step


@test
def a_reload_takes_up_times_and_refuses_the_rest():
    w = active("reload")
    try:
        with open(w.config, encoding="ascii") as f:
            text = f.read()
        reload_answered(w, 0)
        for old, new, word in (("drain = 200ms", "drain = 300ms", "drain"), ("lmtp_host = 10.77.1.100", "lmtp_host = 10.77.1.101",
                               "lmtp_host"), ("pid_file = /run/mailman3/master.pid", "pid_file = /run/m.pid", "pid_file"),
                               ("drain = 200ms", "drain = soon", "soon")):
            assert old in text
            with open(w.config, "w", encoding="ascii") as f:
                f.write(text.replace(old, new))
            code, _, err = ask(w, "reload")
            assert code == 1 and word in err, (word, err)
        with open(w.config, "w", encoding="ascii") as f:
            f.write(text.replace("start_timeout = 5s", "start_timeout = 7s"))
        code, out, err = ask(w, "reload")
        assert code == 0 and "taken up" in out, err
        w.fail["service-monitor"] = (1, "dead\n")
        w.until(lambda: w.jobs().count("service-start") == 2)
        assert [r.deadline_ms for n, r, _ in w.runs if n == "service-start"] == [5000, 7000]
        reload_answered(w, -1)
        code, _, err = ask(w, "reload")
        assert code == 1 and "executor refuses" in err, err
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main())
