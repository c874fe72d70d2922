#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-epoch when the world is against it: lost replies, late links, contenders, gaps."""
import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import time

import program
from epoch_world import BOOT, RUN, Watch, World
from program import eq, test

ROUNDS = int(os.environ.get("EPOCH_ROUNDS", "200"))


@test
def what_link_says_is_not_believed():
    with World() as w:
        n = 0
        for shim in ("link-done-eexist", "link-done-eio"):              # done, whatever the reply
            n += 1
            eq(w.ok("a", "claim", n, shim=shim), f"claim n={n} won=1\n")
            w.ok("a", "own", n, "--proof", "b=off", shim=shim)
            w.ok("a", "end", n, "--planned", shim=shim)
        before = w.files()
        for shim in ("link-lies", "link-none-eexist"):                  # not done, whatever the reply
            eq(w.code(1, "a", "claim", n + 1, shim=shim), "")
        eq(w.files(), before)
        w.ok("a", "claim", n + 1)
        for shim in ("link-lies", "link-none-eexist"):
            eq(w.code(1, "a", "own", n + 1, "--proof", "b=off", shim=shim), "")
            eq(w.code(1, "a", "end", n + 1, "--planned", shim=shim), "")
        eq(sorted(w.files()), sorted([*before, f"epoch.{n + 1}"]))
        eq([x for x in w.names() if x.startswith(".")], [])
        for error in ("ENOENT", "ESTALE", "EIO", "EACCES"):
            eq(w.code(1, "a", "end", n + 1, "--planned", strace=["-e", f"inject=linkat:error={error}"]), "")
        eq(len(w.read()["open"]), 1)


@test
def a_failed_call_is_never_a_success():
    with World() as w:
        for syscall in ("fsync", "write", "fchmod", "renameat", "statx", "getrandom", "getdents64"):
            for when in range(1, 6):
                spec = f"inject={syscall}:error=EIO:when={when}"
                before, n = w.files(), int(w.read()["share"]["highest"]) + 1
                code, out, err = w.do("a", "claim", n, strace=["-e", spec])
                if code == 0:
                    eq(out, f"claim n={n} won=1\n", spec)
                    break
                assert code in (1, 4) and err and "won" not in out, (spec, code, out, err)
                if w.files() != before:                                 # the link was made: it shows as un-ended
                    look = w.read("b")
                    eq((look["last"]["n"], look["last"]["ended"], look["share"]["state"]), (str(n), "0", "ok"), spec)


@test
def a_claim_that_lands_late_is_seen_and_can_be_withdrawn():
    with World() as w:
        w.code(1, "a", "claim", 1, shim="link-late")
        eq(w.read()["share"]["highest"], "0")
        time.sleep(0.6)
        look = w.read("b")
        eq((look["share"]["highest"], look["open"][0]["node"]), ("1", "a"))
        w.ok("a", "end", 1, "--unplanned")
        w.ok("b", "claim", 2)


@test
def a_claim_that_lands_too_late_changes_nothing():
    with World() as w:
        w.code(1, "a", "claim", 1, shim="link-late")
        w.tenure("b", 1)
        before = w.files()
        time.sleep(0.6)
        eq(w.files(), before)
        w.code(3, "a", "own", 1, "--proof", "b=off")


@test
def a_higher_claim_between_listing_and_link_voids_ours():
    with World() as w:
        other = " ".join(w.command("b", "claim", 2))
        code, out, err = w.do("a", "claim", 1, shim="none", SHIM_COMMAND=other + " >/dev/null")
        eq((code, out), (3, ""), err)
        eq(sorted(w.files()), ["epoch.0", "epoch.1", "epoch.2", "identity"])
        assert "highest is 2, of node b" in err, err
        w.ok("b", "own", 2, "--proof", "a=off", boot=BOOT["a"])


@test
def what_is_gone_in_the_second_listing_was_not_made():
    with World() as w:
        w.ok("a", "claim", 1)
        for suffix, args in ((".own", ("own", 1, "--proof", "b=off")), (".end", ("end", 1, "--planned"))):
            eq(w.code(1, "a", *args, shim="none", SHIM_AFTER=f"rm {w.dir}/epoch.1{suffix}"), "")
        eq(sorted(w.files()), ["epoch.0", "epoch.1", "identity"])


@test
def a_listing_that_missed_something_is_made_again():
    with World() as w:
        w.tenure("a", 1)
        w.ok("a", "end", 1, "--planned")
        eq(w.do("b", "read", shim="list-misses")[0], 0)
        w.ok("b", "claim", 2, shim="list-misses")


