# SPDX-License-Identifier: GPL-2.0-or-later
"""Every change of a file that the stand-in makes has a name here, and may be the last one of its process.

MAILMAN21_CRASH=[ROLE@]POINT[:N]   the process ends itself with SIGKILL when it comes to POINT for the N-th time (1). ROLE: only in a
                                   process of that role (IncomingRunner, master, mailmanctl, post, ...).
MAILMAN21_CRASH_SIGNAL=STOP        it stops itself instead (SIGSTOP), and goes on after SIGCONT.
MAILMAN21_CRASH_GROUP=1            the signal goes to its process group: of a master or a runner that is the master and all runners.
MAILMAN21_CRASH_ONCE=FILE          made before the signal; while it exists nothing happens any more.
"""
import contextlib
import os
import signal
import sys

WRITES = """
lock.claim-write       the claim file, before link(2)
lock.transfer-write    the lock's text, rewritten in place for the master's pid
enqueue.tmp-write      queue entry as .pck.tmp
recover.bak-write      the dictionary of a .bak, rewritten in place with its count
save.tmp-write         config.pck.tmp.HOST.PID
start.pid-write        data/master-qrunner.pid
bounces.append         data/bounce-events-PID.pck
archive.append         the list's mbox
enqueue20.db-write     2.0: SHA1.db of a new entry
enqueue20.msg-write    2.0: SHA1.msg of a new entry
requeue20.db-write     2.0: SHA1.db, rewritten in place
"""
CHANGES = """
lock.claim-touch       expiry of the claim file
lock.link              link(2) of the claim file to the lock
lock.touch             expiry, once the lock is got
lock.refresh-touch     expiry, when asked whether it is still locked
lock.timeout-unlink    the claim file, when the time is up
lock.break-touch       expiry of somebody else's lock
lock.break-unlink      somebody else's lock
lock.break-claim-unlink  the file that somebody else's lock names
lock.unlock-unlink     the lock, let go
lock.unlock-claim-unlink  the claim file, let go
lock.transfer-touch    expiry, before the master gets the lock
lock.transfer-link     the master's name for the lock
lock.transfer-unlink   the claim file of the process that started the master
enqueue.tmp-fsync      of the .pck.tmp
enqueue.rename         .pck.tmp -> .pck
dequeue.rename         .pck -> .bak
finish.unlink          .bak, done
finish.preserve        .bak -> bad/*.psv
recover.bak-fsync      of the .bak
recover.rename         .bak -> .pck
save.tmp-fsync         of the config, with SYNC_AFTER_WRITE only
save.last-unlink       config.pck.last
save.last-link         config.pck -> config.pck.last, a second name
save.last-rename       2.0: config.db -> config.db.last
save.rename            the temporary file -> config.pck
load.corrupt-rename    config.pck -> config.pck.corrupt
load.safety-remove     an older config.pck.safety
load.primary-copy      config.pck.last -> config.pck, a copy
load.safety-copy       config.pck.last -> config.pck.safety, a copy
start.force-lock-unlink   -s: the stale master lock
start.force-claim-unlink  -s: the claim file that it names
start.fork             of the master
start.runner-fork      of a runner
stop.signal            mailmanctl stop: SIGTERM to the pid in the pid file
stop.runners-signal    the master: SIGTERM to its runners
stop.exit              the master: the lock is gone (after: never reached)
bounces.fsync          of the bounce events
bounces.unlink         data/bounce-events-PID.pck, registered
deliver.chunk          one SMTP transaction with the relay
dequeue20.db-unlink    2.0: SHA1.db, done
dequeue20.msg-unlink   2.0: SHA1.msg, done
orphan20.db-unlink     2.0.8: a .db without .msg
"""


def _table():
    points = {}
    for text, moments in ((WRITES, ('before', 'half', 'after')), (CHANGES, ('before', 'after'))):
        for line in text.strip().splitlines():
            name, what = line.split(None, 1)
            for moment in moments:
                if (name, moment) != ('stop.exit', 'after'):
                    points[f'{name}.{moment}'] = what
    return points


POINTS = _table()


class _Armed:
    """What this process was told to do, and how often it has come by."""
    role = ''
    only = point = None
    left = 0


def arm(text):
    """Sets the point, from the text of MAILMAN21_CRASH; None or '': no point. ValueError if there is no such point."""
    _Armed.only, _Armed.point, _Armed.left = None, None, 0
    if not text:
        return
    only, at_sign, rest = text.rpartition('@')
    point, _, count = rest.partition(':')
    if point not in POINTS:
        raise ValueError(f'no such crash point: {point}')
    _Armed.only, _Armed.point, _Armed.left = only if at_sign else None, point, int(count or 1)


def set_role(role):
    _Armed.role = role


def _once():
    """False if the one time was already."""
    marker = os.environ.get('MAILMAN21_CRASH_ONCE')
    if not marker:
        return True
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        return False
    return True


def _end():
    number = signal.SIGSTOP if os.environ.get('MAILMAN21_CRASH_SIGNAL') == 'STOP' else signal.SIGKILL
    if os.environ.get('MAILMAN21_CRASH_GROUP') == '1':
        os.killpg(os.getpgrp(), number)
    else:
        os.kill(os.getpid(), number)


def _due(point):
    """True at the N-th time at the point."""
    assert point in POINTS, point
    if point != _Armed.point or _Armed.only not in (None, _Armed.role):
        return False
    _Armed.left -= 1
    return _Armed.left == 0 and _once()


def at(point):
    if _due(point):
        _end()


@contextlib.contextmanager
def step(name):
    """Around one change: a crash before or after it. What fails has no `after`."""
    at(f'{name}.before')
    yield
    at(f'{name}.after')


def write(name, stream, data):
    """Writes bytes to an unbuffered or buffered binary file and flushes them; at `half` only the first half gets there."""
    at(f'{name}.before')
    if _due(f'{name}.half'):
        stream.write(data[:len(data) // 2])
        stream.flush()
        _end()
        data = data[len(data) // 2:]
    stream.write(data)
    stream.flush()
    at(f'{name}.after')


def print_points(out=sys.stdout):
    for point, what in sorted(POINTS.items()):
        print(f'{point:32} {what}', file=out)


arm(os.environ.get('MAILMAN21_CRASH'))
