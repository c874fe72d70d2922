#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which branches of the core do neither its unit tests nor the simulator take? Run by `make check-coverage`."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def compile_core(source, build, folder):
    """The core's objects with counters, and the three programs linked against them."""
    objects = []
    for path in sorted((source / "agent/core").glob("*.c")):
        objects.append(folder / (path.stem + ".o"))
        subprocess.run(["gcc", "-std=c17", "-O0", "--coverage", "-I", source / "agent", "-I", build, "-c", path, "-o", objects[-1]],
                       check=True, cwd=folder)
    world = [build / "tests/sim" / (p.stem + ".o") for p in (source / "tests/sim").glob("*.c") if p.stem != "mutants"]
    tests = {"unit": sorted((build / "tests/unit").glob("core_test-*.o")), "sim": world,
             "table": [build / "tests/conformance/core_table_test.o"]}
    for name, own in tests.items():
        subprocess.run(["gcc", "--coverage", "-o", folder / name, *own, *objects, "-lcmocka", "-lm"], check=True)
    return list(tests), objects


def run(source, folder, name, seeds):
    environment = dict(os.environ, top_srcdir=str(source), SEEDS=str(seeds), CMOCKA_MESSAGE_OUTPUT="TAP")
    done = subprocess.run([folder / name], cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:])
        sys.exit(f"core_coverage: {name} fails")


def branches(folder, objects):
    """(file, line, taken, all) for each line that has branches."""
    for path in objects:
        out = subprocess.run(["gcov", "--json-format", "--stdout", "-b", path], check=True, cwd=folder, capture_output=True).stdout
        for file in json.loads(out)["files"]:
            if not file["file"].endswith(".c"):
                continue
            for line in file["lines"]:
                if line["branches"]:
                    taken = sum(1 for b in line["branches"] if b["count"])
                    yield pathlib.Path(file["file"]).name, line["line_number"], taken, len(line["branches"])


def explained(path):
    reasons = {}
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.rsplit(" | ", 1)
        if len(parts) != 2 or " | " not in parts[0] or not parts[1].strip():
            sys.exit(f"{path}:{number}: want FILE | LINE OF CODE | REASON, have: {line}")
        reasons[parts[0]] = parts[1]
    return reasons


def report(core, rows, reasons):
    """An assertion has a side that is never taken: core_state_test.c dies of it, in a process that leaves no counters."""
    taken = every = excused = 0
    bad, used = [], set()
    for name, number, some, total in rows:
        code = " ".join((core / name).read_text().split("\n")[number - 1].split())
        key = f"{name} | {code}"
        every, taken = every + total, taken + some
        if some == total or code.startswith("assert("):
            excused += total - some
        elif key in reasons:
            used.add(key)
            excused += total - some
            print(f"# {name}:{number} {some} of {total}, explained: {reasons[key]}")
        else:
            bad.append(f"{name}:{number} {some} of {total} branches: {code}")
    for line in bad:
        print(f"# not taken: {line}")
    stale = sorted(set(reasons) - used)
    for key in stale:
        print(f"# explained, but taken or gone: {key}")
    print(f"# {taken} of {every} branches taken ({100 * taken / every:.2f} %), {excused} more are assertions or explained")
    return not bad and not stale


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where core_test, sim_test and core_table_test were built")
    parser.add_argument("--seeds", type=int, default=20000)
    arguments = parser.parse_args()
    source, build = arguments.source.resolve(), arguments.build.resolve()
    with tempfile.TemporaryDirectory(prefix="core-coverage-") as name:
        folder = pathlib.Path(name)
        tests, objects = compile_core(source, build, folder)
        for test in tests:
            run(source, folder, test, arguments.seeds)
        good = report(source / "agent/core", list(branches(folder, objects)),
                      explained(source / "tests/conformance/core_coverage.explained"))
    print(f"{'ok' if good else 'not ok'} 1 - every branch of the core is taken or explained\n1..1")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
