# SPDX-License-Identifier: GPL-2.0-or-later
"""The eight runners of Mailman 2.1."""
import email.message
import email.utils
import os
import pickle
import re
import time

import mmconf
import mmdeliver
import mmqueue
from crashpoints import step, write
from mmrunner import Runner


def reply(mlist, to, subject, text):
    """A message that Mailman itself writes: into virgin, one recipient."""
    msg = email.message.Message()
    msg['From'], msg['To'], msg['Subject'] = mlist.address('request'), to, subject
    msg['Message-ID'] = f'<mailman.{time.time()!r}.{os.getpid()}@{mlist.host_name}>'
    msg.set_payload(text)
    mmqueue.Switchboard('virgin').enqueue(msg, listname=mlist.name(), recips=[to])


class IncomingRunner(Runner):
    QUEUE = 'in'
    PIPELINE = mmdeliver.PIPELINE

    def dispose(self, mlist, msg, data):
        return self.with_list_lock(mlist, lambda: mmdeliver.run_pipeline(mlist, msg, data, self.PIPELINE))


class VirginRunner(IncomingRunner):
    QUEUE = 'virgin'
    PIPELINE = mmdeliver.VIRGIN_PIPELINE


class ArchRunner(Runner):
    QUEUE = 'archive'

    def dispose(self, mlist, msg, data):
        del msg['X-List-Received-Date']
        msg['X-List-Received-Date'] = time.ctime(data.get('received_time', time.time()))
        return self.with_list_lock(mlist, lambda: mmdeliver.append_to_mbox(mlist, msg))


class NewsRunner(Runner):
    """There is no news server here: what comes is taken and logged."""
    QUEUE = 'news'

    def dispose(self, mlist, msg, data):
        mmconf.log('post', f'{msg.get("message-id")} of {mlist.name()} would go to the news server')
        return False


class CommandRunner(Runner):
    """Words `join` and `leave` in subject or body; the answer goes to virgin."""
    QUEUE = 'commands'

    def dispose(self, mlist, msg, data):
        return self.with_list_lock(mlist, lambda: self._obey(mlist, msg))

    @staticmethod
    def _obey(mlist, msg):
        sender = email.utils.parseaddr(msg.get('from', ''))[1]
        body = msg.get_payload()
        words = re.findall(r'\w+', f'{msg.get("subject", "")} {body if isinstance(body, str) else ""}'.lower())
        if not sender or not words:
            return
        if words[0] in ('join', 'subscribe'):
            answer = 'joined' if mlist.add_member(sender) else 'already a member'
        elif words[0] in ('leave', 'unsubscribe'):
            answer = 'left' if mlist.remove_member(sender) else 'no member'
        else:
            answer = 'unknown command'
        reply(mlist, sender, f'The results of your email commands: {answer}', answer + '\n')


class BounceMixin:
    """Bounces are collected in a file of this process and registered every REGISTER_BOUNCES_EVERY. Nobody reads a dead process's."""
    events = None
    count = 0
    due = 0

    def events_path(self):
        return mmconf.var('data', f'bounce-events-{os.getpid():05d}.pck')

    def queue_bounces(self, listname, addresses, msg):
        today = time.localtime()[:3]
        if self.events is None:
            self.due = self.due or time.time() + mmconf.get().REGISTER_BOUNCES_EVERY
            mask = os.umask(0o006)
            try:
                self.events = open(self.events_path(), 'a+b')  # pylint: disable=consider-using-with
            finally:
                os.umask(mask)
        for address in addresses:
            write('bounces.append', self.events, pickle.dumps((listname, address, today, msg), 1))
        with step('bounces.fsync'):
            os.fsync(self.events.fileno())
        self.count += len(addresses)

    def register_bounces(self):
        by_list = {}
        self.events.seek(0)
        while True:
            try:
                listname, address, day, _msg = pickle.load(self.events)
            except EOFError:
                break
            by_list.setdefault(listname, []).append((address, day))
        for listname, found in by_list.items():
            mlist = self.open_list(listname)
            if mlist is None:
                continue
            mlist.lock()
            try:
                for address, day in found:
                    mlist.register_bounce(address, day)
                mlist.save()
            finally:
                mlist.unlock()
        self.events.close()
        self.events, self.count = None, 0
        with step('bounces.unlink'):
            os.unlink(self.events_path())

    def periodic(self):
        if self.count and time.time() >= self.due:
            self.due = time.time() + mmconf.get().REGISTER_BOUNCES_EVERY
            self.register_bounces()

    def cleanup(self):
        if self.count:
            self.register_bounces()


class BounceRunner(BounceMixin, Runner):
    """Knows one kind of bounce: the header X-Failed-Recipients."""
    QUEUE = 'bounces'

    def dispose(self, mlist, msg, data):
        addresses = [a.strip().lower() for a in msg.get('X-Failed-Recipients', '').split(',') if a.strip()]
        if addresses:
            self.queue_bounces(mlist.name(), addresses, msg)
        else:
            mmconf.log('bounce', f'{mlist.name()}: no bounce in {msg.get("message-id")}')
        return False


class OutgoingRunner(BounceMixin, Runner):
    """Takes no list lock. What the relay refuses for now goes to retry."""
    QUEUE = 'out'

    def dispose(self, mlist, msg, data):
        mlist.load()
        try:
            mmdeliver.deliver(mlist, msg, data)
        except mmdeliver.SomeRecipientsFailed as e:
            if e.permanent:
                self.queue_bounces(mlist.name(), e.permanent, msg)
            if e.temporary:
                self._later(msg, data, e.temporary)
        return False

    @staticmethod
    def _later(msg, data, recips):
        """Again after DELIVERY_RETRY_WAIT; given up if nothing got better for DELIVERY_RETRY_PERIOD."""
        now = time.time()
        until = data.get('deliver_until', now)
        if len(recips) == data.get('last_recip_count', 0):
            if now > until:
                return
        else:
            until = now + mmconf.get().DELIVERY_RETRY_PERIOD
        data.update(deliver_after=now + mmconf.get().DELIVERY_RETRY_WAIT, last_recip_count=len(recips), deliver_until=until,
                    recips=recips)
        mmqueue.Switchboard('retry').enqueue(msg, data)


class RetryRunner(Runner):
    """Wakes every RETRY_SLEEP_TIME, also after work, and gives to out what is due."""
    QUEUE = 'retry'

    def dispose(self, mlist, msg, data):
        if time.time() < data.get('deliver_after', 0):
            return True
        mmqueue.Switchboard('out').enqueue(msg, data)
        return False

    def snooze(self, done):
        mmconf.nap(mmconf.get().RETRY_SLEEP_TIME)


RUNNERS = {kind.__name__: kind for kind in (IncomingRunner, VirginRunner, ArchRunner, NewsRunner, CommandRunner, BounceRunner,
                                            OutgoingRunner, RetryRunner)}
