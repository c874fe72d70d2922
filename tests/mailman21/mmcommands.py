# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs in bin/ and mail/: posting, and what makes and changes lists. main(NAME, ARGUMENTS) returns the exit code."""
import ast
import email
import getopt
import sys
import traceback

import crashpoints
import mm20
import mmconf
import mmlist
import mmmaster
import mmqueue
import mmrunner
import mmrunners

# Word of the mail wrapper -> queue and mark of the entry. request, join and leave are one thing here.
MAIL_COMMANDS = {'post': ('in', 'tolist'), 'owner': ('in', 'toowner'), 'bounces': ('bounces', 'tobounces'),
                 'request': ('commands', 'torequest'), 'join': ('commands', 'tojoin'), 'leave': ('commands', 'toleave')}


def complain(text, code=1):
    print(text, file=sys.stderr, flush=True)
    return code


def mail_wrapper(args):
    """mail/mailman COMMAND LIST < message. 0 once the entry is in the queue under its name; 1: no such list (for good);
    POST_FAILURE_STATUS (75, EX_TEMPFAIL): it could not be queued, try again."""
    if len(args) != 2 or args[0] not in MAIL_COMMANDS:
        return complain('usage: mailman post|owner|bounces|request|join|leave LIST', 2)
    command, name = args
    crashpoints.set_role(command)
    try:
        if not mmlist.list_exists(name):
            return complain(f'{command} script, list not found: {name}')
        text = sys.stdin.buffer.read()
        queue, mark = MAIL_COMMANDS[command]
        if mmconf.get().GENERATION == '2.0':
            mm20.enqueue(text, listname=name, **{mark: 1})
        else:
            mmqueue.Switchboard(queue).enqueue(text, listname=name, _plaintext=True, **{mark: 1})
        return 0
    except Exception:                               # pylint: disable=broad-except
        return complain(traceback.format_exc(), mmconf.get().POST_FAILURE_STATUS)


def newlist(args):
    """newlist [-q] NAME OWNER [PASSWORD]"""
    words = [a for a in args if a != '-q']
    if len(words) < 2:
        return complain('usage: newlist [-q] NAME OWNER [PASSWORD]')
    if mmlist.list_exists(words[0]):
        return complain(f'List already exists: {words[0]}')
    mmlist.MailList(words[0], load=False).create(words[1])
    return 0


def list_lists(args):
    """list_lists [-b]: the lists that exist by their files, readable or not"""
    found = mmlist.names()
    if '-b' not in args and '--bare' not in args:
        print(f'{len(found)} matching mailing lists found:')
    for name in found:
        print(name if args else f'    {name}')
    return 0


def add_members(args):
    """add_members -r FILE|- LIST: addresses, one per line"""
    options, words = getopt.getopt(args, 'r:w:a:', ['regular-members-file=', 'welcome-msg=', 'admin-notify='])
    source = dict(options).get('-r') or dict(options).get('--regular-members-file')
    if not source or len(words) != 1:
        return complain('usage: add_members -r FILE|- LIST')
    with open(0 if source == '-' else source, encoding='utf-8') as f:
        addresses = [line.strip() for line in f if line.strip()]
    mlist = _open(words[0])
    if mlist is None:
        return complain(f'No such list: {words[0]}')
    mlist.lock()
    try:
        for address in addresses:
            print(f'Subscribed: {address}' if mlist.add_member(address) else f'Already a member: {address}')
        mlist.save()
    finally:
        mlist.unlock()
    return 0


def list_members(args):
    mlist = _open(args[0]) if len(args) == 1 else None
    if mlist is None:
        return complain(f'No such list: {" ".join(args)}')
    for address in mlist.recipients():
        print(address)
    return 0


def config_list(args):
    """config_list -i FILE LIST: lines NAME = literal are taken into the list and saved; -o FILE|- LIST: written."""
    options, words = getopt.getopt(args, 'i:o:', ['inputfile=', 'outputfile='])
    values = {o.lstrip('-')[0]: v for o, v in options}
    mlist = _open(words[0]) if len(words) == 1 and len(values) == 1 else None
    if mlist is None:
        return complain(f'No such list: {" ".join(words)}')
    if 'o' in values:
        with open(1 if values['o'] == '-' else values['o'], 'w', encoding='utf-8') as f:
            f.writelines(f'{k} = {v!r}\n' for k, v in sorted(mlist.data().items()))
        return 0
    with open(values['i'], encoding='utf-8') as f:
        new = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(f.read()).body}
    mlist.lock()
    try:
        mlist.__dict__.update({k: v for k, v in new.items() if not k.startswith('_')})
        mlist.save()
    finally:
        mlist.unlock()
    return 0


def unshunt(args):
    """unshunt [FOLDER]: each entry goes back into the queue that it was in"""
    board = mmqueue.Switchboard(args[0] if args else 'shunt')
    board.recover_backup_files()
    for base in board.files():
        try:
            msg, data = board.dequeue(base)
            mmqueue.Switchboard(data.get('whichq', 'in')).enqueue(msg, data)
        except Exception as e:                      # pylint: disable=broad-except
            complain(f'Cannot unshunt message {base}, skipping:\n{e}')
        else:
            board.finish(base)
    return 0


def inject(args):
    """inject -l LIST [-q QUEUE] [FILE]: a message into a queue as an object (protocol 1), not as the text that post writes"""
    options, words = getopt.getopt(args, 'l:q:', ['listname=', 'queue='])
    values = {o.lstrip('-')[0]: v for o, v in options}
    if 'l' not in values or not mmlist.list_exists(values['l']):
        return complain(f'No such list: {values.get("l")}')
    with open(words[0] if words else 0, 'rb') as f:
        msg = email.message_from_bytes(f.read())
    mmqueue.Switchboard(values.get('q', 'in')).enqueue(msg, listname=values['l'], tolist=1)
    return 0


def _open(name):
    try:
        return mmlist.MailList(name)
    except mmlist.ListError:
        return None


def qrunner(args):
    return mmrunner.main(args, mmrunners.RUNNERS)


COMMANDS = {'mailmanctl': mmmaster.main, 'qrunner': qrunner, 'mailman': mail_wrapper, 'newlist': newlist, 'list_lists': list_lists,
            'add_members': add_members, 'list_members': list_members, 'config_list': config_list, 'unshunt': unshunt, 'inject': inject,
            'cron-qrunner': mm20.main}


def main(name, args):
    if args == ['--list-crash-points']:
        crashpoints.print_points()
        return 0
    crashpoints.set_role(name)
    return COMMANDS[name](args)
