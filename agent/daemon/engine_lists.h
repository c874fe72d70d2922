/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list share of an active node, probed as often as the list service is looked at. What Mailman can not queue its LMTP
 * server refuses for good (550, facts: mailman C), so intake is closed while a probe fails or does not come back
 * (reliability F35, L11). The probe writes as the list user, and keeps a reserve free so that it fails before Mailman does. */
#ifndef UNDERSTUDY_ENGINE_LISTS_H
#define UNDERSTUDY_ENGINE_LISTS_H

#include "daemon/engine_driver.h"

/* Each tick. */
void lists_tick(struct driver *d, uint64_t now_ms);
/* An operation of the engine's own is over; others than the probe are left alone. What says nothing about the share (a
 * probe that could not be started, was cancelled or refused) changes nothing. */
void lists_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms);

#endif
