#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in on two hosts: what stale list locks, half-made list files, two masters and posting do to mail."""
import os
import pickle
import signal
import sys
import time

from standin_world import World, message, need_namespaces, program, wait_for, wanted
from program import eq, test

KILL_ALL = {'MAILMAN21_CRASH_GROUP': '1'}


def died_with_the_list_lock(w, **settings):
    """nodea died in the middle of saving the list test, and is fenced: its master lock is gone, its list lock is not."""
    w.started('nodea', MAILMAN21_CRASH='IncomingRunner@save.rename.before', **KILL_ALL, **settings)
    w.post(0)
    wait_for(lambda: not w.processes('nodea'), text='the death of nodea')
    for name in w.ls('locks'):
        if name.startswith('master-qrunner'):
            os.unlink(os.path.join(w.var, 'locks', name))


@test
def a_stale_list_lock_makes_the_list_stand_still_until_it_is_removed():
    with World(lists=('mailman', 'test', 'other')) as w:
        died_with_the_list_lock(w)
        claim = os.path.basename(w.read('locks/test.lock'))         # those of dead waiters may lie beside it
        assert claim.startswith('test.lock.nodea.') and len(claim.split('.')) == 5 and claim in w.ls('locks'), claim
        expiry = os.stat(os.path.join(w.var, 'locks/test.lock')).st_mtime
        assert abs(expiry - time.time() - 5 * 3600) < 30
        w.started('nodeb')
        w.post(1, 2)
        before = w.queue('in')
        wait_for(lambda: not set(before) & set(w.queue('in') + w.queue('in', '.bak')), text='all requeued under new names')
        assert w.relay.messages <= 1                # what nodea had queued to out before it died
        w.post(3, listname='other')
        wait_for(lambda: ('<3@lab.test>', 'r1@lab.test') in w.relay.got, text='the other list goes on, slowly')
        eq({m for m, _ in w.relay.got} & {'<1@lab.test>', '<2@lab.test>'}, set())
        w.clear_locks('nodea')
        wait_for(lambda: set(w.relay.got) == wanted(0, 4) and w.idle(), 60)
        eq(w.queue('shunt'), [])
        assert w.relay.duplicates() <= {'<0@lab.test>'}


@test
def a_stale_list_lock_ends_by_itself_after_its_lifetime_and_the_slop():
    with World(TIME_FACTOR='0.00033') as w:         # 5 h are 6 s
        died_with_the_list_lock(w)
        expiry = os.stat(os.path.join(w.var, 'locks', 'test.lock')).st_mtime
        w.started('nodeb')
        wait_for(lambda: ('<0@lab.test>', 'r1@lab.test') in w.relay.got and w.idle(), 60)
        assert 'test.lock lifetime has expired, breaking' in w.read('logs/locks')
        assert time.time() > expiry + 1


@test
def the_claim_file_of_a_live_waiter_must_stay():
    with World(LIST_LOCK_TIMEOUT='3') as w:
        died_with_the_list_lock(w)
        w.started('nodeb')
        w.post(1)
        waiting = lambda: [n for n in w.ls('locks') if n.startswith('test.lock.nodeb.')]  # noqa: E731
        wait_for(waiting)
        os.unlink(os.path.join(w.var, 'locks', waiting()[0]))
        wait_for(lambda: w.queue('shunt'), text='the post in shunt')
        assert 'FileNotFoundError' in w.read('logs/error')
        w.clear_locks('nodea')
        w.ok('nodeb', 'bin/unshunt')
        wait_for(lambda: set(w.relay.got) == wanted(0, 2) and w.idle(), 60, 'delivered after unshunt')
        eq(w.queue('shunt') + w.queue('shunt', '.bak'), [])


@test
def a_death_within_the_save_leaves_no_last_and_a_temporary_file():
    for point, last in (('save.last-unlink.after', False), ('save.last-link.after', True), ('save.tmp-write.half', True)):
        with World() as w:
            w.started('nodea', MAILMAN21_CRASH=f'IncomingRunner@{point}', **KILL_ALL)
            pid = w.runners('nodea')['IncomingRunner']
            w.post(0)
            wait_for(lambda: not w.processes('nodea'))
            left = f'config.pck.tmp.nodea.{pid}'
            eq(w.ls('lists/test'), sorted(['config.pck', left] + ['config.pck.last'] * last), point)
            with open(os.path.join(w.var, 'lists/test/config.pck'), 'rb') as f:
                eq(sorted(pickle.load(f)['members']), ['r1@lab.test', 'r2@lab.test'])
            w.clear_locks('nodea')
            w.started('nodeb')
            wait_for(lambda: set(w.relay.got) == wanted(0, 1) and w.idle())
            assert left in w.ls('lists/test') and 'config.pck.last' in w.ls('lists/test')


