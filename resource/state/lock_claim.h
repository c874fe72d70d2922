/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The claim file of an attempt, and what became of its link; for lock_take.c only. */
#ifndef UNDERSTUDY_LOCK_CLAIM_H
#define UNDERSTUDY_LOCK_CLAIM_H

#include "resource/state/lock_take.h"

/* What lies in the directory: no lock, another's, ours, or ours with a link count that it must not have. */
enum lock_link { LOCK_LINK_NONE, LOCK_LINK_OTHER, LOCK_LINK_OURS, LOCK_LINK_ODD };

/* A name that nobody else has, in the grammar of the locks. 0 or -errno. */
int lock_claim_new(const struct lock_place *place, const char *lock, char ret[LOCK_NAME_MAX]);

/* Makes h->claim for h->lock, durable, with its text and its time, and opens h->fd. `ret_server_s`: the file server's clock.
 * 0 or -errno with nothing left behind that can be removed. */
int lock_claim_make(const struct lock_place *place, unsigned lifetime_s, struct lock_handle *h, int64_t *ret_server_s);

/* Sets the time when it is over, on the very file. 0 or -errno. */
int lock_claim_touch(int fd, unsigned lifetime_s, int64_t server_s);

/* Closes and removes it. The name is known to nobody else. */
void lock_claim_drop(const struct lock_place *place, struct lock_handle *h);

/* An enum lock_link, or -errno. `ret`: of OURS and ODD, the file. */
int lock_claim_look(const struct lock_place *place, const struct lock_handle *h, struct stat *ret);

#endif
