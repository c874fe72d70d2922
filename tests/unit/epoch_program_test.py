#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-epoch as an operator or the engine calls it: the protocol, and every guard of it."""
import json
import os
import subprocess
import sys

import program
from epoch_world import BOOT, EPOCH, RUN, World, records
from program import eq, run, test


@test
def init_makes_identity_and_the_first_epoch_once():
    with World(init=False) as w:
        eq(w.why(), "no-identity")
        w.code(4, "a", "claim", 1)
        w.ok("a", "init")
        before = w.files()
        eq(sorted(before), ["epoch.0", "identity"])
        for node in "ab":
            w.code(1, node, "init")
        eq(w.files(), before)
        look = w.read()
        eq((look["share"]["state"], look["last"]["n"], look["last"]["node"]), ("ok", "0", "-"))
        eq((look["last"]["ended"], look["share"]["open"]), ("1", "0"))


@test
def init_refuses_a_share_that_is_not_new():
    with World() as w:
        w.tenure("a", 1)
        os.unlink(w.dir + "/identity")
        w.code(1, "a", "init")          # this node has seen epochs
        w.code(1, "b", "init")          # this one has not, but there are some
        eq(sorted(w.files()), ["epoch.0", "epoch.1", "epoch.1.own"])
        for name in w.files():
            os.unlink(f"{w.dir}/{name}")
        w.code(1, "a", "init")          # empty, but not new to this node
        w.ok("b", "init")


@test
def a_tenure_from_claim_to_end():
    with World() as w:
        eq(w.ok("a", "claim", 1), "claim n=1 won=1\n")
        look = w.read()
        eq(look["open"], [{"n": "1", "node": "a", "boot": BOOT["a"], "run": RUN["a"], "owned": "0"}])
        eq(w.ok("a", "own", 1, "--proof", "b=not-needed"), "own n=1\n")
        eq(w.read()["open"][0]["owned"], "1")
        eq(w.ok("a", "end", 1, "--planned"), "end n=1 planned=1\n")
        look = w.read("b")
        eq((look["open"], look["last"]["owned"], look["last"]["ended"], look["last"]["planned"]), ([], "1", "1", "1"))
        eq((look["before"]["n"], look["before"]["ended"], look["before"]["planned"]), ("0", "1", "1"))
        w.ok("b", "claim", 2)
        look = w.read("b")
        eq((look["last"]["n"], look["before"]["n"], look["before"]["node"], look["before"]["planned"]), ("2", "1", "a", "1"))
        assert "proofs=b=not-needed\n" in w.text("epoch.1.own")
        eq([n for n in w.names() if n.startswith(".")], [], "unique files stay behind")


@test
def only_the_next_number_can_be_claimed_and_only_once():
    with World() as w:
        w.code(2, "a", "claim", 2)
        w.code(2, "a", "claim", 0)
        w.tenure("a", 1)
        before = w.files()
        w.code(3, "b", "claim", 1)
        w.code(3, "a", "claim", 1)
        eq(w.files(), before)
        w.ok("b", "claim", 2)
        w.code(3, "a", "claim", 2)


@test
def a_tenure_is_of_the_very_run_that_claimed():
    with World() as w:
        w.ok("a", "claim", 1)
        w.code(3, "b", "own", 1, "--proof", "a=off")
        w.code(3, "a", "own", 1, "--proof", "b=off", run_id="0000000000000001")
        w.code(3, "a", "own", 1, "--proof", "b=off", boot=BOOT["c"])
        w.code(3, "a", "own", 2, "--proof", "b=off")
        assert "epoch.1.own" not in w.names()
        w.ok("a", "own", 1, "--proof", "b=off")
        w.ok("a", "own", 1, "--proof", "b=off")  # again, by the same run: it has it


@test
def a_tenure_needs_an_unended_claim_that_is_the_highest():
    with World() as w:
        w.ok("a", "claim", 1)
        w.ok("b", "claim", 2)
        w.code(3, "a", "own", 1, "--proof", "b=off")
        w.ok("b", "end", 2, "--unplanned")
        w.code(3, "b", "own", 2, "--proof", "a=off")
        w.code(3, "a", "own", 1, "--proof", "b=off")
        eq([n for n in w.names() if n.endswith(".own")], [])


