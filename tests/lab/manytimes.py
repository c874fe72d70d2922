#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each drill several times, in several labs side by side: `make check-lab-times`. A line for each run goes to --log, which is read
again at the next call: what has passed often enough on the same build is not run again, and what failed is."""
import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import queue
import random
import sys
import time
import traceback

import drillreport
import drillrun
import drills
import lablib
import test_drills_hostile as hostile
import test_faulty as faulty
from conftest import Shared
from test_drills_days import BOOTS, PLANNED, SERVICE, SHARES, STOPS

KINDS = {"plain": {}, "faulty": {"faulty": True}, "ipv6": {"ipv6": True}}
HOSTILE = hostile.NETWORKS + hostile.PAUSES + hostile.LIES + hostile.RESOURCES + hostile.PIDS + hostile.CLOCKS + hostile.LONG
ALONE = ("no-processor-active", "no-processor-passive")     # they take it from the labs beside them too
SETS = {
    "alone": [("plain", n) for n in ALONE],
    "hostile": [("plain", n) for n in HOSTILE if n not in ALONE] + [("faulty", n) for n in faulty.NAMES]
    + [("ipv6", n) for n in ("power-off", "switchover", "address-gone")],
    "days": [("plain", n) for n in ("power-off", *PLANNED, *STOPS, *SHARES, *BOOTS, *SERVICE)],
}


class Keeper(Shared):
    """The lab of one worker."""

    def __init__(self, directory, how):
        super().__init__()
        self.directory, self.how, self.number = directory, how, 0

    def make(self):
        self.number += 1
        lab = lablib.Lab(os.path.join(self.directory, str(self.number)))
        self.stack.callback(lab.down)
        return lab.up(**self.how)


def build_digest():
    """Which product this is: what passed on another one counts for nothing here."""
    found = hashlib.sha256()
    for name in ("understudyd", "understudy-engine", "understudy-members", "understudy-epoch", "understudy-state", "understudy"):
        with open(os.path.join(os.environ["UNDERSTUDY_BUILD"], name), "rb") as file:
            found.update(file.read())
    return found.hexdigest()[:16]


def run_one(keeper, name, seed):
    out = io.StringIO()
    began = time.monotonic()
    try:
        record = drills.run(keeper.get(), name, 60 if name == "power-off" else None, out=out, seed=seed)
        why, verdict = record["why"], record["verdict"]
        text = out.getvalue() + drillreport.text(record)
    except (Exception, drillrun.DrillFailed):  # pylint: disable=broad-except
        why, verdict, text = [traceback.format_exc()], "error", out.getvalue()
    keeper.spoiled = verdict != "pass"
    return {"verdict": verdict, "why": why, "seconds": round(time.monotonic() - began, 1), "text": text}


def work(number, options, jobs, kind, results):
    keeper = Keeper(os.path.join(options.directory, f"{kind}-{number}"), KINDS[kind])
    try:
        while True:
            with contextlib.suppress(queue.Empty):
                name, turn = jobs.get(timeout=1)
                results.put({"kind": kind, "name": name, "seed": options.seed + turn, **run_one(keeper, name, options.seed + turn)})
                continue
            break
    finally:
        keeper.close()
        results.put(None)


def passed(log, digest):
    """(kind, name) -> how often it has passed on this build."""
    found = {}
    with contextlib.suppress(FileNotFoundError), open(log, encoding="utf-8") as file:
        for record in map(json.loads, file):
            if record["build"] == digest and record["verdict"] == "pass":
                found[record["kind"], record["name"]] = found.get((record["kind"], record["name"]), 0) + 1
    return found


def wanted(options, have):
    """kind -> [(name, turn)], each once before any twice, in an order of chance."""
    chance, found = random.Random(options.seed), {kind: [] for kind in KINDS}
    for turn in range(options.times):
        names = [(k, n) for part in options.sets.split(",") for k, n in SETS[part] if have.get((k, n), 0) <= turn]
        chance.shuffle(names)
        for kind, name in names:
            found[kind].append((name, turn))
    return found


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the drills with chance in them; one more for each turn")
    parser.add_argument("--sets", default="hostile", help="hostile, days, alone (in one lab), or several with commas")
    parser.add_argument("--labs", default="plain=2,faulty=1,ipv6=1", help="how many of each kind")
    parser.add_argument("--minutes", type=float, default=60, help="no run begins later")
    parser.add_argument("--directory", default="/tmp/understudy-many")
    parser.add_argument("--log", default="manytimes.jsonl")
    return parser.parse_args()


def main():
    options, digest = parse(), build_digest()
    jobs, results, workers = wanted(options, passed(options.log, digest)), multiprocessing.Queue(), []
    end = time.monotonic() + options.minutes * 60
    for part in options.labs.split(","):
        kind, _, number = part.partition("=")
        todo = multiprocessing.Queue()
        for job in jobs[kind]:
            todo.put(job)
        jobs[kind] = todo
        workers += [multiprocessing.Process(target=work, args=(n, options, todo, kind, results)) for n in range(int(number))]
    for worker in workers:
        worker.start()
    bad, running = 0, len(workers)
    with open(options.log, "a", encoding="utf-8") as log:
        while running:
            with contextlib.suppress(queue.Empty):
                record = results.get(timeout=1)
                if record is None:
                    running -= 1
                    continue
                bad += record["verdict"] != "pass"
                log.write(json.dumps({"build": digest, "at": time.time(), **record}) + "\n")
                log.flush()
                print(f"{record['verdict']:5} {record['kind']} {record['name']} {record['seconds']:.0f} s {record['why'] or ''}", flush=True)
            if time.monotonic() > end:
                drain(jobs)
    print(f"{bad} did not pass")
    return 1 if bad else 0


def drain(jobs):
    for todo in jobs.values():
        with contextlib.suppress(queue.Empty, AttributeError):
            while True:
                todo.get_nowait()


if __name__ == "__main__":
    sys.exit(main())
