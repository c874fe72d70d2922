/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The units of the recovery pass: queue:NAME for each queue directory, and of Mailman 2.1 list:NAME for each list and bounces:data
 * for what dead runners had seen. The names of queue entries do not tell their list, so no list goes before another. The lock
 * directory is none of them: without it the list server cannot start, so it is treated before, as a whole. */
#ifndef UNDERSTUDY_UNIT_H
#define UNDERSTUDY_UNIT_H

#include "resource/state/ledger.h"
#include "resource/state/lists.h"
#include "resource/state/pass.h"
#include "resource/state/state.h"

/* What attempts need, opened before the workers are forked. */
struct units {
    const struct state_ctx *ctx;            /* borrowed */
    struct state_totals    *totals;         /* borrowed */
    int                     queues;         /* the directory of all queues */
    int                     lists, locks;   /* Mailman 2.1: the directory of all lists, and that of the locks; else -1 */
    int                     quarantine;     /* of the queues; a worker opens it when it first needs it */
    uint64_t                content_until_ms;
    struct list_counts      counts;         /* of the parent, like the next */
    struct ledger           ledger;         /* not used while the list server runs */
};

/* EXIT_DONE or EXIT_FAILED; units_close() in any case. */
int  units_open(struct units *u, const struct state_ctx *ctx, struct state_totals *totals);
/* In the parent, before the attempts: what earlier passes have noted. */
void units_begin(struct units *u);
void units_close(struct units *u);

/* All units there are, in the order in which they are to be tried; `ret` is freed by the caller in any case. EXIT_DONE or
 * EXIT_FAILED. */
int units_list(const struct units *u, struct pass_unit **ret, size_t *ret_n);

/* After the attempts: what was noted is kept, and the lists are counted aloud. */
void units_finish(struct units *u, const struct pass_unit *v, size_t n);

/* For struct pass, with struct units as ctx. */
enum pass_result unit_attempt(void *units, const char *unit, struct pass_answer *ret);
void             unit_told(void *units, const struct pass_unit *unit, const void *data, size_t len);

#endif
