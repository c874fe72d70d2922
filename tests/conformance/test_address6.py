# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:understudy:address with an IPv6 address, between two hosts on one cable."""
import contextlib
import json
import statistics
import time

import pytest

import agentlib

pytestmark = pytest.mark.skipif(bool(agentlib.why_not()), reason=agentlib.why_not() or "-")

IP = "2001:db8:9::100"
STALE = "02:00:00:00:00:99"
AGENT = agentlib.built("resource/address")

# Neighbour advertisements that come in for so many seconds: time, Ethernet and IP destination, hop limit, flags, target, what follows it.
SNIFFER = """
    import socket, sys, time
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))
    s.bind(('v0', 0))
    print('up', flush=True)
    end = time.monotonic() + float(sys.argv[1])
    try:
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            f = s.recv(2048)
            p = f[14:]
            if p[6] == 58 and p[40] == 136:
                print('%.3f' % time.monotonic(), f[:6].hex(), socket.inet_ntop(socket.AF_INET6, p[24:40]), p[7], p[44],
                      socket.inet_ntop(socket.AF_INET6, p[48:64]), p[64:].hex(), flush=True)
    except TimeoutError:
        pass
"""


@contextlib.contextmanager
def two_hosts(folder):
    one, other = agentlib.Host("a", folder), agentlib.Host("b", folder)
    try:
        agentlib.join(one, other)
        for host, last in ((one, 1), (other, 2)):
            host.sh(f"ip addr add 2001:db8:9::{last}/64 dev v0 nodad && echo 0 >/proc/sys/net/ipv6/conf/v0/router_solicitation_delay")
        yield one, other
    finally:
        one.stop()
        other.stop()


@pytest.fixture(name="pair")
def own_pair(tmp_path):
    with two_hosts(tmp_path) as pair:
        yield pair


@pytest.fixture(name="hosts", scope="module")
def module_hosts(tmp_path_factory):
    with two_hosts(tmp_path_factory.mktemp("shared")) as pair:
        yield pair


@pytest.fixture(name="shared")
def shared_pair(hosts):
    """Hosts of several tests, none of which has the address."""
    yield hosts
    for host in hosts:
        host.sh(f"ip -6 addr flush to {IP}; ip -6 neigh flush dev v0; echo 1 >/proc/sys/net/ipv6/conf/v0/dad_transmits")


def act(host, action, **params):
    env = {f"OCF_RESKEY_{key}": str(value) for key, value in {"ip": f"{IP}/64", **params}.items()}
    return host.run(AGENT, action, env=env)


def mac_of(host):
    return host.sh("ip -brief link show v0").split()[2]


def shown(host, ip=IP):
    """What the kernel says of the address; None when it has none."""
    found = [a for link in json.loads(host.sh("ip -6 -j addr show")) for a in link.get("addr_info", []) if a["local"] == ip]
    assert len(found) < 2
    return found[0] if found else None


def until(condition, within, what):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_life(shared):
    one, other = shared
    assert act(one, "monitor").returncode == 7
    assert act(one, "stop").returncode == 0
    done = act(one, "start", ip="2001:DB8:9:0::0100/64")
    assert done.returncode == 0, done.stderr
    assert agentlib.records(done.stdout, "address") == [{"ip": IP, "prefix": "64", "interface": "v0"}]
    assert shown(one) and not {"tentative", "dadfailed"} & set(shown(one)), "the kernel does not use it at once"
    assert act(one, "monitor").returncode == 0
    assert act(one, "start").returncode == 0
    assert other.run("ping", "-6", "-c1", "-W1", IP).returncode == 0
    assert f"src {IP} " not in one.sh("ip -6 route get 2001:db8:9::2"), "what this host sends by itself comes from it"
    assert act(one, "stop").returncode == 0
    assert act(one, "monitor").returncode == 7
    assert shown(one) is None
    assert "2001:db8:9::/64 dev v0" in one.sh("ip -6 route"), "the subnet's route went with it"


def test_duplicate(shared):
    one, other = shared
    other.sh(f"ip addr add {IP}/64 dev v0 nodad")
    done = act(one, "start")
    assert done.returncode == 1
    assert agentlib.records(done.stdout, "duplicate") == [{"ip": IP, "mac": mac_of(other), "kind": "taken"}]
    assert mac_of(other) in done.stderr
    assert shown(one) is None, "added although another host has it"
    # One frame that is lost hides nothing.
    other.sh("nft 'add table ip6 deaf; add chain ip6 deaf in { type filter hook input priority 0; }; add rule ip6 deaf in "
             "icmpv6 type nd-neighbor-solicit limit rate 1/hour burst 1 packets counter drop'")
    assert act(one, "start").returncode == 1
    assert "packets 1 " in other.sh("nft list table ip6 deaf && nft delete table ip6 deaf")
    other.sh(f"ip addr del {IP}/64 dev v0")
    assert act(one, "start").returncode == 0
    # One that was left here is asked for like a new one.
    other.sh(f"ip addr add {IP}/64 dev v0 nodad")
    done = act(one, "start")
    assert done.returncode == 1 and mac_of(other) in done.stderr
    assert act(one, "stop").returncode == 0
    assert shown(one) is None and shown(other)