@test
def a_tenure_needs_a_proof_for_every_unended_lower_epoch():
    with World(nodes="abc") as w:
        w.tenure("a", 1)
        w.ok("b", "claim", 2)
        for proof in ("a=not-needed,c=off", "a=ended,c=off"):
            w.code(1, "b", "own", 2, "--proof", proof)
        for proof in ("c=off", "a=none,c=off", "a=off", "a=maybe,c=off", ""):
            w.code(2, "b", "own", 2, "--proof", proof)
        w.code(2, "b", "own", 2)
        assert "epoch.2.own" not in w.names()
        w.ok("b", "own", 2, "--proof", "a=off,c=not-needed")


@test
def an_unended_epoch_of_ones_own_earlier_run_needs_a_proof_too():
    with World() as w:
        w.tenure("a", 1)
        w.ok("a", "claim", 2, run_id="0000000000000001")
        w.code(1, "a", "own", 2, "--proof", "b=not-needed", run_id="0000000000000001")
        w.ok("a", "end", 1, "--unplanned", run_id="0000000000000001")
        w.ok("a", "own", 2, "--proof", "b=not-needed", run_id="0000000000000001")


@test
def an_end_is_of_the_node_and_stays_what_it_was():
    with World() as w:
        w.tenure("a", 1)
        w.code(3, "b", "end", 1, "--unplanned")
        w.code(1, "a", "end", 2, "--unplanned")
        w.code(1, "a", "end", 0x7fffffff, "--unplanned")
        w.code(2, "a", "end", 1)
        w.code(2, "a", "end", 1, "--planned", "--unplanned")
        eq(w.ok("a", "end", 1, "--unplanned", run_id="0000000000000001", boot=BOOT["c"]), "end n=1 planned=0\n")
        before = w.files()
        eq(w.ok("a", "end", 1, "--planned"), "end n=1 planned=0\n")
        eq(w.files(), before)
        w.code(3, "a", "own", 1, "--proof", "b=off")


def mount_it(*args):
    subprocess.run(["mount", *args], check=True)


@test
def the_share_must_be_the_mount_that_the_configuration_means():
    with World() as w:
        w.configure(more="control_fstype = tmpfs\ncontrol_source = control")
        w.read()
        w.configure(more="control_fstype = nfs4")
        eq(w.why(), "fstype")
        w.configure(more="control_source = server:/control")
        eq(w.why(), "source")
        w.code(4, "a", "claim", 1)
        w.configure(cluster="other")
        eq(w.why(), "other-cluster")
        w.configure()
        mount_it("-t", "tmpfs", "x", w.dir)
        eq(w.why(), "mounted-over")
        subprocess.run(["umount", w.dir], check=True)
        subprocess.run(["umount", w.share], check=True)
        eq(w.why(), "not-mounted")
        os.mkdir(w.dir)                             # the mount point's own folder, as a forgotten mount leaves it
        w.write("identity", "")
        eq(w.why(), "not-mounted")
        w.code(4, "a", "init")
        mount_it("-t", "tmpfs", "-o", "mode=0755", "control", w.share)
        eq(w.why(), "missing")


@test
def nobody_else_may_write_beside_the_epochs():
    with World() as w:
        os.chmod(w.dir, 0o775)
        eq(w.why(), "mode")
        os.chmod(w.dir, 0o755)
        os.chmod(w.share, 0o777)
        eq(w.why(), "mode")
        os.chmod(w.share, 0o1777)
        w.read()
        os.rename(w.dir, w.share + "/real")
        os.symlink("real", w.dir)
        eq(w.why(), "missing")


@test
def the_owner_is_understudys_user():
    with World() as w:
        try:
            os.chown(w.dir, 4321, 4321)
        except OSError as err:
            raise program.Skip("needs other users") from err
        eq(w.why(), "owner")
        w.code(4, "a", "claim", 1)


