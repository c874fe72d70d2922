# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the engine process and of the command line have in common."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import program
from engine_fake import BOOT_B, CONFIG, RUN_B, Epoch, World, now_ms

program.enter_pid_namespace()   # the engine looks for list processes
BUILD = os.environ.get("top_builddir", ".")
ENGINE = os.path.join(BUILD, "understudy-engine")
CLI = os.path.join(BUILD, "understudy")
TOP = tempfile.mkdtemp(prefix="engine-test-")
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


def world(name, user=None, node="a", config=CONFIG, **fields):
    w = World(ENGINE, os.path.join(TOP, name), node=node, user=user, config=config)
    for k, v in fields.items():
        setattr(w, k, v)
    return w


def peer_active(name, **fields):
    """a is passive, b is active under epoch 1 and in the ring."""
    e = Epoch(1, "b", BOOT_B, RUN_B)
    e.owned = True
    w = world(name, epochs=[Epoch(0, ended=True), e], peer_alive=True, peer_beats="moving", members=[1, 2], **fields)
    w.members_send()
    w.until(lambda: w.state() == "passive")
    w.pause(0.5)
    return w


def cut_power_of_peer(w):
    w.peer_alive, w.peer_beats = False, "still"
    w.pause(0.5)
    w.ring, w.members = 11, [1]
    w.members_send()
    return now_ms()


def ask(w, *words, stdin=None, env=None, limit_s=20):
    """Runs the command line while the world goes on; returns exit code, stdout and stderr."""
    argv = [CLI, "--service", w.ipc, "--rundir", w.dir, "--statedir", w.dir, "--config", w.config, *words]
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    if stdin:
        p.stdin.write(stdin)
    p.stdin.close()
    try:
        w.until(lambda: p.poll() is not None, limit_s)
    finally:
        p.kill()
    return p.returncode, p.stdout.read(), p.stderr.read()


NAMESPACE = """mount -t tmpfs x /srv && mkdir /srv/control && mount -t tmpfs x /srv/control || exit 77
{ cat /etc/passwd; echo understudy:x:4242:4242::/:/bin/false; } > /srv/passwd && mount --bind /srv/passwd /etc/passwd
exec "$@"
"""


def ask_with_share(w, *words, stdin=None):
    """As root, where a control share is mounted and its user exists; asks again while a helper of the node is still at work."""
    stop = time.monotonic() + 15
    while True:
        result = ask_with_share_once(w, *words, stdin=stdin)
        if "Wait until it is gone" not in result[2] or time.monotonic() > stop:
            return result
        w.pause(0.3)


def ask_with_share_once(w, *words, stdin=None):
    argv = ["unshare", "-m", "sh", "-c", NAMESPACE, "sh", CLI, "--service", w.ipc, "--rundir", w.dir, "--statedir", w.dir,
            "--config", w.config, *words]
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write(stdin or "")
    p.stdin.close()
    w.until(lambda: p.poll() is not None, 20)
    return p.returncode, p.stdout.read(), p.stderr.read()


def cli_as(w, user, *words):
    p = subprocess.Popen([CLI, "--service", w.ipc, "--rundir", w.dir, *words], user=user, group=user,
                         extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    w.until(lambda: p.poll() is not None)
    return p.returncode, p.stdout.read(), p.stderr.read()


def main():
    tests = [t for t in TESTS if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print(f"1..{len(tests)}", flush=True)
    failed = False
    for i, fn in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            fn()
            print(f"ok {i} - {fn.__name__} # {time.monotonic() - begin:.1f} s", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = True
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {i} - {fn.__name__}", flush=True)
    if not failed:
        shutil.rmtree(TOP, ignore_errors=True)
    return 1 if failed else 0
