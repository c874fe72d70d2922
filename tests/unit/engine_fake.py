# SPDX-License-Identifier: GPL-2.0-or-later
"""The other ends of understudy-engine's two sockets, and the world behind them, for tests of the real engine process.
World plays executor, members, control share, fence device and list service; a test bends it by its fields."""
import ctypes
import json
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import time

JOBS = ["none", "epoch-watch", "epoch-claim", "epoch-own", "epoch-end", "epoch-drain", "epoch-init", "epoch-maintain",
        "epoch-unmaintain", "state-check", "state-recover", "state-sync", "state-retry", "state-probe", "share-mount",
        "share-umount", "intake-open", "intake-close", "address-start", "address-stop", "address-monitor", "service-start",
        "service-stop", "service-monitor", "service-release", "service-resume", "fence-off", "fence-on", "fence-status", "poke",
        "units-start", "units-stop"]
(PERMIT, RUN, CANCEL, ADOPT, RELOAD, CANCEL_WAIT, RELOADED, OUTPUT, DONE, LATE, MEMBERS, CPG_IN, CPG_OUT, NUDGE) = range(14)
STATES = ["starting", "passive", "claiming", "proof", "drain", "owning", "recover", "address", "service", "active"]
BOOT_B = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
RUN_B = "00000000000000b0"


class Run(ctypes.Structure):
    _fields_ = [("op_id", ctypes.c_uint64), ("job", ctypes.c_uint32), ("deadline_ms", ctypes.c_uint32),
                ("epoch", ctypes.c_uint64), ("planned", ctypes.c_uint32), ("no_stuck", ctypes.c_uint32), ("harmless", ctypes.c_uint32),
                ("device", ctypes.c_uint32), ("duration_ms", ctypes.c_uint32), ("proof", ctypes.c_uint8 * 4),
                ("reason", ctypes.c_char * 81)]


class Done(ctypes.Structure):
    _fields_ = [("op_id", ctypes.c_uint64), ("job", ctypes.c_uint32), ("status", ctypes.c_int32),
                ("late", ctypes.c_uint32), ("unreaped", ctypes.c_uint32), ("started_ms", ctypes.c_uint64),
                ("ended_ms", ctypes.c_uint64)]


class Output(ctypes.Structure):
    _fields_ = [("op_id", ctypes.c_uint64), ("job", ctypes.c_uint32), ("len", ctypes.c_uint32), ("read_ms", ctypes.c_uint64),
                ("text", ctypes.c_char * 4096)]


class Members(ctypes.Structure):
    _fields_ = [("sampled_ms", ctypes.c_uint64), ("connected", ctypes.c_uint32), ("quorate", ctypes.c_uint32),
                ("encrypted", ctypes.c_uint32), ("n_members", ctypes.c_uint32), ("cpg_ring", ctypes.c_uint64),
                ("quorum_ring", ctypes.c_uint64), ("member", ctypes.c_uint32 * 4), ("detect_ms", ctypes.c_uint32),
                ("unused", ctypes.c_uint32)]


class Cpg(ctypes.Structure):
    _fields_ = [("sender", ctypes.c_uint32), ("len", ctypes.c_uint32), ("data", ctypes.c_uint8 * 512)]


class Permit(ctypes.Structure):
    _fields_ = [("until_ms", ctypes.c_uint64), ("maintenance", ctypes.c_uint32)]


class Body(ctypes.Union):
    _fields_ = [("permit", Permit), ("op_id", ctypes.c_uint64), ("epoch", ctypes.c_uint64),
                ("status", ctypes.c_int32), ("run", Run), ("done", Done),
                ("output", Output), ("members", Members), ("cpg", Cpg)]


class Message(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("kind", ctypes.c_uint32), ("u", Body)]


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


