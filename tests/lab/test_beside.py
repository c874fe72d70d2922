# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done beside the list service: the MX is told to deliver as soon as a node is active, and the units of also_units
go with the list service. There is no systemd in the lab: fake_systemctl.py stands in for systemctl, and really starts and
stops a small HTTP server."""
import json
import os
import signal
import tempfile

import pytest

import labconf
import lablib
import labns
import labparts
from test_lab import delivered, post
from test_mx import queued, set_retry, wait_for_post

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested"),
              pytest.mark.skipif(not os.environ.get("UNDERSTUDY_BUILD"), reason="THE PRODUCT'S BUILD IS NEEDED")]
WEB_PORT = 8088


@pytest.fixture(scope="module")
def lab():
    conf, write = labparts.understudy_conf, labparts.write_understudy

    def write_more(disk, *rest):
        write(disk, *rest)
        with open(os.path.join(labconf.HERE, "fake_systemctl.py"), encoding="utf-8") as file:
            disk.file("/usr/bin/systemctl", file.read(), 0o755)

    with tempfile.TemporaryDirectory(prefix="understudy-beside-test.") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(labparts, "understudy_conf", lambda *a: conf(*a).replace("[address]", "also_units = web.service\n[address]"))
        patch.setattr(labparts, "write_understudy", write_more)
        one = lablib.Lab(os.path.join(directory, "lab"))
        try:
            one.up()
            sink = one.host("mx").popen(["/usr/sbin/smtp-sink", "-u", "nobody", "-d", "/tmp/sink.%M.",
                                         f"{labconf.MX_ADDRESS}:{labconf.SINK_PORT}", "100"])
            yield one
            one.host("mx").kill_popen(sink)
        finally:
            one.down()


def web_serves(lab, name):
    try:
        with lab.host("mx").socket() as sock:
            sock.settimeout(2)
            sock.connect((labconf.address(name, "service"), WEB_PORT))
            sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return b" 200 " in sock.recv(64)
    except OSError:
        return False


def newest_report(lab, name):
    reports = sorted(lab.host(name).file("/var/lib/understudy/reports").glob("takeover-*.json"), key=lambda p: int(p.stem[9:]))
    try:
        return json.loads(reports[-1].read_text(encoding="utf-8")) if reports else {}
    except ValueError:
        return {}


def beside(lab, name):
    """The report of NAME once the MX has answered and the units are up."""
    def complete():
        report = newest_report(lab, name)
        return report if report.get("pokes") and report.get("also_units") else None
    return lablib.wait_until(complete, 20, f"the report of {name} has what was done beside")


def calls(lab, name):
    """What systemctl was asked for on NAME, without questions."""
    text = lab.host(name).file("/var/log/systemctl.log").read_text(encoding="ascii")
    return [line.split()[1] for line in text.splitlines() if line.split()[1] in ("start", "stop")]


def test_the_active_node_has_the_units_and_told_the_mx(lab):
    active = lab.active()
    passive = next(h for h in labconf.CLUSTER_HOSTS if h != active)
    lablib.wait_until(lambda: web_serves(lab, active), 20, f"the web server on {active} serves")
    assert not web_serves(lab, passive)
    report = beside(lab, active)
    assert {(p["mx"], p["domain"], p["code"]) for p in report["pokes"]} == {(f"{labconf.MX_ADDRESS}:25", "lab.test", 250)}, report
    assert report["also_units"]["answer"] == "ok"
    assert "start" not in calls(lab, passive) and "stop" in calls(lab, passive)


def test_check_config_and_queues_on_a_node(lab):
    active = lab.active()
    done = lab.host(active).exec(["/usr/bin/understudy", "check-config", "--json"], timeout=20)
    answer = json.loads(done.stdout)
    warnings = [w for w in answer["warnings"] if "watchdog" not in w]      # this lab has none
    assert answer["ok"] and len(warnings) == 1 and "no retry runner" in warnings[0], answer
    done = lab.host(active).exec(["/usr/bin/understudy", "locks"], timeout=20)
    rows = [line.split(None, 4) for line in done.stdout.splitlines()[1:]]
    assert rows and {row[0] for row in rows} == {active} and "master.lck" in done.stdout, done
    assert all("its process lives here" in row[4] for row in rows if "master.lck" in row[4]), done
    done = lab.host(active).exec(["/usr/bin/understudy", "queue"], timeout=20)
    assert {"in", "out", "pipeline"} <= {line.split()[0] for line in done.stdout.splitlines()}, done


def wait_for_handing_over(lab):
    """Until the MX has nothing left; at its own pace that would be 300 s."""
    began = labns.boottime_ms()
    try:
        lablib.wait_until(lambda: queued(lab) == 0, 25, "the MX has handed all over", 0.1)
    except lablib.LabError as err:
        log = lab.host("mx").file("/var/log/postfix.log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"{err}\n{log[-6000:]}") from err
    return labns.boottime_ms() - began


def test_after_a_power_cut_mail_comes_at_once_although_the_mx_would_wait(lab):
    old = lab.active()
    new = next(h for h in labconf.CLUSTER_HOSTS if h != old)
    set_retry(lab, 300)
    try:
        lab.host(old).power_off()
        for number in range(200, 210):
            post(lab, number)
        lablib.wait_until(lambda: queued(lab) == 10, 20, "ten posts are deferred")
        assert not delivered(lab, 200)
        lablib.wait_until(lambda: lab.active() == new, 60, f"{new} is active")
        handed = wait_for_handing_over(lab)
        arrived = handed + wait_for_post(lab, range(200, 210), 60)
        print(f"ten deferred posts: in the list server's hands {handed} ms, delivered {arrived} ms after {new} was seen active")
        lablib.wait_until(lambda: web_serves(lab, new), 20, f"the web server on {new} serves")
        assert all(p["code"] == 250 for p in beside(lab, new)["pokes"])
    finally:
        set_retry(lab, 1)


def engine_pids(lab, name):
    return {pid for pid in lab.host(name).pids() if process_name(pid) == "understudy-engi"}


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def test_the_executor_stops_the_units_when_the_engine_dies(lab):
    active = lablib.wait_until(lab.active, 30, "one node is active")
    lablib.wait_until(lambda: web_serves(lab, active), 20, f"the web server on {active} serves")
    before = len(calls(lab, active))
    pids = engine_pids(lab, active)
    assert len(pids) == 1
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    lablib.wait_until(lambda: "stop" in calls(lab, active)[before:], 20, "the units are stopped")
    lablib.wait_until(lambda: "involuntary stop: done" in lab.host(active).console.read_text(errors="replace"), 20,
                      "the stop is proven, with the units or without")
