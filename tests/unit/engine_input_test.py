#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# pylint: disable=wrong-import-position
"""Bad input to the real engine process: messages of other versions, bent and forged ones, another configuration, requests
of who has no rights, requests that are none. Nothing moves for it, and an operator sees why."""
import ctypes
import json
import os
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from engine_fake import CPG_IN, MEMBERS  # noqa: E402
from engine_lib import CLI, CONFIG, ask, cli_as, main, peer_active, test, world  # noqa: E402

DIGESTS = 80  # where the digests begin in a message, behind their number: see cpgmsg.c
SAFETY = ["name", "service", "control_share", "nodes", "fence", "beat_interval", "share_deadline", "share_patience",
          "claim_patience", "drain", "power_wait", "stop_timeout", "permit_timeout", "ip", "user", "config", "lock_dir",
          "queue_dir", "runners", "lmtp_host", "insecure_cluster", "generation", "prefix", "list_dir"]


def say(w, raw, sender=2):
    def fill(u):
        u.cpg.sender, u.cpg.len = sender, len(raw)
        ctypes.memmove(u.cpg.data, bytes(raw), min(len(raw), 512))
    w.send(w.me, CPG_IN, fill)


def good(w):
    return w.rewrite(bytearray(w.cpg))


def put(raw, at, form, value):
    struct.pack_into(form, raw, at, value)
    return raw


def with_peer(name):
    """b is in the ring, and what it says is the test's own. It is not fenced for its silence while the test runs."""
    w = world(name, members=[1, 2], share="hang", config=CONFIG.replace("claim_patience = 2s", "claim_patience = 60s"))
    w.members_send()
    w.until(lambda: w.cpg is not None and w.state() == "passive" and other(w)["in_ring"])
    w.share = "ok"
    w.until(lambda: status(w)["share"]["state"] == "ok")
    return w


def status(w):
    """As it is now; the snapshot is up to a second old."""
    code, out, err = ask(w, "--json", "status")
    assert code == 0, err
    return json.loads(out)


def other(w):
    return status(w)["nodes"][1]


def reasons(w):
    return {y["reason"] for y in status(w)["why"]}


def counting(w, n):
    raw = (put(good(w), DIGESTS - 4, "<I", n) + bytes(512))[:DIGESTS + 4 * n]
    return put(raw, 6, "<H", len(raw))


BENT = [
    ("version", "of another version of understudy", lambda w: put(good(w), 4, "<H", 2)),
    ("version", "of another version of understudy", lambda w: put(good(w), 4, "<H", 0)),
    ("version", "of another version of understudy", lambda w: put(good(w), 4, "<H", 2) + b"new field"),
    ("malformed", "not to be read", lambda w: good(w)[:-1]),
    ("malformed", "not to be read", lambda w: good(w) + b"x"),
    ("malformed", "not to be read", lambda w: good(w)[:10]),
    ("malformed", "not to be read", lambda w: b""),
    ("malformed", "not to be read", lambda w: put(good(w) + bytes(512), 6, "<H", 512)[:512]),
    ("malformed", "not to be read", lambda w: put(good(w), DIGESTS - 4, "<I", 0xffffffff)),
    ("malformed", "not to be read", lambda w: counting(w, 25)),  # more than there is room for, and whole
    ("malformed", "not to be read", lambda w: counting(w, 108)),
    ("malformed", "not to be read", lambda w: b"GET / HTTP/1.0\r\n\r\n" + bytes(100)),
    ("cluster", "of another cluster name", lambda w: put(good(w), 8, "<Q", 1)),
    ("sender", "not whom it says", lambda w: put(good(w), 16, "<I", 1)),
    ("sender", "not whom it says", lambda w: put(good(w), 16, "<I", 77)),
]


@test
def a_bent_message_is_no_message_and_an_operator_sees_why():
    w = with_peer("bent")
    try:
        for kind, words, make in BENT:
            before = other(w)["ignored"][kind]
            say(w, make(w))
            w.until(lambda k=kind, n=before: other(w)["ignored"][k] > n, 3)
            assert other(w)["ignored"]["last"].startswith(words) or words in other(w)["ignored"]["last"], other(w)
            assert other(w)["heard"] is False and other(w)["boot"] is None, other(w)
        w.pause(0.3)
        assert "peer-not-heard" in reasons(w) and "epoch-claim" not in w.jobs(), status(w)["why"]
        assert sum(v for v in other(w)["ignored"].values() if isinstance(v, int)) >= len(BENT)
        code, out, _ = ask(w, "status")
        assert code == 0 and "MESSAGES OF IT ARE IGNORED: of a sender that is not configured or is not whom" in out, out
        say(w, put(good(w), 4, "<H", 2))
        w.until(lambda: "another version" in other(w)["ignored_why"])
        code, out, _ = ask(w, "explain")
        assert code == 0 and "messages of node b are ignored: of another version of understudy; install the same" in \
            " ".join(out.split()), out
        assert w.log().count("messages of node id 2 are ignored") == 4, w.log()  # once a kind
        w.peer_alive = True  # and it was that alone
        w.until(lambda: "epoch-claim" in w.jobs())
    finally:
        w.close()


