# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the switch and of the BMCs, for the lab's power daemon: one-way loss, frames held back, fence devices that lie.

All of it works on the switch's side of a host's ports, so that nothing on the host can know."""
import contextlib
import socket
import subprocess
import threading
import time

from labmachine import LabError

HOOKS = {"in": "egress", "out": "ingress"}      # what goes to the host leaves the switch's port; what it sends comes in there
PACKET_VNET_HDR, SOL_PACKET, ETH_P_ALL, PACKET_OUTGOING, SO_RCVBUFFORCE = 15, 263, 3, 4, 33
BMC_MODES = ("true", "lies", "wrong-plug", "late")


def nft(*lines, may_fail=False):
    done = subprocess.run(["/usr/sbin/nft", "-f", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True,
                          check=False)
    if done.returncode != 0 and not may_fail:
        raise LabError(f"nft: {done.stderr.strip()}")


class Loss:
    """Frames of one direction are dropped at a port: {(host, net, direction)} survives a power cycle of the host."""

    def __init__(self):
        self.lost = set()

    def set(self, machine, net, direction, lost):
        if direction not in HOOKS:
            raise LabError(f"unknown direction {direction!r}: {', '.join(HOOKS)}")
        key = (machine.name, net, direction)
        (self.lost.add if lost else self.lost.discard)(key)
        drop(machine.port(net), direction, lost and machine.is_on())

    def plug(self, machine):
        """The host's ports are new."""
        for host, net, direction in self.lost:
            if host == machine.name:
                drop(machine.port(net), direction, True)


def drop(port, direction, on):
    chain = f"{port}-{direction}".replace("-", "_")
    nft(f"delete chain netdev lab {chain}", may_fail=True)
    if on:
        nft("add table netdev lab",
            f"add chain netdev lab {chain} {{ type filter hook {HOOKS[direction]} device {port} priority 0; policy drop; }}")


class Hold:
    """What two hosts say to each other on a net is kept, in order, and delivered at once when it is let go.

    A packet socket sees each frame before the drop. The header of PACKET_VNET_HDR says what is left to do for its checksum,
    and goes back with the frame."""

    def __init__(self, net, machines):
        self.ports = [machine.port(net) for machine in machines]
        self.frames, self.stopped = [], threading.Event()
        self.sockets = {port: open_port(port) for port in self.ports}
        for port in self.ports:
            drop(port, "out", True)
        self.threads = [threading.Thread(target=self.listen, args=(port,), daemon=True) for port in self.ports]
        for thread in self.threads:
            thread.start()

    def listen(self, port):
        while not self.stopped.is_set():
            with contextlib.suppress(OSError):      # nothing for a while, or the port went down
                data, source = self.sockets[port].recvfrom(65536)
                if source[2] != PACKET_OUTGOING:
                    self.frames.append((port, data))

    def release(self):
        """How many frames were delivered. A port that went down meanwhile has lost what was for it."""
        for port in self.ports:
            drop(port, "out", False)
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        delivered = 0
        for port, data in self.frames:
            with contextlib.suppress(OSError):
                self.sockets[next(p for p in self.ports if p != port)].send(data)
                delivered += 1
        for sock in self.sockets.values():
            sock.close()
        return delivered


def open_port(port):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
    sock.bind((port, ETH_P_ALL))
    sock.settimeout(0.1)
    return sock


class BmcModes:
    """What a BMC makes of a command. true: does it. lies: says done and does nothing. wrong-plug: does it to the other host.
    late: takes an off at once and does it DELAY_S later; asked for the power it says the truth."""

    def __init__(self, hosts, event):
        self.hosts, self.event = tuple(hosts), event
        self.modes, self.said, self.pending = {}, {}, set()

    def set(self, host, mode, delay_s):
        if mode not in BMC_MODES or host not in self.hosts:
            raise LabError(f"BMC of {host!r}, mode {mode!r}: the BMCs are of {', '.join(self.hosts)}, and the modes "
                           f"{', '.join(BMC_MODES)}")
        self.event("bmc-mode", host=host, mode=mode, delay_s=delay_s)
        self.said.pop(host, None)
        self.modes[host] = (mode, delay_s)

    def power(self, host, state, act):
        """The answer of the BMC of HOST; ACT(host, state) is what really happens, and the real answer."""
        mode, delay_s = self.modes.get(host, ("true", 0))
        if mode == "wrong-plug":
            return act(next(h for h in self.hosts if h != host), state)
        if mode == "lies":
            if state in ("on", "off"):
                self.event("bmc-lies", host=host, state=state)
                self.said[host] = state == "on"
            return {"on": self.said[host]} if host in self.said else act(host, "status")
        if mode == "late" and state == "off":
            self.later(host, delay_s, act)
            return act(host, "status")
        return act(host, state)

    def later(self, host, delay_s, act):
        """Asked again meanwhile it does it once."""
        if host in self.pending:
            return
        self.pending.add(host)
        self.event("bmc-late", host=host, delay_s=delay_s)

        def run():
            time.sleep(delay_s)
            self.pending.discard(host)
            act(host, "off")
        threading.Thread(target=run, daemon=True).start()
