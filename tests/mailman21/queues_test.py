#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in's queues and list files, alone."""
import email
import os
import pickle
import sys
import time

from standin_world import ENTRY, World, message, mmconf, need_namespaces, program
import mmlist
import mmlock
import mmqueue
import mmrunner
from program import eq, test


class Taker(mmrunner.Runner):
    """Takes everything; `bad` makes it fail."""
    QUEUE = 'in'
    bad = False

    def dispose(self, mlist, msg, data):
        if self.bad:
            raise RuntimeError('bad')
        return False


def put(w, count=1, **data):
    w.here()
    board = mmqueue.Switchboard('in')
    return [board.enqueue(message(n).encode(), listname='test', _plaintext=True, **data) for n in range(count)]


def entry(w, base, ext='.pck', queue='in'):
    return os.path.join(w.var, 'qfiles', queue, base + ext)


@test
def names_and_contents_are_those_of_the_original():
    with World() as w:
        (base,) = put(w)
        assert ENTRY.match(base + '.pck') and abs(float(base.split('+')[0]) - time.time()) < 5
        with open(entry(w, base), 'rb') as f:
            text = f.read()
        assert text.startswith(b"S'From: a@lab.test\\n") and text.endswith(b'.'), 'protocol 0, as post writes'
        eq(os.stat(entry(w, base)).st_mode & 0o777, 0o660)
        msg = email.message_from_string(message(5))
        second = mmqueue.Switchboard('in').enqueue(msg, listname='test', _hidden=1)
        with open(entry(w, second), 'rb') as f:
            text = f.read()
            f.seek(0)
            pickle.load(f)
            begin = f.tell()
            data = pickle.load(f)
        assert not text.startswith(b'\x80') and text[begin:begin + 1] == b'}' and text.endswith(b'.'), 'protocol 1'
        eq({k: data[k] for k in data if k != 'received_time'}, {'listname': 'test', 'version': 3, '_parsemsg': False})
        msg, data = mmqueue.Switchboard('in').dequeue(base)
        eq((msg['subject'], data['_parsemsg']), ('0', True))
        eq(w.queue('in', '.bak'), [base + '.bak'])
        mmqueue.Switchboard('in').finish(base)
        eq(w.queue('in', '.bak'), [])


@test
def any_bytes_of_a_post_come_back():
    with World() as w:
        w.here()
        text = b"Subject: 'q\"\\ \xe9\n\n" + bytes(range(256)).replace(b'\r', b'').replace(b'\n', b'') + b'\n'
        base = mmqueue.Switchboard('in').enqueue(text, listname='test', _plaintext=True)
        eq(mmqueue.Switchboard('in').dequeue(base)[0].as_bytes().split(b'\n\n', 1)[1], text.split(b'\n\n', 1)[1])


@test
def bak_is_put_back_at_a_start_and_preserved_at_the_third():
    with World() as w:
        (base,) = put(w)
        for count in (1, 2):
            mmqueue.Switchboard('in').dequeue(base)
            Taker()
            eq((w.queue('in'), w.queue('in', '.bak')), ([base + '.pck'], []))
            with open(entry(w, base), 'rb') as f:
                mmqueue.load(f)
                eq(mmqueue.load(f)['_bak_count'], count)
        mmqueue.Switchboard('in').dequeue(base)
        mmqueue.Switchboard('in')                   # not without recover
        eq(w.queue('in', '.bak'), [base + '.bak'])
        Taker()
        eq((w.queue('in'), w.queue('in', '.bak'), w.queue('bad', '.psv')), ([], [], [base + '.psv']))


@test
def torn_and_empty_entries_are_preserved_and_others_go_on():
    with World() as w:
        bases = put(w, 4)
        board = mmqueue.Switchboard('in')
        board.dequeue(bases[0])
        os.truncate(entry(w, bases[0], '.bak'), 20)
        os.truncate(entry(w, bases[1]), 0)
        os.truncate(entry(w, bases[2]), os.path.getsize(entry(w, bases[2])) - 1)
        for name in ('README', 'x.pck.tmp', '.nfs0000'):
            with open(os.path.join(w.var, 'qfiles/in', name), 'w', encoding='utf-8'):
                pass
        Taker().one_loop()
        eq(w.queue('bad', '.psv'), sorted(b + '.psv' for b in bases[:3]))
        eq(w.ls('qfiles/in'), ['.nfs0000', 'README', 'x.pck.tmp'])


