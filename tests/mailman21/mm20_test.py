#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in as Mailman 2.0.x: pairs of .db and .msg, and the cron job that works on them."""
import marshal
import os
import signal
import subprocess
import sys
import time

from standin_world import UNSHARE, World, message, need_namespaces, program, wait_for, wanted
from program import eq, test


def pairs(w):
    return [n for n in w.ls('qfiles') if n.endswith(('.db', '.msg'))]


def cron(w, host='nodea', **environment):
    return w.run(host, 'cron/qrunner', **environment)[0]


def world(orphans='keep', **settings):
    return World(generation='2.0', ORPHANS=repr(orphans), **settings)


@test
def a_pair_is_delivered_by_one_pass_and_gone():
    with world() as w:
        w.post(0, 2)
        names = pairs(w)
        eq([n.split('.')[1] for n in names], ['db', 'msg'] * 2)
        assert all(len(n.split('.')[0]) == 40 for n in names)
        with open(os.path.join(w.var, 'qfiles', names[0]), 'rb') as f:
            eq(marshal.load(f), {'listname': 'test', 'tolist': 1})
        eq(cron(w), 0)
        eq((set(w.relay.got), pairs(w), w.ls('locks')), (wanted(0, 2), [], []))
        eq(w.ls('lists/test'), ['config.db', 'config.db.last'])


@test
def a_stale_qrunner_lock_stops_the_queue_for_its_lifetime_and_the_slop():
    with world(TIME_FACTOR='0.0001') as w:          # 10 h are 3.6 s
        w.post(0)
        eq(cron(w, MAILMAN21_CRASH='deliver.chunk.before'), -9)
        names = w.ls('locks')
        eq([n.split('.')[:3] for n in names], [['qrunner', 'lock'], ['qrunner', 'lock', 'nodea'], ['test', 'lock'], ['test', 'lock', 'nodea']])
        eq([len(n.split('.')) for n in names], [2, 4, 2, 4], 'no counter in the claim files')
        eq((cron(w, 'nodeb'), w.relay.messages), (0, 0))
        assert 'Could not acquire qrunner lock' in w.read('logs/qrunner')
        begin = time.monotonic()
        wait_for(lambda: cron(w, 'nodeb') or w.relay.messages, 20)
        assert time.monotonic() - begin > 1
        w.clear_locks('nodea')
        wait_for(lambda: cron(w, 'nodeb') or not pairs(w), 20)
        eq(set(w.relay.got), wanted(0, 1))


@test
def half_pairs_stay_in_2_0_final():
    with world() as w:
        w.post(0, 2)
        db, _, _, msg = pairs(w)
        for name in (db.replace('.db', '.msg'), msg.replace('.msg', '.db')):
            os.unlink(os.path.join(w.var, 'qfiles', name))
        for _ in range(2):
            cron(w)
        eq((pairs(w), w.relay.messages), ([db, msg], 0))
        eq(w.read('logs/qrunner').count('Exception reading qfile'), 2, 'the .msg, at each run')


def post_overtaken_by_cron(w, point):
    """post stops at a point between its two files; the cron job runs; post goes on. The files left."""
    armed = {'MAILMAN21_CRASH': f'post@{point}', 'MAILMAN21_CRASH_SIGNAL': 'STOP',
             'MAILMAN21_CFG': os.path.join(w.host('nodea'), 'Mailman/mm_cfg.py')}
    command = UNSHARE + [os.path.join(w.host('nodea'), 'mail/mailman'), 'post', 'test']
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **armed}, text=True) as post:
        post.stdin.write(message(0))
        post.stdin.close()
        wait_for(lambda: os.waitpid(post.pid, os.WUNTRACED | os.WNOHANG)[0])
        cron(w)
        os.kill(post.pid, signal.SIGCONT)
        eq(post.wait(10), 0, 'accepted')
    return pairs(w)


@test
def a_young_db_is_taken_for_an_orphan_by_2_0_8_and_the_accepted_message_is_lost():
    with world('unlink') as w:
        (left,) = post_overtaken_by_cron(w, 'enqueue20.db-write.after')
        assert left.endswith('.msg')
        assert 'Unlinking orphaned .db file' in w.read('logs/qrunner')
        cron(w)
        eq((pairs(w), w.relay.messages), ([left], 0))


@test
def the_same_in_2_0_final_is_delivered_at_the_next_run():
    with world() as w:
        eq(len(post_overtaken_by_cron(w, 'enqueue20.db-write.after')), 2)
        eq(w.relay.messages, 0)
        cron(w)
        eq((set(w.relay.got), pairs(w)), (wanted(0, 1), []))


@test
def an_msg_that_is_just_being_written_is_taken_as_far_as_it_is():
    with world() as w:
        eq(post_overtaken_by_cron(w, 'enqueue20.msg-write.before'), [])
        eq(set(w.relay.got), {('', 'r1@lab.test'), ('', 'r2@lab.test')}, 'an empty one; the text is lost')


@test
def a_requeue_writes_the_db_in_place():
    with world() as w:
        w.relay.refuse = {'r2@lab.test': 450}
        w.post(0)
        db = os.path.join(w.var, 'qfiles', pairs(w)[0])
        before = os.stat(db).st_ino
        cron(w)
        eq((os.stat(db).st_ino, len(pairs(w))), (before, 2))
        with open(db, 'rb') as f:
            eq(marshal.load(f)['recips'], ['r2@lab.test'])
        w.relay.refuse = {}
        cron(w)
        eq((sorted(w.relay.got.values()), set(w.relay.got), pairs(w)), ([1, 1], wanted(0, 1), []))


if __name__ == '__main__':
    need_namespaces()
    sys.exit(program.main())
