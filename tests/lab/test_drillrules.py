# SPDX-License-Identifier: GPL-2.0-or-later
"""What a drill is judged by, alone: each expectation can fail it, and what is tolerated is that and nothing more."""
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
import types

import pytest

import auditor
import auditrules
import drillrecord
import drillreport
import drills
import drills_runner
import drillset
import labconf
import labinit
import lablib


# -- the verdict
def make_takeover(kind, **more):
    demanded = drills.PHASES if kind == "takeover" else drillrecord.DEMANDED[kind]
    return {"kind": kind, "host": "a", "survivor": "b", "how": "something", "cut_boottime_ms": 10.0, "demanded": list(demanded),
            "phases": [{"name": name, "at_ms": 0.0, "took_ms": 1.0} for name in demanded], "limit_ms": {}, "release": None,
            "gap_ms": {"address": 50.0, "lmtp": 900.0, "mail": 900.0, "arp": 50.0}, "accepted_before": 5,
            "first_delivery_ms": 1.0, "latency_ms": {}, **more}


def make_record(*takeovers, **more):
    return {"messages": 10, "mail": {"accepted": 10, "lost": 0, "duplicated": 0, "duplicate_bound": 0, "shunted": 0},
            "audit": {"overlaps": 0, "late_writes": 0, "address_conflicts": 0, "unknown": 0, "events": 9, "services": [1],
                      "details": [], "owns": []}, "takeovers": list(takeovers), "expected": {}, "end": {}, **more}


@pytest.mark.parametrize("kind", ["takeover", "ended", "start", "none"])
def test_each_kind_demands_its_phases(kind):
    assert drills.judge(make_record(make_takeover(kind)), False) == []
    for phase in drillrecord.DEMANDED[kind]:
        takeover = make_takeover(kind)
        takeover["phases"] = [p for p in takeover["phases"] if p["name"] != phase]
        assert phase in drills.judge(make_record(takeover), False)[0]


@pytest.mark.parametrize("phase", drillrecord.RELEASING)
def test_a_switchover_demands_each_phase_of_the_release(phase):
    release = [{"name": name, "took_ms": 1} for name in drillrecord.RELEASING]
    assert drills.judge(make_record(make_takeover("switchover", release=release)), False) == []
    release = [p for p in release if p["name"] != phase]
    found = drills.judge(make_record(make_takeover("switchover", release=release)), False)
    assert len(found) == 1 and phase in found[0] and "release by a" in found[0]


@pytest.mark.parametrize("gap, limit, wrong", [(50.0, 60, False), (61.0, 60, True), (None, 60, True)])
def test_a_gap_beyond_its_limit_fails_a_drill(gap, limit, wrong):
    takeover = make_takeover("none", limit_ms={"address": limit})
    takeover["gap_ms"]["address"] = gap
    assert len(drills.judge(make_record(takeover), False)) == wrong


@pytest.mark.parametrize("key, wanted, got", [("active", "a", "b"), ("fenced", [], ["a"]), ("epoch", 3, 4),
                                              ("fenced", ["a"], []), ("rebooted", [], ["b"]), ("active", "a", None)])
def test_an_end_that_is_not_the_expected_one_fails_a_drill(key, wanted, got):
    takeover = make_takeover("none")
    assert drills.judge(make_record(takeover, expected={key: wanted}, end={key: wanted}), False) == []
    found = drills.judge(make_record(takeover, expected={key: wanted}, end={key: got}), False)
    assert len(found) == 1 and key in found[0]


def test_a_planned_move_shunts_nothing():
    record = make_record(make_takeover("none"), expected={"shunted": 0})
    assert drills.judge(record, False) == []
    record["mail"]["shunted"] = 1
    assert "shunted" in drills.judge(record, False)[0]


def test_the_bound_of_the_scenario_comes_before_that_of_the_report():
    assert drillrecord.bound_of({"bound": 0, "report": {"duplicate_bound": 3}}) == 0
    assert drillrecord.bound_of({"bound": None, "report": {"duplicate_bound": 3}}) == 3
    assert drillrecord.bound_of({"bound": None}) is None


def test_the_text_of_a_record_names_what_was_wrong():
    record = make_record(make_takeover("none", how="runner in killed"), drill="x", took_s=1, notes=[], why=["so wrong"],
                         directory="/d", verdict="fail", seed=7,
                         end={"active": "a", "epoch": 3, "fenced": ["b"]})
    record["mail"].update(delivered=10, members=2, bound_parts={"in_a_runner": 0, "open_lmtp_transactions": 0})
    text = drillreport.text(record)
    assert "runner in killed" in text and "a goes on" in text and "so wrong" in text and "fenced: b" in text and "seed 7" in text


