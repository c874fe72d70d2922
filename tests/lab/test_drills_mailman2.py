# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills in a lab whose list server is the stand-in for Mailman 2.1 or 2.0, with a Postfix on each list host as the way in."""
import io

import pytest

import drillreport
import drills
from testlab import needs_product, temporary_lab

pytestmark = needs_product


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    with temporary_lab("mailman2", service="mailman2") as lab:
        yield lab


def drill(lab, name, messages):
    out = io.StringIO()
    record = drills.run(lab, name, messages, out=out, seed=1)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"
    gap = record["gap_ms"]
    print(f"lab: {name} with {lab.service}: address away {gap['address']} ms, SMTP {gap['lmtp']} ms, mail {gap['mail']} ms, "
          f"{record['mail']['duplicated']} repeated, 0 lost")


@pytest.mark.parametrize("name", ["switchover", "power-off"])
def test_short_drill(lab, name):
    drill(lab, name, 60)


@pytest.mark.long
@pytest.mark.parametrize("name", ["split", "pause", "power-off-twice", "fence-fails"])
def test_drill(lab, name):
    drill(lab, name, 80)


@pytest.mark.long
def test_drills_of_2_0():
    """No master, no runner that stays: what moves is that cron's job may pass the gate."""
    with temporary_lab("mailman20", service="mailman20") as lab:
        for name in ("switchover", "power-off", "split"):
            drill(lab, name, 60)
