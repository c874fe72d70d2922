# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a message: the pipeline of a post, and the hand-over to the relay by SMTP."""
import os
import smtplib
import time

import mmconf
import mmqueue
from crashpoints import step, write

PIPELINE = ['CookHeaders', 'CalcRecips', 'ToArchive', 'ToUsenet', 'AfterDelivery', 'ToOutgoing']
VIRGIN_PIPELINE = ['CookHeaders', 'ToOutgoing']


class SomeRecipientsFailed(Exception):
    """Recipients that the relay refused for good, and those to be tried later."""

    def __init__(self, permanent, temporary):
        super().__init__(permanent, temporary)
        self.permanent, self.temporary = permanent, temporary


def cook_headers(mlist, msg, _data):
    for name, value in (('X-BeenThere', mlist.address()), ('X-Mailman-Version', '2.1.39'), ('Precedence', 'list'),
                        ('List-Id', f'<{mlist.name()}.{mlist.host_name}>'), ('Sender', f'"{mlist.real_name}" <{mlist.address("bounces")}>')):
        del msg[name]
        msg[name] = value


def calc_recips(mlist, _msg, data):
    data.setdefault('recips', mlist.recipients())


def to_archive(mlist, msg, data):
    if mlist.archive:
        mmqueue.Switchboard('archive').enqueue(msg, data)


def to_usenet(mlist, msg, data):
    if getattr(mlist, 'gateway_to_news', 0):
        mmqueue.Switchboard('news').enqueue(msg, data)


def after_delivery(mlist, _msg, _data):
    mlist.last_post_time = time.time()
    mlist.post_id += 1


def to_outgoing(mlist, msg, data):
    mmqueue.Switchboard('out').enqueue(msg, data, listname=mlist.name())


HANDLERS = {'CookHeaders': cook_headers, 'CalcRecips': calc_recips, 'ToArchive': to_archive, 'ToUsenet': to_usenet,
            'AfterDelivery': after_delivery, 'ToOutgoing': to_outgoing}


def run_pipeline(mlist, msg, data, pipeline):
    """What is left of it stays in data['pipeline'] if a handler raises, so that unshunt goes on there."""
    left = data['pipeline'] = list(data.get('pipeline') or pipeline)
    while left:
        HANDLERS[left[0]](mlist, msg, data)
        left.pop(0)
    del data['pipeline']


def append_to_mbox(mlist, msg):
    folder = mmconf.var('archives', 'private', mlist.name() + '.mbox')
    os.makedirs(folder, mode=0o2775, exist_ok=True)
    text = msg.as_bytes(unixfrom=True).rstrip(b'\n') + b'\n\n'
    with open(os.path.join(folder, mlist.name() + '.mbox'), 'ab') as f:
        write('archive.append', f, text)


def _transaction(connection, sender, chunk, text):
    """Refused recipients with (code, text). What goes wrong below SMTP refuses all of them for now, code -1."""
    cfg = mmconf.get()
    try:
        if connection.sock is None:
            connection.connect(cfg.SMTPHOST, cfg.SMTPPORT)
        return connection.sendmail(sender, chunk, text)
    except smtplib.SMTPRecipientsRefused as e:
        return e.recipients
    except smtplib.SMTPResponseException as e:
        return {r: (e.smtp_code, e.smtp_error) for r in chunk}
    except (OSError, smtplib.SMTPException) as e:
        mmconf.log('smtp-failure', f'Low level smtp error: {e}')
        return {r: (-1, str(e)) for r in chunk}


def deliver(mlist, msg, data):
    """Chunks of SMTP_MAX_RCPTS, one connection. SomeRecipientsFailed after all chunks were tried."""
    recips, size = sorted(data.get('recips', [])), mmconf.get().SMTP_MAX_RCPTS
    refused, begin = {}, time.time()
    connection = smtplib.SMTP(timeout=300)
    text = msg.as_bytes()
    try:
        for first in range(0, len(recips), size):
            with step('deliver.chunk'):
                refused.update(_transaction(connection, mlist.address('bounces'), recips[first:first + size], text))
    finally:
        connection.close()
    mmconf.log('smtp', f'{msg.get("message-id")} smtp to {mlist.name()} for {len(recips)} recips, completed in '
                       f'{time.time() - begin:.3f} seconds')
    if refused:
        permanent = [r for r, (code, _) in refused.items() if code >= 500 and code != 552]
        raise SomeRecipientsFailed(permanent, [r for r in refused if r not in permanent])
