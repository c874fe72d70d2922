#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""check-config on a host that is a node: what Mailman's own files say is compared with ours, read by Mailman's libraries."""
import atexit
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import program  # noqa: E402
from program import BUILD, Skip, main, test  # noqa: E402

CLI = os.path.join(BUILD, "understudy")
SOURCE = os.environ.get("top_srcdir", ".")
RUNNERS = ("archive", "bounces", "command", "digest", "in", "lmtp", "nntp", "out", "pipeline", "rest", "retry", "task", "virgin")
MAILMAN = """[mailman]
layout: here
[paths.here]
var_dir: /srv/lists
queue_dir: $var_dir/queue
lock_dir: $var_dir/locks
pid_file: /run/mailman3/master.pid
[database]
class: mailman.database.postgresql.PostgreSQLDatabase
url: postgresql://mailman:SECRETWORD@db.example.org/mailman
[mta]
smtp_host: relay.example.org
smtp_port: 25
lmtp_host: 192.0.2.100
lmtp_port: 8024
"""
OURS = """[cluster]
name = lists
nodes = a b
control_share = /srv/control
watchdog = /dev/watchdog
[address]
ip = {ip}
[mailman3]
user = {user}
config = {config}
python = /usr/bin/python3
lock_dir = /srv/lists/locks
queue_dir = /srv/lists/queue
runners = {runners}
[node a]
id = 1
hostname = {host}
fqdn = {fqdn}
[node b]
id = 2
hostname = somebody-else
fqdn = b.example.org
[fence a-x]
node = a
agent = fence_ipmilan
[fence b-x]
node = b
agent = fence_ipmilan
"""


class World:
    def __init__(self, mailman=MAILMAN, runners=RUNNERS, host=None, fqdn=None, mode=0o644, ip="192.0.2.100/24"):
        if importlib.util.find_spec("mailman") is None:
            raise Skip("MAILMAN IS NOT INSTALLED: its files were not compared")
        self.top = program.scratch()
        atexit.register(shutil.rmtree, self.top, ignore_errors=True)
        self.libexec = os.path.join(self.top, "libexec")
        os.mkdir(self.libexec)
        shutil.copy(os.path.join(SOURCE, "resource/mailman-conf"), self.libexec)
        user = "list" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.mailman = os.path.join(self.top, "mailman.cfg")
        with open(self.mailman, "w", encoding="ascii") as file:
            file.write(mailman)
        os.chmod(self.mailman, mode)
        os.chmod(self.top, 0o755)
        self.conf = os.path.join(self.top, "understudy.conf")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(OURS.format(user=user, ip=ip, config=self.mailman, runners=" ".join(runners),
                                   host=host or socket.gethostname(), fqdn=fqdn or socket.getfqdn()))

    def check(self, *options):
        done = subprocess.run([CLI, "--libexecdir", self.libexec, "check-config", self.conf, *options], capture_output=True,
                              text=True, check=False, timeout=30)
        assert done.returncode == 0, done  # a warning is no mistake
        return done

    def warnings(self):
        """Without those of the machine that this runs on: its systemd units and its watchdog."""
        answer = json.loads(self.check("--json").stdout)
        assert answer["ok"] is True and answer["errors"] == [], answer
        return [w for w in answer["warnings"] if "mailman3.service" not in w and "watchdog" not in w]


def changed(old, new):
    assert old in MAILMAN
    return MAILMAN.replace(old, new)


def expect(world, *words):
    """Exactly one warning, with all the words in it: what, why, what to do."""
    found = world.warnings()
    assert len(found) == 1 and all(word in found[0] for word in words), (words, found)
    assert found[0].startswith(f"{world.conf}: warning: ") and found[0].count("; ") >= 2, found


@test
def files_that_fit_give_no_warning():
    w = World()
    assert w.warnings() == [], w.warnings()
    assert "is good" in w.check().stdout


@test
def a_loopback_relay_is_named():
    for host in ("localhost", "127.0.0.1", "127.1.2.3", socket.gethostname(), socket.getfqdn()):
        expect(World(changed("relay.example.org", host)), "smtp_host", f"'{host}'", "dies with its disk", "not a node")
    # Mailman's own preset, when the file says nothing
    expect(World(changed("smtp_host: relay.example.org\n", "")), "smtp_host", "'localhost'")


