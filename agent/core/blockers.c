/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keeps a passive node from claiming. One list for the guard and for `explain`, so that they can not differ. */
#include "core/private.h"

void blockers_add(struct core_why_list *l, enum core_reason r, unsigned node, uint64_t value)
{
    if (r == WHY_NONE || l->n >= CORE_REASONS)
        return;
    l->v[l->n++] = (struct core_why){ .reason = r, .node = (uint8_t)node, .value = value };
}

static void block_cluster(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    enum core_reason why = facts_cluster_why(c, f);
    unsigned about = c->cfg.self;
    if (f->maintenance)
        blockers_add(l, WHY_MAINTENANCE, c->cfg.self, 0);
    for (unsigned p = 0; why == WHY_UNSEEN_PEER && p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self)
            about = p;
    blockers_add(l, why, about, f->ring);
    if (f->members_fresh && !f->encrypted_ok)
        blockers_add(l, WHY_NOT_ENCRYPTED, c->cfg.self, 0);
}

static void block_share(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    unsigned self = c->cfg.self;
    if (f->share == SHARE_WRONG)
        blockers_add(l, WHY_SHARE_WRONG, self, 0);
    else if (facts_share_bad(f))
        blockers_add(l, WHY_EPOCH_LOST, self, f->local_max);
    else if (!facts_share_fresh(c, f))
        blockers_add(l, WHY_SHARE_UNKNOWN, self, f->share_seen_ms);
    else if (!facts_reread(c, f))
        blockers_add(l, WHY_GAP, self, c->observe_since_ms);
    if (f->n_open > CORE_EPOCHS)
        blockers_add(l, WHY_TOO_MANY_OPEN, self, f->n_open);
}

static void block_self(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    uint64_t stray = facts_own_stray(c, f);
    if (f->unreaped != 0)
        blockers_add(l, WHY_UNREAPED, c->cfg.self, f->unreaped);
    if (f->unreaped_fence != 0)
        blockers_add(l, WHY_FENCE_RUNNING, c->cfg.self, f->unreaped_fence);
    if (f->service_here != TRI_NO)
        blockers_add(l, WHY_SERVICE_HERE, c->cfg.self, 0);
    if (stray != 0)
        blockers_add(l, WHY_OWN_OPEN_EPOCH, c->cfg.self, stray);
}

static uint64_t last_sign(const struct core *c, unsigned p)
{
    return c->heard_ms[p] > c->beat_ms[p] ? c->heard_ms[p] : c->beat_ms[p];
}

/* A member: it may claim or serve itself. Who only holds on to an epoch and can not stop is given its patience, no more. */
static void block_member(const struct core *c, const struct core_facts *f, unsigned p, struct core_why_list *l)
{
    const struct core_peer *q = &f->peer[p];
    uint32_t patience = c->cfg.claim_patience_ms;
    uint64_t silent = c->heard_ms[p] > c->ring_change_ms[p] ? c->heard_ms[p] : c->ring_change_ms[p];
    bool holds = facts_holds_now(c, f, p);
    if (facts_is_releasing(f, p))
        return;
    if (!q->heard && !facts_waited(c, silent, patience))
        blockers_add(l, WHY_PEER_NOT_HEARD, p, silent + patience);
    else if (!q->heard && holds && !q->beat_moves && !facts_beat_stands(c, f, p))
        blockers_add(l, WHY_BEAT_UNKNOWN, p, q->beat_same);
    else if (holds && facts_is_stuck(q) && facts_waited(c, c->stuck_since_ms[p], patience)
             && (q->held || facts_beat_stands(c, f, p)))
        return;
    else if (holds && facts_is_stuck(q))
        blockers_add(l, WHY_PATIENCE, p, c->stuck_since_ms[p] + patience);
    else if (holds && (q->heard || q->beat_moves))
        blockers_add(l, WHY_PEER_ACTIVE, p, 0);
}

static void block_absent(const struct core *c, const struct core_facts *f, unsigned p, struct core_why_list *l)
{
    const struct core_peer *q = &f->peer[p];
    uint32_t patience = c->cfg.claim_patience_ms;
    uint64_t sign = last_sign(c, p);
    bool holds = facts_holds_now(c, f, p);
    if (!q->beat_moves && holds && !facts_beat_stands(c, f, p))
        blockers_add(l, WHY_BEAT_UNKNOWN, p, q->beat_same);
    else if (q->beat_moves && holds && c->cfg.two_node)
        blockers_add(l, WHY_SPLIT, p, 0);
    else if (q->beat_moves && holds && !facts_waited(c, c->ring_change_ms[p], patience))
        blockers_add(l, WHY_PATIENCE, p, c->ring_change_ms[p] + patience);
    else if (!q->beat_moves && facts_holds_claim_only(f, p) && !facts_waited(c, sign, patience))
        blockers_add(l, WHY_PATIENCE, p, sign + patience); /* it may be fencing us: design, epochs */
}

static void block_peer(const struct core *c, const struct core_facts *f, unsigned p, struct core_why_list *l)
{
    const struct core_peer *q = &f->peer[p];
    if (q->in_ring && q->digest_differs)
        blockers_add(l, WHY_PEER_DIGEST, p, 0);
    if (q->in_ring && q->heard && q->highest > f->highest && q->highest > c->claim)
        blockers_add(l, WHY_PEER_AHEAD, p, q->highest);
    if (c->claim != 0)
        return; /* our claim stands: who holds a lower epoch stops for it; the proofs sort out the rest */
    if (q->in_ring)
        block_member(c, f, p, l);
    else
        block_absent(c, f, p, l);
}

/* How many members may claim before us: after an end, or beside it, the others do, else those before us in the configuration.
 * Who owes an end claims nothing. */
static unsigned turn_rank(const struct core *c, const struct core_facts *f, unsigned *ret_first)
{
    unsigned rank = 0, ended_by = f->last.ended ? f->last.node : CORE_NODE_NONE;
    for (unsigned p = c->cfg.n_nodes; p-- > 0;) {
        const struct core_peer *q = &f->peer[p];
        if (p == c->cfg.self || p == ended_by || !q->in_ring || !q->heard || q->held)
            continue;
        if (!q->no_end_pending || facts_is_releasing(f, p))
            continue;
        if (ended_by == c->cfg.self || p < c->cfg.self) {
            *ret_first = p;
            rank++;
        }
    }
    return rank;
}

static void block_turn(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    unsigned first = c->cfg.self, rank = turn_rank(c, f, &first);
    uint64_t wait = (uint64_t)rank * c->cfg.claim_patience_ms;
    if (rank != 0 && (c->turn_since_ms == 0 || !facts_waited(c, c->turn_since_ms, wait)))
        blockers_add(l, WHY_PEER_TURN, first, c->turn_since_ms + wait);
}

void blockers_passive(const struct core *c, const struct core_facts *f, bool turn, struct core_why_list *l)
{
    l->n = 0;
    block_cluster(c, f, l);
    block_share(c, f, l);
    block_self(c, f, l);
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self)
            block_peer(c, f, p, l);
    if (turn && l->n == 0 && c->claim == 0)
        block_turn(c, f, l);
}
