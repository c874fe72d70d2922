/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold between steps, stated without the rules. */
#include "core/private.h"

#define IN(name) CORE_BIT(ST_##name)

static bool in(const struct core *c, uint32_t states) { return (states & CORE_BIT(c->state)) != 0; }

/* A state that waits for one operation has it, with a deadline. */
static bool pending_fits(const struct core *c)
{
    static const enum core_op waits_for[ST_N] = {
        [ST_CLAIMING] = OP_CLAIM, [ST_DRAIN] = OP_DRAIN, [ST_OWNING] = OP_OWN,
        [ST_ADDRESS] = OP_ADDRESS_START, [ST_SERVICE] = OP_SERVICE_START, [ST_RESTARTING] = OP_SERVICE_STOP,
        [ST_ADOPTING] = OP_SERVICE_MONITOR,
    };
    enum core_op op = c->pending.op;
    if ((op == OP_NONE) != (c->pending.id == 0) || (op == OP_NONE) != (c->pending.deadline_ms == 0))
        return false;
    if (waits_for[c->state] != OP_NONE)
        return op == waits_for[c->state];
    if (c->state == ST_STOPPING)
        return op == OP_SERVICE_STOP || op == OP_ADDRESS_STOP;
    if (c->state == ST_RELEASING)
        return op == OP_SERVICE_RELEASE || op == OP_SYNC || op == OP_ADDRESS_STOP || op == OP_SERVICE_RESUME;
    if (c->state == ST_PROOF)
        return op == OP_NONE || op == OP_FENCE_OFF || op == OP_FENCE_STATUS;
    if (c->state == ST_ENDING)
        return op == OP_NONE || op == OP_END;
    if (c->state == ST_RECOVER)
        return op == OP_RECOVER || (op == OP_NONE && c->no_room);
    if (c->state == ST_ACTIVE)
        return op == OP_NONE || op == OP_SERVICE_MONITOR || op == OP_INTAKE_CLOSE || op == OP_INTAKE_OPEN
            || op == OP_FENCE_ON;
    return op == OP_NONE;
}

/* Proof before own, drain before own, and never again under a number whose end was issued. */
static bool takeover_in_order(const struct core *c)
{
    const uint32_t after_own = IN(RECOVER) | IN(ADDRESS) | IN(SERVICE) | IN(ACTIVE)
        | IN(RELEASING) | IN(RESTARTING) | IN(ADOPTING);
    if (in(c, IN(CLAIMING) | IN(PROOF) | IN(DRAIN) | IN(OWNING) | after_own) && (c->claim == 0 || c->end_issued))
        return false;
    if (in(c, IN(OWNING) | after_own) && (!c->own_issued || !c->drained))
        return false;
    if (in(c, after_own) && !c->owned)
        return false;
    if (in(c, IN(STARTING) | IN(PASSIVE) | IN(CLAIMING) | IN(PROOF) | IN(DRAIN)) && c->claim != 0 && c->own_issued)
        return false;
    for (unsigned p = 0; p < c->cfg.n_nodes && !c->adopted; p++)
        if (p != c->cfg.self && in(c, IN(DRAIN) | IN(OWNING) | after_own) && c->proof[p].kind == PROOF_NONE)
            return false;
    return true;
}

bool core_invariant(const struct core *c)
{
    if ((unsigned)c->state >= ST_N || c->since_ms > c->now_ms)
        return false;
    if (c->state == ST_HOLD && !c->hold_after)
        return false;
    if (c->stop_unproven && !in(c, IN(HOLD) | IN(STOPPING)))
        return false;
    if ((c->state == ST_ENDING) != (c->ending != 0))
        return false;
    if (c->end_planned && (c->state != ST_ENDING || c->ending != c->claim))
        return false;
    if ((c->claim == 0) != (c->claim_run == 0))
        return false;
    if (c->proof[c->cfg.self].kind != PROOF_NONE)
        return false;
    return pending_fits(c) && takeover_in_order(c);
}
