# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-intake with real TCP sessions over a cable."""
import select
import time

import pytest

import agentlib

pytestmark = pytest.mark.skipif(bool(agentlib.why_not()), reason=agentlib.why_not() or "-")

INTAKE = agentlib.built("resource/understudy-intake")
PORT = "8024"

# Greets like LMTP and prints what it gets.
SERVER = """
    import socket, sys, threading
    def talk(c):
        c.sendall(b'220 ready\\r\\n')
        while True:
            data = c.recv(65536)
            if not data:
                return
            print('got', len(data), flush=True)
            c.sendall(b'250 ok\\r\\n')
    host = sys.argv[2] if len(sys.argv) > 2 else '0.0.0.0'
    s = socket.create_server((host, int(sys.argv[1])), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
    print('up', flush=True)
    while True:
        threading.Thread(target=talk, args=(s.accept()[0],), daemon=True).start()
"""

# One order a line: connect, send N (with or without push), read; one answer a line.
CLIENT = """
    import socket, sys
    s = None
    for line in sys.stdin:
        order = line.split()
        try:
            if order[0] == 'connect':
                s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
                print(s.recv(100).decode().strip(), flush=True)
            elif order[0] == 'send':
                s.settimeout(20)
                s.sendall(b'x' * int(order[1]))
                print('sent', flush=True)
            elif order[0] == 'read':
                s.settimeout(float(order[1]))
                print(s.recv(100).decode().strip(), flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
"""


@pytest.fixture(name="pair")
def two_hosts(tmp_path):
    one, other = agentlib.Host("a", tmp_path), agentlib.Host("mx", tmp_path)
    try:
        agentlib.join(one, other)
        server = one.python(SERVER, PORT)
        assert server.stdout.readline() == "up\n"
        yield one, other, server
    finally:
        one.stop()
        other.stop()


def intake(host, command, *more):
    done = host.run(INTAKE, command, "--port", PORT, *more)
    assert done.returncode == 0, done.stderr
    return agentlib.records(done.stdout, "intake")[0]["state"]


