# SPDX-License-Identifier: GPL-2.0-or-later
include tests/unit/local.mk
include tests/sim/local.mk
include tests/conformance/local.mk
include tests/fuzz/local.mk
include tests/lab/local.mk
include tests/mailman21/local.mk
include tests/bench/local.mk