@test
def the_order_of_calls_makes_it_durable():
    with World() as w:
        log = w.top + "/log"
        w.ok("a", "claim", 1, strace=["-o", log, "-y"])
        with open(log, encoding="utf-8") as f:
            calls = f.read()
        steps = [r'openat\([^\n]*\.new\.a\.[^\n]*O_EXCL', r"write\([^\n]*kind=claim", r"fsync\([^\n]*\.new\.a\.",
                 r"linkat\(", r"fsync\([^\n]*\.understudy>\)", r'openat\([^\n]*"epoch\.1", O_RDONLY[^\n]*O_NOFOLLOW',
                 r"unlinkat\([^\n]*\.new\.", r'openat\([^\n]*"\.", O_RDONLY', r"getdents64", r"fsync\([^\n]*epoch\.max\.new",
                 r'renameat\([^\n]*"epoch\.max"', r"fsync\([^\n]*state\.a>\)", r'write\(1<[^\n]*"claim n=1 won=1']
        at = 0
        for step in steps:
            found = re.compile(step).search(calls, at)
            assert found, f"{step} is not there, or too early"
            at = found.end()


@test
def of_many_contenders_exactly_one_wins_each_number():
    with World(nodes="abcd") as w:
        for n in range(1, ROUNDS + 1):
            children = [(node, subprocess.Popen(w.command(node, "claim", n), stdout=subprocess.PIPE,
                                                stderr=subprocess.DEVNULL, text=True)) for node in "abcd"[:2 + n % 3]]
            result = {node: (child.communicate()[0], child.returncode) for node, child in children}
            winners = [node for node, (out, _) in result.items() if out == f"claim n={n} won=1\n"]
            eq((len(winners), sorted(code for _, code in result.values())), (1, [0] + [3] * (len(children) - 1)), result)
            assert f"node={winners[0]}\n" in w.text(f"epoch.{n}")
            if n % 2:
                w.ok(winners[0], "end", n, "--unplanned")
        claims = [n for n in w.names() if re.fullmatch(r"epoch\.[0-9]+", n)]
        eq(len(claims), ROUNDS + 1)
        eq(w.read()["share"]["open"], str(ROUNDS // 2))
        eq(len(w.read()["open"]), 8)


@test
def two_that_end_and_one_that_lists_at_the_same_time():
    """A listing is not atomic; what it misses must never look like a loss."""
    with World() as w:
        reader = subprocess.Popen(["sh", "-c", f"for i in $(seq 150); do {' '.join(w.command('b', 'read'))} || exit; done"],
                                  stdout=subprocess.PIPE, text=True)
        for n in range(1, 60):
            w.boot(BOOT["a"])
            w.ok("a", "claim", n)
            w.ok("a", "own", n, "--proof", "b=off")
            w.ok("a", "end", n, "--planned")
        out = reader.communicate()[0]
        eq(reader.returncode, 0, out[-500:])
        assert "state=wrong" not in out and "state=behind" not in out


@test
def watch_reports_and_beats():
    with World() as w:
        for name in (f".new.a.{'1' * 16}.4.{'2' * 16}", f".beat.a.{'1' * 16}", f".probe.a.{'1' * 16}.3.1",
                     f".new.a.x.{'1' * 16}.4.{'2' * 16}", f".new.b.{'1' * 16}.4.{'2' * 16}",
                     f".new.a.{RUN['a']}.4.{'2' * 16}"):
            w.write(name, "left")
        watch = Watch(w, "a")
        try:
            first = watch.until(lambda r: r["beat"])["beat"][0]
            later = watch.until(lambda r: int(r["beat"][0]["counter"]) >= int(first["counter"]) + 3)["beat"][0]
            eq((first["node"], first["boot"], first["run"], later["run"]), ("a", BOOT["a"], RUN["a"], RUN["a"]))
            left = [n for n in w.names() if n.startswith(".")]          # of other nodes, and of this run
            eq(sorted(set(left) - {f".beat.a.{RUN['a']}"}), sorted([
                f".new.a.x.{'1' * 16}.4.{'2' * 16}", f".new.a.{RUN['a']}.4.{'2' * 16}",
                f".new.b.{'1' * 16}.4.{'2' * 16}"]))
            w.write("beat.b", "torn")
            w.tenure("b", 1)
            report = watch.until(lambda r: r["share"]["highest"] == "1" and r["last"]["owned"] == "1")
            eq((report["share"]["state"], report["open"][0]["node"]), ("ok", "b"))
            eq([b["node"] for b in report["beat"]], ["a"])
            with open(w.state("a") + "/epoch.max", encoding="ascii") as f:
                assert "\nn=1\n" in f.read()                            # before it was reported
        finally:
            watch.close()


@test
def a_beat_that_can_not_be_written_is_reported_and_told_once():
    with World() as w:
        temporary = f"{w.dir}/.beat.a.{RUN['a']}"
        watch = Watch(w, "a")
        try:
            watch.until(lambda r: r["beat"])
            while not os.path.isdir(temporary):                         # in its way, as a share that takes nothing
                with contextlib.suppress(OSError):
                    os.mkdir(temporary)
            bad = watch.until(lambda r: "write_errno" in r["end"])
            eq((bad["end"]["write_errno"], bad["share"]["state"]), (str(errno.EISDIR), "ok"))
            for _ in range(3):
                assert "write_errno" in watch.chunk()["end"]
            os.rmdir(temporary)
            watch.until(lambda r: "write_errno" not in r["end"])
            watch.child.kill()
            eq(watch.child.stderr.read().decode().count("writing the beat"), 1)
        finally:
            watch.close()


@test
def watch_goes_on_over_a_wrong_share_and_does_not_beat():
    with World() as w:
        w.tenure("a", 1)
        watch = Watch(w, "a")
        try:
            watch.until(lambda r: r["beat"])
            w.write("epoch.1.end", "torn")
            eq(watch.until(lambda r: r["share"]["state"] == "wrong")["share"]["why"], "epoch-malformed")
            beat = w.text("beat.a")
            for _ in range(3):
                watch.chunk()
            eq(w.text("beat.a"), beat)
            os.unlink(w.dir + "/epoch.1.end")
            watch.until(lambda r: r["share"]["state"] == "ok" and r["open"])
            os.unlink(w.dir + "/epoch.1.own")                           # it was there: it is lost, not un-owned
            eq(watch.until(lambda r: r["share"]["state"] == "wrong")["share"]["why"], "epoch-lost")
            os.unlink(w.dir + "/epoch.1")
            eq(watch.until(lambda r: r["share"]["state"] != "ok")["share"]["state"], "wrong")
            watch.child.send_signal(0)
            eq(watch.child.poll(), None)
        finally:
            watch.close()
        eq(w.read("a", 5)["share"]["state"], "behind")


@test
def watch_reads_an_immutable_file_once():
    if not program.strace_works():
        raise program.Skip("strace cannot be used here")
    with World() as w:
        for n in range(1, 6):
            w.tenure("a", n)
            w.ok("a", "end", n, "--planned")
        watch = Watch(w, "a", trace=w.top + "/log")
        try:
            for _ in range(6):
                watch.chunk()
        finally:
            watch.child.stdout.close()
            watch.child.wait(5)                                         # nobody reads any more: it ends
        with open(w.top + "/log", encoding="utf-8") as f:
            opened = re.findall(r'openat\(\d+, "(epoch\.[^"]+)", O_RDONLY', f.read())
        opened = [n for n in opened if n != "epoch.max"]
        eq(sorted(opened), sorted(set(opened)))
        eq(len(opened), 16)


@test
def a_claim_reads_only_what_watch_has_not():
    if not program.strace_works():
        raise program.Skip("strace cannot be used here")
    with World() as w:
        for n in range(1, 6):
            w.tenure("a", n)
            w.ok("a", "end", n, "--planned")
        w.tenure("b", 6)
        watch = Watch(w, "a")
        try:
            watch.until(lambda r: os.path.exists(w.state("a") + "/epoch.checked") and r["beat"])
        finally:
            watch.close()
        log = w.top + "/log"

        def opened(n, *args):
            w.ok("a", *(args or ("claim", n)), strace=["-o", log, "-e", "trace=openat"])
            with open(log, encoding="utf-8") as f:
                return sorted(set(re.findall(r'"(epoch\.[0-9][^"]*)", O_RDONLY', f.read())))
        eq(opened(7), ["epoch.6", "epoch.6.own", "epoch.7"])
        w.code(1, "a", "own", 7, "--proof", "b=not-needed")              # 6 is still seen, and un-ended
        w.ok("a", "own", 7, "--proof", "b=off")
        eq(opened(7, "end", 7, "--planned"), ["epoch.6", "epoch.6.own", "epoch.7", "epoch.7.end", "epoch.7.own"])
        for n in (1, 3, 5):                                             # ended and checked: still said, and only to its node
            eq(w.ok("a", "end", n, "--unplanned"), f"end n={n} planned=1\n")
            w.code(3, "b", "end", n, "--unplanned")
        with open(w.state("a") + "/epoch.checked", "r+", encoding="ascii") as f:
            text = f.read().replace(w.read()["share"]["uuid"], BOOT["f"])
            f.seek(0)
            f.write(text)                                               # of another share
        eq(len(opened(8)), 22)


@test
def the_drain_counts_only_time_in_which_the_share_answers():
    with World() as w:
        begin = time.monotonic()
        eq(w.ok("a", "drain", "--duration", 300).count("probe n="), 2)
        took = time.monotonic() - begin
        assert 0.3 <= took < 1, took
        eq(w.ok("a", "drain", "--duration", 1300).count("probe n="), 3)
        # the second answer comes 0.6 s late, which is a gap of 1.6 s: all begins again
        begin = time.monotonic()
        out = w.ok("a", "drain", "--duration", 1300, strace=["-e", "inject=fsync:delay_enter=600000:when=2"])
        took = time.monotonic() - begin
        eq(out.count("probe restart=1\n"), 1, out)
        assert took >= 1.6 + 1.3, took
        eq([n for n in w.names() if n.startswith(".probe")], [])
        eq(w.code(1, "a", "drain", "--duration", 300, strace=["-e", "inject=fsync:error=EIO"]), "")


@test
def a_drain_that_is_killed_leaves_no_answer():
    with World() as w:
        w.boot(BOOT["a"])
        child = subprocess.Popen(w.command("a", "drain", "--duration", "60000"), stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.communicate()
        eq(child.returncode, -9)


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
