# SPDX-License-Identifier: GPL-2.0-or-later
"""The executor and a real watchdog, the kernel's softdog: when nobody pets it the whole guest is gone."""
import tempfile
import time

import pytest

import umlproduct
from umlguest import Guest, GuestError, Network

PROGRAM = f"{umlproduct.BUILD}/tests/lab/umlsoftdog"
FAKE_ENGINE = f"{umlproduct.BUILD}/tests/unit/fake_engine"
DEVICE = "/dev/watchdog1"       # 0 is user-mode Linux's own
TIMEOUT_S = 10                  # umlsoftdog.c's

pytestmark = pytest.mark.skipif(bool(umlproduct.why_not(PROGRAM, FAKE_ENGINE)), reason=umlproduct.why_not(PROGRAM, FAKE_ENGINE))


@pytest.fixture(name="guest")
def fixture_guest(request):
    """One that its watchdog stops for good: without soft_panic it would begin anew inside the same process."""
    nowayout = int("nowayout" in request.node.callspec.params["mode"] if hasattr(request.node, "callspec") else 0)
    with tempfile.TemporaryDirectory(prefix="understudy-uml.") as directory:
        network = Network()
        guest = Guest(network, directory, "a", 11, modules=[f"softdog soft_panic=1 soft_margin=60 nowayout={nowayout}"])
        try:
            guest.start()
            yield guest.wait_ready()
        finally:
            guest.power_off()
            network.close()


def begin(guest, mode):
    """The program, once the watchdog is armed."""
    job = guest.begin(["/bin/sh", "-c", f"exec {PROGRAM} {DEVICE} {mode} > /tmp/out 2>&1"], env={"top_builddir": umlproduct.BUILD})
    guest.shell("until grep -q armed /tmp/out; do sleep 0.1; done", timeout=30)
    return job


def reset_after(guest, within_s):
    """How long until the whole guest is gone."""
    began = time.monotonic()
    while guest.powered:
        if time.monotonic() > began + within_s:
            raise GuestError(f"not reset within {within_s} s: {guest.ok(['/bin/cat', '/tmp/out'])}")
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["no-permits", "stopped"])
def test_a_node_whose_engine_or_executor_is_silent_is_reset(guest, mode):
    begin(guest, mode)
    took = reset_after(guest, TIMEOUT_S + 10)
    print(f"lab: {mode}: reset {took:.1f} s after it was armed")
    assert took > TIMEOUT_S - 4
    assert "watchdog" in guest.console.read_text(errors="replace").lower()


def test_a_dead_executor_ends_in_a_reset(guest):
    job = begin(guest, "permits")
    job.close()
    guest.run(["/usr/bin/pkill", "-9", "-x", "umlsoftdog"])
    reset_after(guest, TIMEOUT_S + 10)


@pytest.mark.parametrize("mode", ["permits", "proven-stop", "proven-stop-nowayout"])
def test_one_that_has_its_permits_or_has_stopped_is_not(guest, mode):
    """Disarmed after a stop, or, where the driver lets nobody do that, petted while nothing runs."""
    done = begin(guest, mode).wait(60)
    assert done.code == 0 and "alive" in guest.ok(["/bin/cat", "/tmp/out"]), guest.ok(["/bin/cat", "/tmp/out"])
