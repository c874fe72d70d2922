# SPDX-License-Identifier: GPL-2.0-or-later
"""bin/mailmanctl of Mailman 2.1.39 and the master that it starts.

A start that is refused because of the lock ends with 0 and says why on stderr only. stop signals whatever process has the number in
the pid file, and leaves the file."""
import getopt
import grp
import os
import pwd
import signal
import sys

import crashpoints
import mmconf
import mmlist
import mmlock
from crashpoints import step

RUNNING = '''The master qrunner lock could not be acquired because it appears as if another
master qrunner is already running.
'''
STALE = '''The master qrunner lock could not be acquired.  It appears as though there is
a stale master qrunner lock.  Try re-running mailmanctl with the -s flag.
'''
OTHER_HOST = '''The master qrunner lock could not be acquired, because it appears as if some
process on some other host may have acquired it.  We can't test for stale
locks across host boundaries, so you'll have to do this manually.  Or, if you
know the lock is stale, re-run mailmanctl with the -s flag.

Lock file: {path}
Lock host: {host}

Exiting.'''


def say(text, quiet=False):
    if not quiet:
        print(text, flush=True)


def complain(text):
    print(text, file=sys.stderr, flush=True)


def lock_path():
    return mmconf.var('locks', 'master-qrunner')


def pid_path():
    return mmconf.var('data', 'master-qrunner.pid')


def lock_data():
    """(host, pid, name of the claim file) as the lock's text has them: the last field is the pid, whatever it is."""
    with open(lock_path(), encoding='utf-8') as f:
        name = os.path.basename(f.read().strip())
    parts = name.split('.')
    return '.'.join(parts[1:-1]), int(parts[-1]), name


def lock_state():
    """1: our host, the process exists (any process); 0: our host, no such process; else the other host's name."""
    host, pid, _ = lock_data()
    if host != mmconf.hostname():
        return host
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    return 1


def _acquire(force):
    lock = mmlock.LockFile(lock_path(), mmconf.get().MASTER_LOCK_LIFETIME)
    try:
        lock.lock(0.1)
        return lock
    except mmlock.TimeOutError:
        if not force or lock_state():
            raise
    lock.disown()
    _, _, claim = lock_data()
    with step('start.force-lock-unlink'):
        os.unlink(lock_path())
    with step('start.force-claim-unlink'):
        os.unlink(mmconf.var('locks', claim))
    return _acquire(False)


def acquire(force):
    """The lock, or None after the reason was said on stderr."""
    try:
        return _acquire(force)
    except mmlock.TimeOutError:
        state = lock_state()
    if state == 1:
        complain(RUNNING)
    elif state == 0:
        complain(STALE)
    else:
        complain(OTHER_HOST.format(path=lock_path(), host=state))
    return None


class Master:
    """Owns the lock and the runners until SIGTERM. kids: pid -> (name, slice, slices, restarts)."""

    def __init__(self, lock, restart):
        self.lock, self.restart, self.kids = lock, restart, {}

    def start_runner(self, name, slice_no, slices, restarts=0):
        with step('start.runner-fork'):
            pid = os.fork()
            if not pid:
                self._become_runner(name, slice_no, slices)
        self.kids[pid] = (name, slice_no, slices, restarts)

    @staticmethod
    def _become_runner(name, slice_no, slices):
        python = mmconf.get().PYTHON
        try:
            os.execl(python, python, os.path.join(mmconf.get().PREFIX, 'bin', 'qrunner'), f'--runner={name}:{slice_no}:{slices}', '-s')
        finally:
            os._exit(127)                           # pylint: disable=protected-access

    def signal_kids(self, number):
        for pid in list(self.kids):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _terminate(self, *_):
        with step('stop.runners-signal'):
            self.signal_kids(signal.SIGTERM)
        mmconf.log('qrunner', 'Master watcher caught SIGTERM.  Exiting.')

    def _interrupt(self, *_):
        self.signal_kids(signal.SIGINT)
        mmconf.log('qrunner', 'Master watcher caught SIGINT.  Restarting.')

    def set_signals(self):
        every = mmconf.get().MASTER_LOCK_REFRESH
        signal.signal(signal.SIGALRM, lambda *_: self.lock.refresh())      # raises if the lock is lost: that ends the master
        signal.setitimer(signal.ITIMER_REAL, every, every)
        signal.signal(signal.SIGHUP, lambda *_: self.signal_kids(signal.SIGHUP))
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._interrupt)

    def child_ended(self, pid, status):
        """Started again at once, unless SIGTERM ended it or it was so too often. A SIGINT (restart) does not count."""
        name, slice_no, slices, restarts = self.kids.pop(pid)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        again = self.restart and signal.SIGTERM not in (killed, code)
        mmconf.log('qrunner', f'Master qrunner detected subprocess exit\n(pid: {pid}, sig: {killed}, sts: {code}, class: {name}, '
                              f'slice: {slice_no + 1}/{slices}) {"[restarting]" if again else ""}')
        if code != signal.SIGINT:
            restarts += 1
        if restarts > mmconf.get().MAX_RESTARTS:
            mmconf.log('qrunner', f'Qrunner {name} reached maximum restart limit of {mmconf.get().MAX_RESTARTS}, not restarting.')
            again = False
        if again:
            self.start_runner(name, slice_no, slices, restarts)

    def watch(self):
        """Until there is no runner any more."""
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                return
            if pid in self.kids:
                self.child_ended(pid, status)

    def run(self):
        """Never returns."""
        try:
            for name, slices in mmconf.get().QRUNNERS:
                for slice_no in range(slices):
                    self.start_runner(name, slice_no, slices)
            self.set_signals()
            self.watch()
        except BaseException as e:                  # pylint: disable=broad-except
            mmconf.log('error', f'Master watcher: {e!r}')
        finally:
            self._end()

    def _end(self):
        try:
            self.restart = False
            self.signal_kids(signal.SIGTERM)
            self.watch()
            self.lock.unlock(unconditionally=True)
            crashpoints.at('stop.exit.before')
        finally:
            os._exit(0)                             # pylint: disable=protected-access


