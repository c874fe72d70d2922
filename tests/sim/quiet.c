/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold whenever a core has come to rest, judged from the facts that it was given: nothing waits for ever, what
 * must stop has begun to, and no step of a takeover stands on ground that is gone. */
#include "world.h"

#define BIT(s) (1u << (s))
#define TAKING (BIT(ST_CLAIMING) | BIT(ST_PROOF) | BIT(ST_DRAIN) | BIT(ST_OWNING))
#define MOVING (BIT(ST_RELEASING) | BIT(ST_RESTARTING) | BIT(ST_ADOPTING))
#define OWNED  (BIT(ST_RECOVER) | BIT(ST_ADDRESS) | BIT(ST_SERVICE) | BIT(ST_ACTIVE) | MOVING)

static bool in(const struct core *c, uint32_t states) { return (states & BIT(c->state)) != 0; }

static void check_waiting(struct world *w, const struct core *c)
{
    static const uint32_t waits = BIT(ST_CLAIMING) | BIT(ST_DRAIN) | BIT(ST_OWNING) | BIT(ST_RECOVER) | BIT(ST_ADDRESS)
        | BIT(ST_SERVICE) | BIT(ST_STOPPING) | MOVING;
    if (c->pending.op != OP_NONE && c->pending.deadline_ms <= w->now)
        world_fail(w, CHECK_DEADLINE, "%s still waited for after its deadline", core_op_name(c->pending.op));
    bool for_room = c->state == ST_RECOVER && c->no_room && c->retry_ms > w->now;
    if (in(c, waits) && c->pending.op == OP_NONE && !for_room)
        world_fail(w, CHECK_DEADLINE, "state %s waits for nothing", core_state_name(c->state));
}

static const char *lost_cluster(const struct core_facts *f, bool may_settle)
{
    if ((!f->quorate && !(may_settle && f->quorum_settling)) || f->ring == 0)
        return "quorum";
    return f->members_fresh ? NULL : "corosync";
}

static void check_owned(struct world *w, unsigned h)
{
    const struct sim_engine *g = &w->host[h].engine;
    const struct core *c = &g->core;
    const struct core_facts *f = &g->facts;
    const struct core_config *k = &w->p.cfg;
    const char *lost = lost_cluster(f, true), *state = core_state_name(c->state);
    if (!lost && (f->share == SHARE_WRONG || f->share == SHARE_BEHIND))
        lost = "the right share";
    if (!lost && f->share_seen_ms + k->share_patience_ms < w->now && c->observe_since_ms + k->share_patience_ms < w->now)
        lost = "the share";
    if (!lost && f->share_seen_ms <= c->observe_since_ms && c->observe_since_ms + k->share_deadline_ms < w->now)
        lost = "a look at the epochs after a gap";
    if (!lost && c->state != ST_ACTIVE && g->gap_ms > c->since_ms)
        lost = "a break, over a gap in its own time";
    if (lost)
        world_fail(w, CHECK_MUST_STOP, "still %s without %s", state, lost);
    if (f->share == SHARE_OK && f->highest > c->claim && !is_stopped_for_good(w, h))
        world_fail(w, CHECK_MUST_STOP, "still %s, and a higher epoch is claimed", state);
    bool open = !c->intake_closed || c->pending.op == OP_INTAKE_OPEN;
    if (c->state == ST_ACTIVE && open && (f->share != SHARE_OK || f->share_seen_ms <= g->gap_ms))
        world_fail(w, CHECK_MUST_STOP, "intake is open, and the share does not answer");
    if (c->state == ST_ACTIVE && open && f->lists_refuse)
        world_fail(w, CHECK_MUST_STOP, "intake is open, and the list share takes nothing");
}

static void check_proofs(struct world *w, unsigned h, const struct core *c, const struct core_facts *f)
{
    for (unsigned p = 0; p < w->p.n; p++) {
        const struct core_peer *q = &f->peer[p];
        enum core_proof k = c->proof[p].kind;
        bool clean = q->in_ring && q->heard && q->no_service && q->no_share_child && q->no_end_pending && !q->digest_differs;
        bool lives = q->in_ring || q->heard || q->beat_moves;
        if (p != h && (((k == PROOF_NOT_NEEDED || k == PROOF_REBOOTED) && !clean) || (k == PROOF_ACKNOWLEDGED && lives)))
            world_fail(w, CHECK_PROOF, "proof %s of %u does not hold any more", core_proof_name(k), p);
    }
}

static void check_ground(struct world *w, const struct sim_engine *g)
{
    const struct core *c = &g->core;
    const struct core_facts *f = &g->facts;
    const char *lost = lost_cluster(f, false), *state = core_state_name(c->state);
    if (!lost && f->ring != c->ring)
        lost = "the same ring";
    if (!lost && (f->share != SHARE_OK || f->share_seen_ms <= g->gap_ms))
        lost = "the share";
    if (!lost && (f->maintenance || !f->encrypted_ok || f->unreaped != 0 || f->service_here == TRI_YES))
        lost = "what a claim needs";
    if (lost)
        world_fail(w, CHECK_MUST_STOP, "still %s without %s", state, lost);
    if (c->state != ST_CLAIMING && f->share == SHARE_OK && f->highest > c->claim)
        world_fail(w, CHECK_MUST_STOP, "still %s, and a higher epoch is claimed", state);
}

void check_quiet(struct world *w, unsigned h)
{
    const struct core *c = &w->host[h].engine.core;
    const struct core_facts *f = &w->host[h].engine.facts;
    check_waiting(w, c);
    if (in(c, OWNED))
        check_owned(w, h);
    if (in(c, TAKING)) {
        check_ground(w, &w->host[h].engine);
        check_proofs(w, h, c, f);
    }
    for (unsigned p = 0; p < w->p.n; p++)
        if (in(c, OWNED | BIT(ST_OWNING)) && c->dead_boot[p].lo != 0 && f->peer[p].dead_boot_seen)
            world_fail(w, CHECK_MUST_STOP, "still %s, and %u was proven dead and lives", core_state_name(c->state), p);
}

/* An answer to what is waited for is used up by some rule. */
void check_taken(struct world *w, unsigned h, uint64_t op_id)
{
    const struct core *c = &w->host[h].engine.core;
    if (c->pending.op != OP_NONE && c->pending.id == op_id)
        world_fail(w, CHECK_DEADLINE, "the answer to %s was not taken", core_op_name(c->pending.op));
}

/* The core must not depend on being asked at any time that it has not named. */
void check_wakeup(struct world *w, unsigned h)
{
    const struct sim_engine *g = &w->host[h].engine;
    if ((w->seq & 15) != 0 || g->wake_at == w->now || g->wake_at == 0)
        return;
    struct core copy = g->core;
    struct core_actions out;
    struct core_event e = { .kind = EV_LOOK, .now_ms = w->now, .facts = &g->facts };
    if (core_wakeup_ms(&g->core) <= w->now)
        return;
    int rule = core_step(&copy, &e, &out);
    if (rule != 0)
        world_fail(w, CHECK_WAKEUP, "rule %d was due before the time that was named", rule);
}
