/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host: power, boot, pauses, and the executor, which stops what runs when its engine is gone. */
#include <string.h>

#include "world.h"

struct core_id host_boot_id(const struct world *w, unsigned h)
{
    return (struct core_id){ .hi = 1 + h, .lo = (uint64_t)w->host[h].boot * 16 + h + 1 };
}

/* What the list service had on its way: lands within the bound that the drain is configured for. */
void host_stop_service(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    if (x->running)
        for (uint64_t i = rng_range(&w->rng, 0, 2); i > 0; i--)
            world_push(w, w->now + rng_range(&w->rng, 0, w->p.cfg.drain_ms * 9 / 10), WE_WRITE, h, x->writes, 0);
    x->running = x->whole = x->rogue = x->frozen = x->released = false;
}

void host_off(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    if (!x->on)
        return;
    world_trace(w, h, "power off");
    host_stop_service(w, h);
    child_kill_all(w, h, true);
    if (rng_chance(&w->rng, 0.2))
        world_push(w, w->now + rng_range(&w->rng, 0, w->p.cfg.drain_ms * 2), WE_BEAT, h, x->boot, 0);
    x->engine.alive = false;
    x->on = x->booted = x->cpg = x->address = x->intake = x->stopping = x->seen_all = false;
    x->ring = x->quorum_at = x->paused_until = x->share_hangs_until = x->beats_since = 0;
    x->view = 0;
    memset(x->mail, 0, sizeof x->mail);
    net_changed(w, w->p.detect_ms);
}

/* A host has power when every level leaves it some: two supplies of one level, or a BMC behind them. */
void host_power(struct world *w, unsigned h)
{
    const struct core_config *c = &w->p.cfg;
    bool power = true;
    for (unsigned d = 0; d < c->n_devices; d++) {
        bool level = false;
        for (unsigned o = 0; o < c->n_devices; o++)
            level |= c->device[o].node == c->device[d].node && c->device[o].level == c->device[d].level && w->device[o].on;
        if (c->device[d].node == h)
            power &= level;
    }
    if (!power)
        host_off(w, h);
    else if (!w->host[h].on) {
        w->host[h].on = true;
        w->host[h].boot++;
        world_push(w, w->now + w->p.boot_ms + rng_range(&w->rng, 0, 500), WE_BOOT, h, w->host[h].boot, 0);
    }
}

void host_reset(struct world *w, unsigned h)
{
    host_off(w, h);
    host_power(w, h);
}

void host_switch(struct world *w, unsigned h, bool on)
{
    bool has = false;
    for (unsigned d = 0; d < w->p.cfg.n_devices; d++) {
        if (w->p.cfg.device[d].node != h)
            continue;
        w->device[d].on = on;
        has = true;
    }
    if (has || on)
        host_power(w, h);
    else
        host_off(w, h);
}

void host_boot(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    x->booted = x->cpg = true;
    x->intake = true;
    world_trace(w, h, "booted");
    engine_start(w, h);
    net_changed(w, w->p.join_ms);
    world_push(w, w->now + 1, WE_TICK, h, x->boot, 0);
}

void host_pause(struct world *w, unsigned h, uint64_t ms)
{
    struct sim_host *x = &w->host[h];
    if (!x->on || !x->booted || world_paused(w, h))
        return;
    world_trace(w, h, "paused for %llu ms", (unsigned long long)ms);
    x->paused_until = w->now + ms;
    x->beats_since = 0;
    world_push(w, x->paused_until, WE_UNPAUSE, h, x->boot, 0);
    net_changed(w, w->p.detect_ms);
}

void host_wake(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    x->paused_until = x->beats_since = 0;
    world_trace(w, h, "awake");
    net_changed(w, w->p.join_ms);
    if (!x->engine.alive)
        return;
    driver_facts(w, h);
    driver_feed(w, h, (struct core_event){ .kind = EV_GAP });
}

void engine_start(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    struct sim_engine *g = &x->engine;
    struct core_config cfg = w->p.cfg;
    uint32_t gen = g->gen + 1;
    uint64_t adoptable = x->offered;
    x->offered = 0;
    memset(g, 0, sizeof *g);
    g->gen = gen;
    g->alive = true;
    g->run = rng_next(&w->rng) | 1;
    g->local_max = x->stored_max;
    g->adoptable = adoptable;
    cfg.self = h;
    core_init(&g->core, &cfg, w->now);
    x->snapshot_at = 0;
    x->cpg = true;
    world_trace(w, h, "engine started");
}

/* The engine is gone: its children are killed, members leaves the group, the executor makes an involuntary stop. */
void engine_crash(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    if (!x->engine.alive)
        return;
    world_trace(w, h, "engine gone");
    x->engine.alive = false;
    x->beats_since = 0;
    x->engine.gen++;
    x->cpg = false;
    child_kill_all(w, h, false);
    net_changed(w, w->p.join_ms);
    x->stopping = true;
    world_push(w, w->now + rng_range(&w->rng, 20, 400) * w->p.slow, WE_EXECUTOR, h, x->boot, 0);
}

/* Involuntary stop by the executor: again until it is proven; the end only if nothing of ours is left on a share. */
void executor_step(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    if (!x->stopping)
        return;
    if (x->stop_broken_until > w->now || child_unreaped(w, h, false) != 0 || child_unreaped(w, h, true) != 0) {
        world_push(w, w->now + 500, WE_EXECUTOR, h, x->boot, 0);
        return;
    }
    host_stop_service(w, h);
    x->address = false;
    x->stopping = false;
    uint64_t top = w->share.highest;
    const struct sim_epoch *e = &w->share.epoch[top];
    if (top != 0 && e->node == h && !e->ended && e->boot.lo == host_boot_id(w, h).lo && rng_chance(&w->rng, 0.7)) {
        struct core_action end = { .kind = ACT_RUN, .op = OP_END, .epoch = top };
        unsigned l = share_send(w, h, &end, e->run);
        world_push(w, share_answers_at(w, h) + rng_range(&w->rng, 1, 50), WE_LAND, h, 0, l);
    }
    engine_start(w, h);
    net_changed(w, w->p.join_ms);
}

/* The executor is gone, and with it engine, members and children; what runs goes on until the next one stops or adopts
 * it. The tenure's token is still there, unless an end was issued. */
void executor_crash(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    const struct core *c = &x->engine.core;
    if (!x->engine.alive)
        return;
    world_trace(w, h, "daemon gone");
    x->offered = x->engine.permit && c->owned && c->claim < W_EPOCHS && !w->share.epoch[c->claim].end_issued ? c->claim : 0;
    x->engine.alive = false;
    x->beats_since = 0;
    x->engine.gen++;
    x->cpg = false;
    child_kill_all(w, h, false);
    net_changed(w, w->p.join_ms);
    world_push(w, w->now + rng_range(&w->rng, 50, 3000), WE_DAEMON, h, x->boot, 0);
}

void executor_again(struct world *w, unsigned h)
{
    if (w->host[h].engine.alive || w->host[h].stopping)
        return;
    engine_start(w, h);
    net_changed(w, w->p.join_ms);
}
