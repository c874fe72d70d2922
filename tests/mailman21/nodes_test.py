#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in on two hosts over one VAR_PREFIX: starts and stops, and what the death of a host leaves to the other."""
import os
import pwd
import signal
import subprocess
import sys
import time

from standin_world import World, install, mmconf, need_namespaces, program, wait_for, wanted
from program import eq, test

HOUR = 3600


def lock_names(w):
    return [n for n in w.ls('locks') if n.startswith('master-qrunner')]


def refused(w, host, text, *options):
    """A start that does nothing and ends with 0, its reason on stderr only."""
    before = {n: os.stat(os.path.join(w.var, 'locks', n)).st_ino for n in lock_names(w)}
    code, out, err = w.start(host, '-q', *options)
    eq((code, out), (0, 'Warning!  You may encounter permission problems.\n'), 'a refused start')
    assert text in err, err
    eq({n: os.stat(os.path.join(w.var, 'locks', n)).st_ino for n in lock_names(w)}, before, 'the locks')


@test
def a_start_makes_the_lock_the_pid_file_and_eight_runners():
    with World() as w:
        w.started('nodea')
        (master,) = w.master('nodea')
        claim = f'master-qrunner.nodea.{master}'
        eq(lock_names(w), ['master-qrunner', claim])
        lock = os.path.join(w.var, 'locks', 'master-qrunner')
        eq(w.read('locks/master-qrunner'), os.path.join(w.var, 'locks', claim), 'the text, without a newline')
        eq(os.stat(lock).st_nlink, 2)
        assert abs(os.stat(lock).st_mtime - time.time() - 30 * HOUR) < 30
        eq(w.read('data/master-qrunner.pid'), f'{master}\n')
        eq(set(w.runners('nodea')), {f'{n}Runner' for n in ('Arch', 'Bounce', 'Command', 'Incoming', 'News', 'Outgoing', 'Virgin', 'Retry')})
        qrunner = os.path.join(w.host('nodea'), 'bin/qrunner')
        assert f'/usr/bin/python3 {qrunner} --runner=IncomingRunner:0:1 -s' in w.processes('nodea').values()
        w.stopped('nodea')
        eq(lock_names(w), [])
        eq(w.ls('data'), ['master-qrunner.pid'], 'the pid file stays')


@test
def every_refused_start_ends_with_0():
    with World() as w:
        w.started('nodea')
        for options in ((), ('-s',)):
            refused(w, 'nodea', 'another\nmaster qrunner is already running', *options)
            refused(w, 'nodeb', 'Lock host: nodea', *options)
        w.power_off('nodea')
        refused(w, 'nodea', 'a stale master qrunner lock.  Try re-running mailmanctl with the -s flag')
        for options in ((), ('-s',)):
            refused(w, 'nodeb', 're-run mailmanctl with the -s flag', *options)
        code, _, err = w.start('nodea', '-q', '-s')
        eq((code, err), (0, ''), 'its own stale lock goes with -s')
        wait_for(lambda: len(w.runners('nodea')) == 8)
        w.power_off('nodea')
        w.clear_locks('nodea')
        w.started('nodeb')                          # and a plain start works at once


@test
def another_process_with_the_number_in_the_lock_refuses_even_with_s():
    with World() as w, subprocess.Popen(['sleep', '60']) as other:
        claim = os.path.join(w.var, 'locks', f'master-qrunner.nodea.{other.pid}')
        with open(claim, 'w', encoding='utf-8') as f:
            f.write(claim)
        os.utime(claim, (time.time() + HOUR,) * 2)
        os.link(claim, os.path.join(w.var, 'locks', 'master-qrunner'))
        refused(w, 'nodea', 'already running', '-s')
        with open(os.path.join(w.var, 'data', 'master-qrunner.pid'), 'w', encoding='utf-8') as f:
            f.write(f'{other.pid}\n')
        w.ok('nodea', 'bin/mailmanctl', '-u', 'stop')
        eq(other.wait(5), -15, 'stop ended a process that is not Mailman')


@test
def a_start_without_the_site_list_ends_with_1():
    with World(lists=('test',)) as w:
        eq(w.start('nodea', '-q')[::2], (1, 'Site list is missing: mailman\n'))


@test
def root_becomes_the_list_user_and_others_are_refused():
    if os.geteuid():
        raise program.Skip('root only')
    with World() as w:
        install.own(w.var)
        eq(w.run('nodea', 'bin/mailmanctl', '-q', 'start'), (0, '', ''))
        wait_for(lambda: len(w.runners('nodea')) == 8)
        uid = pwd.getpwnam('list').pw_uid
        eq({os.stat(f'/proc/{pid}').st_uid for pid in w.processes('nodea')}, {uid})
        eq({os.stat(os.path.join(w.var, 'locks', n)).st_uid for n in w.ls('locks')}, {uid})
        mailmanctl = os.path.join(w.host('nodea'), 'bin/mailmanctl')
        other = subprocess.run(['setpriv', '--reuid=nobody', '--clear-groups', mailmanctl, 'stop'], capture_output=True, text=True, check=False)
        eq((other.returncode, other.stdout), (1, ''))
        assert 'Run this program as root or as the list user' in other.stderr
        eq(w.run('nodea', 'bin/mailmanctl', '-q', 'stop'), (0, '', ''))
        wait_for(lambda: not w.processes('nodea'))


