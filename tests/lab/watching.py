# SPDX-License-Identifier: GPL-2.0-or-later
"""What the product's processes do, seen from outside: system calls on a share, what they have open, secrets in sight."""
import contextlib
import json
import math
import os
import re
import signal
import subprocess
import tempfile

import labconf
import lablib
import labns

SHARES = (labconf.CONTROL_SHARE, labconf.LIST_SHARE)
NAMES = {"executor": "understudyd", "engine": "understudy-engine", "members": "understudy-members",
         "epoch": "understudy-epoch"}
# A path through another process's working directory, root or descriptor may lead to a share: only the link may be read.
THROUGH = re.compile(r'"(?:[^"]*/)?(?:cwd|root|exe|fd/\d+|map_files/[^"]+)"')
ABOUT_LINKS = re.compile(r"^\d+ +(<\.\.\. )?(readlink|readlinkat|lstat)\b")


def percentile(values, share):
    return sorted(values)[math.ceil(share * len(values)) - 1]


# -- processes
def pids_of_program(host, program):
    """Outer pids of the host's processes of PROGRAM, whatever they call themselves; not its children on their way to
    another one."""
    found = {}
    for pid in host.pids():
        with contextlib.suppress(OSError):
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program:
                found[pid] = int((labns.stat_fields(pid) or (None, 0))[1])
    return [pid for pid, parent in found.items() if parent not in found]


def the_pid_of(host, program):
    found = pids_of_program(host, program)
    if len(found) != 1:
        raise lablib.LabError(f"host {host.name} runs {len(found)} processes of {program}")
    return found[0]


def pids_of(host, part):
    return pids_of_program(host, NAMES[part])


def pid_of(host, part):
    return the_pid_of(host, NAMES[part])


def threads(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


# -- system calls
class Strace:
    """strace on running processes for the length of a `with`; `text()` is what it has written so far."""

    def __init__(self, pids, *options):
        self.pids, self.options = pids, options

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="understudy-strace.")
        self.path = os.path.join(self.directory.name, "trace")
        self.errors = os.path.join(self.directory.name, "errors")
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                ["/usr/bin/strace", *self.options, "-o", self.path, *(f"-p{pid}" for pid in self.pids)],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True)
        lablib.wait_until(lambda: all(self.is_traced(pid) for pid in self.pids), 10, "strace is attached")
        return self

    def is_traced(self, pid):
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                return f"TracerPid:\t{self.process.pid}\n" in file.read()
        except FileNotFoundError:
            return True     # it has ended meanwhile

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.directory.cleanup()


@contextlib.contextmanager
def file_calls(*parts):
    """Calls that take a path or a descriptor, of given processes ((host, part) pairs) and not of what they start.

    Yields a function that returns the lines so far. -y prints the path behind each descriptor, -s 0 leaves out data:
    what is left and names a share has touched it. The threads are named one by one, because -f would follow forks."""
    tids = [tid for host, part in parts for tid in threads(pid_of(host, part))]
    with Strace(tids, "-y", "-s", "0", "-e", "trace=%file,%desc") as trace:
        yield lambda: trace.text().splitlines()


def share_calls(lines):
    """The lines whose system call reached a share, or could have through a link of /proc."""
    return [line for line in lines if any(share in line for share in SHARES)
            or (THROUGH.search(line) and not ABOUT_LINKS.search(line))]


def exec_calls(host):
    """Every execve of the executor and of all that it starts or has started, its helpers apart, with the whole of the
    arguments and the environment."""
    executor = pid_of(host, "executor")
    helpers = {pid for part in ("engine", "members", "epoch") for pid in pids_of(host, part)}
    return Strace([executor, *(descendants(host, executor) - helpers)], "-f", "-v", "-s", "65536",
                  "-e", "trace=execve,execveat")


def descendants(host, pid):
    parents = {other: (labns.stat_fields(other) or "ZZ")[1] for other in host.pids()}
    found, generation = set(), {pid}
    while generation:
        generation = {other for other, parent in parents.items() if parent in map(str, generation)} - found
        found |= generation
    return found


def open_on(pid, devices):
    """Descriptors, working directory, root and mappings of PID that are on a file system of DEVICES (st_dev)."""
    found = []
    for name in ["cwd", "root"] + [f"fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]:
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"/proc/{pid}/{name}").st_dev in devices:
                found.append(name)
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            major, minor = (int(part, 16) for part in line.split()[3].split(":"))
            if os.makedev(major, minor) in devices:
                found.append(line.strip())
    return found


# -- secrets
def passwords(lab):
    """Of all BMCs, by host."""
    return {name: lab.host("a").file(f"/etc/understudy/secrets/{name}-ipmi.password").read_text(encoding="ascii").strip()
            for name in labconf.BMC_ADDRESSES}


class SecretWatch:
    """secretwatch.py for the length of a `with`; `result` afterwards."""

    def __init__(self, secrets):
        self.secrets, self.result = secrets, None

    def __enter__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", "-I", os.path.join(labconf.HERE, "secretwatch.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.process.stdin.write("\n".join(self.secrets))
        self.process.stdin.close()
        if self.process.stdout.readline() != "ready\n":
            raise lablib.LabError("secretwatch.py did not start")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        text = self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait(10)
        self.result = json.loads(text) if text else None


def files_with(secrets, folders, excluded=()):
    """Regular files below FOLDERS that contain any of SECRETS. They are given to grep in a file, not as arguments."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as patterns:
        patterns.write("\n".join(secrets) + "\n")
        patterns.flush()
        done = subprocess.run(["/usr/bin/grep", "-rlaF", "-D", "skip", "-f", patterns.name,
                               *(f"--exclude-dir={name}" for name in excluded), *map(str, folders)],
                              capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.split()


# -- status
def status_times(host, calls, pause_ms=5):
    """What statustimes.py found on HOST. The engine runs at the measuring program's priority."""
    engine = pid_of(host, "engine")
    for tid in threads(engine):
        os.setpriority(os.PRIO_PROCESS, tid, -15)
    done = host.exec(["/usr/bin/python3", "-I", f"{labconf.TOOLS}/statustimes.py", calls, pause_ms], timeout=120)
    return json.loads(done.stdout)


def kill_one(pid):
    """SIGKILL to exactly this process, and wait for its end; its time (CLOCK_BOOTTIME, ms)."""
    at_ms = labns.boottime_ms()
    if not labns.kill_record(labns.process_record(pid)):
        raise lablib.LabError(f"pid {pid} does not end")
    return at_ms


def kill_record_of(host, program):
    """SIGKILL to the host's one process of PROGRAM, whatever it calls itself."""
    return kill_one(the_pid_of(host, program))
