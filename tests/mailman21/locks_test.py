#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in's locks, alone: what they look like and the four ways in which the original's algorithm breaks."""
import os
import signal
import sys
import time
import traceback

from standin_world import World, mmconf, program, wait_for
import crashpoints
import mmlock
import mmmaster
from program import eq, test


class Host:
    """This process is on `name` for the time being."""

    def __init__(self, name):
        self.name, self.real = name, mmconf.hostname

    def __enter__(self):
        mmconf.hostname = lambda: self.name

    def __exit__(self, *_):
        mmconf.hostname = self.real


def path(w):
    return os.path.join(w.var, 'locks', 'x.lock')


def raises(kind, call, *args, **more):
    try:
        call(*args, **more)
    except kind as e:
        return e
    raise AssertionError(f'no {kind.__name__}')


def child(host, work, crash='', **environment):
    """Runs work() in a process on `host` that is armed with a crash point. Its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ.update(environment)
        crashpoints.arm(crash)
        with Host(host):
            work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def stopped(pid):
    wait_for(lambda: os.waitpid(pid, os.WUNTRACED | os.WNOHANG)[0] == pid)


@test
def a_lock_is_two_names_of_a_file_with_its_expiry_as_mtime():
    with World(lists=()) as w:
        w.here()
        with Host('nodeb.lab'):
            lock = mmlock.LockFile(path(w), 100)
            lock.lock()
        claim = f'x.lock.nodeb.lab.{os.getpid()}.{mmlock.LockFile.made - 1}'
        eq(w.ls('locks'), ['x.lock', claim])
        eq(w.read('locks/x.lock'), os.path.join(w.var, 'locks', claim))
        status = os.stat(path(w))
        eq((status.st_nlink, status.st_mode & 0o777), (2, 0o664))
        assert abs(status.st_mtime - time.time() - 100) < 2
        raises(mmlock.AlreadyLockedError, lock.lock)
        assert lock.locked()
        lock.unlock()
        eq(w.ls('locks'), [])
        raises(mmlock.NotLockedError, lock.unlock)
        raises(mmlock.NotLockedError, lock.refresh)
        eq((mmlock.LockFile(path(w)).lifetime, mmconf.DEFAULTS['CLOCK_SLOP']), (15, 10))


@test
def a_waiter_gives_up_and_leaves_nothing():
    with World(lists=()) as w:
        w.here()
        with Host('nodea'):
            held = mmlock.LockFile(path(w))
            held.lock()
        names = w.ls('locks')
        with Host('nodeb'):
            raises(mmlock.TimeOutError, mmlock.LockFile(path(w)).lock, 0.1)
            eq(w.ls('locks'), names)
            waiter = mmlock.LockFile(path(w))
            real, mmconf.nap = mmconf.nap, lambda _: (os.path.exists(waiter.claim) and os.unlink(waiter.claim), time.sleep(0.05))
            try:
                raises(FileNotFoundError, waiter.lock, 0.2)     # somebody removed its claim file
            finally:
                mmconf.nap = real
        held.unlock()


@test
def an_expired_lock_is_broken_after_the_slop_only():
    with World(lists=(), CLOCK_SLOP='10') as w:
        w.here()
        dead = mmlock.LockFile(path(w))
        dead.lock()
        os.utime(path(w), (time.time() - 5,) * 2)
        with Host('nodeb'):
            raises(mmlock.TimeOutError, mmlock.LockFile(path(w)).lock, 0.1)
            os.utime(path(w), (time.time() - 12,) * 2)
            lock = mmlock.LockFile(path(w))
            lock.lock(5)
        assert lock.locked() and not dead.locked()
        eq(len(w.ls('locks')), 2)


@test
def two_breakers_may_both_have_it():
    with World(lists=()) as w:
        w.here()
        dead = mmlock.LockFile(path(w))
        dead.lock()
        dead.disown()
        os.utime(path(w), (time.time() - 5,) * 2)
        late = child('nodec', lambda: mmlock.LockFile(path(w)).lock(20), 'lock.break-touch.before', MAILMAN21_CRASH_SIGNAL='STOP')
        stopped(late)                               # it has seen the expiry
        with Host('nodeb'):
            first = mmlock.LockFile(path(w), 1000)
            first.lock(20)
            assert first.locked()
            os.kill(late, signal.SIGCONT)
            eq(ended(late), 0, 'the late one got it too')
            assert not first.locked()
        first.disown()


@test
def a_link_that_was_done_but_answered_with_an_error_locks_until_the_expiry():
    with World(lists=()) as w:
        w.here()
        lock, real = mmlock.LockFile(path(w)), os.link

        def lost_reply(*args):
            real(*args)
            raise FileExistsError(17, 'retransmitted')

        os.link = lost_reply
        try:
            raises(mmlock.AlreadyLockedError, lock.lock)
        finally:
            os.link = real
        lock.disown()
        eq(len(w.ls('locks')), 2)


@test
def a_breaker_unlinks_whatever_the_text_names():
    with World(lists=()) as w:
        w.here()
        victim = os.path.join(w.top, 'victim')
        for name, text in ((victim, 'dear'), (path(w), victim)):
            with open(name, 'w', encoding='utf-8') as f:
                f.write(text)
        os.utime(path(w), (1, 1))
        mmlock.LockFile(path(w)).lock(5)
        assert not os.path.exists(victim)


@test
def while_a_lock_is_handed_on_its_text_names_no_pid():
    with World(lists=()) as w:
        w.here()
        mmconf.make_folders()
        with Host('nodea'):
            starter = child('nodea', lambda: _hand_on(w), 'lock.transfer-link.after')
            eq(ended(starter), -9)
            host, pid, name = mmmaster.lock_data()
            eq((host, name), (f'nodea.{starter}', f'master-qrunner.nodea.{starter}.{pid}'))
            assert pid < 1000, pid                  # the counter, taken for a pid
            eq(os.stat(mmmaster.lock_path()).st_nlink, 3)
            for n in w.ls('locks'):
                os.unlink(os.path.join(w.var, 'locks', n))
            eq(ended(child('nodea', lambda: _hand_on(w), 'lock.transfer-write.before')), -9)
            eq(w.read('locks/master-qrunner'), '', 'opened, not yet written')


def _hand_on(w):
    lock = mmlock.LockFile(os.path.join(w.var, 'locks', 'master-qrunner'), 100)
    lock.lock()
    lock.transfer_to(4711)


@test
def a_crash_within_the_write_of_a_claim_file_leaves_half_a_text():
    with World(lists=()) as w:
        w.here()
        eq(ended(child('nodea', lambda: mmlock.LockFile(path(w)).lock(), 'lock.claim-write.half')), -9)
        (claim,) = w.ls('locks')
        text = w.read('locks', claim)
        assert text and os.path.join(w.var, 'locks', claim).startswith(text) and not text.endswith(claim)


@test
def a_lock_let_go_just_now_counts_as_expired_and_the_next_owners_goes():
    with World(lists=()) as w:
        w.here()
        with Host('nodea'):
            held, following = mmlock.LockFile(path(w)), mmlock.LockFile(path(w))
            held.lock()
        with Host('nodeb'):
            waiter = mmlock.LockFile(path(w))
        looks = []

        def look():                                 # between the waiter's link() and its break
            looks.append(mmlock.LockFile._expiry(waiter))  # pylint: disable=protected-access
            if len(looks) == 1:
                held.unlock()
                looks[0] = mmlock.LockFile._expiry(waiter)  # pylint: disable=protected-access
                following.lock()
            return looks[-1]

        waiter._expiry = look                       # pylint: disable=protected-access
        waiter.lock(5)
        eq((looks[0], following.locked(), waiter.locked()), (-1, False, True))


@test
def four_processes_and_a_counter():
    with World(lists=(), CLOCK_SLOP='10') as w:
        w.here()
        count = os.path.join(w.top, 'count')
        with open(count, 'w', encoding='utf-8') as f:
            f.write('0')

        def add():
            real = mmlock.LockFile._expiry          # without the weakness of the test above
            mmlock.LockFile._expiry = lambda lock: max(real(lock), time.time() - 1)
            mmconf.nap = lambda _: time.sleep(0.002)
            for _ in range(25):
                lock = mmlock.LockFile(path(w))
                lock.lock()
                with open(count, 'r+', encoding='utf-8') as f:
                    number = int(f.read()) + 1
                    f.seek(0)
                    f.write(str(number))
                lock.unlock()

        pids = [child(f'node{n}', add) for n in 'abcd']
        eq([ended(p) for p in pids], [0] * 4)
        with open(count, encoding='utf-8') as f:
            eq(f.read(), '100')
        eq(w.ls('locks'), [])


if __name__ == '__main__':
    sys.exit(program.main())