@test
def a_killed_runner_comes_back_at_once_ten_times_at_most():
    with World(MAX_RESTARTS='3') as w:
        w.started('nodea')
        for _ in range(3):
            old = w.runners('nodea')['NewsRunner']
            os.kill(old, 9)
            wait_for(lambda: w.runners('nodea').get('NewsRunner', old) != old, 3)
        os.kill(w.runners('nodea')['NewsRunner'], 9)
        wait_for(lambda: 'Qrunner NewsRunner reached maximum restart limit of 3' in w.read('logs/qrunner'))
        eq(len(w.runners('nodea')), 7)
        before = w.runners('nodea')
        w.ok('nodea', 'bin/mailmanctl', '-u', 'restart')
        wait_for(lambda: len(set(w.runners('nodea').values()) - set(before.values())) == 7, text='new runners after restart')
    eq(mmconf.DEFAULTS['MAX_RESTARTS'], 10)


@test
def the_lock_is_refreshed_and_a_master_that_lost_it_ends():
    with World(TIME_FACTOR='0.0000115741') as w:    # 24 h are a second
        w.started('nodea')
        lock = os.path.join(w.var, 'locks', 'master-qrunner')
        first = os.stat(lock).st_mtime
        wait_for(lambda: os.stat(lock).st_mtime > first + 0.5, 5, 'a refresh')
        claim = os.path.join(w.var, 'locks', 'master-qrunner.nodeb.7')
        with open(claim, 'w', encoding='utf-8') as f:
            f.write(claim)
        os.link(claim, claim + '.x')
        os.rename(claim + '.x', lock)               # it is nodeb's now
        wait_for(lambda: not w.processes('nodea'), 5, 'the end of the master')
        eq(lock_names(w), ['master-qrunner', 'master-qrunner.nodeb.7'])


@test
def an_expired_lock_is_broken_by_a_plain_start_of_another_host():
    with World() as w:
        w.started('nodea')
        w.power_off('nodea')
        lock = os.path.join(w.var, 'locks', 'master-qrunner')
        os.utime(lock, (time.time() - 5,) * 2)      # past the expiry and the slop of 1 s
        w.start('nodeb')                            # one try in 0.1 s, then a nap, then it is broken and got
        wait_for(lambda: len(w.runners('nodeb')) == 8)
        assert lock_names(w)[1].startswith('master-qrunner.nodeb.')


@test
def a_hundred_posts_and_the_death_of_the_host():
    with World() as w:
        w.enqueue(0, 100)
        w.started('nodea')
        wait_for(lambda: w.relay.messages > 20)
        w.power_off('nodea')
        held = sum(len(w.queue(q, '.bak')) for q in ('in', 'out', 'archive'))
        assert len(w.relay.got) < 200 and held <= 3, (len(w.relay.got), held)
        w.clear_locks('nodea')
        w.started('nodeb')
        wait_for(lambda: w.idle() and set(w.relay.got) == wanted(0, 100), 60, 'all delivered')
        assert len(w.relay.duplicates()) <= 2, w.relay.duplicates()             # one of in, one of out at most
        eq(w.queue('shunt') + w.queue('bad', '.psv'), [])


@test
def death_within_the_relays_data_repeats_that_message_to_all_its_recipients():
    with World() as w:
        w.relay.delay = 1
        w.enqueue(0, 1)
        w.started('nodea')
        wait_for(lambda: w.relay.messages == 1)
        w.power_off('nodea')
        eq(len(w.queue('out', '.bak')), 1)
        w.relay.delay = 0
        w.clear_locks('nodea')
        w.started('nodeb')
        wait_for(lambda: w.relay.messages == 2 and w.idle())
        eq(sorted(w.relay.got.values()), [2, 2])


@test
def a_stop_finishes_the_message_in_hand_and_shunts_nothing():
    with World() as w:
        w.started('nodea')
        outgoing = w.runners('nodea')['OutgoingRunner']
        os.kill(outgoing, signal.SIGSTOP)
        w.enqueue(0, 10)
        wait_for(lambda: len(w.queue('out')) == 10, 60)
        w.relay.delay = 1
        os.kill(outgoing, signal.SIGCONT)
        wait_for(lambda: w.relay.messages == 2)
        w.stopped('nodea')
        eq([w.queue(q, '.bak') + w.queue(q, '.tmp') for q in ('in', 'out', 'archive')], [[], [], []])
        assert 7 <= len(w.queue('out')) <= 8, w.queue('out')
        w.relay.delay = 0
        w.started('nodea')
        wait_for(lambda: len(w.relay.got) == 20 and w.idle())
        eq((w.relay.duplicates(), w.queue('shunt')), (set(), []))


if __name__ == '__main__':
    need_namespaces()
    sys.exit(program.main())
