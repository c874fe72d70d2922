#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The first process of a user-mode Linux guest: makes its root (a tmpfs over this machine's root, which is read only), its
network and its files, then runs commands for who asks on the control network.

The guest's specification is the JSON file that `guest_spec=` on the kernel's command line names. A command is one TCP
connection: a line of JSON comes, {argv, user, env, stdin, nice}, and a line goes when its process has ended, {code, out, err}.
What the command leaves behind may keep its output open, nobody waits for that. A line {"signal": N} meanwhile signals its
process group, and so does the end of the connection, with SIGKILL."""
import ctypes
import errno
import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labns  # noqa: E402

MODULES = "/usr/lib/uml/modules"
ROOT = "/mnt"
PORT = 700
SYS_FINIT_MODULE = {"x86_64": 313, "aarch64": 273}
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def log(text):
    sys.stderr.write(f"{labns.boottime_ms()} init: {text}\n")
    sys.stderr.flush()


def load_modules(names):
    """NAMES: "NAME PARAMETER=VALUE ...". With what they need, by modules.dep: no modprobe or /lib/modules is needed."""
    folder = os.path.join(MODULES, os.uname().release)
    needs = {}
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        for line in file:
            path, _, rest = line.partition(":")
            needs[os.path.basename(path)[:-len(".ko")].replace("-", "_")] = rest.split()[::-1] + [path]
    libc = ctypes.CDLL(None, use_errno=True)
    for name, _, parameters in (words.partition(" ") for words in names):
        for path in needs[name]:
            fd = os.open(f"{folder}/{path}", os.O_RDONLY | os.O_CLOEXEC)
            given = parameters.encode() if path == needs[name][-1] else b""
            if libc.syscall(SYS_FINIT_MODULE[os.uname().machine], fd, given, 0) != 0 and ctypes.get_errno() != errno.EEXIST:
                raise OSError(ctypes.get_errno(), f"cannot load {path}")
            os.close(fd)


def make_root():
    load_modules(["overlay"])
    labns.mount("root", ROOT, "tmpfs", 0, "mode=755,size=128m")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{ROOT}/{name}")
    root = f"{ROOT}/root"
    labns.mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={ROOT}/upper,workdir={ROOT}/work")
    for source, path, fstype, data in (("proc", "proc", "proc", None), ("sysfs", "sys", "sysfs", None),
                                       ("dev", "dev", "devtmpfs", None), ("run", "run", "tmpfs", "mode=755,size=32m"),
                                       ("tmp", "tmp", "tmpfs", "mode=1777,size=64m"),
                                       ("varlog", "var/log", "tmpfs", "mode=755,size=16m")):
        labns.mount(source, f"{root}/{path}", fstype, labns.MS_NOSUID, data)
    for source, path, fstype, data in (("devpts", "dev/pts", "devpts", "ptmxmode=0666"),
                                       ("shm", "dev/shm", "tmpfs", "mode=1777,size=32m")):
        os.makedirs(f"{root}/{path}", exist_ok=True)
        labns.mount(source, f"{root}/{path}", fstype, labns.MS_NOSUID, data)
    labns.pivot_root(root)


def write_files(files):
    for path, entry in files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(entry["text"])
        os.chmod(path, entry.get("mode", 0o644))
        os.chown(path, entry.get("uid", 0), entry.get("gid", 0))


def start_network(nics):
    lines = ["link set dev lo up"]
    for name, address in nics.items():
        lines += [f"addr add {address} dev {name}", f"link set dev {name} up"]
    subprocess.run(["/usr/sbin/ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


class Command(threading.Thread):
    """One connection."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock

    def run(self):
        try:
            with self.sock, self.sock.makefile("rb") as lines:
                request = json.loads(lines.readline())
                answer = self.execute(request, lines)
                self.sock.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError, KeyError) as err:
            log(f"a command: {err!r}")

    def execute(self, request, lines):
        with open_output() as out, open_output() as err, open_output() as given:
            given.write(request.get("stdin", "").encode())
            given.seek(0)
            try:
                child = subprocess.Popen(request["argv"], stdin=given, stdout=out, stderr=err, cwd="/", start_new_session=True,
                                         env={**ENVIRONMENT, **request.get("env", {})}, **identity(request.get("user")))
            except (OSError, KeyError) as error:
                return {"code": 127, "out": "", "err": f"{error}\n"}
            self.wait(child, lines)
            out.seek(0)
            err.seek(0)
            return {"code": child.wait(), "out": out.read().decode(errors="replace"), "err": err.read().decode(errors="replace")}

    def wait(self, child, lines):
        """Until the process has ended; obeys signals meanwhile."""
        pidfd = os.pidfd_open(child.pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.register(self.sock, select.POLLIN)
            while True:
                ready = [fd for fd, _ in poller.poll()]
                if pidfd in ready:
                    return
                line = lines.readline()
                if not line:
                    poller.unregister(self.sock)
                kill_group(child.pid, json.loads(line)["signal"] if line else signal.SIGKILL)
        finally:
            os.close(pidfd)


def kill_group(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def open_output():
    return os.fdopen(os.open("/run", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600), "w+b")


def identity(user):
    if user in (None, "root"):
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(entry.pw_name, entry.pw_gid)}


def serve(address):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, PORT))
        listener.listen(64)
        log(f"ready on {address}")
        while True:
            Command(listener.accept()[0]).start()


def main():
    with open(os.environ["guest_spec"], encoding="utf-8") as file:
        spec = json.load(file)
    make_root()
    socket.sethostname(spec["name"])
    write_files(spec["files"])
    load_modules(spec["modules"])
    for words in spec["first"]:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    start_network(spec["nics"])
    if os.fork() == 0:
        serve(spec["control"])
    while True:         # reap
        try:
            os.wait()
        except ChildProcessError:
            os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # pylint: disable=broad-exception-caught
        log(f"cannot start: {error!r}")
        raise
