/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done beside the list service when a tenure begins and ends: systemd units that go with it (also_units), and
 * the MX hosts that are told to retry now (design: Mail around it). Best effort: nothing of it is waited for, and no
 * failure reaches the core; it is logged and stands in the report. */
#ifndef UNDERSTUDY_ENGINE_UNITS_H
#define UNDERSTUDY_ENGINE_UNITS_H

#include "daemon/engine_driver.h"

/* The core has just left `from`. */
void units_state(struct driver *d, enum core_state from, uint64_t now_ms);
/* Each tick: a message that hung in a session to the dead host is free only when the MX has given that up, so the MX
 * hosts are told again. */
void units_tick(struct driver *d, uint64_t now_ms);

#endif
