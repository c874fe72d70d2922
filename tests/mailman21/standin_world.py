# SPDX-License-Identifier: GPL-2.0-or-later
"""For the tests of the stand-in: one VAR_PREFIX, hosts over it that differ by their name (a UTS namespace each), a relay that writes
down what it gets, and the end of everything that was started."""
import collections
import ctypes
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'unit')]

import install   # noqa: E402  pylint: disable=wrong-import-position
import mmconf    # noqa: E402  pylint: disable=wrong-import-position
import program   # noqa: E402  pylint: disable=wrong-import-position

FAST = {'QRUNNER_SLEEP_TIME': '0.1', 'LIST_LOCK_TIMEOUT': '1', 'CLOCK_SLOP': '1', 'MAILMAN_SITE_LIST': "'mailman'"}
UNSHARE = ['unshare', '-u'] if os.geteuid() == 0 else ['unshare', '-Uru']
PR_SET_CHILD_SUBREAPER = 36
ENTRY = re.compile(r'^[0-9]+\.[0-9]+(e[-+]?[0-9]+)?\+[0-9a-f]{40}\.(pck|bak|psv)$')


def need_namespaces():
    if subprocess.run(UNSHARE + ['true'], stderr=subprocess.DEVNULL, check=False).returncode:
        print('1..0 # SKIP no UTS namespace can be made here')
        sys.exit(0)


def wait_for(what, seconds=30, text=''):
    """Polls; the value as soon as it is true. AssertionError after `seconds`."""
    until = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > until:
            raise AssertionError(f'not within {seconds} s: {text or what}')
        time.sleep(0.02)
    return value


class _Session(socketserver.StreamRequestHandler):
    def handle(self):
        relay, recipients = self.server.relay, []
        self.answer('220 relay')
        for line in self.rfile:
            word = line.strip().upper().decode()
            if word.startswith('RCPT'):
                address = re.search(rb'<(.*)>', line).group(1).decode()
                code = relay.refuse.get(address)
                if not code:
                    recipients.append(address)
                self.answer(f'{code} no' if code else '250 ok')
            elif word.startswith('DATA'):
                self.answer('354 go on')
                text = b''.join(iter(self.rfile.readline, b'.\r\n'))
                relay.take(recipients, re.search(rb'(?im)^message-id: *(\S+)|\Z', text).group(1) or b'')
                self.answer('250 ok')
            elif word.startswith('QUIT'):
                self.answer('221 bye')
                return
            else:
                recipients = [] if word.startswith(('MAIL', 'RSET')) else recipients
                self.answer('250 relay')

    def answer(self, text):
        self.wfile.write(text.encode() + b'\r\n')


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):      # a client that was killed is no news
            super().handle_error(request, client_address)