@test
def unknown_senders_are_counted_and_shown():
    w = with_peer("strangers")
    try:
        for raw in (good(w), put(good(w), 16, "<I", 77), b"x"):
            say(w, raw, sender=77)
        w.until(lambda: status(w)["corosync"]["strangers"]["sender"] == 2 and
                status(w)["corosync"]["strangers"]["malformed"] == 1)
        code, out, _ = ask(w, "status")
        assert code == 0 and "messages of unknown nodes are ignored, the last" in out, out
        assert other(w)["ignored"]["last"] is None and "epoch-claim" not in w.jobs()
    finally:
        w.close()


@test
def a_repeated_message_makes_nothing_fresh():
    w = with_peer("repeated")
    try:
        w.maintenance = "state=on node=b since=x reason=-"  # so that it stays passive
        w.until(lambda: "maintenance" in reasons(w))
        first = good(w)
        say(w, first)
        w.until(lambda: other(w)["heard"])
        w.each_step = lambda: say(w, first)
        w.until(lambda: not other(w)["heard"], 5)
        assert other(w)["ignored"]["repeated"] > 5 and "peer-not-heard" in reasons(w), status(w)
        w.each_step = None
        later = put(good(w), 36, "<Q", 0xabc)  # another run of the same node
        say(w, put(later, 68, "<I", 0))
        w.until(lambda: not other(w)["no_service"])
        say(w, good(w))                        # of the first run, newer than all that it has said
        w.pause(0.4)
        assert not other(w)["no_service"] and not other(w)["no_share_child"], other(w)
    finally:
        w.close()


def differing(w, i):
    raw = good(w)
    return put(raw, DIGESTS + 4 * i, "<I", struct.unpack_from("<I", raw, DIGESTS + 4 * i)[0] ^ 1)


def of_generation(w, n, more):
    raw = put(good(w), DIGESTS - 4, "<I", n + more)
    raw = raw[:4 * more] if more < 0 else raw + bytes(4)
    return put(raw, 6, "<H", len(raw))


def again(w, what):
    """Five times a second, as a node does."""
    due = [0.0]

    def step():
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + 0.2
            what()
    w.each_step = step


@test
def each_safety_key_that_differs_blocks_by_its_name():
    w = with_peer("digest")
    try:
        n = struct.unpack_from("<I", w.cpg, DIGESTS - 4)[0]
        found = []
        for i in range(n):
            again(w, lambda k=i: say(w, differing(w, k)))
            w.until(lambda k=found[-1:]: other(w)["config_differs_in"] not in (None, *k), 3)
            found.append(other(w)["config_differs_in"])
            w.until(lambda: "peer-digest" in reasons(w), 3)
        assert found == SAFETY, found
        again(w, lambda: say(w, differing(w, 0)))
        w.until(lambda: other(w)["config_differs_in"] == "name")
        code, out, _ = ask(w, "status")
        assert code == 0 and "ITS CONFIGURATION DIFFERS in name" in out, out
        code, out, _ = ask(w, "explain")
        assert "the configuration of node b differs in: name" in " ".join(out.split()), out
        for more in (-1, 1):  # a node that knows more or fewer of them: another generation
            again(w, lambda m=more: say(w, of_generation(w, n, m)))
            w.until(lambda: "number of safety keys" in (other(w)["config_differs_in"] or ""), 3)
            w.until(lambda: "peer-digest" in reasons(w), 3)
        assert "epoch-claim" not in w.jobs(), w.jobs()
        w.each_step = None
        w.peer_alive = True
        w.until(lambda: "epoch-claim" in w.jobs())
    finally:
        w.close()


def unencrypted(name, config):
    """What members tells when corosync does not encrypt. The share answers only when that is known."""
    w = world(name, config=config, share="hang", peer_alive=True, members=[1, 2])
    send = w.send

    def bent(sock, kind, fill):
        def more(u):
            fill(u)
            if kind == MEMBERS:
                u.members.encrypted = 0
        send(sock, kind, more)
    w.send = bent
    w.members_send()
    w.until(lambda: w.state() == "passive" and not status(w)["corosync"]["encrypted"] and other(w)["heard"])
    w.share = "ok"
    return w


