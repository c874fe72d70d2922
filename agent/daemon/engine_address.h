/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floating address of an active node, looked at as often as the list service (reliability I13, F48, F49). The look
 * announces it anew, so that a neighbour whose cache went wrong in a split finds us. An address that is gone from this node
 * counts as a list service that is not whole, and is put back by its restart; a link that is down is told to a person
 * only, since nothing says that the other node's is up. */
#ifndef UNDERSTUDY_ENGINE_ADDRESS_H
#define UNDERSTUDY_ENGINE_ADDRESS_H

#include "daemon/engine_driver.h"

/* Each tick. */
void address_tick(struct driver *d, uint64_t now_ms);
/* An operation of the engine's own is over; others than the look are left alone. */
void address_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms);
/* What the list service's own monitor found, with ours: takes the news that the address is gone, once. */
enum core_result address_with(struct driver *d, const struct op *op, enum core_result service);

#endif
