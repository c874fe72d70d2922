#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every crash point of the stand-in is reached by a process that dies there; and what it leaves is what the original would: complete or
not at all where the original promises that, half where it does not."""
import os
import shutil
import sys
import time

from standin_world import ENTRY, World, message, mmconf, need_namespaces, program, wait_for
import crashpoints
import mm20
import mmdeliver
import mmlist
import mmlock
import mmmaster
import mmqueue
import mmrunners
from program import eq, test

REACHED = set()
LOCK_POINTS = 'claim-write claim-touch link touch refresh-touch unlock-unlink unlock-claim-unlink timeout-unlink break-touch ' \
              'break-unlink break-claim-unlink'


def points(*operations):
    """The points of operations, in the order of the table."""
    found = [p for p in crashpoints.POINTS if p.rsplit('.', 1)[0] in operations]
    assert {p.rsplit('.', 1)[0] for p in found} == set(operations), operations
    return found


def dies(w, point, work):
    """Runs work() as nodea in a process armed with the point; it must end there."""
    marker = os.path.join(w.top, 'reached')
    pid = os.fork()
    if not pid:
        try:
            os.environ['MAILMAN21_CRASH_ONCE'] = marker
            mmconf.hostname, mmconf.nap = lambda: 'nodea', lambda _: time.sleep(0.02)
            crashpoints.arm(point)
            work()
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    eq((code, os.path.exists(marker)), (-9, True), point)
    os.unlink(marker)
    REACHED.add(point)


def clear(w, *folders):
    for folder in folders:
        for name in w.ls(folder):
            path = os.path.join(w.var, folder, name)
            if not os.path.isdir(path):
                os.unlink(path)


def foreign_lock(w, age):
    claim = os.path.join(w.var, 'locks', 'x.lock.nodez.5.1')
    with open(claim, 'w', encoding='utf-8') as f:
        f.write(claim)
    os.utime(claim, (time.time() - age,) * 2)
    os.link(claim, os.path.join(w.var, 'locks', 'x.lock'))


@test
def locks():
    with World(lists=()) as w:
        w.here()
        path = os.path.join(w.var, 'locks', 'x.lock')

        def take():
            lock = mmlock.LockFile(path)
            lock.lock(0.2)
            lock.unlock()

        for point in points(*(f'lock.{n}' for n in LOCK_POINTS.split())):
            if 'timeout' in point or 'break' in point:
                foreign_lock(w, -100 if 'timeout' in point else 100)
            dies(w, point, take)
            if point in ('lock.unlock-claim-unlink.after', 'lock.timeout-unlink.after'):
                eq([n for n in w.ls('locks') if '.nodea.' in n], [], point)
            else:
                eq(len([n for n in w.ls('locks') if '.nodea.' in n]), 1, point)     # its claim file
            clear(w, 'locks')
            other = mmlock.LockFile(path)
            other.lock(0.1)
            other.unlock()


def put():
    return mmqueue.Switchboard('in').enqueue(message(1).encode(), listname='test', _plaintext=True)


@test
def enqueue():
    with World() as w:
        w.here()
        for point in points('enqueue.tmp-write', 'enqueue.tmp-fsync', 'enqueue.rename'):
            dies(w, point, put)
            (name,) = w.ls('qfiles/in')
            eq(name.endswith('.pck'), point == 'enqueue.rename.after', point)
            for base in mmqueue.Switchboard('in', recover=True).files():
                eq(mmqueue.Switchboard('in').dequeue(base)[1]['listname'], 'test')
            clear(w, 'qfiles/in')


@test
def dequeue_finish_and_recover():
    with World() as w:
        w.here()
        board = mmqueue.Switchboard('in')
        base = ''
        works = {'dequeue.rename': lambda: board.dequeue(base),
                 'finish.unlink': lambda: (board.dequeue(base), board.finish(base)),
                 'finish.preserve': lambda: (board.dequeue(base), board.finish(base, preserve=True)),
                 **dict.fromkeys(('recover.bak-write', 'recover.bak-fsync', 'recover.rename'),
                                 lambda: (board.dequeue(base), board.recover_backup_files()))}
        for point in points(*works):
            base = put()
            dies(w, point, works[point.rsplit('.', 1)[0]])
            mmqueue.Switchboard('in', recover=True)
            left = {'finish.unlink.after': ([], []), 'finish.preserve.after': ([], [base + '.psv'])}
            eq((w.ls('qfiles/in'), w.ls('qfiles/bad')), left.get(point, ([base + '.pck'], [])), point)
            clear(w, 'qfiles/in', 'qfiles/bad')


def save():
    mlist = mmlist.MailList('test')
    mlist.lock(5)
    mlist.add_member('r3@lab.test')
    mlist.save()


@test
def saving_a_list():
    with World(SYNC_AFTER_WRITE='True') as w:
        w.here()
        folder = os.path.join(w.var, 'lists/test')
        shutil.copytree(folder, folder + '.kept')
        for point in points('save.tmp-write', 'save.tmp-fsync', 'save.last-unlink', 'save.last-link', 'save.rename'):
            dies(w, point, save)
            clear(w, 'locks')
            names = w.ls('lists/test')
            eq(any('.tmp.nodea.' in n for n in names), point != 'save.rename.after', point)
            assert 'config.pck' in names, point     # at no moment is there none
            eq('config.pck.last' in names, point not in ('save.last-unlink.after', 'save.last-link.before'), point)
            eq(len(mmlist.MailList('test').members), 3 if point == 'save.rename.after' else 2, point)
            shutil.rmtree(folder)
            shutil.copytree(folder + '.kept', folder)


@test
def repairing_a_list():
    with World() as w:
        w.here()
        folder = os.path.join(w.var, 'lists/test')
        for point in points('load.corrupt-rename', 'load.safety-remove', 'load.primary-copy', 'load.safety-copy'):
            os.truncate(os.path.join(folder, 'config.pck'), 0)
            with open(os.path.join(folder, 'config.pck.safety'), 'w', encoding='utf-8'):
                pass
            dies(w, point, lambda: mmlist.MailList('test'))
            clear(w, 'locks')
            eq(sorted(mmlist.MailList('test', load=True).host_name), sorted('lab.test'), point)


@test
def bounces_the_archive_and_the_relay():
    with World() as w:
        w.here()

        def bounce():
            runner = mmrunners.BounceRunner()
            runner.queue_bounces('test', ['r1@lab.test'], 'x')
            runner.register_bounces()

        for point in points('bounces.append', 'bounces.fsync', 'bounces.unlink'):
            dies(w, point, bounce)
            names = [n for n in w.ls('data') if n.startswith('bounce-events-')]
            eq(len(names), 0 if point == 'bounces.unlink.after' else 1, point)
            clear(w, 'data')
        mbox = os.path.join(w.var, 'archives/private/test.mbox/test.mbox')
        mlist = mmlist.MailList('test')
        msg = mmqueue.email.message_from_string(message(1))
        for point, share in zip(points('archive.append'), (0, 0.5, 1)):
            dies(w, point, lambda: mmdeliver.append_to_mbox(mlist, msg))
            size, whole = os.path.getsize(mbox), len(msg.as_bytes(unixfrom=True)) + 1
            assert abs(size - share * whole) < 2, (point, size, whole)
            os.unlink(mbox)
        for count, point in enumerate(points('deliver.chunk')):
            dies(w, point, lambda: mmdeliver.deliver(mlist, msg, {'recips': ['a@x']}))
            wait_for(lambda: w.relay.messages == count)  # pylint: disable=cell-var-from-loop


def real(w, point, *options, stop=False):
    """A start (and stop) with the programs; whoever comes to the point dies there, and with the locks cleared nodeb gets the lock."""
    marker = os.path.join(w.top, 'reached')
    armed = {'MAILMAN21_CRASH': point, 'MAILMAN21_CRASH_ONCE': marker}
    if stop:
        w.started('nodea', **({} if point.startswith('stop.signal') else armed))
        eq(w.run('nodea', 'bin/mailmanctl', '-u', 'stop', **armed)[0], -9 if point.startswith('stop.signal') else 0, point)
    else:
        w.start('nodea', *options, **armed)
    wait_for(lambda: os.path.exists(marker), text=point)
    os.unlink(marker)
    REACHED.add(point)
    w.power_off('nodea')
    before = w.ls('locks')
    clear(w, 'locks')
    if 'force' not in point:
        found = mmmaster.acquire(False)
        assert found is not None, point
        found.unlock()
    return before


@test
def starting():
    with World() as w:
        w.here()
        for point in points('start.fork', 'start.pid-write', 'start.runner-fork', 'lock.transfer-touch', 'lock.transfer-link',
                            'lock.transfer-write', 'lock.transfer-unlink'):
            before = real(w, point)
            three = point in ('lock.transfer-link.after', 'lock.transfer-unlink.before') or 'transfer-write' in point
            eq(len(before), 3 if three else 2, f'{point}: {before}')
        for point in points('start.force-lock-unlink', 'start.force-claim-unlink'):
            claim = os.path.join(w.var, 'locks', 'master-qrunner.nodea.999999')
            with open(claim, 'w', encoding='utf-8') as f:
                f.write(claim)
            os.utime(claim, (time.time() + 100,) * 2)
            os.link(claim, os.path.join(w.var, 'locks', 'master-qrunner'))
            before = real(w, point, '-s')
            eq('master-qrunner' in before, point == 'start.force-lock-unlink.before', point)
            eq(os.path.basename(claim) in before, point != 'start.force-claim-unlink.after', point)


@test
def stopping():
    with World() as w:
        w.here()
        for point in points('stop.signal', 'stop.runners-signal', 'stop.exit'):
            before = real(w, point, stop=True)
            gone = point == 'stop.exit.before' or point == 'stop.signal.after' and not before
            eq(before == [], gone, f'{point}: {before}')


def put20():
    return mm20.enqueue(message(1).encode(), listname='test', tolist=1)


@test
def the_queue_of_2_0():
    with World(generation='2.0', ORPHANS="'unlink'") as w:
        w.here()
        sizes = []
        for point in points('enqueue20.db-write', 'enqueue20.msg-write'):
            dies(w, point, put20)
            names = [n for n in w.ls('qfiles') if '.' in n]
            sizes.append([os.path.getsize(os.path.join(w.var, 'qfiles', n)) for n in names])
            eq([n.rsplit('.')[1] for n in names], ['db', 'msg'] if 'msg' in point else ['db'], point)
            clear(w, 'qfiles')
        db, msg = sizes[2][0], len(message(1))
        eq(sizes, [[0], [db // 2], [db], [db, 0], [db, msg // 2], [db, msg]], 'written in place')
        works = {'requeue20.db-write': lambda root: mm20.requeue(root, {'listname': 'test'}),
                 'dequeue20.db-unlink': mm20.dequeue, 'dequeue20.msg-unlink': mm20.dequeue,
                 'orphan20.db-unlink': lambda root: (os.unlink(root + '.msg'), mm20.main([]))}
        for point in points(*works):
            root = put20()
            dies(w, point, lambda: works[point.rsplit('.', 1)[0]](root))  # pylint: disable=cell-var-from-loop
            left = [n.rsplit('.')[1] for n in w.ls('qfiles') if '.' in n]
            eq(left, {'dequeue20.db-unlink.after': ['msg'], 'dequeue20.msg-unlink.before': ['msg'], 'dequeue20.msg-unlink.after': [],
                      'orphan20.db-unlink.before': ['db'], 'orphan20.db-unlink.after': []}.get(point, ['db', 'msg']), point)
            clear(w, 'qfiles', 'locks')


@test
def saving_a_list_of_2_0():
    with World(generation='2.0') as w:
        w.here()
        for point in points('save.last-rename'):
            dies(w, point, save)
            clear(w, 'locks')
            eq('config.db' in w.ls('lists/test'), point.endswith('before'), point)      # the window in which there is none
            eq(len(mmlist.MailList('test').members), 2, point)


@test
def all_points_were_reached():
    if len(program.TESTS) > len(REACHED_BY):        # chosen tests only
        raise program.Skip('not all tests were run')
    eq(sorted(set(crashpoints.POINTS) - REACHED), [])


@test
def roles_counts_and_unknown_points():
    with World() as w:
        for text in ('nothing', 'lock.link', 'x@lock.link.middle', 'lock.link.after:x'):
            try:
                crashpoints.arm(text)
            except ValueError:
                continue
            raise AssertionError(text)
        crashpoints.arm(None)
        out = w.ok('nodea', 'bin/qrunner', '--list-crash-points')
        eq([line.split()[0] for line in out.splitlines()], sorted(crashpoints.POINTS))
        armed = {'MAILMAN21_CRASH': 'post@enqueue.rename.after:2'}
        eq(w.run('nodea', 'mail/mailman', 'post', 'test', stdin=message(1), **armed)[0], 0, 'the first time passes')
        eq(w.run('nodea', 'mail/mailman', 'post', 'test', stdin=message(1), MAILMAN21_CRASH='owner@enqueue.rename.after')[0], 0, 'another role')
        eq(w.run('nodea', 'mail/mailman', 'post', 'test', stdin=message(1), MAILMAN21_CRASH='post@enqueue.rename.after')[0], -9)
        assert all(ENTRY.match(n) for n in w.ls('qfiles/in')) and len(w.ls('qfiles/in')) == 3


if __name__ == '__main__':
    need_namespaces()
    REACHED_BY = [t for t in program.TESTS if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    sys.exit(program.main())
