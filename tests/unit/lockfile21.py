# SPDX-License-Identifier: GPL-2.0-or-later
"""The locks of Mailman 2.1 as it takes, breaks and hands them on (reliability 3.3, facts E), its weaknesses included: a claim
file LOCK.HOST.PID.COUNTER whose text is its own path, linked to the lock; the time when it is over is the file's mtime.

python3 lockfile21.py LOCK ROUNDS COUNTER counts in a shared file under it."""
import errno
import os
import random
import socket
import sys
import time

CLOCK_SLOP = 10.0
GONE = (errno.ENOENT,)


class LockError(Exception):
    pass


class AlreadyLockedError(LockError):
    pass


class NotLockedError(LockError):
    pass


class TimeOutError(LockError):
    pass


def remove(path):
    try:
        os.unlink(path)
    except OSError as e:
        if e.errno not in GONE:
            raise


class LockFile:
    counter = 0

    def __init__(self, path, lifetime=15, host=None, now=time.time):
        self.path, self.lifetime, self.now = path, lifetime, now
        self.host = host or socket.gethostname()
        self.claim = f"{path}.{self.host}.{os.getpid()}.{LockFile.counter}"
        LockFile.counter += 1

    def lock(self, timeout=0.0):
        deadline = self.now() + timeout if timeout else None
        self.write()
        self.touch()
        while not self.link():
            if deadline is not None and self.now() > deadline:
                os.unlink(self.claim)
                raise TimeOutError(self.path)
            over = self.over()
            if over is not None and self.now() > over + CLOCK_SLOP:
                self.break_()
            self.pause()

    def link(self):
        try:
            os.link(self.claim, self.path)
        except OSError as e:
            if e.errno in GONE:
                return False
            if e.errno != errno.EEXIST:
                os.unlink(self.claim)
                raise
            if self.links() == 2 and self.read() == self.claim:
                raise AlreadyLockedError(self.path) from e
            return False
        self.touch()
        return True

    def locked(self):
        self.touch()
        return self.links() == 2 and self.read() == self.claim

    def unlock(self):
        if not self.locked():
            raise NotLockedError(self.path)
        remove(self.path)
        remove(self.claim)

    def break_(self):
        try:
            self.touch(self.path)
        except PermissionError:
            pass
        winner = self.read()
        remove(self.path)
        if winner:
            remove(winner)

    def transfer_to(self, pid):
        """The master lock, to a child: from here on its claim has no counter."""
        self.touch()
        winner = self.read()
        self.claim = f"{self.path}.{self.host}.{pid}"
        os.link(self.path, self.claim)
        self.write()
        remove(winner)

    def write(self):
        with open(self.claim, "w", encoding="ascii") as f:
            f.write(self.claim)

    def read(self):
        try:
            with open(self.path, encoding="ascii") as f:
                return f.read()
        except OSError as e:
            if e.errno not in GONE:
                raise
            return None

    def touch(self, path=None):
        over = self.now() + self.lifetime
        try:
            os.utime(path or self.claim, (over, over))
        except OSError as e:
            if e.errno not in GONE:
                raise

    def stat(self):
        try:
            return os.stat(self.path)
        except OSError as e:
            if e.errno not in GONE:
                raise
            return None

    def over(self):
        st = self.stat()
        return st and st.st_mtime

    def links(self):
        st = self.stat()
        return st.st_nlink if st else -1

    @staticmethod
    def pause():
        """Mailman waits for up to two seconds; a test has not the time."""
        time.sleep(random.random() * 0.004)


def count_one(path):
    """Not atomic: two at once lose a count."""
    text = open(path, encoding="ascii").read() if os.path.exists(path) else ""
    time.sleep(0.001)
    with open(path, "r+" if text else "w", encoding="ascii") as f:
        f.write(str(int(text or "0") + 1))


def main():
    path, rounds, counter = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    for i in range(rounds):
        lock = LockFile(path, lifetime=600, host=sys.argv[4])
        lock.lock()
        count_one(counter)
        lock.unlock()
        print(i + 1, flush=True)


if __name__ == "__main__":
    main()
