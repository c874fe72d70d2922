/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the facts mean. Ages are judged here and nowhere else. */
#include "core/private.h"

bool core_id_known(struct core_id a) { return a.hi != 0 || a.lo != 0; }
bool core_id_same(struct core_id a, struct core_id b) { return a.hi == b.hi && a.lo == b.lo; }

bool facts_waited(const struct core *c, uint64_t since_ms, uint64_t ms) { return c->now_ms >= since_ms + ms; }

bool facts_cluster_ok(const struct core_facts *f) { return f->members_fresh && f->ring != 0 && f->quorate; }

enum core_reason facts_cluster_why(const struct core *c, const struct core_facts *f)
{
    if (!f->members_fresh)
        return WHY_MEMBERS_STALE;
    if (f->ring == 0)
        return WHY_NO_RING;
    if (f->quorate)
        return WHY_NONE;
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && f->peer[p].in_ring)
            return WHY_NOT_QUORATE;
    /* two_node implies wait_for_all: alone and not quorate means that the other was not seen since corosync started */
    return c->cfg.two_node ? WHY_UNSEEN_PEER : WHY_NOT_QUORATE;
}

/* Answers, and what it answers is wrong: another share, or older than what this node has seen (epoch-lost). */
bool facts_share_bad(const struct core_facts *f)
{
    return f->share == SHARE_WRONG || f->share == SHARE_BEHIND || (f->share == SHARE_OK && f->highest < f->local_max);
}

bool facts_share_fresh(const struct core *c, const struct core_facts *f)
{
    return f->share == SHARE_OK && !facts_share_bad(f) && !facts_waited(c, f->share_seen_ms, c->cfg.share_deadline_ms + 1ull);
}

/* A beat stands still when three reports in a row have shown no change: what was not looked at says nothing. After a
 * hang of the share the others are given time to come back too. */
bool facts_beat_stands(const struct core *c, const struct core_facts *f, unsigned node)
{
    return !f->peer[node].beat_moves && f->peer[node].beat_same >= 3
        && c->share_fresh_since_ms != 0 && facts_waited(c, c->share_fresh_since_ms, c->cfg.share_deadline_ms);
}

/* After a gap in our own time the share gets its patience anew: that nothing was read meanwhile is our own doing. */
bool facts_share_lost(const struct core *c, const struct core_facts *f)
{
    uint64_t base = f->share_seen_ms > c->observe_since_ms ? f->share_seen_ms : c->observe_since_ms;
    return facts_waited(c, base, c->cfg.share_patience_ms);
}

bool facts_reread(const struct core *c, const struct core_facts *f)
{
    return f->share == SHARE_OK && f->share_seen_ms > c->observe_since_ms;
}

/* The epochs were read after our own was read back, and do not show it: the share is another state than the one that took
 * it, a backup on which a late link of an earlier claim of ours has made the same epoch anew. */
static bool own_is_gone(const struct core *c, const struct core_facts *f)
{
    return c->owned && !f->last.owned && f->share_seen_ms > c->owned_ms;
}

/* Somebody has claimed above us, or our claim is not (any more) an un-ended one of this run, or not the owned one that it was. */
bool facts_outranked(const struct core *c, const struct core_facts *f)
{
    if (c->claim == 0 || f->share != SHARE_OK)
        return false;
    if (f->highest > c->claim)
        return true;
    return f->highest == c->claim
        && (f->last.ended || f->last.node != c->cfg.self || f->last.run != c->claim_run || own_is_gone(c, f));
}

/* Steps 1 and 2 of the takeover hold, for the ring that the proofs were collected in. */
bool facts_ground(const struct core *c, const struct core_facts *f)
{
    return facts_cluster_ok(f) && f->encrypted_ok && f->ring == c->ring && facts_share_fresh(c, f)
        && facts_reread(c, f) && f->n_open <= CORE_EPOCHS && !f->maintenance && f->unreaped == 0
        && f->service_here != TRI_YES; /* that none runs was known when the claim was made */
}

static bool epoch_of(const struct core *c, const struct core_epoch *o, unsigned node)
{
    if (o->n == 0 || (c->claim != 0 && o->n >= c->claim))
        return false;
    return o->node == node || o->node >= c->cfg.n_nodes; /* an epoch of nobody may be anybody's */
}

static unsigned open_count(const struct core_facts *f) { return f->n_open < CORE_EPOCHS ? f->n_open : CORE_EPOCHS; }

/* The lowest un-ended epoch that it holds (below our claim, if we have one), of whatever boot; 0 = none. */
uint64_t facts_held_from(const struct core *c, const struct core_facts *f, unsigned node)
{
    for (unsigned i = 0; i < open_count(f); i++)
        if (epoch_of(c, &f->open[i], node))
            return f->open[i].n;
    return 0;
}

