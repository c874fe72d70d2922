# SPDX-License-Identifier: GPL-2.0-or-later
"""Each drill of the days between takeovers once, in one lab. Seeds are fixed, so that those with chance in them stay short.
Those that are not in ALWAYS are marked long: `make check-lab-long`."""
import io

import pytest

import drillreport
import drills
import test_drills_hostile as hostile
import test_faulty as faulty
from testlab import needs_product


pytestmark = needs_product

PLANNED = ("switchover", "switchover-refused", "switchover-forced", "upgrade")
STOPS = ("engine-killed", "members-killed", "members-stopped", "executor-killed", "corosync-killed",
         "corosync-stopped")
SHARES = ("share-lost", "share-gone", "share-emptied", "share-old")
BOOTS = ("reboot-both", "reboot-skew", "reboot-takeover", "boot-alone", "boot-alone-unproven")
SERVICE = ("runner-killed", "address-gone", "runner-hung", "runner-zombie", "runner-poison", "rogue")
LONG = ("share-patience", "runner-loop")    # minutes: only in campaigns
ALWAYS = {"switchover", "switchover-refused", "upgrade", "share-lost", "boot-alone", "runner-killed", "rogue"}
SEED = 1        # the second host of reboot-skew comes 8.5 s later


def drill_param(name):
    return pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long)


@pytest.mark.parametrize("name", [drill_param(n) for n in PLANNED + STOPS + SHARES + BOOTS + SERVICE])
def test_drill(lab, name):
    out = io.StringIO()
    record = drills.run(lab, name, out=out, seed=SEED)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"
    gap = record["gap_ms"]
    print(f"lab: {name}: {record['took_s']} s; address away {gap['address']} ms, LMTP {gap['lmtp']} ms, mail {gap['mail']} ms, "
          f"{record['mail']['duplicated']} repeated, 0 lost")


def test_every_drill_is_run_or_said_to_be_long():
    here = set(PLANNED + STOPS + SHARES + BOOTS + SERVICE + LONG)
    elsewhere = {"power-off", "power-off-twice", "fence-fails", "pause"} | set(drills.STOCK)
    elsewhere |= set(hostile.NETWORKS + hostile.PAUSES + hostile.LIES + hostile.RESOURCES + hostile.PIDS + hostile.CLOCKS +
                     hostile.LONG + faulty.NAMES)
    assert here | elsewhere == set(drills.NAMES)
