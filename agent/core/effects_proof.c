/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Effects of the rules in ST_PROOF and ST_DRAIN: proofs taken and dropped, the walk over the fence devices. */
#include "core/rules.h"

static void fence_reset(struct core *c)
{
    c->fence.target = CORE_NODE_NONE;
    c->fence.device = 0;
    c->fence.phase = FENCE_IDLE;
    c->fence.tries = 0;
    c->fence.next_ms = 0;
}

void do_drop_proofs(struct core_turn *t)
{
    for (unsigned p = 0; p < CORE_NODES; p++)
        t->c->proof[p] = (struct core_proof_state){ .kind = PROOF_NONE };
    t->c->drained = false;
    fence_reset(t->c);
}

void do_begin_proofs(struct core_turn *t)
{
    do_drop_proofs(t);
    t->c->ring = t->f->ring;
    t->c->alerted = 0;
    for (unsigned p = 0; p < CORE_NODES; p++)
        t->c->dead_boot[p] = (struct core_id){ 0, 0 };
}

static struct core_id shown_boot(const struct core_turn *t, unsigned p)
{
    const struct core_peer *q = &t->f->peer[p];
    if (core_id_known(q->beat_boot))
        return q->beat_boot; /* the later sign of the two once it has left the ring */
    if (core_id_known(q->boot))
        return q->boot;
    for (unsigned i = 0; i < t->f->n_open && i < CORE_EPOCHS; i++)
        if (t->f->open[i].node == p)
            return t->f->open[i].boot;
    return (struct core_id){ 0, 0 };
}

static void prove(struct core_turn *t, unsigned p, enum core_proof kind)
{
    if (p >= t->c->cfg.n_nodes)
        return;
    t->c->proof[p] = (struct core_proof_state){ .kind = kind, .boot = shown_boot(t, p),
        .op_id = t->e->kind == EV_DONE ? t->e->op_id : t->c->op_seq };
    if (t->c->fence.target == p)
        fence_reset(t->c);
}

void do_prove_not_needed(struct core_turn *t) { prove(t, proof_first_not_needed(t->c, t->f), PROOF_NOT_NEEDED); }

/* The end says whether the release was as planned; only that of the epoch right below our claim is read, so that it has to
 * be all that the node held. */
void do_prove_ended(struct core_turn *t)
{
    const struct core_epoch *before = &t->f->before;
    unsigned p = proof_first_ended(t->c, t->f);
    if (p == CORE_NODE_NONE)
        return;
    prove(t, p, PROOF_ENDED);
    t->c->proof[p].planned = before->n + 1 == t->c->claim && before->n == t->c->held_from[p] && before->node == p
        && before->ended && before->planned;
}

void do_prove_rebooted(struct core_turn *t) { prove(t, proof_first_rebooted(t->c, t->f), PROOF_REBOOTED); }
void do_prove_off(struct core_turn *t) { prove(t, t->c->fence.target, PROOF_OFF); }

void do_prove_acknowledged(struct core_turn *t)
{
    if (t->c->fence.target == t->e->node)
        do_cancel(t);
    prove(t, t->e->node, PROOF_ACKNOWLEDGED);
    for (unsigned d = 0; d < t->c->cfg.n_devices; d++)
        if (t->c->cfg.device[d].node == t->e->node)
            t->c->power_on[d] = false; /* a person switched it off: a person switches it on */
}

void do_void_proof(struct core_turn *t)
{
    unsigned p = proof_first_voided(t->c, t->f);
    if (p != CORE_NODE_NONE)
        t->c->proof[p] = (struct core_proof_state){ .kind = PROOF_NONE };
}

/* From here on a sign of the boot that was proven dead is no echo of the network any more. */
void do_note_drained(struct core_turn *t)
{
    t->c->drained = true;
    for (unsigned p = 0; p < t->c->cfg.n_nodes; p++)
        if (t->c->proof[p].kind == PROOF_OFF || t->c->proof[p].kind == PROOF_DENIED
            || t->c->proof[p].kind == PROOF_ACKNOWLEDGED)
            t->c->dead_boot[p] = t->c->proof[p].boot;
}

static void fence_to(struct core_turn *t, unsigned device, enum fence_phase phase, uint64_t wait_ms)
{
    t->c->fence.device = device;
    t->c->fence.phase = phase;
    t->c->fence.next_ms = t->c->now_ms + wait_ms;
}

void do_fence_target(struct core_turn *t)
{
    t->c->fence.target = proof_first_to_fence(t->c, t->f, true);
    fence_to(t, fence_first_device(t->c, t->c->fence.target), FENCE_OFF, 0);
}

void do_fence_first(struct core_turn *t) { fence_to(t, t->c->fence.device, FENCE_FIRST, 0); }
void do_fence_second(struct core_turn *t) { fence_to(t, t->c->fence.device, FENCE_SECOND, t->c->cfg.power_wait_ms); }

void do_fence_next_device(struct core_turn *t)
{
    fence_to(t, fence_next_in_level(t->c, t->c->fence.device), FENCE_OFF, 0);
}

void do_fence_sweep(struct core_turn *t)
{
    fence_to(t, fence_first_in_level(t->c, t->c->fence.device), FENCE_SWEEP, 0);
}

void do_fence_sweep_next(struct core_turn *t)
{
    fence_to(t, fence_next_in_level(t->c, t->c->fence.device), FENCE_SWEEP, 0);
}

void do_fence_next_level(struct core_turn *t)
{
    fence_to(t, fence_next_level(t->c, t->c->fence.device), FENCE_OFF, 0);
}

void do_fence_back_off(struct core_turn *t)
{
    t->c->fence.tries++;
    fence_to(t, fence_first_device(t->c, t->c->fence.target), FENCE_OFF, fence_backoff_ms(t->c));
}
