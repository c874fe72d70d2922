#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy gate: open only when the executor's token and the control share say the same; each single lie closes it."""
import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
import time

import program
from epoch_world import BOOT, RUN, World
from hostile import Places, remove, tree
from program import eq, test

UNDERSTUDY = os.path.join(program.BUILD, "understudy")
USER = ("understudy", 991)
LIST = "nobody"     # stands in for the list user: anybody without rights of his own


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


class Gate(World):
    """Node a holds epoch 1, and its executor has written the token."""

    def __init__(self):
        super().__init__()
        self.users()
        self.gate = self.top + "/gate"
        os.mkdir(self.gate, 0o755)
        os.chmod(self.conf, 0o644)
        self.program = self.top + "/understudy"     # where LIST may run it
        shutil.copy(UNDERSTUDY, self.program)
        os.chown(self.dir, USER[1], USER[1])
        for folder, _, files in os.walk(self.dir):
            for name in files:
                os.chown(os.path.join(folder, name), USER[1], USER[1])
        for node in self.nodes:
            for name in [self.state(node)] + [os.path.join(self.state(node), n) for n in os.listdir(self.state(node))]:
                os.chown(name, USER[1], USER[1])
        self.tenure("a", 1)
        self.token()
        self.boot(BOOT["a"])

    def users(self):
        """The user that root becomes before it looks at a share; in this mount namespace only."""
        with open("/etc/passwd", encoding="utf-8") as f:
            lines = [line for line in f if not line.startswith(USER[0] + ":")]
        with open(self.top + "/passwd", "w", encoding="utf-8") as f:
            f.write("".join(lines) + f"{USER[0]}:x:{USER[1]}:{USER[1]}::/:/bin/false\n")
        os.chmod(self.top + "/passwd", 0o644)
        subprocess.run(["mount", "--bind", self.top + "/passwd", "/etc/passwd"], check=True)

    def close(self):
        subprocess.run(["umount", "/etc/passwd"], check=False, stderr=subprocess.DEVNULL)
        super().close()

    def text_of_token(self, epoch=1, boot=BOOT["a"], run_id=RUN["a"], ahead=60000, cluster="lab", node="a"):
        return (f"understudy-tenure 1\ncluster={cluster}\nnode={node}\nepoch={epoch}\nboot={boot}\nrun={run_id}\n"
                f"until_ms={now_ms() + ahead}\nend=1\n")

    def token(self, text=None, mode=0o644, owner=0, **more):
        path = self.gate + "/tenure"
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "w", encoding="ascii") as f:
            f.write(text if text is not None else self.text_of_token(**more))
        os.chmod(path, mode)
        os.chown(path, owner, owner)

    def ask(self, *words, user=None, **more):
        command = [self.program, "--config", self.conf, "--gatedir", self.gate, "gate", *words]
        if user:
            command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
        return program.run(command, **more)

    def is_open(self, *words, **more):
        code, out, err = self.ask(*words, **more)
        eq((code, err), (0, ""), out)
        return out

    def is_closed(self, why, *words, **more):
        """Closed for root and for the list user alike, and it says why."""
        for user in (None, LIST):
            code, out, err = self.ask(*words, user=user, **more)
            eq((code, out), (1, ""), f"{user}: {err}")
            if why not in err or err.count(";") < 1:
                raise AssertionError(f"{user}: no '{why}' and what to do in: {err}")


@test
def open_for_root_and_for_the_list_user():
    with Gate() as w:
        eq(w.is_open(), "gate open: node a holds epoch 1\n")
        eq(w.is_open(user=LIST), "gate open: node a holds epoch 1\n")
        eq(w.is_open("--quiet"), "")
        eq(json.loads(w.is_open("--json")), {"open": True, "node": "a", "epoch": 1})


@test
def a_command_runs_only_when_open():
    with Gate() as w:
        eq(w.is_open("--", "/bin/echo", "--quiet", "a b"), "--quiet a b\n")
        eq(w.is_open("--quiet", "--", "sh", "-c", "id -un", user=LIST), LIST + "\n")
        eq(w.ask("--", "/bin/sh", "-c", "exit 7")[0], 7)
        eq(w.ask("--", "/no/such/program")[0], 2)
        # Nothing of the gate is left in it: no child, no descriptor.
        eq(w.is_open("--", "/bin/sh", "-c", "exec ls /proc/self/fd").split(), ["0", "1", "2", "3"])
        eq(w.is_open("--", "/bin/sh", "-c", "read x </proc/$$/task/$$/children; echo \"[$x]\""), "[]\n")
        os.unlink(w.gate + "/tenure")
        w.is_closed("no-token", "--", "touch", w.top + "/ran")
        eq(os.path.exists(w.top + "/ran"), False)