@test
def a_name_without_plus_ends_the_runner():
    with World() as w:
        put(w)
        with open(os.path.join(w.var, 'qfiles/in/foo.pck'), 'w', encoding='utf-8'):
            pass
        for _ in range(2):
            try:
                Taker().one_loop()
            except ValueError:
                continue
            raise AssertionError('no ValueError')
        eq(len(w.queue('in')), 2)


@test
def both_pck_and_bak_are_delivered_once():
    with World() as w:
        (base,) = put(w)
        with open(entry(w, base), 'rb') as f, open(entry(w, base, '.bak'), 'wb') as g:
            g.write(f.read())
        eq(Taker().one_loop(), 1)
        eq(w.ls('qfiles/in'), [])


@test
def slices_cover_the_queue_and_do_not_overlap():
    with World() as w:
        bases = put(w, 40)
        found = [mmqueue.Switchboard('in', n, 4).files() for n in range(4)]
        eq(sorted(sum(found, [])), sorted(bases))
        for n, names in enumerate(found):
            assert all(n / 4 <= int(b.split('+')[1], 16) / 2 ** 160 < (n + 1) / 4 for b in names)
        eq(mmqueue.Switchboard('in').files(), bases, 'oldest first')
        for number, name in enumerate(('0' * 40, '3' + 'f' * 39, '4' + '0' * 39, 'f' * 40)):
            os.rename(entry(w, bases[number]), entry(w, f'1.5+{name}'))
        eq([len([b for b in mmqueue.Switchboard('in', n, 4).files() if b.startswith('1.5+')]) for n in range(4)], [2, 1, 0, 1])


@test
def a_runner_that_raises_shunts_and_one_without_a_list_too():
    with World() as w:
        (base,) = put(w)
        runner = Taker()
        runner.bad = True
        runner.one_loop()
        (shunted,) = w.queue('shunt')
        with open(entry(w, shunted, '', 'shunt'), 'rb') as f:
            mmqueue.load(f)
            eq(mmqueue.load(f)['whichq'], os.path.join(w.var, 'qfiles/in'))
        assert shunted != base + '.pck' and shunted.split('+')[0] == base.split('+')[0]
        mmqueue.Switchboard('in').enqueue(b'\n\n', listname='nolist', _plaintext=True)
        Taker().one_loop()
        eq((len(w.queue('shunt')), w.ls('qfiles/in')), (2, []))


@test
def a_save_keeps_the_config_before_as_last():
    with World() as w:
        w.here()
        mlist = mmlist.MailList('test')
        before = os.stat(os.path.join(w.var, 'lists/test/config.pck')).st_ino
        mlist.lock()
        mlist.add_member('R3@lab.test')
        mlist.save()
        mlist.unlock()
        eq(os.stat(os.path.join(w.var, 'lists/test/config.pck.last')).st_ino, before)
        eq(w.ls('lists/test'), ['config.pck', 'config.pck.last'])
        eq(mmlist.MailList('test').recipients(), ['r1@lab.test', 'r2@lab.test', 'r3@lab.test'])
        try:
            mlist.save()
        except mmlock.NotLockedError:
            return
        raise AssertionError('saved without the lock')


@test
def a_list_is_read_from_last_under_its_lock_also_if_config_is_missing():
    with World() as w:
        w.here()
        folder = os.path.join(w.var, 'lists/test')
        os.unlink(os.path.join(folder, 'config.pck'))
        mlist = mmlist.MailList('test', load=False)
        mlist.lock()                                # the repair finds the lock taken by itself
        assert mlist._lock.locked()                 # pylint: disable=protected-access
        mlist.unlock()
        eq(w.ls('lists/test'), ['config.pck', 'config.pck.last', 'config.pck.safety'])
        eq(w.ls('locks'), [])
        assert mmlist.list_exists('test') and not mmlist.list_exists('tes') and not mmlist.list_exists('../lists/test')


@test
def a_configuration_with_an_unknown_name_or_without_var_prefix_is_refused():
    for text in ('X = 1', 'PREFIX = "/x"', 'VAR_PREFIX = open("/x")', 'import os'):
        try:
            mmconf.parse(text)
        except ValueError:
            continue
        raise AssertionError(text)
    found = mmconf.parse('VAR_PREFIX = "/v"\nTIME_FACTOR = 0.5')
    eq((found.LIST_LOCK_LIFETIME, found.MASTER_LOCK_LIFETIME, found.QRUNNER_LOCK_LIFETIME, found.MASTER_LOCK_REFRESH, found.LIST_LOCK_TIMEOUT),
       (9000, 54000, 18000, 43200, 10))


if __name__ == '__main__':
    need_namespaces()
    sys.exit(program.main())
