/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations that fail: told in the log. Claims that fail again and again, and programs that this node has no process,
 * descriptor or memory for, are kept to be explained. */
#ifndef UNDERSTUDY_ENGINE_FAILED_H
#define UNDERSTUDY_ENGINE_FAILED_H

#include "daemon/engine_driver.h"

#define FAILED_CLAIMS   2u      /* in a row: one may have lost to another node */
#define FAILED_FRESH_MS 10000u  /* a claim is tried again each second; later than that something else blocks */
#define FAILED_STARTS_MS 60000u /* a passive node starts little: its round of the fence devices, each half minute */

/* Before all else: a program that said nothing may have had no chance to. */
void failed_say(struct driver *d, struct op *op, const struct wire_done *done, uint64_t now_ms);

/* Before the other one, and also of one that was cancelled: its child is killed for the time it takes, not for the reason. */
void failed_late(struct driver *d, const struct op *op, uint64_t now_ms);
void failed_note(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms);
/* By this status a program could not be started since something is used up: it is not about this program, nor about this moment
 * of the tenure. */
bool failed_used_up(int32_t status);
/* By its status and what it printed it died while it was loaded, for want of memory: it has not begun to do what it is for. */
bool failed_not_loaded(const struct op *op, int32_t status);
/* This node would claim, and its claims fail. */
bool failed_claims(const struct driver *d, uint64_t now_ms);
/* This node has nothing left to start a program with. */
bool failed_starts(const struct driver *d, uint64_t now_ms);

#endif
