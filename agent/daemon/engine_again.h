/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look at the list service that could not even be started, or died while it was loaded, for want of a process, descriptor or
 * memory, says nothing about it. It is asked for again, with what is left of its deadline, and has failed only when most of
 * that is over. Nothing else waits like that: a stop, an end or a fencing that can not be started is not done, and is told so
 * at once. */
#ifndef UNDERSTUDY_ENGINE_AGAIN_H
#define UNDERSTUDY_ENGINE_AGAIN_H

#include "daemon/engine_driver.h"

#define AGAIN_MS 200u /* between two tries */

/* True: `op` is kept and asked for again by again_tick(), and the core hears nothing yet. False: it is an answer like any other. */
bool again_put_off(struct driver *d, struct op *op, const struct wire_done *done, uint64_t now_ms);
/* Call each tick. */
void again_tick(struct driver *d, uint64_t now_ms);
/* Until when (BOOTTIME, ms) the look that can not be started now is tried; 0 = none waits. */
uint64_t again_until_ms(const struct driver *d);

#endif
