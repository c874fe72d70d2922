# SPDX-License-Identifier: GPL-2.0-or-later
"""Who opened or named what, out of a log of strace: each call with the file system user that made it."""
import os
import re

OPTIONS = ["-f", "-y", "-s", "4096", "-e", "trace=%file,clone,clone3,fork,vfork,setuid,setreuid,setresuid,setfsuid"]
LINE = re.compile(r"^(?:(\d+) +)?(.*)$")
RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
FORKED = re.compile(r"^(?:clone3?|v?fork)\(.*\) = (\d+)")
USER = {"setuid": 0, "setreuid": 1, "setresuid": 1, "setfsuid": 0}      # which argument the file system user follows
IDENTITY = re.compile(r"^(setuid|setreuid|setresuid|setfsuid)\(([^)]*)\) += \d")
AT = re.compile(r'(?:(\d+)<([^>]*)>|AT_FDCWD<([^>]*)>), "((?:[^"\\]|\\.)*)"')
ABSOLUTE = re.compile(r'"(/(?:[^"\\]|\\.)*)"')
RESULT = re.compile(r"\) = \d+<(/[^>]*)>")


def calls(text):
    """(pid, call) of each whole call, in the order of their ends."""
    begun = {}
    for line in text.splitlines():
        found = LINE.match(line)
        pid, rest = int(found[1] or 0), found[2]            # without -f there is one process
        resumed = RESUMED.match(rest)
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
        else:
            yield pid, begun.pop(pid, "") + resumed[1] if resumed else rest


def paths(call):
    """Every path that a call names, and the one that it got, links resolved."""
    found = [os.path.join(a or b, name) for _, a, b, name in AT.findall(call)]
    return {os.path.normpath(p) for p in found + ABSOLUTE.findall(call) + RESULT.findall(call)}


def below(text, tops, user):
    """{file system user: calls} of those that reached one of `tops` or something below; the first process begins as `user`."""
    parents = {int(m[1]): pid for pid, call in calls(text) if (m := FORKED.match(call))}
    users, reached = {}, {}
    for pid, call in calls(text):
        if pid not in users:
            users[pid] = users.get(parents.get(pid), user)
        identity = IDENTITY.match(call)
        if identity:
            number = identity[2].split(", ")[USER[identity[1]]]
            users[pid] = users[pid] if number == "-1" else int(number)
        if any(p == top or p.startswith(top + "/") for p in paths(call) for top in tops):
            reached.setdefault(users[pid], []).append(call)
    return reached
