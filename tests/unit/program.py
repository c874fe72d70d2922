# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests that run our small programs as they are: TAP, a private mount namespace, a scratch folder, fault injection
from outside (strace and a preloaded library; the programs know nothing of it)."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("top_builddir", os.getcwd())
STRACE = shutil.which("strace")
SHIM = os.path.join(BUILD, "tests/unit/shim.so")
KILLS_EVERY = int(os.environ.get("KILLS_EVERY", "1"))   # of the points where kills() kills, each or only every so many
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Skip(Exception):
    """A test that cannot be made here; says why."""


def main():
    chosen = [t for t in TESTS if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, fn in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            fn()
            print(f"ok {number} - {fn.__name__} # {time.monotonic() - begin:.1f} s", flush=True)
        except Skip as why:
            print(f"ok {number} - {fn.__name__} # SKIP {why}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} - {fn.__name__}", flush=True)
    return 1 if failed else 0


def enter_mount_namespace():
    """Starts this test again in a mount namespace of its own, where it may mount; without one nothing can be shown."""
    if os.environ.get("UNDERSTUDY_TEST_NS"):
        return
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    if subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("1..0 # SKIP no mount namespace can be made here")
        sys.exit(0)
    os.environ["UNDERSTUDY_TEST_NS"] = "1"
    os.execvp("unshare", unshare + [sys.executable, *sys.argv])


def enter_pid_namespace():
    """Starts this test again where no other process of this machine is seen: a list server that runs on it, or in a host of
    the lab, is none of ours. Where that cannot be had, without root for one, the test runs as it is."""
    unshare = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0 or os.environ.get("UNDERSTUDY_TEST_PIDS") or subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        return
    os.environ["UNDERSTUDY_TEST_PIDS"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def scratch():
    folder = tempfile.mkdtemp(prefix="understudy-test.", dir=os.environ.get("TMPDIR", "/tmp"))
    os.chmod(folder, 0o755)
    return folder


def fill(path):
    """Nothing more fits on the file system of PATH."""
    with open(f"{path}/fill", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            return
    raise AssertionError(f"{path} is never full")


def strace_works():
    if not STRACE:
        return False
    return subprocess.run([STRACE, "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def environment(shim=None, **more):
    env = dict(os.environ, **more)
    if shim:
        env["LD_PRELOAD"] = SHIM
        env["SHIM"] = shim
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return env


def run(command, strace=None, shim=None, timeout=30, **more):
    """(exit code, stdout, stderr); a death by signal is minus its number. strace: its options, to inject faults or
    to log to the file after -o."""
    env = environment(shim, **more)
    if strace is not None:
        if not strace_works():
            raise Skip("strace cannot be used here")
        # The call in the place of one that is made to fail must be one that every program may make.
        strace = [f"{o}:syscall=getpid" if o.startswith("inject=") and (":error=" in o or ":retval=" in o) else o for o in strace]
        # LeakSanitizer and ptrace do not go together; it is off in these tests anyway.
        command = [STRACE, "-qq", *([] if "-o" in strace else ["-o", "/dev/null"]), *strace, *command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


CRASH = os.path.join(BUILD, "tests/unit/crash_run")     # says what a change is, and ends a program at one


def crash(command, when=None, number=0, power=False, timeout=30):
    """(result as of run(), the changes that were begun): the program is ended `when` ("before", "after", "half") its change of
    that number; -9 if there was one. power: what it had not synced is lost."""
    with tempfile.NamedTemporaryFile(prefix="understudy-test.", mode="r", encoding="utf-8", errors="replace") as log:
        words = [CRASH, *(["--power"] if power else []), log.name, *([when, str(number)] if when else [])]
        result = run([*words, *command], timeout=timeout)
        changes = log.read().splitlines()
    if result[0] == 125:
        raise Skip(f"nothing can be traced here: {result[2]}")
    return result, changes


def kills(command, prepare, most=400):
    """Runs `command` again and again, ended at its first, second, ... change of anything, until a run gets through whole or
    `most`; yields (where, result) after each. Before a change everything unsynced is lost, as when the power goes; after it,
    and after half of a write, nothing is, as with a kill. prepare() makes the same beginning each time."""
    for number in range(1, most + 1, KILLS_EVERY):
        what = ""
        for when in ("before", "after", "half"):
            if when == "half" and not what.startswith(("write ", "pwrite64 ")):
                continue
            prepare()
            result, changes = crash(command, when, number, power=when == "before")
            if result[0] != -9:
                return
            what = changes[number - 1].split(" ", 1)[1]
            yield f"{when} {number}: {what}", result


def eq(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")
