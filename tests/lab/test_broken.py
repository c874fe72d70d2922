# SPDX-License-Identifier: GPL-2.0-or-later
"""The auditor and the count of messages fire on what is broken by hand: two masters, two addresses, a lost message."""
import io
import os
import tempfile
import time

import pytest

import drillrun
import labconf
import lablib
import stockparts

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested")
MAILMAN = ["/usr/lib/mailman3/bin/mailman", "-C", "/etc/mailman3/mailman.cfg"]


@pytest.fixture(name="bare", scope="class")
def fixture_bare():
    with tempfile.TemporaryDirectory(prefix="understudy-drill-test.") as directory:
        lab = lablib.Lab(os.path.join(directory, "lab"))
        lab.build = None
        try:
            yield lab.up(manager="none")
        finally:
            lab.down()


def begin_by_hand(lab, name, messages):
    run = drillrun.Run(lab, name, messages, False, io.StringIO())
    lab.host("a").exec(["/usr/sbin/ip", "addr", "add", f"{labconf.FLOATING}/24", "dev", "service0"])
    lab.host("a").exec(MAILMAN + ["start", "--force"], user="list")
    stock = stockparts.Stock(lab)
    run.wait(stock.lab.lmtp_greets, 90, "Mailman on a answers")
    run.begin()
    run.load()
    return run


def end_by_hand(lab, run):
    run.close()
    for host in map(lab.host, labconf.CLUSTER_HOSTS):
        stockparts.end_list_service(host)
        host.exec(["/usr/sbin/ip", "addr", "del", f"{labconf.FLOATING}/24", "dev", "service0"], check=False)
    for name in os.listdir(lab.list_share / "locks"):       # a stale one makes the next start wait for half a minute
        os.unlink(lab.list_share / "locks" / name)


def take_away(queue):
    for name in os.listdir(queue):
        if name.endswith(".pck"):
            try:
                os.unlink(queue / name)
                return name
            except FileNotFoundError:
                continue
    return None


def hosts_with_runners(run):
    hosts = run.auditor.hosts_of_instances()
    return {hosts.get(r["inst"]) for r in list(run.auditor.records) if r["ev"] == "proc" and r["kind"] == "runner"} - {None}


@needs_root
class TestBrokenByHand:
    def test_a_message_that_is_taken_out_of_the_queue_is_lost(self, bare):
        """Mail is counted from Postfix's 250 to the sink; the queue's own word is not asked."""
        run = begin_by_hand(bare, "lost-by-hand", 24)
        queue = bare.list_share / "queue" / "pipeline"
        try:
            taken = run.wait(lambda: take_away(queue), 30, "an entry in the pipeline queue", 0.0005)
            run.wait_delivered(10)
            audit = run.end()
            mail = run.mail([])
        finally:
            end_by_hand(bare, run)
        assert taken and mail["lost"] == 1 and mail["lost_ids"] and mail["accepted"] == 24
        assert audit["overlaps"] == 0 and audit["address_conflicts"] == 0 and audit["unknown"] == 0

    def test_a_forced_second_master_and_a_second_address_fire(self, bare):
        """What Debian's unit does on a host that boots while the other one is active."""
        run = begin_by_hand(bare, "broken-by-hand", 40)
        try:
            run.wait_accepted(0.3)
            bare.host("b").exec(["/usr/sbin/ip", "addr", "add", f"{labconf.FLOATING}/24", "dev", "service0"])
            bare.host("b").exec(MAILMAN + ["start", "--force"], user="list")
            run.wait(lambda: hosts_with_runners(run) == {"a", "b"}, 60, "runners on both hosts")
            time.sleep(2)
            audit = run.end()
        finally:
            end_by_hand(bare, run)
        assert audit["overlaps"] >= 1 and audit["late_writes"] >= 1 and audit["address_conflicts"] >= 1
        assert audit["unknown"] == 0
        found = {detail["what"] for detail in audit["details"]}
        assert {"two list services at once", "two hosts have the address"} <= found
