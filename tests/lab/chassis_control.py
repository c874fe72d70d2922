# SPDX-License-Identifier: GPL-2.0-or-later
"""What a BMC does to its machine: ipmi_sim runs this as `... HOST get power` or `... HOST set power 0|1`.

Runs on the bmc host and asks the lab's power daemon, whose socket is bound there. Prints what ipmi_sim wants to read."""
import json
import os
import socket
import sys

SOCKET_DIR = "/run/lab/power"


def ask(host, state):
    os.chdir(SOCKET_DIR)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        sock.connect("lab.sock")
        sock.sendall((json.dumps({"op": "power", "host": host, "state": state, "reason": "bmc"}) + "\n").encode())
        answer = json.loads(sock.makefile().readline())
    if not answer["ok"]:
        raise OSError(answer["error"])
    return answer["on"]


def control(host, words):
    """WORDS: pairs of a parameter's name and value for set, names for get."""
    if words[0] == "get":
        for name in words[1:]:
            print(f"{name}:{int(ask(host, 'status'))}" if name == "power" else f"{name}:0")
        return
    for name, value in zip(words[1::2], words[2::2]):
        if name == "power":
            ask(host, "on" if value == "1" else "off")
        elif name == "reset" and value == "1":
            ask(host, "reset")


if __name__ == "__main__":
    try:
        control(sys.argv[1], [word for word in sys.argv[2:] if not word.startswith("0x")])
    except (OSError, ValueError, KeyError, IndexError) as err:
        print(f"chassis_control: {err}", file=sys.stderr)
        sys.exit(1)
