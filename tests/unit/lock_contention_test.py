#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our locks and Mailman's own, at the same lock at the same time: every count of a shared file arrives. LOCK_ROUNDS says how
often the lock is taken in all."""
import os
import shutil
import subprocess
import sys

import program
from program import Skip, eq, test

CONTENDER = os.path.join(program.BUILD, "tests/unit/lock_contender")
HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(os.environ.get("LOCK_ROUNDS", "200"))
DEADLINE_S = 60 + ROUNDS // 4
PYTHON = "/usr/bin/python3"

# The real library; only its pause of up to two seconds is shorter.
FLUFL = """
import random, socket, sys, time
sys.path.insert(0, sys.argv[5])
from flufl.lock import Lock
from lockfile21 import count_one
socket.getfqdn = lambda *name: sys.argv[4]
Lock._sleep = lambda self: time.sleep(random.random() * 0.004)
for i in range(int(sys.argv[2])):
    lock = Lock(sys.argv[1], 600)
    lock.lock()
    count_one(sys.argv[3])
    lock.unlock()
    print(i + 1, flush=True)
"""


class Arena:
    def __init__(self, lock):
        self.lock, self.running = lock, []

    def __enter__(self):
        self.top = program.scratch()
        self.dir, self.counter = self.top + "/locks", self.top + "/counter"
        os.mkdir(self.dir)
        return self

    def __exit__(self, *_):
        for child in self.running:
            child.kill()
            child.communicate()
        shutil.rmtree(self.top, ignore_errors=True)

    def start(self, command):
        child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.running.append(child)
        return child

    def ours(self, grammar, rounds, *more, options=()):
        return self.start([CONTENDER, "--grammar", grammar, *options, self.dir, self.lock, "count", rounds, self.counter, *more])

    def flufl(self, rounds, host="a.lab.test"):
        return self.start([PYTHON, "-c", FLUFL, f"{self.dir}/{self.lock}", rounds, self.counter, host, HERE])

    def mailman21(self, rounds, host="a"):
        return self.start([PYTHON, f"{HERE}/lockfile21.py", f"{self.dir}/{self.lock}", rounds, self.counter, host])

    def end(self, codes=(0,)):
        """How often each has counted."""
        counts = []
        for child in self.running:
            out, err = child.communicate(timeout=DEADLINE_S)
            assert child.returncode in codes, (child.args, child.returncode, out[-200:], err)
            counts.append(len(out.splitlines()))
        self.running = []
        return counts

    def counted(self):
        return int(open(self.counter, encoding="ascii").read())


def everyone_counts(lock, grammar, others):
    each = max(ROUNDS // 4, 1)
    with Arena(lock) as a:
        for _ in range(2):
            a.ours(grammar, each)
            others(a, each)
        eq(a.end(), [each] * 4)
        eq(a.counted(), 4 * each)
        eq(os.listdir(a.dir), [])


@test
def with_mailman_3s_own_library():
    if subprocess.run([PYTHON, "-c", "import flufl.lock"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("python3-flufl.lock is not here")
    everyone_counts("mta", "3", Arena.flufl)


@test
def with_the_locks_of_mailman_21():
    everyone_counts("test.lock", "21", Arena.mailman21)


@test
def some_die_with_the_lock_and_are_cleared_by_identity():
    """Every fifth round its owner is killed by itself while it holds it; all others clear that, and no live one's."""
    each = max(ROUNDS // 4, 10)
    for grammar, lock in (("3", "mta"), ("21", "test.1")):
        with Arena(lock) as a:
            counted = 0
            for _ in range(3):
                for _ in range(4):
                    a.ours(grammar, each, 5, options=["--clear"])
                counted += sum(a.end(codes=(0, 9)))
            assert counted >= 12, counted
            eq(a.counted(), counted, grammar)
            quarantined = os.listdir(f"{a.dir}/.understudy-quarantine")
            assert len(quarantined) >= 11, (grammar, quarantined)


if __name__ == "__main__":
    sys.exit(program.main())
