# SPDX-License-Identifier: GPL-2.0-or-later
"""The file system that misbehaves, alone: each kind of fault is shown, what it must not touch as well, and that nothing of it
stays when its host dies."""
import contextlib
import errno
import os
import select
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import labfaultfs
import labns

BUILD = os.environ.get("UNDERSTUDY_BUILD")
HAVE = os.path.exists("/dev/fuse") and os.access(os.path.join(BUILD or "", "tests/lab", labfaultfs.PROGRAM), os.X_OK)
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not HAVE, reason="needs root, FUSE and a build with libfuse")


class Mount:
    """One host's view POINT of the folder BACK."""

    def __init__(self, base, name, back):
        self.back, self.point, folder = back, os.path.join(base, name), os.path.join(base, f"{name}.rules")
        os.mkdir(self.point)
        os.mkdir(folder)
        self.entry = {"source": back, "target": self.point, "faulty": name, "rules": folder,
                      "program": labfaultfs.find_program(BUILD)}
        self.rules = labfaultfs.Rules(folder, name)
        self.wire, self.socket = labfaultfs.start_wire(self.entry)
        self.process = labfaultfs.mount(self.entry, self.point, self.socket.fileno())
        self.socket.close()

    def path(self, name):
        return os.path.join(self.point, name)

    def under(self, name):
        return os.path.join(self.back, name)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.wire.kill()
        self.wire.wait()
        labns.umount(self.point, labns.MNT_DETACH)


@pytest.fixture(name="two")
def make_two():
    """Two hosts' views of one share."""
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        os.mkdir(f"{base}/back")
        made = []
        try:
            for name in ("one", "two"):
                made.append(Mount(base, name, f"{base}/back"))
            yield made
        finally:
            for mount in made:
                mount.close()


@pytest.fixture(name="share")
def make_share(two):
    return two[0]


