#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long understudy-state takes over a queue of a million entries and 10,000 lock files, against find on the same directory
in the same minutes. See README.

usage: state_bench.py --build FOLDER [--dir FOLDER] [--sizes N,...] [--locks N] [--runs N] [--json FILE]    exit 1: a goal is missed"""
import argparse
import json
import os
import platform
import pwd
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

GOAL_RATIO, GOAL_RSS_KIB, GOAL_FLAT = 1.3, 32 * 1024, 1.5
FLAT_FROM = 10000                       # entries; with fewer of them the locks are nearly all of the work
QUEUES = ("in", "out")                  # half of the entries in each
CONF = """[cluster]
name = bench
nodes = a b c
control_share = /srv/control
[address]
ip = 10.77.1.100/24
[mailman3]
user = {user}
config = {top}/mailman.cfg
lock_dir = {top}/locks
queue_dir = {top}/queue
runners = in pipeline out:4 virgin lmtp
""" + "".join(f"[node {n}]\nid = {i}\nhostname = {n}\nfqdn = {n}.lab.test\n" for i, n in enumerate("abc", 1))


def make_file(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660)
    os.write(fd, text)
    os.close(fd)


def make_tree(top, entries, locks, seed):
    """Entries as Mailman 3 names them, a few of them in a runner's hands; locks of a node that lives, with their claim files."""
    draw = random.Random(seed)
    os.mkdir(f"{top}/locks")
    os.mkdir(f"{top}/queue")
    for queue in QUEUES:
        os.mkdir(f"{top}/queue/{queue}")
    for i in range(entries):
        name = f"{1795317467 + i / 100:.7f}+{draw.getrandbits(160):040x}.{'bak' if i % 100000 == 7 else 'pck'}"
        make_file(f"{top}/queue/{QUEUES[i % len(QUEUES)]}/{name}", b"\x80\x05x.")
    for i in range(locks // 2):
        claim = f"{top}/locks/list{i}.lck|c.lab.test|{1000 + i}|{draw.getrandbits(64)}"
        make_file(claim, claim.encode())
        os.link(claim, f"{top}/locks/list{i}.lck")


class Tree:
    """Made by another process: what measures stays small."""

    def __init__(self, args, entries):
        self.args, self.entries = args, entries
        self.user = pwd.getpwnam("list") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="understudy-bench.", dir=self.args.dir)
        os.chmod(self.top, 0o755)
        pid = os.fork()
        if pid == 0:
            try:
                make_tree(self.top, self.entries, self.args.locks, self.entries)
                os._exit(0)
            finally:
                os._exit(1)
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit(f"{self.args.dir} does not take {self.entries} entries; choose another folder with --dir")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user.pw_uid}:{self.user.pw_gid}", f"{self.top}/locks", f"{self.top}/queue"], check=True)
        with open(f"{self.top}/conf", "w", encoding="ascii") as f:
            f.write(CONF.format(user=self.user.pw_name, top=self.top))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top)

    def state(self, *words):
        return [os.path.join(self.args.build, "understudy-state"), "--config", f"{self.top}/conf", "--node", "a", *words]

    def find(self, *words):
        """find alone, as the list user: its walk and nothing else."""
        user = ["/usr/bin/setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        return [*(user if os.geteuid() == 0 else []), "/usr/bin/find", *words]

    def jobs(self):
        """{name: (ours, find's)}: the pass of a takeover reads the names of entries, looks into what the budget allows, and
        looks at each lock; `check` looks at each entry as well. find stats what is looked at."""
        queue, locks = f"{self.top}/queue", f"{self.top}/locks"
        return {"recover": (self.state("recover", "--epoch", "7", "--harmless", "b"),
                            self.find(queue, locks, "-path", f"{locks}/*", "-size", "+0", "-printf", ".", "-o", "-printf", "-")),
                "check": (self.state("check"), self.find(queue, locks, "-size", "+0", "-printf", "."))}


def measure(args, command):
    done = subprocess.run([os.path.join(args.build, "tests/bench/measure"), *command], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["exit"] != 0:
        raise SystemExit(f"{command}: exit {found['exit']}: {done.stderr}")
    return found


def spread(values, digits=3):
    return {"min": round(min(values), digits), "median": round(statistics.median(values), digits), "max": round(max(values), digits)}


def one_size(args, entries):
    """Ours and find's in turns, after one run of each that warms the cache."""
    ret = {"entries": entries}
    with Tree(args, entries) as tree:
        for name, (ours, finds) in tree.jobs().items():
            pairs = [(measure(args, ours), measure(args, finds)) for _ in range(args.runs + 1)][1:]
            ret[name] = {
                "ours_ms": spread([o["us"] / 1000 for o, _ in pairs]), "find_ms": spread([f["us"] / 1000 for _, f in pairs]),
                "ratio": spread([o["us"] / f["us"] for o, f in pairs]),
                "cpu_ratio": spread([(o["user_us"] + o["system_us"]) / (f["user_us"] + f["system_us"]) for o, f in pairs]),
                "ours_cpu_ms": spread([(o["user_us"] + o["system_us"]) / 1000 for o, _ in pairs]),
                "rss_kib": max(o["rss_kib"] for o, _ in pairs)}
    return ret


def per_entry(sizes, empty, name):
    """Processor time of each entry in us, beyond what an empty queue takes."""
    less = empty[name]["ours_cpu_ms"]["median"] * 1000
    return {s["entries"]: round((s[name]["ours_cpu_ms"]["median"] * 1000 - less) / s["entries"], 3) for s in sizes}


def judge(result):
    largest = result["sizes"][-1]
    flat = {size: us for size, us in result["us_per_entry"]["check"].items() if size >= FLAT_FROM} or {0: 1.0}
    result["goals"] = {
        "ratio": {"goal": GOAL_RATIO, "found": largest["recover"]["ratio"]["median"]},
        "rss_kib": {"goal": GOAL_RSS_KIB, "found": max(s[n]["rss_kib"] for s in result["sizes"] for n in ("recover", "check"))},
        "flat": {"goal": GOAL_FLAT, "found": round(max(flat.values()) / min(flat.values()), 3)}}
    for goal in result["goals"].values():
        goal["met"] = goal["found"] <= goal["goal"]


def enter_pid_namespace():
    """Of a list server that runs on this machine we want to see nothing: a pass refuses to work beside it."""
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "-p", "-f", "--kill-child", "--mount-proc"]
    if os.environ.get("UNDERSTUDY_TEST_PIDS") or subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        return
    os.environ["UNDERSTUDY_TEST_PIDS"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/dev/shm")
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--locks", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()
    result = {"machine": platform.platform(), "processors": os.cpu_count(), "locks": args.locks, "runs": args.runs,
              "file_system": subprocess.run(["findmnt", "-no", "FSTYPE", "-T", args.dir], capture_output=True, text=True,
                                            check=False).stdout.strip(), "sizes": []}
    empty = one_size(args, 0)
    result["empty"] = empty
    for size in (int(s) for s in args.sizes.split(",")):
        begin = time.monotonic()
        result["sizes"].append(one_size(args, size))
        found = result["sizes"][-1]
        for name in ("recover", "check"):
            print(f"{size:8} {name:8} {found[name]['ours_ms']['median']:10.1f} ms  find {found[name]['find_ms']['median']:10.1f} ms  "
                  f"ratio {found[name]['ratio']}  {found[name]['rss_kib']} KiB", flush=True)
        print(f"# {time.monotonic() - begin:.0f} s", file=sys.stderr)
    result["us_per_entry"] = {name: per_entry(result["sizes"], empty, name) for name in ("recover", "check")}
    judge(result)
    print(json.dumps({"us_per_entry": result["us_per_entry"], "goals": result["goals"]}, indent=1))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    return 0 if all(g["met"] for g in result["goals"].values()) else 1


if __name__ == "__main__":
    enter_pid_namespace()
    sys.exit(main())
