# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's five minutes, typed as they stand there: what is printed has to be what the README shows.

Numbers may differ, as may durations and the width of columns; three dots stand for any text, alone for any lines. The
commands of deploy/ bring the lab up and end it, which is done here beforehand: their own test is a run of theirs."""
import os
import pathlib
import re
import shlex
import subprocess
import time

import pytest

import labconf
from testlab import needs_product

TOP = pathlib.Path(labconf.HERE).parent.parent
SECTION = re.compile(r"^## Five minutes with it\n(.*?)^## ", re.M | re.S)
COMMAND_S = 180
LOOKS = (" status", " explain", " maintenance", " locks", " queue")   # they change nothing


def read_tour(text):
    """[(command, [line, ...]), ...] of the section's indented blocks."""
    found = []
    for line in SECTION.search(text).group(1).splitlines():
        if line.startswith("    $ "):
            found.append((line[6:].split(" # ")[0].strip(), []))
        elif line.startswith("    "):
            found[-1][1].append(line[4:])
    return found


FREE = {"duration": r"\d+(?:\.\d+)? (?:ms|s|min)\b", "number": r"\d+", "blank": r"[ \t]+", "dots": r"\.\.\."}
MEANS = {**FREE, "dots": ".*"}
WORD = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in FREE.items()))


def line_pattern(line):
    """Words as they are; what stands for a duration, a number, a blank or anything as such."""
    text, pattern, at = line.strip(), "", 0
    for found in WORD.finditer(text):
        pattern += re.escape(text[at:found.start()]) + MEANS[found.lastgroup]
        at = found.end()
    return rf"[ \t]*{pattern}{re.escape(text[at:])}[ \t]*\n"


def output_pattern(lines):
    return "".join(r"(?:.*\n)*?" if line.strip() == "..." else line_pattern(line) for line in lines)


def matches(shown, printed):
    """Empty lines do not count."""
    return re.fullmatch(output_pattern(shown), "".join(f"{line}\n" for line in printed.splitlines() if line.strip()))


def test_numbers_may_differ_and_words_may_not():
    shown = ["epoch 3,  node a", "took 9.5 s ... all", "...", "verdict: pass"]
    assert matches(shown, "epoch 12, node a\ntook 81 ms after all\nmore\n\nverdict: pass\n")
    assert matches(shown, "epoch 12, node a\ntook 1 min in all\nverdict: pass\n")
    for wrong in ("epoch 12, node b\ntook 2 s in all\nverdict: pass\n", "epoch 12, node a\ntook 2 s in all\nverdict: fail\n",
                  "epoch 12, node a\ntook 2 s in all\nverdict: pass\nand a warning\n",
                  "epoch 12, node a\nverdict: pass\n", "epoch 12, node a\ntook long in all\nverdict: pass\n"):
        assert not matches(shown, wrong), wrong


def test_a_command_and_what_it_prints():
    text = "# x\n\n## Five minutes with it\n\nSo:\n\n    $ a b   # why\n    one\n\n    $ c\n\n## Next\n    $ d\n"
    assert read_tour(text) == [("a b", ["one"]), ("c", [])]


@pytest.fixture(name="kept", scope="module")
def fixture_kept(lab):
    """As deploy/demo --keep leaves it; for that the lab has to be a new one, in which a is active."""
    demo = subprocess.run([os.path.join(labconf.HERE, "lab"), "--dir", str(lab.dir), "drill", "power-off", "--messages", "200"],
                          capture_output=True, text=True, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    return lab


def type_command(kept, command):
    done = subprocess.run(shlex.split(command), cwd=TOP, env={**os.environ, "UNDERSTUDY_LAB": str(kept.dir)},
                          capture_output=True, text=True, timeout=COMMAND_S, check=False)
    print(f"$ {command}\n{done.stdout}{done.stderr}")
    return done, done.stdout + done.stderr


@needs_product
def test_the_tour_prints_what_the_readme_shows(kept):
    tour = read_tour((TOP / "README").read_text(encoding="utf-8"))
    commands = [command for command, _ in tour]
    assert commands[0] == "./deploy/demo --keep" and commands[-1] == "./deploy/demo --down"
    for word in ("status", "explain", "report", "switchover", "maintenance on", "drill runner-killed"):
        assert any(word in command for command in commands), f"the tour does without '{word}'"
    wrong = []
    for command, shown in tour[1:-1]:
        done, printed = type_command(kept, command)
        if command.endswith(LOOKS) and not matches(shown, printed):
            time.sleep(1)       # a person types slower than the other node reads the share
            done, printed = type_command(kept, command)
        if done.returncode != 0 or not shown or not matches(shown, printed):
            wrong.append(f"$ {command}\nshown in README:\n" + "\n".join(shown) + f"\nprinted, exit {done.returncode}:\n{printed}")
    assert not wrong, "\n\n".join(wrong)
