#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""deploy/units/understudy.service: what it takes from the daemon, and what it must leave."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from program import Skip, eq, main, test

TOP = os.environ.get("top_srcdir", ".")
UNIT = os.path.join(os.environ.get("top_builddir", "."), "deploy/units/understudy.service")
EXPOSURE = 6.8      # systemd-analyze's figure, 10 = everything is open; the daemon is root and starts mount(8)


def settings():
    """{key: [value, ...]}"""
    found = {}
    with open(UNIT, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"(\w+)=(.*)", line)
            if m:
                found.setdefault(m.group(1), []).append(m.group(2).strip())
    return found


@test
def the_bounding_set_is_what_the_daemon_keeps():
    with open(os.path.join(TOP, "agent/daemon/privileges.c"), encoding="utf-8") as f:
        kept = set(re.findall(r"BIT\((CAP_\w+)\)", f.read()))
    eq(set(" ".join(settings()["CapabilityBoundingSet"]).split()), kept | {"CAP_SYS_NICE"}, "the daemon's own priority, set first")


@test
def a_share_that_is_mounted_here_is_there_for_everybody():
    """None of what gives the unit a mount namespace of its own."""
    private = {"PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectSystem", "ProtectHome", "ProtectKernelTunables",
               "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadOnlyPaths",
               "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem", "BindPaths",
               "BindReadOnlyPaths", "RootDirectory", "RootImage", "MountFlags", "PrivateIPC", "DynamicUser", "LogNamespace"}
    eq(set(settings()) & private, set())


@test
def what_the_list_service_needs_is_left():
    s = settings()
    eq([k for k in ("NoNewPrivileges", "RestrictSUIDSGID", "MemoryDenyWriteExecute", "ProtectClock", "DevicePolicy") if k in s], [])
    eq(s["KillMode"], ["process"])
    taken = s["SystemCallFilter"][0]
    assert taken.startswith("~") and not {"@reboot", "@mount", "@debug", "@setuid"} & set(taken[1:].split()), taken


@test
def systemd_takes_it_and_says_how_exposed_it_is():
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        raise Skip("systemd-analyze is not there")
    with tempfile.TemporaryDirectory(prefix="understudy-unit-test.") as folder:
        unit = shutil.copy(UNIT, folder)
        done = subprocess.run([analyze, "security", "--offline=true", "--no-pager", f"--threshold={int(EXPOSURE * 10)}", unit],
                              capture_output=True, text=True, check=False, timeout=30)
    figure = re.search(r"Overall exposure level for understudy.service: ([\d.]+)", done.stdout)
    assert figure, done.stdout[-300:] + done.stderr
    print(f"# exposure {figure.group(1)}")
    assert "Unknown" not in done.stderr and "Failed to parse" not in done.stderr, done.stderr
    assert float(figure.group(1)) <= EXPOSURE and done.returncode == 0, figure.group(0)


if __name__ == "__main__":
    sys.exit(main())
