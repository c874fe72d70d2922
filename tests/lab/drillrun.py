# SPDX-License-Identifier: GPL-2.0-or-later
"""One drill under way: traffic, prober and auditor around whatever a scenario does, and the figures afterwards."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import auditor
import labconf
from drillexpect import DEMANDED
from drillfigures import MX_QUEUES, PROBE_MS, QUEUES, Figures, count_files, now_ms

HERE = os.path.dirname(os.path.abspath(__file__))
RATE = 12.0             # messages a second; Mailman with the minimal set of runners manages about 17
EASY = 4.0              # where the load is not what is tried
SINK_DELAY_MS = 10      # a relay takes a moment for each message, so that one is in flight at most times
MOST = 80               # where a drill goes on for as long as it has to
STUCK_S = 30.0
SETTLE_S = 3.0          # after the last missing delivery, so that late duplicates are seen too


class DrillFailed(Exception):
    """The expected did not happen; the drill's figures are still made."""


class Tail:
    """Reads a file of JSON lines as it grows."""

    def __init__(self, path):
        self.path, self.records, self.position = path, [], 0

    def read(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.position)
                data = file.read()
        except FileNotFoundError:
            return self.records
        whole = data.rfind(b"\n") + 1
        self.position += whole
        self.records += [json.loads(line) for line in data[:whole].splitlines()]
        return self.records


