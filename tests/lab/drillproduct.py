# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy on the hosts of a lab as an operator sees it, and the waits that drills are made of."""
import json
import os

import drillrun
import labconf

TAKEOVER_S = 90
REJOIN_S = 90


class Product:
    """understudy on the hosts of a lab, as an operator sees it."""

    def __init__(self, lab):
        self.lab = lab

    def status(self, host):
        try:
            return json.loads(self.lab.host(host).file("/run/understudy/status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def state(self, host):
        return self.status(host).get("state") if self.lab.host(host).powered else None

    def is_ready(self, host):
        """Passive, with nothing in its way but that the other node serves. Alone in its ring it would be no help."""
        status = self.status(host) if self.lab.host(host).powered else {}
        return status.get("state") == "passive" and {why["reason"] for why in status["why"]} <= {"peer-active"}

    def active(self):
        return next((h for h in labconf.CLUSTER_HOSTS if self.state(h) == "active"), None)

    def command(self, host, *words):
        return self.lab.host(host).exec(["/usr/bin/understudy", *words], check=False, timeout=20)

    def explain(self, host):
        done = self.command(host, "explain", "--json")
        try:
            return json.loads(done.stdout)
        except ValueError as err:
            raise drillrun.DrillFailed(f"understudy explain on {host}: {done.stderr.strip() or err}") from err

    def reports(self, host):
        """All reports of the host, the newest last: (record, path)."""
        folder, found = self.lab.host(host).file("/var/lib/understudy/reports"), []
        for path in folder.glob("*-*.json"):
            try:
                found.append((json.loads(path.read_text(encoding="utf-8")), path))
            except (OSError, ValueError):
                continue
        return sorted(found, key=lambda entry: entry[0].get("zero_boottime_ms", 0))

    def report(self, host):
        """The newest report of the host about how it became active: (record, path), or ({}, None)."""
        taken = [entry for entry in self.reports(host) if "own" in phase_names(entry[0])]
        return taken[-1] if taken else ({}, None)

    def release(self, host):
        """The newest report of the host about a planned release of its own, likewise."""
        given = [entry for entry in self.reports(host) if "safe_point" in phase_names(entry[0])]
        return given[-1] if given else ({}, None)

    def epoch(self, host):
        return self.status(host).get("claim", 0)

    def reasons(self, host):
        return {why["reason"] for why in self.explain(host).get("why", [])}

    def list_processes(self, host):
        """Outer pid -> runner's name, or "master"."""
        found = {}
        for pid in self.lab.host(host).pids():
            words = command_words(pid)
            runner = next((w.partition("=")[2].partition(":")[0] for w in words if w.startswith("--runner=")), None)
            if runner or any(os.path.basename(word) in ("master", "mailmanctl") for word in words[:2]):
                found[pid] = runner or "master"
        return found


def phase_names(report):
    return {phase["name"] for phase in report.get("phases", [])}


def command_words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def find_reason(value, name):
    """The object whose reason is NAME anywhere in the answer of explain, or None."""
    if isinstance(value, dict):
        if value.get("reason") == name:
            return value
        value = list(value.values())
    if isinstance(value, list):
        return next((found for found in (find_reason(x, name) for x in value) if found), None)
    return None


def other_of(host):
    return next(h for h in labconf.CLUSTER_HOSTS if h != host)


def wait_takeover(run, product, cut):
    other = cut["survivor"]
    run.wait(lambda: product.state(other) == "active", TAKEOVER_S, f"{other} is active")
    run.say(f"{other} is active, {(drillrun.now_ms() - cut['at_ms']) / 1000:.2f} s after the cut")
    run.wait(lambda: run.first_delivery_ms(cut), 120, f"{other} delivers mail")
    keep_report(run, product, cut)


def keep_report(run, product, cut):
    report, path = product.report(cut["survivor"])
    # A takeover's zero is the last sign of the old active, which may lie before the cut.
    if report and report.get("zero_boottime_ms", cut["at_ms"]) >= cut["at_ms"] - 5000:
        cut["report"] = report
        cut["token_ms"] = run.token_lost_ms(cut)
        run.keep(path, f"takeover-{len(run.cuts)}.json")
    else:
        raise drillrun.DrillFailed(f"{cut['survivor']} wrote no report of its takeover")


def wait_rejoin(run, product, cut):
    run.wait(lambda: product.is_ready(cut["host"]), REJOIN_S, f"{cut['host']} is back as passive, with nothing in its way", 0.1)
    if product.active() != cut["survivor"]:
        raise drillrun.DrillFailed(f"the service went back by itself: {product.active()} is active")
    run.say(f"{cut['host']} is back as passive")


def need_active(run, product):
    active = run.wait(product.active, 60, "one node is active")
    other = next(h for h in labconf.CLUSTER_HOSTS if h != active)
    run.wait(lambda: product.is_ready(other), 60, f"{other} is passive, with nothing in its way")
    for host in labconf.CLUSTER_HOSTS:
        product.command(host, "clear")      # what earlier drills have broken is not counted in this one
    return active


def begin(run, product, rate=drillrun.EASY, accepted=10):
    """Mail flows, and goes on until finish(); the active host."""
    active = need_active(run, product)
    run.begin()
    run.load(rate)
    run.wait(lambda: len(run.accepted()) >= accepted and run.deliveries(), 60, f"{accepted} messages accepted, some delivered")
    return active


def finish(run):
    run.stop_load()
    run.wait_delivered()


def command_done(run, product, host, *words, timeout_s=20):
    """A command that must be obeyed; what it printed."""
    done = run.lab.host(host).exec(["/usr/bin/understudy", *words], check=False, timeout=timeout_s)
    if done.returncode != 0:
        raise drillrun.DrillFailed(f"`understudy {' '.join(words)}` on {host}: exit status {done.returncode}: "
                                   f"{done.stdout.strip()} {done.stderr.strip()}")
    run.say(f"`understudy {' '.join(words)}` on {host}")
    return done.stdout


def wait_blocked(run, product, host, reason, action, timeout_s=60):
    """HOST explains that REASON blocks it, and names ACTION as the way out; what it said."""
    found = run.wait(lambda: find_reason(product.explain(host), reason), timeout_s, f"{host} says {reason}", 0.2)
    run.say(f"{host} explains: {found.get('what')} {found.get('detail')}")
    if action not in found.get("action", ""):
        raise drillrun.DrillFailed(f"explain on {host} does not name \"{action}\" as the way out: {json.dumps(found)}")
    return found


def watch_nothing(run, product, hosts, seconds, why):
    """None of HOSTS becomes active or takes the address for so long."""
    end = drillrun.now_ms() + seconds * 1000
    while drillrun.now_ms() < end:
        for host in hosts:
            if product.state(host) == "active" or run.lab.floating in run.lab.host(host).addresses():
                raise drillrun.DrillFailed(f"{host} took over though {why}")
        drillrun.time.sleep(0.2)