def test_a_fault_of_a_campaign_says_who_serves_in_the_end():
    text = "\n".join(drillreport.timeline(make_takeover("fault", how="corosync killed")))
    assert "in the end b serves" in text and "takes over" not in text


def test_no_two_drills_have_one_name():
    with pytest.raises(ValueError):
        drillset.drill("power-off")(lambda run, product: None)


def test_every_drill_is_in_the_readme():
    with open(os.path.join(labconf.HERE, "README"), encoding="utf-8") as file:
        words = file.read().replace(",", " ").split()
    assert [name for name in drills.NAMES if name not in words] == []


# -- what is tolerated
def feed(tolerated, *records):
    """a has the tenure and serves; b is host 2."""
    judge = auditrules.Judge({1: "a", 2: "b"}, 1, True, tolerated)
    for record in ({"ev": "proc", "inst": 1, "pid": 10, "kind": "master", "ms": 0.0}, *records):
        judge.feed(record)
    return judge.verdict()


def proc(ms, pid=20):
    return {"ev": "proc", "inst": 2, "pid": pid, "kind": "master", "ms": ms}


def end(ms, pid=20):
    return {"ev": "exit", "inst": 2, "pid": pid, "ms": ms}


def change(ms, folder, inst=2, name="x"):
    return {"ev": "fs", "inst": inst, "share": "list", "dir": folder, "name": name, "mask": "create", "kind": "other", "ms": ms,
            "seq": 1}


ROGUE = ({"host": "b", "from_ms": 1000.0, "until_ms": 3000.0, "paths": ("locks", "data/postfix_*")},)


def test_a_rogue_is_excused_for_its_time_and_its_locks():
    verdict = feed(ROGUE, proc(1500.0), change(1600.0, "locks"), end(2500.0))
    assert verdict["overlaps"] == 0 and verdict["late_writes"] == 0
    assert verdict["excused"] == {"changes": 1, "services": [{"host": "b", "from_ms": 1500.0, "for_ms": 1000.0}]}
    verdict = feed(ROGUE, proc(1500.0), change(1600.0, "data", name="postfix_lmtp.new"), end(2500.0))
    assert verdict["late_writes"] == 0 and verdict["excused"]["changes"] == 1
    verdict = feed((), proc(1500.0), change(1600.0, "locks"), end(2500.0))
    assert verdict["overlaps"] == 1 and verdict["late_writes"] == 1


@pytest.mark.parametrize("records, overlaps, late", [
    ((proc(1500.0), end(3001.0)), 1, 0),                                     # it lived too long
    ((proc(1500.0),), 1, 0),                                                 # it lives
    ((proc(999.0), end(2000.0)), 1, 0),                                      # it was there before
    ((change(3001.0, "locks"),), 1, 1),                                      # its hand in the locks when it is gone
    ((proc(1500.0), change(1600.0, "queue/in"), end(2500.0)), 0, 1),         # a change in the queue
    ((proc(1500.0), change(1600.0, "data"), end(2500.0)), 0, 1)])            # or in the database
def test_nothing_more_is_excused(records, overlaps, late):
    verdict = feed(ROGUE, *records)
    assert (verdict["overlaps"], verdict["late_writes"]) == (overlaps, late)


def test_only_the_named_host_is_excused():
    verdict = feed(({**ROGUE[0], "host": "a"},), proc(1500.0), change(1600.0, "locks"), end(2500.0))
    assert verdict["overlaps"] == 1 and verdict["late_writes"] == 1


def wire(ms, folder, pid=77, inst=0):
    return {"ev": "fs", "inst": inst, "pid": pid, "share": "list", "kind": "other", "mask": "modify", "dir": folder, "name": "x",
            "ms": ms, "seq": int(ms)}


def judge_wires(*records):
    judge = auditrules.Judge({1: "a", 2: "b"}, 1, True, (), {77: 1})
    for record in records:
        judge.feed(record)
    return judge.verdict()


def test_what_arrives_of_a_dead_host_is_its_own_change():
    """As long as nobody else has the tenure; a process of no host is none of it."""
    dead = ({"ev": "gone", "inst": 1, "ms": 1000.0},)
    taken = ({**own(2, 2), "pid": 5, "ms": 3000.0, "seq": 3000},)
    assert judge_wires(*dead, wire(2000.0, "queue/in"), *taken)["late_writes"] == 0
    assert judge_wires(*dead, *taken, wire(4000.0, "queue/in"))["late_writes"] == 1
    outer = judge_wires(*dead, *taken, wire(4000.0, "queue/in", pid=78))
    assert outer["late_writes"] == 0 and outer["outer"] == 1


