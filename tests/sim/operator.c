/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After the faults: does exactly one serve? If not in time, an operator reads `explain` on each host and does what it
 * says, nothing more. A blocked state whose way out is not named, or does not lead out, is a dead end. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static bool serves(const struct world *w, unsigned h)
{
    const struct sim_host *x = &w->host[h];
    return x->on && x->engine.alive && x->engine.core.state == ST_ACTIVE && x->running && x->whole && x->intake && x->address
        && !x->frozen;
}

unsigned operator_serving(const struct world *w)
{
    unsigned n = 0;
    for (unsigned h = 0; h < w->p.n; h++)
        n += serves(w, h);
    return n;
}

/* Time enough for every wait that the core makes by itself, one after the other. */
static uint64_t patience(const struct world *w)
{
    const struct core_config *c = &w->p.cfg;
    uint64_t fence = 0;
    for (unsigned d = 0; d < c->n_devices; d++)
        fence += 4ull * c->fence_ms[d];
    return 3ull * c->claim_patience_ms * w->p.n + 2ull * c->share_patience_ms + 3ull * c->fence_retry_max_ms + fence
        + 3ull * c->drain_ms + 2 * w->p.boot_ms + 2 * w->p.detect_ms + 20000;
}

static void tell(struct world *w, unsigned h, enum core_event_kind kind, unsigned node)
{
    driver_facts(w, h);
    driver_feed(w, h, (struct core_event){ .kind = kind, .node = node });
}

/* Refused here because of an end that the other node can not write, and refused there too: then its daemon is restarted. */
static void restart_stuck(struct world *w, unsigned h)
{
    for (unsigned p = 0; p < w->p.n; p++)
        if (p != h && w->host[h].engine.facts.peer[p].in_ring && !w->host[h].engine.facts.peer[p].no_end_pending)
            executor_crash(w, p);
}

/* Another node is no obstacle when it is off, or a member that shows that nothing of the service is left on it. */
static bool harmless(const struct world *w, unsigned h, unsigned p)
{
    const struct core_peer *q = &w->host[h].engine.facts.peer[p];
    if (!q->in_ring)
        return !w->host[p].on;
    return q->heard && !q->digest_differs && q->no_service && q->no_share_child && q->no_end_pending;
}

void operator_recover(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    const struct core *c = &x->engine.core;
    const struct core_facts *f = &x->engine.facts;
    uint64_t top;
    if (!x->engine.alive || world_paused(w, h))
        return;
    driver_look(w, h);
    if (!x->engine.alive || f->share != SHARE_BEHIND || w->share_old_until > w->now || !f->members_fresh || f->ring == 0)
        return;
    if ((c->state != ST_PASSIVE && c->state != ST_ENDING && c->state != ST_HOLD) || c->stop_unproven
        || f->service_here != TRI_NO || f->unreaped != 0 || f->unreaped_fence != 0 || c->pending.op == OP_END)
        return;
    top = f->local_max > c->claim ? f->local_max : c->claim;
    for (unsigned p = 0; p < w->p.n; p++) {
        if (p != h && !harmless(w, h, p))
            return;
        if (p != h && f->peer[p].heard && f->peer[p].highest > top)
            top = f->peer[p].highest;
    }
    share_recover(w, top + 1);
}

/* Fencing that found its node on again, because somebody had switched it on meanwhile, has so long to succeed. */
#define FENCED_AGAIN_MS 20000u

static void follow(struct world *w, unsigned h, const struct core_why *y)
{
    struct sim_engine *g = &w->host[h].engine;
    world_trace(w, h, "OPERATOR reads %s about %u", core_reason_name(y->reason), y->node);
    uint64_t switched_on = w->host[y->node].switched_on;
    if (y->reason == WHY_FENCE_FAILED && (switched_on == 0 || w->now > switched_on + FENCED_AGAIN_MS))
        world_fail(w, CHECK_DEAD_END, "fencing fails, and every device works");
    if (y->reason == WHY_EPOCH_LOST) {
        for (unsigned p = 0; p < w->p.n; p++)
            operator_recover(w, p);
        if (g->facts.share == SHARE_BEHIND)
            restart_stuck(w, h);
    }
    if (y->reason == WHY_HELD) {
        tell(w, h, EV_CLEAR, 0);
    } else if (y->reason == WHY_UNSEEN_PEER && !w->host[y->node].on) {
        host_switch(w, y->node, true);
    } else if (y->reason == WHY_NOT_QUORATE) {
        for (unsigned p = 0; p < w->p.n; p++)
            if (!w->host[p].on)
                host_switch(w, p, true);
    } else if (y->reason == WHY_NO_DEVICE) {
        host_switch(w, y->node, false);
        if (core_may_acknowledge(&g->core, &g->facts, y->node) == WHY_NONE)
            tell(w, h, EV_ACKNOWLEDGE, y->node);
    }
}

static void act(struct world *w)
{
    bool any = false;
    w->helped = true;
    for (unsigned h = 0; h < w->p.n; h++) {
        struct sim_engine *g = &w->host[h].engine;
        struct core_why why[CORE_REASONS];
        any |= w->host[h].on;
        if (!w->host[h].on || !g->alive)
            continue;
        unsigned n = core_explain(&g->core, &g->facts, why);
        for (unsigned i = 0; i < n && g->alive; i++)
            follow(w, h, &why[i]);
    }
    if (!any) /* the page of the runbooks: both off */
        for (unsigned h = 0; h < w->p.n; h++)
            host_switch(w, h, true);
}

static void dead_end(struct world *w)
{
    char text[400] = "";
    size_t at = 0;
    for (unsigned h = 0; h < w->p.n && at < sizeof text; h++) {
        const struct sim_host *x = &w->host[h];
        struct core_why why[CORE_REASONS];
        unsigned n = x->engine.alive ? core_explain(&x->engine.core, &x->engine.facts, why) : 0;
        at += (size_t)snprintf(text + at, sizeof text - at, " host %u %s %s:", h, x->on ? "on" : "off",
                               core_state_name(x->engine.core.state));
        for (unsigned i = 0; i < n && at < sizeof text; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, " %s", core_reason_name(why[i].reason));
    }
    world_fail(w, CHECK_DEAD_END, "nobody serves %llu ms after the faults:%s", (unsigned long long)(w->now - w->healed_at), text);
}

void operator_judge(struct world *w)
{
    uint64_t bound = patience(w);
    if (operator_serving(w) != 1)
        w->served_since = 0;
    else if (w->served_since == 0)
        w->served_since = w->now;
    if (w->served_since != 0 && w->now >= w->served_since + 2000) {
        w->done = true;
        return;
    }
    if (w->now > w->healed_at + bound && w->now >= w->operator_at && w->served_since == 0) {
        w->operator_at = w->now + 3000;
        act(w);
    }
    if (w->now > w->healed_at + 3 * bound)
        dead_end(w);
    else
        world_push(w, w->now + 500, WE_JUDGE, 0, 0, 0);
}
