# SPDX-License-Identifier: GPL-2.0-or-later
"""What test files share: one lab for all drills that are each run once, since a drill leaves it as it found it."""
import pytest

from testlab import temporary_lab


@pytest.fixture(name="lab", scope="session")
def fixture_lab():
    with temporary_lab("drill") as lab:
        yield lab
