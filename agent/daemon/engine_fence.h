/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of each fence device, and when its "off" is believed (design.md: Fencing; reliability I3, F15). */
#ifndef UNDERSTUDY_ENGINE_FENCE_H
#define UNDERSTUDY_ENGINE_FENCE_H

#include "daemon/engine_driver.h"

/* The answer RESULT of a fence device; others are returned as they are. "off" is an exit status of 2 alone, and a program that
 * fails before it begins may end so too: RES_FAILED, with the reason in op->text, unless the device has answered on or done an
 * off in this run of the engine, or says it in words. */
enum core_result fence_judge(struct driver *d, struct op *op, enum core_result result);
/* An operation is over, or late; others than those of fence devices are left alone. */
void fence_done(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms);

#endif
