# SPDX-License-Identifier: GPL-2.0-or-later
"""The product's programs, from the build, on clients of a real NFS server."""
import contextlib
import os
import pathlib
import time

import labconf
import labparts
import umlguest
import umlnfs

HERE = pathlib.Path(__file__).resolve().parent
BUILD = os.environ.get("UNDERSTUDY_BUILD", "")
EPOCH, STATE = f"{BUILD}/understudy-epoch", f"{BUILD}/understudy-state"
RUN = {"a": "000000000000000a", "b": "000000000000000b"}
CONF = f"""[cluster]
name = lab
nodes = a b
service = {{service}}
control_share = {labconf.CONTROL_SHARE}
control_fstype = nfs4
control_source = 10.78.0.{umlnfs.SERVER_NUMBER}:/control
list_share = {labconf.LIST_SHARE}
[address]
ip = 10.78.0.100/24
[{{service}}]
user = list
{{more}}
[node a]
id = 1
hostname = a
fqdn = a.lab.test
[node b]
id = 2
hostname = b
fqdn = b.lab.test
"""
LINK_DELAY_S = 8
MAILMAN3 = f"""config = /etc/mailman3/mailman.cfg
lock_dir = {labconf.LIST_SHARE}/locks
queue_dir = {labconf.LIST_SHARE}/queue
runners = in pipeline out:4 virgin lmtp
"""
QUEUES = ("in", "pipeline", "out", "virgin", "shunt", "bad")


def why_not(*programs):
    """Why the tests cannot run here, or ''. PROGRAMS: what they need besides."""
    if reason := umlguest.missing():
        return f"user-mode Linux: {reason}: REAL NFS WAS NOT TESTED"
    built = BUILD and all(map(os.path.exists, (EPOCH, STATE, *programs)))
    return "" if built else "needs UNDERSTUDY_BUILD: THE PRODUCT WAS NOT TESTED"


def records(text):
    """[(word, fields)] of what a program of the product says."""
    lines = [line.split(" ") for line in text.splitlines()]
    return [(words[0], dict(pair.split("=", 1) for pair in words[1:])) for words in lines]


def record(text, word):
    return next(fields for found, fields in records(text) if found == word)


class Cluster(umlnfs.Nfs):
    """Nfs with the shares as the product wants them; it has made epoch.0."""

    def configure(self, name):
        if name == umlnfs.SERVER:
            return {}
        return {"/etc/understudy/understudy.conf": {"text": CONF.format(service="mailman3", more=MAILMAN3)}}

    def up(self):
        super().up()
        ids = labparts.user_ids()
        control, lists = (":".join(map(str, ids[user])) for user in ("understudy", "list"))
        folders = " ".join(f"/export/lists/{name}" for name in ("locks", "queue", *(f"queue/{queue}" for queue in QUEUES)))
        self.server.shell(f"mkdir -p /export/control/.understudy; chown {control} /export/control/.understudy\n"
                          f"mkdir -p {folders}; chown {lists} /export/lists {folders}")
        for client in self.clients.values():
            self.prepare(client)
        self.epoch_ok("a", "init")
        return self

    def prepare(self, client):
        client.shell("mkdir -p /var/lib/understudy; chown understudy:understudy /var/lib/understudy")

    def power_on(self, name):
        super().power_on(name)
        self.prepare(self[name])

    # -- understudy-epoch
    def epoch_begin(self, name, *args, run=None):
        return self[name].begin([EPOCH, "--run", run or RUN[name], "--op", "1", *args], user="understudy")

    def epoch(self, name, *args, timeout=60, **how):
        return self.epoch_begin(name, *args, **how).wait(timeout)

    def epoch_ok(self, name, *args, **how):
        done = self.epoch(name, *args, **how)
        assert done.code == 0, (name, args, done)
        return done.out

    def highest(self, name="b"):
        return int(record(self.epoch_ok(name, "read"), "share")["highest"])

    def tenure(self, name, proof="off"):
        """A claim and a tenure; its number."""
        other = {"a": "b", "b": "a"}[name]
        number = self.highest(name) + 1
        self.epoch_ok(name, "claim", number)
        self.epoch_ok(name, "own", number, "--proof", f"{other}={proof}")
        return number

    def epoch_files(self):
        """name -> (inode, text) at the server. Two programs: each one costs a guest a tenth of a second and more."""
        text = self.server.shell("cd /export/control/.understudy; stat -c '%n %i' epoch.*; echo; grep -H '' epoch.*")
        inodes, _, lines = text.partition("\n\n")
        texts = {}
        for line in lines.splitlines():
            name, _, rest = line.partition(":")
            texts[name] = texts.get(name, "") + rest + "\n"
        return {name: (inode, texts.get(name, "")) for name, inode in (line.split() for line in inodes.splitlines())}

    def lose_the_answer(self, name, begin, linked):
        """BEGIN(prefix) starts a program of NAME that makes one link, behind the command PREFIX. The link waits at the server,
        whose file system is frozen, until NAME hears nothing any more; then it is done, as its file LINKED shows, and the server
        restarts, so that nothing remembers the call. What the program said."""
        self[name].shell("rm -f /tmp/strace")
        job = begin(["/usr/bin/strace", "-f", "-qq", "-o", "/tmp/strace", "-e", "trace=link,linkat", "-e",
                     f"inject=link,linkat:delay_enter={LINK_DELAY_S}s:when=1"])
        self[name].shell("until grep -q link /tmp/strace; do sleep 0.1; done", timeout=60)     # written when it begins
        began = time.monotonic()
        self.server.shell("/usr/sbin/fsfreeze -f /image")
        try:
            time.sleep(max(0.0, began + LINK_DELAY_S + 3 - time.monotonic()))
            self.network.deafen(name)
            self.server.shell(f"/usr/sbin/fsfreeze -u /image; until [ -e {linked} ]; do sleep 0.1; done; sync", timeout=60)
        finally:
            self.server_off()
            self.network.deafen(name, False)
        self.server_on()
        done = job.wait(120)
        trace = self[name].ok(["/bin/cat", "/tmp/strace"])
        assert "EEXIST" in trace, trace
        return done

    # -- understudy-state
    def state(self, name, *args, timeout=60):
        return self[name].run([STATE, *args], timeout=timeout)


@contextlib.contextmanager
def real_cluster():
    with umlnfs.real_nfs(Cluster) as cluster:
        yield cluster


def rounds(variable, small):
    """How often: the number in the environment, or the one for a quick run."""
    return int(os.environ.get(variable) or small)
