#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's power and switch: one daemon for each lab, in a network namespace of its own that holds the bridges.

It starts and kills the hosts, plugs and unplugs their ports, and answers one JSON request a line on a socket: from the
lab's own Python and from the chassis control program of the BMCs. When a host reboots itself it is started again, as a
machine would be. Everything that it makes is written to state.json before use, so that `lab down` can undo it alone."""
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labns  # noqa: E402
from labfaults import BmcModes, Hold, Loss  # noqa: E402
from labmachine import LabError, Machine, ip_batch  # noqa: E402
from labwatchdog import MODES, Watchdog  # noqa: E402


class Daemon:
    """All machines of one lab, its bridges, and the record of both."""

    def __init__(self, directory):
        self.dir = directory
        self.save_lock = threading.Lock()
        self.cuts = set()
        self.dead_bmcs = set()
        self.stopping = threading.Event()
        self.machines = {name: Machine(self, name) for name in self.conf()["hosts"]}
        self.watchdogs = {}
        self.loss, self.held = Loss(), {}
        self.bmc_modes = BmcModes(self.conf()["bmcs"], self.event)

    def conf(self):
        with open(os.path.join(self.dir, "lab.json"), encoding="utf-8") as file:
            return json.load(file)

    def nets_of(self, name):
        return [nic["net"] for nic in self.conf()["hosts"][name]["nics"]]

    def event(self, event, **fields):
        labns.append_event(os.path.join(self.dir, "events.jsonl"), event=event, **fields)

    def save(self):
        with self.save_lock:
            state = {"labd": labns.process_record(os.getpid()),
                     "hosts": {name: machine.info for name, machine in self.machines.items()},
                     "cuts": sorted(self.cuts), "dead_bmcs": sorted(self.dead_bmcs)}
            labns.write_atomically(os.path.join(self.dir, "state.json"), json.dumps(state, indent=1))

    def make_switch(self):
        labns.unshare(labns.CLONE_NEWNET)
        lines = []
        for name, net in self.conf()["nets"].items():
            # A bridge without an address of its own takes its lowest port's, which comes and goes with the hosts.
            lines += [f"link add name br-{name} address {net['bridge_mac']} type bridge stp_state 0 mcast_snooping 0",
                      f"link set dev br-{name} up"]
        with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as file:
            file.write("1")
        ip_batch(lines)

    def machine(self, request):
        name = request.get("host")
        if name not in self.machines:
            raise LabError(f"there is no host {name!r}; the hosts are {', '.join(self.machines)}")
        return self.machines[name]

    # -- watchdogs
    def make_watchdogs(self):
        """From the folder `sock`: see main()."""
        for name, host in self.conf()["hosts"].items():
            if host.get("watchdog"):
                self.watchdogs[name] = Watchdog(f"../watchdog/{name}/sock", lambda name=name: self.bite(name),
                                                lambda word, name=name: self.tell_watchdog(name, word)).start()

    def tell_watchdog(self, name, word):
        if word not in ("pet", "BITE"):
            self.event("watchdog", host=name, request=word)

    def bite(self, name):
        """As a machine's reset: in another thread, because the watchdog goes on while the host goes down."""
        self.event("watchdog-bite", host=name)
        threading.Thread(target=self.op_power, args=({"host": name, "state": "reset", "reason": "watchdog"},),
                         daemon=True).start()

    def op_watchdog(self, request):
        name = self.machine(request).name
        watchdog = self.watchdogs.get(name)
        if watchdog is None:
            raise LabError(f"host {name} has no watchdog; `lab up --watchdog` makes them")
        if request.get("mode") is not None:
            if request["mode"] not in MODES:
                raise LabError(f"unknown watchdog {request['mode']!r}: {', '.join(MODES)}")
            watchdog.mode = request["mode"]
        return {"armed": watchdog.armed, "mode": watchdog.mode}

    # -- requests
    def handle(self, request):
        operations = {"ping": lambda r: {}, "power": self.op_power, "port": self.op_port, "pause": self.op_pause,
                      "resume": self.op_resume, "bmc": self.op_bmc, "watchdog": self.op_watchdog,
                      "loss": self.op_loss, "hold": self.op_hold, "release": self.op_release,
                      "bmc-mode": self.op_bmc_mode, "shutdown": self.op_shutdown}
        if request.get("op") not in operations:
            raise LabError(f"unknown request {request.get('op')!r}")
        return operations[request["op"]](request)

    def op_power(self, request):
        machine, state = self.machine(request), request.get("state")
        reason = str(request.get("reason", "lab"))
        if reason == "bmc":
            return self.bmc_modes.power(machine.name, state, self.bmc_act)
        return self.do_power(machine, state, reason)

    def bmc_act(self, name, state):
        return self.do_power(self.machines[name], state, "bmc")

    @staticmethod
    def do_power(machine, state, reason):
        if state in ("off", "reset"):
            machine.power_off(reason)
        if state in ("on", "reset"):
            machine.power_on(reason)
        return {"on": machine.is_on()}

    def op_port(self, request):
        machine, net = self.on_net(request)
        up = bool(request["up"])
        with machine.lock:
            self.event("heal" if up else "cut", host=machine.name, net=net)
            (self.cuts.discard if up else self.cuts.add)((machine.name, net))
            if machine.is_on():
                labns.set_link(machine.port(net), up)
            self.save()
        return {}

    def on_net(self, request):
        machine, net = self.machine(request), request.get("net")
        if net not in self.nets_of(machine.name):
            raise LabError(f"host {machine.name} is not on network {net!r}; "
                           f"it is on {', '.join(self.nets_of(machine.name))}")
        return machine, net

    def op_loss(self, request):
        machine, net = self.on_net(request)
        with machine.lock:
            self.event("loss", host=machine.name, net=net, direction=request.get("direction"), lost=bool(request["lost"]))
            self.loss.set(machine, net, request.get("direction"), bool(request["lost"]))
        return {}

    def op_hold(self, request):
        net, machines = request.get("net"), [self.machines[name] for name in self.conf()["bmcs"]]
        if net in self.held or any(net not in self.nets_of(machine.name) for machine in machines):
            raise LabError(f"network {net!r} is held already, or does not join the cluster hosts")
        self.event("hold", net=net)
        self.held[net] = Hold(net, machines)
        return {}

    def op_release(self, request):
        hold = self.held.pop(request.get("net"), None)
        frames = hold.release() if hold else 0
        self.event("release", net=request.get("net"), frames=frames)
        return {"frames": frames}

    def op_bmc_mode(self, request):
        self.bmc_modes.set(request.get("host"), request.get("mode"), float(request.get("delay_s", 0)))
        return {}

    def op_pause(self, request):
        machine = self.machine(request)
        if request.get("process"):
            return {"pids": machine.signal_named(request["process"], signal.SIGSTOP, "pause")}
        machine.pause()
        return {}

    def op_resume(self, request):
        machine = self.machine(request)
        if request.get("process"):
            return {"pids": machine.signal_named(request["process"], signal.SIGCONT, "resume")}
        machine.resume()
        return {}

    def op_bmc(self, request):
        """A dead BMC has no address on its network: nothing that is sent to it waits anywhere to be answered later."""
        address = self.conf()["bmcs"].get(request.get("host"))
        if address is None:
            raise LabError(f"host {request.get('host')!r} has no BMC")
        host, dead = self.machines["bmc"], bool(request["dead"])
        with host.lock:
            host._need_on()
            self.event("bmc-dead" if dead else "bmc-alive", host=request["host"])
            verb = "del" if dead else "replace"
            subprocess.run(["/usr/bin/nsenter", f"--net=/proc/{host.pid1}/ns/net", "/usr/sbin/ip", "addr", verb,
                            f"{address}/24", "dev", "mgmt0"], check=not dead, capture_output=True)
            (self.dead_bmcs.add if dead else self.dead_bmcs.discard)(request["host"])
            self.save()
        return {}

    def op_shutdown(self, _request):
        threads = [threading.Thread(target=machine.power_off, args=("lab down",)) for machine in self.machines.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for machine in self.machines.values():
            machine.cut_wires()
        self.stopping.set()
        return {}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        daemon = self.server.daemon_object
        try:
            answer = {"ok": True, **daemon.handle(json.loads(self.rfile.readline(65536)))}
        except (LabError, OSError, ValueError, KeyError, subprocess.SubprocessError) as err:
            answer = {"ok": False, "error": f"{err}" if isinstance(err, LabError) else f"{type(err).__name__}: {err}"}
        try:
            self.wfile.write((json.dumps(answer) + "\n").encode())
        except (BrokenPipeError, ConnectionResetError):
            pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 32


def main():
    os.umask(0o022)
    directory = os.path.realpath(sys.argv[1])
    labns.become_subreaper()
    daemon = Daemon(directory)
    daemon.make_switch()
    daemon.save()
    os.chdir(os.path.join(directory, "sock"))  # socket names have at most 107 bytes, directories may be longer
    daemon.make_watchdogs()
    server = Server("lab.sock", Handler)
    server.daemon_object = daemon
    os.chmod("lab.sock", 0o600)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=daemon.op_shutdown, args=({},)).start())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)
    daemon.stopping.wait()
    time.sleep(0.05)  # the answer to the one who asked for the shutdown is on its way in another thread
    server.server_close()
    labns.append_event(os.path.join(directory, "events.jsonl"), event="lab-down")


if __name__ == "__main__":
    main()
