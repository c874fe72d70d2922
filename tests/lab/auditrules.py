# SPDX-License-Identifier: GPL-2.0-or-later
"""What the auditor calls a violation: pure functions over what it has seen, so that each rule can be tried alone.

A *boot* is one life of one host, from its first process to the end of that ("instance" in understudy-audit's records).
A *service interval* is a time in which a boot has at least one list process (Mailman's master or a runner; of 2.1 mailmanctl or a qrunner), stopped or
not: a frozen process may go on at any moment, so that being alive is enough."""
import fnmatch
import re

OWN = re.compile(r"^epoch\.(\d+)\.own$")
CHANGES = {"create", "delete", "from", "to", "modify", "attrib"}
WORK_DIRS = ("queue", "qfiles", "data", "locks")
# Two hosts that answer by turns this close together hold the address at once; a switchover and back takes longer.
FLIP_MS = 1000.0
DETAILS_MAX = 40


class Boot:
    def __init__(self, number, host, init):
        self.number, self.host, self.init = number, host, init
        self.end_ms = None          # None: still alive
        self.alive = {}             # pid -> start ms, list processes
        self.intervals = []         # [start_ms, end_ms]

    def start(self, pid, ms):
        if not self.alive:
            self.intervals.append([ms, None])
        self.alive[pid] = ms

    def stop(self, pid, ms):
        if self.alive.pop(pid, None) is not None and not self.alive:
            self.intervals[-1][1] = ms

    def is_serving(self):
        return bool(self.alive)


def is_change(record):
    return bool(CHANGES & set(record["mask"].split(",")))


def is_work(record):
    """A change in a folder that only the list service may work on, or a list process that opens a file there."""
    if record["share"] != "list" or record["dir"].split("/")[0] not in WORK_DIRS:
        return False
    return is_change(record) or (record["kind"] in ("runner", "master") and "open" in record["mask"])


