# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: its hosts, power, networks and parts, without the product."""
import json
import os
import smtplib
import socket
import struct
import subprocess
import tempfile
import time

import pytest

import labconf
import lablib
import labns
import labshare

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested")

MESSAGE = """From: poster@posters.test
To: test@lab.test
Subject: lab {number}
Message-ID: <lab-{number}@posters.test>

Text.
"""


@pytest.fixture(scope="module")
def lab():
    with tempfile.TemporaryDirectory(prefix="understudy-lab-test.") as directory:
        one = lablib.Lab(os.path.join(directory, "lab"))
        one.build = None  # the parts are tested here, not the product
        try:
            one.up()
            yield one
        finally:
            one.down()


def events(lab, **wanted):
    lines = [json.loads(line) for line in lab.events.read_text().splitlines()]
    return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


def fence(lab, from_host, target, action):
    """Debian's fence_ipmilan on a cluster host, as the product calls it; its exit status."""
    password = lab.host(from_host).file(f"/etc/understudy/secrets/{target}-ipmi").read_text()
    text = (f"action={action}\nip={labconf.BMC_ADDRESSES[target]}\nusername={labconf.BMC_USER}\n{password}"
            "lanplus=1\ncipher=3\npower_wait=0\n")
    return lab.host(from_host).exec(["/usr/sbin/fence_ipmilan"], input=text, check=False, timeout=60).returncode


def test_hosts_are_apart(lab):
    names = [lab.host(name).exec(["hostname"]).stdout.strip() for name in labconf.HOSTS]
    assert names == list(labconf.HOSTS)
    spaces = {(os.readlink(f"/proc/{host.pid1}/ns/{kind}"))
              for host in lab.hosts() for kind in ("net", "pid", "uts", "mnt", "ipc", "cgroup")}
    assert len(spaces) == 6 * len(labconf.HOSTS)
    own = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid", "uts", "mnt", "ipc", "cgroup")}
    assert not spaces & own
    assert len({host.boot_id for host in lab.hosts()}) == len(labconf.HOSTS)


def test_python_sees_the_full_name(lab):
    for name in labconf.CLUSTER_HOSTS:
        out = lab.host(name).exec(["/usr/bin/python3", "-c", "import socket; print(socket.getfqdn())"]).stdout
        assert out.strip() == f"{name}.lab.test"


