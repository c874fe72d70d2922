# SPDX-License-Identifier: GPL-2.0-or-later
"""The queue of Mailman 2.0.x and its cron job. An entry is two files in qfiles: SHA1.db, a marshalled dictionary, written first, and
SHA1.msg, the text. Neither is written aside and renamed, nor synced. ORPHANS says what the job makes of half an entry:

keep      2.0 final: goes by the .msg; one without .db is logged at each run for ever, a .db without .msg is not looked at.
unlink    2.0.8: a .db without .msg is an orphan and goes, also if its .msg is just being written."""
import email
import hashlib
import marshal
import os
import time

import mmconf
import mmdeliver
import mmlist
import mmlock
from crashpoints import step, write


def enqueue(text, **data):
    """Returns the path without extension. OSError: half an entry may be left."""
    base = hashlib.sha1(text + data['listname'].encode() + repr(time.time()).encode()).hexdigest()
    root = mmconf.var('qfiles', base)
    mask = os.umask(0o007)
    try:
        with open(root + '.db', 'wb') as f:
            write('enqueue20.db-write', f, marshal.dumps(data, 0))
        with open(root + '.msg', 'wb') as f:
            write('enqueue20.msg-write', f, text)
    finally:
        os.umask(mask)
    return root


def requeue(root, data):
    with open(root + '.db', 'wb') as f:
        write('requeue20.db-write', f, marshal.dumps(data, 0))


def dequeue(root):
    with step('dequeue20.db-unlink'):
        os.unlink(root + '.db')
    with step('dequeue20.msg-unlink'):
        os.unlink(root + '.msg')


def dispose(msg, data):
    """True: keep it. Delivers under the list's lock."""
    try:
        mlist = mmlist.MailList(data['listname'])
        mlist.lock(mmconf.get().LIST_LOCK_TIMEOUT)
    except mmlist.ListError as e:
        mmconf.log('qrunner', f'error opening list: {data["listname"]}\n{e}')
        return True
    except mmlock.TimeOutError:
        return True
    try:
        mmdeliver.cook_headers(mlist, msg, data)
        mmdeliver.calc_recips(mlist, msg, data)
        mmdeliver.after_delivery(mlist, msg, data)
        mmdeliver.deliver(mlist, msg, data)
    except mmdeliver.SomeRecipientsFailed as e:
        data['recips'] = e.temporary
        return bool(e.temporary)
    finally:
        mlist.save()
        mlist.unlock()
    return False


def _is_entry(root, ext):
    """Whether this file stands for an entry; with ORPHANS = unlink an orphan goes here."""
    if ext == '.db' and mmconf.get().ORPHANS == 'unlink' and not os.path.exists(root + '.msg'):
        mmconf.log('qrunner', f'Unlinking orphaned .db file: {root}.db')
        with step('orphan20.db-unlink'):
            os.unlink(root + '.db')
    return ext == '.msg'


def _one(root):
    try:
        with open(root + '.db', 'rb') as f:
            data = marshal.load(f)
        with open(root + '.msg', 'rb') as f:
            msg = email.message_from_bytes(f.read())
    except (EOFError, ValueError, TypeError, OSError) as e:
        mmconf.log('qrunner', f'Exception reading qfile: {root}\n{e}')
        return
    if dispose(msg, data):
        requeue(root, data)
    else:
        dequeue(root)


def run(lock):
    begin = time.time()
    for number, name in enumerate(os.listdir(mmconf.var('qfiles'))):
        lock.refresh()
        if time.time() - begin > mmconf.get().QRUNNER_PROCESS_LIFETIME or number >= mmconf.get().QRUNNER_MAX_MESSAGES:
            break
        root, ext = os.path.splitext(mmconf.var('qfiles', name))
        if _is_entry(root, ext):
            _one(root)


def main(_args):
    """cron/qrunner: one pass under locks/qrunner.lock; 0 too if another one has it."""
    lock = mmlock.LockFile(mmconf.var('locks', 'qrunner.lock'), mmconf.get().QRUNNER_LOCK_LIFETIME, counted=False)
    try:
        lock.lock(0.5)
    except mmlock.TimeOutError:
        mmconf.log('qrunner', 'Could not acquire qrunner lock')
        return 0
    try:
        run(lock)
    finally:
        lock.unlock(unconditionally=True)
    return 0
