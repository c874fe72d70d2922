# SPDX-License-Identifier: GPL-2.0-or-later
"""What the parts of a running product may still do, as the kernel says it; and what a local user of a node may."""
import re

import pytest

from testlab import needs_product

pytestmark = needs_product
FORBIDDEN = {"sys_module": 16, "sys_rawio": 17, "sys_admin": 21, "sys_resource": 24, "sys_time": 25, "mknod": 27, "bpf": 39}
CONFINED = {"understudy-engine", "understudy-members", "understudy-epoch"}


def processes(host):
    """{name: [{key: value}, ...]} of the product's processes on HOST."""
    script = "for p in $(pgrep -f '^(/usr/sbin/)?understudy'); do echo name:$(tr '\\0' ' ' </proc/$p/cmdline); cat /proc/$p/status; done"
    found, one = {}, None
    for line in host.exec(["/bin/sh", "-c", script], check=False).stdout.splitlines():
        key, _, value = line.partition(":")
        if key == "name":       # without a value: it has ended meanwhile
            one = found.setdefault(value.split()[0].rsplit("/", 1)[-1], []) if value.strip() else None
            if one is not None:
                one.append({})
        elif one is not None:
            one[-1][key] = value.strip()
    return found


@pytest.mark.parametrize("name", ["a", "b"])
def test_each_process_has_no_more_than_it_needs(lab, name):
    found = processes(lab.host(name))
    assert CONFINED | {"understudyd"} <= set(found), found.keys()
    for program in CONFINED:
        for status in found[program]:
            uids = set(status["Uid"].split())
            assert uids != {"0"} and len(uids) == 1, (program, uids)
            for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(status[key], 16) == 0, (program, key, status[key])
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), (program, status["NoNewPrivs"], status["Seccomp"])
    daemon = found["understudyd"][0]
    for capability, number in FORBIDDEN.items():
        for key in ("CapEff", "CapPrm", "CapBnd"):
            assert not int(daemon[key], 16) >> number & 1, (capability, key)
    assert int(daemon["CapEff"], 16) >> 5 & 1, "kill is needed"


def test_status_does_not_complain(lab):
    assert not re.search(r"^sandbox ", lab.host("a").exec(["understudy", "status"]).stdout, re.M)


@pytest.mark.parametrize("user", ["games", "list"])
def test_a_local_user_reads_no_secret_and_writes_nowhere(lab, user):
    host = lab.host("a")
    script = """
for f in /etc/understudy/secrets/a-ipmi /etc/understudy/secrets/b-ipmi; do cat $f 2>/dev/null && echo READ $f; done
for d in /run/understudy /run/understudy-gate /var/lib/understudy /etc/understudy /srv/control/.understudy; do
    (: >$d/forged) 2>/dev/null && echo WROTE $d
    mv $d/status.json $d/x 2>/dev/null && echo MOVED $d
done
for p in $(pgrep -f '^(/usr/sbin/)?understudy'); do
    kill -CONT $p 2>/dev/null && echo SIGNALLED $p
    cat /proc/$p/environ >/dev/null 2>&1 && echo ENVIRONMENT $p
done
for c in switchover 'maintenance on' 'acknowledge b --yes' clear reload; do understudy $c </dev/null >/dev/null 2>&1 && echo DID $c; done
echo done
"""
    reads = next(line for line in script.splitlines() if line.startswith("for f"))
    assert host.exec(["/bin/sh", "-c", reads]).stdout.count("READ") == 2            # they are there, for root
    out = host.exec(["/bin/sh", "-c", script], user=user, timeout=60).stdout
    assert out == "done\n", out
    assert lab.active() in ("a", "b")