CONFIG = """[cluster]
name = test
nodes = a b
control_share = /srv/control
beat_interval = 100ms
share_deadline = 1s
share_patience = 5s
claim_patience = 2s
drain = 200ms
power_wait = 50ms
start_timeout = 5s
stop_timeout = 5s
[address]
ip = 10.77.1.100/24
[mailman3]
user = nobody
config = /etc/nobodys-mailman/mailman.cfg
mailman = /usr/lib/mailman3/bin/mailman
lock_dir = /srv/lists/locks
queue_dir = /srv/lists/queue
pid_file = /run/mailman3/master.pid
runners = in out lmtp
lmtp_host = 10.77.1.100
[node a]
id = 1
hostname = a
fqdn = a.lab.test
[node b]
id = 2
hostname = b
fqdn = b.lab.test
[fence a-ipmi]
node = a
agent = /usr/sbin/fence_ipmilan
timeout = 1s
[fence b-ipmi]
node = b
agent = /usr/sbin/fence_ipmilan
timeout = 1s
"""


class Epoch:
    def __init__(self, n, node="-", boot="0" * 8 + "-0000-0000-0000-" + "0" * 12, run="0" * 16, ended=False):
        self.n, self.node, self.boot, self.run, self.owned, self.ended, self.planned = n, node, boot, run, False, ended, ended

    def line(self, word):
        tail = f" ended={int(self.ended)} planned={int(self.planned)}" if word in ("last", "before") else ""
        return f"{word} n={self.n} node={self.node} boot={self.boot} run={self.run} owned={int(self.owned)}{tail}\n"


