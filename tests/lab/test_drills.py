# SPDX-License-Identifier: GPL-2.0-or-later
"""The drills: their arithmetic, and those that cut the active node, each of them once; power-off is in test_tour.py."""
import io

import pytest

import drillreport
import drillrun
import drills
from testlab import needs_product


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


# -- the product
@needs_product
@pytest.mark.parametrize("name, messages", [("power-off-twice", 100), ("fence-fails", 100), ("pause", 100)])
def test_drill(lab, name, messages):
    out = io.StringIO()
    record = drills.run(lab, name, messages, out=out)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"
    print(f"lab: {name}: address away {record['gap_ms']['address']} ms, mail {record['gap_ms']['mail']} ms, "
          f"{record['mail']['duplicated']} repeated, 0 lost")
