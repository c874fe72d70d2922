# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:understudy:mailman3 with Debian's Mailman 3, minimal runner set, in a host of its own."""
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import agentlib

sys.path.insert(1, f"{agentlib.SOURCE}/tests/unit")
import opened  # noqa: E402 pylint: disable=wrong-import-position

MAILMAN = "/usr/lib/mailman3/bin/mailman"
needs = agentlib.why_not() or ("" if os.path.exists(MAILMAN) else "no Mailman 3 (package mailman3)")
pytestmark = pytest.mark.skipif(bool(needs), reason=needs or "-")

AGENT = agentlib.built("resource/mailman3")
INTAKE = agentlib.built("resource/understudy-intake")
RUNNERS = ("in", "pipeline", "out", "virgin", "lmtp")
OTHERS = ("archive", "bounces", "command", "digest", "nntp", "rest", "retry", "task")
CONFIG = """[mailman]
layout: test
site_owner: owner@lab.test
[paths.test]
var_dir: {dir}/var
queue_dir: $var_dir/queue
bin_dir: /usr/lib/mailman3/bin
list_data_dir: $var_dir/lists
log_dir: {dir}/log
lock_dir: $var_dir/locks
data_dir: $var_dir/data
cache_dir: {dir}/cache
etc_dir: {dir}
ext_dir: $var_dir/ext
messages_dir: $var_dir/messages
archive_dir: $var_dir/archives
template_dir: $var_dir/templates
pid_file: /run/mailman3test/master.pid
lock_file: $lock_dir/master.lck
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///$DATA_DIR/mailman.db
[mta]
incoming: mailman.mta.null.NullMTA
lmtp_host: 127.0.0.1
lmtp_port: 8024
"""
HOLDER = """
    import sqlite3, sys
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute('BEGIN ' + sys.argv[2])
    print('held', flush=True)
    sys.stdin.readline()
    db.execute('ROLLBACK')
    print('free', flush=True)
"""


class Service:
    """Mailman's own tree in a folder, a host to run it in, and the agent."""

    def __init__(self, folder):
        self.folder = folder
        self.locks = f"{folder}/var/locks"
        self.host = agentlib.Host("a", folder)
        self.host.sh("mount -t tmpfs tmpfs /run")

    def env(self, **more):
        params = {"config": f"{self.folder}/mailman.cfg", "lock_dir": self.locks, "queue_dir": f"{self.folder}/var/queue",
                  "pid_file": "/run/mailman3test/master.pid", "runners": " ".join(RUNNERS), "lmtp_port": 8024,
                  "db_probe": f"{agentlib.SOURCE}/resource/mailman-db-probe", "fqdn": "a.lab.test",
                  "start_timeout_ms": 90000, **more}
        return {f"OCF_RESKEY_{key}": str(value) for key, value in params.items()}

    def act(self, action, level=0, **more):
        return self.host.run(AGENT, action, env={"OCF_CHECK_LEVEL": str(level), **self.env(**more)})

    def intake(self):
        return agentlib.records(self.host.run(INTAKE, "status", "--port", "8024").stdout, "intake")[0]["state"]

    def pids(self, words):
        return [int(pid) for pid in self.host.run("pgrep", "-f", "--", words).stdout.split()]

    def signal(self, number, words):
        pids = self.pids(words)
        assert pids, words
        self.host.sh(f"kill -{int(number)} {' '.join(map(str, pids))}")

    def monitor_says(self, code):
        """A signal takes a moment to work on a busy machine."""
        deadline = time.monotonic() + 5
        while True:
            done = self.act("monitor")
            if done.returncode == code or time.monotonic() > deadline:
                assert done.returncode == code, done.stdout + done.stderr
                return done
            time.sleep(0.02)

    def clear_locks(self):
        for name in os.listdir(self.locks):
            os.unlink(f"{self.locks}/{name}")

    def foreign_lock(self, host="b.lab.test", expires_s=100000):
        claim = f"{self.locks}/master.lck|{host}|4711|12345"
        with open(claim, "w", encoding="utf-8") as file:
            file.write(claim)
        os.link(claim, f"{self.locks}/master.lck")
        user = pwd.getpwnam("list")
        os.chown(claim, user.pw_uid, user.pw_gid)
        os.utime(claim, (time.time() + expires_s,) * 2)

    @contextlib.contextmanager
    def database_held(self, how):
        holder = self.host.python(HOLDER, f"{self.folder}/var/data/mailman.db", how)
        assert holder.stdout.readline() == "held\n"
        yield holder
        with contextlib.suppress(OSError):
            holder.stdin.close()
        holder.wait()