@test
def a_cluster_that_does_not_encrypt_is_refused_unless_the_configuration_says_so():
    w = unencrypted("unencrypted", CONFIG)
    try:
        w.until(lambda: "not-encrypted" in reasons(w))
        w.pause(0.6)
        assert "epoch-claim" not in w.jobs(), w.jobs()
        assert status(w)["corosync"]["insecure_cluster"] is False
        code, out, _ = ask(w, "status")
        assert code == 0 and ", NOT ENCRYPTED" in out and "INSECURE_CLUSTER" not in out, out
        code, out, _ = ask(w, "explain")
        assert "crypto_cipher" in out and "insecure_cluster = yes" in out, out
    finally:
        w.close()
    w = unencrypted("insecure", CONFIG.replace("drain = 200ms\n", "drain = 200ms\ninsecure_cluster = yes\n"))
    try:
        w.until(lambda: "epoch-claim" in w.jobs())
        assert status(w)["corosync"]["insecure_cluster"] is True
        code, out, _ = ask(w, "status")
        assert code == 0 and ", NOT ENCRYPTED, INSECURE_CLUSTER IS ON" in out, out
    finally:
        w.close()


# A client of its own: the command line would never send these. SIZE is what the header says, TEXT what follows it.
CLIENT = """
import ctypes, sys, json
qb = ctypes.CDLL("libqb.so.100", use_errno=True)
qb.qb_ipcc_connect.restype = ctypes.c_void_p
qb.qb_ipcc_connect.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
qb.qb_ipcc_send.restype = qb.qb_ipcc_recv.restype = ctypes.c_ssize_t
qb.qb_ipcc_send.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
qb.qb_ipcc_recv.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32]
name, said, text = sys.argv[1].encode(), sys.argv[2], bytes.fromhex(sys.stdin.read())
c = qb.qb_ipcc_connect(name, 65536)
if not c:
    print("refused", ctypes.get_errno()); sys.exit()
size = 16 + len(text) if said == "-" else int(said)
raw = (ctypes.c_int32 * 4)(1, 0, size, 0)
raw = bytes(raw) + text
buf = ctypes.create_string_buffer(70000)
n = qb.qb_ipcc_send(c, raw, len(raw))
n = qb.qb_ipcc_recv(c, buf, len(buf), 250) if n >= 0 else n
print("answer" if n > 24 else "none", n, buf.raw[24:n].rstrip(b"\\0").decode("utf-8", "replace") if n > 24 else "")
"""


