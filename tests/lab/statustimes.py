#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""On a host: how long `understudy status` takes, call by call.

usage: statustimes.py CALLS PAUSE_MS    prints one JSON object: ms (each call's time), failed, last (the last answer)"""
import json
import os
import subprocess
import sys
import time


def main(calls, pause_ms):
    os.nice(-15)    # the machine's other work is not what is measured
    times, failed, last = [], 0, None
    for _ in range(calls):
        began = time.monotonic_ns()
        done = subprocess.run(["/usr/bin/understudy", "status", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, check=False)
        times.append((time.monotonic_ns() - began) / 1e6)
        failed += done.returncode != 0
        last = json.loads(done.stdout) if done.returncode == 0 else last
        time.sleep(pause_ms / 1000)     # so that the calls fall on different moments of the engine's round
    json.dump({"ms": times, "failed": failed, "last": last}, sys.stdout)


main(int(sys.argv[1]), float(sys.argv[2]))