@pytest.fixture(scope="module", name="tree")
def one_tree():
    """The database and the folders are made once: the first start takes long."""
    folder = tempfile.mkdtemp(prefix="understudy-mailman3-")
    os.chmod(folder, 0o755)
    with open(f"{folder}/mailman.cfg", "w", encoding="utf-8") as file:
        file.write(CONFIG.format(dir=folder) + "".join(f"[runner.{name}]\nstart: no\n" for name in OTHERS))
    subprocess.run(["chown", "-R", "list:list", folder], check=True)
    subprocess.run(["setpriv", "--reuid=list", "--regid=list", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin",
                    MAILMAN, "-C", f"{folder}/mailman.cfg", "info"], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="service")
def one_service(tree):
    service = Service(tree)
    service.clear_locks()
    try:
        yield service
    finally:
        service.host.stop()


def test_life(service):
    assert service.act("monitor").returncode == 7
    assert service.act("stop").returncode == 0
    done = service.act("start")
    assert done.returncode == 0, done.stdout + done.stderr
    at = agentlib.phases(done.stdout)
    assert list(at) == ["closed", "database", "start", "lmtp", "intake"]
    assert list(at.values()) == sorted(at.values())
    print({name: ms - at["closed"] for name, ms in at.items()})
    assert service.intake() == "open"
    assert service.host.sh("stat -c %U /run/mailman3test").strip() == "list"
    assert service.act("monitor").returncode == 0
    assert service.act("monitor", level=10).returncode == 0
    again = service.act("start")
    assert again.returncode == 0 and "start" not in agentlib.phases(again.stdout)
    stopped = service.act("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert agentlib.records(stopped.stdout, "killed") == [{"masters": "1", "runners": "5", "commands": "0"}]
    assert service.act("monitor").returncode == 7
    assert not service.pids(f"{service.folder}/mailman.cfg")
    assert service.host.run("test", "-e", "/run/mailman3test/master.pid").returncode == 1
    # The lock stays, and who left it is said.
    refused = service.act("start")
    assert refused.returncode == 1 and "this node's own" in refused.stderr


def test_root_opens_nothing_in_the_list_users_directories(service):
    """Neither the agent nor anything that it starts: what is read there is read as the list user."""
    top = f"{service.folder}/var"
    assert os.stat(top).st_uid == pwd.getpwnam("list").pw_uid
    with tempfile.TemporaryDirectory() as logs:
        try:
            for turn, (action, level) in enumerate((("start", 0), ("monitor", 0), ("monitor", 10), ("stop", 0))):
                log = f"{logs}/{turn}"
                # What the start leaves running is not followed: it would be stopped by strace now and then, as monitor sees it.
                options = [o for o in opened.OPTIONS if o != "-f" or action != "start"]
                done = service.host.run("strace", "-o", log, *options, AGENT, action,
                                        env={"OCF_CHECK_LEVEL": str(level), **service.env()})
                assert done.returncode == 0, (action, done.stderr)
                with open(log, encoding="utf-8", errors="replace") as file:
                    calls = opened.below(file.read(), (top,), 0)
                assert not calls.get(0), (action, calls[0][:5])
                assert calls or (action, level) != ("start", 0), "it has read the lock, as the list user"
        finally:
            service.act("stop")


def test_runner_by_runner(service):
    assert service.act("start").returncode == 0
    service.signal(signal.SIGSTOP, "--runner=virgin:")
    stopped = service.monitor_says(1)
    assert agentlib.records(stopped.stdout, "runner")[0]["state"] == "stopped"
    service.signal(signal.SIGCONT, "--runner=virgin:")
    service.monitor_says(0)
    service.signal(signal.SIGKILL, "--runner=out:")
    dead = service.monitor_says(1)
    assert "runner out" in dead.stderr
    assert agentlib.records(dead.stdout, "runner") == [{"name": "out", "slice": "0", "count": "1", "state": "zombie"}]
    half = service.act("start")
    assert half.returncode == 1 and "runner out" in half.stderr and service.intake() == "closed"
    # A runner that hangs would make Mailman's own stop wait for ever.
    service.signal(signal.SIGSTOP, "--runner=in:")
    assert service.act("stop").returncode == 0
    assert service.act("monitor").returncode == 7


def test_runners_without_master(service):
    assert service.act("start").returncode == 0
    service.signal(signal.SIGKILL, "bin/master -C")
    orphans = service.monitor_says(1)
    assert "master is dead" in orphans.stderr
    assert service.act("stop").returncode == 0
    assert service.act("monitor").returncode == 7


def test_stop_while_starting(service):
    """The master must not fork another runner behind the back of the stop; what is not Mailman is left alone."""
    innocent = service.host.start("setpriv", "--reuid=list", "--regid=list", "--clear-groups", "sleep", "100")
    starting = service.host.start(AGENT, "start", env=service.env(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not service.pids("--runner="):
        assert time.monotonic() < deadline
    assert service.act("stop").returncode == 0
    assert not service.pids("mailman3/bin")
    assert starting.wait(timeout=60) == 1
    assert service.act("monitor").returncode == 7 and service.intake() == "closed"
    assert innocent.poll() is None
    innocent.kill()


def test_start_killed(service):
    """A start that dies while it holds runners back: monitor does not call that running, and stop cleans up."""
    starting = service.host.start(AGENT, "start", env=service.env())
    deadline = time.monotonic() + 60
    while not any(state.startswith("T") for state in service.host.run("ps", "-eo", "state=").stdout.splitlines()):
        assert time.monotonic() < deadline and starting.poll() is None
    service.signal(signal.SIGKILL, f"{AGENT} start")
    starting.wait()
    assert "stopped" in service.monitor_says(1).stdout
    assert service.intake() == "closed"
    assert service.act("stop").returncode == 0
    assert service.act("monitor").returncode == 7


@pytest.mark.parametrize("expires_s", [100000, -100000])
def test_foreign_lock(service, expires_s):
    """Also an expired one, which Mailman's master would break."""
    service.foreign_lock(expires_s=expires_s)
    before = sorted(os.listdir(service.locks))
    done = service.act("start")
    assert done.returncode == 1 and "belongs to b.lab.test, process 4711" in done.stderr
    assert agentlib.records(done.stdout, "lock") == [{"name": "master.lck", "host": "b.lab.test", "pid": "4711"}]
    assert sorted(os.listdir(service.locks)) == before
    assert not service.pids("bin/master") and service.intake() == "closed"


def test_malformed_lock(service):
    with open(f"{service.locks}/master.lck", "w", encoding="utf-8"):
        pass
    done = service.act("start")
    assert done.returncode == 1 and "does not say whose" in done.stderr and not service.pids("bin/master")


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_database_held(service, how):
    """Nothing starts into a database that cannot be written: queued mail would be shunted, new mail bounced."""
    with service.database_held(how):
        done = service.act("start", start_timeout_ms=4000)
    assert done.returncode == 1 and "database is locked" in done.stderr, done.stderr
    assert not service.pids("bin/master") and service.intake() == "closed"


def test_database_released(service):
    with service.database_held("EXCLUSIVE") as holder:
        starting = service.host.start(AGENT, "start", env=service.env())
        time.sleep(3)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert starting.wait(timeout=90) == 0
    assert service.intake() == "open"


def test_database_held_while_running(service):
    assert service.act("start").returncode == 0 and service.intake() == "open"
    with service.database_held("IMMEDIATE"):
        done = service.act("start", start_timeout_ms=3000)
    assert done.returncode == 1 and service.intake() == "closed"
    assert service.act("monitor").returncode == 0
    assert service.act("start").returncode == 0 and service.intake() == "open"


def test_lmtp_port_taken(service):
    holder = service.host.python("import socket\ns = socket.create_server(('127.0.0.1', 8024))\nprint('up', flush=True)\n"
                                 "import signal; signal.pause()")
    assert holder.stdout.readline() == "up\n"
    done = service.act("start", start_timeout_ms=30000)
    assert done.returncode == 1 and "runner lmtp" in done.stderr, done.stderr
    assert service.intake() == "closed"


def test_other_name_in_the_lock(service):
    done = service.act("start", fqdn="other.lab.test")
    assert done.returncode == 1 and "a.lab.test" in done.stderr and "getfqdn" in done.stderr
    assert service.intake() == "closed"


def test_name_as_python_finds_it(service):
    assert service.host.sh("/usr/bin/python3 -c 'import socket; print(socket.getfqdn())'") == "a.lab.test\n"
    assert service.act("start", fqdn="").returncode == 0
    # A host whose name has an IPv6 address only.
    service.host.sh("echo '2001:db8:9::1 a.lab.test a' >/etc/hosts")
    assert service.host.sh("/usr/bin/python3 -c 'import socket; print(socket.getfqdn())'") == "a.lab.test\n"
    assert service.act("start", fqdn="").returncode == 0


def test_mail_gets_in_only_when_open(service):
    """Seen from outside while a start waits for the database: a reset, so that the MX keeps the mail."""
    client = "import socket; socket.create_connection(('127.0.0.1', 8024), 2)"
    assert service.act("start").returncode == 0
    assert service.host.run(agentlib.PYTHON, "-I", "-c", client).returncode == 0
    with service.database_held("IMMEDIATE"):
        service.act("start", start_timeout_ms=2000)
    assert "ConnectionRefused" in service.host.run(agentlib.PYTHON, "-I", "-c", client).stderr


def test_no_share_in_monitor_and_stop(service):
    """Both must work while the share hangs: no system call names a path on it."""
    assert service.act("start").returncode == 0
    for action in ("monitor", "stop", "monitor"):
        trace = service.host.run("strace", "-f", "-e", "trace=%file", AGENT, action, env=service.env())
        assert '"/proc"' in trace.stderr, trace.stderr
        assert f"{service.folder}/var" not in trace.stderr
        assert trace.returncode in (0, 7)


def test_database_server(tree):
    """The way to a database server, tried on sqlite through the same library."""
    probe = {}
    with open(f"{agentlib.SOURCE}/resource/mailman-db-probe", encoding="utf-8") as file:
        exec(compile(file.read(), "mailman-db-probe", "exec"), probe)  # pylint: disable=exec-used
    path = f"{tree}/other.db"
    for make in ("CREATE TABLE alembic_version (version_num TEXT)", "SELECT 1"):
        engine = probe["make_engine"](f"sqlite:///{path}", 1)
        probe["try_server"](engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(make)
        os.chmod(path, 0o600)


def test_probe_alone(service):
    def probe(*words):
        return service.host.run("setpriv", "--reuid=list", "--regid=list", "--clear-groups", agentlib.PYTHON,
                                f"{agentlib.SOURCE}/resource/mailman-db-probe", *words)

    config = f"{service.folder}/mailman.cfg"
    good = probe(config)
    assert good.returncode == 0 and "state=writable" in good.stdout
    with service.database_held("IMMEDIATE"):
        held = probe("--timeout", "0.2", config)
        assert held.returncode == 1 and "locked" in held.stderr
    database = f"{service.folder}/var/data/mailman.db"
    os.chmod(database, 0o440)
    readonly = probe(config)
    os.chmod(database, 0o660)
    assert readonly.returncode == 1 and "not writable" in readonly.stderr
    assert probe(f"{service.folder}/none.cfg").returncode == 1
