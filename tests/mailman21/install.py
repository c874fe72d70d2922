#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs the stand-in for Mailman 2.1.39 (see README) and makes its folders.

usage: install.py PREFIX VAR_PREFIX [NAME=VALUE ...]     NAME: of mm_cfg.py, VALUE: as in Python
       install.py --generation 2.0 PREFIX VAR_PREFIX ...
       install.py --list-crash-points

PREFIX gets bin/, mail/, cron/ and Mailman/; PREFIX/Mailman/mm_cfg.py is the configuration. Two hosts have their own PREFIX or share it.
As root the folders in VAR_PREFIX are given to MAILMAN_USER."""
import compileall
import grp
import os
import pwd
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import crashpoints  # noqa: E402  pylint: disable=wrong-import-position
import mmconf       # noqa: E402  pylint: disable=wrong-import-position

MODULES = ('crashpoints.py', 'mm20.py', 'mmcommands.py', 'mmconf.py', 'mmdeliver.py', 'mmlist.py', 'mmlock.py', 'mmmaster.py', 'mmqueue.py',
           'mmrunner.py', 'mmrunners.py')
PROGRAMS = {**{f'bin/{n}': n for n in ('mailmanctl', 'qrunner', 'newlist', 'list_lists', 'add_members', 'list_members', 'config_list',
                                       'unshunt', 'inject')}, 'mail/mailman': 'mailman', 'cron/qrunner': 'cron-qrunner'}
PROGRAM = '''#!{python}
# SPDX-License-Identifier: GPL-2.0-or-later
import sys
sys.dont_write_bytecode = True
sys.path[0] = {modules!r}
import mmcommands
sys.exit(mmcommands.main({name!r}, sys.argv[1:]))
'''


def write_config(prefix, settings):
    """Checks the values first: ValueError or SyntaxError if they are not understood."""
    text = ''.join(f'{name} = {value}\n' for name, value in settings.items())
    mmconf.parse(text)
    with open(os.path.join(prefix, 'Mailman', 'mm_cfg.py'), 'w', encoding='utf-8') as f:
        f.write('# SPDX-License-Identifier: GPL-2.0-or-later\n' + text)


def own(top):
    """Gives the folders to the list user, as the real installation does. Nothing if we are not root."""
    if os.geteuid():
        return
    uid, gid = pwd.getpwnam(mmconf.get().MAILMAN_USER).pw_uid, grp.getgrnam(mmconf.get().MAILMAN_GROUP).gr_gid
    for folder, _, files in os.walk(top):
        os.chown(folder, uid, gid)
        for name in files:
            os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)


def install(prefix, var, generation='2.1', **settings):
    """settings: names of mm_cfg.py with their texts, as in the file."""
    modules = os.path.join(prefix, 'Mailman')
    os.makedirs(modules, exist_ok=True)
    for path in MODULES:
        shutil.copyfile(os.path.join(HERE, path), os.path.join(modules, path))
    compileall.compile_dir(modules, quiet=1)        # each program starts the sooner
    write_config(prefix, {'PREFIX': repr(prefix), 'VAR_PREFIX': repr(var), 'GENERATION': repr(generation), **settings})
    os.environ['MAILMAN21_CFG'] = os.path.join(modules, 'mm_cfg.py')
    mmconf.get.cache_clear()
    for path, name in PROGRAMS.items():
        full = os.path.join(prefix, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as f:
            f.write(PROGRAM.format(python=mmconf.get().PYTHON, modules=modules, name=name))
        os.chmod(full, 0o755)
    mmconf.make_folders()
    own(var)


def main(args):
    if args == ['--list-crash-points']:
        crashpoints.print_points()
        return 0
    generation = '2.1'
    if args[:1] == ['--generation']:
        generation, args = args[1], args[2:]
    if len(args) < 2 or generation not in ('2.1', '2.0') or not all('=' in a for a in args[2:]):
        sys.stderr.write(__doc__)
        return 1
    install(os.path.abspath(args[0]), os.path.abspath(args[1]), generation, **dict(a.split('=', 1) for a in args[2:]))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
