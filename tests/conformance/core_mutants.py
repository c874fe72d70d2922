#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Breaks the core one way at a time and sees whether its tests notice: rules and guards are taken out, comparisons
turned, constants moved by one, conditions negated, statements and effects removed. Run by `make check-mutants`."""
import argparse
import multiprocessing
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FILES = ("rules.c", "guards.c", "facts.c", "blockers.c", "proof.c", "effects.c", "effects_proof.c", "turn.c", "step.c",
         "explain.c", "invariant.c")
STRICT = ("rule", "guard")  # of these none may survive without a reason
GOAL = 0.95                 # of all others
SWAPS = {"==": ("!=",), "!=": ("==",), "<=": ("<",), ">=": (">",), "<": ("<=",), ">": (">=",), "&&": ("||",), "||": ("&&",)}
OPERATOR = re.compile(r"->|<<|>>|\+=|-=|[=!<>]=|&&|\|\||[<>]")
NUMBER = re.compile(r"(?<![\w.\"'])(\d+)(ull|u)?(?![\w.\"'])")
STATEMENT = re.compile(r"^\s+(?!return\b|break|continue|case\b|default|else\b|if\b|for\b|while\b|static\b|const\b|struct\b|enum\b|"
                       r"bool\b|unsigned\b|uint\w+\b|size_t\b|int\b|\(void\))[\w*(].*;\s*(?:/\*.*\*/)?$")
RULE = re.compile(r"^(    \{ (\d+), )([A-Z(][^,]*)(, .*)$")
GUARD = re.compile(r"^bool (guard_\w+)\(")


class Mutant:
    def __init__(self, name, line, kind, before, after):
        self.name, self.line, self.kind = name, line, kind
        self.before, self.after = before, after

    def key(self):
        """What an explanation is found by: the mutated line, or the one that was removed; not its number, which moves."""
        text = self.before if self.kind == "statement" else self.after
        return self.name + " | " + self.kind + " | " + " ".join(text.split())

    def __str__(self):
        return f"{self.name}:{self.line} {self.kind}: {' '.join(self.before.split())}  ->  {' '.join(self.after.split())}"


def blank(line, inside):
    """Comments and strings as blanks of the same length, and whether a comment goes on after the line."""
    out, i = [], 0
    while i < len(line):
        if inside:
            end = line.find("*/", i)
            stop = len(line) if end < 0 else end + 2
            out.append(" " * (stop - i))
            inside, i = end < 0, stop
        elif line.startswith("/*", i):
            inside = True
        elif line[i] == '"':
            stop = line.index('"', i + 1) + 1
            out.append(" " * (stop - i))
            i = stop
        else:
            out.append(line[i])
            i += 1
    return "".join(out), inside


def closing(code, start):
    depth = 0
    for i in range(start, len(code)):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth == 0:
            return i
    return -1


def of_expression(code, line):
    """(kind, mutated line) for each operator, number and condition of one line of code."""
    for m in OPERATOR.finditer(code):
        for other in SWAPS.get(m.group(), ()):
            yield "comparison", line[:m.start()] + other + line[m.end():]
    for m in NUMBER.finditer(code):
        for value in {int(m.group(1)) + 1, int(m.group(1)) - 1} - {-1}:
            yield "constant", line[:m.start(1)] + str(value) + line[m.end(1):]
    for m in re.finditer(r"!(?=[a-z(])", code):
        yield "negation", line[:m.start()] + line[m.end():]
    m = re.search(r"\bif \(", code)
    end = closing(code, m.end() - 1) if m else -1
    if end > 0:
        yield "condition", line[:m.end()] + "!(" + line[m.end():end] + ")" + line[end:]
    if STATEMENT.match(code.rstrip()):
        yield "statement", line[:len(line) - len(line.lstrip())] + ";"


def of_rules(name, lines):
    inside_table = False
    for number, line in enumerate(lines, 1):
        inside_table = (inside_table or "core_rules[] = {" in line) and not line.startswith("}")
        m = RULE.match(line)
        if inside_table and m:
            yield Mutant(name, number, "rule", line, m.group(1) + "0" + m.group(4))
        for e in re.finditer(r"D\(\w+\)(, )?", line) if inside_table else ():
            yield Mutant(name, number, "effect", line, line[:e.start()] + line[e.end():])


def of_guard(name, lines, number):
    """A guard that is taken out lets everything pass; one that never passes is the rule taken out."""
    line = lines[number - 1]
    if "{ " in line:
        yield Mutant(name, number, "guard", line, re.sub(r"\{ .*", "{ (void)c; (void)e; return true; }", line))
    else:
        yield Mutant(name, number, "guard", line, "static " + line.replace("guard_", "unused_guard_") + "; " + line
                     + " { (void)c; (void)e; return true; } static " + line.replace("guard_", "unused_guard_"))


def mutants_of(core, name):
    lines = (core / name).read_text().split("\n")
    if name == "rules.c":
        yield from of_rules(name, lines)
        return
    inside = False
    for number, line in enumerate(lines, 1):
        code, inside = blank(line, inside)
        if GUARD.match(line):
            yield from of_guard(name, lines, number)
            start = code.find("{ ")
            code = code if start < 0 else " " * start + code[start:]
        if line.startswith("#") or line.startswith("static const"):
            continue
        for kind, after in of_expression(code, line):
            yield Mutant(name, number, kind, line, after)


class Bench:
    """Compiles one mutant and runs the tests against it: those of the core, then the table as it is written down (a rule or
    guard has to be found by what it does), then the simulator."""
    def __init__(self, arguments):
        self.source, self.build = arguments.source.resolve(), arguments.build.resolve()
        self.seeds, self.timeout = arguments.seeds, arguments.timeout
        self.core = self.source / "agent/core"
        self.unit = sorted(str(p) for p in (self.build / "tests/unit").glob("core_test-*.o"))
        world = (self.source / "tests/sim").glob("*.c")
        self.sim = sorted(str(self.build / "tests/sim" / (p.stem + ".o")) for p in world if p.stem != "mutants")

    def compile(self, mutant, folder):
        lines = (self.core / mutant.name).read_text().split("\n")
        lines[mutant.line - 1] = mutant.after
        (folder / mutant.name).write_text("\n".join(lines))
        command = ["gcc", "-std=c17", "-O1", "-w", "-fPIE", "-I", str(self.source / "agent"), "-I", str(self.build), "-c",
                   str(folder / mutant.name), "-o", str(folder / "mutant.o")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def link(self, folder, name, objects, libraries):
        subprocess.run(["gcc", "-pie", "-o", str(folder / name), *objects, str(folder / "mutant.o"),
                        str(self.build / "libcore.a"), *libraries], check=True, capture_output=True)

    def passes(self, folder, name):
        environment = dict(os.environ, SEEDS=str(self.seeds), top_srcdir=str(self.source), SIM_JOBS="1")
        try:
            done = subprocess.run([str(folder / name)], cwd=folder, env=environment, timeout=self.timeout, check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def verdict(self, mutant):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="core-mutant-"))
        try:
            if not self.compile(mutant, folder):
                return "invalid"
            self.link(folder, "unit", self.unit, ["-lcmocka"])
            if not self.passes(folder, "unit"):
                return "unit"
            self.link(folder, "table", [str(self.build / "tests/conformance/core_table_test.o")], [])
            if mutant.kind not in STRICT and not self.passes(folder, "table"):
                return "table"
            self.link(folder, "sim", self.sim, ["-lm"])
            return "survived" if self.passes(folder, "sim") else "sim"
        finally:
            shutil.rmtree(folder)


BENCH = None


def judge(mutant):
    return mutant, BENCH.verdict(mutant)


def explained(path):
    """The reasons, by key; a line that is none is a mistake in that file."""
    reasons = {}
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split(" | ")
        if len(parts) < 4 or not parts[-1].strip():
            sys.exit(f"{path}:{number}: want FILE | KIND | LINE | REASON, have: {line}")
        reasons[" | ".join(parts[:-1])] = parts[-1]
    return reasons


def report(results, reasons, complete):
    valid = [(m, v) for m, v in results if v != "invalid"]
    alive = [m for m, v in valid if v == "survived"]
    bad = [m for m in alive if m.key() not in reasons]
    for kind in sorted({m.kind for m, _ in valid}):
        of = [v for m, v in valid if m.kind == kind]
        print(f"# {kind:10} {len(of):4} mutants, {of.count('unit'):4} found by unit tests, {of.count('sim'):3} by the simulator,"
              f" {of.count('table'):2} by the written table, {of.count('survived'):3} survive")
    for mutant in alive:
        print(f"# survives: {mutant}" + ("" if mutant in bad else f"\n#   explained: {reasons[mutant.key()]}"))
    stale = sorted(set(reasons) - {m.key() for m in alive}) if complete else []
    for key in stale:
        print(f"# explained, but it does not survive or does not exist: {key}")
    others = [v for m, v in valid if m.kind not in STRICT]
    share = 1 - others.count("survived") / len(others) if others else 1
    print(f"# {len(valid)} mutants, {len(alive)} survive, {len(bad)} of them without a reason; other than rules and guards:"
          f" {100 * share:.1f} % found")
    return not bad and not stale and share >= GOAL


def main():
    global BENCH
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where core_test, sim_test and core_table_test were built")
    parser.add_argument("--seeds", type=int, default=3000, help="seeds of the simulator for each mutant")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one program; a hang counts as found")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="only mutants whose description matches this regular expression")
    parser.add_argument("--list", action="store_true", help="list the mutants, run nothing")
    arguments = parser.parse_args()
    BENCH = Bench(arguments)
    todo = [m for name in FILES for m in mutants_of(BENCH.core, name) if m.before != m.after and re.search(arguments.only, str(m))]
    if arguments.list:
        print("\n".join(str(m) for m in todo))
        return 0
    reasons = explained(arguments.source / "tests/conformance/core_mutants.explained")
    results = []
    with multiprocessing.Pool(arguments.jobs) as pool:
        for mutant, verdict in pool.imap_unordered(judge, todo):
            results.append((mutant, verdict))
            if verdict == "survived":
                print(f"# {len(results)}/{len(todo)} survived: {mutant}", flush=True)
    good = report(sorted(results, key=lambda r: (FILES.index(r[0].name), r[0].line)), reasons, not arguments.only)
    print(f"{'ok' if good else 'not ok'} 1 - the tests of the core find its mutants\n1..1")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