@pytest.mark.parametrize("left", [False, True])
def test_contender(shared, left):
    """Of two that check at the same moment not both add it, also where one has it and the kernel does not use it."""
    one, other = shared
    if left:
        other.sh(f"echo 60 >/proc/sys/net/ipv6/conf/v0/dad_transmits && ip addr add {IP}/64 dev v0")
    env = {"OCF_RESKEY_ip": f"{IP}/64", "OCF_RESKEY_dad_ms": "900"}
    first = other.start(AGENT, "start", env=env)
    time.sleep(0.3)
    assert "ff02::1:ff00:100" in other.sh("ip -6 maddr show dev v0"), "a switch that knows who listens would keep probes away"
    assert "bpf filter (7)" in other.sh("ss -0bn"), "the node's other traffic can fill the queue of what is listened to"
    second = one.start(AGENT, "start", env=env)
    outputs = [p.communicate(timeout=10)[0] for p in (first, second)]
    assert first.returncode == 1 and "kind=contender" in outputs[0], outputs
    assert (shown(other) is not None) == left, "added, or taken away, by a start that failed"


def test_contender_for_one_already_here(shared):
    """Another host's kernel checks for an address that we have: it is turned away, and we go on."""
    one, other = shared
    assert act(one, "start").returncode == 0
    running = one.start(AGENT, "start", env={"OCF_RESKEY_ip": f"{IP}/64", "OCF_RESKEY_dad_ms": "800"})
    time.sleep(0.1)
    other.sh(f"ip addr add {IP}/64 dev v0")
    running.communicate(timeout=10)
    assert running.returncode == 0
    until(lambda: "dadfailed" in shown(other), 3, "the other host did not notice")
    bad = act(other, "monitor")
    assert bad.returncode == 1 and "dadfailed" in bad.stderr
    assert act(other, "stop").returncode == 0 and shown(other) is None


def test_duplicate_found_by_the_kernel(shared):
    """Added by hand: the kernel keeps it and does not use it. Start sets that right once nobody else has it."""
    one, other = shared
    other.sh(f"ip addr add {IP}/64 dev v0 nodad")
    one.sh(f"ip addr add {IP}/64 dev v0")
    until(lambda: "dadfailed" in shown(one), 3, "the kernel did not notice")
    bad = act(one, "monitor")
    assert bad.returncode == 1 and "dadfailed" in bad.stderr
    bad = act(one, "start")
    assert bad.returncode == 1 and mac_of(other) in bad.stderr
    other.sh(f"ip addr del {IP}/64 dev v0")
    assert act(one, "monitor").returncode == 1, "the kernel does not use it still"
    done = act(one, "start")
    assert done.returncode == 0, done.stderr
    assert not {"tentative", "dadfailed"} & set(shown(one))
    assert act(one, "monitor").returncode == 0
    assert other.run("ping", "-6", "-c1", "-W1", IP).returncode == 0


def test_still_asked_for_by_the_kernel(shared):
    one, other = shared
    one.sh(f"echo 60 >/proc/sys/net/ipv6/conf/v0/dad_transmits && ip addr add {IP}/64 dev v0")
    bad = act(one, "monitor")
    assert bad.returncode == 1 and "tentative" in bad.stderr
    assert other.run("ping", "-6", "-c1", "-W1", IP).returncode != 0
    assert act(one, "start").returncode == 0
    assert "tentative" not in shown(one)
    assert act(one, "monitor").returncode == 0


def test_announcements(pair):
    """At once, half a second and two seconds later; silent once the address has been taken away."""
    one, other = pair
    mine = ["333300000001", "ff02::1", "255", str(0x20), IP, "0201" + mac_of(one).replace(":", "")]
    one.sh("ip link add f0 type veth peer name f1 && ip link set f0 up && ip link set f1 up && "
           "ip -6 route add multicast ff00::/8 dev f0 table local metric 1")
    sniffer = other.python(SNIFFER, "2.4")
    assert sniffer.stdout.readline() == "up\n"
    assert act(one, "start").returncode == 0
    lines = [line.split() for line in sniffer.communicate(timeout=20)[0].splitlines() if f" {IP} " in line]
    at = [float(line[0]) for line in lines]
    assert [line[1:] for line in lines] == [mine] * 3
    assert 0.4 < at[1] - at[0] < 0.9 and 1.8 < at[2] - at[0] < 2.5
    assert act(one, "stop").returncode == 0
    sniffer = other.python(SNIFFER, "0.9")
    assert sniffer.stdout.readline() == "up\n"
    assert act(one, "start").returncode == 0
    assert act(one, "stop").returncode == 0
    assert sniffer.communicate(timeout=20)[0].count(f" {IP} ") == 1


