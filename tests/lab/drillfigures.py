# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of a drill, from what sink, load, prober and Postfix have written and from what lies in the queues."""
import os
import re
import time

import labconf

QUEUES = ("in", "pipeline", "out", "virgin", "lmtp", "retry", "bounces", "command", "commands", "archive", "digest", "news")
MX_QUEUES = ("maildrop", "incoming", "active", "deferred")
PROBE_MS = 5
HOST_ADDRESSES = {labconf.address(host, "service"): host for host in labconf.CLUSTER_HOSTS}
# Postfix's own session: the last dot was sent and the answer never came.
UNANSWERED = re.compile(r"postfix/[ls]mtp\[\d+\]: (\w+): .*\((?!delivery temporarily suspended).*message may be sent more than once")
TOKEN_LOST = re.compile(r"(\w{3} +\d+ \d\d:\d\d:\d\d)\.(\d{3}) .*token timed out")


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


def count_files(folder, suffix):
    try:
        return sum(1 for name in os.listdir(folder) if name.endswith(suffix))
    except FileNotFoundError:
        return 0


def find_messages(folders, ids):
    """Those of IDS whose message is in a file anywhere below FOLDERS."""
    found = set()
    for folder, _, names in (step for top in folders for step in os.walk(top) if ids):
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
            except OSError:
                continue
            found |= {i for i in ids - found if f"<{i}@".encode() in data}
    return found


