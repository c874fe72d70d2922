# SPDX-License-Identifier: GPL-2.0-or-later
"""ipmitool-password-file below Debian's fence_ipmilan, against a real BMC simulator: the password is seen nowhere."""
import os
import time

import pytest

import agentlib

needs = agentlib.why_not() or "".join(f"no {name}; " for name in ("ipmi_sim", "ipmitool", "fence_ipmilan")
                                      if not agentlib.program(name))
pytestmark = pytest.mark.skipif(bool(needs), reason=needs or "-")

PASSWORD = "s3cr3t-of-bmc"
HELPER = agentlib.built("fencing/ipmitool-password-file")


@pytest.fixture(name="bmc")
def simulated_bmc(tmp_path):
    host = agentlib.Host("bmc", tmp_path)
    power, control = tmp_path / "power", tmp_path / "control"
    power.write_text("1")
    control.write_text(f"#!/bin/sh\ncase $1 in get) echo power:$(cat {power});;\n"
                       f"set) [ \"$2\" = power ] && echo $3 >{power};;\nesac\nexit 0\n")
    control.chmod(0o755)
    (tmp_path / "sim.conf").write_text(
        f'name "a"\nset_working_mc 0x20\n startlan 1\n  addr 127.0.0.1 623\n  priv_limit admin\n  guid {1:032x}\n'
        f'  allowed_auths_admin md5\n endlan\n chassis_control "{control}"\n user 2 true "op" "{PASSWORD}" admin 10 md5\n')
    (tmp_path / "sim.emu").write_text("mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
                                      "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    simulator = host.start("ipmi_sim", "-c", str(tmp_path / "sim.conf"), "-f", str(tmp_path / "sim.emu"), "-s",
                           str(tmp_path / "state"), "-n")
    try:
        deadline = time.monotonic() + 10
        while ":623" not in host.sh("ss -Hlun"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield host, tmp_path
    finally:
        simulator.kill()
        host.stop()


def lines(action, **more):
    params = {"action": action, "ip": "127.0.0.1", "username": "op", "lanplus": 1, "cipher": 3, "power_wait": 0,
              "ipmitool_path": HELPER, **more}
    return "".join(f"{key}={value}\n" for key, value in params.items())


def fence(bmc, action, **more):
    host, folder = bmc
    return host.run("/usr/sbin/fence_ipmilan", input=lines(action, **more),
                    env={"UNDERSTUDY_PASSWORD_FILE": str(folder / "password")})


def test_off_and_on(bmc):
    assert fence(bmc, "status").returncode == 0
    assert fence(bmc, "off").returncode == 0
    assert (bmc[1] / "power").read_text().strip() == "0"
    assert fence(bmc, "status").returncode == 2
    assert fence(bmc, "on").returncode == 0
    assert fence(bmc, "status").returncode == 0


def processes(own):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    yield int(pid), name, file.read()
        except OSError:
            continue
    assert own


def test_password_is_in_no_process(bmc):
    """Every process of the machine is read while the calls run. A password given to fence_ipmilan itself, which hands it on
    as an argument, does not get past the helper either."""
    host, folder = bmc
    seen_helper, leaks = False, []
    for more in ({}, {"password": "dummy-password"}):
        for action in ("status", "off", "on"):
            call = host.start("/usr/sbin/fence_ipmilan", env={"UNDERSTUDY_PASSWORD_FILE": str(folder / "password")})
            call.stdin.write(lines(action, **more))
            call.stdin.close()
            while call.poll() is None:
                for pid, name, data in processes(True):
                    if PASSWORD.encode() in data and pid != os.getpid():
                        leaks.append((pid, name, data))
                    argv = data.split(b"\0")
                    seen_helper |= name == "cmdline" and argv[0] == b"/usr/bin/ipmitool" and b"-f" in argv
                    assert not (argv[0] == b"/usr/bin/ipmitool" and b"-P" in argv)
            assert call.returncode == 0
            call.stdout.close()
    assert seen_helper, "ipmitool was never caught running: the test proves nothing"
    assert not leaks


@pytest.mark.parametrize("spoil, word", [
    (lambda path: path.chmod(0o640), "readable by nobody else"), (lambda path: os.chown(path, 38, 0), "must belong"),
    (lambda path: path.write_text(""), "empty"), (lambda path: path.unlink(), "No such file"),
    (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "symbolic links"),
])
def test_unsafe_files_are_refused(bmc, spoil, word):
    host, folder = bmc
    spoil(folder / "password")
    done = host.run(HELPER, "chassis", "power", "status", env={"UNDERSTUDY_PASSWORD_FILE": str(folder / "password")})
    assert done.returncode == 1 and word in done.stderr
    assert host.run(HELPER, "chassis", "power", "status").returncode == 1
