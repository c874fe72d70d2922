# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills in a lab whose floating address is an IPv6 one: duplicate check, announcement, LMTP, intake and the poke of the MX."""
import io

import pytest

import drillreport
import drills
import labconf
from testlab import needs_product, temporary_lab

pytestmark = needs_product


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    with temporary_lab("ipv6", ipv6=True) as lab:
        yield lab


@pytest.mark.long
@pytest.mark.parametrize("name", ["power-off", "switchover", "address-gone"])
def test_drill(lab, name):
    assert lab.floating == labconf.FLOATING6
    out = io.StringIO()
    record = drills.run(lab, name, 60 if name == "power-off" else None, out=out, seed=1)
    print(out.getvalue(), drillreport.text(record))
    assert record["why"] == [] and record["verdict"] == "pass"
    assert lab.address_holders(labconf.FLOATING) == [] and len(lab.address_holders()) == 1
    gap = record["gap_ms"]
    print(f"lab: {name} over IPv6: address away {gap['address']} ms, LMTP {gap['lmtp']} ms, mail {gap['mail']} ms, 0 lost")
