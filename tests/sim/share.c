/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control share: epochs made once by link, each change on its way for a while, answered late or never. */
#include <assert.h>
#include <string.h>

#include "world.h"

void share_init(struct world *w)
{
    w->share.highest = 0;
    w->share.epoch[0] = (struct sim_epoch){ .node = CORE_NODE_NONE, .ended = true };
    w->share.n_open = 0;
}

static bool hangs(uint64_t until, uint64_t now) { return until > now; }

bool share_answers(const struct world *w, unsigned h)
{
    return !hangs(w->share.hangs_until, w->now) && !hangs(w->host[h].share_hangs_until, w->now);
}

uint64_t share_answers_at(const struct world *w, unsigned h)
{
    uint64_t at = w->share.hangs_until > w->host[h].share_hangs_until ? w->share.hangs_until : w->host[h].share_hangs_until;
    return at > w->now ? at : w->now;
}

static struct core_epoch view_of(const struct world *w, uint64_t n)
{
    const struct sim_epoch *e = &w->share.epoch[n];
    return (struct core_epoch){ .n = n, .node = e->node, .boot = e->boot, .run = e->run, .owned = e->owned,
                                .ended = e->ended, .planned = e->planned };
}

void share_snapshot(struct world *w, struct sim_snapshot *ret)
{
    ret->highest = w->share.highest;
    ret->last = view_of(w, w->share.highest);
    ret->before = w->share.highest > 0 ? view_of(w, w->share.highest - 1) : (struct core_epoch){ .node = CORE_NODE_NONE };
    ret->n_open = w->share.n_open;
    for (unsigned i = 0; i < w->share.n_open && i < CORE_EPOCHS; i++)
        ret->open[i] = view_of(w, w->share.open[i]);
    memcpy(ret->beat, w->share.beat, sizeof ret->beat);
}

/* Another node has that number, on a share that was put back: there is nothing to be ended. */
bool share_is_anothers(const struct world *w, unsigned h, const struct core_action *a)
{
    return a->op == OP_END && a->epoch <= w->share.highest && w->share.epoch[a->epoch].node != h;
}

/* What the program looks at before it links: only highest + 1, only our own, only the highest. */
bool share_allows(const struct world *w, unsigned h, const struct core_action *a, uint64_t run)
{
    const struct sim_epoch *e = &w->share.epoch[a->epoch < W_EPOCHS ? a->epoch : 0];
    if (a->op == OP_CLAIM)
        return a->epoch == w->share.highest + 1;
    if (a->epoch > w->share.highest || e->node != h)
        return false;
    return a->op == OP_END || (a->epoch == w->share.highest && e->run == run && !e->ended);
}

unsigned share_send(struct world *w, unsigned h, const struct core_action *a, uint64_t run)
{
    for (unsigned i = 0; i < W_LANDINGS; i++) {
        if (w->landing[i].used)
            continue;
        w->landing[i] = (struct sim_landing){ .used = true, .op = a->op, .node = (uint8_t)h,
            .boot = host_boot_id(w, h), .run = run, .op_id = a->op_id, .epoch = a->epoch, .planned = a->planned };
        if (a->op == OP_END && a->epoch < W_EPOCHS)
            w->share.epoch[a->epoch].end_issued = true;
        return i + 1;
    }
    assert(false && "too many changes on their way");
    return 0;
}

static void close_epoch(struct world *w, uint64_t n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->share.n_open; i++)
        if (w->share.open[i] != n)
            w->share.open[kept++] = w->share.open[i];
    w->share.n_open = kept;
}

/* link(2): the first one to arrive makes the file, all others change nothing. */
void share_land(struct world *w, unsigned landing)
{
    struct sim_landing *l = &w->landing[landing - 1];
    struct sim_epoch *e = &w->share.epoch[l->epoch];
    l->used = false;
    if (l->op == OP_CLAIM && l->epoch == w->share.highest + 1) {
        assert(l->epoch < W_EPOCHS && w->share.n_open < W_OPEN_MAX * 4);
        *e = (struct sim_epoch){ .node = l->node, .boot = l->boot, .run = l->run, .op_id = l->op_id };
        w->share.highest = l->epoch;
        w->share.open[w->share.n_open++] = (uint16_t)l->epoch;
        world_trace(w, l->node, "epoch %llu made", (unsigned long long)l->epoch);
    } else if (l->op == OP_OWN && e->node == l->node && e->run == l->run) {
        e->owned = true;
        world_trace(w, l->node, "epoch %llu owned", (unsigned long long)l->epoch);
    } else if (l->op == OP_END && e->node == l->node && !e->ended) {
        e->ended = true;
        e->planned = l->planned;
        close_epoch(w, l->epoch);
        world_trace(w, l->node, "epoch %llu ended", (unsigned long long)l->epoch);
    }
}

/* The fresh look after the link. */
bool share_done(const struct world *w, unsigned h, const struct core_action *a, uint64_t run)
{
    if (a->epoch > w->share.highest || a->epoch >= W_EPOCHS)
        return false;
    const struct sim_epoch *e = &w->share.epoch[a->epoch];
    if (e->node != h)
        return share_is_anothers(w, h, a);
    if (a->op == OP_END)
        return e->ended;
    if (e->run != run || w->share.highest != a->epoch)
        return false;
    return a->op == OP_CLAIM ? e->op_id == a->op_id : e->owned;
}

/* Only when every node has seen more: a node whose own record is as old as the backup can not know that it is one. */
void share_restore(struct world *w)
{
    uint64_t top = w->share.highest, keep;
    unsigned kept = 0;
    for (unsigned h = 0; h < w->p.n; h++)
        if (w->host[h].stored_max < top)
            return;
    if (top == 0)
        return;
    keep = rng_range(&w->rng, top > 3 ? top - 3 : 0, top - 1);
    for (unsigned i = 0; i < w->share.n_open; i++)
        if (w->share.open[i] <= keep)
            w->share.open[kept++] = w->share.open[i];
    w->share.n_open = kept;
    if (w->share.epoch[keep].node != CORE_NODE_NONE && w->share.epoch[keep].ended && rng_chance(&w->rng, 0.5)) {
        w->share.epoch[keep].ended = w->share.epoch[keep].planned = false;
        w->share.epoch[keep].reopened = true; /* the backup was made during that tenure */
        w->share.open[w->share.n_open++] = (uint16_t)keep;
    }
    w->share.highest = keep;
    world_trace(w, 0, "the share is as it was at epoch %llu", (unsigned long long)keep);
}

/* Whoever held an epoch below a base is proven harmless: that is what init --recover asks for. */
void share_recover(struct world *w, uint64_t n)
{
    assert(n < W_EPOCHS);
    w->share.epoch[n] = (struct sim_epoch){ .node = CORE_NODE_NONE, .ended = true };
    w->share.highest = n;
    w->share.n_open = 0;
    world_trace(w, 0, "init --recover: epoch %llu is a base", (unsigned long long)n);
}

bool share_has_open(const struct world *w, unsigned node, struct core_id boot, uint64_t below)
{
    for (unsigned i = 0; i < w->share.n_open; i++) {
        const struct sim_epoch *e = &w->share.epoch[w->share.open[i]];
        if (w->share.open[i] < below && e->node == node && e->boot.lo == boot.lo && !e->reopened)
            return true;
    }
    return false;
}