class Relay:
    """delay: seconds within DATA. refuse: address -> code. got counts (message, recipient) pairs. LISTENER: a socket that is bound."""

    def __init__(self, listener=None):
        self.got, self.delay, self.refuse, self.messages = collections.Counter(), 0, {}, 0
        self.server = _Server(('127.0.0.1', 0), _Session, bind_and_activate=not listener)
        if listener:
            self.server.socket.close()
            self.server.socket, self.server.server_address = listener, listener.getsockname()
            self.server.server_activate()
        self.server.relay, self.port = self, self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, recipients, message_id):
        self.messages += 1                          # it has it, even if the client never hears so
        self.got.update((message_id.decode(), r) for r in recipients)
        time.sleep(self.delay)

    def duplicates(self):
        """Messages that somebody got twice or more often."""
        return {m for (m, _), count in self.got.items() if count > 1}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class World:
    """hosts() are made at first use; settings are those of mm_cfg.py."""

    def __init__(self, lists=('mailman', 'test'), generation='2.1', **settings):
        self.top = tempfile.mkdtemp(prefix='understudy-mailman21.')
        os.chmod(self.top, 0o755)
        self.var = os.path.join(self.top, 'var')
        self.relay = Relay()
        self.settings = {**FAST, 'SMTPHOST': "'127.0.0.1'", 'SMTPPORT': str(self.relay.port), **settings}
        self.lists, self.generation, self.hosts = lists, generation, set()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __enter__(self):
        self.host('nodea')
        for name in self.lists:
            self.ok('nodea', 'bin/newlist', '-q', name, 'owner@lab.test', 'secret')
            self.ok('nodea', 'bin/add_members', '-r', '-', name, stdin='r1@lab.test\nr2@lab.test\n')
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            self.power_off(host)
        self.relay.close()
        shutil.rmtree(self.top)

    def host(self, name):
        """The folder of a host's programs."""
        folder = os.path.join(self.top, name)
        if name not in self.hosts:
            install.install(folder, self.var, self.generation, **self.settings)
            install.own(self.var)
            self.hosts.add(name)
        return folder

    def run(self, host, path, *args, stdin='', **environment):
        """(code, stdout, stderr) of a program on a host."""
        command = UNSHARE + ['sh', '-c', 'hostname "$0" && exec "$@"', host, os.path.join(self.host(host), path), *args]
        env = {k: v for k, v in os.environ.items() if not k.startswith('MAILMAN21_')}
        env.update(MAILMAN21_CFG=os.path.join(self.host(host), 'Mailman', 'mm_cfg.py'), **environment)
        with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:      # what it leaves behind may keep them open
            code = subprocess.run(command, input=stdin, stdout=out, stderr=err, text=True, timeout=60, check=False, env=env).returncode
            out.seek(0)
            err.seek(0)
            return code, out.read(), err.read()

    def ok(self, host, path, *args, **more):
        code, out, err = self.run(host, path, *args, **more)
        program.eq((code, err), (0, ''), f'{path} {args}')
        return out

    # Mailman on a host. -u: the tests may be run by anybody.

    def start(self, host, *options, **environment):
        return self.run(host, 'bin/mailmanctl', '-u', *options, 'start', **environment)

    def started(self, host, **environment):
        program.eq(self.start(host, **environment), (0, "Warning!  You may encounter permission problems.\n"
                                                        "Starting Mailman's master qrunner.\n", ''), 'start')
        wait_for(lambda: len(self.at_work(host)) == 8, text='eight runners at work')

    def stopped(self, host):
        self.ok(host, 'bin/mailmanctl', '-u', '-q', 'stop')
        wait_for(lambda: not self.processes(host), text='no process after stop')

    def post(self, first, count=1, host='nodea', listname='test'):
        for n in range(first, first + count):
            self.ok(host, 'mail/mailman', 'post', listname, stdin=message(n))

    def enqueue(self, first, count, listname='test', queue='in'):
        """Like post, from this process: quick."""
        import mmqueue  # pylint: disable=import-outside-toplevel
        self.here()
        for n in range(first, first + count):
            mmqueue.Switchboard(queue).enqueue(message(n).encode(), listname=listname, tolist=1, _plaintext=True)

    def here(self, host='nodea'):
        """Makes this process one of the installation, for calls of the modules."""
        os.environ['MAILMAN21_CFG'] = os.path.join(self.host(host), 'Mailman', 'mm_cfg.py')
        mmconf.get.cache_clear()

    # What is there.

    def processes(self, host):
        """pid -> command line of what runs from the host's folder; ended children are reaped."""
        self.reap()
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', encoding='utf-8', errors='replace') as f:
                    line = f.read().replace('\0', ' ').strip()
            except OSError:
                continue
            if os.path.join(self.top, host) + '/' in line:
                found[int(pid)] = line
        return found

    @staticmethod
    def reap():
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def runners(self, host):
        """name -> pid"""
        return {m.group(1): pid for pid, line in self.processes(host).items() if (m := re.search(r'--runner=(\w+):', line))}

    def at_work(self, host):
        """Those of them that are in their loop and know what to do at a signal."""
        log = self.read('logs/qrunner')
        return {name for name, pid in self.runners(host).items() if f'({pid}) {name} qrunner started.' in log}

    def master(self, host):
        return [pid for pid, line in self.processes(host).items() if 'mailmanctl' in line]

    def power_off(self, host):
        """SIGKILL to all of the host at one moment, as far as that can be had; and their numbers are free afterwards."""
        killed = set()
        while pids := self.processes(host):
            killed.update(pids)
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
            time.sleep(0.01)
        wait_for(lambda: (self.reap(), not any(os.path.exists(f'/proc/{pid}') for pid in killed))[1], text='all of them reaped')

    def ls(self, folder):
        return sorted(os.listdir(os.path.join(self.var, folder)))

    def queue(self, name, ext='.pck'):
        return [n for n in self.ls(f'qfiles/{name}') if n.endswith(ext)]

    def clear_locks(self, host):
        """As an agent does after fencing: every lock and claim file of the host goes."""
        for name in self.ls('locks'):
            path = os.path.join(self.var, 'locks', name)
            with open(path, encoding='utf-8') as f:
                if f'.{host}.' in f.read():
                    os.unlink(path)

    def read(self, *parts):
        """The text of a file, '' if there is none."""
        try:
            with open(os.path.join(self.var, *parts), encoding='utf-8') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def idle(self):
        return not any(self.queue(q, ext) for q in ('in', 'out', 'archive', 'virgin') for ext in ('.pck', '.bak'))


def message(number):
    return f'From: a@lab.test\nTo: test@lab.test\nSubject: {number}\nMessage-ID: <{number}@lab.test>\n\nText {number}\n'


def wanted(first, count, recipients=('r1@lab.test', 'r2@lab.test')):
    return {(f'<{n}@lab.test>', r) for n in range(first, first + count) for r in recipients}
