/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small model of the engine's driver: turns what it sees into facts, feeds the core, carries out the actions. */
#include <string.h>

#include "world.h"

static void peer_facts(struct world *w, unsigned h, unsigned p)
{
    struct sim_host *x = &w->host[h];
    struct sim_engine *g = &x->engine;
    struct core_peer *q = &g->facts.peer[p];
    const struct sim_message *m = &g->last[p];
    bool known = g->heard_at[p] != 0;
    q->in_ring = x->view & (1u << p);
    q->heard = q->in_ring && known && m->ring == x->ring && g->heard_at[p] + w->p.heard_ms > w->now;
    q->no_service = m->no_service;
    q->no_share_child = m->no_share_child;
    q->no_end_pending = m->no_end_pending;
    q->held = m->held;
    q->ready = m->ready;
    q->releasing = m->releasing;
    q->digest_differs = q->in_ring && known && (m->digest_differs || x->digest_until > w->now);
    q->boot = m->boot;
    q->highest = m->highest;
    q->beat_moves = g->beat_at[p] != 0 && g->beat_at[p] + 3 * w->p.beat_ms > w->now;
    q->beat_same = g->beat_same[p];
    q->beat_boot = g->report.beat[p].boot;
}

static void share_facts(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    struct sim_engine *g = &x->engine;
    struct core_facts *f = &g->facts;
    f->share = SHARE_UNKNOWN;
    f->share_seen_ms = g->reported_at;
    if (!g->reported || g->reported_at + w->p.cfg.share_deadline_ms < w->now)
        return;
    f->share = x->share_wrong_until > w->now ? SHARE_WRONG : g->report.highest < g->local_max ? SHARE_BEHIND : SHARE_OK;
    f->highest = g->report.highest;
    if (w->share_old_until > w->now && f->highest > 0) { /* restored from a backup, until the right one is mounted */
        f->highest--;
        f->share = f->highest < g->local_max ? SHARE_BEHIND : f->share;
    }
    f->local_max = g->local_max;
    f->last = g->report.last;
    f->before = g->report.before;
    f->n_open = g->report.n_open;
    memcpy(f->open, g->report.open, sizeof f->open);
}

void driver_facts(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    struct core_facts *f = &x->engine.facts;
    f->members_fresh = x->corosync_stopped_until <= w->now && x->ring != 0;
    f->encrypted_ok = x->not_encrypted_until <= w->now;
    f->quorate = net_quorate(w, h);
    f->quorum_settling = net_quorum_settling(w, h);
    f->ring = x->ring;
    f->run = x->engine.run;
    f->peer[h].boot = host_boot_id(w, h);
    f->unreaped = child_unreaped(w, h, false);
    f->unreaped_fence = child_unreaped(w, h, true);
    f->maintenance = w->maintenance_until > w->now;
    f->maintenance_sound = f->maintenance;
    f->adoptable = x->engine.adoptable;
    f->service_here = x->running || x->rogue ? TRI_YES : rng_chance(&w->rng, w->p.p_noise) ? TRI_UNKNOWN : TRI_NO;
    f->lists_refuse = x->running && x->lists_full_until > w->now;
    share_facts(w, h);
    for (unsigned p = 0; p < w->p.n; p++)
        if (p != h)
            peer_facts(w, h, p);
}

/* A sign of a boot that the core has proven dead: a message sent in the present ring, or a beat that changes. */
static void dead_signs(struct world *w, unsigned h)
{
    struct sim_engine *g = &w->host[h].engine;
    for (unsigned p = 0; p < w->p.n; p++) {
        struct core_id dead = g->core.dead_boot[p];
        if (dead.lo != g->dead[p].lo) {
            g->dead[p] = dead;
            g->facts.peer[p].dead_boot_seen = false;
        } else if (dead.lo != 0) {
            bool spoke = g->facts.peer[p].heard && g->facts.peer[p].boot.lo == dead.lo;
            bool beats = g->beat_same[p] == 0 && g->report.beat[p].boot.lo == dead.lo;
            g->facts.peer[p].dead_boot_seen |= spoke || beats || rng_chance(&w->rng, w->p.p_noise);
        }
    }
}

static void take_report(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    struct sim_engine *g = &x->engine;
    share_snapshot(w, &x->snapshot[x->snapshot_at++ % 2]);
    bool stale = x->snapshot_at > 1 && rng_chance(&w->rng, w->p.p_stale_report);
    const struct sim_snapshot *s = &x->snapshot[(x->snapshot_at + (stale ? 0 : 1)) % 2];
    for (unsigned p = 0; p < w->p.n; p++) {
        bool same = g->reported && s->beat[p].counter == g->beat_counter[p];
        g->beat_same[p] = same ? g->beat_same[p] + 1 : 0;
        if (!same)
            g->beat_at[p] = w->now;
        g->beat_counter[p] = s->beat[p].counter;
    }
    g->report = *s;
    g->reported = true;
    g->reported_at = w->now;
    if (s->highest > g->local_max)
        x->stored_max = g->local_max = s->highest;
}

