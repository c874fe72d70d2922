# SPDX-License-Identifier: GPL-2.0-or-later
"""A drill's record as text for people: what happened, when, and whether all the mail is there."""

import statistics
import textwrap

BAR = 40
MEANING = {
    "silence": "the active host has gone silent",
    "membership": "corosync forms a ring without it",
    "claim": "the passive host claims the next epoch",
    "proof": "fencing: its power is proven to be off",
    "drain": "what it had on the way to the share lands",
    "own": "the epoch is owned",
    "recover": "stale locks and the queue are put right",
    "address": "the floating address moves",
    "start": "Mailman starts, intake closed",
    "lmtp": "every runner is up, LMTP greets",
    "intake": "the database is writable, intake opens",
    "first_delivery": "the first message goes out again",
}


def seconds(value):
    return "never" if value is None else f"{value / 1000:.2f} s"


def bar(at_ms, took_ms, total_ms):
    scale = BAR / total_ms if total_ms else 0
    left = min(int(at_ms * scale), BAR - 1)
    return (" " * left + "#" * max(1, round(took_ms * scale)))[:BAR].ljust(BAR)


def timeline(takeover):
    head = {"power-off": f"power of {takeover['host']} cut", "pause": f"all processes of {takeover['host']} stopped"}
    then = f"{takeover['survivor']} takes over" if takeover.get("kind", "takeover") != "none" else f"{takeover['host']} goes on"
    if takeover.get("kind") == "fault":
        then = f"in the end {takeover['survivor']} serves"
    lines = [f"{head.get(takeover['how'], takeover['how'])} with {takeover['accepted_before']} messages accepted; {then}"]
    lines += [f"  release: {phase['name']:<12}{phase['took_ms']:8.0f} ms" for phase in takeover.get("release") or ()]
    phases, meaning = takeover["phases"], dict(MEANING)
    if takeover.get("acknowledged_boottime_ms"):
        meaning["proof"] = "fencing fails; then a person's word"
    total = max((p["at_ms"] + p["took_ms"] for p in phases), default=0)
    for phase in phases:
        lines.append(f"  {phase['name']:<15}{phase['at_ms'] / 1000:8.3f} s {phase['took_ms']:8.0f} ms  "
                     f"|{bar(phase['at_ms'], phase['took_ms'], total)}|  {meaning.get(phase['name'], '')}")
    gap = takeover["gap_ms"]
    lines.append(f"  address away {seconds(gap['address'])}, LMTP away {seconds(gap['lmtp'])}, no mail out for "
                 f"{seconds(gap['mail'])}" + (f", first message out {seconds(takeover['first_delivery_ms'])} after the cut"
                                              if phases else ""))
    latency = takeover["latency_ms"]
    if latency.get("ring_to_fence_request") is not None:
        lines.append(f"  ring formed to fence request {latency['ring_to_fence_request']} ms; proof to address answering "
                     f"{latency['proof_to_address']} ms (drain not counted)")
    return lines


def mail_lines(mail):
    parts = mail["bound_parts"]
    return [f"mail     accepted {mail['accepted']}, delivered {mail['delivered']} (to {mail['members']} members each), "
            f"lost {mail['lost']}" + (f": {mail['lost_set_aside']} lie in shunt or bad, {mail['lost_in_a_queue']} in a queue"
                                      if mail["lost"] else ""),
            f"         repeated {mail['duplicated']} (at most {mail['duplicate_bound']}: {parts['in_a_runner']} in the hands of "
            f"a runner, {parts['open_lmtp_transactions']} open LMTP transactions"
            + (f", {parts['in_its_own_mta']} in its own MTA" if parts.get("in_its_own_mta") else "")
            + (f", {parts['in_cron_s_hands']} in the hands of cron's job" if parts.get("in_cron_s_hands") else "") + f"), shunted {mail['shunted']}"]


def end_line(record):
    end = record.get("end")
    return [f"end      {end['active']} is active under epoch {end['epoch']}; fenced: {', '.join(end['fenced']) or 'nobody'}"
            f"; seed {record['seed']}"] if end else []