bool facts_holds(const struct core *c, const struct core_facts *f, unsigned node)
{
    return facts_held_from(c, f, node) != 0;
}

/* The freshest sign says which boot is the present one; with none, any that was ever shown may be. */
static bool boot_is_present(const struct core_peer *q, struct core_id boot)
{
    if (q->heard && core_id_known(q->boot))
        return core_id_same(q->boot, boot);
    if (q->beat_moves && core_id_known(q->beat_boot))
        return core_id_same(q->beat_boot, boot);
    if (!core_id_known(q->boot) && !core_id_known(q->beat_boot))
        return true; /* not known: the careful answer */
    return core_id_same(q->boot, boot) || core_id_same(q->beat_boot, boot);
}

/* The same, of the boot that the node shows now. */
bool facts_holds_now(const struct core *c, const struct core_facts *f, unsigned node)
{
    for (unsigned i = 0; i < open_count(f); i++)
        if (epoch_of(c, &f->open[i], node) && boot_is_present(&f->peer[node], f->open[i].boot))
            return true;
    return false;
}

/* A claim without a tenure: its node may be fencing us right now. */
bool facts_holds_claim_only(const struct core_facts *f, unsigned node)
{
    for (unsigned i = 0; i < open_count(f); i++)
        if (f->open[i].n != 0 && f->open[i].node == node && !f->open[i].owned
            && boot_is_present(&f->peer[node], f->open[i].boot))
            return true;
    return false;
}

/* The highest epoch is its, it knows of none above, and it says that it has stopped for good and is only putting away what
 * is left of it: whoever claims now disturbs nothing, and can go no further than that claim before the end is there. */
bool facts_is_releasing(const struct core_facts *f, unsigned node)
{
    const struct core_peer *q = &f->peer[node];
    return q->heard && q->releasing && q->no_service && f->last.node == node && q->highest == f->last.n;
}

/* It holds on to an epoch and does not get rid of it: held, or stopped and without the share that the end has to go to. */
bool facts_is_stuck(const struct core_peer *q)
{
    return q->heard && (q->held || (q->no_service && !q->no_end_pending));
}

/* design: clean member */
bool facts_clean(const struct core *c, const struct core_facts *f, unsigned node)
{
    const struct core_peer *q = &f->peer[node];
    uint64_t highest = f->highest > c->claim ? f->highest : c->claim; /* ours may be won and not listed yet */
    return q->in_ring && q->heard && core_id_known(q->boot) && !q->digest_differs && q->highest <= highest
        && q->no_service && q->no_share_child && q->no_end_pending;
}

/* design: proof `rebooted`; for every un-ended epoch of the node */
bool facts_rebooted(const struct core *c, const struct core_facts *f, unsigned node)
{
    if (!facts_clean(c, f, node))
        return false;
    for (unsigned i = 0; i < open_count(f); i++)
        if (epoch_of(c, &f->open[i], node)
            && (f->open[i].node != node || core_id_same(f->open[i].boot, f->peer[node].boot)))
            return false;
    return true;
}

/* design: a daemon adopts under maintenance, and only a tenure of its own that is un-ended and the highest. The executor
 * has looked whether this boot has issued an end. */
bool facts_adoptable(const struct core *c, const struct core_facts *f)
{
    const struct core_epoch *last = &f->last;
    return !c->no_adoption && c->claim == 0 && f->maintenance && f->maintenance_sound
        && f->service_here == TRI_YES && f->unreaped == 0
        && facts_cluster_ok(f) && f->encrypted_ok && facts_share_fresh(c, f) && facts_reread(c, f)
        && last->n != 0 && last->n == f->highest && last->n == f->adoptable
        && last->node == c->cfg.self && core_id_same(last->boot, f->peer[c->cfg.self].boot)
        && last->owned && !last->ended;
}

bool facts_dead_spoke(const struct core *c, const struct core_facts *f, unsigned *ret_node)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++) {
        if (p == c->cfg.self || !core_id_known(c->dead_boot[p]) || !f->peer[p].dead_boot_seen)
            continue;
        *ret_node = p;
        return true;
    }
    return false;
}

/* The lowest un-ended epoch of this node that this run does not pursue; 0 = none. */
uint64_t facts_own_stray(const struct core *c, const struct core_facts *f)
{
    for (unsigned i = 0; i < open_count(f); i++) {
        const struct core_epoch *o = &f->open[i];
        if (o->n != 0 && o->node == c->cfg.self && (o->n != c->claim || o->run != c->claim_run))
            return o->n;
    }
    return 0;
}
