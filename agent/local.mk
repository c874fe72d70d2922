# SPDX-License-Identifier: GPL-2.0-or-later
include agent/core/local.mk
include agent/common/local.mk
include agent/daemon/local.mk
include agent/cli/local.mk
include agent/man/local.mk