@test
def lmtp_beside_the_floating_address_is_named():
    found = World(changed("lmtp_host: 192.0.2.100", "lmtp_host: 192.0.2.1")).warnings()
    assert len(found) == 2 and "never comes" in found[0] and "would not follow" in found[1], found
    expect(World(changed("lmtp_port: 8024", "lmtp_port: 8025")), "192.0.2.100:8025", "192.0.2.100:8024")


@test
def an_ipv6_address_in_another_notation_is_the_same():
    ours = "2001:db8::100/64"
    assert World(changed("lmtp_host: 192.0.2.100", "lmtp_host: 2001:DB8:0:0::0100"), ip=ours).warnings() == []
    found = World(changed("lmtp_host: 192.0.2.100", "lmtp_host: 2001:db8::10"), ip=ours).warnings()
    assert len(found) == 2 and "never comes" in found[0] and "set it to 2001:db8::100" in found[1], found
    for loopback in ("::1", "[::1]"):
        expect(World(changed("relay.example.org", loopback).replace("192.0.2.100", "2001:db8::100"), ip=ours), "dies with its disk")


@test
def other_directories_are_named():
    expect(World(changed("$var_dir/queue", "/srv/elsewhere/queue")), "queue_dir is /srv/elsewhere/queue", "/srv/lists/queue")
    expect(World(changed("$var_dir/locks", "$data_dir/locks")), "lock_dir is /srv/lists/data/locks", "wrong directory")
    expect(World(changed("/run/mailman3/", "$var_dir/")), "pid_file is /srv/lists/master.pid", "would not be found")


@test
def runners_too_few_and_too_many_are_named():
    expect(World(runners=[r for r in RUNNERS if r != "bounces"]), "runner bounces is started", "notice its death")
    expect(World(MAILMAN + "[runner.nntp]\nstart: no\n"), "runner nntp is in runners here", "wait for it and fail")
    expect(World(MAILMAN + "[runner.out]\ninstances: 4\n"), "runner out has 4 instances", "1 slices")
    assert World(MAILMAN + "[runner.out]\ninstances: 4\n", [r if r != "out" else "out:4" for r in RUNNERS]).warnings() == []
    expect(World(MAILMAN + "[runner.mine]\nclass: mine.Runner\n"), "runner mine is started")


@test
def a_missing_retry_runner_is_named():
    expect(World(MAILMAN + "[runner.retry]\nstart: no\n", [r for r in RUNNERS if r != "retry"]), "no retry runner", "for ever")


@test
def a_name_that_python_does_not_say_is_named():
    expect(World(fqdn="a.example.org"), "fqdn of node a is 'a.example.org'", f"says '{socket.getfqdn()}'", "/etc/hosts")


@test
def what_cannot_be_read_is_said():
    w = World()
    os.unlink(w.mailman)
    expect(w, "could not be compared", "No such file")
    w = World("no section here\n")
    expect(w, "could not be compared")
    if os.geteuid() == 0:
        w = World(mode=0o600)  # root's alone: it is read as the list user
        expect(w, "could not be compared", "Permission denied")


@test
def a_library_that_hangs_is_given_up():
    w = World()
    with open(os.path.join(w.libexec, "mailman-conf"), "w", encoding="ascii") as file:
        file.write("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                   "time.sleep(60)\n")
    begin = time.monotonic()
    expect(w, "could not be compared", "did not answer in time")
    assert time.monotonic() - begin < 20


@test
def no_secret_is_printed_and_nothing_is_made():
    w = World(changed("postgresql:", "postgresql+psycopg2:"))
    done = subprocess.run(["/usr/bin/python3", os.path.join(w.libexec, "mailman-conf"), w.mailman], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0 and "SECRETWORD" not in done.stdout + done.stderr, done
    assert json.loads(done.stdout)["database"] == {"kind": "postgresql", "path": None}
    w = World(changed("/srv/lists\n", f"{w.top}/var\n"))
    w.check()
    assert not os.path.exists(f"{w.top}/var"), "Mailman itself makes its directories when it reads its files"


@test
def elsewhere_only_the_file_counts():
    w = World(changed("relay.example.org", "localhost"), host="not-this-one")
    assert w.warnings() == [], w.warnings()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