def cached(host):
    """The MAC that a host's neighbour cache has for the floating address."""
    words = host.sh(f"ip -6 neigh show {IP}").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def test_neighbours_learn(pair):
    """From a start whose first announcement is lost, and from a monitor, as when a split has healed; without asking."""
    one, other = pair
    spoil = f"ip -6 neigh replace {IP} lladdr {STALE} dev v0 nud stale"
    other.sh(f"{spoil} && nft 'add table ip6 deaf; add chain ip6 deaf in {{ type filter hook input priority 0; policy drop; }}'")
    assert act(one, "start").returncode == 0
    assert cached(other) == STALE, "the first announcement was not lost"
    other.sh("nft delete table ip6 deaf")
    until(lambda: cached(other) == mac_of(one), 2.5, "the neighbour still sends elsewhere")
    time.sleep(2.1)
    other.sh(spoil)
    assert cached(other) == STALE
    assert act(one, "monitor").returncode == 0
    until(lambda: cached(other) == mac_of(one), 0.4, "the neighbour still sends elsewhere after a monitor")


def test_wrong_prefix(shared):
    agentlib.check_wrong_prefix(shared[0], act, IP, 128, 64, "nodad")


def test_interface(pair):
    """Found by subnet, of the address's own IP version; renamed; gone; IPv6 switched off on it."""
    one, _ = pair
    for ip in ("2001:db8:7::5/64", "2001:db8:7::5"):
        none = act(one, "start", ip=ip)
        assert none.returncode == 2 and "subnet" in none.stderr
    assert act(one, "start", ip="2001:db8:7::5/64", interface="v0").returncode == 0
    assert act(one, "stop", ip="2001:db8:7::5/64").returncode == 0
    one.sh("echo 1 >/proc/sys/net/ipv6/conf/v0/keep_addr_on_down")
    assert act(one, "start", ip=IP).returncode == 0
    assert shown(one)["prefixlen"] == 64, "the prefix of the subnet"
    one.sh("ip link set v0 down")
    done = act(one, "monitor")
    assert done.returncode == 1 and "no carrier" in done.stderr, "kept by keep_addr_on_down, and of no use"
    one.sh("ip link set v0 name w0 && ip link set w0 up")
    until(lambda: act(one, "monitor").returncode == 0, 3, "it is up again")
    done = act(one, "monitor", interface="v0")
    assert done.returncode == 1 and "is on interface w0 of this node and should be on v0" in done.stderr, done.stderr
    assert act(one, "stop", interface="v0").returncode == 0 and shown(one) is None
    one.sh("echo 1 >/proc/sys/net/ipv6/conf/w0/disable_ipv6")
    done = act(one, "start", interface="w0")
    assert done.returncode == 1 and "IPv6 is switched off on the interface" in done.stderr, done.stderr


def test_link(pair):
    """No carrier: failed as long as it lasts. Set down on this host: Linux takes IPv6 addresses away with that."""
    one, other = pair
    assert act(one, "start").returncode == 0
    other.sh("ip link set v0 down")
    done = act(one, "monitor")
    assert done.returncode == 1 and "no carrier" in done.stderr
    other.sh("ip link set v0 up")
    until(lambda: act(one, "monitor").returncode == 0, 3, "the link is up again, and the address is not")
    one.sh("ip link set v0 down")
    assert act(one, "monitor").returncode == 7
    done = act(one, "start", interface="v0")
    assert done.returncode == 1 and "no carrier" in done.stderr
    assert act(one, "stop").returncode == 0


def test_time_to_answer(shared, record_property):
    """From exec to an answering address: the duplicate check and little more, not the kernel's second."""
    one, other = shared
    took = []
    for _ in range(5):
        before = time.monotonic()
        assert act(one, "start").returncode == 0
        assert other.run("ping", "-6", "-c1", "-W1", IP).returncode == 0
        took.append((time.monotonic() - before) * 1000)
        assert act(one, "stop").returncode == 0
    record_property("address6_ms", statistics.median(took))
    print(f"address answers after {statistics.median(took):.0f} ms (median, with nsenter and ping)")
    assert statistics.median(took) < 200