void driver_tick(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    bool answers = x->engine.alive && share_answers(w, h) && x->ticks++ % w->p.report_every == 0;
    if (answers && (x->beats_since == 0 || w->now >= x->read_at + 2 * w->p.beat_ms))
        x->beats_since = w->now;
    if (answers)
        x->read_at = w->now;
    if (x->engine.alive) {
        if (answers) {
            w->share.beat[h].boot = host_boot_id(w, h);
            w->share.beat[h].counter++;
            take_report(w, h);
        }
        check_wakeup(w, h);
        net_receive(w, h);
        driver_facts(w, h);
        dead_signs(w, h);
        driver_feed(w, h, (struct core_event){ .kind = EV_LOOK });
        if (x->engine.alive && rng_chance(&w->rng, w->p.p_noise))
            driver_feed(w, h, (struct core_event){ .kind = EV_GAP });
        if (x->engine.alive)
            net_send(w, h);
    }
    if (x->on)
        world_push(w, w->now + w->p.beat_ms, WE_TICK, h, x->boot, 0);
}

void driver_look(struct world *w, unsigned h)
{
    driver_facts(w, h);
    driver_feed(w, h, (struct core_event){ .kind = EV_LOOK });
}

void driver_wake(struct world *w, unsigned h)
{
    struct sim_engine *g = &w->host[h].engine;
    if (!g->alive || g->wake_at != w->now)
        return;
    g->wake_at = 0;
    driver_look(w, h);
}

static void do_action(struct world *w, unsigned h, const struct core_action *a)
{
    struct sim_engine *g = &w->host[h].engine;
    check_action(w, h, a);
    switch (a->kind) {
    case ACT_RUN:
        world_trace(w, h, "  run %s #%llu epoch %llu device %u", core_op_name(a->op), (unsigned long long)a->op_id,
                    (unsigned long long)a->epoch, a->device);
        child_start(w, h, a);
        break;
    case ACT_CANCEL:
        world_trace(w, h, "  cancel #%llu", (unsigned long long)a->op_id);
        child_cancel(w, h, a->op_id);
        break;
    case ACT_ADOPT:
        world_trace(w, h, "  adopt %llu", (unsigned long long)a->epoch);
        break;
    case ACT_PERMIT: case ACT_NO_PERMIT:
        g->permit = a->kind == ACT_PERMIT;
        break;
    case ACT_ALERT:
        world_trace(w, h, "  alert %s", core_reason_name((enum core_reason)a->reason));
        break;
    case ACT_NONE: case ACT_N:
        break;
    }
    world_digest(w, (uint64_t)a->kind << 32 | (uint64_t)a->op << 16 | a->op_id);
}

/* Returns false when the engine or its host died in between: the rest of the list is lost. */
static bool do_actions(struct world *w, unsigned h, const struct core_actions *out)
{
    for (unsigned i = 0; i < out->n; i++) {
        if (rng_chance(&w->rng, w->p.p_crash_action)) {
            if (rng_chance(&w->rng, 0.5))
                engine_crash(w, h);
            else
                host_reset(w, h);
            return false;
        }
        do_action(w, h, &out->v[i]);
    }
    return true;
}

static void note_rule(struct world *w, unsigned h, int rule, enum core_state before)
{
    const struct core *c = &w->host[h].engine.core;
    sim_rule_fired[sim_rule_index[rule] - 1]++;
    w->steps++;
    world_digest(w, (uint64_t)rule << 8 | h);
    world_digest(w, w->now);
    if (w->trace)
        world_trace(w, h, "%d %s -> %s: %s", rule, core_state_name(before), core_state_name(c->state), core_rule_why(rule));
    check_step(w, h, before);
}

void driver_feed(struct world *w, unsigned h, struct core_event e)
{
    struct sim_engine *g = &w->host[h].engine;
    struct core_actions out;
    uint32_t gen = g->gen;
    e.now_ms = w->now;
    e.facts = &g->facts;
    if (e.kind == EV_GAP)
        g->gap_ms = w->now;
    for (unsigned i = 0;; i++) {
        enum core_state before = g->core.state;
        int rule = core_step(&g->core, &e, &out);
        if (rule == 0 && e.kind == EV_LOOK)
            break;
        if (rule != 0)
            note_rule(w, h, rule, before);
        if (i > 60)
            world_fail(w, CHECK_LIVELOCK, "%u rules fired without an end, last %d", i, rule);
        if (w->failed || (rule != 0 && !do_actions(w, h, &out)) || !g->alive || g->gen != gen)
            return;
        driver_facts(w, h);
        e = (struct core_event){ .kind = EV_LOOK, .now_ms = w->now, .facts = &g->facts };
    }
    check_quiet(w, h);
    uint64_t at = core_wakeup_ms(&g->core);
    if (at != UINT64_MAX && (g->wake_at == 0 || at < g->wake_at)) {
        g->wake_at = at;
        world_push(w, at, WE_WAKE, h, g->gen, 0);
    }
}
