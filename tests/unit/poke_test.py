#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""understudy-poke against MX hosts that answer, refuse, hang, or are not there."""
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from engine_fake import CONFIG  # noqa: E402
from program import BUILD, Skip, main, test  # noqa: E402

POKE = os.path.join(BUILD, "resource/understudy-poke")


class Mx(threading.Thread):
    """Speaks SMTP; ANSWERS: what follows on ETRN, by domain. Silent after the word in HANG."""

    def __init__(self, answers=None, hang=None, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.answers, self.hang, self.said, self.sessions = answers or {}, hang, [], 0
        self.sock = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.name = f"{f'[{host}]' if ':' in host else host}:{self.sock.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            client, _ = self.sock.accept()
            self.sessions += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        if self.hang == "connect":
            time.sleep(60)
        with client, client.makefile("rwb", 0) as file:
            file.write(b"220 mx ESMTP\r\n")
            for line in file:
                words = line.decode().split()
                self.said.append(" ".join(words))
                if words[0] == self.hang:
                    time.sleep(60)
                answer = {"EHLO": "250-mx\r\n250 ETRN", "QUIT": "221 2.0.0 Bye"}.get(words[0], "500 5.5.2 what?")
                if words[0] == "ETRN":
                    answer = self.answers.get(words[1], "250 2.0.0 Queuing started")
                file.write(answer.encode() + b"\r\n")
                if words[0] == "QUIT":
                    break


def poke(mx, domains="lab.test", timeout="2s"):
    """(exit code, records, stderr, seconds)"""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(f"{CONFIG}[mail]\nmx = {' '.join(mx)}\ndomains = {domains}\npoke_timeout = {timeout}\n")
        conf.flush()
        begin = time.monotonic()
        done = subprocess.run([POKE, "--config", conf.name, "--node", "a"], capture_output=True, text=True, check=False,
                              timeout=30)
    records = [dict(pair.split("=", 1) for pair in line.split()[1:]) for line in done.stdout.splitlines()]
    assert all(line.startswith("poke ") for line in done.stdout.splitlines()), done.stdout
    return done.returncode, records, done.stderr, time.monotonic() - begin


@test
def each_host_hears_each_domain_in_one_session():
    one, two = Mx(), Mx()
    code, records, err, _ = poke([one.name, two.name], "lab.test other.test")
    assert code == 0 and err == "", (code, err)
    assert sorted((r["mx"], r["domain"], r["code"]) for r in records) == sorted(
        (mx.name, domain, "250") for mx in (one, two) for domain in ("lab.test", "other.test")), records
    for mx in (one, two):
        assert mx.said == ["EHLO a.lab.test", "ETRN lab.test", "ETRN other.test", "QUIT"], mx.said
        assert mx.sessions == 1


@test
def a_host_with_an_ipv6_address_is_asked():
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        if "lo" not in file.read().split():
            raise Skip("THIS MACHINE HAS NO IPV6 LOOPBACK: no MX host was asked there")
    one, two = Mx(host="::1"), Mx()
    code, records, err, _ = poke([one.name, two.name])
    assert code == 0 and err == "", (code, err)
    assert sorted((r["mx"], r["code"]) for r in records) == sorted([(one.name, "250"), (two.name, "250")]), records
    assert one.said == ["EHLO a.lab.test", "ETRN lab.test", "QUIT"], one.said


@test
def a_refusal_says_what_to_do_and_the_others_are_asked():
    mx = Mx({"lab.test": "459 4.0.0 <lab.test>: service unavailable", "other.test": "554 5.7.1 <x>: Access denied"})
    code, records, err, _ = poke([mx.name], "lab.test other.test third.test")
    assert code == 1
    assert [(r["domain"], r["code"]) for r in records] == [("lab.test", "459"), ("other.test", "554"), ("third.test", "250")]
    assert "fast_flush_domains" in err and "mynetworks" in err, err


@test
def a_host_that_does_not_know_etrn_is_named():
    mx = Mx({"lab.test": "502 5.5.1 not implemented"})
    code, records, err, _ = poke([mx.name])
    assert code == 1 and records[0]["code"] == "502" and "does not know ETRN" in err, (code, records, err)


@test
def a_host_that_is_not_there_holds_nobody_up():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{free.getsockname()[1]}"
    mx = Mx()
    code, records, err, took = poke([gone, mx.name, "no-such-host.invalid"])
    by_mx = {r["mx"]: r["code"] for r in records}
    assert code == 1 and by_mx[mx.name] == "250" and by_mx[gone] == "0" and by_mx["no-such-host.invalid:25"] == "0", records
    assert took < 2, took
    assert gone.split(":", maxsplit=1)[0] in err and "retries by itself" in err, err


@test
def a_host_that_hangs_is_left_at_the_limit():
    for hang in ("connect", "EHLO", "ETRN"):
        silent, mx = Mx(hang=hang), Mx()
        code, records, err, took = poke([silent.name, mx.name], "lab.test other.test", "1s")
        assert code == 1 and 0.5 < took < 2.5, (hang, code, took)
        assert sorted((r["mx"], r["code"]) for r in records) == sorted(
            [(silent.name, "0")] * 2 + [(mx.name, "250")] * 2), (hang, records)
        assert "gave no answer" in err, err


@test
def a_host_that_hangs_at_quit_costs_two_seconds():
    mx = Mx(hang="QUIT")
    code, records, _, took = poke([mx.name], timeout="1s")
    assert code == 0 and records[0]["code"] == "250" and took < 4, (code, records, took)


@test
def wrong_usage_and_nothing_to_do():
    done = subprocess.run([POKE, "--nonesuch"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(CONFIG)
        conf.flush()
        done = subprocess.run([POKE, "--config", conf.name, "--node", "a"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout == "" and "names no MX host" in done.stderr, done
        done = subprocess.run([POKE, "--config", conf.name, "--node", "z"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "no node 'z'" in done.stderr, done


if __name__ == "__main__":
    sys.exit(main())
