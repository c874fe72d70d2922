# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the product in a lab begin with: is it built, and a lab that goes when they are done."""
import contextlib
import os
import tempfile

import pytest

import lablib


def has_product():
    build = os.environ.get("UNDERSTUDY_BUILD")
    return bool(build) and os.path.exists(os.path.join(build, "understudyd"))


needs_product = pytest.mark.skipif(os.geteuid() != 0 or not has_product(),
                                   reason="needs root and UNDERSTUDY_BUILD: THE PRODUCT WAS NOT TESTED")


@contextlib.contextmanager
def temporary_lab(name, **how):
    """A lab that is up; HOW: as for Lab.up()."""
    with tempfile.TemporaryDirectory(prefix=f"understudy-{name}-test.") as directory:
        lab = lablib.Lab(os.path.join(directory, "lab"))
        try:
            yield lab.up(**how)
        finally:
            lab.down()
