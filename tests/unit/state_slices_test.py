#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-state: ages for each slice, and sync."""
import json
import os
import sys
import time

import program
from program import eq, test
from state_world import HASH, World, records


@test
def the_oldest_entry_is_told_for_each_slice():
    with World() as w:
        w.entry("out", hash_="0" + HASH[1:], age_s=500)                 # slices 0, 0, 2 of out's four
        w.entry("out", hash_="1" + HASH[1:], age_s=30)
        bak = w.entry("out", ext="bak", hash_="9" + HASH[1:], age_s=900)
        time.sleep(0.3)
        slices = [r for r in records(w.ok("queue"), "slice") if r["queue"] == "out"]
        eq([(r["slice"], r["slices"], r["pck"], r["bak"]) for r in slices],
           [("0", "4", "2", "0"), ("1", "4", "0", "0"), ("2", "4", "0", "1"), ("3", "4", "0", "0")])
        assert [int(r["oldest_ms"]) // 100000 for r in slices] == [5, 0, 9, 0], slices
        eq([r["bak_ms"] != "0" for r in slices], [False, False, True, False])
        assert 300 <= int(slices[2]["bak_ms"]) < 60000, slices         # since it was taken, not since it came in
        queues = {q["name"]: q for q in json.loads(w.ok("queue", "--json"))["queues"]}
        eq([s["bak"] for s in queues["out"]["slices"]], [0, 0, 1, 0])
        eq((len(queues["in"]["slices"]), queues["shunt"]["slices"]), (1, []))
        assert 900000 <= queues["out"]["oldest_ms"] < 1000000 and bak in w.entries("out")


@test
def sync_reaches_the_file_systems_of_queue_and_locks():
    with World() as w:
        log = w.top + "/log"
        code, out, err = w.do("sync", strace=["-f", "-o", log, "-e", "trace=syncfs,setresuid", "-y"])
        eq((code, len(records(out, "synced"))), (0, 1), err)
        with open(log, encoding="utf-8") as f:
            calls = [line.split(None, 1)[1].split("(")[0] for line in f if "exited" not in line]
        eq([c for c in calls if c == "syncfs"], ["syncfs"])             # one file system, and as the list user
        eq(calls[-1], "syncfs")
        eq(records(out, "synced")[0]["file_systems"], "1")
        eq(json.loads(w.ok("sync", "--json"))["synced"]["file_systems"], 1)
        code, out, err = w.do("sync", strace=["-e", "inject=syncfs:error=EIO"])
        eq((code, records(out, "synced")), (1, []))
        assert "may not be on the server" in err, err
        w.lock("master.lck", "a.lab.test", 4194303)
        theirs = w.lock("mta", "b.lab.test", 1)
        w.ok("sync")
        eq(len(w.lock_names()), 4)
        out = w.ok("sync", "--epoch", 7)                                # after a release: our own dead locks go before it
        eq((w.lock_names(), len(records(out, "synced"))), (sorted(["mta", theirs]), 1))
        os.rename(w.queue, w.queue + ".away")
        w.code(1, "sync")


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