@test
def a_list_with_both_files_bad_is_gone_and_its_mail_is_shunted():
    with World() as w:
        w.started('nodea')
        w.post(0)
        wait_for(lambda: len(w.relay.got) == 2 and w.idle())
        folder = os.path.join(w.var, 'lists/test')
        os.truncate(os.path.join(folder, 'config.pck'), 0)
        os.utime(os.path.join(folder, 'config.pck'), (time.time() + 5,) * 2)
        w.ok('nodea', 'bin/list_members', 'test')
        eq(w.ls('lists/test'), ['config.pck', 'config.pck.corrupt', 'config.pck.last', 'config.pck.safety'])
        for name in ('config.pck', 'config.pck.last'):
            os.truncate(os.path.join(folder, name), 0)
        w.stopped('nodea')
        eq(w.run('nodea', 'bin/list_members', 'test')[::2], (1, 'No such list: test\n'))
        w.started('nodea')
        w.post(1)                                   # the files are there: post takes it
        wait_for(lambda: w.queue('shunt'))
        assert os.path.getsize(os.path.join(folder, 'config.pck.safety'))


@test
def two_masters_on_one_queue_preserve_what_they_deliver():
    with World(QRUNNER_SLEEP_TIME='0.05') as w:
        w.started('nodea')
        w.clear_locks('nodea')                      # somebody takes the lock of a live master for stale
        w.started('nodeb')
        w.enqueue(0, 100)
        wait_for(lambda: set(w.relay.got) == wanted(0, 100) and w.idle(), 90)
        assert len(w.queue('bad', '.psv')) > 10, len(w.queue('bad', '.psv'))
        assert len(w.relay.duplicates()) <= 3
        errors = w.read('logs/error')
        assert 'Skipping and preserving unparseable message' in errors and 'Failed to unlink/preserve backup file' in errors


@test
def the_loser_of_two_takes_the_winners_safety_copy_away():
    with World() as w:
        w.started('nodea', MAILMAN21_CRASH='OutgoingRunner@dequeue.rename.before', MAILMAN21_CRASH_SIGNAL='STOP')
        w.post(0)
        stopped = w.runners('nodea')['OutgoingRunner']
        wait_for(lambda: ' T ' in open(f'/proc/{stopped}/stat', encoding='utf-8').read(), text='A between its look and its rename')  # pylint: disable=consider-using-with
        w.clear_locks('nodea')
        w.relay.delay = 1
        w.started('nodeb')
        wait_for(lambda: w.relay.messages == 1)
        eq(len(w.queue('out', '.bak')), 1, "B's")
        os.kill(stopped, signal.SIGCONT)
        wait_for(lambda: w.queue('bad', '.psv'))
        eq(w.queue('out', '.bak'), [], 'B works without it')
        w.power_off('nodeb')
        w.power_off('nodea')
        eq((w.queue('out'), w.queue('out', '.bak'), len(w.queue('bad', '.psv'))), ([], [], 1))


@test
def a_post_that_cannot_be_queued_is_to_be_tried_again():
    with World() as w:
        eq(w.run('nodea', 'mail/mailman', 'post', 'nolist', stdin=message(1))[::2],
           (1, 'post script, list not found: nolist\n'))
        os.rmdir(os.path.join(w.var, 'qfiles/in'))
        with open(os.path.join(w.var, 'qfiles/in'), 'w', encoding='utf-8'):
            pass
        eq(w.run('nodea', 'mail/mailman', 'post', 'test', stdin=message(1))[0], 75)


@test
def refused_recipients_bounce_or_are_tried_later():
    with World(RETRY_SLEEP_TIME='0.2', DELIVERY_RETRY_WAIT='1', REGISTER_BOUNCES_EVERY='3600') as w:
        w.relay.refuse = {'r1@lab.test': 550, 'r2@lab.test': 450}
        w.started('nodea')
        w.post(0)
        wait_for(lambda: w.queue('retry'))
        events = f'bounce-events-{w.runners("nodea")["OutgoingRunner"]:05d}.pck'
        assert events in w.ls('data'), w.ls('data')
        w.relay.refuse = {}
        wait_for(lambda: set(w.relay.got) == {('<0@lab.test>', 'r2@lab.test')})
        w.stopped('nodea')                          # registers at its end; a killed one would leave the file for ever
        assert events not in w.ls('data')
        assert "'r1@lab.test': (1.0" in w.ok('nodea', 'bin/config_list', '-o', '-', 'test')


@test
def commands_bounces_and_their_answers_go_through_their_queues():
    with World(REGISTER_BOUNCES_EVERY='0') as w:
        w.started('nodea')
        w.ok('nodea', 'mail/mailman', 'request', 'test', stdin='From: r9@lab.test\nSubject: join\nMessage-ID: <j@x>\n\n\n')
        wait_for(lambda: any(r == 'r9@lab.test' for _, r in w.relay.got), text='the answer')
        eq(w.ok('nodea', 'bin/list_members', 'test').split(), ['r1@lab.test', 'r2@lab.test', 'r9@lab.test'])
        w.ok('nodea', 'mail/mailman', 'bounces', 'test', stdin='X-Failed-Recipients: r9@lab.test\n\n\n')
        wait_for(lambda: "'r9@lab.test': (1.0" in w.ok('nodea', 'bin/config_list', '-o', '-', 'test'))
        wait_for(lambda: not [n for n in w.ls('data') if n.startswith('bounce-events')])


if __name__ == '__main__':
    need_namespaces()
    sys.exit(program.main())
