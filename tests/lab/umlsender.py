#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs on a host of umlmailman21.py beside the stand-in of Mailman 2.1, as the list user and with its MAILMAN21_CFG.

usage: umlsender.py post NAME       queues what the mail exchanger sends and says when it is done, as Mailman's mail wrapper does
       umlsender.py admin COUNT     changes the list COUNT times under its lock, as its web pages do"""
import socket
import sys
import time

GATEWAY, MX_PORT = "10.78.1.254", 2600
LIST = "test"
ADMIN_PAUSE_S = 0.5


def message(number):
    return f"From: a@lab.test\nTo: {LIST}@lab.test\nSubject: {number}\nMessage-ID: <{number}@lab.test>\n\nText {number}\n"


def post(name):
    """A line NUMBER comes, and `NUMBER queued` or `NUMBER bounced` goes."""
    import mmlist       # pylint: disable=import-outside-toplevel,import-error
    import mmqueue      # pylint: disable=import-outside-toplevel,import-error
    with socket.create_connection((GATEWAY, MX_PORT)) as sock, sock.makefile("rw", encoding="ascii") as stream:
        stream.write(name + "\n")
        stream.flush()
        for line in stream:
            number = int(line)
            exists = mmlist.list_exists(LIST)       # else the mail exchanger's answer is a bounce
            if exists:
                mmqueue.Switchboard("in").enqueue(message(number).encode(), listname=LIST, tolist=1, _plaintext=True)
            stream.write(f"{number} {'queued' if exists else 'bounced'}\n")
            stream.flush()


def admin(count):
    """Says each one that is saved."""
    import mmlist       # pylint: disable=import-outside-toplevel,import-error
    changed = 0
    mlist = mmlist.MailList(LIST)
    while changed < count:
        mlist.lock()
        try:
            mlist.changes = getattr(mlist, "changes", 0) + 1
            mlist.save()
        finally:
            mlist.unlock()
        changed += 1
        print(changed, flush=True)
        time.sleep(ADMIN_PAUSE_S)


if __name__ == "__main__":
    {"post": post, "admin": lambda count: admin(int(count))}[sys.argv[1]](sys.argv[2])
