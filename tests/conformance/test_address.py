# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:understudy:address between two hosts on one cable, and by ocf-tester."""
import shutil
import statistics
import time

import pytest

import agentlib

pytestmark = pytest.mark.skipif(bool(agentlib.why_not()), reason=agentlib.why_not() or "-")

IP = "10.9.0.100"
STALE = "02:00:00:00:00:99"
AGENT = agentlib.built("resource/address")

SNIFFER = """
    import socket, sys, time
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    s.bind(('v0', 0))
    print('up', flush=True)
    s.settimeout(4)
    end = time.monotonic() + 4
    try:
        while time.monotonic() < end:
            f = s.recv(2048)[14:]
            print(f[7], socket.inet_ntoa(f[14:18]), socket.inet_ntoa(f[24:28]), '%.3f' % time.monotonic(), flush=True)
    except TimeoutError:
        pass
"""


# What another host sends before it takes the address: a request for it from nobody; for two seconds.
PROBES = f"""
    import socket, time
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(('v0', 0x0806))
    mac = s.getsockname()[4]
    print('up', flush=True)
    for _ in range(100):
        s.send(b'\\xff' * 6 + mac + bytes.fromhex('08060001080006040001') + mac + bytes(10) + socket.inet_aton('{IP}'))
        time.sleep(0.02)
"""


@pytest.fixture(name="pair")
def two_hosts(tmp_path):
    one, other = agentlib.Host("a", tmp_path), agentlib.Host("b", tmp_path)
    try:
        agentlib.join(one, other)
        yield one, other
    finally:
        one.stop()
        other.stop()


def act(host, action, **params):
    env = {f"OCF_RESKEY_{key}": str(value) for key, value in {"ip": f"{IP}/24", **params}.items()}
    return host.run(AGENT, action, env=env)


def test_life(pair):
    one, other = pair
    assert act(one, "monitor").returncode == 7
    assert act(one, "stop").returncode == 0
    done = act(one, "start")
    assert done.returncode == 0, done.stderr
    assert agentlib.records(done.stdout, "address") == [{"ip": IP, "prefix": "24", "interface": "v0"}]
    assert act(one, "monitor").returncode == 0
    assert act(one, "start").returncode == 0
    assert other.run("ping", "-c1", "-W1", IP).returncode == 0
    one.sh("ip link set v0 down")
    down = act(one, "monitor")
    assert down.returncode == 1 and "no carrier" in down.stderr
    one.sh("ip link set v0 up")
    assert act(one, "stop").returncode == 0
    assert act(one, "monitor").returncode == 7
    assert IP not in one.sh("ip addr")


def test_duplicate(pair):
    one, other = pair
    other.sh(f"ip addr add {IP}/24 dev v0")
    mac = other.sh("ip -brief link show v0").split()[2]
    done = act(one, "start")
    assert done.returncode == 1
    assert agentlib.records(done.stdout, "duplicate") == [{"ip": IP, "mac": mac, "kind": "taken"}]
    assert mac in done.stderr
    assert IP not in one.sh("ip addr"), "added although another host has it"
    # One frame that is lost hides nothing.
    other.sh("nft 'add table arp deaf; add chain arp deaf in { type filter hook input priority 0; }; add rule arp deaf in "
             "arp operation request limit rate 1/hour burst 1 packets counter drop'")
    assert act(one, "start").returncode == 1
    assert "packets 1 " in other.sh("nft list table arp deaf && nft delete table arp deaf")
    other.sh(f"ip addr del {IP}/24 dev v0")
    assert act(one, "start").returncode == 0


def test_duplicate_of_one_already_here(pair):
    """An address that was left here is asked for like a new one: else two hosts would have it, and nobody would say so."""
    one, other = pair
    assert act(one, "start").returncode == 0
    other.sh(f"ip addr add {IP}/24 dev v0")
    mac = other.sh("ip -brief link show v0").split()[2]
    done = act(one, "start")
    assert done.returncode == 1 and mac in done.stderr
    assert agentlib.records(done.stdout, "duplicate") == [{"ip": IP, "mac": mac, "kind": "taken"}]
    assert act(one, "stop").returncode == 0
    assert IP not in one.sh("ip addr") and IP in other.sh("ip addr")


def test_contender_for_one_already_here(pair):
    """Who only probes for an address that we have is turned away, and does not make us give it up."""
    one, other = pair
    assert act(one, "start").returncode == 0
    probing = other.python(PROBES)
    assert probing.stdout.readline() == "up\n"
    done = act(one, "start", dad_ms=500)
    assert probing.poll() is None, "the probes ended before the check did"
    assert done.returncode == 0, done.stderr
    probing.communicate(timeout=10)


def test_contender(pair):
    """Of two that check at the same moment not both add it."""
    one, other = pair
    env = {"OCF_RESKEY_ip": f"{IP}/24", "OCF_RESKEY_dad_ms": "2000"}
    first = other.start(AGENT, "start", env=env)
    time.sleep(0.3)
    second = one.start(AGENT, "start", env=env)
    outputs = [p.communicate(timeout=10)[0] for p in (first, second)]
    assert first.returncode == 1 and "kind=contender" in outputs[0], outputs
    assert IP not in other.sh("ip addr")


