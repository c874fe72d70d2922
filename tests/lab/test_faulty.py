# SPDX-License-Identifier: GPL-2.0-or-later
"""Each drill of a share that misbehaves once, in one lab of such shares, and the rules of that lab."""
import io
import os
import subprocess

import pytest

import drillreport
import drills
import labfaultfs
import labns
from test_faultfs import HAVE
from testlab import needs_product, temporary_lab

NAMES = ("share-eio", "share-hang", "share-estale", "share-hang-both", "share-full", "share-readonly", "share-quota", "share-slow",
         "share-link-lost", "share-link-lied", "share-link-late", "share-rename-lied", "share-beat-still", "share-stale",
         "share-late-writes", "list-share-full", "list-share-quota")
needs_faultfs = pytest.mark.skipif(not HAVE, reason="needs FUSE and a build with libfuse: NO SHARE MISBEHAVED")


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    with temporary_lab("faulty", faulty=True) as lab:
        yield lab


@pytest.mark.long
@needs_product
@needs_faultfs
@pytest.mark.parametrize("name", NAMES)
def test_drill(lab, name):
    out = io.StringIO()
    record = drills.run(lab, name, out=out)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"


@pytest.mark.long
@needs_product
@needs_faultfs
def test_one_host_alone_meets_a_fault_and_dies_of_no_hanging_share(lab):
    other = next(name for name in ("a", "b") if name != lab.active())
    lab.fault(other, "lists", "all=hang")
    try:
        hanging = lab.host(other).popen(["/usr/bin/ls", "/srv/lists"])
        assert lab.host(lab.active()).exec(["/usr/bin/ls", "/srv/lists"]).returncode == 0
        with pytest.raises(subprocess.TimeoutExpired):
            hanging.wait(1)
        lab.host(other).power_off("test")
        assert hanging.wait(10) != 0
    finally:
        lab.fault(other, "lists")
        lab.host(other).power_on("test")
    assert lab.host(other).exec(["/usr/bin/ls", "/srv/lists"]).returncode == 0


def commands_with(text):
    found = []
    for pid in labns.all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found += [pid] if text.encode() in file.read() else []
        except OSError:
            continue
    return found


@pytest.mark.long
@needs_product
@needs_faultfs
def test_a_lab_whose_daemon_died_while_a_share_hangs_leaves_nothing():
    with temporary_lab("faulty-crash", manager="none", faulty=True) as lab:
        lab.host("a").popen(["/usr/bin/touch", "/srv/lists/x"], user="list").wait(10)
        lab.fault("a", "lists", "unlink=late:100000", "all=hang")
        for words in (["/usr/bin/ls", "/srv/lists"], ["/usr/bin/rm", "-f", "/srv/lists/x"]):
            lab.host("a").popen(words)
        assert len(commands_with(f"{lab.dir}/faults")) == 8, "two shares of two hosts, a mount and a wire each"
        assert labns.kill_record(lab.state()["labd"])
        lab.down()
        assert labns.mounts_below(str(lab.dir)) == [] and commands_with(f"{lab.dir}/faults") == []


@pytest.mark.long
@needs_product
@needs_faultfs
def test_a_rule_of_nonsense_is_refused_with_a_hint(lab):
    with pytest.raises(labfaultfs.FaultError, match="unknown operation.*README"):
        lab.fault("a", "control", "sing=loud")
    assert lab.rules("a", "control").read() == []


# -- without a lab
def test_without_libfuse_the_lab_says_what_to_do(tmp_path):
    with pytest.raises(labfaultfs.FaultError, match="libfuse3-dev"):
        labfaultfs.prepare(str(tmp_path), str(tmp_path), ("a",))
    with pytest.raises(labfaultfs.FaultError, match="lab up --faulty"):
        labfaultfs.Rules(os.path.join(tmp_path, "none"), "control").set([])


def test_every_drill_of_a_share_that_misbehaves_is_run():
    assert {name for name, scenario in drills.DRILLS.items() if scenario.__module__ in ("drills_faulty", "drills_lists")} == \
        set(NAMES)
