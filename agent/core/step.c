/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only writer of core.state: one event, at most one rule, one legal move, then the invariant. */
#include <assert.h>
#include <string.h>

#include "core/rules.h"

/* After own, until the stop begins. */
#define PERMITTED (CORE_BIT(ST_RECOVER) | CORE_BIT(ST_ADDRESS) | CORE_BIT(ST_SERVICE) | CORE_BIT(ST_ACTIVE) \
                   | CORE_BIT(ST_RELEASING) | CORE_BIT(ST_RESTARTING) | CORE_BIT(ST_ADOPTING))

void core_init(struct core *c, const struct core_config *cfg, uint64_t now_ms)
{
    memset(c, 0, sizeof *c);
    c->cfg = *cfg;
    c->state = ST_STARTING;
    c->now_ms = c->since_ms = c->observe_since_ms = now_ms;
    c->fence.target = CORE_NODE_NONE;
    for (unsigned p = 0; p < CORE_NODES; p++)
        c->heard_ms[p] = c->beat_ms[p] = c->ring_change_ms[p] = now_ms;
    assert(cfg->n_nodes >= 1 && cfg->n_nodes <= CORE_NODES && cfg->self < cfg->n_nodes);
    assert(cfg->n_devices <= CORE_DEVICES && cfg->drain_ms > 0 && cfg->max_failures > 0);
    assert(core_invariant(c));
}

void core_reconfigure(struct core *c, const struct core_config *cfg)
{
    assert(cfg->n_nodes == c->cfg.n_nodes && cfg->self == c->cfg.self && cfg->n_devices == c->cfg.n_devices);
    assert(cfg->drain_ms > 0 && cfg->max_failures > 0);
    c->cfg = *cfg;
}

/* The answer to the operation that is waited for. An answer for another id, or for another operation, is stale or
 * contradictory and is no answer. */
bool core_answered(const struct core *c, const struct core_event *e)
{
    return e->kind == EV_DONE && c->pending.op != OP_NONE && e->op_id == c->pending.id && e->op == c->pending.op;
}

static const struct core_rule *first_match(const struct core *c, const struct core_event *e)
{
    for (unsigned i = 0; i < core_n_rules; i++) {
        const struct core_rule *r = &core_rules[i];
        if ((r->in & CORE_BIT(c->state)) && (r->on & CORE_BIT(e->kind)) && r->guard(c, e))
            return r;
    }
    return NULL;
}

static void settle_pending(struct core_turn *t, bool moves)
{
    if (core_answered(t->c, t->e)) {
        t->c->pending.op = OP_NONE;
        t->c->pending.id = t->c->pending.deadline_ms = 0;
    } else if (moves) {
        do_cancel(t);
    }
}

static void settle_permit(struct core_turn *t, enum core_state next)
{
    bool had = (PERMITTED & CORE_BIT(t->c->state)) != 0, has = (PERMITTED & CORE_BIT(next)) != 0;
    if (had != has)
        turn_push(t, &(struct core_action){ .kind = has ? ACT_PERMIT : ACT_NO_PERMIT, .epoch = t->c->claim });
}

static void move(struct core *c, enum core_state next)
{
    if (next == c->state)
        return;
    assert(core_legal_moves[c->state] & CORE_BIT(next));
    c->state = next;
    c->since_ms = c->now_ms;
}

int core_step(struct core *c, const struct core_event *e, struct core_actions *out)
{
    struct core_turn t = { .c = c, .e = e, .f = e->facts, .out = out, .was = c->pending.op };
    out->n = 0;
    if (e->now_ms > c->now_ms)
        c->now_ms = e->now_ms; /* time never runs back in here, whatever the caller says */
    core_remember(c, e->facts);
    const struct core_rule *r = first_match(c, e);
    if (!r)
        return 0;
    enum core_state next = r->next == ST_SAME ? c->state : r->next;
    settle_pending(&t, next != c->state);
    settle_permit(&t, next);
    for (unsigned i = 0; i < CORE_RULE_EFFECTS && r->effect[i].fn; i++)
        r->effect[i].fn(&t);
    move(c, next);
    assert(core_invariant(c));
    return r->id;
}
