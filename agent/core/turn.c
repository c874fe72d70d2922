/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions given out, ages remembered, and when to look again. */
#include <assert.h>

#include "core/rules.h"

void turn_push(struct core_turn *t, const struct core_action *a)
{
    assert(t->out->n < CORE_ACTIONS);
    t->out->v[t->out->n++] = *a;
}

/* One operation at a time: whatever was waited for has been answered or cancelled before. */
void turn_run(struct core_turn *t, enum core_op op, uint32_t deadline_ms)
{
    struct core *c = t->c;
    struct core_action a = { .kind = ACT_RUN, .op = op, .op_id = ++c->op_seq, .deadline_ms = deadline_ms };
    assert(c->pending.op == OP_NONE);
    a.epoch = op == OP_END ? c->ending : c->claim;
    a.planned = (op == OP_END && c->end_planned) || (op == OP_ADDRESS_START && !proof_needs_drain(c));
    if (op == OP_FENCE_OFF || op == OP_FENCE_STATUS || op == OP_FENCE_ON) {
        a.device = (uint8_t)c->fence.device;
        a.node = c->cfg.device[c->fence.device].node;
    }
    for (unsigned p = 0; p < CORE_NODES && (op == OP_OWN || op == OP_RECOVER); p++)
        a.proof[p] = c->proof[p].kind;
    for (unsigned p = 0; p < c->cfg.n_nodes && op == OP_RECOVER; p++)
        a.clean[p] = p != c->cfg.self && facts_clean(c, t->f, p);
    c->pending.op = op;
    c->pending.id = a.op_id;
    c->pending.deadline_ms = c->now_ms + deadline_ms + CORE_LATE_MS;
    turn_push(t, &a);
}

void turn_alert(struct core_turn *t, enum core_reason why, unsigned node)
{
    turn_push(t, &(struct core_action){ .kind = ACT_ALERT, .reason = (uint8_t)why, .node = (uint8_t)node });
}

static void remember_peer(struct core *c, const struct core_facts *f, unsigned p)
{
    const struct core_peer *q = &f->peer[p];
    if (q->heard)
        c->heard_ms[p] = c->now_ms;
    if (q->beat_moves)
        c->beat_ms[p] = c->now_ms;
    if (q->in_ring != c->was_in_ring[p])
        c->ring_change_ms[p] = c->now_ms;
    c->was_in_ring[p] = q->in_ring;
    if (!(q->in_ring && facts_is_stuck(q) && facts_holds_now(c, f, p)))
        c->stuck_since_ms[p] = 0;
    else if (c->stuck_since_ms[p] == 0)
        c->stuck_since_ms[p] = c->now_ms;
}

/* A hang counts even if nobody looked while it lasted. */
static void remember_share(struct core *c, const struct core_facts *f)
{
    if (!facts_share_fresh(c, f) || f->share_seen_ms > c->share_seen_ms + c->cfg.share_deadline_ms)
        c->share_fresh_since_ms = 0;
    if (c->share_fresh_since_ms == 0 && facts_share_fresh(c, f))
        c->share_fresh_since_ms = c->now_ms;
    c->share_seen_ms = f->share_seen_ms;
}

static void remember_turn(struct core *c, const struct core_facts *f)
{
    struct core_why_list l;
    bool split = false;
    blockers_passive(c, f, false, &l);
    for (unsigned i = 0; i < l.n; i++)
        split |= l.v[i].reason == WHY_SPLIT;
    if (!split)
        c->alerted &= ~(1ull << WHY_SPLIT);
    if (l.n != 0)
        c->turn_since_ms = 0;
    else if (c->turn_since_ms == 0)
        c->turn_since_ms = c->now_ms;
}

void core_remember(struct core *c, const struct core_facts *f)
{
    remember_share(c, f);
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self)
            remember_peer(c, f, p);
    if (c->state == ST_PASSIVE)
        remember_turn(c, f);
    else
        c->turn_since_ms = 0;
}

static void sooner(const struct core *c, uint64_t *ret, uint64_t at_ms)
{
    if (at_ms > c->now_ms && at_ms < *ret)
        *ret = at_ms;
}

/* Early is harmless: every time that any guard compares with is here, whether or not it matters in this state. */
uint64_t core_wakeup_ms(const struct core *c)
{
    uint64_t at = UINT64_MAX, patience = c->cfg.claim_patience_ms;
    if (c->pending.op != OP_NONE)
        sooner(c, &at, c->pending.deadline_ms);
    sooner(c, &at, c->retry_ms);
    sooner(c, &at, c->fence.next_ms);
    sooner(c, &at, c->share_seen_ms + c->cfg.share_deadline_ms + 1);
    sooner(c, &at, c->share_seen_ms + c->cfg.share_patience_ms);
    sooner(c, &at, c->share_fresh_since_ms + c->cfg.share_deadline_ms);
    sooner(c, &at, c->observe_since_ms + c->cfg.share_patience_ms);
    sooner(c, &at, c->observe_since_ms + c->cfg.share_deadline_ms);
    sooner(c, &at, c->since_ms + patience);
    sooner(c, &at, c->since_ms + c->cfg.share_deadline_ms);
    sooner(c, &at, c->since_ms + 2ull * c->cfg.share_deadline_ms);
    sooner(c, &at, c->since_ms + CORE_RETRY_MS);
    if (c->state == ST_ACTIVE)
        sooner(c, &at, c->monitor_due_ms);
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        sooner(c, &at, c->stuck_since_ms[p] + patience);
    for (unsigned p = 0; p < c->cfg.n_nodes && c->state == ST_PASSIVE; p++) {
        sooner(c, &at, c->heard_ms[p] + patience);
        sooner(c, &at, c->beat_ms[p] + patience);
        sooner(c, &at, c->ring_change_ms[p] + patience);
        sooner(c, &at, c->turn_since_ms + (p + 1) * patience);
    }
    return at;
}

bool core_end_pending(const struct core *c, const struct core_facts *f)
{
    bool stopping = c->state == ST_STOPPING || c->state == ST_HOLD;
    bool stray = facts_own_stray(c, f) != 0 && !facts_share_bad(f); /* on lost epochs nobody will ever write it */
    return c->state == ST_ENDING || (stopping && c->claim != 0) || stray;
}


/* A release that has stopped the service can not go back to active: it is synced, then the address goes, then the end is
 * written; where one of them fails the end is not a planned one. */
bool core_is_releasing(const struct core *c)
{
    bool stopped = c->pending.op == OP_SYNC || c->pending.op == OP_ADDRESS_STOP;
    return (c->state == ST_RELEASING && stopped) || (c->state == ST_ENDING && c->end_planned);
}

bool core_is_held(const struct core *c) { return c->hold_after; }

bool core_is_ready(const struct core *c, const struct core_facts *f)
{
    struct core_why_list l;
    bool ready = c->state == ST_PASSIVE && c->claim == 0;
    blockers_passive(c, f, false, &l);
    for (unsigned i = 0; i < l.n; i++)
        ready &= l.v[i].reason == WHY_PEER_ACTIVE;
    return ready;
}