def make_auditor(tmp_path, *records):
    epochs = tmp_path / ".understudy"
    epochs.mkdir()
    for number, node in ((1, "a"), (2, "b")):
        (epochs / f"epoch.{number}").write_text(f"node={node}\n")
        (epochs / f"epoch.{number}.own").write_text("")
    watch = auditor.Auditor.__new__(auditor.Auditor)
    watch.epochs, watch.lab, watch.records = True, types.SimpleNamespace(control_share=str(tmp_path)), records
    watch.at_start = None
    return watch


def own(number, inst):
    return {"ev": "fs", "inst": inst, "share": "control", "name": f"epoch.{number}.own", "mask": "create"}


def test_a_backup_that_the_lab_copies_is_nobodys_tenure(tmp_path):
    """Nor does one that has no node give the tenure to whatever else runs on this machine."""
    watch = make_auditor(tmp_path, own(1, 0), own(2, 7))
    assert watch.first_holder({3: None, 5: "a", 7: "b"}) == 5
    watch.records = [own(1, 5)]
    assert watch.first_holder({3: None, 5: "a", 7: "b"}) is None


def test_a_share_put_back_to_yesterday_does_not_hide_the_tenure_of_today(tmp_path):
    """The share-old drill: the epochs that are there at the end are older than the one that the audit began with."""
    watch = make_auditor(tmp_path)
    watch.at_start = (9, "a")
    assert watch.first_holder({5: "a", 7: "b"}) == 5
    watch.records = [own(9, 7)]     # not a tenure that has only begun while it watched
    assert watch.first_holder({5: "a", 7: "b"}) == 7


# -- the lab's own means
def test_the_deadly_message_kills_whoever_reads_it():
    name, data = drills_runner.deadly_entry()
    assert name.endswith(".pck") and data.endswith(b".")
    done = subprocess.run([sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"], input=data, check=False)
    assert done.returncode == 9


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_the_sink_takes_a_message_and_holds_its_answer_back(tmp_path):
    port, log = free_port(), tmp_path / "sink.jsonl"
    sink = subprocess.Popen([sys.executable, os.path.join(labconf.HERE, "traffic.py"), "sink", "--bind", "127.0.0.1", "--port",
                             str(port), "--log", str(log)])
    try:
        lablib.wait_until(lambda: log.exists() and log.read_text(), 10, "the sink listens")
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as session:
            sink.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            sender = threading.Thread(target=session.sendmail, args=("a@x.test", ["b@x.test"], "Subject: x\r\n\r\nx\r\n"))
            sender.start()
            lablib.wait_until(lambda: log.read_text().count("\n") == 2, 10, "the message is in the log")
            sender.join(0.3)
            assert sender.is_alive()
            sink.send_signal(signal.SIGUSR2)
            sender.join(5)
            assert not sender.is_alive()
    finally:
        sink.terminate()
        sink.wait(10)


def make_services(tmp_path, monkeypatch, argv, **more):
    monkeypatch.setattr(labinit, "ORDERS", str(tmp_path))
    monkeypatch.setattr(labinit, "log", lambda text: None)
    return labinit.Services([{"name": "daemon", "argv": argv, **more}])


def step(services, until, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline
        labinit.reap(services)
        services.obey()
        services.check_deadline()
        time.sleep(0.01)


def test_a_service_that_fails_is_started_again_and_one_that_was_stopped_is_not(tmp_path, monkeypatch):
    services = make_services(tmp_path, monkeypatch, ["/usr/bin/sleep", "60"], restart_ms=100)
    services.start_next()
    first, = services.names
    os.kill(first, signal.SIGKILL)
    step(services, lambda: services.names and first not in services.names)
    (tmp_path / "service.daemon").write_text("stop\n")
    step(services, lambda: not services.names)
    assert not services.again and not (tmp_path / "service.daemon").exists()
    (tmp_path / "service.daemon").write_text("start\n")
    step(services, lambda: services.names)
    last, = services.names
    os.kill(last, signal.SIGKILL)
    os.waitpid(last, 0)


def test_a_service_that_ends_well_or_is_not_to_be_restarted_stays_dead(tmp_path, monkeypatch):
    for argv, more in ((["/usr/bin/true"], {"restart_ms": 1}), (["/usr/bin/false"], {})):
        services = make_services(tmp_path, monkeypatch, argv, **more)
        services.start_next()
        step(services, lambda: not services.names)
        assert not services.again
