# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists: lists/NAME/config.pck and its .last, as Mailman 2.1 saves, rotates and repairs them."""
import marshal
import os
import pickle
import shutil
import time

import mmconf
import mmlock
from crashpoints import step, write

BAD_PICKLE = (EOFError, ValueError, TypeError, MemoryError, pickle.PicklingError, pickle.UnpicklingError)


class ListError(Exception):
    """The list cannot be had: unknown, or no file of it can be read."""


class UnknownListError(ListError):
    pass


class CorruptListError(ListError):
    pass


def folder_of(name):
    return mmconf.var('lists', name)


def list_exists(name):
    """As the mail programs judge it: any of the four files is there, whatever is in it."""
    return bool(name) and '/' not in name and any(os.path.exists(os.path.join(folder_of(name), 'config' + ext))
                                                  for ext in ('.pck', '.pck.last', '.db', '.db.last'))


def names():
    return sorted(n for n in os.listdir(mmconf.var('lists')) if list_exists(n))


class MailList:
    """The list's data are the attributes without a leading underscore, as in Mailman."""

    def __init__(self, name, load=True):
        self._name = name
        self._timestamp = 0
        plain = mmconf.get().GENERATION == '2.0'
        self._file = os.path.join(folder_of(name), 'config.db' if plain else 'config.pck')
        self._lock = mmlock.LockFile(mmconf.var('locks', name + '.lock'), mmconf.get().LIST_LOCK_LIFETIME, counted=not plain)
        if load:
            self.load()

    def name(self):
        return self._name

    def address(self, extra=''):
        return f'{self._name}{"-" + extra if extra else ""}@{self.host_name}'

    def init_vars(self, owner):
        self.real_name, self.owner, self.host_name = self._name.capitalize(), [owner], mmconf.get().DEFAULT_EMAIL_HOST
        self.members, self.digest_members, self.bounce_info = {}, {}, {}
        self.archive, self.post_id, self.last_post_time, self.data_version = True, 1.0, 0, 97
        self.bounce_score_threshold = 5.0

    def create(self, owner):
        os.makedirs(folder_of(self._name), mode=0o2775)
        self._lock.lock()
        try:
            self.init_vars(owner)
            self.save()
        finally:
            self._lock.unlock()

    def lock(self, timeout=0):
        """Gets the list's lock and reads the list anew. mmlock.TimeOutError after `timeout` s."""
        self._lock.lock(timeout)
        try:
            self.load()
        except BaseException:
            self._lock.unlock()
            raise

    def unlock(self):
        self._lock.unlock(unconditionally=True)

    # Saving.

    def data(self):
        return {k: v for k, v in self.__dict__.items() if not k.startswith('_')}

    def save(self):
        """NotLockedError if the lock is not ours any more: then nothing was saved."""
        self._lock.refresh()
        mask = os.umask(0o007)
        try:
            self._save()
        finally:
            os.umask(mask)

    def _save(self):
        tmp = f'{self._file}.tmp.{mmconf.hostname()}.{os.getpid()}'
        plain = self._file.endswith('.db')
        with open(tmp, 'wb') as f:
            write('save.tmp-write', f, marshal.dumps(self.data(), 0) if plain else pickle.dumps(self.data(), 1))
            if mmconf.get().SYNC_AFTER_WRITE:
                with step('save.tmp-fsync'):
                    os.fsync(f.fileno())
        last = self._file + '.last'
        self._tolerant('save.last-unlink', os.unlink, last)
        if plain:                                   # for a moment there is no config.db at all
            self._tolerant('save.last-rename', os.rename, self._file, last)
        else:
            self._tolerant('save.last-link', os.link, self._file, last)
        with step('save.rename'):
            os.rename(tmp, self._file)

    @staticmethod
    def _tolerant(point, call, *args):
        try:
            with step(point):
                call(*args)
        except FileNotFoundError:
            pass

    # Loading.

    def load(self):
        """Takes the file in if it may be newer than what we have. UnknownListError, CorruptListError."""
        if not list_exists(self._name):
            raise UnknownListError(self._name)
        error = None
        for path in (self._file, self._file + '.last'):
            try:
                found = self._read(path)
                break
            except (FileNotFoundError, *BAD_PICKLE) as e:
                error = e
                mmconf.log('error', f"couldn't load config file {path}\n{e}")
        else:
            mmconf.log('error', f'All {self._name} fallbacks were corrupt, giving up')
            raise CorruptListError(f'{self._name}: {error}')
        if found is None:
            return
        if path != self._file:
            self._repair(path)
        self.__dict__.update(found)

    def _read(self, path):
        """The dictionary; None if the file is older than what was read before."""
        if os.stat(path).st_mtime < self._timestamp:
            return None
        now = int(time.time())
        with open(path, 'rb') as f:
            found = marshal.load(f) if self._file.endswith('.db') else pickle.load(f)
        if not isinstance(found, dict):
            raise TypeError('Load() expected to return a dictionary')
        self._timestamp = now
        return found

    def _repair(self, last):
        """.last becomes the config again, and .safety; the bad one .corrupt. Under the lock, ours already or not."""
        mmconf.log('error', f'fixing corrupt config file from last good file: {last}')
        taken = True
        try:
            self._lock.lock()
        except mmlock.AlreadyLockedError:
            taken = False
        try:
            self._tolerant('load.corrupt-rename', os.rename, self._file, self._file + '.corrupt')
            self._tolerant('load.safety-remove', os.unlink, self._file + '.safety')
            with step('load.primary-copy'):
                shutil.copy(last, self._file)
            with step('load.safety-copy'):
                shutil.copy(last, self._file + '.safety')
        finally:
            if taken:
                self._lock.unlock()

    # What the runners want of it.

    def add_member(self, address):
        """False if it was one."""
        if address.lower() in self.members:
            return False
        self.members[address.lower()] = 0
        return True

    def remove_member(self, address):
        return self.members.pop(address.lower(), None) is not None

    def register_bounce(self, address, day):
        score, last = self.bounce_info.get(address, (0.0, None))
        if last != day:
            score += 1.0
        self.bounce_info[address] = (score, day)
        if score >= self.bounce_score_threshold and address in self.members:
            self.members[address] = 1               # delivery disabled

    def recipients(self):
        return sorted(a for a, disabled in self.members.items() if not disabled)
