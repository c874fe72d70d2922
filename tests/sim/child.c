/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children of the executor: started, answering or not, killed at their deadline, reaped at once or much later, their
 * changes landing before, after, or never. */
#include <assert.h>
#include <string.h>

#include "world.h"

static bool is_share_op(enum core_op op) { return op == OP_CLAIM || op == OP_OWN || op == OP_END; }
static bool is_fence_op(enum core_op op) { return op == OP_FENCE_OFF || op == OP_FENCE_STATUS || op == OP_FENCE_ON; }
static bool touches_share(enum core_op op) { return is_share_op(op) || op == OP_DRAIN || op == OP_RECOVER || op == OP_SYNC; }

static uint64_t duration(struct world *w, enum core_op op)
{
    static const uint16_t most[OP_N] = {
        [OP_CLAIM] = 30, [OP_OWN] = 30, [OP_END] = 30, [OP_RECOVER] = 150, [OP_ADDRESS_START] = 80,
        [OP_ADDRESS_STOP] = 40, [OP_SERVICE_START] = 600, [OP_SERVICE_STOP] = 200, [OP_SERVICE_MONITOR] = 40,
        [OP_SERVICE_RELEASE] = 500, [OP_SERVICE_RESUME] = 60, [OP_SYNC] = 60,
        [OP_INTAKE_CLOSE] = 20, [OP_INTAKE_OPEN] = 20, [OP_FENCE_OFF] = 150, [OP_FENCE_STATUS] = 80, [OP_FENCE_ON] = 150,
    };
    uint64_t base = op == OP_DRAIN ? w->p.cfg.drain_ms : 0;
    return base + 1 + rng_range(&w->rng, 0, most[op]) * w->p.slow;
}

static struct sim_child *new_child(struct world *w, unsigned h)
{
    for (unsigned i = 0; i < W_CHILDREN; i++)
        if (!w->host[h].child[i].used)
            return &w->host[h].child[i];
    assert(false && "too many children");
    return NULL;
}

static unsigned index_of(const struct world *w, unsigned h, const struct sim_child *c)
{
    return (unsigned)(c - w->host[h].child);
}

static void at(struct world *w, uint64_t when, enum world_event_kind k, unsigned h, const struct sim_child *c)
{
    uint32_t id = (uint32_t)c->act.op_id << 8 | index_of(w, h, c);
    world_push(w, when, k, h, c->engine, id);
}

/* A change on its way to the share: once it is sent nothing takes it back, not even the death of its sender. */
static uint64_t send_change(struct world *w, unsigned h, struct sim_child *c, uint64_t when)
{
    uint64_t open = share_answers_at(w, h);
    if (open > when)
        when = open + rng_range(&w->rng, 1, 30);
    if (w->host[h].links_late_until > w->now)
        when += rng_range(&w->rng, 500, 20000);
    c->landing = share_send(w, h, &c->act, w->host[h].engine.run);
    world_push(w, when, WE_LAND, h, 0, c->landing);
    return when;
}

static double fail_p(const struct world *w, enum core_op op)
{
    return is_fence_op(op) ? w->p.p_fence_fail : w->p.p_fail;
}

static void plan(struct world *w, unsigned h, struct sim_child *c)
{
    enum core_op op = c->act.op;
    bool hang = rng_chance(&w->rng, is_fence_op(op) ? w->p.p_fence_hang : w->p.p_hang);
    uint64_t when = w->now + duration(w, op);
    c->result = rng_chance(&w->rng, fail_p(w, op)) ? RES_FAILED : RES_OK;
    if (share_is_anothers(w, h, &c->act))
        c->result = RES_OK;
    else if (is_share_op(op) && !share_allows(w, h, &c->act, w->host[h].engine.run))
        c->result = RES_FAILED;
    else if (is_share_op(op) && (c->result == RES_OK || rng_chance(&w->rng, 0.5)))
        when = send_change(w, h, c, when);
    else if (touches_share(op) && share_answers_at(w, h) > when)
        when = share_answers_at(w, h) + duration(w, op);
    c->lands = !is_share_op(op);
    if (c->lands)
        at(w, when, WE_EFFECT, h, c);
    if (rng_chance(&w->rng, w->p.p_lost))
        c->result = RES_FAILED; /* done, and the answer says otherwise */
    c->answers = !hang;
    c->answer_at = when + rng_range(&w->rng, 0, 10);
}

void child_start(struct world *w, unsigned h, const struct core_action *a)
{
    struct sim_child *c = new_child(w, h);
    memset(c, 0, sizeof *c);
    c->used = true;
    c->act = *a;
    c->engine = w->host[h].engine.gen;
    c->deadline_at = w->now + a->deadline_ms;
    plan(w, h, c);
    if (c->answers && c->answer_at < c->deadline_at)
        at(w, c->answer_at, WE_ANSWER, h, c);
    else
        at(w, c->deadline_at, WE_DEADLINE, h, c);
}

