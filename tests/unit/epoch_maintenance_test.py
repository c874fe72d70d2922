#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The file beside the epochs that suspends claims: made, seen, removed, and killed in between."""
import json
import os
import re
import sys

import program
from epoch_world import BOOT, RUN, World, records
from program import eq, test


def maintained(w, node="a"):
    return w.read(node)["maintenance"]


OFF = {"state": "off", "node": "-", "since": "-", "reason": "-"}


@test
def maintenance_is_on_from_maintain_to_unmaintain():
    with World() as w:
        eq(maintained(w), OFF)
        before = w.files()
        out = records(w.ok("a", "maintain", "--reason", 'new "disk" 100% \\o/ für b'))["maintenance"]
        eq(maintained(w, "b"), out)
        eq((out["state"], out["node"], len(out["since"])), ("on", "a", 20))
        eq(out["reason"], "new%20%22disk%22%20100%25%20%5Co/%20f??r%20b")
        text = w.text("maintenance")
        assert f"node=a\nboot={BOOT['a']}\nrun={RUN['a']}\nop=1\nsince={out['since']}\nreason={out['reason']}\n" in text, text
        told = json.loads(w.do("b", "read", "--json")[1])["maintenance"]
        eq(told, {"state": "on", "node": "a", "since": out["since"], "reason": 'new "disk" 100% \\o/ f??r b'})
        eq(records(w.ok("b", "maintain", "--reason", "other"))["maintenance"], out)   # already: since when, by whom
        eq(w.text("maintenance"), text)
        eq(records(w.ok("b", "unmaintain"))["maintenance"], OFF)
        eq((maintained(w), "maintenance" in w.names()), (OFF, False))
        w.ok("a", "unmaintain")                                         # gone already
        eq(records(w.ok("a", "maintain"))["maintenance"]["reason"], "-")
        eq(w.files(), before)


@test
def a_reason_has_a_bound():
    with World() as w:
        w.code(2, "a", "maintain", "--reason", "x" * 81)
        eq(maintained(w), OFF)
        eq(records(w.ok("a", "maintain", "--reason", "%" * 80))["maintenance"]["reason"], "%25" * 80)
        eq(maintained(w)["reason"], "%25" * 80)


@test
def nothing_is_claimed_under_maintenance():
    with World() as w:
        w.tenure("a", 1)
        w.ok("a", "maintain")
        before = w.files()
        w.code(1, "b", "claim", 2)
        eq(w.files(), before)
        w.ok("a", "own", 1, "--proof", "b=off")                         # what is there goes on
        w.ok("a", "end", 1, "--planned")
        w.code(1, "b", "claim", 2)
        w.ok("a", "unmaintain")
        w.ok("b", "claim", 2)


@test
def a_malformed_maintenance_file_is_neither_off_nor_on():
    with World() as w:
        w.ok("a", "maintain", "--reason", "why")
        text, path = w.text("maintenance"), w.dir + "/maintenance"
        bad = {"state": "malformed", "node": "-", "since": "-", "reason": "-"}
        for torn in ("", text[:-2], text + "\n", text.replace("since=2", "since=x"), text.replace("reason=why", "reason=%zz"),
                     text.replace("reason=why", "reason="), text.replace("kind=maintenance", "kind=beat")):
            w.write("maintenance", torn)
            eq(maintained(w), bad, torn)
            w.code(1, "b", "claim", 1)
            w.code(1, "a", "maintain")                                  # no adoption under it: not a success
        w.write("maintenance", text)
        os.chmod(path, 0o666)
        eq(maintained(w), bad)
        os.chmod(path, 0o644)
        eq(maintained(w)["state"], "on")
        for make in (os.mkfifo, lambda p: os.symlink("identity", p), lambda p: os.symlink("nowhere", p)):
            os.unlink(path)
            make(path)
            eq(maintained(w), bad)
        w.ok("b", "unmaintain")
        eq(maintained(w), OFF)
        os.mkdir(path)
        eq(maintained(w), bad)
        w.code(1, "a", "unmaintain")                                    # a directory is for a person to look at
        os.rmdir(path)
        w.ok("a", "claim", 1)


@test
def maintenance_needs_the_right_share():
    with World() as w:
        w.configure(cluster="other")
        w.code(4, "a", "maintain")
        w.configure()
        eq(maintained(w), OFF)
        w.ok("a", "maintain")
        w.configure(cluster="other")
        w.code(4, "a", "unmaintain")
        w.configure()
        eq(maintained(w)["state"], "on")


@test
def maintain_and_unmaintain_believe_only_what_a_fresh_look_shows():
    with World() as w:
        for shim in ("link-lies", "link-none-eexist"):
            eq(w.code(1, "a", "maintain", shim=shim), "")
        for error in ("EIO", "EACCES", "ESTALE"):
            eq(w.code(1, "a", "maintain", strace=["-e", f"inject=linkat:error={error}"]), "")
        eq(w.read("b")["maintenance"]["state"], "off")
        for shim in ("link-done-eexist", "link-done-eio"):
            w.ok("a", "maintain", shim=shim)
            for error in ("EIO", "EACCES", "ESTALE", "ENOENT"):         # refused, or a lie: it is still there
                eq(w.code(1, "a", "unmaintain", strace=["-e", f"inject=unlinkat:error={error}"]), "")
            eq(w.code(1, "a", "unmaintain", strace=["-e", "inject=unlinkat:retval=0"]), "")
            eq(w.read("b")["maintenance"]["state"], "on")
            w.ok("a", "unmaintain")
        eq(w.code(1, "a", "maintain", shim="none", SHIM_AFTER=f"rm {w.dir}/maintenance"), "")
        for command in ("maintain", "unmaintain"):
            for when in range(1, 4):
                code, out, err = w.do("a", command, strace=["-e", f"inject=fsync:error=EIO:when={when}"])
                if code == 0:
                    break
                assert (code, out) == (1, "") and err, (command, when, code, out, err)
            assert when > 1, command                                    # not durable, not done
            w.ok("a", command)


@test
def unmaintain_is_durable_before_it_says_so():
    with World() as w:
        log = w.top + "/log"
        w.ok("a", "maintain")
        w.ok("a", "unmaintain", strace=["-o", log, "-y"])
        with open(log, encoding="utf-8") as f:
            calls = f.read()
        at = 0
        for step in (r'unlinkat\([^\n]*"maintenance"', r"fsync\([^\n]*\.understudy>\)", r'openat\([^\n]*"\.", O_RDONLY',
                     r"getdents64", r'write\(1<[^\n]*"maintenance state=off'):
            found = re.compile(step).search(calls, at)
            assert found, f"{step} is not there, or too early"
            at = found.end()


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
