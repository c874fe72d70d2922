#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""The real engine process with the real core, driven over its two sockets by a fake executor and fake members."""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from engine_lib import (CONFIG, Epoch, ask, ask_with_share, cut_power_of_peer, main, now_ms, peer_active,  # noqa: E402
                        test, world)


@test
def takes_over_from_start_to_active():
    w = peer_active("takeover")
    try:
        assert w.jobs() and w.jobs()[0] == "service-stop", w.jobs()
        assert "epoch-claim" not in w.jobs(), "it claimed beside an active peer"
        cut_power_of_peer(w)
        w.until(lambda: w.state() == "active")
        order = [j for j in w.jobs() if j not in ("service-stop", "address-stop", "service-monitor")]
        want = ["epoch-claim", "fence-off", "fence-status", "fence-status", "epoch-drain", "epoch-own", "state-recover",
                "address-start", "service-start"]
        assert order[:len(want)] == want, order
        own = next(r for n, r, _ in w.runs if n == "epoch-own")
        assert own.epoch == 2 and own.proof[1] == 2, (own.epoch, list(own.proof))
        assert next(r for n, r, _ in w.runs if n == "state-recover").harmless == 2
        assert next(r for n, r, _ in w.runs if n == "epoch-drain").duration_ms == 200
        assert w.permit > now_ms(), "no permit while active"
        w.until(lambda: "fence-on" in w.jobs())
        path = os.path.join(w.dir, "reports", "takeover-2.json")
        w.until(lambda: os.path.exists(path))
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        names = [p["name"] for p in report["phases"]]
        assert names == ["silence", "membership", "claim", "proof", "drain", "own", "recover", "address", "start", "lmtp",
                         "intake"], names
        assert report["locks_cleared"] == 2 and report["duplicate_bound"] == 1 and report["kind"] == "takeover", report
        assert report["proofs"][0]["proof"] == "off" and report["proofs"][0]["device"] == "b-ipmi", report["proofs"]
        for a, b in zip(report["phases"], report["phases"][1:]):
            assert a["at_ms"] + a["took_ms"] == b["at_ms"], (a, b)
        assert report["latency_ms"]["ring_formed_to_fence_request"] is not None
    finally:
        w.close()


