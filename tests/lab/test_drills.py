# SPDX-License-Identifier: GPL-2.0-or-later
"""The drills: their arithmetic, that they fire on products broken on purpose, and each of them once."""
import io
import os
import tempfile
import time

import pytest

import drillreport
import drillrun
import drills
import labconf
import lablib
import stockparts
from testlab import needs_product, temporary_lab

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested")
MAILMAN = ["/usr/lib/mailman3/bin/mailman", "-C", "/etc/mailman3/mailman.cfg"]


# -- arithmetic
def make_cut(**more):
    return {"host": "a", "survivor": "b", "how": "power-off", "accepted": 5, "bak": 1, "at_ms": 10000.0, **more}


def test_phases_are_relative_to_the_cut():
    cut = make_cut(report={"zero_boottime_ms": 9900, "phases": [{"name": "silence", "at_ms": 0, "took_ms": 1100},
                                                                {"name": "membership", "at_ms": 1100, "took_ms": 250}]})
    phases = drills.phases_of(cut, 15000.0)
    assert phases == [{"name": "silence", "at_ms": 0.0, "took_ms": 1000.0},
                      {"name": "membership", "at_ms": 1000.0, "took_ms": 250.0},
                      {"name": "first_delivery", "at_ms": 1250.0, "took_ms": 3750.0}]


def test_gap_is_the_longest_interval_from_the_cut_on():
    run = drillrun.Run.__new__(drillrun.Run)
    run.cuts = [make_cut(), make_cut(at_ms=20000.0)]
    times = [1000.0, 9000.0, 9995.0, 10001.0, 13001.0, 13002.0, 19999.0]
    assert run.gap(times, run.cuts[0]) == 6997.0        # the pause before the cut does not count
    assert run.gap(times, run.cuts[1]) is None          # nothing came back


def good_record():
    return {"messages": 10, "mail": {"accepted": 10, "lost": 0, "duplicated": 1, "duplicate_bound": 1},
            "audit": {"overlaps": 0, "late_writes": 0, "address_conflicts": 0, "unknown": 0, "events": 9, "services": [1],
                      "owns": [{"epoch": 2, "ms": 15.0}]},
            "takeovers": [{"cut_boottime_ms": 10.0, "phases": [{"name": name} for name in drills.PHASES],
                           "demanded": drills.PHASES, "kind": "takeover", "limit_ms": {}, "survivor": "b"}]}


@pytest.mark.parametrize("part, key, value", [
    ("mail", "accepted", 9), ("mail", "lost", 1), ("mail", "duplicated", 2), ("audit", "overlaps", 1),
    ("audit", "late_writes", 1), ("audit", "address_conflicts", 1), ("audit", "unknown", 1), ("audit", "events", 0),
    ("audit", "services", [])])
def test_each_figure_can_fail_a_drill(part, key, value):
    record = good_record()
    assert drills.judge(record, False) == []
    record[part][key] = value
    assert len(drills.judge(record, False)) == 1


def test_a_missing_phase_fails_a_drill():
    record = good_record()
    record["takeovers"][0]["phases"].pop()
    assert "first_delivery" in drills.judge(record, False)[0]


def test_an_own_before_the_acknowledgement_fails_a_drill():
    record = good_record()
    record["takeovers"][0]["acknowledged_boottime_ms"] = 14.0
    assert drills.judge(record, False) == []
    record["takeovers"][0]["acknowledged_boottime_ms"] = 16.0
    assert "before a person" in drills.judge(record, False)[0]


def test_silence_ends_when_the_token_is_lost():
    cut = make_cut(token_ms=11000.0, report={"zero_boottime_ms": 10000, "phases": [
        {"name": "silence", "at_ms": 0, "took_ms": 1250}, {"name": "membership", "at_ms": 1250, "took_ms": 0}]})
    assert drills.phases_of(cut, None) == [{"name": "silence", "at_ms": 0.0, "took_ms": 1000.0},
                                           {"name": "membership", "at_ms": 1000.0, "took_ms": 250.0}]


def test_reason_is_found_wherever_explain_puts_it():
    answer = {"ok": True, "role": "held", "why": [{"reason": "drain"}, {"reason": "fence-failed", "node": "a"}]}
    assert drills.find_reason(answer, "fence-failed") == {"reason": "fence-failed", "node": "a"}
    assert drills.find_reason(answer, "held") is None


# -- broken by hand: two masters, two addresses, a lost message
@pytest.fixture(name="bare", scope="class")
def fixture_bare():
    with tempfile.TemporaryDirectory(prefix="understudy-drill-test.") as directory:
        lab = lablib.Lab(os.path.join(directory, "lab"))
        lab.build = None
        try:
            yield lab.up(manager="none")
        finally:
            lab.down()


def begin_by_hand(lab, name, messages):
    run = drillrun.Run(lab, name, messages, False, io.StringIO())
    lab.host("a").exec(["/usr/sbin/ip", "addr", "add", f"{labconf.FLOATING}/24", "dev", "service0"])
    lab.host("a").exec(MAILMAN + ["start", "--force"], user="list")
    stock = stockparts.Stock(lab)
    run.wait(stock.lab.lmtp_greets, 90, "Mailman on a answers")
    run.begin()
    run.load()
    return run