class World:
    def __init__(self, engine, directory, node="a", user=None, config=CONFIG, env=None):
        self.dir, self.node, self.run = directory, node, "00000000000000aa"
        os.makedirs(directory, exist_ok=True)
        if user:
            os.chmod(os.path.dirname(directory), 0o755)
            os.chown(directory, pwd.getpwnam(user).pw_uid, -1)
        self.config = os.path.join(directory, "understudy.conf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(config)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
            self.boot = f.read().strip()
        self.ex, far_ex = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.me, far_me = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ipc = f"us-test-{os.urandom(4).hex()}-{os.path.basename(directory)}"
        self.log_path = os.path.join(directory, "log")
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        def child():
            a, b = os.dup(far_ex.fileno()), os.dup(far_me.fileno())
            keep = [os.dup(a), os.dup(b)]  # out of the way of 3 and 4
            os.dup2(keep[0], 3)
            os.dup2(keep[1], 4)
        pads = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]  # so that 3 and 4 are free in the child
        self.process = subprocess.Popen(
            [engine, "--config", self.config, "--run", self.run, "--node", node, "--rundir", directory,
             "--statedir", directory, "--ipc", self.ipc, "--verbose"],
            user=user, group=user and "nogroup", extra_groups=[] if user else None,
            env=env, preexec_fn=child, pass_fds=(3, 4, far_ex.fileno(), far_me.fileno()), stdout=log, stderr=log)
        for fd in [*pads, log]:
            os.close(fd)
        far_ex.close()
        far_me.close()
        # The world.
        self.epochs = [Epoch(0, ended=True)]
        self.share = "ok"            # ok, hang, wrong, behind
        self.maintenance = "state=off node=- since=- reason=-"
        self.power = {0: "on", 1: "on"}
        self.fence = "works"         # works, fails, hangs, lies
        self.peer_alive = False
        self.peer_counter, self.peer_flags, self.peer_epoch = 1, 7, None  # clean; 16: ready to take over
        self.peer_beats, self.peer_boot, self.peer_state = False, BOOT_B, "passive"
        self.permit_maintenance = 0
        self.other = []              # what it sent besides: RELOAD
        self.each_step = None        # a test's own
        self.ring, self.quorate, self.members = 10, True, [1]
        self.quorum_ring = 0         # 0: the same as ring
        self.counting = False        # votequorum has begun a new ring and not counted yet
        self.sampled = True
        self.runs, self.events, self.permit, self.nudged = [], [], 0, 0
        self.watch = None
        self.running = {}            # op id -> (run, due)
        self.hang = set()            # jobs that never answer
        self.takes_ms = {}           # job -> how long
        self.fail = {}               # job -> (status, text)
        self.beat_error = ""         # " write_errno=N": what the watch says of its beats
        self.records = {}            # job -> text printed
        self.cpg = None              # the engine's last message
        self.out_seq = 0
        self.next_report = self.next_members = self.next_cpg = 0
        self.members_send()

    # ---- what the engine is told
    def send(self, sock, kind, fill):
        m = Message(1, kind)
        fill(m.u)
        try:
            sock.send(bytes(m), socket.MSG_DONTWAIT)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass

    def members_send(self):
        def fill(u):
            u.members.sampled_ms = now_ms() if self.sampled else 1
            u.members.connected, u.members.quorate, u.members.encrypted = 1, int(self.quorate), 1
            u.members.cpg_ring, u.members.quorum_ring = self.ring, self.quorum_ring or self.ring
            if self.counting:
                u.members.quorate = u.members.quorum_ring = 0
            u.members.n_members = len(self.members)
            for i, m in enumerate(self.members):
                u.members.member[i] = m
        self.send(self.me, MEMBERS, fill)
        self.next_members = now_ms() + 100

    def peer_say(self):
        """The peer's message: ours with its own identity (cluster hash and digest are the same)."""
        if not self.cpg:
            return
        raw = self.rewrite(bytearray(self.cpg))

        def fill(u):
            u.cpg.sender, u.cpg.len = 2, len(raw)
            ctypes.memmove(u.cpg.data, bytes(raw), len(raw))
        self.send(self.me, CPG_IN, fill)

    def rewrite(self, raw):
        """node, boot, run, sequence and flags become the peer's: see cpgmsg.c for the layout."""
        at = 20
        peer = bytes.fromhex(self.peer_boot.replace("-", ""))
        raw[at - 4:at] = struct.pack("<I", 2)
        raw[at:at + 16] = struct.pack("<QQ", int.from_bytes(peer[:8], "big"), int.from_bytes(peer[8:], "big"))
        raw[at + 16:at + 24] = struct.pack("<Q", int(RUN_B, 16))
        self.out_seq += 1
        # run, ring, epoch, seq, flags
        raw[at + 40:at + 48] = struct.pack("<Q", self.out_seq)
        raw[at + 48:at + 56] = struct.pack("<II", self.peer_flags, STATES.index(self.peer_state))
        if self.peer_epoch is not None:
            raw[at + 32:at + 40] = struct.pack("<Q", self.peer_epoch)
        return raw

    def report_text(self):
        if self.share == "wrong":
            return f"share state=wrong why=not-mounted highest=0 local_max=0 open=0 uuid=-\nend at_ms={now_ms()}\n"
        if self.share == "behind":
            return ("share state=behind why=epoch-lost highest=0 local_max=1 open=0 uuid=u\n" + self.epochs[0].line("last")
                    + f"maintenance {self.maintenance}\nend at_ms={now_ms()}\n")
        opened = [e for e in self.epochs if not e.ended]
        last = self.epochs[-1]
        text = (f"share state=ok why=- highest={last.n} local_max={last.n} open={len(opened)} uuid=u\n"
                + last.line("last") + "".join(e.line("before") for e in self.epochs[-2:-1]) + "".join(e.line("open") for e in opened) + f"maintenance {self.maintenance}\n")
        if self.peer_beats:
            text += f"beat node=b boot={self.peer_boot} run={RUN_B} counter={self.peer_counter}\n"
        return text + f"end at_ms={now_ms()}{self.beat_error}\n"

    def output(self, op, job, text):
        data = text.encode()

        def fill(u):
            u.output.op_id, u.output.job, u.output.len, u.output.read_ms = op, job, len(data), now_ms()
            ctypes.memmove(ctypes.addressof(u.output) + Output.text.offset, data, len(data))
        self.send(self.ex, OUTPUT, fill)

    def done(self, op, job, status, late=0):
        def fill(u):
            u.done.op_id, u.done.job, u.done.status, u.done.late = op, job, status, late
        self.send(self.ex, DONE, fill)

    # ---- what it asks for
    def find(self, n):
        return next((e for e in self.epochs if e.n == n), None)

    def finish(self, run):
        """Does the job and returns (status, text)."""
        name = JOBS[run.job]
        if name in self.fail:
            return self.fail[name]
        text = self.records.get(name, "")
        if name == "epoch-claim":
            if run.epoch != self.epochs[-1].n + 1:
                return 3, ""
            self.epochs.append(Epoch(run.epoch, self.node, self.boot, self.run))
            return 0, f"claim n={run.epoch} won=1\n"
        if name == "epoch-own":
            self.find(run.epoch).owned = True
        if name == "epoch-end":
            e = self.find(run.epoch)
            e.ended, e.planned = True, bool(run.planned)
        if name == "fence-off" and self.fence == "works":
            self.power[run.device] = "off"
            self.peer_alive = self.peer_beats = False
        if name in ("fence-status", "fence-off") and self.fence == "fails":
            return 1, "ERROR:root:Connection timed out\n"
        if name == "fence-status":
            return {"on": 0, "off": 2}[self.power[run.device]], ""
        if name == "service-start" and not text:
            text = f"phase name=start at_ms={now_ms()}\nphase name=lmtp at_ms={now_ms()}\nphase name=intake at_ms={now_ms()}\n"
        if name in ("state-recover", "state-retry") and not text:
            text = f"defer epoch={run.epoch} units=0 oldest_ms=0 tries=0 next_in_ms=0 dropped=0 unreaped=0\n"
        if name == "state-recover" and name not in self.records:
            text += "summary locks_cleared=2 bak=1 pck=7 tmp=0 quarantined=0 shunt=0 bad=0 duplicate_bound=1\n"
        return 0, text

    def take(self, m):
        if m.kind == PERMIT:
            self.permit = m.u.permit.until_ms
            self.permit_maintenance = m.u.permit.maintenance
        elif m.kind == NUDGE:
            self.next_report = self.nudged = now_ms()
        elif m.kind in (RELOAD, ADOPT):
            self.other.append(m)
        elif m.kind == CANCEL:
            self.events.append(("cancel", m.u.op_id, now_ms()))
            run, _ = self.running.pop(m.u.op_id, (None, None))
            if run:
                self.done(run.op_id, run.job, -9)
            if self.watch and self.watch.op_id == m.u.op_id:
                self.done(self.watch.op_id, self.watch.job, -9)
                self.watch = None
        elif m.kind == RUN:
            run = Run.from_buffer_copy(m.u.run)
            name = JOBS[run.job]
            self.runs.append((name, run, now_ms()))
            if name == "epoch-watch":
                assert self.watch is None, "a second watch"
                self.watch = run
            else:
                wait = run.duration_ms if name == "epoch-drain" else self.takes_ms.get(name, 2)
                self.running[run.op_id] = (run, None if name in self.hang else now_ms() + wait)

    def step(self):
        now = now_ms()
        if self.each_step:
            self.each_step()
        if now >= self.next_members:
            self.members_send()
        if now >= self.next_cpg:
            self.next_cpg = now + 200
            if self.peer_alive:
                self.peer_say()
        if self.watch and self.share != "hang" and now >= self.next_report:
            self.next_report = now + 100
            self.peer_counter += 1 if self.peer_beats == "moving" else 0
            self.output(self.watch.op_id, self.watch.job, self.report_text())
        for op, (run, due) in list(self.running.items()):
            if due is not None and now >= due:
                del self.running[op]
                status, text = self.finish(run)
                if text:
                    self.output(op, run.job, text)
                self.done(op, run.job, status)
            elif run.deadline_ms and now >= self.started(op) + run.deadline_ms:
                del self.running[op]
                self.send(self.ex, LATE, lambda u, op=op: setattr(u, "op_id", op))
                self.done(op, run.job, -9, late=1)
        readable, _, _ = select.select([self.ex, self.me], [], [], 0.005)
        for sock in readable:
            data = sock.recv(ctypes.sizeof(Message) + 16)
            if not data:
                raise EOFError("the engine has ended, see " + self.log_path)
            m = Message.from_buffer_copy(data)
            if m.kind == CPG_OUT:
                self.cpg = bytes(m.u.cpg.data[:m.u.cpg.len])
            else:
                self.take(m)

    def started(self, op):
        return next(at for _, run, at in reversed(self.runs) if run.op_id == op)

    def until(self, what, limit_s=10.0):
        end = time.monotonic() + limit_s
        while not what():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {limit_s} s: see {self.log_path}; state {self.state()}; jobs {self.jobs()}")
            self.step()

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def jobs(self):
        return [name for name, _, _ in self.runs if name != "epoch-watch"]

    def status(self):
        try:
            with open(os.path.join(self.dir, "status.json"), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def state(self):
        return self.status().get("state")

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.ex.close()
        self.me.close()
