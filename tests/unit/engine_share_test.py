#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""The real engine process on a control share that answers and takes nothing, and on a node that can start nothing."""
import struct
import sys

sys.dont_write_bytecode = True
from engine_lib import cut_power_of_peer, main, now_ms, peer_active, test, world  # noqa: E402


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


def serving(name, **fields):
    """a is active under epoch 1, b is not there."""
    w = world(name, **fields)
    w.until(lambda: w.state() == "active")
    w.pause(0.3)
    return w


def asked(w, job, since_ms):
    return [at for name, _, at in w.runs if name == job and at >= since_ms]


@test
def a_list_share_that_takes_nothing_closes_intake_and_is_waited_for():
    w = serving("lists-full")
    try:
        w.fail["state-probe"] = (4, "writing a file in /srv/lists/queue: No space left on device\n")
        w.until(lambda: "intake-close" in w.jobs() and why_of(w, "list-share-unwritable"), 5)
        why = why_of(w, "list-share-unwritable")
        assert "No space left" in why["detail"] and "list share" in why["action"], why
        assert any(a["reason"] == "list-share-unwritable" for a in w.status()["alerts"])
        del w.fail["state-probe"]
        w.until(lambda: "intake-open" in w.jobs() and why_of(w, "list-share-unwritable") is None, 5)
        assert w.state() == "active"
    finally:
        w.close()


DEFERRED = "deferred unit=list:a%20b reason=locked tries={tries} age_ms=40 next_in_ms={next}\n"
DEFER = "defer epoch={epoch} units={units} oldest_ms=40 tries=1 next_in_ms={next} dropped=0 unreaped=0\n"


def put_off(units, next_in_ms, epoch=1):
    return (DEFERRED.format(tries=1, next=next_in_ms) * units + DEFER.format(epoch=epoch, units=units, next=next_in_ms)
            + f"summary locks_cleared=0 bak=0 pck=0 tmp=0 quarantined=0 shunt=0 bad=0 duplicate_bound=0 deferred={units}\n")


@test
def what_is_put_off_is_shown_and_tried_again_while_active():
    w = world("deferred", records={"state-recover": put_off(1, 1500), "state-retry": put_off(1, 1200)})
    try:
        w.until(lambda: w.state() == "active")
        active_ms = now_ms()
        shown = w.status()["deferred"]
        assert (shown["units"], shown["oldest"][0]["unit"], shown["oldest"][0]["reason"]) == (1, "list:a%20b", "locked"), shown
        w.until(lambda: len(asked(w, "state-retry", active_ms)) == 2, 5)
        run = next(r for name, r, _ in w.runs if name == "state-retry")
        assert (run.epoch, run.no_stuck) == (1, 0)
        w.records["state-retry"] = put_off(0, 0)
        w.until(lambda: w.status()["deferred"] is None, 5)
        n = w.jobs().count("state-retry")
        w.pause(2)
        assert w.jobs().count("state-retry") == n
    finally:
        w.close()


@test
def a_retry_does_not_outlive_the_tenure():
    w = world("deferred-release", records={"state-recover": put_off(1, 300), "state-retry": put_off(1, 300)})
    try:
        w.until(lambda: w.state() == "active")
        w.hang.add("state-retry")
        w.until(lambda: "state-retry" in w.jobs(), 5)
        w.quorate = False
        w.members_send()
        w.until(lambda: any(e[0] == "cancel" for e in w.events), 5)
        w.until(lambda: w.state() in ("stopping", "ending", "passive"), 5)
        n = w.jobs().count("state-retry")
        w.pause(1.5)
        assert w.jobs().count("state-retry") == n
    finally:
        w.close()


@test
def a_takeover_onto_a_full_list_share_waits_for_space():
    w = world("no-room", members=[1, 2], peer_alive=True)
    try:
        w.fail["state-recover"] = (4, "making a file in /srv/lists/queue: No space left on device\n")
        w.members_send()
        w.until(lambda: w.jobs().count("state-recover") >= 3, 10)
        assert w.state() == "recover" and "service-stop" not in w.jobs()[w.jobs().index("epoch-own"):]
        why = why_of(w, "list-share-unwritable")
        assert "No space left" in why["detail"], why
        del w.fail["state-recover"]
        w.until(lambda: w.state() == "active", 5)
    finally:
        w.close()