class Run(Figures):
    """begin(), a scenario that calls load(), cut() and the waits, end()."""

    def __init__(self, lab, name, messages, epochs, out=sys.stdout, seed=None):
        self.lab, self.name, self.messages, self.epochs, self.out = lab, name, messages, epochs, out
        self.directory = os.path.join(str(lab.dir), "drills", f"{name}-{time.strftime('%H%M%S')}-{os.getpid()}")
        os.makedirs(self.directory)
        self.parts, self.cuts, self.notes = {}, [], []
        self.began_ms = now_ms()
        self.seed = int(self.began_ms) % 1000000 if seed is None else seed
        self.random = random.Random(self.seed)
        self.expected, self.end_state, self.undone, self.tolerated = {}, {}, [], []
        self.events = Tail(str(lab.events))
        self.events_before = len(self.events.read())
        self.prefix = f"d{os.getpid()}-{int(self.began_ms)}"
        self.sink, self.sent, self.probe = (Tail(self.path(x)) for x in ("sink.jsonl", "load.jsonl", "probe.jsonl"))
        self.auditor = auditor.Auditor(lab, self.directory, lab.floating, labconf.CLUSTER_HOSTS, epochs)
        self.audit, self.shunted_before, self.queued_before, self.mx_log_before = None, 0, set(), 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def say(self, text):
        print(f"{(now_ms() - self.began_ms) / 1000:7.1f} s  {text}", file=self.out, flush=True)

    # -- parts
    def start_part(self, part, *options):
        fd = self.lab.host("mx").netns_fd()
        try:
            with open(self.path(f"{part}.err"), "ab") as errors:
                self.parts[part] = subprocess.Popen(
                    ["/usr/bin/python3", "-I", os.path.join(HERE, "traffic.py"), "--net", str(fd), part,
                     "--log", self.path(f"{part}.jsonl"), *map(str, options)],
                    pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True)
        finally:
            os.close(fd)

    def stop_part(self, part):
        process = self.parts.pop(part, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def begin(self):
        self.start_part("sink", "--bind", labconf.MX_ADDRESS, "--port", labconf.SINK_PORT, "--delay-ms", SINK_DELAY_MS)
        source = labconf.MX_ADDRESS6 if ":" in self.lab.floating else labconf.MX_ADDRESS
        self.start_part("probe", "--address", self.lab.floating, "--source", source,
                        "--lmtp-port", labconf.INTAKE_PORTS[self.lab.service], "--period-ms", PROBE_MS)
        self.auditor.start()
        self.wait(lambda: self.sink.read() and self.probe.read(), 20, "sink and prober start")
        self.shunted_before, self.queued_before = self.count_shunted(), set(self.find_queued())
        self.mx_log_before = self.mx_log_size()
        self.auditor.barrier()

    def load(self, rate=RATE, most=MOST):
        """So many messages as were asked for; where nobody asked, until stop_load() or the MOST: what piles up at the MX while
        nobody serves is tried again each second, and takes the processors."""
        count = most if self.messages is None else self.messages
        self.start_part("load", "--host", labconf.MX_ADDRESS, "--sender", "poster@members.test", "--rcpt",
                        labconf.LIST_ADDRESS, "--count", count, "--rate", rate, "--prefix", self.prefix)
        self.say(f"sending {'up to ' if self.messages is None else ''}{count} messages to the list, {rate:g} a second")

    def stop_load(self):
        """Where it goes on until it is stopped: then the messages sent so far are what the drill is about."""
        if self.messages is None:
            self.stop_part("load")
            self.messages = next((r["sent"] for r in self.sent.read() if r["event"] == "done"), len(self.sent.read()))
            self.say(f"{self.messages} messages were sent")

    def close(self):
        for part in list(self.parts):
            self.stop_part(part)
        if self.auditor.process is not None and self.auditor.process.poll() is None:
            self.auditor.process.kill()
            self.auditor.process.wait()

    # -- waiting
    def wait(self, condition, timeout_s, what, interval_s=0.02):
        result = self.happens(condition, timeout_s, interval_s)
        if not result:
            raise DrillFailed(f"{what}: not so after {timeout_s:g} s")
        return result

    @staticmethod
    def happens(condition, within_s, interval_s=0.02):
        """What CONDITION said when it first held, or last."""
        deadline = now_ms() + within_s * 1000
        result = condition()
        while not result and now_ms() < deadline:
            time.sleep(interval_s)
            result = condition()
        return result

    def accepted(self):
        return [r["id"] for r in self.sent.read() if r["event"] == "accepted"]

    def deliveries(self):
        """(id, recipient) -> times of this drill's deliveries."""
        found = {}
        for record in self.sink.read():
            if record.get("id") and record["id"].startswith(self.prefix + "-"):
                for rcpt in record["rcpts"]:
                    found.setdefault((record["id"], rcpt), []).append(record["ms"])
        return found

    def missing(self):
        got = self.deliveries()
        return [(i, m) for i in self.accepted() for m in labconf.LIST_MEMBERS if (i, m) not in got]

    def wait_accepted(self, share, timeout_s=120):
        wanted = int(self.messages * share)
        self.wait(lambda: len(self.accepted()) >= wanted and self.deliveries(), timeout_s,
                  f"{wanted} messages accepted and some delivered")

    def wait_delivered(self, timeout_s=120):
        """The load has ended, and nothing is missing, or the time is over: what is missing then is lost."""
        self.wait(lambda: any(r["event"] == "done" for r in self.sent.read()), 60 + self.messages / RATE * 2, "load ends")
        try:
            self.wait(lambda: not self.missing() and not self.count_queued() or self.is_stuck(), timeout_s,
                      "everything is delivered", 0.2)
            if self.missing():
                raise DrillFailed(f"nothing has moved for {STUCK_S:g} s")
        except DrillFailed as err:
            self.notes.append(f"{err}; {len(self.missing())} deliveries missing, {self.count_queued()} files in the queues, "
                              f"{self.count_at_mx()} at the MX{self.why_at_mx()}")
        end = now_ms() + SETTLE_S * 1000
        while now_ms() < end:
            time.sleep(0.1)

    def is_stuck(self):
        """No queue holds anything and nothing was delivered for a while: what is missing will not come."""
        last = max([r["ms"] for r in self.sink.read()] + [self.cuts[-1]["at_ms"] if self.cuts else 0.0])
        return now_ms() - last > STUCK_S * 1000 and not self.count_queued() and not self.count_at_mx()

    def count_at_mx(self):
        spool = self.lab.host("mx").file("/var/spool/postfix")
        return sum(len(files) for q in MX_QUEUES for _, _, files in os.walk(spool / q))

    def why_at_mx(self):
        """What Postfix says of the messages that it still holds; its log goes with the drill's records."""
        self.keep(self.mx_log(), "postfix.log")
        queue = self.lab.host("mx").exec(["/usr/sbin/postqueue", "-j"], check=False, timeout=20)
        entries = [json.loads(line) for line in queue.stdout.splitlines()]
        return "".join(f"; {e['queue_id']} {e['queue_name']}: {r.get('delay_reason', 'no reason')}"
                       for e in entries[:5] for r in e["recipients"][:1])

    def sink_hold(self, hold):
        """The sink takes messages and gives no answer, until it may again."""
        self.parts["sink"].send_signal(signal.SIGUSR1 if hold else signal.SIGUSR2)

    def retry_now(self):
        """What Mailman could not hand to the relay waits for its retry runner, 15 minutes in life; the lab runs none, and the
        files go back to the out queue here as that runner would put them. How many."""
        queue = str(self.lab.queue_dir)
        names = [n for n in os.listdir(f"{queue}/retry") if n.endswith(".pck")] if os.path.isdir(f"{queue}/retry") else []
        for name in names:
            os.rename(f"{queue}/retry/{name}", f"{queue}/out/{name}")
        if names:
            self.say(f"{len(names)} messages that the relay could not be given are tried again")
        return len(names)

    # -- the cut
    def disturb(self, host, how, act, kind="takeover", survivor=None, **more):
        """Does ACT to HOST. What lies half done in the queues then is the bound of duplicates, or BOUND.

        KIND, PHASES: what the report must have; LIMITS: gap -> milliseconds that it may last."""
        before = {"host": host, "how": how, "kind": kind, "accepted": len(self.accepted()), "at_ms": now_ms(),
                  "phases": more.get("phases", DEMANDED[kind]), "limits": more.get("limits", {}), "bound": more.get("bound")}
        if kind == "none":
            before["survivor"] = host
        else:
            before["survivor"] = survivor or next(h for h in labconf.CLUSTER_HOSTS if h != host)
        act()
        before["bak"] = sum(count_files(os.path.join(self.lab.queue_dir, q), ".bak") for q in QUEUES)
        before["in_cron"] = int(self.lab.service == "mailman20" and kind != "switchover")
        before["own_mta"] = self.count_own_mta(host) if how == "power-off" else 0
        self.cuts.append(before)
        self.say(f"{how} of {host} with {before['accepted']} messages accepted")
        return before

    def cut(self, host, how="power-off", **more):
        """Takes the power, or pauses every process."""
        act = (lambda: self.lab.host(host).power_off(f"drill {self.name}")) if how == "power-off" else \
            (lambda: self.lab.pause(host))
        return self.disturb(host, how, act, **more)

    def expect(self, **wanted):
        """What must hold in the end: active, fenced, rebooted, epoch, shunted."""
        self.expected.update(wanted)

    def tolerate(self, host, from_ms, for_ms, paths):
        """The auditor excuses HOST's list processes in that time, and what it changes below PATHS of the list share."""
        self.tolerated.append({"host": host, "from_ms": from_ms, "until_ms": from_ms + for_ms, "paths": paths})

    def undo(self, call, *args):
        """To be done should the scenario fail, so that the lab can be used again. A scenario that has done it says done()."""
        self.undone.append((call, args))

    def done(self):
        self.undone = []

    def undo_all(self):
        while self.undone:
            call, args = self.undone.pop()
            try:
                call(*args)
            except (OSError, subprocess.SubprocessError, RuntimeError) as err:
                self.notes.append(f"the lab is not as it was: {err}")

    def fenced(self):
        """Hosts whose power a fence device has cut, in order."""
        return [r["host"] for r in self.events.read()[self.events_before:]
                if r["event"] == "power-off" and r.get("reason") == "bmc"]

    def look_end(self, product):
        active = product.active()
        return {"active": active, "fenced": self.fenced(), "epoch": product.epoch(active) if active else None,
                "rebooted": [r["host"] for r in self.events.read()[self.events_before:] if r["event"] == "rebooted"],
                "states": {host: product.state(host) for host in labconf.CLUSTER_HOSTS}}

    # -- the end
    def end(self):
        """Stops everything and lets the auditor judge."""
        self.stop_load()
        for part in ("load", "probe", "sink"):
            self.stop_part(part)
        self.note_stalls()
        self.audit = self.auditor.stop(self.probe.read(), self.tolerated)
        return self.audit

    def keep(self, source, name):
        """A copy beside the drill's own records: the hosts' files go with the lab."""
        try:
            shutil.copyfile(source, self.path(name))
        except OSError as err:
            self.notes.append(f"{source}: {err.strerror}")
