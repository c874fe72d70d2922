# SPDX-License-Identifier: GPL-2.0-or-later
"""Postfix with deploy/postfix as it is shipped, in front of a real Mailman: which recipients it takes, what it does while
LMTP is away, and that the poke brings what waits at once. The poke's part needs the product's build."""
import os
import smtplib
import tempfile
import time

import pytest

import labconf
import lablib
import labns
import labparts
from test_lab import delivered, post, start_mailman, take_address

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="THE LAB NEEDS ROOT: nothing of it was tested")
MAILMAN_STOP = ["/usr/lib/mailman3/bin/mailman", "-C", "/etc/mailman3/mailman.cfg", "stop"]


@pytest.fixture(scope="module")
def lab():
    with tempfile.TemporaryDirectory(prefix="understudy-mx-test.") as directory:
        one = lablib.Lab(os.path.join(directory, "lab"))
        try:
            one.up(manager="none")
            sink = one.host("mx").popen(["/usr/sbin/smtp-sink", "-u", "nobody", "-d", "/tmp/sink.%M.",
                                         f"{labconf.MX_ADDRESS}:{labconf.SINK_PORT}", "100"])
            take_address(one, "a")
            start_mailman(one, "a")
            yield one
            one.host("mx").kill_popen(sink)
        finally:
            one.down()


def rcpt(lab, address, client=labconf.MX_ADDRESS):
    """Postfix's answer to RCPT from a host that is not in mynetworks."""
    with lab.host("mx").socket() as sock:
        sock.settimeout(30)
        sock.bind((client, 0))
        sock.connect((labconf.MX_ADDRESS, 25))
        smtp = smtplib.SMTP()
        smtp.sock = sock
        assert smtp.getreply()[0] == 220
        smtp.ehlo("client.test")
        assert smtp.mail("poster@posters.test")[0] == 250
        code, text = smtp.rcpt(address)
        smtp.quit()
        return code, text.decode()


def lmtp_stop(lab):
    """Connections are refused: the address is there, nobody listens."""
    lab.host("a").exec(MAILMAN_STOP, user="list", timeout=60)
    lablib.wait_until(lambda: not lmtp_listens(lab), 30, "LMTP is away")


def lmtp_listens(lab):
    try:
        with lab.host("mx").socket() as sock:
            sock.settimeout(2)
            sock.connect((labconf.FLOATING, labconf.LMTP_PORT))
            return True
    except OSError:
        return False


def queued(lab):
    """Messages that the MX keeps, in whichever queue."""
    return len(lab.host("mx").exec(["/usr/sbin/postqueue", "-j"]).stdout.splitlines())


def test_postfix_knows_every_parameter(lab):
    mx = lab.host("mx")
    done = mx.exec(["/usr/sbin/postfix", "check"])
    assert done.stderr == "", done.stderr
    done = mx.exec(["/usr/sbin/postconf", "-n"])
    assert "unused" not in done.stderr and done.stderr == "", done.stderr
    for line in labparts.shipped_lines("main.cf"):
        key = line.split(" =")[0]
        assert f"\n{key} =" in "\n" + done.stdout, f"{key} is not in effect"
    assert mx.exec(["/usr/sbin/postconf", "-M", "qmgr/unix"]).stdout.split()[5] == "5"


def test_a_misspelt_parameter_would_be_seen(lab):
    mx = lab.host("mx")
    path = mx.file("/etc/postfix/main.cf")
    good = path.read_text(encoding="utf-8")
    try:
        path.write_text(good + "lmtp_data_done_timeuot = 10s\n", encoding="utf-8")
        assert "unused parameter" in mx.exec(["/usr/sbin/postconf", "-n"]).stderr
    finally:
        path.write_text(good, encoding="utf-8")


def test_the_list_is_taken_and_an_unknown_address_refused(lab):
    assert rcpt(lab, labconf.LIST_ADDRESS)[0] == 250
    code, text = rcpt(lab, "nobody-of-that-name@lab.test")
    assert code == 550 and "undeliverable" in text, (code, text)
    assert rcpt(lab, "somebody@elsewhere.test")[0] in (450, 454, 550, 554)  # no open relay