def audit_lines(audit):
    lines = [f"auditor  overlaps {audit['overlaps']}, late writes {audit['late_writes']}, address conflicts "
             f"{audit['address_conflicts']}; {audit['events']} events on the shares, {audit['unknown']} of nobody"]
    for service in audit.get("excused", {}).get("services", []):
        lines.append(f"         excused, for the drill did it: a list service on {service['host']} for {service['for_ms']:.0f} ms, "
                     f"{audit['excused']['changes']} changes")
    for detail in audit["details"][:8]:
        hosts = ", ".join(detail.get("hosts", [detail.get("host", "")]))
        more = f", {detail['events']} changes" if "events" in detail else ""
        lines.append(f"         {detail['what']}: {hosts or detail.get('macs', '')}{more}")
    return lines


def text(record):
    lines = ["", f"drill {record['drill']}, {record['messages']} messages, {record['took_s']} s"]
    for takeover in record["takeovers"]:
        lines += timeline(takeover)
        if takeover.get("explain"):
            for key in ("what", "detail", "action"):
                lines += textwrap.wrap(takeover["explain"].get(key, ""), 110, initial_indent="  until then   ",
                                       subsequent_indent=" " * 15)
    lines += mail_lines(record["mail"]) + audit_lines(record["audit"]) + end_line(record)
    lines += [f"note     {note}" for note in record["notes"]]
    lines += [f"wrong    {why}" for why in record["why"]]
    lines += [f"records  {record['directory']}", f"verdict: {record['verdict']}"]
    return "\n".join(lines)


def side_by_side(ours, stock):
    """Two drills with the same cut: ours and stock parts."""
    def row(name, get, end=""):
        return f"  {name:<34}{get(ours):>16}{get(stock):>16}{end}"

    def worst(key):
        return lambda record: seconds(record["gap_ms"][key])

    return "\n".join([f"  {'':<34}{'understudy':>16}{'stock parts':>16}",
                      row("address away", worst("address")), row("no mail out for", worst("mail")),
                      row("messages accepted", lambda r: r["mail"]["accepted"]),
                      row("messages lost", lambda r: r["mail"]["lost"]),
                      row("messages repeated", lambda r: r["mail"]["duplicated"]),
                      row("messages shunted", lambda r: r["mail"]["shunted"]),
                      row("two hosts at work at once", lambda r: r["audit"]["overlaps"]),
                      row("writes without the tenure", lambda r: r["audit"]["late_writes"]),
                      row("two hosts with the address", lambda r: r["audit"]["address_conflicts"])])


def spread(values):
    values = [v for v in values if v is not None]
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1),
            "n": len(values)} if values else None


def summary(records):
    """Of several drills: sums of what must not happen, median and range of the times of all their takeovers."""
    takeovers = [t for record in records for t in record["takeovers"]]
    names = list(dict.fromkeys(p["name"] for t in takeovers for p in t["phases"]))
    phases = {name: spread([p["took_ms"] for t in takeovers for p in t["phases"] if p["name"] == name]) for name in names}
    result = {"drills": len(records), "passed": sum(r["verdict"] == "pass" for r in records), "took_ms": phases}
    result.update({key: sum(r["mail"][key] for r in records)
                   for key in ("accepted", "delivered", "duplicated", "lost", "shunted", "duplicate_bound")})
    result.update({key: sum(r["audit"][key] for r in records)
                   for key in ("overlaps", "late_writes", "address_conflicts", "unknown")})
    result["gap_ms"] = {key: spread([t["gap_ms"][key] for t in takeovers]) for key in ("address", "lmtp", "mail")}
    result["latency_ms"] = {key: spread([t["latency_ms"].get(key) for t in takeovers])
                            for key in ("ring_to_fence_request", "proof_to_address")}
    return result


def summary_text(totals):
    lines = [f"{totals['drills']} drills, {totals['passed']} passed: accepted {totals['accepted']}, delivered "
             f"{totals['delivered']}, lost {totals['lost']}, repeated {totals['duplicated']} (at most "
             f"{totals['duplicate_bound']}), shunted {totals['shunted']}, overlaps {totals['overlaps']}, late writes "
             f"{totals['late_writes']}, address conflicts {totals['address_conflicts']}",
             f"  {'milliseconds':<24}{'median':>10}{'min':>10}{'max':>10}"]
    rows = list(totals["took_ms"].items())
    rows += [(f"{key} away" if key != "mail" else "no mail out", value) for key, value in totals["gap_ms"].items()]
    rows += [(key.replace("_", " "), value) for key, value in totals["latency_ms"].items()]
    return "\n".join(lines + [f"  {name:<24}{v['median']:>10.1f}{v['min']:>10.1f}{v['max']:>10.1f}" for name, v in rows if v])
