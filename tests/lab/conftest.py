# SPDX-License-Identifier: GPL-2.0-or-later
"""One lab for all test files that leave it as they found it; a file that needs another one defines `lab` itself."""
import contextlib

import pytest

import drills
import labconf
import lablib
from testlab import temporary_lab


class Shared:
    """A lab that goes from file to file; a new one after a failure, or when it is not as a new one would be."""

    def __init__(self):
        self.stack, self.lab, self.spoiled = contextlib.ExitStack(), None, False

    def get(self):
        if self.lab and (self.spoiled or not self.is_as_new()):
            self.close()
        if not self.lab:
            self.lab, self.spoiled = self.make(), False
        return self.lab

    def make(self):
        return self.stack.enter_context(temporary_lab("shared"))

    def is_as_new(self):
        """Both nodes are up, one is active and the other could be, and no failure is remembered."""
        product = drills.Product(self.lab)
        try:
            name = lablib.wait_until(product.active, 20, "one node is active")
            other = next(h for h in labconf.CLUSTER_HOSTS if h != name)
            lablib.wait_until(lambda: product.is_ready(other), 20, f"{other} is passive, with nothing in its way")
        except lablib.LabError:
            return False
        for host in labconf.CLUSTER_HOSTS:
            product.command(host, "clear")
        return product.status(name).get("maintenance", {}).get("state") in (None, "off")

    def close(self):
        self.stack.close()
        self.lab = None


SHARED = Shared()


def pytest_runtest_logreport(report):
    SHARED.spoiled = SHARED.spoiled or report.failed


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    return SHARED.get()


def pytest_sessionfinish():
    SHARED.close()
