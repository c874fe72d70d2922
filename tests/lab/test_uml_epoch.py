# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-epoch between two real NFS clients: who wins, and what a server or a client that is away does to it.
UML_ROUNDS: how often an epoch is claimed by both at once; UML_RESTARTS, UML_PAUSES: how often the server restarts meanwhile, and
how often a client is paused in the middle of making its tenure's file."""
import signal
import time

import pytest

import umlproduct
from umlproduct import RUN, record, records, rounds

pytestmark = pytest.mark.skipif(bool(umlproduct.why_not()), reason=umlproduct.why_not())

WON, LOST, WRONG = 0, 3, 4


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster():
    with umlproduct.real_cluster() as cluster:
        cluster.wait_no_grace()
        yield cluster


def claim_by_both(cluster, number):
    return {name: cluster.epoch_begin(name, "claim", number) for name in ("ab", "ba")[number % 2]}


def one_winner(number, done):
    """Exactly one has won."""
    assert sorted(d.code for d in done.values()) == [WON, LOST], (number, done)
    return next(name for name, d in done.items() if d.code == WON)


def check_files(cluster, winners):
    """The file of each number says that it is its winner's."""
    files = cluster.epoch_files()
    for number, winner in winners.items():
        assert f"run={RUN[winner]}" in files[f"epoch.{number}"][1].split(), (number, winner, files)


def test_what_one_does_the_other_sees(cluster):
    number = cluster.tenure("a")
    last = record(cluster.epoch_ok("b", "read"), "last")
    assert (last["n"], last["node"], last["owned"], last["ended"]) == (str(number), "a", "1", "0"), last
    assert cluster.epoch("b", "claim", number).code == LOST
    cluster.epoch_ok("a", "end", number, "--planned")
    last = record(cluster.epoch_ok("b", "read"), "last")
    assert (last["ended"], last["planned"]) == ("1", "1"), last


def test_both_claim_at_once_and_one_wins(cluster):
    winners, times, number = {}, [], cluster.highest()
    for _ in range(rounds("UML_ROUNDS", 10)):
        number += 1
        done = {name: job.wait() for name, job in claim_by_both(cluster, number).items()}
        winners[number] = one_winner(number, done)
        times.append(done[winners[number]].took_s)
        cluster.epoch_ok(winners[number], "end", number, "--unplanned")
    check_files(cluster, winners)
    won = [sum(name == winner for winner in winners.values()) for name in "ab"]
    print(f"lab: {len(winners)} epochs claimed by both at once, won by a: {won[0]}, by b: {won[1]}; median of a claim that won "
          f"{sorted(times)[len(times) // 2]:.2f} s")
    assert min(won) > 0       # else they were not at once


def test_the_server_restarts_while_both_claim(cluster):
    """The link may be done and its answer lost with the server: what it returns is believed by nobody."""
    before, winners = cluster.epoch_files(), {}
    for index in range(rounds("UML_RESTARTS", 2)):
        number = cluster.highest() + 1
        jobs = claim_by_both(cluster, number)
        time.sleep(0.1 * (index % 8))
        cluster.server_off()
        cluster.server_on()
        done = {name: job.wait(120) for name, job in jobs.items()}
        winners[number] = one_winner(number, done)
        print(f"lab: restart {index}: {winners[number]} won, after {[round(d.took_s, 1) for d in done.values()]} s")
        cluster.epoch_ok(winners[number], "end", number, "--unplanned")
    check_files(cluster, winners)
    after = cluster.epoch_files()
    assert {name: after.get(name) for name in before} == before


def test_the_answer_to_the_link_is_lost_with_the_server(cluster):
    """The client asks again, and the server, which remembers nothing, says that the name exists: it is our own claim."""
    number = cluster.highest() + 1
    done = cluster.lose_the_answer("a", lambda prefix: cluster["a"].begin(
        [*prefix, umlproduct.EPOCH, "--run", RUN["a"], "--op", "1", "claim", number], user="understudy"),
        f"/export/control/.understudy/epoch.{number}")
    assert done.code == WON, done
    cluster.epoch_ok("a", "end", number, "--unplanned")


