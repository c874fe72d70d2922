# SPDX-License-Identifier: GPL-2.0-or-later
"""Drills of pids that come again: what the master lock and the pid file name is another program, which is not to be harmed."""
import drillrun
import labns
import labpids
import watching
from drillproduct import begin, finish, need_active, other_of, wait_rejoin, wait_takeover
from drillset import drill
from drills_runner import lose, runner_pid, whole_again

INNOCENT = ("/usr/bin/sleep", "1000")
UNUSED = (10000, 30000)
PID_FILE = "/run/mailman3/master.pid"
LOCK = "locks/master.lck"


def locked(run):
    """(host, pid) that the master lock names; (None, 0) while there is none."""
    try:
        words = (run.lab.list_share / LOCK).read_text(encoding="ascii").split("|")
    except FileNotFoundError:
        return None, 0
    return words[1].split(".")[0], int(words[2])


class Innocent:
    """Another program that has the pid of a dead master."""

    def __init__(self, run, host, pid, user):
        self.run, self.host, self.pid = run, run.lab.host(host), pid
        self.record = labpids.start_as(self.host, pid, INNOCENT, user)
        run.say(f"pid {pid} of {host} is {INNOCENT[0]} of user {user}")
        run.undo(self.end)

    def demand_alive(self):
        if not labns.is_same_process(self.record):
            raise drillrun.DrillFailed(f"the innocent program with pid {self.pid} of {self.host.name} was killed")

    def end(self):
        labns.kill_record(self.record)


def begin_locked(run, product):
    """begin(), once the active node's master has a pid that is free on the other host too; (active host, that pid)."""
    active = need_active(run, product)
    before = set(product.list_processes(active))
    labpids.count_from(run.lab.host(active), run.random.randrange(*UNUSED))
    watching.kill_one(runner_pid(run, product, active, "master"))
    run.wait(lambda: whole_again(product, active, before) and "master" in product.list_processes(active).values(), 60,
             f"{active} has a new master")
    active = begin(run, product)
    host, pid = locked(run)
    if host != active or pid != labpids.inner_pid(runner_pid(run, product, active, "master")):
        raise drillrun.DrillFailed(f"the master lock names {host} and {pid}, and that is not the master of {active}")
    return active, pid


@drill("pid-reuse")
def drill_pid_reuse(run, product):
    """The active host loses its power. Its master lock, and a pid file that lies on the other one, name a program there, and it
    is even one of the list user."""
    active, pid = begin_locked(run, product)
    other = other_of(active)
    innocent = Innocent(run, other, pid, "list")
    run.lab.host(other).exec(["/bin/sh", "-c", f"echo {pid} > {PID_FILE}"], user="list")
    cut = run.cut(active)
    wait_takeover(run, product, cut)
    finish(run)
    wait_rejoin(run, product, cut)
    innocent.demand_alive()
    master = labpids.inner_pid(runner_pid(run, product, other, "master"))
    if locked(run) != (other, master):
        raise drillrun.DrillFailed(f"the master lock names {locked(run)}, and the master is {master} of {other}")
    innocent.end()
    run.done()
    run.expect(active=other, fenced=[], rebooted=[])


def crash(run, product, host, user):
    """All of the list service is killed, and the master's pid is another program's before anybody looks. While one of its runners
    lives the kernel does not give it away: it is the number of their session."""
    pid = labpids.inner_pid(runner_pid(run, product, host, "master"))
    for process in sorted(product.list_processes(host)):
        watching.kill_one(process)
    innocent = Innocent(run, host, pid, user)
    if "master" in product.list_processes(host).values() or locked(run) != (host, pid):
        raise drillrun.DrillFailed("the restart was faster: nothing is shown")
    return innocent


@drill("pid-reuse-restart")
def drill_pid_reuse_restart(run, product):
    """The list service of the active node is killed, and its master's pid is another program's at once: what lock and pid file name
    is alive and is not the master. The service is started again on the same node."""
    innocents = []
    lose(run, product, "list service killed and its master's pid taken by another program",
         lambda host: innocents.append(crash(run, product, host, "daemon")), "lmtp")
    innocents[0].demand_alive()
    innocents[0].end()
    run.done()
