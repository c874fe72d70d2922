# SPDX-License-Identifier: GPL-2.0-or-later
"""A control share of its own for each test of understudy-epoch, and nodes that use it."""
import os
import re
import select
import shutil
import subprocess
import time

import program
from program import run

EPOCH = os.path.join(program.BUILD, "understudy-epoch")
RUN = {node: f"00000000000000{node * 2}" for node in "abcdef"}
BOOT = {node: f"{node * 8}-{node * 4}-4{node * 3}-8{node * 3}-{node * 12}" for node in "abcdef"}

CONF = """[cluster]
name = {cluster}
nodes = {nodes}
control_share = {share}
{more}
[address]
ip = 10.77.1.100/24
[mailman3]
user = list
config = /etc/mailman3/mailman.cfg
lock_dir = /srv/lists/locks
queue_dir = /srv/lists/queue
runners = in out
"""
NODE = "[node {n}]\nid = {id}\nhostname = {n}\nfqdn = {n}.lab.test\n"


class World:
    def __init__(self, nodes="ab", init=True):
        self.top = program.scratch()
        self.share, self.dir = self.top + "/share", self.top + "/share/.understudy"
        self.boot_file = self.top + "/boot_id"
        os.mkdir(self.share)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "control", self.share], check=True)
        os.mkdir(self.dir, 0o755)
        self.nodes, self.booted = nodes, None
        self.configure()
        for node in nodes:
            os.mkdir(self.state(node))
        self.boot(BOOT[nodes[0]])
        subprocess.run(["mount", "--bind", self.boot_file, "/proc/sys/kernel/random/boot_id"], check=True)
        if init:
            self.ok("a", "init")

    def close(self):
        subprocess.run(["umount", "/proc/sys/kernel/random/boot_id"], check=False)
        subprocess.run(["umount", "-R", self.share], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def configure(self, cluster="lab", more=""):
        self.conf = self.top + "/understudy.conf"
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(CONF.format(cluster=cluster, nodes=" ".join(self.nodes), share=self.share, more=more))
            f.writelines(NODE.format(n=n, id=i + 1) for i, n in enumerate(self.nodes))

    def boot(self, boot_id):
        if boot_id == self.booted:
            return
        self.booted = boot_id
        with open(self.boot_file, "w", encoding="ascii") as f:
            f.write(boot_id + "\n")

    def state(self, node):
        return f"{self.top}/state.{node}"

    def command(self, node, *args, run_id=None, op=1):
        return [EPOCH, "--config", self.conf, "--node", node, "--state-dir", self.state(node), "--run",
                run_id or RUN[node], "--op", str(op), *[str(a) for a in args]]

    def do(self, node, *args, run_id=None, boot=None, **more):
        """Each node has a boot id of its own, and only one of them runs at a time here."""
        self.boot(boot or BOOT[node])
        return run(self.command(node, *args, run_id=run_id), **more)

    def ok(self, node, *args, **more):
        return self.code(0, node, *args, **more)

    def code(self, wanted, node, *args, **more):
        code, out, err = self.do(node, *args, **more)
        if code != wanted:
            raise AssertionError(f"{node} {args}: exit {code} instead of {wanted}: {out}{err}")
        if wanted and not err:
            raise AssertionError(f"{node} {args}: exit {code} without a word")
        return out

    def tenure(self, node, n, proof=None):
        self.ok(node, "claim", n)
        self.ok(node, "own", n, "--proof", proof or ",".join(f"{o}=off" for o in self.nodes if o != node))

    def read(self, node="a", wanted=0):
        code, out, err = self.do(node, "read")
        if code != wanted:
            raise AssertionError(f"read: exit {code} instead of {wanted}: {out}{err}")
        return records(out)

    def why(self, node="a"):
        return self.read(node, 4)["share"]["why"]

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w", encoding="ascii") as f:
            f.write(text)

    def text(self, name):
        with open(f"{self.dir}/{name}", encoding="ascii") as f:
            return f.read()

    def names(self):
        return sorted(os.listdir(self.dir))

    def files(self):
        """Everything that the protocol is made of, as it is now."""
        return {n: (os.stat(f"{self.dir}/{n}").st_ino, self.text(n)) for n in self.names()
                if n.startswith(("epoch.", "identity"))}


def records(text):
    """{word: fields} of one report; `open` and `beat` as lists."""
    ret = {"open": [], "beat": []}
    for line in text.splitlines():
        word, *pairs = line.split(" ")
        fields = dict(p.split("=", 1) for p in pairs)
        if word in ("open", "beat"):
            ret[word].append(fields)
        else:
            assert word not in ret, text
            ret[word] = fields
    return ret


class Watch:
    def __init__(self, w, node, run_id=None, trace=None):
        w.boot(BOOT[node])
        command = w.command(node, "watch", run_id=run_id)
        if trace:
            command = [program.STRACE, "-qq", "-o", trace, *command]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def chunk(self, timeout=5):
        """One read gives one report, whole: it was one write."""
        ready, _, _ = select.select([self.child.stdout], [], [], timeout)
        assert ready, "no report"
        data = os.read(self.child.stdout.fileno(), 65536).decode()
        while data.count("\nend at_ms=") > 1:                           # we were slow and two of them lie there
            data = data[data.index("\n", data.index("\nend at_ms=") + 1) + 1:]
        assert len(data) <= 4096 and re.search(r"\nend at_ms=\d+( write_errno=\d+)?\n$", data), data
        return records(data)

    def until(self, what, timeout=5):
        stop = time.monotonic() + timeout
        while time.monotonic() < stop:
            report = self.chunk()
            if what(report):
                return report
        raise AssertionError(f"it did not come: {report}")

    def close(self):
        self.child.kill()
        self.child.communicate()