@pytest.mark.parametrize("pause_s", [0, pytest.param(25, marks=pytest.mark.long)])
def test_a_client_that_stood_still_through_a_takeover_owns_nothing(cluster, pause_s):
    """PAUSE_S 25: more than two leases."""
    late = 0
    for index in range(rounds("UML_PAUSES", 3)):
        number = cluster.highest() + 1
        cluster.epoch_ok("a", "claim", number)
        job = cluster.epoch_begin("a", "own", number, "--proof", "b=off")
        time.sleep(0.08 * (index % 10))
        cluster["a"].pause()
        time.sleep(0.5)      # what it had sent has arrived
        owned = f"epoch.{number}.own" in cluster.epoch_files()
        taken = cluster.tenure("b")
        time.sleep(pause_s)
        cluster["a"].resume()
        done = job.wait(60)
        late += not owned
        assert done.code == LOST or (owned and done.code == WON), (owned, done)
        last = record(cluster.epoch_ok("a", "read"), "last")
        assert (last["n"], last["node"], last["owned"]) == (str(taken), "b", "1"), last
        assert cluster.epoch("a", "own", number, "--proof", "b=off").code == LOST
        cluster.epoch_ok("a", "end", number, "--unplanned")
        cluster.epoch_ok("b", "end", taken, "--unplanned")
    assert late > 0, "every one had its tenure before it was paused"


def test_a_client_that_is_denied_while_active(cluster):
    """All its calls end, none of them well, and nothing that it tries lands; its old tenure is not taken up again."""
    number = cluster.tenure("a")
    cluster.deny("a")
    try:
        done = cluster.epoch("a", "read", timeout=20)
        print(f"lab: denied: read: {done}")
        assert done.code in (1, WRONG) and done.err, done
        done = cluster.epoch("a", "end", number, "--unplanned", timeout=20)
        print(f"lab: denied: end: {done}")
        assert done.code in (1, WRONG), done
        done = cluster.state("a", "check", timeout=20)
        print(f"lab: denied: understudy-state check: {done}")
        assert done.code == 1 and done.err, done
        done = cluster.state("a", "sync", timeout=20)
        print(f"lab: denied: understudy-state sync: {done}")
        assert done.code == 1 and done.err, done
        taken = cluster.tenure("b", "denied")
        assert f"epoch.{number}.end" not in cluster.epoch_files()
    finally:
        cluster.allow("a")
    assert record(cluster.epoch_ok("a", "read"), "last")["n"] == str(taken)
    assert cluster.epoch("a", "own", number, "--proof", "b=off").code == LOST
    cluster.epoch_ok("a", "end", number, "--unplanned")
    cluster.epoch_ok("b", "end", taken, "--unplanned")


def reports(text):
    return [fields for word, fields in records(text) if word == "share"]


def test_watch_goes_on_through_a_denial_and_a_hung_server(cluster):
    """While the share does not answer there is no report, and when it does again there is one."""
    a = cluster["a"]
    log = "/tmp/watch"
    job = a.begin(["/bin/sh", "-c", f"exec {umlproduct.EPOCH} --run {RUN['a']} watch > {log}"], user="understudy")
    try:
        a.shell(f"until grep -q state=ok {log}; do sleep 0.1; done")
        cluster.deny("a")
        a.shell(f": > {log}; sleep 3")
        during = reports(a.ok(["/bin/cat", log]).replace("\0", ""))
        print(f"lab: denied: watch says {[r.get('why') for r in during][:3]}, {len(during)} reports in 3 s")
        assert all(r["state"] != "ok" for r in during[1:]), during
        cluster.allow("a")
        a.shell(f": > {log}; until grep -q state=ok {log}; do sleep 0.1; done", timeout=30)
        cluster.server.pause()
        time.sleep(0.5)
        a.shell(f": > {log}")
        time.sleep(3)
        assert "state=ok" not in a.ok(["/bin/cat", log])
        cluster.server.resume()
        a.shell(f"until grep -q state=ok {log}; do sleep 0.1; done", timeout=60)
    finally:
        cluster.server.resume()
        cluster.allow("a")
        job.close()


def test_a_hung_server_holds_its_callers_and_a_kill_ends_them(cluster):
    """As the executor does at a child's deadline: SIGKILL ends a call that waits for the server. What was on its way may land:
    the node then withdraws it."""
    number = cluster.highest() + 1
    cluster.server.pause()
    try:
        jobs = {"a": cluster.epoch_begin("a", "claim", number), "b": cluster.epoch_begin("b", "read")}
        time.sleep(3)
        assert not any(job.has_ended() for job in jobs.values())
        began = time.monotonic()
        jobs["a"].signal(signal.SIGKILL)
        assert jobs["a"].wait(5).code == -signal.SIGKILL
        print(f"lab: a call that hung ended {time.monotonic() - began:.2f} s after the SIGKILL")
    finally:
        cluster.server.resume()
    done = jobs["b"].wait(60)
    assert done.code == 0, done
    highest = cluster.highest()
    print(f"lab: the claim of the killed child has {'landed' if highest == number else 'not landed'}")
    if highest == number:
        cluster.epoch_ok("a", "end", number, "--unplanned")
    cluster.epoch_ok("b", "end", cluster.tenure("b", "not-needed" if highest == number else "off"), "--unplanned")
