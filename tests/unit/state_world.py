# SPDX-License-Identifier: GPL-2.0-or-later
"""A lock directory and queues of their own for each test of understudy-state, as the list user sees them."""
import os
import pwd
import shutil
import subprocess
import time

import program
from program import run

STATE = os.path.join(program.BUILD, "understudy-state")
HASH = "0123456789abcdef0123456789abcdef01234567"
QUARANTINE = ".understudy-quarantine"
PROBE = ".understudy-probe."
LEDGER = ".understudy-ledger"

CONF = """[cluster]
name = lab
nodes = {nodes}
control_share = /srv/control
[address]
ip = 10.77.1.100/24
[mailman3]
user = {user}
config = {top}/mailman.cfg
lock_dir = {top}/locks
queue_dir = {top}/queue
runners = in pipeline out:4 virgin lmtp
"""
NODE = "[node {n}]\nid = {id}\nhostname = {n}\nfqdn = {n}.lab.test\n"

# A real lock of the real library, for a host of that name; kept until the input ends, or left behind.
FLUFL = """
import os, socket, sys
socket.getfqdn = lambda *name: sys.argv[2]
from flufl.lock import Lock
lock = Lock(sys.argv[1], 108000)
lock.lock(timeout=4)
print(os.getpid(), flush=True)
sys.stdin.read()
os._exit(0)
"""


def list_user():
    """Root tests as Debian's list user; anybody else as themselves."""
    return pwd.getpwnam("list") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


class World:
    def __init__(self, nodes="ab", queues=("in", "pipeline", "out", "virgin", "shunt", "bad"), conf=CONF):
        self.user = list_user()
        self.top = program.scratch()
        self.locks, self.queue = self.top + "/locks", self.top + "/queue"
        self.conf, self.defer = self.top + "/understudy.conf", self.top + "/defer"
        for folder in (self.locks, self.queue, self.defer, *(f"{self.queue}/{q}" for q in queues)):
            os.mkdir(folder)
            self.own(folder)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(conf.format(nodes=" ".join(nodes), user=self.user.pw_name, top=self.top))
            f.writelines(NODE.format(n=n, id=i + 1) for i, n in enumerate(nodes))
        self.serial = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def own(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def as_user(self, command):
        if os.geteuid() != 0:
            return command
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", *command]

    def command(self, *args, node="a"):
        return [STATE, "--config", self.conf, "--node", node, "--defer", self.defer, *[str(a) for a in args]]

    def do(self, *args, node="a", **more):
        return run(self.command(*args, node=node), **more)

    def ok(self, *args, **more):
        return self.code(0, *args, **more)

    def code(self, wanted, *args, **more):
        code, out, err = self.do(*args, **more)
        if code != wanted:
            raise AssertionError(f"{args}: exit {code} instead of {wanted}: {out}{err}")
        if wanted and not err:
            raise AssertionError(f"{args}: exit {code} without a word")
        return out

    def write(self, path, text=b"", mode=0o660):
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        self.own(path)
        return path

    def lock(self, name, host, pid, claim=True):
        """As flufl.lock leaves it, without the wait for a process."""
        self.serial += 1
        claim_name = f"{name}|{host}|{pid}|{self.serial}"
        path = self.write(f"{self.locks}/{claim_name}", f"{self.top}/../{os.path.basename(self.top)}/locks/{claim_name}")
        os.link(path, f"{self.locks}/{name}")
        if not claim:
            os.unlink(path)
        return claim_name

    def flufl(self, name, host, keep=False):
        child = subprocess.Popen(self.as_user(["/usr/bin/python3", "-c", FLUFL, f"{self.locks}/{name}", host]),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = child.stdout.readline()
        if not line:
            raise AssertionError(f"flufl.lock did not get {name}")
        if keep:
            return child
        child.kill()
        child.communicate()
        return int(line)

    def entry(self, queue, name=None, text=b"\x80\x05x.", ext="pck", hash_=HASH, age_s=60.0):
        self.serial += 1
        name = name or f"{time.time() - age_s + self.serial / 1000:.7f}+{hash_}.{ext}"
        self.write(f"{self.queue}/{queue}/{name}", text)
        return name

    def lock_names(self):
        return sorted(n for n in os.listdir(self.locks) if n != QUARANTINE)

    def quarantined(self, where=None):
        """Original names of what lies in the quarantine."""
        folder = f"{where or self.locks}/{QUARANTINE}"
        return sorted(n.split(".", 2)[2] for n in os.listdir(folder)) if os.path.isdir(folder) else []

    def entries(self, queue):
        return sorted(os.listdir(f"{self.queue}/{queue}"))

    def inodes(self):
        """Every file below locks and queue, wherever it is now: nothing may get lost. Our own files are no one's."""
        return {os.lstat(f"{d}/{n}").st_ino for top in (self.locks, self.queue)
                for d, _, names in os.walk(top) for n in names if not n.startswith((PROBE, LEDGER, "." + LEDGER))}

    def snapshot(self):
        return sorted((d, n) for top in (self.locks, self.queue) for d, _, names in os.walk(top) for n in names)


def records(text, word):
    return [dict(p.split("=", 1) for p in line.split(" ")[1:]) for line in text.splitlines() if line.split(" ")[0] == word]