def test_the_boot_id_is_the_hosts_own(lab):
    for host in lab.hosts():
        assert host.exec(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip() == host.boot_id


def test_the_machine_below_cannot_be_changed(lab):
    host = lab.host("a")
    assert host.exec(["sh", "-c", "echo 1 > /proc/sys/kernel/panic"], check=False).returncode != 0
    assert not host.file("/proc/sysrq-trigger").is_file()


def test_pids_belong_to_their_host(lab):
    for host in lab.hosts():
        assert host.pid1 in host.pids()
        assert {lab.host_of_pid(pid) for pid in host.pids()} == {host.name}
    assert lab.host_of_pid(os.getpid()) is None


def test_shares_are_mount_points_in_both_hosts(lab):
    for name in labconf.CLUSTER_HOSTS:
        text = lab.host(name).file("/proc/self/mountinfo").parent.parent.joinpath("1/mountinfo").read_text()
        points = {line.split()[4]: line.split(" - ")[1].split() for line in text.splitlines()}
        for share in (labconf.CONTROL_SHARE, labconf.LIST_SHARE):
            assert share in points
        conf = lab.host(name).file("/etc/understudy/understudy.conf").read_text()
        assert f"control_fstype = {points[labconf.CONTROL_SHARE][0]}\n" in conf
        assert f"control_source = {points[labconf.CONTROL_SHARE][1]}\n" in conf
    lab.host("a").exec(["touch", "/srv/lists/seen"], user="list")
    assert lab.host("b").file("/srv/lists/seen").exists()
    assert (lab.list_share / "seen").exists()
    (lab.list_share / "seen").unlink()


def test_corosync_has_an_encrypted_ring_of_two(lab):
    assert lab.ring_is_whole()
    out = lab.host("a").exec(["corosync-cmapctl", "totem."]).stdout
    assert "totem.crypto_cipher (str) = aes256" in out
    assert "totem.consensus (u32) = 250" in out


def test_secrets_are_readable_by_root_only(lab):
    for name in labconf.CLUSTER_HOSTS:
        for target in labconf.BMC_ADDRESSES:
            stat = lab.host(name).file(f"/etc/understudy/secrets/{target}-ipmi").stat()
            assert (stat.st_uid, stat.st_mode & 0o777) == (0, 0o600)
    password = lab.host("a").file("/etc/understudy/secrets/b-ipmi.password").read_text().strip()
    for pid in labns.all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                assert password.encode() not in file.read()
        except OSError:
            pass


def test_exec_gives_up_in_time(lab):
    host = lab.host("a")
    before = host.pids()
    with pytest.raises(subprocess.TimeoutExpired):
        host.exec(["sleep", "60"], timeout=0.3)
    lablib.wait_until(lambda: host.pids() <= before, 5, "the command that timed out has ended")


def test_power_is_cut_by_the_bmc(lab):
    host = lab.host("b")
    host.exec(["sh", "-c", "echo kept > /var/local/kept; sync -f /var/local; echo lost > /run/lost"])
    before, pids = host.boot_id, host.pids()
    assert fence(lab, "a", "b", "status") == 0
    assert fence(lab, "a", "b", "off") == 0
    assert not host.powered
    assert not any(labns.pid_namespace(pid) for pid in pids)
    assert lab.bmc("b").power is False
    assert fence(lab, "a", "b", "status") == 2
    assert fence(lab, "a", "b", "on") == 0
    assert host.powered and host.boot_id != before
    assert host.file("/var/local/kept").read_text() == "kept\n"
    assert not host.file("/run/lost").exists()
    off = events(lab, event="power-off", host="b")[-1]
    assert off["reason"] == "bmc" and off["boot_id"] == before
    assert events(lab, event="powered-off", host="b")[-1]["at_ms"] >= off["at_ms"]
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_nothing_answers_for_a_host_that_is_off(lab):
    assert lab.host("mx").exec(["ping", "-c1", "-W2", "10.77.1.2"], check=False).returncode == 0
    lab.host("b").power_off()
    try:
        assert lab.host("mx").exec(["ping", "-c2", "-i0.2", "-W1", "10.77.1.2"], check=False).returncode != 0
    finally:
        lab.host("b").power_on()
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_a_dead_bmc_does_not_answer(lab):
    lab.bmc("b").dead = True
    try:
        assert lab.bmc("b").dead
        assert not bmc_answers(lab, "a", "b")
        assert bmc_answers(lab, "b", "a")
    finally:
        lab.bmc("b").dead = False
    assert bmc_answers(lab, "a", "b")


def bmc_answers(lab, from_host, target):
    """fence_ipmilan tries for 20 s when nothing answers; ipmitool can be told to give up sooner."""
    return lab.host(from_host).exec(
        ["ipmitool", "-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", labconf.BMC_ADDRESSES[target],
         "-U", labconf.BMC_USER, "-f", f"/etc/understudy/secrets/{target}-ipmi.password", "chassis", "power", "status"],
        check=False, timeout=30).returncode == 0


def test_a_host_that_reboots_comes_back(lab):
    host = lab.host("b")
    before = host.boot_id
    host.exec(["/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL(None).reboot(0x01234567)"], check=False)
    lablib.wait_until(lambda: host.powered and host.boot_id != before, 10, "b has rebooted")
    assert events(lab, event="rebooted", host="b")
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_cut_and_heal(lab):
    lab.cut("b")
    lablib.wait_until(lambda: not lab.ring_is_whole(), 10, "the ring has broken")
    assert lab.host("mx").exec(["ping", "-c1", "-W2", "10.77.1.2"], check=False).returncode == 0
    lab.heal("b")
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_pause_stops_everything(lab):
    host = lab.host("b")
    lab.pause("b")
    assert {labns.stat_fields(pid)[0] for pid in host.pids()} <= {"T", "Z"}
    lab.resume("b")
    assert "T" not in {labns.stat_fields(pid)[0] for pid in host.pids()}
    command = host.popen(["sleep", "60"])  # its nsenter stops with it, and would leave it unreaped
    lab.pause("b")
    lab.resume("b")
    lab.pause("b")
    lablib.wait_until(lambda: labns.stat_fields(command.pid)[0] == "T", 5, "nsenter has stopped itself")
    host.power_off()  # a stopped host loses its power like any other
    assert not host.powered
    assert command.wait(5) != 0
    host.power_on()
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_pause_of_one_process(lab):
    pids = lab.pause_process("b", "corosync")
    assert [labns.stat_fields(pid)[0] for pid in pids] == ["T"]
    assert lab.resume_process("b", "corosync") == pids
    with pytest.raises(lablib.LabError, match="runs no process called nonesuch"):
        lab.pause_process("b", "nonesuch")
    lablib.wait_until(lab.ring_is_whole, 30, "the ring is whole again")


def test_a_frozen_share_hangs_its_writers_only(lab):
    lab.freeze_share("control")
    try:
        writer = lab.host("a").popen(["touch", "/srv/control/late"])
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.5)
        lab.host("a").exec(["touch", "/srv/lists/free"], timeout=5)
    finally:
        lab.thaw_share("control")
    assert writer.wait(10) == 0
    (lab.control_share / "late").unlink()
    (lab.list_share / "free").unlink()


def run_command(lab, *words):
    return subprocess.run([os.path.join(labconf.HERE, "lab"), "--dir", str(lab.dir), *words], capture_output=True,
                          text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)