@test
def asks_for_fencing_without_waiting_for_a_tick():
    """Ring formed -> fence request, the claim itself (2 ms here) included; a 100 ms tick in the way would show."""
    took = []
    for i in range(5):
        w = peer_active(f"latency{i}")
        try:
            start = cut_power_of_peer(w)
            w.until(lambda: "fence-off" in w.jobs())
            took.append(next(at for n, _, at in w.runs if n == "fence-off") - start)
        finally:
            w.close()
    print("# ring formed -> fence request, ms:", sorted(took))
    assert sorted(took)[len(took) // 2] < 60, took


@test
def does_nothing_while_the_peer_beats():
    w = peer_active("split")
    try:
        w.peer_alive = False
        w.ring, w.members = 11, [1]
        w.pause(1.5)
        assert "epoch-claim" not in w.jobs(), w.jobs()
        assert any(y["reason"] == "split" for y in w.status()["why"]), w.status()["why"]
    finally:
        w.close()


@test
def fencing_that_fails_takes_over_nothing_and_says_why():
    w = peer_active("fence-fails", fence="fails")
    try:
        cut_power_of_peer(w)
        w.until(lambda: any(y["reason"] == "fence-failed" for y in w.status().get("why", [])))
        why = next(y for y in w.status()["why"] if y["reason"] == "fence-failed")
        assert "b-ipmi" in why["detail"] and "Connection timed out" in why["detail"] and why["node"] == "b", why
        assert "understudy acknowledge b" in why["action"], why
        assert "epoch-own" not in w.jobs() and w.permit == 0
    finally:
        w.close()


@test
def each_node_asks_the_other_ones_device_soon_after_its_start():
    for node, members, device in (("a", [1], 1), ("b", [2], 0)):
        w = world(f"fence-first-{node}", node=node, members=members, quorate=False)    # so that it claims nothing
        try:
            w.members_send()
            w.until(lambda w=w: "fence-status" in w.jobs(), 8)
            assert w.state() == "passive"
            w.until(lambda w=w, device=device: "last_age_ms" in w.status()["fencing"][device], 3)
            assert "last_age_ms" not in w.status()["fencing"][1 - device], "it asks its own"
        finally:
            w.close()


@test
def a_fence_program_that_hangs_delays_no_status():
    w = peer_active("fence-hangs", hang={"fence-off"})
    try:
        cut_power_of_peer(w)
        w.until(lambda: "fence-off" in w.jobs())
        w.pause(0.8)
        status = w.status()
        assert now_ms() - status["boottime_ms"] < 1500, "the snapshot is old"
        assert status["fencing"][1]["running_ms"] is not None, status["fencing"]
    finally:
        w.close()


@test
def an_active_node_whose_share_hangs_closes_intake_and_reports_its_age():
    w = world("share-hangs", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        w.share = "hang"
        w.until(lambda: "intake-close" in w.jobs(), 5)
        w.until(lambda: w.status()["share"]["state"] == "unknown" and w.status()["share"]["age_ms"] > 900, 2)
        watches = sum(1 for n, _, _ in w.runs if n == "epoch-watch")
        w.until(lambda: sum(1 for n, _, _ in w.runs if n == "epoch-watch") == watches + 1, 5)
        w.share = "ok"
        w.until(lambda: "intake-open" in w.jobs(), 5)
    finally:
        w.close()


@test
def a_malformed_report_is_no_answer():
    w = peer_active("malformed")
    try:
        good = w.report_text
        w.report_text = lambda: good().replace("highest=1", "highest=7")
        w.until(lambda: w.status()["share"]["state"] == "unknown", 5)
        assert "cannot be used" in w.log()
    finally:
        w.close()


@test
def loss_of_quorum_stops_the_active_node_at_once():
    w = world("quorum", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        before = len(w.runs)
        w.quorate = False
        w.members_send()
        w.until(lambda: any(n == "service-stop" for n, _, _ in w.runs[before:]), 1)
        assert w.permit == 0, "the permit was not withdrawn"
        w.until(lambda: w.find(1).ended)
    finally:
        w.close()


@test
def an_active_node_whose_share_is_wrong_or_behind_stops_and_can_be_recovered():
    for share in ("wrong", "behind"):
        w = world("lost-" + share, members=[1, 2], peer_alive=True)
        try:
            w.members_send()
            w.until(lambda: w.state() == "active")
            if os.geteuid() == 0:
                code, _, err = ask_with_share(w, "init", "--recover")
                assert code == 1 and "in state active" in err, err
            before = len(w.runs)
            w.share = share
            w.until(lambda: any(n == "service-stop" for n, _, _ in w.runs[before:]), 1)
            assert w.permit == 0, "the permit was not withdrawn"
            w.until(lambda: w.state() == "ending")
            w.pause(0.5)
            assert "epoch-end" not in w.jobs(), "an end on a share that is not the right one"
            if os.geteuid() == 0:
                code, _, err = ask_with_share(w, "init", "--recover")
                assert code == 0, err                                   # also while it still owes its end
                base = next(r.epoch for n, r, _ in w.runs if n == "epoch-init")
                assert base >= 2, base
                w.epochs.append(Epoch(base, ended=True))
                w.epochs[-1].planned = False
                w.share = "ok"
                w.until(lambda: "epoch-end" in w.jobs() and w.state() != "ending")      # passive, and soon active again
        finally:
            w.close()


@test
def a_node_that_joins_does_not_stop_the_active_one():
    w = world("joins", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        before = len(w.runs)
        w.counting = True               # votequorum counts the votes of a ring that CPG does not know yet
        w.members_send()
        w.pause(0.05)
        w.ring = 14
        w.members_send()
        w.pause(0.2)
        w.counting = False
        w.members_send()
        w.pause(0.2)
        w.ring, w.quorum_ring = 15, 14  # or CPG is first
        w.members_send()
        w.pause(0.3)
        w.quorum_ring = 0
        w.members_send()
        w.pause(1.2)
        assert not any(n == "service-stop" for n, _, _ in w.runs[before:]) and w.state() == "active"
        w.ring, w.quorum_ring = 16, 15  # and now they never agree
        w.members_send()
        w.until(lambda: any(n == "service-stop" for n, _, _ in w.runs[before:]), 2)
    finally:
        w.close()


@test
def a_stopped_corosync_is_seen_by_its_age():
    w = world("stale", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        w.sampled = False
        w.until(lambda: w.state() != "active", 4)
        assert w.permit == 0
    finally:
        w.close()


@test
def a_pause_of_the_engine_is_a_gap():
    w = world("gap", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        w.process.send_signal(signal.SIGSTOP)
        w.pause(1.5)
        w.process.send_signal(signal.SIGCONT)
        w.until(lambda: "intake-close" in w.jobs(), 2)
        w.until(lambda: "intake-open" in w.jobs(), 3)
        assert w.state() == "active"
        assert "no time of ours" in w.log()
    finally:
        w.close()


WITH_MAIL = CONFIG.replace("[address]", "also_units = web.service\n[address]") + """[mail]
mx = mx1.lab.test mx2.lab.test:2525
domains = lab.test
"""


def report_of(w, epoch):
    try:
        with open(os.path.join(w.dir, "reports", f"takeover-{epoch}.json"), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


@test
def mail_hosts_are_told_and_units_go_with_the_service():
    w = peer_active("beside", config=WITH_MAIL)
    try:
        assert "units-stop" in w.jobs() and "units-start" not in w.jobs()  # a passive node runs none of them
        w.records["poke"] = ("poke mx=mx1.lab.test:25 domain=lab.test code=250 took_ms=3\n"
                             "poke mx=mx2.lab.test:2525 domain=lab.test code=0 took_ms=5000\nMX mx2 gave no answer\n")
        w.fail["units-start"] = (1, "Job for web.service failed.\n")
        cut_power_of_peer(w)
        w.until(lambda: w.state() == "active")
        w.until(lambda: {"poke", "units-start"} <= set(w.jobs()), 1)
        assert w.jobs().index("service-start") < w.jobs().index("poke"), "not before intake is open"
        w.until(lambda: len(report_of(w, 2).get("pokes", [])) == 2 and report_of(w, 2)["also_units"], 2)
        assert [(p["mx"], p["domain"], p["code"]) for p in report_of(w, 2)["pokes"]] == [
            ("mx1.lab.test:25", "lab.test", 250), ("mx2.lab.test:2525", "lab.test", 0)]
        assert report_of(w, 2)["also_units"]["answer"] == "failed"
        w.until(lambda: w.jobs().count("poke") == 2, 4)  # again: what hung in a session to the dead host is free now
        assert w.state() == "active" and "Job for web.service failed" in w.log()
        before = len(w.runs)
        w.quorate, w.hang = False, {"service-stop"}
        w.members_send()
        w.until(lambda: "service-stop" in [n for n, _, _ in w.runs[before:]], 5)
        w.pause(0.5)
        assert "units-stop" not in [n for n, _, _ in w.runs[before:]], "involuntary: the list service first"
        w.hang = set()
        w.running = {op: (run, now_ms()) for op, (run, _) in w.running.items()}
        w.until(lambda: "units-stop" in [n for n, _, _ in w.runs[before:]], 5)
        w.pause(1)
        assert "poke" not in [n for n, _, _ in w.runs[before:]], "a node that is not active tells nobody"
    finally:
        w.close()


@test
def a_poke_that_hangs_is_in_nobodys_way():
    w = peer_active("hangs", config=WITH_MAIL, hang={"poke", "units-start"})
    try:
        cut_power_of_peer(w)
        w.until(lambda: w.state() == "active")
        w.pause(2.5)
        assert w.state() == "active" and w.jobs().count("poke") == 1  # not a second one beside it
        assert "service-monitor" in w.jobs()
    finally:
        w.close()


@test
def nothing_is_told_without_mail_hosts():
    w = world("alone", members=[1, 2], peer_alive=True)
    try:
        w.members_send()
        w.until(lambda: w.state() == "active")
        w.pause(0.5)
        assert not {"poke", "units-start", "units-stop"} & set(w.jobs())
    finally:
        w.close()


@test
def a_list_service_that_somebody_starts_is_stopped_and_named():
    if os.geteuid() != 0:
        return
    w = peer_active("rogue")
    try:
        stops = w.jobs().count("service-stop")
        rogue = subprocess.Popen(["/usr/lib/mailman3/bin/master", "60"], executable="/bin/sleep", user="nobody")
        begin = time.monotonic()
        w.until(lambda: w.jobs().count("service-stop") > stops, 5)
        took = time.monotonic() - begin
        assert took < 1.5, took     # one scan, and no more
        rogue.kill()
        rogue.wait()
        w.until(lambda: w.state() == "passive" and w.status()["alerts"])
        alert = w.status()["alerts"][0]
        assert alert["reason"] == "service-here" and f"master pid {rogue.pid}" in alert["detail"], alert
        assert "alert: service-here (node a)" in w.log()
        w.pause(1.5)
        assert len(w.status()["alerts"]) == 1 and w.state() == "passive"    # told once
        code, out, _ = ask(w, "status")
        assert code == 0 and f"master pid {rogue.pid}" in out and "alert" in out, out
    finally:
        w.close()


def seccomp_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return re.search(r"^Seccomp:\s*(\d)", f.read(), re.M).group(1)


@test
def its_system_calls_are_limited_where_they_can_be():
    with open(os.path.join(os.environ["top_builddir"], "config.h"), encoding="ascii") as f:
        built = "#define HAVE_SECCOMP 1" in f.read()
    limited = built and os.path.exists("/proc/sys/kernel/seccomp")
    w = world("sandbox")
    try:
        w.until(lambda: w.state() is not None)
        assert w.status()["sandbox"] is limited, w.status()["sandbox"]
        assert (seccomp_of(w.process.pid) == "2") is limited or seccomp_of(os.getpid()) == "2"
        code, out, _ = ask(w, "status")
        assert code == 0 and ("\nsandbox " in out) is not limited, out
        assert ("system calls are not limited" in w.log()) is not limited
    finally:
        w.close()


@test
def ends_when_the_executor_is_gone():
    w = world("gone")
    try:
        w.until(lambda: w.state() is not None)
        w.ex.close()
        assert w.process.wait(3) != 0
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main())
