#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes at one lock, on a share that misbehaves for each of them in its own way all the time: lost and late replies, lies,
errors, delays, old names. Never two holders, and no live lock is ever removed. LOCK_ACQUISITIONS says how often the lock is
taken in all; LOCK_SEED draws other faults."""
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import program
from program import test

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import labfaultfs  # noqa: E402 pylint: disable=wrong-import-position
import labns  # noqa: E402 pylint: disable=wrong-import-position

CONTENDER = os.path.join(program.BUILD, "tests/unit/lock_contender")
FAULTFS = os.path.join(program.BUILD, "tests/lab", labfaultfs.PROGRAM)
ACQUISITIONS = int(os.environ.get("LOCK_ACQUISITIONS", "600"))
SEED = int(os.environ.get("LOCK_SEED", "1"))
NODES = "ab"
EACH = 3                # processes of each node
DIE_EVERY = 40          # so often one ends while it holds the lock: the others of its node clear that
DEADLINE_S = 30 + ACQUISITIONS // 20
# What a lost, late, repeated or refused request is, and a cache that is behind; each met by so many requests.
FAULTS = ["link=lost:eexist", "link=lost:eio", "link=lied", "link=eio", "link=estale", "link=etimedout", "link=late:20", "link=eexist",
          "rename=lost:enoent", "rename=lost:eio", "rename=lied", "rename=eio", "rename=estale", "rename=late:20", "unlink=lost:enoent",
          "unlink=lied", "unlink=eio", "unlink=late:20", "create=eio", "create=edquot", "create=estale", "write=eio", "write=enospc",
          "write=short", "write=lost", "write=late:10", "fsync=eio", "fsync=lost", "utimens=eio", "chmod=eio", "open=eio", "open=estale",
          "read=eio", "link+rename+unlink+create+open=delay:15", "names=stale:1", "getattr=eio", "readdir=eio"]


class Share:
    """A folder as two nodes see it."""

    def __enter__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        os.environ["TMPDIR"] = base or "/tmp"
        self.top = program.scratch()
        self.back, self.mounted = self.top + "/back", []
        os.mkdir(self.back)
        os.mkdir(self.back + "/locks")
        for node in NODES:
            self.mount(node)
        return self

    def mount(self, node):
        point, folder = f"{self.top}/{node}", f"{self.top}/{node}.rules"
        os.mkdir(point)
        os.mkdir(folder)
        entry = {"source": self.back, "target": point, "faulty": node, "rules": folder, "program": FAULTFS}
        wire, end = labfaultfs.start_wire(entry)
        with end:
            server = labfaultfs.mount(entry, point, end.fileno())
        self.mounted.append((point, server, wire, labfaultfs.Rules(folder, node)))

    def rules(self):
        return [m[3] for m in self.mounted]

    def __exit__(self, *_):
        for point, server, wire, _ in self.mounted:
            for process in (server, wire):
                process.kill()
                process.wait()
            with contextlib.suppress(OSError):
                labns.umount(point, labns.MNT_DETACH)
        shutil.rmtree(self.top, ignore_errors=True)


class Contenders:
    """Processes of both nodes; one that has died with the lock is started again for what is left to it."""

    def __init__(self, share, grammar, lock, rounds):
        self.share, self.words, self.lock, self.done = share, ["--clear", "--lifetime", "600", "--grammar", grammar], lock, 0
        self.deaths = 0
        self.running = [self.start(node, rounds) for node in range(len(NODES)) for _ in range(EACH)]

    def start(self, node, rounds):
        command = [CONTENDER, *self.words, "--self", str(node), f"{self.share.top}/{NODES[node]}/locks", self.lock, "exclude", str(rounds),
                   f"{self.share.top}/oracle", str(DIE_EVERY)]
        said = tempfile.TemporaryFile()
        return subprocess.Popen(command, stdout=said, stderr=subprocess.PIPE, text=True), said, node, rounds

    def end_of(self, child, said, node, rounds):
        said.seek(0)
        counted = len(said.read().splitlines())
        said.close()
        self.done += counted
        assert child.returncode in (0, 9), (child.returncode, child.communicate()[1], NODES[node])
        if child.returncode == 9:
            self.deaths += 1
            self.running.append(self.start(node, max(rounds - counted, 1)))     # its node alone can clear that

    def finish(self):
        until = time.monotonic() + DEADLINE_S
        while self.running:
            for one in [one for one in self.running if one[0].poll() is not None]:
                self.running.remove(one)
                self.end_of(*one)
            assert time.monotonic() < until, "it does not go on"
            time.sleep(0.01)

    def left(self):
        """For a person, when it does not go on: what lies there, and who lives."""
        folder = self.share.back + "/locks"
        for name in sorted(os.listdir(folder))[:20]:
            st = os.lstat(f"{folder}/{name}")
            print("#", name, st.st_ino, st.st_nlink, st.st_size, os.path.isfile(f"{folder}/{name}") and open(f"{folder}/{name}", "rb").read())
        print("# alive:", [child.pid for child, *_ in self.running if child.poll() is None], flush=True)

    def kill(self):
        for child, *_ in self.running:
            child.kill()
            child.communicate()


def misbehave(share, draw, stop, met):
    """A few faults at a time for each node, and others soon."""
    while not stop.is_set():
        for rules in share.rules():
            chosen = draw.sample(FAULTS, draw.randint(0, 3))
            rules.set([f"{fault},count={draw.randint(1, 4)}" if "stale:1" not in fault else fault for fault in chosen])
            met.update(chosen)
        stop.wait(draw.choice((0.005, 0.02, 0.05)))


def contend(grammar, lock, total):
    with Share() as share:
        stop, met, draw = threading.Event(), set(), random.Random(f"{SEED} {grammar}")
        faults = threading.Thread(target=misbehave, args=(share, draw, stop, met), daemon=True)
        contenders = Contenders(share, grammar, lock, -(-total // (len(NODES) * EACH)))
        faults.start()
        begin = time.monotonic()
        try:
            contenders.finish()
        except AssertionError:
            contenders.left()
            raise
        finally:
            contenders.kill()
            stop.set()
            faults.join(20)
        hits = [len(rules.hits()) for rules in share.rules()]
        print(f"# grammar {grammar}: {contenders.done} acquisitions, {contenders.deaths} died with the lock, {sum(hits)} requests "
              f"met by {len(met)} kinds of faults, {time.monotonic() - begin:.0f} s, seed {SEED}")
        assert contenders.done >= total and min(hits) > 0 and contenders.deaths > 0, (contenders.done, hits)


@test
def never_two_holders_of_a_lock_of_mailman_3():
    contend("3", "mta", ACQUISITIONS // 2)


@test
def never_two_holders_of_a_lock_of_mailman_21():
    contend("21", "test.lock", ACQUISITIONS // 2)


def why_not():
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        return "needs root and FUSE"
    return "" if os.access(FAULTFS, os.X_OK) else "the build found no libfuse"


def main():
    if why_not():
        print(f"1..0 # SKIP {why_not()}")
        return 0
    program.enter_mount_namespace()
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
