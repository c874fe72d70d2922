# SPDX-License-Identifier: GPL-2.0-or-later
"""Each drill of cut networks, pauses and lies once, and a campaign of random faults, in one lab. All but those in ALWAYS are
marked long. MINUTES and SEED (environment; `make check-lab-long MINUTES=60 SEED=7`) are the campaign's."""
import io
import os
import subprocess

import pytest

import campaign
import drillreport
import drillrun
import drills
import drills_resources
import labfaults
from testlab import needs_product

NETWORKS = ("split", "split-share-passive", "split-share-active", "split-share-active-unproven", "split-share-both",
            *(f"networks-{letters}" for letters in ("none", "c", "s", "m", "cs", "cm", "sm", "csm")),
            "one-way-in", "one-way-out", "flap-half", "flap-token", "flap-double")
PAUSES = ("pause-short", "pause-claim", "pause-acknowledged", "pause-recover",
          *(f"pause-{part}-{seconds}" for part in ("engine", "executor", "members", "corosync") for seconds in (1, 6)))
LIES = ("fence-lies", "fence-lies-wakes", "fence-wrong-plug", "fence-late")
RESOURCES = ("run-wiped", "no-children-brief", *(f"no-{word}-{role}" for word in drills_resources.RESOURCES for role in ("active", "passive")))
PIDS = ("pid-reuse", "pid-reuse-restart")
CLOCKS = ("clock-step", "clock-strobe")
LONG = ("held-back",)       # minutes
ALWAYS = {"split", "fence-lies-wakes", "one-way-in"}
SEED = 1


@needs_product
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in ALWAYS else pytest.mark.long)
                                  for n in NETWORKS + PAUSES + LIES + RESOURCES + PIDS + CLOCKS + LONG])
def test_drill(lab, name):
    out = io.StringIO()
    record = drills.run(lab, name, out=out, seed=SEED)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"


@needs_product
@pytest.mark.long
def test_campaign(lab):
    minutes, seed = float(os.environ.get("MINUTES") or 5), int(os.environ.get("SEED") or 1)
    out = io.StringIO()
    record = campaign.run(lab, minutes, seed, out=out)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"


# -- without a lab
def acts():
    done = []

    def act(host, state):
        done.append((host, state))
        return {"on": True}
    return done, act


def modes():
    return labfaults.BmcModes(("a", "b"), lambda *_, **__: None)


def test_a_lying_bmc_says_off_and_does_nothing():
    done, act = acts()
    bmcs = modes()
    bmcs.set("a", "lies", 0)
    assert bmcs.power("a", "status", act) == {"on": True}
    assert bmcs.power("a", "off", act) == {"on": False} and bmcs.power("a", "status", act) == {"on": False}
    assert done == [("a", "status")]
    bmcs.set("a", "true", 0)
    assert bmcs.power("a", "status", act) == {"on": True}


def test_a_wrong_plug_switches_the_other_host():
    done, act = acts()
    bmcs = modes()
    bmcs.set("a", "wrong-plug", 0)
    bmcs.power("a", "off", act)
    assert done == [("b", "off")]


def test_a_late_bmc_says_the_truth_and_acts_once():
    done, act = acts()
    bmcs = modes()
    bmcs.set("a", "late", 0.2)
    for _ in range(2):
        assert bmcs.power("a", "off", act) == {"on": True}
    assert ("a", "off") not in done
    assert drillrun.Run.happens(lambda: ("a", "off") in done, 5)
    drillrun.time.sleep(0.3)
    assert done.count(("a", "off")) == 1


SWITCH = """
import os, socket, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import labfaults, labhost, labns
class Machine:
    def __init__(self, name, number):
        self.name, self.child = name, subprocess.Popen(["/usr/bin/unshare", "-n", "/usr/bin/sleep", "60"])
        own = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{self.child.pid}/ns/net").st_ino == own:
            time.sleep(0.01)
        run(f"ip link add {self.port('x')} type veth peer name x0 netns {self.child.pid}")
        run(f"ip link set {self.port('x')} master sw0 up")
        for words in ("link set lo up", f"addr add 10.9.9.{number}/24 dev x0", "link set x0 up"):
            run(f"nsenter -t {self.child.pid} -n ip {words}")
        self.udp = labhost.socket_in(os.open(f"/proc/{self.child.pid}/ns/net", os.O_RDONLY), socket.AF_INET,
                                     socket.SOCK_DGRAM, 0)
        self.udp.bind((f"10.9.9.{number}", 7))
        self.udp.settimeout(0.5)
        self.address = (f"10.9.9.{number}", 7)
    def port(self, net): return f"{self.name}-{net}"
    def is_on(self): return True
    def heard(self):
        found = []
        try:
            while True:
                found.append(self.udp.recv(100).decode())
        except TimeoutError:
            return found
def run(words): subprocess.run(words.split(), check=True)
def say(one, other, *words):
    for word in words:
        one.udp.sendto(word.encode(), other.address)
run("ip link add name sw0 type bridge stp_state 0")
run("ip link set sw0 up")
a, b = Machine("a", 1), Machine("b", 2)
try:
    say(a, b, "first"), say(b, a, "first")
    assert (a.heard(), b.heard()) == (["first"], ["first"])
    loss = labfaults.Loss()
    loss.set(a, "x", "in", True)
    say(a, b, "out"), say(b, a, "lost")
    assert (a.heard(), b.heard()) == ([], ["out"])
    loss.set(a, "x", "in", False)
    hold = labfaults.Hold("x", [a, b])
    say(a, b, "one", "two", "three"), say(b, a, "four")
    assert (a.heard(), b.heard()) == ([], [])
    assert hold.release() >= 4
    assert (a.heard(), b.heard()) == (["four"], ["one", "two", "three"])
    say(b, a, "last")
    assert a.heard() == ["last"]
finally:
    a.child.kill(), b.child.kill()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested")
def test_a_switch_loses_one_direction_and_delivers_in_order_what_it_held():
    done = subprocess.run(["/usr/bin/unshare", "-n", "/usr/bin/python3", "-c", SWITCH, os.path.dirname(__file__)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_unknown_mode_is_refused():
    with pytest.raises(labfaults.LabError, match="lies"):
        modes().set("a", "honest", 0)
    with pytest.raises(labfaults.LabError, match="of a, b"):
        modes().set("c", "lies", 0)


def test_the_same_seed_makes_the_same_choices():
    assert campaign.choices(7, 20) == campaign.choices(7, 20) != campaign.choices(8, 20)


def test_a_campaign_knows_each_fault_by_its_own_name():
    names = [fault.name for fault in campaign.FAULTS]
    assert len(names) == len(set(names))
    assert all(0 < fault.least <= fault.most for fault in campaign.FAULTS)


def test_every_hostile_drill_is_run():
    registered = {name for name, scenario in drills.DRILLS.items()
                  if scenario.__module__ in ("drills_net", "drills_pause", "drills_lies", "drills_resources", "drills_pids", "drills_clock")}
    assert registered == set(NETWORKS + PAUSES + LIES + RESOURCES + PIDS + CLOCKS + LONG)
