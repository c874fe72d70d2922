#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""What the engine does when this node has no memory left: it asks for no step out of order, claims nothing that it has not,
goes on or ends, and an operator gets a sentence. Some allocations of each part of a course fail, alone and with all that follow."""
import json
import multiprocessing
import os
import sys

sys.dont_write_bytecode = True
import engine_lib  # noqa: E402
from engine_fake import BOOT_B, CONFIG, RELOAD, RELOADED, RUN_B, Epoch  # noqa: E402
from engine_lib import ask, main, test  # noqa: E402
from nomem_world import Silent, World, need  # noqa: E402

RUNS = int(os.environ.get("RESOURCE_RUNS", "3"))    # how many of the allocations of one part of a course fail, one a run
AT_ONCE = 6                                         # courses; they wait most of the time
READY = 7 | 16
SETTINGS = CONFIG.replace("stop_timeout = 5s\n", "stop_timeout = 5s\nmonitor_interval = 500ms\n")
# libini_config and libseccomp do not bear it, as in resources_test.py; who ends so is started again by the executor
DEATHS = (-6, -11, -31)


def begin(name, deny=None):
    """b is active under epoch 1 and in the ring."""
    w = World(engine_lib.ENGINE, os.path.join(engine_lib.TOP, name), config=SETTINGS, deny=deny)
    e = Epoch(1, "b", BOOT_B, RUN_B)
    e.owned = True
    w.epochs, w.peer_alive, w.peer_beats, w.members = [Epoch(0, ended=True), e], True, "moving", [1, 2]
    w.members_send()
    return w


def settle(w, state, limit_s=12):
    w.until(lambda: w.state() == state, limit_s)


# ---- the parts of a course: what is done without memory, and what has to be so once there is some again

def passive(w):
    w.pause(1.2)


def passive_after(w):
    settle(w, "passive")


def takeover(w):
    engine_lib.cut_power_of_peer(w)
    try:
        w.until(lambda: w.state() == "active", 2)
    except TimeoutError:
        pass


def takeover_after(w):
    settle(w, "active")


def active(w):
    w.pause(0.8)


KEYS = {"status": {"role", "state", "nodes", "why", "share", "fencing", "alerts", "claim", "last_rule", "last_release"},
        "explain": {"role", "state", "why", "safety"}}


def answered(w, *words, patience_s=5):
    """(taken, stdout). Refused: with a sentence. A client may be left without an answer when it connects: it says so at its own
    deadline, which is not always waited for here."""
    try:
        code, out, err = ask(w, *words, limit_s=patience_s)
    except TimeoutError:
        need(words[0] not in KEYS, "no answer in time", words)
        return False, ""
    need(code == 0 or len((out + err).split()) >= 3, "no sentence", words, code, out, err)
    return code == 0, out


def told(w, word):
    """An answer is whole, or an error with a sentence."""
    taken, out = answered(w, word, "--json")
    if not taken:
        return False
    answer = json.loads(out)
    need(KEYS[word] <= set(answer), "half an answer", word, out)
    need("nodes" not in answer or len(answer["nodes"]) == len(answer["fencing"]) == 2, "half an answer", word, out)
    return True


def status(w):
    return told(w, "status")


def explain(w):
    return told(w, "explain")


def questions(w):
    status(w)
    explain(w)


def maintenance(w):
    return answered(w, "maintenance", "on", "--reason", "a new disk", patience_s=2)[0]


def reload(w):
    def executor():
        if any(m.kind == RELOAD for m in w.other):
            w.other.clear()
            w.send(w.ex, RELOADED, lambda u: setattr(u, "status", 0))
    w.each_step, digest = executor, w.digest
    taken, _ = answered(w, "reload")
    w.each_step = None
    need(w.digest == digest, "the configuration is another after the reload")
    return taken


def switchover(w):
    w.peer_boot = BOOT_B.replace("b", "c")      # it was off, and has booted
    w.power[1], w.peer_alive, w.peer_beats, w.peer_flags = "on", True, "moving", READY
    w.ring, w.members = w.ring + 1, [1, 2]
    w.members_send()
    w.pause(0.4)
    w.release_asked = True
    w.each_step = lambda: setattr(w, "peer_state", "active") if w.epochs[-1].ended else None
    answered(w, "switchover", "b", patience_s=10)
    w.each_step = None


def switchover_after(w):
    w.until(lambda: w.state() in ("active", "passive"), 12)
    need(w.state() == "active" or w.epochs[-1].ended, "passive, and its end is not written")


PARTS = (("passive", passive, passive_after), ("takeover", takeover, takeover_after), ("active", active, takeover_after),
         ("questions", questions, takeover_after), ("maintenance", maintenance, takeover_after),
         ("reload", reload, takeover_after), ("switchover", switchover, switchover_after))


def course(args):
    """All parts in turn. COUNTS: how many allocations each makes, of which the one at SHARE of them fails, ON: with all that
    follow; None: none. Returns what each made, or what was wrong."""
    name, counts, share, on = args
    w, made, here = begin(name), {}, "start"
    try:
        settle(w, "passive")
        stops = w.jobs().count("service-stop")
        for here, do, after in PARTS:
            before = w.memory.count()
            if counts:
                w.memory.deny(1 + int(counts[here] * share), on)
            do(w)
            w.memory.give()
            made[here] = w.memory.count() - before
            after(w)
        need(w.jobs().count("service-stop") == stops, "it stopped what ran well")
        return {"made": made, "failed": w.memory.failed()}
    except EOFError as e:
        if here == "reload" and w.process.wait(5) in DEATHS:
            return {"failed": w.memory.failed(), "died": 1}
        return wrong(w, args, here, e)
    except Exception as e:  # pylint: disable=broad-except
        return wrong(w, args, here, e)
    finally:
        w.memory.give()
        w.close()


def wrong(w, args, here, e):
    w.memory.give()
    end = w.process.poll()
    return {"wrong": f"{args[0]} in {here}: {type(e).__name__}: {str(e)[:400]}; ended {end}; {w.log()[-800:]}", "failed": w.memory.failed()}


def start(args):
    """A start of the engine whose Nth allocation fails. It is passive as it should be, or it ends."""
    name, n, on, digest = args
    w = begin(name, (n, on))
    try:
        w.pause(0.5)
        w.memory.give()
        settle(w, "passive")
        need(digest is None or w.digest == digest, "it has read another configuration")
        return {"made": w.memory.count(), "failed": w.memory.failed(), "digest": w.digest, "ended": None}
    except Silent:                      # libseccomp goes round for ever: see exec_engine_tick()
        return {"failed": w.memory.failed(), "ended": 0}
    except EOFError:
        code = w.process.wait(5)
        if code in DEATHS or (code in (1, 2) and w.log()):
            return {"failed": w.memory.failed(), "ended": code}
        return wrong(w, args, "start", f"ended {code}")
    except Exception as e:  # pylint: disable=broad-except
        return wrong(w, args, "start", e)
    finally:
        w.memory.give()
        w.close()


def all_of(fn, jobs):
    with multiprocessing.get_context("fork").Pool(AT_ONCE) as pool:
        results = list(pool.imap_unordered(fn, jobs, 1))
    failed = [r["wrong"] for r in results if r.get("wrong")]
    assert not failed, f"{len(failed)}: " + "\n".join(failed[:2])
    return results


def need_plain_build():
    with open(engine_lib.ENGINE, "rb") as f:
        if b"__asan_init" in f.read():
            print("# SKIP: THE SANITIZERS HAVE AN ALLOCATOR OF THEIR OWN: no allocation was made to fail")
            return False
    return True


@test
def a_start_is_whole_or_ends():
    if not need_plain_build():
        return
    whole = start(("start", 0, False, None))
    assert not whole.get("wrong") and whole["ended"] is None and whole["made"] > 1000, whole
    points = [1 + i * whole["made"] // (3 * RUNS) for i in range(3 * RUNS)]
    results = all_of(start, [(f"start-{n}{'+' * on}", n, on, whole["digest"]) for n in points for on in (False, True)])
    print(f"# {len(results)} starts, {sum(r['failed'] for r in results)} allocations failed, ended:",
          sorted(r["ended"] for r in results if r["ended"] is not None))
    assert sum(r["failed"] > 0 for r in results) > 4 * RUNS     # of the last some make no difference


@test
def a_course_goes_on_in_order_and_is_never_stopped():
    if not need_plain_build():
        return
    whole = course(("whole", None, 0, False))
    assert not whole.get("wrong") and min(whole["made"].values()) > 5, whole
    results = all_of(course, [(f"course-{i}{'+' * on}", whole["made"], i / RUNS, on) for i in range(RUNS) for on in (False, True)])
    print(f"# {whole['made']}: {len(results)} courses, {sum(r['failed'] for r in results)} allocations failed, of a reload died",
          sum(r.get("died", 0) for r in results))
    assert sum(r["failed"] for r in results) > len(PARTS) * RUNS


@test
def an_operator_gets_a_whole_answer_or_a_sentence():
    if not need_plain_build():
        return
    w, refused = begin("operator"), 0
    try:
        settle(w, "passive")
        stops = w.jobs().count("service-stop")
        takeover(w)
        settle(w, "active")
        for ask_one in (status, explain, maintenance):
            before = w.memory.count()
            ask_one(w)
            made = w.memory.count() - before
            for i in range(4 * RUNS):
                for on in (False, True):
                    w.memory.deny(1 + i * made // (4 * RUNS), on)
                    refused += not ask_one(w)
                    w.memory.give()
        settle(w, "active")
        need(w.jobs().count("service-stop") == stops, "it stopped what ran well")
        print(f"# {w.memory.failed()} allocations failed, {refused} refusals")
        assert refused > RUNS
    finally:
        w.memory.give()
        w.close()


if __name__ == "__main__":
    sys.exit(main())