def test_the_command_line(lab):
    status = json.loads(run_command(lab, "status", "--json").stdout)
    assert status["up"] and status["hosts"]["a"]["boot_id"] == lab.host("a").boot_id
    assert run_command(lab, "exec", "b", "hostname").stdout == "b\n"
    assert run_command(lab, "exec", "--user", "list", "a", "id", "-un").stdout == "list\n"
    assert run_command(lab, "exec", "a", "--", "sh", "-c", "exit 7").returncode == 7
    assert run_command(lab, "power", "status", "a").stdout == "on\n"
    for words, error in ((("power", "off", "c"), "no host 'c'"), (("cut", "mx", "cluster"), "not on network"),
                         (("up",), "lab down"), (("bmc", "dead", "mx"), "has no BMC")):
        done = run_command(lab, *words)
        assert done.returncode == 1 and error in done.stderr, done


def test_only_the_recorded_process_is_killed():
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            record = labns.process_record(process.pid)
            assert labns.kill_record({**record, "start": record["start"] - 1})
            assert process.poll() is None
            assert labns.kill_record(record)
        finally:
            process.kill()


MAILMAN = ["/usr/lib/mailman3/bin/mailman", "-C", "/etc/mailman3/mailman.cfg"]


def take_address(lab, name):
    """Add the floating address and announce it: without that mx asks the dead host for half a minute."""
    lab.host(name).exec(["ip", "addr", "add", f"{labconf.FLOATING}/24", "dev", "service0"])
    mac = bytes.fromhex(labconf.mac(name, "service", 0).replace(":", ""))
    address = socket.inet_aton(labconf.FLOATING)
    arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, address, b"\0" * 6, address)
    with lab.host(name).socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("service0", 0x0806))
        sock.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)


def start_mailman(lab, name):
    lab.host(name).exec([*MAILMAN, "start"], user="list", timeout=60)
    lablib.wait_until(lambda: lab.lmtp_greets(2), 40, "LMTP greets")


def post(lab, number):
    """A post to the list, by SMTP to Postfix on mx."""
    with lab.host("mx").socket() as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", 25))
        client = smtplib.SMTP()
        client.sock = sock
        client.timeout = 10
        assert client.getreply()[0] == 220
        client.sendmail("poster@posters.test", [labconf.LIST_ADDRESS], MESSAGE.format(number=number))
        client.quit()


def delivered(lab, number):
    """Which members got post NUMBER, from what smtp-sink has written."""
    text = b"".join(path.read_bytes() for path in lab.host("mx").file("/tmp").glob("sink.*")).decode()
    return {member for part in text.split("X-Client-Addr:") if f"<lab-{number}@" in part
            for member in labconf.LIST_MEMBERS if f"X-Rcpt-Args: <{member}>" in part}


def test_a_post_goes_all_the_way_and_survives_a_power_cut(lab):
    """By hand: Postfix, LMTP on the floating address, Mailman, sink; then the same from the other host."""
    sink = lab.host("mx").popen(["/usr/sbin/smtp-sink", "-u", "nobody", "-d", "/tmp/sink.%M.",
                                 f"{labconf.MX_ADDRESS}:{labconf.SINK_PORT}", "100"])
    try:
        take_address(lab, "a")
        start_mailman(lab, "a")
        post(lab, 1)
        lablib.wait_until(lambda: delivered(lab, 1) == set(labconf.LIST_MEMBERS), 20, "post 1 has arrived")
        lab.host("a").power_off()
        posted = labns.boottime_ms()
        post(lab, 2)  # Postfix keeps it
        time.sleep(3)
        assert fence(lab, "b", "a", "status") == 2
        for path in (lab.list_share / "locks").iterdir():
            path.unlink()
        take_address(lab, "b")
        start_mailman(lab, "b")
        began = labns.boottime_ms()
        lablib.wait_until(lambda: delivered(lab, 2) == set(labconf.LIST_MEMBERS), 60, "post 2 has arrived")
        # Nobody pokes Postfix here, and it waits as long again as the message has waited.
        assert labns.boottime_ms() - began < began - posted + 10000
    finally:
        lab.host("mx").kill_popen(sink)
        lab.host("a").power_on()
        lab.host("b").power_off()
        lab.host("b").power_on()


def test_down_leaves_nothing_after_a_crash(lab):
    """Last: the daemon is killed, and `down` still ends everything that it had started."""
    pids = [host.pid1 for host in lab.hosts()]
    images = [str(lab.dir / "share" / f"{name}.img") for name in ("control", "lists")]
    labns.kill_record(lab.state()["labd"])
    lab.down()
    assert not any(labns.start_time(pid) for pid in pids)
    assert labns.mounts_below(str(lab.dir)) == []
    lablib.wait_until(lambda: not any(labshare.loops_of(image) for image in images), 60, "the loop devices are free")
    lab.down()  # once more does no harm


def test_up_refuses_a_directory_of_somebody_else(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(lablib.LabError, match="was not made by the lab"):
        lablib.Lab(tmp_path).up()
    assert (tmp_path / "precious").exists()
