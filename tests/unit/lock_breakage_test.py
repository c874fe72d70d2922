#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What breaks Mailman's own locks (reliability 3.3), shown on them first, and then that it does not break ours."""
import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from unittest import mock

import lockfile21
import program
from lockfile21 import AlreadyLockedError, LockFile
from program import eq, kills, run, test
from state_world import QUARANTINE, World

CONTENDER = os.path.join(program.BUILD, "tests/unit/lock_contender")
DEAD = 4194303          # nothing here counts up to the limit
HARMLESS_B = ("--clear", "--harmless", "2")


@contextmanager
def directory():
    top = program.scratch()
    os.mkdir(top + "/locks")
    try:
        yield top + "/locks"        # what a test puts beside it goes too
    finally:
        shutil.rmtree(top, ignore_errors=True)


def command(where, *words, lock="test.lock", grammar="21", options=()):
    return [CONTENDER, "--grammar", grammar, *[str(o) for o in options], where, lock, *[str(w) for w in words]]


def said(where, *words, shim=None, env=None, **more):
    """What lock_contender answers to each word; its claim files are gone when it has answered, or it holds the lock."""
    done = subprocess.run(command(where, "talk", **more), input="".join(w + "\n" for w in words), text=True, timeout=30,
                          env=program.environment(shim, **(env or {})), capture_output=True, check=False)
    eq(done.stderr, "")
    return done.stdout.splitlines()


def foreign(where, host="b", pid=5, lock="test.lock", age_s=0.0, text=None):
    """A lock as Mailman 2.1 on that host leaves it; its time is over since age_s."""
    claim = f"{where}/{lock}.{host}.{pid}.0"
    with open(claim, "w", encoding="ascii") as f:
        f.write(text or claim)
    os.link(claim, f"{where}/{lock}")
    os.utime(claim, (time.time() - age_s,) * 2)
    return claim


@test
def double_break():
    with directory() as d:
        foreign(d, age_s=3600)
        b, c = LockFile(f"{d}/test.lock", host="b"), LockFile(f"{d}/test.lock", host="c")
        original = c.break_

        def late():
            if not b.locked():
                b.lock()
            original()
        c.break_ = late
        c.lock()
        eq((b.locked(), c.locked()), (False, True), "both were told that they have it")
    with directory() as d:
        foreign(d)
        other = " ".join(command(d, "talk", options=HARMLESS_B))
        eq(said(d, "take", "held", options=HARMLESS_B, shim="-", env={"SHIM_RENAME": f"echo take | {other} >{d}.other"}),
           ["take 0", "held 1"])
        text = open(f"{d}.other", encoding="ascii").read()
        assert text.startswith("take EBUSY"), text


@test
def lost_reply_to_link():
    with directory() as d:
        real = os.link

        def done_but_eexist(*args):
            real(*args)
            raise OSError(errno.EEXIST, "lost reply")
        lock = LockFile(f"{d}/test.lock")
        with mock.patch.object(lockfile21.os, "link", done_but_eexist):
            try:
                lock.lock()
                raise AssertionError("no breakage")
            except AlreadyLockedError:
                eq(lock.locked(), True, "it is held, and nobody knows")
    for grammar in ("3", "21", "20"):
        for shim in ("link-done-eexist", "link-done-eio"):
            with directory() as d:
                eq(said(d, "take", "held", "release", shim=shim, grammar=grammar), ["take 0", "held 1", "release 0"], shim)
                eq(os.listdir(d), [])
        for shim, answer in (("link-lies", "take EIO"), ("link-none-eexist", "take EBUSY")):
            with directory() as d:
                eq(said(d, "take", "held", "release", shim=shim, grammar=grammar), [answer, "held 0", "release EINVAL"], shim)
                eq(os.listdir(d), [])


def wait_for(path):
    until = time.monotonic() + 20
    while not os.path.exists(path):
        assert time.monotonic() < until, path
        time.sleep(0.01)


@test
def a_link_that_lands_late_is_its_owners_and_goes_with_it():
    for grammar in ("3", "21"):
        with directory() as d:
            eq(said(d, "take", "held", shim="link-late", grammar=grammar), ["take EIO", "held 0"])
            wait_for(f"{d}/test.lock")
            eq(said(d, "take", "release", grammar=grammar), [f"take EBUSY {'a.lab.test' if grammar == '3' else 'a'} "
               f"{os.path.basename(open(f'{d}/test.lock', encoding='ascii').read()).replace('|', '.').split('.')[-2]} - expired=0",
               "release EINVAL"])
            eq(said(d, "take", "release", grammar=grammar, options=("--clear",)), ["take 0", "release 0"])


