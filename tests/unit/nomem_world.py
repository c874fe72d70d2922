# SPDX-License-Identifier: GPL-2.0-or-later
"""A world (engine_fake.py) whose engine can be denied memory at any time, and that judges each thing the engine asks for."""
import mmap
import os
import struct
import tempfile

import engine_fake
from engine_fake import JOBS, PERMIT, RUN, now_ms

SHIM = os.path.join(os.environ.get("top_builddir", "."), "tests/unit/mallocshim.so")
ACTIVE = engine_fake.STATES.index("active")
OFF, REBOOTED = 2, 4             # enum core_proof
SILENT_MS = 3000                 # permit_timeout: an engine that says nothing for so long is stopped by the executor


class Memory:
    """What mallocshim.c reads and writes: struct control."""
    def __init__(self, directory):
        fd, self.path = tempfile.mkstemp(dir=directory)
        os.fchmod(fd, 0o666)
        os.write(fd, bytes(40))
        self.map = mmap.mmap(fd, 40)
        os.close(fd)

    def env(self):
        return dict(os.environ, LD_PRELOAD=SHIM, MALLOC_CONTROL=self.path)

    def count(self):
        return struct.unpack_from("<Q", self.map)[0]

    def failed(self):
        return struct.unpack_from("<Q", self.map, 32)[0]

    def deny(self, n, on):
        """The Nth allocation from now on fails, and with ON each one after it."""
        struct.pack_into("<Q", self.map, 16, int(on))
        struct.pack_into("<Q", self.map, 8, self.count() + n)

    def give(self):
        struct.pack_into("<Q", self.map, 8, 0)


class Wrong(AssertionError):
    """The engine did what its answers do not allow."""


class Silent(Exception):
    """It says nothing any more: the executor ends it, and starts another one."""


def need(holds, *what):
    if not holds:
        raise Wrong(*what)


class World(engine_fake.World):
    """What the engine may ask for rests on the answers that it was given (design: Order of a takeover)."""
    def __init__(self, engine, directory, deny=None, **options):
        os.makedirs(directory, exist_ok=True)
        self.memory = Memory(directory)
        if deny:
            self.memory.deny(*deny)
        self.claimed = self.owned = self.ended = self.offs = 0
        self.drained = self.recovered = self.address = self.service = False
        self.stopped = self.down = self.released = self.synced = self.release_asked = False
        self.digest = None
        self.permit_ms, self.longest_ms = now_ms(), 0
        super().__init__(engine, directory, env=self.memory.env(), **options)

    def judge_run(self, run):
        name, tenure = JOBS[run.job], self.owned and self.owned != self.ended
        if name == "epoch-own":
            need(run.epoch == self.claimed != self.ended, "own without its claim", run.epoch)
            need(run.proof[1] not in (OFF, REBOOTED) or self.drained, "own before the drain")
            need(run.proof[1] != OFF or self.offs >= 2, "own without the proof it names")
        elif name == "epoch-end":
            need(self.stopped, "an end while the list service may run")
            need(not run.planned or (self.released and self.synced and self.down), "a planned end that was not planned")
        elif name in ("state-recover", "address-start", "service-start", "intake-open", "service-release", "service-resume"):
            need(tenure, name, "without a tenure")
        need(name not in ("address-start", "service-start") or self.recovered, name, "before the recovery pass")
        need(name not in ("service-start", "intake-open") or self.address, name, "before the address")
        need(name not in ("intake-open", "service-release", "service-resume") or self.service, name, "without the list service")
        need(name != "state-sync" or self.released, "sync before the release")
        need(name != "service-release" or self.release_asked, "a release that nobody asked for")

    def note_run(self, run):
        name = JOBS[run.job]
        if name == "epoch-end":
            self.ended = run.epoch
        if name == "service-stop":
            self.service = False
        if name == "address-stop":
            self.address = False
        if name == "address-start":
            self.down = False
        if name in ("service-start", "service-resume"):
            self.stopped = self.released = self.synced = False

    def take(self, m):
        if m.kind == RUN:
            self.judge_run(m.u.run)
            self.note_run(m.u.run)
        if m.kind == PERMIT:
            need(m.u.permit.until_ms == 0 or (self.owned and self.owned != self.ended), "a permit without a tenure")
            self.longest_ms = max(self.longest_ms, now_ms() - self.permit_ms)
            self.permit_ms = now_ms()
        super().take(m)

    def finish(self, run):
        status, text = super().finish(run)
        name = JOBS[run.job]
        if name == "fence-status" and run.device == 1 and status == 2:
            self.offs += 1
        if status != 0:
            return status, text
        if name == "epoch-claim":
            self.claimed, self.offs, self.drained, self.recovered = run.epoch, 0, False, False
        if name == "epoch-own":
            self.owned = run.epoch
        self.drained |= name == "epoch-drain"
        self.recovered |= name == "state-recover"
        self.address |= name == "address-start"
        self.service = (self.service or name == "service-start") and name != "service-release"
        self.stopped |= name in ("service-stop", "service-release")
        self.down |= name == "address-stop"
        self.released |= name == "service-release"
        self.synced |= name == "state-sync"
        return status, text

    def step(self):
        before = self.cpg
        try:
            super().step()
        except ConnectionResetError as e:
            raise EOFError("it has ended, and what was sent to it was not read") from e
        if now_ms() - self.permit_ms > SILENT_MS:
            raise Silent
        if self.cpg is not before and self.cpg:
            state, = struct.unpack_from("<I", self.cpg, 72)
            need(state != ACTIVE or (self.owned and self.owned != self.ended and self.recovered and self.address and self.service),
                 "it says that it is active")
            self.digest = self.cpg[76:]

