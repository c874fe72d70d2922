/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What blocks right now, and whether a person's word would be taken. */
#include "core/private.h"

static void explain_node(const struct core *c, const struct core_facts *f, unsigned p, struct core_why_list *l)
{
    uint64_t until = proof_patience_until(c, f, p);
    if (fence_first_device(c, p) == CORE_DEVICES && !f->peer[p].in_ring)
        blockers_add(l, WHY_NO_DEVICE, p, 0);
    else if (c->fence.target == p && c->fence.tries != 0)
        blockers_add(l, WHY_FENCE_FAILED, p, c->fence.tries);
    else if (c->fence.target == p)
        blockers_add(l, WHY_FENCE_RUNNING, p, c->pending.deadline_ms);
    else if (f->unreaped_fence != 0)
        blockers_add(l, WHY_FENCE_RUNNING, p, f->unreaped_fence);
    else if (c->now_ms < until && facts_holds(c, f, p))
        blockers_add(l, WHY_PEER_MAY_END, p, until);
    else if (fence_first_device(c, p) == CORE_DEVICES && c->now_ms >= until)
        blockers_add(l, WHY_NO_DEVICE, p, 0);
    else
        blockers_add(l, WHY_PEER_DIRTY, p, 0);
}

static void explain_proof(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && c->proof[p].kind == PROOF_NONE)
            explain_node(c, f, p, l);
}

static void explain_share(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    if (f->share == SHARE_WRONG)
        blockers_add(l, WHY_SHARE_WRONG, c->cfg.self, 0);
    else if (facts_share_bad(f))
        blockers_add(l, WHY_EPOCH_LOST, c->cfg.self, f->local_max);
    else if (!facts_share_fresh(c, f))
        blockers_add(l, WHY_SHARE_UNKNOWN, c->cfg.self, f->share_seen_ms);
}

static void explain_ending(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    blockers_add(l, WHY_END_PENDING, c->cfg.self, c->ending);
    explain_share(c, f, l);
    if (f->unreaped != 0)
        blockers_add(l, WHY_UNREAPED, c->cfg.self, f->unreaped);
    if (f->service_here != TRI_NO)
        blockers_add(l, WHY_SERVICE_HERE, c->cfg.self, 0);
}

static void explain_starting(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    blockers_add(l, WHY_STARTING, c->cfg.self, 0);
    if (f->service_here != TRI_NO)
        blockers_add(l, WHY_SERVICE_HERE, c->cfg.self, 0);
}

static void explain_hold(const struct core *c, struct core_why_list *l)
{
    blockers_add(l, WHY_HELD, c->cfg.self, 0);
    blockers_add(l, c->last_reason, c->last_node, 0);
    if (c->stop_unproven && c->last_reason != WHY_STOP_UNPROVEN)
        blockers_add(l, WHY_STOP_UNPROVEN, c->cfg.self, 0);
}

static void explain_active(const struct core *c, const struct core_facts *f, struct core_why_list *l)
{
    if (f->maintenance)
        blockers_add(l, WHY_MAINTENANCE, c->cfg.self, 0);
    if (c->intake_closed)
        explain_share(c, f, l);
    if (f->lists_refuse)
        blockers_add(l, WHY_LISTS_REFUSE, c->cfg.self, 0);
}

unsigned core_explain(const struct core *c, const struct core_facts *f, struct core_why *ret)
{
    struct core_why_list l = { .n = 0 };
    switch (c->state) {
    case ST_STARTING:
        explain_starting(c, f, &l);
        break;
    case ST_PASSIVE:
        blockers_passive(c, f, true, &l);
        break;
    case ST_PROOF:
        explain_proof(c, f, &l);
        break;
    case ST_DRAIN:
        blockers_add(&l, WHY_DRAIN, c->cfg.self, c->pending.deadline_ms);
        break;
    case ST_ENDING:
        explain_ending(c, f, &l);
        break;
    case ST_STOPPING:
        blockers_add(&l, c->claim == 0 ? WHY_STARTING : c->last_reason, c->claim == 0 ? c->cfg.self : c->last_node, 0);
        break;
    case ST_HOLD:
        explain_hold(c, &l);
        break;
    case ST_ACTIVE:
        explain_active(c, f, &l);
        break;
    case ST_RECOVER:
        if (c->no_room)
            blockers_add(&l, WHY_LISTS_REFUSE, c->cfg.self, 0);
        break;
    case ST_CLAIMING: case ST_OWNING: case ST_ADDRESS: case ST_SERVICE: case ST_RELEASING:
    case ST_RESTARTING: case ST_ADOPTING: case ST_N:
        break;
    }
    for (unsigned i = 0; i < l.n; i++)
        ret[i] = l.v[i];
    return l.n;
}

/* design: bound to the present operation; refused while the node is a member, or was heard since it began, unless it
 * has been silent for claim_patience again. */
enum core_reason core_may_acknowledge(const struct core *c, const struct core_facts *f, unsigned node)
{
    if (node >= c->cfg.n_nodes || node == c->cfg.self || c->state != ST_PROOF || c->proof[node].kind != PROOF_NONE)
        return WHY_NOT_ASKED;
    const struct core_peer *q = &f->peer[node];
    if (q->in_ring || q->heard || q->beat_moves)
        return WHY_PEER_LIVES;
    uint64_t sign = c->heard_ms[node] > c->beat_ms[node] ? c->heard_ms[node] : c->beat_ms[node];
    return sign >= c->since_ms && !facts_waited(c, sign, c->cfg.claim_patience_ms) ? WHY_PEER_LIVES : WHY_NONE;
}

/* Somebody has to be able to go on: a release to nobody would be an outage with a delay. */
enum core_reason core_may_release(const struct core *c, const struct core_facts *f, unsigned node, unsigned *ret_node)
{
    *ret_node = node < c->cfg.n_nodes ? node : c->cfg.self;
    if (c->state != ST_ACTIVE)
        return WHY_NOT_ACTIVE;
    if (node == c->cfg.self)
        return WHY_NO_SUCCESSOR;
    if (f->maintenance)
        return WHY_MAINTENANCE;
    if (f->lists_refuse)
        return WHY_LISTS_REFUSE;
    if (c->intake_closed || (c->pending.op != OP_NONE && c->pending.op != OP_SERVICE_MONITOR))
        return WHY_BUSY;
    if (!facts_share_fresh(c, f))
        return WHY_SHARE_UNKNOWN;
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && (p == node || node >= c->cfg.n_nodes) && facts_clean(c, f, p) && f->peer[p].ready)
            return WHY_NONE;
    return WHY_NO_SUCCESSOR;
}

/* Unknown is no leave: its beat has to be seen standing still. */
enum core_reason core_may_boot_alone(const struct core *c, const struct core_facts *f, unsigned node)
{
    const struct core_peer *q = &f->peer[node < CORE_NODES ? node : 0];
    if (node >= c->cfg.n_nodes || node == c->cfg.self || facts_cluster_why(c, f) != WHY_UNSEEN_PEER)
        return WHY_NOT_UNSEEN;
    if (!facts_share_fresh(c, f))
        return WHY_SHARE_UNKNOWN;
    if (q->in_ring || q->heard || q->beat_moves)
        return WHY_PEER_LIVES;
    return facts_beat_stands(c, f, node) ? WHY_NONE : WHY_BEAT_UNKNOWN;
}
