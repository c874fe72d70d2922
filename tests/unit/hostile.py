# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that somebody has left in the place of ours, and whether a program has changed anything for them."""
import os
import shutil
import stat

PRECIOUS = "understudy must not change this\n"


def contents(sound):
    """What may stand in a file that is one: by name."""
    half = sound[:len(sound) // 2]
    return {"empty": b"", "torn": half, "large": sound + b"x" * (1 << 20), "zeroes": bytes(len(sound)),
            "zero-inside": half + b"\0" + half, "dots": sound.replace(b"node=", b"node=../../").replace(b"=", b"=../", 1),
            "crlf": sound.replace(b"\n", b"\r\n"), "binary": bytes(range(256)) * 4, "no-end": sound.rstrip(b"\n") or b"x"}


class Places:
    """Makes a hostile thing at a path and takes it away again; `precious` is a file that links lead to."""

    def __init__(self, folder, owner=None):
        self.folder, self.owner = folder, owner
        self.precious, self.sound = folder + "/precious", folder + "/sound"
        with open(self.precious, "w", encoding="ascii") as f:
            f.write(PRECIOUS)
        self.own(self.precious)
        try:
            os.chown(self.precious, 4321, 4321)
            os.chown(self.precious, os.geteuid(), os.getegid())
            self.others = True
        except OSError:  # a user namespace knows nobody else
            self.others = False
        self.own(self.precious)

    def own(self, path):
        if self.owner is not None and os.geteuid() == 0:
            os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def kinds(self):
        kinds = [*contents(b"a=b\nc=d\n"), "link", "link-to-sound", "dangling", "loop", "fifo", "directory", "socket", "hard-link",
                 "writable"]
        return kinds + ["wrong-owner"] if self.others else kinds

    def make(self, path, kind, sound):
        """`sound`: the bytes that would be right there."""
        if os.path.lexists(self.sound):
            os.unlink(self.sound)
        if kind in contents(b"a=b\nc=d\n") or kind in ("writable", "wrong-owner"):
            with open(path, "wb") as f:
                f.write(contents(sound).get(kind, sound))
            os.chmod(path, 0o666 if kind == "writable" else 0o644)
        elif kind == "link":
            os.symlink(self.precious, path)
        elif kind == "link-to-sound":
            with open(self.sound, "wb") as f:
                f.write(sound)
            self.own(self.sound)
            os.symlink(self.sound, path)
        elif kind == "dangling":
            os.symlink(self.folder + "/to-be-made", path)
        elif kind == "loop":
            os.symlink(path, path)
        elif kind == "fifo":
            os.mkfifo(path, 0o644)
        elif kind == "directory":
            os.mkdir(path, 0o755)
        elif kind == "socket":
            os.mknod(path, stat.S_IFSOCK | 0o644)
        elif kind == "hard-link":
            os.link(self.precious, path)
        if kind == "wrong-owner":
            os.chown(path, 4321, 4321)
        else:
            self.own(path)

    def unhurt(self):
        with open(self.precious, encoding="ascii") as f:
            assert f.read() == PRECIOUS, "the file that a link leads to has changed"
        assert not os.path.exists(self.folder + "/to-be-made"), "a dangling link was written through"


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def tree(*tops):
    """Everything below, with what it is and holds, so that two looks can be compared."""
    found = {}
    for top in tops:
        for folder, dirs, files in os.walk(top):
            for name in dirs + files:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                what = os.readlink(path) if stat.S_ISLNK(st.st_mode) else ""
                if stat.S_ISREG(st.st_mode):
                    with open(path, "rb") as f:
                        what = f.read()
                found[path] = (st.st_ino, st.st_mode, st.st_uid, st.st_nlink, what)
    return found


def told(what, result):
    """Refused, with a sentence on stderr and not a word on stdout."""
    code, out, err = result
    assert code not in (0, -9) and code > 0, (what, result)
    assert err.startswith("understudy") and err.endswith("\n") and len(err) < 2000 and "\0" not in err, (what, result)
    assert not out, (what, result)
