#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""What the programs that touch a share do when this machine has nothing left for them: no memory, no descriptors, no room.
They fail with a reason, or do it whole; they never half do it and say that it is done."""
import os
import resource
import subprocess
import sys

sys.dont_write_bytecode = True
import program  # noqa: E402
import state_world  # noqa: E402
from epoch_world import BOOT, World  # noqa: E402
from program import Skip, eq, fill, main, test  # noqa: E402
from state_world import records  # noqa: E402

SHIM = os.path.join(program.BUILD, "tests/unit/mallocshim.so")
CONFIG_PRINT = os.path.join(program.BUILD, "tests/unit/config_print")
RUNS = int(os.environ.get("RESOURCE_RUNS", "8"))    # how many of the allocations of one command fail, one a run
HANGS_S = 10
# libini_config and libseccomp do not bear it: they crash, free twice, loop, or leave system calls out of the filter
DEATHS = (-6, -9, -11, -31)


def has_sanitizer(path):
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def starved(command, spec=None, fds=None):
    """(exit code, stdout, stderr, allocations) of a command whose SPECth allocation fails, or that may have FDS descriptors."""
    read, write = os.pipe()

    def limit():
        if fds is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (fds, fds))
    env = dict(os.environ, LD_PRELOAD=SHIM, MALLOC_COUNT=str(write), **({"MALLOC_FAILS": spec} if spec else {}))
    env = env if fds is None else dict(os.environ)
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="latin-1", timeout=HANGS_S, check=False,
                              pass_fds=(write,), preexec_fn=limit)
    except subprocess.TimeoutExpired as end:        # killed, as the executor would
        done = subprocess.CompletedProcess(command, -9, (end.stdout or b"").decode(), "")
    os.close(write)
    count = os.read(read, 100).decode().split()
    os.close(read)
    return done.returncode, done.stdout, done.stderr, int(count[-1]) if count else 0


def specs(command, runs=RUNS):
    """Which allocations fail: some spread over all that COMMAND makes, alone and with all that follow."""
    code, out, err, count = starved(command)
    assert code == 0 and count > 20, (command, code, out, err, count)
    for n in sorted({1 + i * count // runs for i in range(runs)}):
        yield str(n)
        yield f"{n}+"


def need_plain_build(path):
    if has_sanitizer(path):
        raise Skip("THE SANITIZERS HAVE AN ALLOCATOR OF THEIR OWN: no allocation was made to fail")


COMMANDS = (("claim", 1), ("own", 1, "--proof", "b=off"), ("end", 1, "--planned"))


def begin(w, upto):
    """The control share as new, with the first UPTO commands done."""
    subprocess.run(f"rm -rf {w.dir}/* {w.dir}/.[!.]* {w.state('a')}/* {w.state('b')}/*", shell=True, check=True)
    w.ok("a", "init")
    for args in COMMANDS[:upto]:
        w.ok("a", *args)
    w.boot(BOOT["a"])


def told_truly(w, what, args, result):
    """Success is there to be seen; a failure has a reason, and a death promises nothing; whichever it was, the same again
    succeeds."""
    code, out, err = result
    names = {"claim": "epoch.1", "own": "epoch.1.own", "end": "epoch.1.end"}
    assert code in (0, 1, 2, 3, 4, 5, 127, *DEATHS), (what, code, out, err)
    if code == 0:
        eq(w.do("b", "read")[0], 0, what)
        assert names[args[0]] in w.names(), (what, out)
    else:
        assert (err or code in DEATHS) and "won=1" not in out, (what, code, out, err)
        code, out, err = w.do("a", *args)
        assert code == 0 or (args[0] == "claim" and code == 3 and "epoch.1" in w.names()), (what, "again", code, out, err)


@test
def no_memory_for_an_epoch():
    with World() as w:
        need_plain_build(w.command("a", "read")[0])
        for upto, args in enumerate(COMMANDS):
            begin(w, upto)
            for spec in list(specs(w.command("a", *args))):
                begin(w, upto)
                told_truly(w, (args, spec), args, starved(w.command("a", *args), spec)[:3])


@test
def no_descriptors_for_an_epoch():
    with World() as w:
        refused = 0
        for upto, args in enumerate(COMMANDS):
            for fds in range(3, 12):
                begin(w, upto)
                result = starved(w.command("a", *args), fds=fds)[:3]
                told_truly(w, (args, fds), args, result)
                refused += result[0] != 0
        assert refused >= 3, refused


@test
def no_room_on_the_control_share():
    with World(init=False) as w:
        subprocess.run(["mount", "-o", "remount,size=64k", w.share], check=True)
        for args in (("init",), *COMMANDS):
            fill(w.share)
            before = w.names()
            code, out, err = w.do("a", *args)
            assert code == 1 and "No space left" in err and "won" not in out, (args, code, out, err)
            eq([n for n in w.names() if n not in before], [], args)
            os.unlink(f"{w.share}/fill")
            w.ok("a", *args)


@test
def no_room_on_the_local_disk():
    """Without this node's own maximum a share that was put back could not be told from a sound one: no claim is made then. An
    end is: what gives up is kept from nothing."""
    with World() as w:
        w.ok("b", "claim", 1)
        w.ok("b", "end", 1, "--unplanned")
        local = w.state("a")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=64k", "small", local], check=True)
        try:
            fill(local)
            code, out, err = w.do("a", "claim", 2)
            assert code == 1 and "No space left" in err and "won" not in out, (code, out, err)
            assert "epoch.2" not in w.names() or w.read("b")["last"]["ended"] == "0", w.names()
            w.do("a", "end", 2, "--unplanned")
            os.unlink(f"{local}/fill")
            w.read("a")
            n = int(w.read("a")["share"]["highest"]) + 1
            w.ok("a", "claim", n)
            w.ok("a", "own", n, "--proof", "b=off")
            fill(local)
            w.ok("a", "end", n, "--planned")
        finally:
            subprocess.run(["umount", local], check=True)


@test
def no_memory_for_a_recovery():
    with state_world.World() as w:
        need_plain_build(state_world.STATE)
        command = w.command("recover", "--epoch", 7, "--harmless", "b")
        w.lock("master.lck", "b.lab.test", 5)
        w.entry("in", "foo.pck")
        for spec in list(specs(command)):
            w.lock("master.lck", "b.lab.test", 5)
            inodes = w.inodes()
            code, out, err, _ = starved(command, spec)
            assert code in (0, 1, 2, 127, *DEATHS) and (code in (0, *DEATHS) or err), (spec, code, out, err)
            eq(w.inodes(), inodes, spec)                                # nothing is lost
            assert code != 0 or "master.lck" not in w.lock_names() or records(out, "summary")[0]["locks_kept"] != "0", (spec, out)
            w.ok("recover", "--epoch", 7, "--harmless", "b")
            eq(w.lock_names(), [], spec)


@test
def no_memory_for_a_configuration():
    """libini_config leaves keys out then, and calls that a success: their presets would be taken for what the file says."""
    with World() as w:
        need_plain_build(CONFIG_PRINT)
        command = [CONFIG_PRINT, w.conf]
        code, whole, _, _ = starved(command)
        assert code == 0 and len(whole) > 1000, code
        refused = 0
        for spec in list(specs(command, 12 * RUNS)):
            code, out, err, _ = starved(command, spec)
            assert code in (0, 1, *DEATHS) and (code != 1 or err), (spec, code, err)
            assert code != 0 or out == whole, (spec, "read as something else")
            refused += code == 1
        assert refused > RUNS, refused


if __name__ == "__main__":
    program.enter_pid_namespace()
    program.enter_mount_namespace()
    sys.exit(main())
