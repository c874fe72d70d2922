# SPDX-License-Identifier: GPL-2.0-or-later
"""The same cut with stock parts: keepalived moves the address and its notify script runs `mailman start --force`.

No fencing, no epochs. This is what a careful administrator builds from Debian's packages in an afternoon; its figures
are printed beside ours, judged by the same auditor."""
import os
import signal
import subprocess
import time

import drillrun
import labconf

LOG = "/var/log/keepalived.log"
CONFIG = "/etc/keepalived/keepalived.conf"
SCRIPT = "/etc/keepalived/notify"
PRIORITY = {"a": 100, "b": 90}

KEEPALIVED = """global_defs {{
    router_id {host}
    enable_script_security
    script_user root
}}
vrrp_instance lists {{
    interface service0
    state BACKUP
    nopreempt
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {address}/24 dev service0
    }}
    notify {script}
}}
"""

# keepalived calls it with TYPE NAME STATE PRIORITY.
NOTIFY = """#!/bin/sh
mailman="setpriv --reuid=list --regid=list --clear-groups /usr/lib/mailman3/bin/mailman -C /etc/mailman3/mailman.cfg"
case $3 in
MASTER) $mailman start --force ;;
BACKUP | FAULT) $mailman stop ;;
esac >>/var/log/keepalived-notify.log 2>&1
"""


class Stock:
    """keepalived on both hosts of a lab in which nothing else manages Mailman."""

    def __init__(self, lab):
        self.lab, self.running = lab, {}

    def start(self):
        for name in labconf.CLUSTER_HOSTS:
            if not self.lab.host(name).powered:     # from the drill before this one
                self.lab.host(name).power_on("drill with stock parts")
            if find_processes(self.lab.host(name), "understudyd"):
                raise drillrun.DrillFailed("understudyd manages this lab; stock parts need `lab up --manager none`")
        for name in labconf.CLUSTER_HOSTS:
            host = self.lab.host(name)
            write(host.file(CONFIG), KEEPALIVED.format(host=name, priority=PRIORITY[name], address=labconf.FLOATING,
                                                       script=SCRIPT), 0o644)
            write(host.file(SCRIPT), NOTIFY, 0o755)
            self.start_host(name)
            if name == "a":
                drillrun_wait(lambda: self.master() == "a", 20, "keepalived on a holds the address")

    def start_host(self, name):
        with open(self.lab.host(name).file(LOG), "ab") as log:
            self.running[name] = self.lab.host(name).popen(
                ["/usr/sbin/keepalived", "--dont-fork", "--log-console", "--log-detail", "-f", CONFIG],
                stdout=log, stderr=log)

    def master(self):
        return next((h for h in labconf.CLUSTER_HOSTS if labconf.FLOATING in self.lab.host(h).addresses()), None)

    def stop(self):
        """keepalived and the list service end, so that the lab can be used for something else."""
        for name, process in self.running.items():
            host = self.lab.host(name)
            if host.powered:
                host.kill_popen(process, signal.SIGTERM)
                host.kill_popen(process, signal.SIGCONT)    # nsenter stops with its child and does not go on with it
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                host.kill_popen(process)
                process.wait()
            if host.powered:
                end_list_service(host)
        self.running = {}


def end_list_service(host):
    host.exec(["/usr/bin/setpriv", "--reuid=list", "--regid=list", "--clear-groups", "/usr/lib/mailman3/bin/mailman",
               "-C", "/etc/mailman3/mailman.cfg", "stop"], check=False, timeout=60)
    try:
        drillrun_wait(lambda: not find_processes(host, "master"), 20, "Mailman ends")
    except drillrun.DrillFailed:
        for pid in find_processes(host, "master") | find_processes(host, "runner"):
            os.kill(pid, 9)


def find_processes(host, program):
    """Outer pids of the host's processes of that program or script."""
    found = set()
    for pid in host.pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")[:2]
        except OSError:
            continue
        if any(os.path.basename(word) == program for word in words):
            found.add(pid)
    return found


def drillrun_wait(condition, timeout_s, what):
    deadline = drillrun.now_ms() + timeout_s * 1000
    while not condition():
        if drillrun.now_ms() >= deadline:
            raise drillrun.DrillFailed(f"{what}: not so after {timeout_s:g} s")
        time.sleep(0.05)


def write(path, text, mode):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def begin(run, stock):
    stock.start()
    drillrun_wait(stock.lab.lmtp_greets, 90, "Mailman on a answers")
    run.begin()
    run.load()
    run.wait_accepted(0.5)


def wait_delivery(run, cut, timeout_s=120):
    run.wait(lambda: run.first_delivery_ms(cut), timeout_s, f"{cut['survivor']} delivers mail")
    run.say(f"{cut['survivor']} delivers, {(drillrun.now_ms() - cut['at_ms']) / 1000:.2f} s after the cut")


def drill_compare(run, stock):
    begin(run, stock)
    cut = run.cut("a")
    wait_delivery(run, cut)
    run.wait_delivered()


def drill_compare_pause(run, stock):
    """The host that keepalived believes dead is only slow, and goes on where it stopped."""
    begin(run, stock)
    cut = run.cut("a", "pause")
    try:
        wait_delivery(run, cut, 40)
    except drillrun.DrillFailed as err:
        run.notes.append(str(err))
    run.lab.resume("a")
    run.say("a goes on where it stopped")
    run.wait_delivered()