@test
def no_token():
    with Gate() as w:
        os.unlink(w.gate + "/tenure")
        w.is_closed("no-token")
        for user in (None, LIST):                   # cron writes no mail for that
            eq(w.ask("--quiet", user=user), (1, "", ""))
        os.rmdir(w.gate)
        w.is_closed("no-token")


@test
def an_expired_token():
    with Gate() as w:
        w.token(ahead=-1)
        w.is_closed("token-expired")
        eq(w.ask("--quiet")[2] != "", True)         # an executor that is gone is worth a mail
        w.token(ahead=3600000)                      # of a clock that is not ours
        w.is_closed("token-expired")


@test
def a_token_of_another_boot():
    with Gate() as w:
        w.token(boot=BOOT["c"])
        w.is_closed("other-boot")
        w.token()
        w.boot(BOOT["d"])
        w.is_closed("other-boot")


@test
def a_token_of_another_cluster():
    with Gate() as w:
        w.token(cluster="other")
        w.is_closed("other-cluster")


@test
def a_token_that_root_did_not_make():
    with Gate() as w:
        w.token(owner=USER[1])
        w.is_closed("token-unsafe")
        for mode in (0o664, 0o646):
            w.token(mode=mode)
            w.is_closed("token-unsafe")
        w.token()
        os.chown(w.gate, USER[1], USER[1])          # whoever owns the directory can put an old one back
        w.is_closed("token-unsafe")
        os.chown(w.gate, 0, 0)
        os.chmod(w.gate, 0o775)
        w.is_closed("token-unsafe")
        os.chmod(w.gate, 0o755)
        w.is_open()


@test
def symbolic_links():
    with Gate() as w:
        os.rename(w.gate + "/tenure", w.top + "/elsewhere")
        os.symlink(w.top + "/elsewhere", w.gate + "/tenure")
        w.is_closed("token-unsafe")
        os.unlink(w.gate + "/tenure")
        os.rename(w.top + "/elsewhere", w.gate + "/tenure")
        os.rename(w.gate, w.top + "/away")
        os.symlink(w.top + "/away", w.gate)
        w.is_closed("token-unsafe")


@test
def whatever_lies_in_the_place_of_the_token():
    """And in that of its directory: closed, at once, for root and for the list user, and nothing is changed."""
    with Gate() as w:
        places = Places(w.top)
        for path in (w.gate + "/tenure", w.gate):
            for kind in places.kinds():
                sound = w.text_of_token().encode()
                kept = w.top + "/kept"
                os.rename(path, kept)
                places.make(path, kind, sound)
                before = tree(w.gate, w.share)
                for user in (None, LIST):
                    code, out, err = w.ask("--", "/bin/echo", "ran", user=user, timeout=4)
                    assert (code, out) == (1, "") and err.startswith("understudy: ") and ";" in err, (path, kind, code, out, err)
                eq(tree(w.gate, w.share), before, kind)
                places.unhurt()
                remove(path)
                os.rename(kept, path)
        w.token()
        w.is_open()


@test
def malformed_tokens():
    with Gate() as w:
        good = w.text_of_token()
        for text in ("", "x", good[:-1], good + "x", good.replace("end=1\n", ""), good.replace("epoch=1", "epoch=0"),
                     good.replace("epoch=1", "epoch=+1"), good.replace("-tenure 1", "-tenure 2"), good * 2,
                     good.replace("node=a", "node=../a"), good.replace("run=", "run=x"), "a" * 5000, good.replace("\n", "\0")):
            w.token(text=text)
            w.is_closed("token-malformed")
        os.unlink(w.gate + "/tenure")
        os.mkfifo(w.gate + "/tenure", 0o644)
        w.is_closed("token-unsafe")


