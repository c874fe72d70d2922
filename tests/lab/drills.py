# SPDX-License-Identifier: GPL-2.0-or-later
"""The drills: what is done to a lab under mail load, what must come of it, and the record of it.

`run(lab, name, messages=..., json_path=...)` returns the record; NAMES are the drills. The lab must be up."""
import json
import subprocess
import sys

import drillreport
import drillrun
import drills_boot  # noqa: F401
import drills_clock  # noqa: F401
import drills_days  # noqa: F401
import drills_faulty  # noqa: F401
import drills_lies  # noqa: F401
import drills_lists  # noqa: F401
import drills_net  # noqa: F401
import drills_pause  # noqa: F401
import drills_pids  # noqa: F401
import drills_resources  # noqa: F401
import drills_runner  # noqa: F401
import drills_share  # noqa: F401
import drills_stop  # noqa: F401
import labhost
import lablib
import stockparts
from drillproduct import (Product, command_done, find_reason, need_active, wait_blocked, wait_rejoin,  # noqa: F401
                          wait_takeover, watch_nothing)
from drillrecord import PHASES, judge, make_record, phases_of  # noqa: F401
from drillset import DRILLS, MESSAGES, drill

SETTLE_S = 60
NOTHING_HAPPENS_S = 5       # how long the passive node is watched doing nothing after fencing has failed


@drill("power-off", 200)
def drill_power_off(run, product, how="power-off"):
    active = need_active(run, product)
    run.begin()
    run.load()
    run.wait_accepted(0.5)
    cut = run.cut(active, how)
    wait_takeover(run, product, cut)
    run.wait_delivered()
    wait_rejoin(run, product, cut)
    run.expect(active=cut["survivor"], fenced=[active] if how == "pause" else [])


@drill("power-off-twice", 200)
def drill_power_off_twice(run, product):
    active = need_active(run, product)
    run.begin()
    run.messages *= 2       # the second cut hits traffic as well
    run.load()
    run.wait_accepted(0.25)
    for share in (0.75, None):
        cut = run.cut(active)
        wait_takeover(run, product, cut)
        wait_rejoin(run, product, cut)
        active = cut["survivor"]
        if share:
            run.wait_accepted(share)
    run.wait_delivered()


@drill("pause", 200)
def drill_pause(run, product):
    """Every process of the active host stops. It may go on at any moment: only fencing makes it harmless."""
    drill_power_off(run, product, "pause")


@drill("fence-fails", 200)
def drill_fence_fails(run, product):
    active = need_active(run, product)
    run.begin()
    run.load()
    run.wait_accepted(0.5)
    run.lab.bmc(active).dead = True
    cut = run.cut(active)
    other = cut["survivor"]
    run.say(f"the BMC of {active} is dead too: {other} can not know whether {active} still writes")
    cut["explain"] = wait_blocked(run, product, other, "fence-failed", "acknowledge", 120)
    watch_nothing(run, product, [other], NOTHING_HAPPENS_S, f"nothing proves that {active} is off")
    command_done(run, product, other, "acknowledge", active, "--yes")
    cut["acknowledged_ms"] = drillrun.now_ms()
    run.say(f"acknowledged by hand: {active} is off")
    wait_takeover(run, product, cut)
    run.wait_delivered()
    run.lab.bmc(active).dead = False
    run.lab.host(active).power_on("drill: repaired")
    wait_rejoin(run, product, cut)


STOCK = {"compare": stockparts.drill_compare, "compare-pause": stockparts.drill_compare_pause}
NAMES = tuple(DRILLS) + tuple(STOCK)


def settle(work, product, stock):
    """After a failure: the lab as it was, and what is still on its way delivered, so that "lost" means that."""
    work.undo_all()
    try:
        if not stock and "load" in work.parts:
            work.wait(product.active, SETTLE_S, "one node is active")
            work.stop_load()
            work.wait_delivered(SETTLE_S)
    except (drillrun.DrillFailed, OSError) as err:
        work.notes.append(f"afterwards: {err}")


def run(lab, name, messages=None, json_path=None, out=sys.stdout, seed=None):
    """Runs drill NAME on a lab that is up; the record, which also goes to JSON_PATH. Raises only when it can not begin.

    MESSAGES None: as many as the drill wants. SEED: what a drill with chance in it makes of it; None: another one."""
    if name not in NAMES:
        raise ValueError(f"there is no drill {name!r}; the drills are {', '.join(NAMES)}")
    stock = name in STOCK
    scenario, parts = (STOCK[name], stockparts.Stock(lab)) if stock else (DRILLS[name], Product(lab))
    return run_scenario(lab, name, scenario, parts, stock, messages or MESSAGES.get(name, 200), json_path, out, seed)


def run_scenario(lab, name, scenario, parts, stock, messages, json_path, out, seed):
    failure = None
    work = drillrun.Run(lab, name, messages, not stock, out, seed)
    try:
        try:
            scenario(work, parts)
        except (drillrun.DrillFailed, subprocess.SubprocessError, OSError, lablib.LabError, labhost.HostOff) as err:
            failure = err
            work.say(f"failed: {err}")
            if work.auditor.process is None:    # it has not even begun: there are no figures
                raise drillrun.DrillFailed(f"{name} could not begin: {err}") from err
            settle(work, parts, stock)
        work.end_state = work.look_end(parts) if not stock else {}
        record = make_record(work, failure, stock)
    finally:
        work.undo_all()
        work.close()
        if stock:
            parts.stop()
    text = json.dumps(record, indent=1)
    for path in filter(None, (work.path("drill.json"), json_path)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    return record


def run_many(lab, name, messages, json_path, times, out, seed):
    """The same drill again and again in the same lab; the record has each one and what they come to."""
    records = []
    for number in range(times):
        print(f"drill {name}, {number + 1} of {times}", file=out, flush=True)
        records.append(run(lab, name, messages, None, out, None if seed is None else seed + number))
        print(drillreport.text(records[-1]), file=out, flush=True)
    summary = drillreport.summary(records)
    if json_path:
        with open(json_path, "w", encoding="utf-8") as file:
            file.write(json.dumps({"drill": name, "summary": summary, "drills": records}, indent=1) + "\n")
    print("\n" + drillreport.summary_text(summary), file=out)
    return summary


def report(perform, name, out):
    """Prints the record that PERFORM returns; 0 pass, 1 fail."""
    try:
        record = perform()
    except (ValueError, OSError, drillrun.DrillFailed, drillrun.auditor.AuditError) as err:
        print(f"{name}: {err}", file=sys.stderr)
        return 1
    print(drillreport.text(record), file=out)
    return 0 if record["verdict"] == "pass" else 1


def main(lab, name, json_path=None, messages=None, beside=None, times=1, out=sys.stdout, seed=None):
    """For the command line: 0 pass, 1 fail. Stock parts have no verdict to fail: their drill shows what happens."""
    try:
        if times > 1:
            return 0 if run_many(lab, name, messages, json_path, times, out, seed)["passed"] == times or name in STOCK else 1
        record = run(lab, name, messages, json_path, out, seed)
        print(drillreport.text(record), file=out)
        if beside:
            with open(beside, encoding="utf-8") as file:
                other = json.load(file)
            print("\n" + drillreport.side_by_side(other.get("drills", [other])[0], record), file=out)
    except (ValueError, OSError, drillrun.DrillFailed, drillrun.auditor.AuditError) as err:
        print(f"drill {name}: {err}", file=sys.stderr)
        return 1
    return 0 if record["verdict"] == "pass" or name in STOCK else 1
