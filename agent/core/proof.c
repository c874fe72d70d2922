/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which node has which proof, which one is next, and the walk over the fence devices of a node.
 * All functions that return a node return CORE_NODE_NONE when there is none. */
#include "core/private.h"

/* A proof that rests on what is seen now falls when it is no longer seen; a person's word at any sign of life. */
bool proof_voided(const struct core *c, const struct core_facts *f, unsigned node)
{
    const struct core_peer *q = &f->peer[node];
    switch (c->proof[node].kind) {
    case PROOF_NONE:
        return false;
    case PROOF_NOT_NEEDED:
        return !facts_clean(c, f, node) || facts_holds(c, f, node);
    case PROOF_REBOOTED:
        return !facts_rebooted(c, f, node);
    case PROOF_ENDED:
        return facts_holds(c, f, node);
    case PROOF_ACKNOWLEDGED:
        return q->in_ring || q->heard || q->beat_moves;
    case PROOF_OFF:
    case PROOF_DENIED:
        return q->in_ring || q->heard;
    case PROOF_N:
        break;
    }
    return true;
}

unsigned proof_first_voided(const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && proof_voided(c, f, p))
            return p;
    return CORE_NODE_NONE;
}

/* While a fence device is being asked about a node nothing else proves it: an off may be on its way. In the pause
 * before the next try it may. */
static bool lacks(const struct core *c, unsigned p)
{
    bool asked = c->fence.target == p && (c->fence.phase != FENCE_OFF || c->pending.op != OP_NONE);
    return p != c->cfg.self && c->proof[p].kind == PROOF_NONE && !asked;
}

unsigned proof_first_not_needed(const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (lacks(c, p) && c->held_from[p] == 0 && facts_clean(c, f, p) && !facts_holds(c, f, p))
            return p;
    return CORE_NODE_NONE;
}

/* An end is written only after a proven stop with no child left on a share, so it counts from outside the ring too;
 * a member however must be clean as well. */
unsigned proof_first_ended(const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (lacks(c, p) && c->held_from[p] != 0 && !facts_holds(c, f, p)
            && (!f->peer[p].in_ring || facts_clean(c, f, p)))
            return p;
    return CORE_NODE_NONE;
}

unsigned proof_first_rebooted(const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (lacks(c, p) && facts_holds(c, f, p) && facts_rebooted(c, f, p))
            return p;
    return CORE_NODE_NONE;
}

/* A member is given claim_patience to stop by itself on our higher claim; for one that has stopped and can not write its end
 * it is the same that was waited for before the claim. Who has just ended its tenure is most likely only starting its daemon
 * anew, and is given a moment to come back clean. Who else is not in the ring is fenced at once. */
uint64_t proof_patience_until(const struct core *c, const struct core_facts *f, unsigned p)
{
    uint64_t stuck = c->stuck_since_ms[p], since = stuck != 0 && stuck < c->since_ms ? stuck : c->since_ms;
    return since + (f->peer[p].in_ring ? c->cfg.claim_patience_ms : p == c->ended_last ? c->cfg.share_deadline_ms : 0);
}

unsigned proof_first_to_fence(const struct core *c, const struct core_facts *f, bool with_device)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (lacks(c, p) && facts_waited(c, proof_patience_until(c, f, p), 0)
            && with_device == (fence_first_device(c, p) != CORE_DEVICES))
            return p;
    return CORE_NODE_NONE;
}

bool proof_all(const struct core *c)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && c->proof[p].kind == PROOF_NONE)
            return false;
    return true;
}

/* Who held nothing when we claimed left nothing; nor did who has ended all that it held then by a planned release. What had
 * ended before the claim is in `drain_needed`. */
bool proof_needs_drain(const struct core *c)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++) {
        bool released = c->proof[p].kind == PROOF_ENDED && c->proof[p].planned;
        if (p != c->cfg.self && c->proof[p].kind != PROOF_NOT_NEEDED && !released)
            return true;
    }
    return c->drain_needed;
}

/* Switched off, drained, and its beat still changes: the device lies, or it switched another machine. */
bool proof_off_beats(const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < c->cfg.n_nodes; p++)
        if (p != c->cfg.self && c->proof[p].kind == PROOF_OFF && f->peer[p].beat_moves
            && core_id_same(f->peer[p].beat_boot, c->proof[p].boot))
            return true;
    return false;
}

unsigned fence_first_device(const struct core *c, unsigned node)
{
    for (unsigned d = 0; d < c->cfg.n_devices; d++)
        if (c->cfg.device[d].node == node)
            return d;
    return CORE_DEVICES;
}

static bool same_level(const struct core *c, unsigned a, unsigned b)
{
    return c->cfg.device[a].node == c->cfg.device[b].node && c->cfg.device[a].level == c->cfg.device[b].level;
}

unsigned fence_next_in_level(const struct core *c, unsigned device)
{
    unsigned next = device + 1;
    return next < c->cfg.n_devices && same_level(c, device, next) ? next : CORE_DEVICES;
}

unsigned fence_first_in_level(const struct core *c, unsigned device)
{
    while (device > 0 && same_level(c, device - 1, device))
        device--;
    return device;
}

unsigned fence_next_level(const struct core *c, unsigned device)
{
    for (unsigned d = device + 1; d < c->cfg.n_devices; d++)
        if (c->cfg.device[d].node == c->cfg.device[device].node && !same_level(c, d, device))
            return d;
    return CORE_DEVICES;
}

uint64_t fence_backoff_ms(const struct core *c)
{
    uint64_t ms = c->cfg.fence_retry_min_ms;
    for (unsigned i = 1; i < c->fence.tries && ms < c->cfg.fence_retry_max_ms; i++)
        ms *= 2;
    return ms < c->cfg.fence_retry_max_ms ? ms : c->cfg.fence_retry_max_ms;
}