def broken(w, name, text, why="epoch-malformed"):
    """With `name` so, the share is wrong and nothing can be changed; afterwards it is as before."""
    path = f"{w.dir}/{name}"
    kept = w.text(name) if os.path.exists(path) else None
    if kept is not None:
        os.rename(path, w.share + "/kept")
    if text is not None:
        w.write(name, text)
    before = w.names()
    eq(w.why(), why, f"{name} = {text!r}")
    for args in (("claim", 3), ("own", 2, "--proof", "b=off"), ("end", 2, "--planned"), ("drain", "--duration", 1)):
        w.code(4, "a", *args)
    eq(w.names(), before)
    if text is not None:
        os.unlink(path)
    if kept is not None:
        os.rename(w.share + "/kept", path)
    w.read()


@test
def a_malformed_or_missing_file_never_counts():
    with World() as w:
        w.tenure("a", 1)
        w.ok("a", "end", 1, "--planned")
        w.tenure("a", 2)
        whole = {n: w.text(n) for n in w.files()}
        end = whole["epoch.1.end"]
        for name in ("epoch.2", "epoch.2.own", "epoch.1", "epoch.1.own", "epoch.1.end", "epoch.0"):
            broken(w, name, "")
            broken(w, name, whole[name][:-3])
            broken(w, name, whole[name] + "\n")
            broken(w, name, whole["identity"])
        broken(w, "epoch.2.end", end)                                   # the end of another number
        broken(w, "epoch.2.end", end.replace("n=1", "n=2").replace("node=a", "node=b"))  # written by another node
        broken(w, "epoch.2.own", whole["epoch.2.own"].replace(RUN["a"], RUN["b"]))
        broken(w, "epoch.2.own", whole["epoch.2.own"].replace(BOOT["a"], BOOT["b"]))
        broken(w, "epoch.2.own", whole["epoch.2.own"].replace("node=a", "node=b"))
        broken(w, "epoch.3.end", end.replace("n=1", "n=3"), "epoch-lost")  # of a claim that is not there
        broken(w, "epoch.1", None, "epoch-lost")
        broken(w, "epoch.0", None, "epoch-lost")
        broken(w, "epoch.5", whole["epoch.2"].replace("n=2", "n=5"), "epoch-lost")
        claim = whole["epoch.2"].replace("n=2", "n=3")
        broken(w, "epoch.3", claim.replace("node=a", "node=-"))         # of nobody, and no base
        broken(w, "epoch.3", claim.replace("kind=claim", "kind=base"))  # a base of somebody
        broken(w, "epoch.0", whole["epoch.1"].replace("n=1", "n=0"))
        broken(w, "epoch.02", whole["epoch.2"])
        broken(w, "epoch.2.end~", end)
        broken(w, "identity", "", "identity-malformed")
        broken(w, "identity", None, "no-identity")


@test
def a_file_that_is_not_plainly_ours_is_malformed():
    with World() as w:
        w.tenure("a", 1)
        path = w.dir + "/epoch.1.own"
        os.rename(path, w.share + "/own")
        os.symlink(w.share + "/own", path)
        eq(w.why(), "epoch-malformed", "symbolic link")
        os.unlink(path)
        os.mkfifo(path)
        eq(w.why(), "epoch-malformed", "fifo")
        os.unlink(path)
        os.mkdir(path)
        eq(w.why(), "epoch-malformed", "directory")
        os.rmdir(path)
        with open(w.share + "/own", encoding="ascii") as f:
            text = f.read()
        w.write("epoch.1.own", text + "x" * 5000)
        eq(w.why(), "epoch-malformed", "oversized")
        w.write("epoch.1.own", text)
        os.chmod(path, 0o666)
        eq(w.why(), "epoch-malformed", "writable for all")
        os.chmod(path, 0o644)
        w.read()
        try:
            os.chown(path, 4321, 4321)
        except OSError:
            return
        eq(w.why(), "epoch-malformed", "somebody else's")