def put(path, text="x"):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def get(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def fails(number, call, *args):
    with pytest.raises(OSError) as info:
        call(*args)
    assert info.value.errno == number


def in_thread(call, *args):
    """(thread, answers): what CALL returned, or the errno that it raised."""
    answers = []

    def run():
        try:
            answers.append(call(*args))
        except OSError as err:
            answers.append(err.errno)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, answers


def test_without_rules_it_is_the_backing(share):
    put(share.path("a"), "hello")
    os.link(share.path("a"), share.path("b"))
    first, second = os.stat(share.path("a")), os.stat(share.path("b"))
    assert first.st_ino == second.st_ino == os.stat(share.under("a")).st_ino and first.st_nlink == 2
    os.rename(share.path("b"), share.path("c"))
    os.mkdir(share.path("d"), 0o2755)
    os.symlink("c", share.path("s"))
    assert get(share.path("s")) == "hello" and sorted(os.listdir(share.point)) == ["a", "c", "d", "s"]
    assert {e.name: e.inode() for e in os.scandir(share.point)}["a"] == first.st_ino
    with open(share.path("a"), "r+b") as file:      # open and without a name, as the epoch files are made
        os.unlink(share.path("a"))
        file.write(b"J")
        file.flush()
        os.fsync(file.fileno())
    assert get(share.under("c")) == "Jello" and not os.path.exists(share.under("a"))
    os.truncate(share.path("c"), 2)
    os.chmod(share.path("c"), 0o600)
    os.utime(share.path("c"), (5, 6))
    stat = os.stat(share.under("c"))
    assert (stat.st_size, stat.st_mode & 0o777, stat.st_mtime) == (2, 0o600, 6)
    assert subprocess.run(["/usr/bin/findmnt", "-no", "FSTYPE,SOURCE", share.point], capture_output=True, text=True,
                          check=True).stdout.split() == ["fuse.faultfs", "one"]


def test_who_makes_a_file_owns_it_and_modes_hold(share):
    os.mkdir(share.path("open"))
    os.chmod(share.path("open"), 0o777)
    os.chmod(share.point, 0o755)
    script = f"import os; os.setgid(7); os.setuid(9); open('{share.path('open/x')}', 'w'); os.mkdir('{share.path('open/y')}')\n" \
        f"try: open('{share.path('z')}', 'w')\nexcept PermissionError: print('refused')"
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
    for name in ("open/x", "open/y"):
        stat = os.stat(share.under(name))
        assert (stat.st_uid, stat.st_gid) == (9, 7)


def test_one_host_sees_at_once_what_another_one_does(two):
    one, two = two
    put(one.path("a"), "1")
    assert get(two.path("a")) == "1"
    put(one.path("a"), "22")
    assert get(two.path("a")) == "22" and os.stat(two.path("a")).st_size == 2
    os.unlink(one.path("a"))
    assert not os.path.exists(two.path("a")) and os.listdir(two.point) == []


@pytest.mark.parametrize("kind, number", [("eio", errno.EIO), ("estale", errno.ESTALE), ("eacces", errno.EACCES),
                                          ("enospc", errno.ENOSPC), ("edquot", errno.EDQUOT), ("erofs", errno.EROFS)])
def test_an_error_hits_the_operations_and_paths_that_it_names_and_that_host_alone(two, kind, number):
    one, two = two
    put(one.path("a"))
    one.rules.set([f"changes={kind},path=q*"])
    fails(number, put, one.path("q"))
    fails(number, os.mkdir, one.path("qd"))
    fails(number, os.rename, one.path("a"), one.path("q"))
    fails(number, os.link, one.path("a"), one.path("q"))
    put(one.path("b"))
    put(two.path("q"))
    assert get(one.path("q")) == "x"
    hits = [(h["op"], h["path"], h["to"]) for h in one.rules.hits()]    # what is stale the kernel tries twice
    assert sorted(set(hits)) == [("create", "q", ""), ("link", "a", "q"), ("mkdir", "qd", ""), ("rename", "a", "q")]
    one.rules.set([])
    put(one.path("q"), "y")
    assert get(two.path("q")) == "y"


def test_a_rule_with_a_count_ends_by_itself(share):
    share.rules.set(["create=eio,count=2", "mkdir=eio,count=1"])
    fails(errno.EIO, put, share.path("a"))
    fails(errno.EIO, put, share.path("a"))
    put(share.path("a"))
    fails(errno.EIO, os.mkdir, share.path("d"))
    os.mkdir(share.path("d"))


def test_all_with_an_error_leaves_nothing_that_answers(share):
    put(share.path("a"))
    share.rules.set(["all=estale"])
    fails(errno.ESTALE, os.stat, share.path("a"))
    fails(errno.ESTALE, get, share.path("a"))
    fails(errno.ESTALE, os.listdir, share.point)
    fails(errno.ESTALE, os.statvfs, share.point)
    share.rules.set([])
    assert get(share.path("a")) == "x"


def test_a_rule_that_is_not_understood_changes_nothing(share):
    share.rules.set(["create=eio"])
    for bad in ("creat=eio", "create=eoi", "create", "read=lied", "create=late:5", "link=late", "names=stale:5000", "write=delay:1s",
                "create=eio,coutn=1", "link=lost:what"):
        with pytest.raises(labfaultfs.FaultError, match="bad rule 2"):
            share.rules.set(["all=hang,path=nowhere", bad])
        assert share.rules.read() == ["create=eio"]
    fails(errno.EIO, put, share.path("a"))


def test_a_delay_delays_and_nothing_else(share):
    share.rules.set(["create=delay:300"])
    began = time.monotonic()
    put(share.path("a"))
    assert 0.3 <= time.monotonic() - began < 2
    assert get(share.path("a")) == "x"


def test_what_hangs_goes_on_when_the_rule_goes(two):
    share, other = two
    for name in "cd":
        os.mkdir(share.path(name))
    share.rules.set(["create=hang,path=c/a"])
    thread, answers = in_thread(put, share.path("c/a"))
    thread.join(0.3)
    assert thread.is_alive() and not os.path.exists(share.under("c/a"))
    put(other.path("c/b"))
    put(share.path("d/b"))      # in another folder: that one's is locked by the kernel above, as NFS locks it
    share.rules.set([])
    thread.join(5)
    assert answers == [None] and get(share.under("c/a")) == "x"


def test_a_short_write(share):
    share.rules.set(["write=short,count=1"])
    fd = os.open(share.path("a"), os.O_WRONLY | os.O_CREAT)
    assert os.write(fd, b"12345678") == 4 and os.write(fd, b"5678") == 4
    os.close(fd)
    assert get(share.under("a")) == "12345678"


def test_fsync_fails_and_the_data_are_there_all_the_same(share):
    share.rules.set(["fsync=eio"])
    with open(share.path("a"), "wb") as file:
        file.write(b"data")
        file.flush()
        fails(errno.EIO, os.fsync, file.fileno())
    assert get(share.under("a")) == "data"
    folder = os.open(share.point, os.O_RDONLY)
    fails(errno.EIO, os.fsync, folder)
    os.close(folder)


def test_done_and_an_error_answered(share):
    put(share.path("a"))
    share.rules.set(["link=lost,count=1", "link=lost:eexist", "rename=lost:enoent", "unlink=lost"])
    fails(errno.EIO, os.link, share.path("a"), share.path("b"))
    assert os.stat(share.path("b")).st_nlink == 2
    fails(errno.EEXIST, os.link, share.path("a"), share.path("c"))
    fails(errno.ENOENT, os.rename, share.path("c"), share.path("d"))
    fails(errno.EIO, os.unlink, share.path("b"))
    assert sorted(os.listdir(share.point)) == sorted(os.listdir(share.back)) == ["a", "d"]


def test_not_done_and_success_answered(share):
    put(share.path("a"))
    share.rules.set(["link+rename+unlink+write=lied"])
    os.link(share.path("a"), share.path("b"))
    assert not os.path.exists(share.path("b")) and os.stat(share.path("a")).st_nlink == 1
    os.rename(share.path("a"), share.path("c"))
    assert os.path.exists(share.path("a")) and not os.path.exists(share.path("c"))
    os.unlink(share.path("a"))
    put(share.path("new"), "lost")
    assert sorted(os.listdir(share.point)) == sorted(os.listdir(share.back)) == ["a", "new"]
    assert os.stat(share.under("new")).st_size == 0


def test_names_and_attributes_of_the_past_but_for_what_the_host_does_itself(two):
    one, two = two
    for name in ("old", "gone", "mine"):
        put(one.path(name), "1")
    one.rules.set(["names=stale:1"])
    began = time.monotonic()
    put(two.path("new"))
    put(two.path("old"), "333")
    os.unlink(two.path("gone"))
    os.unlink(one.path("mine"))
    put(one.path("own"))
    assert sorted(os.listdir(one.point)) == ["gone", "old", "own"] and not os.path.exists(one.path("new"))
    assert os.stat(one.path("old")).st_size == 1 and os.path.exists(one.path("gone"))
    fails(errno.ESTALE, get, one.path("gone"))
    fails(errno.EEXIST, os.mkdir, one.path("new"))
    assert sorted(os.listdir(two.point)) == ["new", "old", "own"]
    time.sleep(max(0, began + 1.1 - time.monotonic()))
    assert sorted(os.listdir(one.point)) == ["new", "old", "own"] and get(one.path("old")) == "333"


def test_writes_are_held_back_until_somebody_asks_for_them(share):
    share.rules.set(["write=late:400"])
    fd = os.open(share.path("a"), os.O_WRONLY | os.O_CREAT)
    began = time.monotonic()
    os.write(fd, b"12345678")
    assert time.monotonic() - began < 0.3 and os.stat(share.under("a")).st_size == 0
    os.fsync(fd)
    assert time.monotonic() - began >= 0.4 and get(share.under("a")) == "12345678"
    os.write(fd, b"9")
    os.close(fd)
    assert time.monotonic() - began >= 0.8 and get(share.path("a")) == "123456789"


def test_a_change_that_is_held_back_is_answered_when_it_was_done(share):
    put(share.path("a"))
    share.rules.set(["link+rename+unlink=late:300"])
    began = time.monotonic()
    os.link(share.path("a"), share.path("b"))
    assert time.monotonic() - began >= 0.3 and os.stat(share.path("b")).st_nlink == 2
    os.unlink(share.path("b"))
    assert not os.path.exists(share.under("b"))
    fails(errno.ENOENT, os.rename, share.path("none"), share.path("c"))


def test_what_is_on_its_way_arrives_when_the_host_has_died(share):
    put(share.path("a"), "old")
    put(share.path("c"), "new")
    share.rules.set(["write+link=late:600"])
    fd = os.open(share.path("a"), os.O_WRONLY)
    os.write(fd, b"new")
    thread, answers = in_thread(os.link, share.path("c"), share.path("b"))
    time.sleep(0.2)
    share.process.kill()
    share.process.wait()
    thread.join(5)
    assert answers and answers[0] in (errno.ECONNABORTED, errno.ENOTCONN), "who waits is told that its share has gone"
    with contextlib.suppress(OSError):
        os.close(fd)
    assert get(share.under("a")) == "old" and not os.path.exists(share.under("b"))
    share.wire.wait(5)
    assert get(share.under("a")) == get(share.under("b")) == "new"
    assert [(d["op"], d["alone"], d["rc"]) for d in share.rules.deliveries()] == [("write", 1, 0), ("link", 1, 0)]


def test_nothing_stays_of_a_host_that_dies_while_its_share_hangs(tmp_path):
    """As a power-off does it: the host's first process is killed while others of it wait in the kernel."""
    for name in ("back", "point", "rules"):
        (tmp_path / name).mkdir()
    (tmp_path / "rules" / "x.rules").write_text("generation 1\nall=hang\n", encoding="utf-8")
    program = labfaultfs.find_program(BUILD)
    script = f"{program} mount x {tmp_path}/back {tmp_path}/point {tmp_path}/rules & sleep 0.3\n" \
        f"ls {tmp_path}/point & touch {tmp_path}/point/a & echo up; read word; exit 0"
    host = subprocess.Popen(["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", script], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    while host.stdout.readline() != "up\n":
        pass
    with open(f"/proc/{host.pid}/task/{host.pid}/children", encoding="ascii") as file:
        pid1 = int(file.read().split()[0])
    inside = labns.pids_in_namespace(labns.pid_namespace(pid1))
    deadline = time.monotonic() + 5
    while sum((labns.stat_fields(pid) or "X")[0] in "SD" and blocked_in_fuse(pid) for pid in inside) < 2:
        assert time.monotonic() < deadline, "nothing hangs"
        time.sleep(0.02)
    end, poller = os.pidfd_open(pid1), select.poll()
    poller.register(end, select.POLLIN)
    os.kill(pid1, signal.SIGKILL)
    assert poller.poll(5000), "the host does not end"
    os.close(end)
    host.wait(5)
    assert not any(labns.stat_fields(pid) for pid in inside)


def blocked_in_fuse(pid):
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
            where = file.read()
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            return "fuse" in where or "request_wait_answer" in where or file.read().strip() in ("ls", "touch")
    except OSError:
        return False
