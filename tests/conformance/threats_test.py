#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""threats.md names tests that there are, for every attacker of the threat model."""
import os
import re
import sys

TOP = os.environ.get("top_srcdir", ".")
ATTACKERS = [f"A{n}" for n in range(1, 8)]


def read_rows(text):
    """[(attacker, must hold, [test, ...]), ...]"""
    rows = []
    for line in text.splitlines():
        if line.startswith("| A"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            rows.append((cells[0].split()[0], cells[1], cells[2].split() if len(cells) == 3 else []))
    return rows


def registered(path, name, text):
    """A test that is there and that its file runs."""
    if path.endswith(".c"):
        return re.search(rf"^static void {name}\(void \*\*\w+\)", text, re.M) and len(re.findall(rf"\b{name}\b", text)) > 1
    if os.path.basename(path).startswith("test_"):
        return re.search(rf"^def {name}\(", text, re.M) and name.startswith("test_")
    if re.search(rf"^@test\ndef {name}\(", text, re.M):
        return True
    return re.search(rf"^def {name}\(", text, re.M) and len(re.findall(rf"\b{name}\b", text)) > 1     # a list of its own


def mistakes(rows, read):
    found = [f"{a} has no row" for a in ATTACKERS if a not in {row[0] for row in rows}]
    for attacker, holds, tests in rows:
        if attacker not in ATTACKERS or not holds or not tests:
            found.append(f"{attacker}: {holds!r} has no test, or is for nobody")
        for test in tests:
            path, colon, name = test.partition(":")
            text = read(path) if colon else None
            if text is None:
                found.append(f"{test}: there is no such file")
            elif not registered(path, name, text):
                found.append(f"{test}: there is no such test in it")
    return found


def read_file(path):
    try:
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            return f.read()
    except OSError:
        return None


def the_table_is_true():
    with open(os.path.join(TOP, "tests/conformance/threats.md"), encoding="utf-8") as f:
        rows = read_rows(f.read())
    found = mistakes(rows, read_file)
    assert len(rows) > len(ATTACKERS) and not found, "\n".join(found)


def what_is_not_there_is_found():
    """The check itself: a wrong file, a wrong name, a helper that is no test, a row without any, an attacker left out."""
    files = {"tests/unit/x.c": "static void one(void **s)\n{\n}\n cmocka_unit_test(one)\nstatic void idle(void **s)\n",
             "tests/unit/x_test.py": "@test\ndef two():\n    pass\ndef helper():\n    pass\n",
             "tests/lab/test_x.py": "def test_three(lab):\n    pass\ndef four():\n    pass\n"}
    good = [(a, "holds", ["tests/unit/x.c:one", "tests/unit/x_test.py:two", "tests/lab/test_x.py:test_three"]) for a in ATTACKERS]
    assert not mistakes(good, files.get)
    for bad in ("tests/unit/y.c:one", "tests/unit/x.c:two", "tests/unit/x.c:idle", "tests/unit/x_test.py:helper",
                "tests/lab/test_x.py:four", "tests/unit/x.c"):
        assert len(mistakes([*good, ("A1", "holds", [bad])], files.get)) == 1, bad
    assert mistakes([*good, ("A1", "holds", [])], files.get) and mistakes(good[1:], files.get) == ["A1 has no row"]


def main():
    failed = False
    tests = (the_table_is_true, what_is_not_there_is_found)
    print(f"1..{len(tests)}")
    for i, fn in enumerate(tests, 1):
        try:
            fn()
            print(f"ok {i} - {fn.__name__}")
        except AssertionError as err:
            failed = True
            print("".join(f"# {line}\n" for line in str(err).splitlines()), end="")
            print(f"not ok {i} - {fn.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