@test
def a_stale_handle_is_looked_up_again():
    """ESTALE is what an NFS client says of a name that was made again while it was looked up."""
    with directory() as d:
        counter = f"{d}.counter"
        one = command(d, "count", 1, counter)
        for when, code in (("1", 0), ("2", 0), ("1..2", 0), ("1..3", 1)):
            found, _, err = run(one, strace=["-P", "test.lock", "-e", f"inject=openat:error=ESTALE:when={when}"])
            eq((found, bool(err)), (code, code != 0), when)
            eq(os.listdir(d), [], when)


@test
def lost_reply_to_rename():
    with directory() as d:
        foreign(d)
        eq(said(d, "take", "held", "release", shim="rename-done-enoent", options=HARMLESS_B), ["take 0", "held 1", "release 0"])
        eq(sorted(os.listdir(d)), [QUARANTINE, "test.lock.b.5.0"])


@test
def a_refused_release_is_asked_for_again():
    for shim in ("rename-stale", "rename-lies"):
        with directory() as d:
            eq(said(d, "take", "release", "held", "release", shim=shim), ["take 0", "release EIO", "held 1", "release 0"], shim)
            eq(os.listdir(d), [], shim)


@test
def another_lock_that_came_just_before_the_move_stays():
    """Ours was broken, and is another's when we let go of it."""
    with directory() as d:
        eq(said(d, "take", "release", shim="rename-swap", lock="mta", grammar="3"), ["take 0", "release ENOLCK"])
        eq(open(f"{d}/mta", encoding="ascii").read(), "another's")
        eq(os.listdir(d), ["mta"])


@test
def who_took_the_name_before_it_was_put_back_keeps_it():
    with directory() as d:
        eq(said(d, "take", "release", shim="rename-swap", env={"SHIM_RENAMED": f"printf third >{d}/mta"}, lock="mta", grammar="3"),
           ["take 0", "release ENOLCK"])
        eq(open(f"{d}/mta", encoding="ascii").read(), "third")
        left = [n for n in os.listdir(d) if n != "mta"]
        eq([open(f"{d}/{n}", encoding="ascii").read() for n in left], ["another's"], "nothing is lost")


@test
def path_in_the_text():
    with directory() as d:
        victim = f"{d}.victim"
        for text in (victim, f"{d}/../{os.path.basename(victim)}"):
            open(victim, "w", encoding="ascii").close()
            foreign(d, text=text, age_s=3600)
            LockFile(f"{d}/test.lock").lock()
            eq(os.path.exists(victim), False, "any file of the list user's was removed")
            shutil.rmtree(d)
            os.mkdir(d)
        os.mkdir(f"{d}/sub")
        for n, text in enumerate((victim, f"{d}/../{os.path.basename(victim)}", f"{d}/sub/test.lock.b.5.0", "", "x" * 5000)):
            for path in (victim, f"{d}/sub/test.lock.b.5.0"):
                open(path, "w", encoding="ascii").close()
            claim = foreign(d, text=text or " ", age_s=3600)
            answer = said(d, "take", options=HARMLESS_B)
            assert answer[0].startswith("take 0" if n == 2 else "take EBUSY -"), (text, answer)
            assert os.path.exists(victim) and os.path.exists(f"{d}/sub/test.lock.b.5.0") and os.path.exists(claim)
            os.unlink(claim)
            os.unlink(f"{d}/test.lock")


@test
def clock_step():
    with directory() as d:
        a, b = LockFile(f"{d}/test.lock", host="a"), LockFile(f"{d}/test.lock", host="b", now=lambda: time.time() + 60)
        a.lock()
        b.lock()
        eq((a.locked(), b.locked()), (False, True), "a live lock was stolen")
    for age_s in (0, 60, 10 ** 6):
        with directory() as d:
            claim = foreign(d, age_s=age_s)
            eq(said(d, "take", options=("--clear",)), [f"take EBUSY b 5 owner-not-proven-harmless expired={int(age_s > 0)}"])
            os.unlink(claim)
            os.unlink(f"{d}/test.lock")
            mine = foreign(d, host="a", pid=os.getpid(), age_s=age_s)      # a live process of this node
            eq(said(d, "take", options=("--clear", "--harmless", "7"))[0].split()[:4], ["take", "EBUSY", "a", str(os.getpid())])
            assert os.path.exists(mine) and os.path.exists(f"{d}/test.lock")
            unknown = foreign(d, host="x.y", lock="other.lock", age_s=age_s)
            eq(said(d, "take", "clear", options=("--clear", "--harmless", "7"), lock="other.lock")[1], "clear EBUSY")
            assert os.path.exists(unknown)