def end_by_hand(lab, run):
    run.close()
    for host in map(lab.host, labconf.CLUSTER_HOSTS):
        stockparts.end_list_service(host)
        host.exec(["/usr/sbin/ip", "addr", "del", f"{labconf.FLOATING}/24", "dev", "service0"], check=False)
    for name in os.listdir(lab.list_share / "locks"):       # a stale one makes the next start wait for half a minute
        os.unlink(lab.list_share / "locks" / name)


def take_away(queue):
    for name in os.listdir(queue):
        if name.endswith(".pck"):
            try:
                os.unlink(queue / name)
                return name
            except FileNotFoundError:
                continue
    return None


def hosts_with_runners(run):
    hosts = run.auditor.hosts_of_instances()
    return {hosts.get(r["inst"]) for r in list(run.auditor.records) if r["ev"] == "proc" and r["kind"] == "runner"} - {None}


@needs_root
class TestBrokenByHand:
    def test_a_message_that_is_taken_out_of_the_queue_is_lost(self, bare):
        """Mail is counted from Postfix's 250 to the sink; the queue's own word is not asked."""
        run = begin_by_hand(bare, "lost-by-hand", 24)
        queue = bare.list_share / "queue" / "pipeline"
        try:
            taken = run.wait(lambda: take_away(queue), 30, "an entry in the pipeline queue", 0.0005)
            run.wait_delivered(10)
            audit = run.end()
            mail = run.mail([])
        finally:
            end_by_hand(bare, run)
        assert taken and mail["lost"] == 1 and mail["lost_ids"] and mail["accepted"] == 24
        assert audit["overlaps"] == 0 and audit["address_conflicts"] == 0 and audit["unknown"] == 0

    def test_a_forced_second_master_and_a_second_address_fire(self, bare):
        """What Debian's unit does on a host that boots while the other one is active."""
        run = begin_by_hand(bare, "broken-by-hand", 40)
        try:
            run.wait_accepted(0.3)
            bare.host("b").exec(["/usr/sbin/ip", "addr", "add", f"{labconf.FLOATING}/24", "dev", "service0"])
            bare.host("b").exec(MAILMAN + ["start", "--force"], user="list")
            run.wait(lambda: hosts_with_runners(run) == {"a", "b"}, 60, "runners on both hosts")
            time.sleep(2)
            audit = run.end()
        finally:
            end_by_hand(bare, run)
        assert audit["overlaps"] >= 1 and audit["late_writes"] >= 1 and audit["address_conflicts"] >= 1
        assert audit["unknown"] == 0
        found = {detail["what"] for detail in audit["details"]}
        assert {"two list services at once", "two hosts have the address"} <= found


# -- the product
@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    with temporary_lab("drill") as lab:
        yield lab


@needs_product
@pytest.mark.parametrize("name, messages", [("power-off", 200), ("power-off-twice", 100), ("fence-fails", 100),
                                            ("pause", 100)])
def test_drill(lab, name, messages):
    out = io.StringIO()
    record = drills.run(lab, name, messages, out=out)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"
    print(f"lab: {name}: address away {record['gap_ms']['address']} ms, mail {record['gap_ms']['mail']} ms, "
          f"{record['mail']['duplicated']} repeated, 0 lost")


LIAR = """#!/bin/sh
# A fence agent that believes what it is told: off when somebody has asked for it, and does nothing.
action=status
while read -r line; do case $line in action=*) action=${line#action=} ;; esac; done
case $action in
off) : >/run/liar ;;
on) rm -f /run/liar ;;
metadata) cat /etc/understudy/liar.xml ;;
status | monitor) if [ -e /run/liar ]; then echo "Status: OFF"; exit 2; else echo "Status: ON"; fi ;;
esac
exit 0
"""


@needs_product
def test_a_fence_agent_that_lies_fires(lab):
    """The product believes a device that says off, as it must; the auditor does not."""
    product = drills.Product(lab)
    out = io.StringIO()
    run = drillrun.Run(lab, "liar", 20, True, out)
    agents = [(host.file("/usr/sbin/fence_ipmilan"), host.file("/usr/sbin/fence_ipmilan").read_text())
              for host in map(lab.host, labconf.CLUSTER_HOSTS)]
    active = drills.need_active(run, product)
    try:
        for path, _ in agents:
            path.write_text(LIAR)
        run.begin()
        run.load()
        run.wait_accepted(1.0)
        run.wait_delivered()            # a host that is stopped while it uses the database keeps the next one from starting
        lab.cut(active, "service")      # else the duplicate address check finds the lie out
        cut = run.cut(active, "pause")
        run.wait(lambda: product.state(cut["survivor"]) == "active", 90, "the passive host believes it")
        lab.resume(active)
        time.sleep(3)
        audit = run.end()
    finally:
        run.close()
        lab.heal(active, "service")
        for path, text in agents:
            path.write_text(text)
    print(out.getvalue(), audit)
    assert audit["overlaps"] >= 1 and audit["address_conflicts"] >= 1
    found = {detail["what"] for detail in audit["details"]}
    assert "list process alive after another host's own" in found