def _daemon(lock, restart):
    crashpoints.set_role('master')
    lock.take_possession()
    mask = os.umask(0o006)
    try:
        with open(pid_path(), 'wb') as f:
            crashpoints.write('start.pid-write', f, f'{os.getpid()}\n'.encode())
    finally:
        os.umask(mask)
    os.setsid()
    null = os.open('/dev/null', os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir(mmconf.get().PREFIX)
    os.umask(0o007)
    Master(lock, restart).run()


def start(force, restart, quiet):
    site = mmconf.get().MAILMAN_SITE_LIST
    try:
        mmlist.MailList(site)
    except mmlist.UnknownListError:
        complain(f'Site list is missing: {site}')
        return 1
    lock = acquire(force)
    if lock is None:
        return 0
    with step('start.fork'):
        pid = os.fork()
        if not pid:
            _daemon(lock, restart)
    say("Starting Mailman's master qrunner.", quiet)
    lock.transfer_to(pid)
    return 0


def kill_master(number):
    try:
        with open(pid_path(), encoding='utf-8') as f:
            pid = int(f.read().strip())
    except (OSError, ValueError) as e:
        complain(f'PID unreadable in: {pid_path()}\n{e}\nIs qrunner even running?')
        return
    try:
        with step('stop.signal'):
            os.kill(pid, number)
    except ProcessLookupError as e:
        complain(f'No child with pid: {pid}\n{e}\nStale pid file removed.')
        os.unlink(pid_path())


def become_list_user():
    """False if that is not possible. Root becomes the list user, and nobody else may be anybody else."""
    user = pwd.getpwnam(mmconf.get().MAILMAN_USER)
    if os.geteuid() == 0:
        group = grp.getgrnam(mmconf.get().MAILMAN_GROUP).gr_gid
        os.setgroups([group])
        os.setgid(group)
        os.setuid(user.pw_uid)
    return os.geteuid() == user.pw_uid


def main(args):
    try:
        options, words = getopt.getopt(args, 'hnusq', ['help', 'no-restart', 'run-as-user', 'stale-lock-cleanup', 'quiet'])
    except getopt.GetoptError as e:
        complain(f'usage: mailmanctl [-n] [-u] [-s] [-q] start|stop|restart|reopen\n{e}')
        return 1
    given = {o for o, _ in options}
    quiet = bool(given & {'-q', '--quiet'})
    if len(words) != 1 or words[0].lower() not in ('start', 'stop', 'restart', 'reopen'):
        complain('Bad command: ' + ', '.join(words) if words else 'No command given.')
        return 1
    if given & {'-u', '--run-as-user'}:
        say('Warning!  You may encounter permission problems.')
    elif not become_list_user():
        complain(f'Run this program as root or as the {mmconf.get().MAILMAN_USER} user, or use -u.')
        return 1
    command = words[0].lower()
    if command == 'start':
        return start(bool(given & {'-s', '--stale-lock-cleanup'}), not given & {'-n', '--no-restart'}, quiet)
    what, number = {'stop': ("Shutting down Mailman's master qrunner", signal.SIGTERM),
                    'restart': ("Restarting Mailman's master qrunner", signal.SIGINT),
                    'reopen': ('Re-opening all log files', signal.SIGHUP)}[command]
    say(what, quiet)
    kill_master(number)
    return 0
