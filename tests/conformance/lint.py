#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The house rules as a program: licence lines, lengths, banned calls, includes, headers that stand alone.

usage: lint.py [TOP]    prints file:line: what; exit 1 if anything was found.
An exemption is a line `FILE NAME LIMIT  reason` in lint.exempt; one that is no longer needed is an error too.
"""
import os
import re
import subprocess
import sys

FILE_LIMIT, FUNCTION_LIMIT = 400, 40
SKIP_FILES = {'configure', 'configure~', 'config.h.in', 'Makefile.in', 'aclocal.m4'}  # generated
SKIP_DIRS = {'.git', 'build', 'build-aux', 'autom4te.cache', '__pycache__', '.pytest_cache'}
TEXT = ('.c', '.h', '.py', '.sh', '.mk', '.am', '.ac', '.conf', '.in')
BANNED = {
    'strcpy': 'snprintf or memcpy with a checked length', 'strcat': 'snprintf', 'sprintf': 'snprintf',
    'vsprintf': 'vsnprintf', 'gets': 'a bounded read', 'strtok': 'strsep or a parser', 'atoi': 'num.h', 'atol': 'num.h',
    'strtol': 'num.h', 'strtoul': 'num.h', 'system': 'posix_spawn of a fixed program', 'popen': 'posix_spawn',
    'alloca': 'a bounded array', 'sleep': 'a deadline in poll or the loop', 'usleep': 'a deadline in poll or the loop',
    'mktemp': 'O_EXCL with a random name', 'tmpnam': 'O_EXCL with a random name', 'gettimeofday': 'clock.h',
}
# Foreign libraries, by include: at most one of them in a file.
LIBRARIES = {'corosync/cpg.h': 'cpg', 'corosync/votequorum.h': 'votequorum', 'corosync/cmap.h': 'cmap', 'qb/': 'libqb',
             'jansson.h': 'jansson', 'ini_config': 'ini_config', 'libmnl/': 'libmnl', 'ndp.h': 'libndp', 'libxml/': 'libxml2', 'curl/': 'libcurl',
             'systemd/': 'libsystemd', 'fuse.h': 'libfuse'}
# qb/qbdefs.h has no more than macros; it does not count as an adapter's library.
NEUTRAL = ('qb/qbdefs.h',)
NUM_OWNER = 'agent/common/num.c'


def tracked(top):
    for folder, dirs, files in os.walk(top):
        dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS and not d.startswith('build-'))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name not in SKIP_FILES and not os.path.islink(path):
                yield os.path.relpath(path, top)


def exemptions(top):
    table = {}
    try:
        with open(os.path.join(top, 'tests/conformance/lint.exempt'), encoding='utf-8') as f:
            for line in f:
                fields = line.split(None, 3)
                if line.strip() and not line.startswith('#') and len(fields) == 4:
                    table[(fields[0], fields[1])] = int(fields[2])
    except FileNotFoundError:
        pass
    return table


class Lint:
    def __init__(self, top):
        self.top, self.found, self.exempt, self.used = top, [], exemptions(top), set()

    def say(self, path, line, what):
        self.found.append(f'{path}:{line}: {what}')

    def limit(self, path, name, line, length, limit, what):
        allowed = self.exempt.get((path, name))
        if length <= limit:
            return
        if allowed is not None and length <= allowed:
            self.used.add((path, name))
            return
        self.say(path, line, f'{what} has {length} lines; the limit is {allowed or limit}: split it')

    def licence(self, path, lines):
        head = lines[:3]
        if not any('SPDX-License-Identifier: GPL-2.0-or-later' in x for x in head):
            self.say(path, 1, 'no SPDX-License-Identifier: GPL-2.0-or-later in the first lines')

    def c_file(self, path, lines):
        libraries = set()
        start, name = 0, ''
        for number, line in enumerate(lines, 1):
            code = re.sub(r'"(\\.|[^"\\])*"', '""', line.split('//')[0])
            if re.match(r'\s*(/?\*)', line):
                code = ''
            include = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if include and not include.group(1).startswith(NEUTRAL):
                libraries |= {lib for key, lib in LIBRARIES.items() if include.group(1).startswith(key)}
            for call in re.findall(r'(?<![\w.>])([a-z]+)\s*\(', code):
                if call in BANNED and not (BANNED[call] == 'num.h' and path == NUM_OWNER) and path.startswith(
                        ('agent/', 'resource/', 'fencing/')):
                    self.say(path, number, f'{call}() is banned: use {BANNED[call]}')
            if len(line) > 132:
                self.say(path, number, f'line of {len(line)} columns; the limit is 132')
            if line == '{':
                start = number
                head = ' '.join(lines[max(0, number - 4):number - 1])
                names = re.findall(r'(\w+)\s*\(', head)
                name = names[0] if names else '?'
                for found in re.findall(r'(?:^|[;}/])\s*[\w\s\*]*?(\w+)\s*\((?!.*;)', head):
                    name = found
            elif line == '}' and start:
                self.limit(path, name, start, number - start + 1, FUNCTION_LIMIT, f'function {name}')
                start = 0
        if len(libraries) > 1 and path.startswith(('agent/', 'resource/')):
            self.say(path, 1, f'uses several foreign libraries ({", ".join(sorted(libraries))}): one adapter file each')

    def headers_alone(self):
        for path in tracked(self.top):
            if path.endswith('.h') and path.startswith(('agent/', 'resource/')):
                command = ['gcc', '-std=c17', '-D_GNU_SOURCE', '-fsyntax-only', '-I', os.path.join(self.top, 'agent'),
                           '-I', self.top, '-x', 'c', os.path.join(self.top, path)]
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                if run.returncode:
                    self.say(path, 1, 'does not compile alone: ' + run.stderr.strip().splitlines()[0])

    def shell(self):
        scripts = []
        for path in tracked(self.top):
            try:
                with open(os.path.join(self.top, path), 'rb') as f:
                    head = f.readline()
            except OSError:
                continue
            if re.match(rb'#!.*\b(ba)?sh\b', head) or path == 'deploy/common.sh':
                scripts.append(path)
        if scripts:
            run = subprocess.run(['shellcheck', '-x', '-f', 'gcc'] + scripts, cwd=self.top, capture_output=True, text=True,
                                 check=False)
            self.found += run.stdout.splitlines()

    def run(self):
        for path in tracked(self.top):
            full = os.path.join(self.top, path)
            if path.endswith(('.c', '.h', '.py', '.sh', '.mk', '.am', '.ac')) or os.access(full, os.X_OK):
                with open(full, encoding='utf-8', errors='replace') as f:
                    lines = f.read().split('\n')
                self.licence(path, lines)
                if path.endswith(('.c', '.h', '.py', '.sh')):
                    self.limit(path, '-', 1, len(lines) - 1, FILE_LIMIT, 'the file')
                if path.endswith(('.c', '.h')):
                    self.c_file(path, lines)
        self.headers_alone()
        self.shell()
        for key in sorted(set(self.exempt) - self.used):
            self.say('tests/conformance/lint.exempt', 1, f'the exemption of {key[0]} {key[1]} is not needed any more')
        for line in self.found:
            print(line)
        print(f'lint: {len(self.found)} found')
        return 1 if self.found else 0


if __name__ == '__main__':
    sys.exit(Lint(os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else '.')).run())
