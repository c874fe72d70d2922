/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A binary heap by time, then by the order of making: the same seed gives the same run. */
#include <assert.h>

#include "world.h"

static bool before(const struct world_event *a, const struct world_event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void queue_put(struct world *w, const struct world_event *e)
{
    unsigned i = w->n_queue++;
    assert(w->n_queue <= W_QUEUE);
    while (i > 0 && before(e, &w->queue[(i - 1) / 2])) {
        w->queue[i] = w->queue[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->queue[i] = *e;
}

bool queue_take(struct world *w, struct world_event *ret)
{
    if (w->n_queue == 0)
        return false;
    *ret = w->queue[0];
    struct world_event last = w->queue[--w->n_queue];
    unsigned i = 0, child;
    while ((child = 2 * i + 1) < w->n_queue) {
        if (child + 1 < w->n_queue && before(&w->queue[child + 1], &w->queue[child]))
            child++;
        if (!before(&w->queue[child], &last))
            break;
        w->queue[i] = w->queue[child];
        i = child;
    }
    w->queue[i] = last;
    return true;
}
