#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""The real engine process on a control share that answers and takes nothing, and on a node that can start nothing."""
import struct
import sys

sys.dont_write_bytecode = True
from engine_lib import cut_power_of_peer, main, peer_active, test  # noqa: E402


def why_of(w, reason):
    return next((y for y in w.status().get("why", []) if y["reason"] == reason), None)


def says_ready(w):
    """To the other node: nobody hands the service to a node that could not claim."""
    return bool(struct.unpack_from("<I", w.cpg, 68)[0] & 16)


@test
def claims_that_fail_have_a_name_and_a_way_out():
    w = peer_active("claim-fails")
    try:
        w.fail["epoch-claim"] = (1, "understudy-epoch: making a unique file: No space left on device\n")
        cut_power_of_peer(w)
        w.until(lambda: w.jobs().count("epoch-claim") >= 1)
        w.pause(0.3)
        assert why_of(w, "claim-failed") is None, "one may have lost to another node"
        w.until(lambda: why_of(w, "claim-failed"), 5)
        why = why_of(w, "claim-failed")
        assert "No space left on device" in why["detail"] and "control share" in why["action"] and why["node"] == "a", why
        del w.fail["epoch-claim"]
        w.until(lambda: w.state() == "active", 8)
        assert why_of(w, "claim-failed") is None, w.status()["why"]
    finally:
        w.close()


@test
def a_claim_has_the_time_of_several_answers():
    """share_deadline is 1 s, for one answer; a claim is a look, a file, its link and another look."""
    w = peer_active("claim-slow")
    try:
        w.takes_ms["epoch-claim"] = 3000
        cut_power_of_peer(w)
        w.until(lambda: w.state() == "active", 8)
        assert w.jobs().count("epoch-claim") == 1 and w.epochs[-1].n == 2, w.jobs()
    finally:
        w.close()


@test
def claims_that_are_not_done_in_time_have_a_name_too():
    w = peer_active("claim-late")
    try:
        w.hang.add("epoch-claim")
        cut_power_of_peer(w)
        w.until(lambda: why_of(w, "claim-failed"), 12)
        assert "not done at its deadline" in why_of(w, "claim-failed")["detail"], why_of(w, "claim-failed")
    finally:
        w.close()


@test
def a_share_that_takes_nothing_is_named_while_it_lasts():
    w = peer_active("unwritable")
    try:
        assert why_of(w, "share-unwritable") is None
        w.until(lambda: says_ready(w), 3)
        w.beat_error = " write_errno=30"
        w.until(lambda: why_of(w, "share-unwritable"), 3)
        why = why_of(w, "share-unwritable")
        assert "Read-only file system" in why["detail"] and "/srv/control" in why["detail"] and "server" in why["action"], why
        assert w.status()["state"] == "passive" and w.status()["share"]["state"] == "ok", w.status()["share"]
        w.until(lambda: not says_ready(w), 3)
        w.beat_error = ""
        w.until(lambda: not why_of(w, "share-unwritable") and says_ready(w), 3)
    finally:
        w.close()


@test
def a_node_that_can_not_start_programs_says_so():
    """EAGAIN (11) is something used up; EPERM (1) is the executor's word about this one program."""
    w = peer_active("starts-nothing")
    try:
        w.fail["fence-status"] = (-1001, "")
        w.until(lambda: [f for f in w.status().get("fencing", []) if "Operation not permitted" in f.get("last_text", "")], 35)
        assert why_of(w, "start-refused") is None, why_of(w, "start-refused")
        w.fail.update({"fence-status": (-1011, ""), "epoch-claim": (-1011, "")})
        cut_power_of_peer(w)
        w.until(lambda: why_of(w, "start-refused"), 5)
        why = why_of(w, "start-refused")
        assert "epoch-claim: Resource temporarily unavailable" in why["detail"] and "processes" in why["action"], why
        w.until(lambda: "could not be started" in (why_of(w, "claim-failed") or {"detail": ""})["detail"], 5)
        del w.fail["epoch-claim"], w.fail["fence-status"]
        w.until(lambda: w.state() == "active", 8)
        assert why_of(w, "start-refused") is None, w.status()["why"]
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main())
