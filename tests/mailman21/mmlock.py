# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks of Mailman 2.x, with their weaknesses: a claim file NAME.HOST.PID.COUNTER whose text is its own path, link(2)ed to the lock;
mtime = expiry. A lock that is past it is broken by anybody. None of this is safe against a pause or a wrong clock; it is what there is.

Each instance of LockFile is one claim. The number of the counter is per process. Errors other than those named are OSErrors of the
calls below, as in the original: a claim file that somebody removed meanwhile shows as FileNotFoundError from lock()."""
import errno
import os
import random
import time

import mmconf
from crashpoints import step, write


class LockError(Exception):
    pass


class AlreadyLockedError(LockError):
    pass


class NotLockedError(LockError):
    pass


class TimeOutError(LockError):
    pass


class LockFile:
    made = 0

    def __init__(self, path, lifetime=None, counted=True):
        self.path = path
        self.lifetime = mmconf.get().DEFAULT_LOCK_LIFETIME if lifetime is None else lifetime
        self.owned = True
        self.claim = self._claim_of(os.getpid())
        if counted:                                 # 2.0 has no counter
            self.claim += f'.{LockFile.made}'
        LockFile.made += 1

    def __del__(self):
        if getattr(self, 'owned', False):
            try:
                self.unlock(unconditionally=True)
            except Exception:                       # pylint: disable=broad-except
                pass                                # the interpreter may be going down

    def _claim_of(self, pid):
        return f'{self.path}.{mmconf.hostname()}.{pid}'

    # What is asked of the lock file; -1 or None if there is none.

    def _stat(self):
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None

    def _links(self):
        found = self._stat()
        return found.st_nlink if found else -1

    def _expiry(self):
        found = self._stat()
        return int(found.st_mtime) if found else -1

    def _text(self):
        try:
            with open(self.path, encoding='utf-8') as f:
                return f.read()
        except FileNotFoundError:
            return None

    # What is changed.

    def _write_claim(self, point):
        """In place and without fsync: a crash leaves a torn or empty text."""
        mask = os.umask(0o002)
        try:
            with open(self.claim, 'wb', buffering=0) as f:
                write(point, f, self.claim.encode())
        finally:
            os.umask(mask)

    def _touch(self, point, path=None):
        expiry = time.time() + self.lifetime
        try:
            with step(point):
                os.utime(path or self.claim, (expiry, expiry))
        except FileNotFoundError:
            pass

    def _remove(self, point, path):
        try:
            with step(point):
                os.unlink(path)
        except FileNotFoundError:
            pass

    def _try(self):
        """True: got it. Whether the link is ours is judged by link()'s own answer only."""
        try:
            with step('lock.link'):
                os.link(self.claim, self.path)
        except FileNotFoundError:
            return False                            # our claim file is gone; tried again till the time is up
        except FileExistsError:
            if self._links() != 2:
                mmconf.log('locks', f'{os.path.basename(self.path)} unexpected linkcount: {self._links()}')
            elif self._text() == self.claim:
                raise AlreadyLockedError(self.path) from None
            return False
        except OSError:
            os.unlink(self.claim)
            raise
        self._touch('lock.touch')
        return True

    def _break(self):
        """Between the look at the expiry and this the lock may have become another's: it goes all the same."""
        try:
            self._touch('lock.break-touch', self.path)
        except PermissionError:
            pass
        winner = self._text()
        self._remove('lock.break-unlink', self.path)
        if winner:
            self._remove('lock.break-claim-unlink', winner)
        mmconf.log('locks', f'{os.path.basename(self.path)} lifetime has expired, breaking')

    def lock(self, timeout=0):
        """Waits; after `timeout` s (0: for ever) TimeOutError. AlreadyLockedError if the lock names this claim."""
        until = time.time() + timeout if timeout else None
        self._write_claim('lock.claim-write')
        self._touch('lock.claim-touch')
        while not self._try():
            if until is not None and until < time.time():
                with step('lock.timeout-unlink'):
                    os.unlink(self.claim)           # FileNotFoundError if somebody else did
                raise TimeOutError(self.path)
            if time.time() > self._expiry() + mmconf.get().CLOCK_SLOP:
                self._break()
            mmconf.nap(random.random() * 2.0 + 0.01)

    def locked(self):
        """Puts the expiry off, then says whether the lock is ours."""
        try:
            self._touch('lock.refresh-touch')
        except OSError as e:
            if e.errno == errno.EPERM:
                return False
            raise
        return self._links() == 2 and self._text() == self.claim

    def refresh(self):
        if not self.locked():
            raise NotLockedError(f'{self.path}: {self._text()}')

    def unlock(self, unconditionally=False):
        """NotLockedError if the lock is not ours; unconditionally: then only the claim file goes."""
        ours = self.locked()
        if not ours and not unconditionally:
            raise NotLockedError(self.path)
        if ours:
            self._remove('lock.unlock-unlink', self.path)
        self._remove('lock.unlock-claim-unlink', self.claim)

    # Across the fork that makes the master. Between link and unlink the lock has three names; before the text is rewritten its last
    # field is the counter and not a pid.

    def transfer_to(self, pid):
        self._touch('lock.transfer-touch')
        winner = self._text()
        self.claim = self._claim_of(pid)
        with step('lock.transfer-link'):
            os.link(self.path, self.claim)
        self._write_claim('lock.transfer-write')
        self.owned = False
        with step('lock.transfer-unlink'):
            os.unlink(winner)
        assert self._links() == 2 and self.locked()

    def take_possession(self):
        self.claim = self._claim_of(os.getpid())
        while self._links() != 2 or self._text() != self.claim:
            mmconf.nap(0.25)

    def disown(self):
        self.owned = False
