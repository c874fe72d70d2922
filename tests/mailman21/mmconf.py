# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration, paths and logs. mm_cfg.py is lines `NAME = literal` in the syntax of Python, as in Mailman 2.1; it is read, not
run. Names that Mailman has mean what they mean there; those that only the stand-in has are marked in DEFAULTS."""
import ast
import functools
import os
import select
import signal
import socket
import sys
import time
import types

HOUR, DAY = 3600, 86400
QUEUES = ('in', 'out', 'virgin', 'archive', 'bounces', 'commands', 'news', 'retry', 'shunt', 'bad')
FOLDERS = ('locks', 'data', 'logs', 'lists', 'qfiles', 'archives/private') + tuple(f'qfiles/{q}' for q in QUEUES)

DEFAULTS = {
    'PREFIX': '', 'VAR_PREFIX': '', 'PYTHON': '/usr/bin/python3',
    'MAILMAN_USER': 'list', 'MAILMAN_GROUP': 'list', 'MAILMAN_SITE_LIST': 'mailman', 'DEFAULT_EMAIL_HOST': 'lab.test',
    'SMTPHOST': 'localhost', 'SMTPPORT': 25, 'SMTP_MAX_RCPTS': 500,
    'QRUNNERS': [('ArchRunner', 1), ('BounceRunner', 1), ('CommandRunner', 1), ('IncomingRunner', 1), ('NewsRunner', 1),
                 ('OutgoingRunner', 1), ('VirginRunner', 1), ('RetryRunner', 1)],
    'QRUNNER_SLEEP_TIME': 1, 'DELIVERY_RETRY_PERIOD': 5 * DAY, 'DELIVERY_RETRY_WAIT': 1 * HOUR,
    'REGISTER_BOUNCES_EVERY': 900, 'LIST_LOCK_LIFETIME': 5 * HOUR, 'LIST_LOCK_TIMEOUT': 10, 'SYNC_AFTER_WRITE': False,
    'QRUNNER_LOCK_LIFETIME': 10 * HOUR, 'QRUNNER_PROCESS_LIFETIME': 900, 'QRUNNER_MAX_MESSAGES': 300,
    # Constants inside Mailman's programs, settable here.
    'DEFAULT_LOCK_LIFETIME': 15, 'CLOCK_SLOP': 10, 'MASTER_LOCK_LIFETIME': 30 * HOUR, 'MASTER_LOCK_REFRESH': 24 * HOUR,
    'MAX_RESTARTS': 10, 'RETRY_SLEEP_TIME': 900,
    # Of the stand-in only. TIME_FACTOR: by it are multiplied the times of LONG.
    'TIME_FACTOR': 1.0, 'GENERATION': '2.1', 'ORPHANS': 'keep', 'POST_FAILURE_STATUS': 75,
}
LONG = ('LIST_LOCK_LIFETIME', 'QRUNNER_LOCK_LIFETIME', 'MASTER_LOCK_LIFETIME', 'MASTER_LOCK_REFRESH')


def parse(text, where='mm_cfg.py'):
    """The values of a configuration, defaults filled in. SyntaxError or ValueError name what is not understood."""
    values = dict(DEFAULTS)
    for node in ast.parse(text, where).body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            raise ValueError(f'{where}:{node.lineno}: not NAME = value')
        name = node.targets[0].id
        if name not in DEFAULTS:
            raise ValueError(f'{where}:{node.lineno}: no such name: {name}')
        values[name] = ast.literal_eval(node.value)
    if not values['VAR_PREFIX']:
        raise ValueError(f'{where}: VAR_PREFIX is missing')
    for name in LONG:
        values[name] *= values['TIME_FACTOR']
    return types.SimpleNamespace(**values)


@functools.lru_cache(maxsize=None)
def get():
    """The configuration of this process: of the file MAILMAN21_CFG, else mm_cfg.py beside this module."""
    path = os.environ.get('MAILMAN21_CFG') or os.path.join(os.path.dirname(os.path.abspath(__file__)), 'mm_cfg.py')
    with open(path, encoding='utf-8') as f:
        return parse(f.read(), path)


def var(*parts):
    return os.path.join(get().VAR_PREFIX, *parts)


def queue_dir(name):
    """The folder of a queue by its short name; a path (whichq of a shunted entry) as it is."""
    return name if os.path.isabs(name) else var('qfiles', name)


def make_folders():
    for name in FOLDERS:
        os.makedirs(var(name), mode=0o2775, exist_ok=True)


def hostname():
    """As Mailman 2.1 has it: never the full name, unless the machine's name is one."""
    return socket.gethostname()


def log(name, text):
    line = f'{time.strftime("%b %d %H:%M:%S %Y")} ({os.getpid()}) {text}\n'
    mask = os.umask(0o002)
    try:
        with open(var('logs', name), 'a', encoding='utf-8', errors='backslashreplace') as f:
            f.write(line)
    except OSError:
        sys.stderr.write(line)
    finally:
        os.umask(mask)


class _Wakeup:
    """A pipe that any caught signal writes to, so that a nap ends early as it does in Python 2."""
    reader = None


def install_wakeup():
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _Wakeup.reader = reader


def nap(seconds):
    """Sleeps, at most until the next signal."""
    if _Wakeup.reader is None:
        time.sleep(max(0, seconds))
        return
    if select.select([_Wakeup.reader], [], [], max(0, seconds))[0]:
        try:
            os.read(_Wakeup.reader, 4096)
        except BlockingIOError:
            pass
