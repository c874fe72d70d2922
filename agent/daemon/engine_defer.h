/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the recovery pass of this tenure has put off (locked, failed, hung): tried again while the node is active, when the first of
 * it is due, one pass at a time, and shown until nothing is left (facts: cyrus §4, R START). What is kept here is what
 * understudy-state last said; the truth is in its defer file. */
#ifndef UNDERSTUDY_ENGINE_DEFER_H
#define UNDERSTUDY_ENGINE_DEFER_H

#include <jansson.h>

#include "daemon/engine_driver.h"

/* Each tick. */
void defer_tick(struct driver *d, uint64_t now_ms);
/* A record of JOB_STATE_RECOVER or JOB_STATE_RETRY; others are left alone. */
void defer_record(struct driver *d, const struct op *op, const struct record *r, uint64_t now_ms);
/* An operation of the engine's own is over; others than the retry are left alone. */
void defer_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms);

/* For status: null when nothing is put off, or when it is not known yet. */
json_t *defer_json(const struct driver_defer *d, uint64_t now_ms);

#endif
