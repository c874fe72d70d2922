# SPDX-License-Identifier: GPL-2.0-or-later
"""Queues of Mailman 2.1: one file TIME+SHA1.pck per entry, two pickles in it, the message and its dictionary. The rename of .pck to
.bak is the only claim that a runner lays to an entry."""
import email
import hashlib
import os
import pickle
import time

import mmconf
from crashpoints import step, write

MAX_BAK_COUNT = 3
SCHEMA = 3
ALL = 2 ** 160                  # one more than the highest SHA-1
DELTA = 0.0001                  # between the sort keys of entries of the same time


def plain_pickle(text):
    """Bytes as Python 2 pickles its str with protocol 0: what `post` writes. Loaded here as latin-1 text."""
    return b'S' + repr(text)[1:].encode('ascii') + b'\np1\n.'


def load(stream):
    return pickle.load(stream, encoding='latin-1')


class Switchboard:
    """A queue folder, or slice `slice_no` of `slices` (a power of 2) of it. recover: put .bak back, as a runner does at its start."""

    def __init__(self, queue, slice_no=None, slices=1, recover=False):
        self.folder = mmconf.queue_dir(queue)
        os.makedirs(self.folder, mode=0o2770, exist_ok=True)
        self.lower = self.upper = None
        if slices > 1:
            self.lower = ALL * slice_no // slices
            self.upper = ALL * (slice_no + 1) // slices - 1
        if recover:
            self.recover_backup_files()

    def path(self, base, ext):
        return os.path.join(self.folder, base + ext)

    def enqueue(self, msg, metadata=None, **more):
        """Returns the name without extension. OSError: nothing was queued (a .tmp may be left)."""
        data = dict(metadata or {}, **more)
        plain = data.get('_plaintext')
        saved = plain_pickle(msg) if plain else pickle.dumps(msg, 1)
        now = time.time()
        food = saved + data.get('listname', '--nolist--').encode() + repr(now).encode()
        base = f'{data.setdefault("received_time", now)!r}+{hashlib.sha1(food).hexdigest()}'
        data['version'] = SCHEMA
        data = {k: v for k, v in data.items() if not k.startswith('_')}
        data['_parsemsg'] = bool(plain)
        final = self.path(base, '.pck')
        mask = os.umask(0o007)
        try:
            with open(final + '.tmp', 'wb') as f:
                write('enqueue.tmp-write', f, saved + pickle.dumps(data, 0 if plain else 1))
                with step('enqueue.tmp-fsync'):
                    os.fsync(f.fileno())
        finally:
            os.umask(mask)
        with step('enqueue.rename'):
            os.rename(final + '.tmp', final)
        return base

    def dequeue(self, base):
        """(message, dictionary); the entry is a .bak from then on. Any exception: of opening, renaming or unpickling."""
        with open(self.path(base, '.pck'), 'rb') as f:
            with step('dequeue.rename'):
                os.rename(self.path(base, '.pck'), self.path(base, '.bak'))
            msg = load(f)
            data = load(f)
        if data.get('_parsemsg'):
            msg = email.message_from_bytes(msg.encode('latin-1'))
        return msg, data

    def finish(self, base, preserve=False):
        """The .bak goes, or is preserved as bad/*.psv - whoever's it is by now."""
        bak = self.path(base, '.bak')
        try:
            if preserve:
                os.makedirs(mmconf.queue_dir('bad'), mode=0o2770, exist_ok=True)
                with step('finish.preserve'):
                    os.rename(bak, os.path.join(mmconf.queue_dir('bad'), base + '.psv'))
            else:
                with step('finish.unlink'):
                    os.unlink(bak)
        except OSError as e:
            mmconf.log('error', f'Failed to unlink/preserve backup file: {bak}\n{e}')

    def files(self, extension='.pck'):
        """Names of the slice, oldest first. ValueError for a name without `+`: that ends a runner."""
        times = {}
        for name in os.listdir(self.folder):
            base, ext = os.path.splitext(name)
            if ext != extension:
                continue
            when, digest = base.split('+')
            if self.lower is None or self.lower <= int(digest, 16) <= self.upper:
                key = float(when)
                while key in times:
                    key += DELTA
                times[key] = base
        return [times[key] for key in sorted(times)]

    def recover_backup_files(self):
        for base in self.files('.bak'):
            with open(self.path(base, '.bak'), 'rb+') as f:
                self._recover(base, f)

    def _recover(self, base, f):
        try:
            load(f)
            begin = f.tell()
            data = load(f)
        except Exception as e:                      # pylint: disable=broad-except
            mmconf.log('error', f'Unpickling .bak exception: {e}\npreserving file: {base}')
            self.finish(base, preserve=True)
            return
        data['_bak_count'] = data.get('_bak_count', 0) + 1
        f.seek(begin)
        write('recover.bak-write', f, pickle.dumps(data, 0 if data.get('_parsemsg') else 1))
        f.truncate()
        with step('recover.bak-fsync'):
            os.fsync(f.fileno())
        if data['_bak_count'] >= MAX_BAK_COUNT:
            mmconf.log('error', f'.bak file max count, preserving file: {base}')
            self.finish(base, preserve=True)
        else:
            with step('recover.rename'):
                os.rename(self.path(base, '.bak'), self.path(base, '.pck'))