def test_interface_by_subnet(pair):
    one, _ = pair
    none = act(one, "start", ip="192.0.2.5/24")
    assert none.returncode == 2 and "subnet" in none.stderr
    assert act(one, "start", ip="192.0.2.5/24", interface="v0").returncode == 0
    assert act(one, "stop", ip="192.0.2.5/24").returncode == 0
    assert act(one, "start", interface="no0").returncode == 2
    down = one.sh("ip link set v0 down; true") or act(one, "start")
    assert down.returncode == 1 and "no carrier" in down.stderr


def test_announcements(pair):
    """At once, half a second and two seconds later; silent once the address has been taken away."""
    one, other = pair
    sniffer = other.python(SNIFFER)
    assert sniffer.stdout.readline() == "up\n"
    assert act(one, "start").returncode == 0
    lines = [line.split() for line in sniffer.communicate(timeout=20)[0].splitlines()]
    mine = [(int(op), float(at)) for op, sender, target, at in lines if sender == IP and target == IP]
    assert [op for op, _ in mine] == [1, 2] * 3
    assert 0.4 < mine[2][1] - mine[0][1] < 0.9 and 1.8 < mine[4][1] - mine[0][1] < 2.5
    assert act(one, "stop").returncode == 0

    sniffer = other.python(SNIFFER)
    assert sniffer.stdout.readline() == "up\n"
    assert act(one, "start").returncode == 0
    assert act(one, "stop").returncode == 0
    lines = [line.split() for line in sniffer.communicate(timeout=20)[0].splitlines()]
    assert [op for op, sender, target, _ in lines if sender == IP and target == IP] == ["1", "2"]


def cached(host):
    """The MAC that a host's neighbour cache has for the floating address."""
    words = host.sh(f"ip neigh show {IP}").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def cache_heals(one, other, within):
    mac = one.sh("ip -brief link show v0").split()[2]
    deadline = time.monotonic() + within
    while cached(other) != mac:
        assert time.monotonic() < deadline, f"the neighbour still sends to {cached(other)}, not to {mac}"
        time.sleep(0.05)


def cache_spoil(host):
    host.sh(f"ip neigh replace {IP} lladdr {STALE} dev v0 nud stale")
    assert cached(host) == STALE


def test_first_announcement_lost(pair):
    """A neighbour that missed the first one believes the next, without asking."""
    one, other = pair
    cache_spoil(other)
    other.sh("nft add table arp deaf && nft 'add chain arp deaf in { type filter hook input priority 0; policy drop; }'")
    assert act(one, "start").returncode == 0
    assert cached(other) == STALE, "the first announcement was not lost"
    other.sh("nft delete table arp deaf")
    cache_heals(one, other, within=3)


def test_start_again_announces(pair):
    """Of an address that is here already: the neighbours may have learnt another place meanwhile."""
    one, other = pair
    assert act(one, "start").returncode == 0
    time.sleep(2.3)
    cache_spoil(other)
    assert act(one, "start").returncode == 0
    cache_heals(one, other, within=0.4)


def test_monitor_announces(pair):
    """Long after the start, as when a split has healed: whoever learnt another place learns the right one."""
    one, other = pair
    assert act(one, "start").returncode == 0
    time.sleep(2.3)
    cache_spoil(other)
    assert act(one, "monitor").returncode == 0
    cache_heals(one, other, within=0.4)


def test_wrong_prefix(pair):
    agentlib.check_wrong_prefix(pair[0], act, IP, 32, 24)


def test_interface_renamed_and_gone(pair):
    one, _ = pair
    assert act(one, "start", interface="v0").returncode == 0
    one.sh("ip link set v0 down && ip link set v0 name w0 && ip link set w0 up")
    done = act(one, "monitor", interface="v0")
    assert done.returncode == 1 and "is on interface w0 of this node and should be on v0" in done.stderr, done.stderr
    one.sh("ip link del w0")
    assert act(one, "monitor", interface="v0").returncode == 7
    assert act(one, "stop", interface="v0").returncode == 0


def test_link_flaps(pair):
    """The other end goes, and comes back: failed, with a sentence, only as long as nobody could reach the address."""
    one, other = pair
    assert act(one, "start").returncode == 0
    for _ in range(3):
        other.sh("ip link set v0 down")
        done = act(one, "monitor")
        assert done.returncode == 1 and "no carrier" in done.stderr
        other.sh("ip link set v0 up")
        deadline = time.monotonic() + 3
        while act(one, "monitor").returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_time_to_answer(pair, record_property):
    """From exec to an answering address: the duplicate check and little more."""
    one, other = pair
    took = []
    for _ in range(10):
        before = time.monotonic()
        assert act(one, "start").returncode == 0
        assert other.run("ping", "-c1", "-W1", IP).returncode == 0
        took.append((time.monotonic() - before) * 1000)
        assert act(one, "stop").returncode == 0
    record_property("address_ms", statistics.median(took))
    print(f"address answers after {statistics.median(took):.0f} ms (median, with nsenter and ping)")
    assert statistics.median(took) < 200


@pytest.mark.skipif(not shutil.which("ocf-tester", path="/usr/sbin"), reason="no ocf-tester (package resource-agents)")
def test_ocf_tester(pair, tmp_path):
    one, _ = pair
    agent = tmp_path / "resource.d" / "understudy" / "address"
    agent.parent.mkdir(parents=True)
    shutil.copy(AGENT, agent)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    done = one.run("/usr/sbin/ocf-tester", "-n", "address", "-o", f"ip={IP}/24", str(agent))
    assert done.returncode == 0 and "passed all tests" in done.stdout, done.stdout + done.stderr