@test
def a_shortage_of_some_seconds_stops_nothing():
    w = serving("short")
    try:
        begun = now_ms()
        w.fail["service-monitor"] = w.fail["address-monitor"] = (-1011, "")
        w.until(lambda: why_of(w, "start-refused"), 3)
        w.pause(3)
        assert "service-monitor" in str(why_of(w, "start-refused")), why_of(w, "start-refused")
        tries = len({run.op_id for name, run, at in w.runs if name == "service-monitor" and at >= begun})
        assert tries == 1 and 9 <= len(asked(w, "service-monitor", begun)) <= 20, asked(w, "service-monitor", begun)
        w.until(lambda: "goes on unwatched" in (why_of(w, "start-refused") or {"detail": ""})["detail"], 2)
        w.fail.clear()
        w.until(lambda: not why_of(w, "start-refused"), 4)
        w.pause(1)
        assert w.state() == "active" and w.status()["failures"] == 0 and not w.status()["alerts"], w.status()
        assert not asked(w, "service-stop", begun), w.jobs()
    finally:
        w.close()


@test
def a_shortage_that_lasts_ends_in_a_stop():
    """The look has 10 s, and is tried for three quarters of that."""
    w = serving("long")
    try:
        w.fail["service-monitor"] = (-1011, "")
        begun = len(w.runs)
        w.until(lambda: [n for n, _, _ in w.runs[begun:] if n == "service-monitor"], 3)
        first = next(at for n, _, at in w.runs[begun:] if n == "service-monitor")
        w.until(lambda: asked(w, "service-stop", first), 10)
        assert 6900 <= asked(w, "service-stop", first)[0] - first <= 7800, asked(w, "service-stop", first)[0] - first
    finally:
        w.close()


@test
def who_can_start_nothing_and_has_to_stop_says_at_once_that_it_has_not():
    """No quorum any more, in the middle of a shortage: nothing waits for the look that does."""
    w = serving("stop")
    try:
        w.fail["service-monitor"] = w.fail["service-stop"] = w.fail["address-stop"] = (-1011, "")
        w.until(lambda: why_of(w, "start-refused"), 3)
        w.pause(0.5)
        w.quorate = False
        w.members_send()
        cut = now_ms()
        w.until(lambda: w.state() == "hold", 2)
        assert asked(w, "service-stop", cut)[0] - cut < 300, asked(w, "service-stop", cut)[0] - cut
        assert why_of(w, "stop-unproven") and why_of(w, "start-refused") and w.permit == 0, w.status()["why"]
        assert not [r for n, r, _ in w.runs if n == "epoch-end"]
        looks = len(asked(w, "service-monitor", cut))
        w.pause(1)
        assert len(asked(w, "service-monitor", cut)) == looks
        w.fail.clear()
        w.until(lambda: [r for n, r, _ in w.runs if n == "epoch-end"], 4)
    finally:
        w.close()


@test
def a_step_of_the_takeover_that_hangs_is_named():
    w = peer_active("slow-step")
    try:
        w.hang.add("state-recover")
        cut_power_of_peer(w)
        w.until(lambda: w.state() == "recover", 8)
        assert why_of(w, "step-slow") is None, w.status()["why"]
        w.until(lambda: why_of(w, "step-slow"), 5)
        why = why_of(w, "step-slow")
        assert "step recover (state-recover) of epoch 2" in why["detail"] and "it has 60000 ms" in why["detail"], why
        assert 3000 <= why["value"] < 4500 and "NFS server" in why["action"] and why["node"] == "a", why
        w.hang.clear()
        for op, (run, _) in list(w.running.items()):
            w.running[op] = (run, now_ms())
        w.until(lambda: w.state() == "active", 8)
        assert why_of(w, "step-slow") is None, w.status()["why"]
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main())