@test
def ours_is_honoured_by_mailman():
    """And so is its time: a step of Mailman's clock by less than that breaks nothing."""
    with directory() as d:
        child = subprocess.Popen(command(d, "talk"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        child.stdin.write("take\n")
        child.stdin.flush()
        eq(child.stdout.readline(), "take 0\n")
        for step_s in (0, 60, 500):
            start = time.time()
            try:
                LockFile(f"{d}/test.lock", host="b", now=lambda step=step_s: time.time() + step).lock(timeout=0.2)
                raise AssertionError("two have it")
            except lockfile21.TimeOutError:
                assert time.time() - start < 10
        LockFile(f"{d}/test.lock", host="b", now=lambda: time.time() + 700).lock()     # its time is over
        out, _ = child.communicate("held\nrelease\n")
        eq(out.splitlines(), ["held 0", "release ENOLCK"])
        eq(len([n for n in os.listdir(d) if ".b." in n]), 1)
        assert os.path.exists(f"{d}/test.lock"), "the new owner's"


@test
def a_master_lock_is_read_before_and_after_it_is_handed_on():
    with directory() as d:
        for pid, cleared in ((os.getpid(), False), (DEAD, True)):
            lock = LockFile(f"{d}/master-qrunner", lifetime=108000, host="a")
            lock.lock()
            answer = said(d, "take", lock="master-qrunner", options=("--clear", "--harmless", "6"))
            eq(answer[0].split()[:4], ["take", "EBUSY", "a", str(os.getpid())])
            lock.transfer_to(pid)
            answer = said(d, "take", "release", lock="master-qrunner", options=("--clear", "--harmless", "6"))
            eq(answer[0].split()[:4], ["take", "0"] if cleared else ["take", "EBUSY", "a", str(pid)])
            for name in os.listdir(d):
                if name != QUARANTINE:
                    os.unlink(f"{d}/{name}")


@test
def a_text_that_was_cut_off_is_nobodys():
    """master-qrunner.a.PID without the last digit is another process, and dead."""
    with directory() as d:
        claim = f"{d}/master-qrunner.a.{os.getpid()}"
        with open(claim, "w", encoding="ascii") as f:
            f.write(f"{d}/master-qrunner.a.{DEAD}")
        os.link(claim, f"{d}/master-qrunner")
        eq(said(d, "take", lock="master-qrunner", options=("--clear", "--harmless", "6")), ["take EBUSY - 0 torn expired=0"])
        assert os.path.exists(f"{d}/master-qrunner")


@test
def killed_anywhere_the_next_one_gets_it():
    with World() as w:
        counter = w.top + "/counter"
        def prepare():
            for name in os.listdir(w.locks):
                if name != QUARANTINE:
                    os.unlink(f"{w.locks}/{name}")
            w.write(counter, "0")
        points = 0
        one = w.as_user(command(w.locks, "count", 1, counter, lock="mta", grammar="3", options=("--clear",)))
        for where, _ in kills(one, prepare):
            points += 1
            code, _, err = run(one)
            eq(code, 0, f"{where}: {err}")
            out = w.ok("release", "--epoch", 7)    # and what is left is known as a dead process's
            if where.startswith("half"):           # a text that was cut off is nobody's
                out = w.ok("recover", "--epoch", 7, "--harmless", "b")
            eq(w.lock_names(), [], f"{where}: {out}")
        assert points * program.KILLS_EVERY >= 10, points


@test
def a_failed_call_is_told_and_the_next_one_gets_it():
    with directory() as d:
        counter = f"{d}.counter"
        one = command(d, "count", 1, counter, options=("--clear",))
        for spec in ("linkat:error=EIO", "linkat:error=ENOENT", "linkat:error=ESTALE", "linkat:error=EDQUOT", "fsync:error=EIO",
                     "fsync:error=ENOSPC:when=2", "fsync:error=EIO:when=3", "fchmod:error=EPERM", "write:error=ENOSPC:when=1",
                     "utimensat:error=EIO", "renameat:error=EIO", "renameat:error=ESTALE",
                     "unlinkat:error=EIO", "unlinkat:error=ENOENT"):
            code, out, err = run(one, strace=["-e", "inject=" + spec])
            eq((code, bool(err)), (0, False) if spec.startswith("unlinkat") else (1, True), spec)
            code, out, err = run(one)
            eq((code, out, err), (0, "1\n", ""), spec)
            eq(os.path.exists(f"{d}/test.lock"), False, spec)


if __name__ == "__main__":
    program.enter_pid_namespace()
    sys.exit(program.main())