class Figures:
    """The part of Run that counts and measures."""

    def count_shunted(self):
        queue = str(self.lab.queue_dir)
        return count_files(f"{queue}/shunt", ".pck") + count_files(f"{queue}/bad", ".psv")

    def find_undelivered(self, ids):
        """Where the messages IDS still lie: (those in shunt or bad, those in another queue or at the MX)."""
        queue, spools = self.lab.queue_dir, (self.lab.dir / "spool").glob("*")
        aside = find_messages([f"{queue}/shunt", f"{queue}/bad"], ids)
        waiting = find_messages([f"{queue}/{q}" for q in QUEUES] + [f"{spool}/{q}" for spool in spools for q in MX_QUEUES], ids - aside)
        return aside, waiting

    def find_queued(self):
        queue = str(self.lab.queue_dir)
        return [(q, name) for q in QUEUES if os.path.isdir(f"{queue}/{q}") for name in os.listdir(f"{queue}/{q}")
                if name.endswith((".pck", ".bak"))]

    def count_queued(self):
        """Entries of this drill: one that went wrong before may have left some in a queue that nobody empties."""
        return len(set(self.find_queued()) - self.queued_before)

    def mx_log(self):
        return self.lab.host("mx").file("/var/log/postfix.log")

    def mx_log_size(self):
        try:
            return os.path.getsize(self.mx_log())
        except OSError:
            return 0

    def count_open_lmtp(self):
        try:
            with open(self.mx_log(), encoding="utf-8", errors="replace") as file:
                file.seek(self.mx_log_before)
                return len({found.group(1) for found in map(UNANSWERED.search, file) if found})
        except OSError:
            return 0

    def count_own_mta(self, host):
        """Messages in the cut host's own Postfix (of Mailman 2): what it was just piping it pipes again when it is back."""
        return sum(len(names) for q in ("incoming", "active") for _, _, names in os.walk(self.lab.dir / "spool" / host / q))

    def mail(self, bounds):
        """bounds: what the takeover reports say, one for each cut, None where there is none."""
        got, accepted = self.deliveries(), self.accepted()
        lost = {i for i, _ in self.missing()}
        repeated = {i for (i, _), times in got.items() if len(times) > 1}
        aside, waiting = self.find_undelivered(lost)
        open_lmtp = self.count_open_lmtp()
        in_cron = sum(cut.get("in_cron", 0) for cut in self.cuts)     # 2.0: what its one qrunner is delivering
        own_mta = sum(cut.get("own_mta", 0) for cut in self.cuts)
        bak = [cut["bak"] if bound is None else bound for cut, bound in zip(self.cuts, bounds)]
        return {"accepted": len(accepted), "delivered": len(accepted) - len(lost),
                "duplicated": len(repeated), "lost": len(lost), "lost_set_aside": len(aside), "lost_in_a_queue": len(waiting),
                "shunted": self.count_shunted() - self.shunted_before, "duplicate_bound": sum(bak) + open_lmtp + own_mta + in_cron,
                "members": len(labconf.LIST_MEMBERS), "deliveries": sum(len(t) for t in got.values()),
                "bound_parts": {"in_a_runner": sum(bak), "open_lmtp_transactions": open_lmtp, "in_its_own_mta": own_mta, "in_cron_s_hands": in_cron,
                                "bak_files_at_cut": sum(cut["bak"] for cut in self.cuts)},
                "refused": sum(1 for r in self.sent.read() if r["event"] == "refused"),
                "lost_ids": sorted(lost)[:20], "duplicated_ids": sorted(repeated)[:20]}

    def first_delivery_ms(self, cut):
        """First delivery by the survivor's Mailman; the sink sees the address that it comes from."""
        return next((r["ms"] for r in self.sink.read() if r.get("id") and r["ms"] > cut["at_ms"] and
                     HOST_ADDRESSES.get(r["peer"], cut["survivor"]) == cut["survivor"]), None)

    def until_ms(self, cut):
        """The figures of a cut end where the next one begins."""
        return min([c["at_ms"] for c in self.cuts if c["at_ms"] > cut["at_ms"]], default=float("inf"))

    def gap(self, times, cut):
        """Longest time without one of TIMES from the cut on; None when they never came back."""
        upto = self.until_ms(cut)
        before = max((t for t in times if t <= cut["at_ms"]), default=cut["at_ms"])
        after = sorted(t for t in times if cut["at_ms"] < t <= upto)
        gaps = [b - a for a, b in zip([before] + after, after)]
        return round(max(gaps), 1) if gaps else None

    def gaps(self, cut):
        echoes = [r["ms"] for r in self.probe.read() if r.get("k") == "echo"]
        arps = [r["ms"] for r in self.probe.read() if r.get("k") == "arp"]
        # Mail pauses of its own near the end are no gap of the takeover: deliveries count up to the load's end.
        # Where nobody takes over, they count until the last one: nothing says when the service was back.
        end = max([r["ms"] for r in self.sent.read()] + [self.first_delivery_ms(cut) or 0])
        if cut["kind"] == "none":
            end = float("inf")
        mails = [r["ms"] for r in self.sink.read() if r.get("id") and r["ms"] <= end]
        return {"address": self.gap(echoes, cut), "mail": self.gap(mails, cut), "arp": self.gap(arps, cut),
                "lmtp": self.gap([r["ms"] for r in self.probe.read() if r.get("k") == "lmtp" and r["ok"]], cut)}

    def first_echo_ms(self, cut):
        """First echo that the survivor answers: a host that is only paused goes on answering until it is fenced."""
        mac, upto = labconf.mac(cut["survivor"], "service", 0), self.until_ms(cut)
        probes = [r for r in self.probe.read() if cut["at_ms"] < r["ms"] < upto]
        held = next((r["ms"] for r in probes if r.get("k") == "arp" and r["mac"] == mac), None)
        return next((r["ms"] for r in probes if held and r.get("k") == "echo" and r["ms"] > held - PROBE_MS), None)

    def token_lost_ms(self, cut):
        """When the survivor's corosync says that the token timed out after the cut, on our clock; None if it does not."""
        wall_minus_boot = time.time() * 1000 - now_ms()
        log = self.lab.host(cut["survivor"]).file("/var/log/corosync/corosync.log")
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        for line in lines:
            found = TOKEN_LOST.match(line)
            if not found:
                continue
            at = time.mktime(time.strptime(f"{time.localtime().tm_year} {found[1]}", "%Y %b %d %H:%M:%S"))
            at_ms = at * 1000 + int(found[2]) - wall_minus_boot
            if cut["at_ms"] <= at_ms < self.until_ms(cut):
                return at_ms
        return None

    def note_stalls(self):
        """A prober that did not get the processor sees gaps that are its own."""
        for record in self.probe.read():
            if record.get("k") == "stall":
                self.notes.append(f"the prober stood still for {record['for_ms']:.0f} ms: gaps may be that much shorter")
