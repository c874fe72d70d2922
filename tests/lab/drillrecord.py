# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a drill: figures of each disturbance, and the verdict."""
import drillrun
from drillexpect import DEMANDED, PHASES, RELEASING  # noqa: F401

GAPS = ("address", "mail", "arp", "lmtp")


def phases_of(cut, first_delivery_ms):
    """The node's own report, moved to the moment of the cut, and what corosync and the sink saw before and after it."""
    report = cut.get("report", {})
    shift = report.get("zero_boottime_ms", 0) - cut["at_ms"]
    phases = []
    for phase in report.get("phases", []):
        begin, end = phase["at_ms"] + shift, phase["at_ms"] + shift + phase["took_ms"]
        begin = max(begin, 0.0)     # silence is counted from the last sign, which came before the cut
        phases.append({"name": phase["name"], "at_ms": round(begin, 1), "took_ms": round(max(end - begin, 0.0), 1)})
    split_silence(cut, phases)
    if first_delivery_ms and phases:
        begin = phases[-1]["at_ms"] + phases[-1]["took_ms"]
        phases.append({"name": "first_delivery", "at_ms": round(begin, 1),
                       "took_ms": round(max(first_delivery_ms - cut["at_ms"] - begin, 0.0), 1)})
    return phases


def split_silence(cut, phases):
    """The engine hears of the silence when the ring is formed; corosync's log has the moment when the token timed out."""
    named = {p["name"]: p for p in phases}
    if not cut.get("token_ms") or "silence" not in named or "membership" not in named:
        return
    silence, membership = named["silence"], named["membership"]
    lost, end = cut["token_ms"] - cut["at_ms"], membership["at_ms"] + membership["took_ms"]
    if silence["at_ms"] < lost < end:
        silence["took_ms"] = round(lost - silence["at_ms"], 1)
        membership.update(at_ms=round(lost, 1), took_ms=round(end - lost, 1))


def latency_of(run, cut, phases):
    """Proof to address as the MX sees it: until the first answer to its echo, drain not counted."""
    named = {p["name"]: p for p in phases}
    reported = cut.get("report", {}).get("latency_ms", {})
    latency = {"ring_to_fence_request": reported.get("ring_formed_to_fence_request"), "proof_to_address": None}
    echo = run.first_echo_ms(cut)
    if "proof" in named and echo:
        proven = named["proof"]["at_ms"] + named["proof"]["took_ms"] + named.get("drain", {"took_ms": 0.0})["took_ms"]
        latency["proof_to_address"] = round(echo - cut["at_ms"] - proven, 1)
    latency["reported"] = reported
    return latency


def takeover_record(run, cut):
    first = run.first_delivery_ms(cut)
    phases = phases_of(cut, first) if cut["kind"] != "none" else []
    return {"kind": cut["kind"], "host": cut["host"], "how": cut["how"], "survivor": cut["survivor"],
            "cut_boottime_ms": round(cut["at_ms"], 3), "accepted_before": cut["accepted"], "phases": phases,
            "demanded": list(cut["phases"]), "release": cut.get("release", {}).get("phases"), "gap_ms": run.gaps(cut),
            "limit_ms": cut["limits"], "first_delivery_ms": round(first - cut["at_ms"], 1) if first else None,
            "latency_ms": latency_of(run, cut, phases), "explain": cut.get("explain"),
            "acknowledged_boottime_ms": cut.get("acknowledged_ms"), "duplicate_bound": bound_of(cut),
            "report": cut.get("report")}


def bound_of(cut):
    """How many messages may have been in the hands of a runner; the scenario's word comes first."""
    return cut["bound"] if cut["bound"] is not None else cut.get("report", {}).get("duplicate_bound")


# -- the verdict
def judge_mail(record):
    mail, found = record["mail"], []
    if mail["accepted"] < record["messages"]:
        found.append(f"only {mail['accepted']} of {record['messages']} messages were accepted")
    if mail["lost"]:
        found.append(f"{mail['lost']} messages lost")
    if mail["duplicated"] > mail["duplicate_bound"]:
        found.append(f"{mail['duplicated']} messages repeated, at most {mail['duplicate_bound']} may be")
    allowed = record.get("expected", {}).get("shunted")
    if allowed is not None and mail["shunted"] > allowed:
        found.append(f"{mail['shunted']} messages shunted, at most {allowed} may be")
    return found


def judge_audit(record):
    audit, found = record["audit"], []
    for key, what in (("overlaps", "times when two hosts worked at once"), ("late_writes", "writes without the tenure"),
                      ("address_conflicts", "times when two hosts had the address"),
                      ("unknown", "events that no host could be given")):
        if audit[key]:
            found.append(f"{audit[key]} {what}")
    if audit["events"] == 0 or not audit["services"]:
        found.append("the auditor saw no list service at work: it proves nothing")
    for takeover in record["takeovers"]:
        early = [own for own in audit["owns"] if takeover.get("acknowledged_boottime_ms") and
                 takeover["cut_boottime_ms"] < own["ms"] < takeover["acknowledged_boottime_ms"]]
        if early:
            found.append(f"epoch {early[0]['epoch']} was owned before a person had acknowledged")
    return found


def judge_takeover(takeover):
    found, by = [], takeover["survivor"]
    lacking = [p for p in takeover["demanded"] if p not in [x["name"] for x in takeover["phases"]]]
    if lacking:
        found.append(f"no figures for {', '.join(lacking)} in the takeover by {by}")
    if takeover["kind"] == "switchover":
        given = [phase["name"] for phase in takeover.get("release") or ()]
        lacking = [p for p in RELEASING if p not in given]
        if lacking:
            found.append(f"no figures for {', '.join(lacking)} in the release by {takeover['host']}")
    for key, limit in takeover["limit_ms"].items():
        gap = takeover["gap_ms"][key]
        if gap is None or gap > limit:
            found.append(f"{key} away for {'ever' if gap is None else f'{gap:.0f} ms'} after {takeover['how']}, "
                         f"at most {limit:.0f} ms may be")
    return found


def judge_end(record):
    """How the hosts ended: who is active, who was fenced, whether the epoch went on."""
    found, end = [], record.get("end", {})
    for key, wanted in record.get("expected", {}).items():
        if key in end and end[key] != wanted:
            found.append(f"in the end {key} is {end[key]}, and {wanted} is expected")
    return found


def judge(record, stock):
    """What is wrong, in sentences; nothing = pass."""
    found = judge_mail(record) + judge_audit(record)
    if not record["takeovers"]:
        found.append("nothing was cut")
    for takeover in record["takeovers"] if not stock else ():
        found += judge_takeover(takeover)
    return found + judge_end(record)


def make_record(run, failure, stock):
    run.end()
    takeovers = [takeover_record(run, cut) for cut in run.cuts]
    last = takeovers[-1] if takeovers else {}
    worst = {key: max((t["gap_ms"][key] for t in takeovers if t["gap_ms"][key] is not None), default=None) for key in GAPS}
    record = {"drill": run.name, "verdict": "fail", "why": [], "messages": run.messages, "seed": run.seed,
              "mail": run.mail([t["duplicate_bound"] for t in takeovers]), "audit": run.audit, "gap_ms": worst,
              "phases": last.get("phases", []), "latency_ms": last.get("latency_ms", {}), "takeovers": takeovers,
              "expected": run.expected, "end": run.end_state, "notes": run.notes, "directory": run.directory,
              "took_s": round((drillrun.now_ms() - run.began_ms) / 1000, 1)}
    record["why"] = ([str(failure)] if failure else []) + judge(record, stock)
    record["verdict"] = "fail" if record["why"] else "pass"
    return record