/* SIGKILL: what hangs on the share stays in D state until it answers; a fence program may have sent its request. */
static void kill_child(struct world *w, unsigned h, struct sim_child *c)
{
    bool stuck = (touches_share(c->act.op) && share_answers_at(w, h) > w->now) || rng_chance(&w->rng, w->p.p_unreaped);
    c->killed = true;
    c->answers = false;
    if (c->act.op == OP_SERVICE_RELEASE && !c->landed && w->host[h].running)
        w->host[h].frozen = true;
    if (!touches_share(c->act.op) && !is_fence_op(c->act.op))
        stuck = false;
    if (is_fence_op(c->act.op) && c->landed == false && !rng_chance(&w->rng, w->p.p_land_after_kill))
        c->lands = false;
    if (!stuck) {
        c->used = false;
        return;
    }
    uint64_t open = share_answers_at(w, h);
    at(w, (open > w->now ? open : w->now) + rng_range(&w->rng, 1, 1500), WE_REAP, h, c);
}

static struct sim_child *find(struct world *w, unsigned h, uint64_t op_id)
{
    for (unsigned i = 0; i < W_CHILDREN; i++) {
        struct sim_child *c = &w->host[h].child[i];
        if (c->used && !c->killed && c->act.op_id == op_id && c->engine == w->host[h].engine.gen)
            return c;
    }
    return NULL;
}

/* The answer of an operation that nobody waits for any more; always the one that would do most harm. */
static void send_stale(struct world *w, unsigned h, const struct sim_child *c)
{
    if (rng_chance(&w->rng, w->p.p_stale_answer))
        world_push(w, w->now + rng_range(&w->rng, 1, 2000), WE_STALE, h, c->engine,
                   (uint32_t)c->act.op_id << 8 | (uint32_t)c->act.op);
}

void child_cancel(struct world *w, unsigned h, uint64_t op_id)
{
    struct sim_child *c = find(w, h, op_id);
    if (!c)
        return;
    send_stale(w, h, c);
    kill_child(w, h, c);
}

void child_kill_all(struct world *w, unsigned h, bool power)
{
    for (unsigned i = 0; i < W_CHILDREN; i++) {
        struct sim_child *c = &w->host[h].child[i];
        if (c->used && !c->killed && !power)
            kill_child(w, h, c);
        else if (power)
            c->used = false;
    }
}

unsigned child_unreaped(const struct world *w, unsigned h, bool fence)
{
    unsigned n = 0;
    for (unsigned i = 0; i < W_CHILDREN; i++) {
        const struct sim_child *c = &w->host[h].child[i];
        n += c->used && c->killed && is_fence_op(c->act.op) == fence;
    }
    return n;
}

static void answer(struct world *w, unsigned h, struct sim_child *c, enum core_result r)
{
    struct core_event e = { .kind = EV_DONE, .op_id = c->act.op_id, .op = c->act.op, .result = r };
    uint32_t engine = c->engine;
    if (r != RES_LATE) {
        c->used = false;
    } else {
        bool mute = rng_chance(&w->rng, w->p.p_mute); /* not even the executor says that it is late */
        if (!mute)
            send_stale(w, h, c);
        kill_child(w, h, c);
        if (mute)
            return;
    }
    if (!w->host[h].engine.alive || w->host[h].engine.gen != engine)
        return;
    driver_facts(w, h);
    driver_feed(w, h, e);
    if (w->host[h].engine.alive && w->host[h].engine.gen == engine)
        check_taken(w, h, e.op_id);
}

static void stale_answer(struct world *w, const struct world_event *ev)
{
    enum core_op op = (enum core_op)(ev->a & 0xff);
    struct core_event e = { .kind = EV_DONE, .op_id = ev->a >> 8, .op = op,
                            .result = op == OP_FENCE_STATUS ? RES_OFF : RES_OK };
    if (!w->host[ev->host].engine.alive || w->host[ev->host].engine.gen != ev->gen)
        return;
    driver_facts(w, ev->host);
    driver_feed(w, ev->host, e);
}

void child_event(struct world *w, const struct world_event *ev)
{
    if (ev->kind == WE_STALE) {
        stale_answer(w, ev);
        return;
    }
    struct sim_child *c = &w->host[ev->host].child[ev->a & 0xff];
    if (!c->used || c->engine != ev->gen || (uint32_t)c->act.op_id != ev->a >> 8)
        return;
    if (ev->kind == WE_REAP) {
        c->used = false;
    } else if (ev->kind == WE_EFFECT) {
        if (c->lands && (!c->killed || is_fence_op(c->act.op)))
            child_effect(w, ev->host, c);
        c->landed = true;
    } else if (ev->kind == WE_ANSWER && !c->killed) {
        answer(w, ev->host, c, child_result(w, ev->host, c));
    } else if (ev->kind == WE_DEADLINE && !c->killed) {
        answer(w, ev->host, c, RES_LATE);
    }
}
