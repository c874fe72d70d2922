# SPDX-License-Identifier: GPL-2.0-or-later
"""The auditor fires on a product that was lied to. The last file of all: nothing can be done with its lab afterwards."""
import io
import time

import drillrun
import drills
import labconf
from testlab import needs_product

LIAR = """#!/bin/sh
# A fence agent that believes what it is told: off when somebody has asked for it, and does nothing.
action=status
while read -r line; do case $line in action=*) action=${line#action=} ;; esac; done
case $action in
off) : >/run/liar ;;
on) rm -f /run/liar ;;
metadata) cat /etc/understudy/liar.xml ;;
status | monitor) if [ -e /run/liar ]; then echo "Status: OFF"; exit 2; else echo "Status: ON"; fi ;;
esac
exit 0
"""


@needs_product
def test_a_fence_agent_that_lies_fires(lab):
    """The product believes a device that says off, as it must; the auditor does not."""
    product = drills.Product(lab)
    out = io.StringIO()
    run = drillrun.Run(lab, "liar", 20, True, out)
    agents = [(host.file("/usr/sbin/fence_ipmilan"), host.file("/usr/sbin/fence_ipmilan").read_text())
              for host in map(lab.host, labconf.CLUSTER_HOSTS)]
    active = drills.need_active(run, product)
    try:
        for path, _ in agents:
            path.write_text(LIAR)
        run.begin()
        run.load()
        run.wait_accepted(1.0)
        run.wait_delivered()            # a host that is stopped while it uses the database keeps the next one from starting
        lab.cut(active, "service")      # else the duplicate address check finds the lie out
        cut = run.cut(active, "pause")
        run.wait(lambda: product.state(cut["survivor"]) == "active", 90, "the passive host believes it")
        lab.resume(active)
        time.sleep(3)
        audit = run.end()
    finally:
        run.close()
        lab.heal(active, "service")
        for path, text in agents:
            path.write_text(text)
    print(out.getvalue(), audit)
    assert audit["overlaps"] >= 1 and audit["address_conflicts"] >= 1
    found = {detail["what"] for detail in audit["details"]}
    assert "list process alive after another host's own" in found