@test
def a_share_behind_the_local_maximum_is_not_used():
    with World() as w:
        w.tenure("a", 1)
        w.read("b")
        w.code(3, "b", "claim", 1)                                      # now b has seen 1 as well
        for name in ("epoch.1", "epoch.1.own"):
            os.unlink(f"{w.dir}/{name}")
        before = w.files()
        for node in "ab":
            look = w.read(node, 5)
            eq((look["share"]["state"], look["share"]["highest"], look["share"]["local_max"]), ("behind", "0", "1"))
            w.code(5, node, "claim", 1)
            w.code(5, node, "drain", "--duration", 1)
        eq(w.files(), before)


@test
def the_local_maximum_is_believed_only_whole():
    with World() as w:
        w.tenure("a", 1)
        path = w.state("a") + "/epoch.max"
        with open(path, encoding="ascii") as f:
            text = f.read()
        for bad in ("", text[:-2], text.replace("n=1", "n=x"), "n=1\n"):
            with open(path, "w", encoding="ascii") as f:
                f.write(bad)
            eq(w.why(), "local-max")
            w.code(4, "a", "claim", 2)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        w.write("identity", w.text("identity").replace(w.read()["share"]["uuid"], BOOT["f"]))
        eq(w.why(), "other-identity")
        w.code(4, "a", "claim", 2)


@test
def an_epoch_of_a_node_that_nobody_knows_blocks():
    with World(nodes="abc") as w:
        w.tenure("c", 1)
        w.nodes = "ab"
        w.configure()
        eq(w.why(), "unknown-node")
        w.nodes = "abc"
        w.configure()
        w.ok("c", "end", 1, "--planned")
        w.ok("a", "claim", 2)
        w.nodes = "ab"
        w.configure()
        w.read()                                                        # it is neither open nor the last any more


@test
def recover_goes_on_above_everything():
    with World() as w:
        w.tenure("a", 1)
        w.tenure("b", 2)
        uuid = w.read()["share"]["uuid"]
        os.unlink(w.dir + "/epoch.1")
        w.write("identity", "damaged")
        eq(w.why(), "identity-malformed")
        w.ok("b", "init", "--recover", "--above", 7)
        look = w.read("b")
        eq((look["last"]["n"], look["last"]["node"], look["share"]["open"], look["share"]["uuid"]), ("8", "-", "0", uuid))
        assert any(n.startswith("identity.damaged.") for n in w.names())
        eq(w.read("a")["share"]["state"], "ok")                         # the other node knows the share again
        w.code(3, "a", "own", 8, "--proof", "b=off")
        w.tenure("a", 9, "b=not-needed")


@test
def read_tells_people_in_json():
    with World() as w:
        w.tenure("a", 1)
        code, out, _ = w.do("a", "read", "--json")
        look = json.loads(out)
        eq((code, look["state"], look["epochs"][0]["n"], look["epochs"][0]["owned"]), (0, "ok", 1, True))
        w.write("epoch.1.own", "")
        code, out, _ = w.do("a", "read", "--json")
        eq((code, json.loads(out)["why"]), (4, "epoch-malformed"))
        assert "init --recover" in json.loads(out)["action"]


@test
def wrong_usage_touches_nothing():
    with World() as w:
        before = w.names()
        for args in ((), ("fly",), ("claim",), ("claim", "x"), ("claim", -1), ("read", 1), ("drain",), ("read", 1, 2),
                     ("end", 1), ("--op", "x", "read"), ("--run", "12", "read"), ("--nonsense", "read")):
            w.code(2, "a", *args)
        code, out, err = run([EPOCH, "--config", w.conf, "--node", "z", "read"])
        eq((code, out), (2, ""))
        assert "'z'" in err
        eq(run([EPOCH, "--config", "/nonexistent", "read"])[0], 2)
        eq(w.names(), before)
        eq(records("share state=ok x=1\n")["share"]["x"], "1")


if __name__ == "__main__":
    program.enter_mount_namespace()
    sys.exit(program.main())