@test
def a_tenure_of_another_node_boot_or_run():
    with Gate() as w:
        w.token(run_id=RUN["b"])
        w.is_closed("no-own")
        w.token(node="b")
        w.is_closed("no-own")
        w.token(epoch=2)
        w.is_closed("no-own")
        w.token(boot=BOOT["c"])                     # this machine has booted anew, and the token is of now
        w.boot(BOOT["c"])
        w.is_closed("no-own")


@test
def a_claim_is_no_tenure():
    with Gate() as w:
        w.ok("a", "end", 1, "--planned")
        w.ok("a", "claim", 2)
        w.token(epoch=2)
        w.is_closed("no-own")
        w.ok("a", "own", 2, "--proof", "b=off")
        w.is_open()


@test
def an_end():
    with Gate() as w:
        w.ok("a", "end", 1, "--unplanned")
        w.boot(BOOT["a"])
        w.token()
        w.is_closed("ended")


@test
def a_higher_epoch():
    with Gate() as w:
        w.ok("b", "claim", 2)
        w.boot(BOOT["a"])
        w.token()
        w.is_closed("higher-epoch")


@test
def the_wrong_share():
    with Gate() as w:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "none", w.share], check=True)
        w.is_closed("share-wrong")
        subprocess.run(["umount", w.share], check=True)
        w.is_open()
        os.rename(w.dir + "/identity", w.dir + "/gone")
        w.is_closed("share-wrong")
        os.rename(w.dir + "/gone", w.dir + "/identity")
        w.configure(more="control_source = other\n")
        w.is_closed("share-wrong")


@test
def a_share_that_hangs():
    with Gate() as w:
        w.configure(more="share_deadline = 500ms\n")
        for user in (None, LIST):
            begin = time.monotonic()
            code, out, err = w.ask("--", "touch", w.top + "/ran", user=user, shim="share-hangs")
            took = time.monotonic() - begin
            eq((code, out), (1, ""), err)
            assert "share-silent" in err, err
            assert 0.4 < took < 1.5, took
            eq(os.path.exists(w.top + "/ran"), False)


@test
def a_token_taken_away_while_the_share_was_asked():
    with Gate() as w:
        eq(w.ask(shim="share-slow")[0], 0)
        for change in (lambda: os.unlink(w.gate + "/tenure"), lambda: w.token(ahead=-1), lambda: w.token(epoch=2)):
            w.token()
            timer = threading.Timer(0.3, change)
            timer.start()
            code = w.ask("--", "touch", w.top + "/ran", shim="share-slow")[0]
            timer.join()
            eq((code, os.path.exists(w.top + "/ran")), (1, False))


@test
def errors_of_the_share():
    with Gate() as w:
        for call in ("statx", "getdents64"):
            code, out, err = w.ask(strace=["-f", "-e", f"inject={call}:error=EIO"])
            eq((code, out), (1, ""), err)
            assert "share-error" in err, err


@test
def root_asks_a_share_only_as_understudy():
    with Gate() as w:
        log = w.top + "/strace"
        eq(w.ask(strace=["-f", "-e", "trace=setresuid,open,openat,statx,getdents64", "-o", log])[0], 0)
        with open(log, encoding="utf-8") as f:
            lines = f.read().splitlines()
        child = next(line.split()[0] for line in lines if w.share in line)
        become = next(i for i, line in enumerate(lines) if "setresuid" in line and line.startswith(child))
        touched = [i for i, line in enumerate(lines) if w.share in line]
        assert touched and become < touched[0], lines
        assert all(lines[i].startswith(child) for i in touched), lines
        subprocess.run(["umount", "/etc/passwd"], check=True)
        try:
            pwd.getpwnam(USER[0])
            return
        except KeyError:
            code, _, err = w.ask()
            eq(code, 1)
            assert "no-user" in err, err


@test
def a_configuration_that_cannot_be_trusted():
    with Gate() as w:
        os.chmod(w.conf, 0o666)
        eq(w.ask()[0], 2)
        os.chmod(w.conf, 0o644)
        os.chown(w.conf, USER[1], 0)
        eq(w.ask()[0], 2)
        os.unlink(w.conf)
        eq(w.ask()[0], 2)
        eq(w.ask("--rules")[0], 2)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP tokens of root and of others can be made by root only")
        sys.exit(0)
    program.enter_mount_namespace()
    sys.exit(program.main())