def test_while_lmtp_is_away_a_known_list_is_taken_and_the_unknown_put_off(lab):
    assert rcpt(lab, labconf.LIST_ADDRESS)[0] == 250
    lmtp_stop(lab)
    try:
        assert rcpt(lab, labconf.LIST_ADDRESS)[0] == 250  # from the cache
        code, text = rcpt(lab, "test-request@lab.test")   # exists, but was never asked for
        assert code == 450, (code, text)
        assert rcpt(lab, "still-nobody@lab.test")[0] == 450
    finally:
        start_mailman(lab, "a")
    # "Away" is forgotten soon: an address that was asked for meanwhile is taken half a minute later, not hours.
    lablib.wait_until(lambda: rcpt(lab, "test-request@lab.test")[0] == 250, 30, "the address is taken")
    lablib.wait_until(lambda: rcpt(lab, "still-nobody@lab.test")[0] == 550, 30, "and the unknown one refused")


def test_what_could_not_be_queued_is_kept_and_not_returned(lab):
    """Mailman's 550 to the end of DATA means that it could not write, and no sender gets it back."""
    queue, before = lab.list_share / "queue" / "in", queued(lab)
    mode = os.stat(queue).st_mode & 0o7777
    os.chmod(queue, 0o500)
    try:
        post(lab, 90)
        lablib.wait_until(lambda: "(in reply to end of DATA command)" in lab.host("mx").exec(
            ["/usr/sbin/postqueue", "-j"]).stdout, 30, "Mailman has refused it")
    finally:
        os.chmod(queue, mode)
    lablib.wait_until(lambda: delivered(lab, 90) == set(labconf.LIST_MEMBERS), 60, "it is delivered")
    lablib.wait_until(lambda: queued(lab) == before, 30, "nothing is left at the MX, nor on its way back")
    log = lab.host("mx").file("/var/log/postfix.log").read_text(encoding="utf-8")
    assert "dsn=4.3.0, status=deferred" in log and "status=bounced" not in log.split("<lab-90@", 1)[1]


def test_only_nodes_may_ask_for_a_delivery(lab):
    with lab.host("mx").socket() as sock:
        sock.settimeout(10)
        sock.bind((labconf.MX_ADDRESS, 0))
        sock.connect((labconf.MX_ADDRESS, 25))
        smtp = smtplib.SMTP()
        smtp.sock = sock
        assert smtp.getreply()[0] == 220
        smtp.ehlo("client.test")
        assert smtp.docmd("ETRN", "lab.test")[0] == 554
        smtp.quit()


def needs_product(lab):
    if not lab.build:
        pytest.skip("THE PRODUCT'S BUILD IS NEEDED (UNDERSTUDY_BUILD): the poke was not tested")


def set_retry(lab, seconds):
    lab.host("mx").exec(["/usr/sbin/postconf", "-e", f"queue_run_delay={seconds}", f"minimal_backoff_time={seconds}",
                         f"maximal_backoff_time={max(seconds, 30)}", f"transport_retry_time={seconds}"])
    lab.host("mx").exec(["/usr/sbin/postfix", "reload"])


def wait_for_post(lab, numbers, seconds):
    began = labns.boottime_ms()
    lablib.wait_until(lambda: all(delivered(lab, n) == set(labconf.LIST_MEMBERS) for n in numbers), seconds,
                      f"posts {numbers} have arrived", 0.1)
    return labns.boottime_ms() - began


def test_the_poke_brings_what_waits_at_once(lab):
    """With retry times like Postfix's own (300 s) deferred mail comes when it is asked for, and not before."""
    needs_product(lab)
    set_retry(lab, 300)
    try:
        lmtp_stop(lab)
        for number in range(100, 110):
            post(lab, number)
        lablib.wait_until(lambda: queued(lab) == 10, 20, "ten posts are deferred")
        start_mailman(lab, "a")
        time.sleep(6)  # so that it is not the queue manager's wake-up that brings them
        assert queued(lab) == 10 and not delivered(lab, 100)
        done = lab.host("a").exec(["/usr/libexec/understudy/understudy-poke"], user="understudy", timeout=20)
        words = dict(pair.split("=") for pair in done.stdout.split()[1:])
        assert (words["mx"], words["domain"], words["code"]) == (f"{labconf.MX_ADDRESS}:25", "lab.test", "250"), done
        assert wait_for_post(lab, range(100, 110), 30) < 15000
        assert queued(lab) == 0
    finally:
        set_retry(lab, 1)