class Judge:
    """Fed with the records of understudy-audit in their order; hosts: instance number -> host name.

    holder: instance that has the tenure at the beginning, or None. Without any tenure (stock parts) the instance whose
    list service started last counts as the one that took over.
    tolerated: what a drill does on purpose: {host, from_ms, until_ms, paths}. Excused are that host's list processes that
    begin and end in that time, and its changes below those paths of the list share, or of files like them; they are counted all
    the same.
    wires: pid outside of the hosts -> instance that it works for, also when that one has ended: what its boot had on its way."""

    def __init__(self, hosts, holder=None, epochs=False, tolerated=(), wires=None):
        self.wires = wires or {}
        self.tolerated, self.excused = tolerated, {"changes": 0, "services": []}
        self.hosts, self.holder, self.epochs = hosts, holder, epochs
        self.boots, self.owns, self.details = {}, [], []
        self.late, self.points = {}, {}
        self.events = self.unknown = self.outer = 0

    def boot(self, number):
        if number not in self.boots:
            self.boots[number] = Boot(number, self.hosts.get(number), None)
        return self.boots[number]

    def feed(self, record):
        take = getattr(self, "take_" + record["ev"], None)
        if take:
            take(record)

    def take_ns(self, record):
        self.boots[record["inst"]] = Boot(record["inst"], self.hosts.get(record["inst"]), record["init"])

    def take_gone(self, record):
        boot = self.boot(record["inst"])
        boot.end_ms = record["ms"]
        for pid in list(boot.alive):
            boot.stop(pid, record["ms"])
        self.forget_stopped(record["inst"])

    def forget_stopped(self, number):
        """Without epochs a tenure ends with the service; with them only another own ends it."""
        if not self.epochs and self.holder == number and not self.boot(number).is_serving():
            self.holder = None

    def take_proc(self, record):
        if self.hosts.get(record["inst"]) is None:
            return
        boot = self.boot(record["inst"])
        if not self.epochs and not boot.is_serving() and record["inst"] != self.holder:
            self.holder = record["inst"]
        boot.start(record["pid"], record["ms"])

    def take_exit(self, record):
        if record["inst"] > 0:
            self.boot(record["inst"]).stop(record["pid"], record["ms"])
            self.forget_stopped(record["inst"])

    def take_lost(self, record):
        self.unknown += 1
        self.details.append({"what": "events lost", "which": record["what"], "ms": record["ms"]})

    def take_fs(self, record):
        self.events += 1
        number = record["inst"] or self.wires.get(record["pid"], 0)
        if number == 0:
            self.outer += 1
            return
        if number < 0 or self.hosts.get(number) is None:
            self.unknown += 1
            self.details.append({"what": "unknown process", **record})
            return
        if record["share"] == "control":
            self.note_own({**record, "inst": number})
        elif self.is_excused(record):
            self.excused["changes"] += 1
            return
        elif is_change(record) and self.holder is not None and number != self.holder:
            self.late.setdefault(number, []).append(record)
        if is_work(record) and not self.boot(number).is_serving():
            self.points.setdefault(number, []).append(record)

    def is_excused(self, record):
        file = f"{record['dir']}/{record['name']}"
        return any(self.hosts[record["inst"]] == t["host"] and t["from_ms"] <= record["ms"] <= t["until_ms"] and is_change(record)
                   and any(file.startswith(p + "/") or fnmatch.fnmatch(file, p) for p in t["paths"]) for t in self.tolerated)

    def excuses(self, boot, start, end):
        excused = any(boot.host == t["host"] and t["from_ms"] <= start and end <= t["until_ms"] for t in self.tolerated)
        if excused:
            self.excused["services"].append({"host": boot.host, "from_ms": start, "for_ms": round(end - start, 1)})
        return excused

    def note_own(self, record):
        found = OWN.match(record["name"])
        if not found or not {"create", "to"} & set(record["mask"].split(",")):
            return
        epoch = int(found.group(1))
        if not self.owns or epoch > self.owns[-1]["epoch"]:
            self.owns.append({"epoch": epoch, "inst": record["inst"], "ms": record["ms"], "seq": record["seq"]})
            self.holder = record["inst"]

    # -- verdicts
    def name(self, number):
        return self.hosts.get(number) or f"instance {number}"

    def find_overlaps(self):
        found = []
        spans = [(boot, start, float("inf") if end is None else end)
                 for boot in self.boots.values() if boot.host for start, end in boot.intervals]
        spans = [span for span in spans if not self.excuses(span[0], span[1], span[2])]
        for i, (one, start, end) in enumerate(spans):
            for other, start2, end2 in spans[i + 1:]:
                both = min(end, end2) - max(start, start2)
                if one.number != other.number and both > 0:
                    found.append({"what": "two list services at once", "hosts": [one.host, other.host],
                                  "from_ms": max(start, start2), "for_ms": None if both == float("inf") else both})
            for own in self.owns:
                if own["inst"] != one.number and start < own["ms"] < end:
                    found.append({"what": "list process alive after another host's own", "hosts": [one.host],
                                  "epoch": own["epoch"], "own_ms": own["ms"], "end_ms": None if end == float("inf") else end})
            for number, records in self.points.items():
                inside = [r for r in records if number != one.number and start < r["ms"] < end]
                if inside:
                    found.append({"what": "work on the queue beside another host's list service",
                                  "hosts": [self.name(number), one.host], "events": len(inside), "first": inside[0]})
        return found

    def find_late_writes(self):
        return [{"what": "changes by a host without the tenure", "host": self.name(number), "events": len(records),
                 "first": records[0], "last": records[-1]} for number, records in self.late.items()]

    def verdict(self):
        overlaps, late = self.find_overlaps(), self.find_late_writes()
        return {"overlaps": len(overlaps), "late_writes": sum(x["events"] for x in late), "events": self.events,
                "unknown": self.unknown, "excused": self.excused, "outer": self.outer, "details": (self.details + overlaps + late)[:DETAILS_MAX],
                "owns": [{**own, "host": self.name(own["inst"])} for own in self.owns],
                "services": [{"host": boot.host, "instance": boot.number, "intervals": boot.intervals}
                             for boot in self.boots.values() if boot.intervals]}


def find_holding_conflicts(holdings):
    """holdings: (host, instance, start_ms, end_ms or None) from the kernels of the hosts."""
    found = []
    for i, (host, number, start, end) in enumerate(holdings):
        for host2, number2, start2, end2 in holdings[i + 1:]:
            last = min(x if x is not None else float("inf") for x in (end, end2))
            if number != number2 and max(start, start2) < last:
                found.append({"what": "two hosts have the address", "hosts": [host, host2],
                              "from_ms": max(start, start2), "until_ms": None if last == float("inf") else last})
    return found


def find_answer_conflicts(probes):
    """probes: the prober's records. A MAC that answers again right after another one did."""
    runs = []       # [mac, first_ms, last_ms]
    for record in probes:
        if record.get("k") != "arp":
            continue
        if not runs or runs[-1][0] != record["mac"]:
            runs.append([record["mac"], record["ms"], record["ms"]])
        runs[-1][2] = record["ms"]
    found, until = [], None
    for before, between, after in zip(runs, runs[1:], runs[2:]):
        if before[0] != after[0] or after[1] - before[2] > FLIP_MS:
            continue
        if until is None or between[1] - until > FLIP_MS:
            found.append({"what": "two MACs answer for the address", "macs": [before[0], between[0]], "from_ms": between[1],
                          "until_ms": after[2]})
        until = after[2]
        found[-1]["until_ms"] = after[2]
    return found
