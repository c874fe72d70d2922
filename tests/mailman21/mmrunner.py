# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop of a queue runner and its process: polling, what happens to an entry when something goes wrong, and its signals."""
import getopt
import signal
import sys
import traceback

import crashpoints
import mmconf
import mmlist
import mmlock
import mmqueue


class Runner:
    """One slice of the queue QUEUE. dispose() returns True if the entry is to be queued again."""
    QUEUE = ''

    def __init__(self, slice_no=0, slices=1):
        self.sleep_time = mmconf.get().QRUNNER_SLEEP_TIME
        self.stopping = False
        self.lists = {}
        self.switchboard = mmqueue.Switchboard(self.QUEUE, slice_no, slices, recover=True)
        self.shunt = mmqueue.Switchboard('shunt')

    def dispose(self, mlist, msg, data):
        raise NotImplementedError

    def stop(self):
        self.stopping = True

    def run(self):
        try:
            while True:
                done = self.one_loop()
                self.periodic()
                if self.stopping:
                    break
                self.snooze(done)
        finally:
            self.cleanup()

    def snooze(self, done):
        """After a round with work at once the next; a signal ends the sleep."""
        if not done:
            mmconf.nap(self.sleep_time)

    def periodic(self):
        pass

    def cleanup(self):
        pass

    def one_loop(self):
        """One pass over the entries that are there now; a stop ends it after the present entry."""
        bases = self.switchboard.files()
        for base in bases:
            try:
                msg, data = self.switchboard.dequeue(base)
            except Exception:                       # pylint: disable=broad-except
                self.log_exception()
                mmconf.log('error', f'Skipping and preserving unparseable message: {base}')
                self.switchboard.finish(base, preserve=True)
                continue
            self._work(base, msg, data)
            self.periodic()
            if self.stopping:
                break
        return len(bases)

    def _work(self, base, msg, data):
        try:
            self._one_file(msg, data)
            self.switchboard.finish(base)
        except Exception:                           # pylint: disable=broad-except
            self.log_exception()
            data['whichq'] = self.switchboard.folder
            try:
                mmconf.log('error', f'SHUNTING: {self.shunt.enqueue(msg, data)}')
                self.switchboard.finish(base)
            except Exception:                       # pylint: disable=broad-except
                self.log_exception()
                mmconf.log('error', f'SHUNTING FAILED, preserving original entry: {base}')
                self.switchboard.finish(base, preserve=True)

    def _one_file(self, msg, data):
        name = data.get('listname') or mmconf.get().MAILMAN_SITE_LIST
        mlist = self.open_list(name)
        if mlist is None:
            mmconf.log('error', f'Dequeuing message destined for missing list: {name}')
            self.shunt.enqueue(msg, data)
        elif self.dispose(mlist, msg, data):
            self.switchboard.enqueue(msg, data)

    def open_list(self, name):
        """The list, kept from the last time if it could be read then; None if it cannot be had."""
        if name not in self.lists:
            try:
                self.lists[name] = mmlist.MailList(name)
            except mmlist.ListError as e:
                mmconf.log('error', f'error opening list: {name}\n{e}')
                return None
        return self.lists[name]

    @staticmethod
    def log_exception():
        mmconf.log('error', 'Uncaught runner exception: ' + traceback.format_exc())

    @staticmethod
    def with_list_lock(mlist, work):
        """True if the lock was not to be had in LIST_LOCK_TIMEOUT; until then this runner works for no list at all."""
        try:
            mlist.lock(mmconf.get().LIST_LOCK_TIMEOUT)
        except mmlock.TimeOutError:
            return True
        try:
            work()
            mlist.save()
        finally:
            mlist.unlock()
        return False


def _set_signals(runner, status):
    def stop(number, _frame):
        runner.stop()
        status[0] = int(number)
        mmconf.log('qrunner', f'{type(runner).__name__} qrunner caught {signal.Signals(number).name}.  Stopping.')

    mmconf.install_wakeup()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, lambda *_: None)


def parse_runner(text, known):
    """'IncomingRunner:0:1', 'Incoming' or 'Incoming:0:2': (class, slice, slices). ValueError."""
    name, *numbers = text.split(':')
    name = name if name.endswith('Runner') else name + 'Runner'
    slice_no, slices = (int(n) for n in numbers) if numbers else (0, 1)
    if name not in known or not 0 <= slice_no < slices or slices & (slices - 1):
        raise ValueError(f'bad runner: {text}')
    return known[name], slice_no, slices


def main(args, known):
    """bin/qrunner --runner=NAME[:SLICE:COUNT] [-s] [-o]; exits with the number of the signal that stopped it."""
    options, rest = getopt.getopt(args, 'r:so', ['runner=', 'subproc', 'once'])
    values = dict(options)
    chosen = values.get('-r') or values.get('--runner')
    if rest or not chosen:
        sys.stderr.write('usage: qrunner --runner=NAME[:SLICE:COUNT] [-s] [-o]\n')
        return 1
    kind, slice_no, slices = parse_runner(chosen, known)
    crashpoints.set_role(kind.__name__)
    runner = kind(slice_no, slices)
    status = [0]
    _set_signals(runner, status)
    mmconf.log('qrunner', f'{kind.__name__} qrunner started.')
    if '-o' in values or '--once' in values:
        runner.one_loop()
        runner.periodic()
        runner.cleanup()
    else:
        runner.run()
    mmconf.log('qrunner', f'{kind.__name__} qrunner exiting.')
    return status[0]