def order(client, text):
    client.stdin.write(text + "\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


def test_open_and_closed(pair):
    one, other, _ = pair
    assert intake(one, "status") == "open"
    assert intake(one, "open") == "open"
    client = other.python(CLIENT, "10.9.0.1", PORT)
    assert order(client, "connect") == "220 ready"
    assert intake(one, "close") == "closed"
    assert intake(one, "close") == "closed"
    assert intake(one, "status") == "closed"
    assert order(client, "connect") == "ConnectionRefusedError"
    assert intake(one, "open") == "open"
    assert intake(one, "status") == "open"
    assert order(client, "connect") == "220 ready"


@pytest.mark.parametrize("size", [1, 5000, 200000])
def test_established_session_waits(pair, size):
    """Payload is held back while closed, whatever its size, and arrives in full afterwards."""
    one, other, server = pair
    client = other.python(CLIENT, "10.9.0.1", PORT)
    assert order(client, "connect") == "220 ready"
    assert order(client, "send 10") == "sent" and order(client, "read 3") == "250 ok"
    assert server.stdout.readline() == "got 10\n"
    intake(one, "close")
    client.stdin.write(f"send {size}\n")
    client.stdin.flush()
    select.select([server.stdout], [], [], 1)
    assert not select.select([server.stdout], [], [], 0)[0], "payload got in"
    assert "ESTAB" in one.sh(f"ss -Htn sport = :{PORT}")
    intake(one, "open")
    before, got = time.monotonic(), 0
    while got < size:
        got += int(server.stdout.readline().split()[1])
    assert got == size and time.monotonic() - before < 5


def test_acknowledgements_pass(pair):
    """What the runner sends is still acknowledged, so that a last 250 gets out."""
    one, other, _ = pair
    big = other.python("""
        import socket
        s = socket.create_server(('0.0.0.0', 0))
        print(s.getsockname()[1], flush=True)
    """)
    assert int(big.stdout.readline()) > 0
    sender = one.python("""
        import socket, sys
        s = socket.create_server(('0.0.0.0', 9024))
        print('up', flush=True)
        c = s.accept()[0]
        sys.stdin.readline()
        c.sendall(b'y' * 300000)
        c.shutdown(socket.SHUT_WR)
        print('sent', flush=True)
        sys.stdin.readline()
    """)
    assert sender.stdout.readline() == "up\n"
    reader = other.python("""
        import socket
        c = socket.create_connection(('10.9.0.1', 9024))
        print('up', flush=True)
        n = 0
        while (data := c.recv(65536)):
            n += len(data)
        print(n, flush=True)
    """)
    assert reader.stdout.readline() == "up\n"
    done = one.run(INTAKE, "close", "--port", "9024")
    assert done.returncode == 0
    sender.stdin.write("go\n")
    sender.stdin.flush()
    assert sender.stdout.readline() == "sent\n"
    assert reader.stdout.readline() == "300000\n"


def test_loopback(pair):
    """A local mail server is kept out too; the list server's own first connection and the agent's probe are not."""
    one, _, _ = pair
    one.sh("id list >/dev/null")
    probe = ("import socket,sys\ns=socket.socket()\n"
             "if len(sys.argv) > 1: s.setsockopt(socket.SOL_SOCKET, 36, int(sys.argv[1]))\n"
             "s.settimeout(3)\ns.connect(('127.0.0.1', 8024))\nprint(s.recv(10).decode())")
    as_list = ["setpriv", "--reuid=list", "--regid=list", "--clear-groups", agentlib.PYTHON, "-I", "-c", probe]
    intake(one, "close", "--user", "list")
    assert one.run(*as_list).returncode == 0
    assert "refused" in one.run(agentlib.PYTHON, "-I", "-c", probe).stderr
    assert one.run(agentlib.PYTHON, "-I", "-c", probe, str(0x75735459)).returncode == 0
    intake(one, "close")
    assert "refused" in one.run(*as_list).stderr


def test_ipv6(pair):
    """The same rules hold for IPv6: a session waits, a new one is refused, and the agent's probe over loopback gets in."""
    one, other, _ = pair
    for host, last in ((one, 1), (other, 2)):
        host.sh(f"ip addr add 2001:db8:9::{last}/64 dev v0 nodad")
    server = one.python(SERVER, PORT, "::")
    assert server.stdout.readline() == "up\n"
    client, late = other.python(CLIENT, "2001:db8:9::1", PORT), other.python(CLIENT, "2001:db8:9::1", PORT)
    assert order(client, "connect") == "220 ready"
    assert order(client, "send 10") == "sent" and order(client, "read 3") == "250 ok"
    assert server.stdout.readline() == "got 10\n"
    intake(one, "close")
    assert order(late, "connect") == "ConnectionRefusedError"
    client.stdin.write("send 5000\n")
    client.stdin.flush()
    assert not select.select([server.stdout], [], [], 1)[0], "payload got in"
    probe = ("import socket,sys\ns=socket.socket(socket.AF_INET6)\n"
             "if len(sys.argv) > 1: s.setsockopt(socket.SOL_SOCKET, 36, int(sys.argv[1]))\n"
             "s.settimeout(3)\ns.connect(('2001:db8:9::1', 8024))\nprint(s.recv(10).decode())")
    assert "refused" in one.run(agentlib.PYTHON, "-I", "-c", probe).stderr
    assert one.run(agentlib.PYTHON, "-I", "-c", probe, str(0x75735459)).returncode == 0
    intake(one, "open")
    got = 0
    while got < 5000:
        got += int(server.stdout.readline().split()[1])
    assert got == 5000


def test_other_ports_untouched(pair):
    one, other, _ = pair
    server = one.python(SERVER, "8025")
    assert server.stdout.readline() == "up\n"
    intake(one, "close")
    client = other.python(CLIENT, "10.9.0.1", "8025")
    assert order(client, "connect") == "220 ready"


def test_usage(pair):
    one, _, _ = pair
    for words in (["close"], ["close", "--port", "0"], ["close", "--port", "x"], ["shut", "--port", "1"], [],
                  ["close", "--port", "8024", "--user", "root"]):
        assert one.run(INTAKE, *words).returncode == 2, words
    assert intake(one, "status") == "open"