def talk(w, text, size="-", user="root", groups=()):
    text = text if isinstance(text, bytes) else text.encode()
    p = subprocess.Popen([sys.executable, "-c", CLIENT, w.ipc, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, **({"user": user, "group": user, "extra_groups": groups}
                                                                  if os.geteuid() == 0 else {}))
    p.stdin.write(text.hex())
    p.stdin.close()
    w.until(lambda: p.poll() is not None, 10)
    return p.stdout.read()


STATUS = '{"cmd": "status"}'
NO_REQUEST = ["", "x", "[]", "null", "3", '"status"', "{}", '{"cmd": 3}', '{"cmd": ["status"]}', '{"cmd": null}',
              '{"cmd": "status"', '{"cmd": "status", "cmd": "clear"}', '{"cmd": "sta\\u0000tus"}', b"\xff\xfe{}",
              b'{"cmd": "\xff"}', "[" * 30000, '{"cmd": ' * 5000]
ODD = ['{"cmd": "Status"}', '{"cmd": "../status"}', '{"cmd": "%s%s%n"}', '{"cmd": "' + "x" * 40000 + '"}',
       '{"cmd": "acknowledge"}', '{"cmd": "acknowledge", "node": 2}', '{"cmd": "acknowledge", "node": "a"}',
       '{"cmd": "acknowledge", "node": "../b"}', '{"cmd": "switchover", "node": "zz"}', '{"cmd": "fence"}',
       '{"cmd": "fence", "device": "b-ipmi"}', '{"cmd": "fence", "device": "b-ipmi", "action": "cycle"}',
       '{"cmd": "fence", "device": "a-ipmi", "action": "off"}', '{"cmd": "maintenance", "on": true, "reason": "' + "r" * 500 + '"}']
ACTS = {"fence-off", "fence-on", "epoch-claim", "epoch-end", "epoch-init", "epoch-maintain", "epoch-unmaintain", "service-release"}
SIZES = [0, 1, 15, -1, -2147483648, 17, 65537, 1 << 20, 2147483647]


@test
def requests_that_are_none_change_nothing():
    w = peer_active("odd")
    try:
        for text in NO_REQUEST:
            said = talk(w, text)
            assert "answer" in said and '"ok":false' in said and "no JSON object with a command" in said, (text[:80], said)
        for text in ODD:
            said = talk(w, text)
            assert "answer" in said and '"ok":false' in said, (text[:80], said)
        for size in SIZES:
            said = talk(w, STATUS, size)
            assert '"ok":true' not in said, (size, said)
        said = talk(w, b"x" * 69000)
        assert '"ok":true' not in said, said
        assert '"ok":true' in talk(w, STATUS)  # and it is well
        assert not ACTS & set(w.jobs()), w.jobs()
    finally:
        w.close()


@test
def who_has_no_rights_reads_the_snapshot_and_acts_not_at_all():
    if os.geteuid() != 0:
        return
    w = peer_active("rights-all", user="nobody")
    try:
        for words in (["acknowledge", "b", "--yes"], ["clear"], ["switchover"], ["maintenance", "on"], ["maintenance", "off"],
                      ["fence", "b-ipmi", "off", "--yes"], ["reload"], ["explain"]):
            code, out, err = cli_as(w, "games", *words)
            assert code != 0 and err, (words, code, out, err)
        for text in (STATUS, '{"cmd": "clear"}', '{"cmd": "acknowledge", "node": "b"}', '{"cmd": "switchover"}'):
            assert '"ok":true' not in talk(w, text, user="games"), text
        code, out, _ = cli_as(w, "games", "status")
        assert code == 0 and "Node a of cluster" in out
        for cmd in ("status", "explain", "release"):  # members of the engine's group may look
            assert '"ok":true' in talk(w, '{"cmd": "%s"}' % cmd, user="games", groups=["nogroup"]), cmd
        for cmd in ("acknowledge", "clear", "init", "switchover", "maintenance", "fence", "reload", "no-such"):
            said = talk(w, '{"cmd": "%s", "node": "b", "device": "b-ipmi", "action": "off", "on": true}' % cmd, user="games",
                        groups=["nogroup"])
            assert '"ok":false' in said and "only root and user understudy may do this; you are uid" in said, (cmd, said)
        assert not ACTS & set(w.jobs()), w.jobs()
    finally:
        w.close()


SNAPSHOTS = {"empty": b"", "torn": b'{"node": "a", "boot', "large": b"[" * (1 << 20), "zero": b'{"node"\0: "a"}', "array": b"[]"}


@test
def a_bad_snapshot_is_said_to_be_one():
    if os.geteuid() != 0:
        return
    w = peer_active("snapshot", user="nobody")
    there, path, target = (os.path.join(w.dir, n) for n in ("there", "there/status.json", "there/target"))
    os.mkdir(there)
    try:
        with open(os.path.join(w.dir, "status.json"), "rb") as f:
            sound = f.read()
        for kind in (*SNAPSHOTS, "link", "fifo", "directory", "missing", "sound"):
            if kind in SNAPSHOTS or kind == "sound":
                with open(path, "wb") as f:
                    f.write(SNAPSHOTS.get(kind, sound))
            elif kind == "link":
                with open(target, "wb") as f:
                    f.write(sound)
                os.symlink(target, path)
            elif kind == "fifo":
                os.mkfifo(path, 0o644)
            elif kind == "directory":
                os.mkdir(path)
            p = subprocess.Popen([CLI, "--service", w.ipc, "--rundir", there, "status"], user="games", group="games",
                                 extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            w.until(lambda c=p: c.poll() is not None, 3)
            out, err = p.communicate()
            assert (p.returncode, kind) == (0 if kind == "sound" else 3, kind), (kind, out, err)
            assert kind == "sound" or not out and f"{path} " in err and "Run this as root" in err, (kind, out, err)
            if kind != "missing":
                os.rmdir(path) if kind == "directory" else os.unlink(path)
    finally:
        w.close()


@test
def a_link_in_the_place_of_the_snapshot_is_replaced_and_not_written_through():
    w = peer_active("replaced")
    path, target = (os.path.join(w.dir, n) for n in ("status.json", "target"))
    try:
        for name in (path, path + ".new"):
            with open(target, "w", encoding="ascii") as f:
                f.write("not to be changed")
            if os.path.lexists(name):
                os.unlink(name)
            os.symlink(target, name)
            w.until(lambda n=name: not os.path.islink(n) and os.path.exists(path), 5)
            with open(target, encoding="ascii") as f:
                assert f.read() == "not to be changed"
    finally:
        w.close()


if __name__ == "__main__":
    sys.exit(main())
