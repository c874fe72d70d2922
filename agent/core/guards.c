/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The conditions of the rules, one predicate each, named as in the table. */
#include "core/rules.h"

static bool answered(const struct core *c, const struct core_event *e, enum core_op op, enum core_result r)
{
    return core_answered(c, e) && e->op == op && e->result == r;
}

static bool waits_for(const struct core *c, enum core_op op) { return c->pending.op == op; }
static bool idle(const struct core *c) { return c->pending.op == OP_NONE; }

static bool late(const struct core *c) { return !idle(c) && facts_waited(c, c->pending.deadline_ms, 0); }

/* Answered, but not by `good`; or no answer came at all. */
static bool fell(const struct core *c, const struct core_event *e, enum core_op op, enum core_result good)
{
    return waits_for(c, op) && (core_answered(c, e) ? e->result != good : late(c));
}

static bool due(const struct core *c) { return facts_waited(c, c->retry_ms, 0); }

bool guard_always(const struct core *c, const struct core_event *e) { (void)c; (void)e; return true; }

bool guard_dead_spoke(const struct core *c, const struct core_event *e)
{
    unsigned who;
    return facts_dead_spoke(c, e->facts, &who);
}

bool guard_outranked(const struct core *c, const struct core_event *e) { return facts_outranked(c, e->facts); }

/* The one that we release to may claim as soon as nothing of ours runs: what is left is done as planned all the same. */
bool guard_tenure_lost(const struct core *c, const struct core_event *e)
{
    return guard_outranked(c, e) && !core_is_releasing(c);
}

/* CPG and votequorum tell of a new ring one after the other: a node that joins or leaves is no reason to stop. */
bool guard_cluster_lost(const struct core *c, const struct core_event *e)
{
    const struct core_facts *f = e->facts;

    (void)c;
    return !facts_cluster_ok(f) && !(f->members_fresh && f->ring != 0 && f->quorum_settling);
}

bool guard_share_bad(const struct core *c, const struct core_event *e) { (void)c; return facts_share_bad(e->facts); }
bool guard_share_lost(const struct core *c, const struct core_event *e) { return facts_share_lost(c, e->facts); }

bool guard_unconfirmed(const struct core *c, const struct core_event *e)
{
    return e->facts->share_seen_ms <= c->observe_since_ms
        && facts_waited(c, c->observe_since_ms, c->cfg.share_deadline_ms);
}

bool guard_ground_lost(const struct core *c, const struct core_event *e) { return !facts_ground(c, e->facts); }

bool guard_proof_fell(const struct core *c, const struct core_event *e)
{
    return proof_first_voided(c, e->facts) != CORE_NODE_NONE;
}

bool guard_own_fell(const struct core *c, const struct core_event *e)
{
    return !facts_ground(c, e->facts) || facts_outranked(c, e->facts) || guard_proof_fell(c, e);
}

bool guard_off_beats(const struct core *c, const struct core_event *e)
{
    return answered(c, e, OP_DRAIN, RES_OK) && proof_off_beats(c, e->facts);
}

/* Starting and stopping */
bool guard_nothing_runs(const struct core *c, const struct core_event *e)
{
    return c->stopped && e->facts->service_here == TRI_NO;
}

bool guard_nothing_runs_hold(const struct core *c, const struct core_event *e)
{
    return c->hold_after && guard_nothing_runs(c, e);
}

/* Whether what runs here may go on is not known yet: it is left alone for a moment. The look into /proc may be the last to
 * answer: without maintenance there is nothing to wait for. */
static bool adoption_awaited(const struct core *c, const struct core_facts *f)
{
    bool known = facts_cluster_ok(f) && facts_reread(c, f) && (f->service_here != TRI_UNKNOWN || !f->maintenance);
    return f->adoptable != 0 && !c->no_adoption && !known && !facts_outranked(c, f)
        && !facts_waited(c, c->since_ms, 2ull * c->cfg.share_deadline_ms);
}

bool guard_may_adopt(const struct core *c, const struct core_event *e) { return facts_adoptable(c, e->facts); }
bool guard_stop_due(const struct core *c, const struct core_event *e) { return due(c) && !adoption_awaited(c, e->facts); }
bool guard_service_stop_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SERVICE_STOP, RES_OK); }
bool guard_address_stop_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_ADDRESS_STOP, RES_OK); }

bool guard_address_stop_ok_claim(const struct core *c, const struct core_event *e)
{
    return c->claim != 0 && guard_address_stop_ok(c, e);
}

bool guard_stop_failed(const struct core *c, const struct core_event *e)
{
    return fell(c, e, OP_SERVICE_STOP, RES_OK) || fell(c, e, OP_ADDRESS_STOP, RES_OK);
}

bool guard_stop_failed_claim(const struct core *c, const struct core_event *e)
{
    return c->claim != 0 && guard_stop_failed(c, e);
}

bool guard_stop_again(const struct core *c, const struct core_event *e)
{
    return idle(c) && e->facts->service_here == TRI_YES && facts_waited(c, c->since_ms, CORE_RETRY_MS);
}

bool guard_hold_stop_due(const struct core *c, const struct core_event *e)
{
    (void)e;
    return c->stop_unproven && due(c);
}

bool guard_failures_counted(const struct core *c, const struct core_event *e) { (void)e; return c->failures != 0; }

/* Passive */
bool guard_own_stray(const struct core *c, const struct core_event *e)
{
    return !c->stop_unproven && due(c) && facts_reread(c, e->facts) && facts_own_stray(c, e->facts) != 0;
}

bool guard_service_appeared(const struct core *c, const struct core_event *e)
{
    return !c->stop_unproven && e->facts->service_here == TRI_YES;
}

static bool passive_free(const struct core *c, const struct core_event *e)
{
    struct core_why_list l;
    blockers_passive(c, e->facts, true, &l);
    return l.n == 0;
}

bool guard_claim_stuck(const struct core *c, const struct core_event *e)
{
    return c->claim != 0 && facts_waited(c, c->since_ms, c->cfg.claim_patience_ms) && !passive_free(c, e);
}

bool guard_may_resume(const struct core *c, const struct core_event *e)
{
    return c->claim != 0 && due(c) && e->facts->highest == c->claim && passive_free(c, e);
}

bool guard_may_claim(const struct core *c, const struct core_event *e)
{
    return c->claim == 0 && due(c) && passive_free(c, e);
}

bool guard_split(const struct core *c, const struct core_event *e)
{
    struct core_why_list l;
    if (c->alerted & (1ull << WHY_SPLIT))
        return false;
    blockers_passive(c, e->facts, false, &l);
    for (unsigned i = 0; i < l.n; i++)
        if (l.v[i].reason == WHY_SPLIT && facts_waited(c, c->ring_change_ms[l.v[i].node], c->cfg.claim_patience_ms))
            return true; /* not yet of a node that has just died or is just joining, whose last beat still counts */
    return false;
}

bool guard_claim_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_CLAIM, RES_OK); }
bool guard_claim_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_CLAIM, RES_OK); }

/* Proof */
bool guard_not_needed(const struct core *c, const struct core_event *e)
{
    return proof_first_not_needed(c, e->facts) != CORE_NODE_NONE;
}

bool guard_ended(const struct core *c, const struct core_event *e) { return proof_first_ended(c, e->facts) != CORE_NODE_NONE; }

bool guard_rebooted(const struct core *c, const struct core_event *e)
{
    return proof_first_rebooted(c, e->facts) != CORE_NODE_NONE;
}

bool guard_acknowledge(const struct core *c, const struct core_event *e)
{
    return core_may_acknowledge(c, e->facts, e->node) == WHY_NONE;
}

bool guard_off_answered(const struct core *c, const struct core_event *e)
{
    return waits_for(c, OP_FENCE_OFF) && (core_answered(c, e) || late(c));
}

static bool said_off(const struct core *c, const struct core_event *e, enum fence_phase phase)
{
    return answered(c, e, OP_FENCE_STATUS, RES_OFF) && c->fence.phase == (unsigned)phase;
}

static bool more(const struct core *c) { return fence_next_in_level(c, c->fence.device) != CORE_DEVICES; }
static bool several(const struct core *c) { return more(c) || fence_first_in_level(c, c->fence.device) != c->fence.device; }

bool guard_first_off(const struct core *c, const struct core_event *e) { return said_off(c, e, FENCE_FIRST); }
bool guard_second_off_more(const struct core *c, const struct core_event *e) { return said_off(c, e, FENCE_SECOND) && more(c); }

bool guard_second_off_sweep(const struct core *c, const struct core_event *e)
{
    return said_off(c, e, FENCE_SECOND) && several(c) && !more(c);
}

bool guard_sweep_off_more(const struct core *c, const struct core_event *e)
{
    return said_off(c, e, FENCE_SWEEP) && more(c);
}

bool guard_proven_off(const struct core *c, const struct core_event *e)
{
    return (said_off(c, e, FENCE_SECOND) && !several(c)) || (said_off(c, e, FENCE_SWEEP) && !more(c));
}

bool guard_fence_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_FENCE_STATUS, RES_OFF); }

bool guard_fence_failed_level(const struct core *c, const struct core_event *e)
{
    return guard_fence_failed(c, e) && fence_next_level(c, c->fence.device) != CORE_DEVICES;
}

/* A fence program that is not reaped may still act: nothing goes on beside it. */
bool guard_fence_go_on(const struct core *c, const struct core_event *e)
{
    return idle(c) && c->fence.target != CORE_NODE_NONE && e->facts->unreaped_fence == 0
        && facts_waited(c, c->fence.next_ms, 0);
}

bool guard_fence_begin(const struct core *c, const struct core_event *e)
{
    return idle(c) && c->fence.target == CORE_NODE_NONE && e->facts->unreaped_fence == 0
        && proof_first_to_fence(c, e->facts, true) != CORE_NODE_NONE;
}

bool guard_no_device(const struct core *c, const struct core_event *e)
{
    return !(c->alerted & (1ull << WHY_NO_DEVICE)) && proof_first_to_fence(c, e->facts, false) != CORE_NODE_NONE;
}

bool guard_proofs_drain(const struct core *c, const struct core_event *e)
{
    (void)e;
    return idle(c) && proof_all(c) && proof_needs_drain(c);
}

bool guard_proofs_own(const struct core *c, const struct core_event *e)
{
    (void)e;
    return idle(c) && proof_all(c) && !proof_needs_drain(c);
}

/* Drain to service */
bool guard_drain_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_DRAIN, RES_OK); }
bool guard_drain_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_DRAIN, RES_OK); }
bool guard_own_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_OWN, RES_OK); }
bool guard_own_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_OWN, RES_OK); }
bool guard_recover_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_RECOVER, RES_OK); }
bool guard_recover_full(const struct core *c, const struct core_event *e) { return answered(c, e, OP_RECOVER, RES_FULL); }
bool guard_recover_again(const struct core *c, const struct core_event *e) { (void)e; return idle(c) && due(c); }
bool guard_address_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_ADDRESS_START, RES_OK); }

bool guard_address_duplicate(const struct core *c, const struct core_event *e)
{
    return answered(c, e, OP_ADDRESS_START, RES_DUPLICATE);
}

bool guard_service_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SERVICE_START, RES_OK); }

bool guard_op_failed(const struct core *c, const struct core_event *e)
{
    return fell(c, e, OP_RECOVER, RES_OK) || fell(c, e, OP_ADDRESS_START, RES_OK) || fell(c, e, OP_SERVICE_START, RES_OK);
}

/* Active */
static bool intake_open(const struct core *c) { return !c->intake_closed || waits_for(c, OP_INTAKE_OPEN); }

/* Also after a gap: a service that is started again right after one comes with its intake open. */
bool guard_share_hangs(const struct core *c, const struct core_event *e)
{
    return intake_open(c) && !(facts_share_fresh(c, e->facts) && facts_reread(c, e->facts));
}

bool guard_lists_refuse(const struct core *c, const struct core_event *e) { return intake_open(c) && e->facts->lists_refuse; }

bool guard_intake_closed(const struct core *c, const struct core_event *e) { return answered(c, e, OP_INTAKE_CLOSE, RES_OK); }

bool guard_intake_failed(const struct core *c, const struct core_event *e)
{
    return fell(c, e, OP_INTAKE_CLOSE, RES_OK) || fell(c, e, OP_INTAKE_OPEN, RES_OK);
}

bool guard_intake_may_open(const struct core *c, const struct core_event *e)
{
    return idle(c) && c->intake_closed && !e->facts->lists_refuse && facts_share_fresh(c, e->facts) && facts_reread(c, e->facts);
}

bool guard_intake_opened(const struct core *c, const struct core_event *e) { return answered(c, e, OP_INTAKE_OPEN, RES_OK); }

bool guard_monitor_due(const struct core *c, const struct core_event *e)
{
    return idle(c) && !e->facts->maintenance && facts_waited(c, c->monitor_due_ms, 0);
}

bool guard_monitor_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SERVICE_MONITOR, RES_OK); }

static unsigned failures_lately(const struct core *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->failures; i++)
        n += !facts_waited(c, c->failure_ms[i], c->cfg.failure_window_ms);
    return n;
}

bool guard_monitor_restart(const struct core *c, const struct core_event *e)
{
    unsigned n = failures_lately(c);
    return guard_monitor_failed(c, e) && n < c->cfg.max_restarts && n + 1 < c->cfg.max_failures
        && facts_share_fresh(c, e->facts) && !e->facts->maintenance;
}

bool guard_monitor_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_SERVICE_MONITOR, RES_OK); }

bool guard_fence_on_due(const struct core *c, const struct core_event *e)
{
    if (!idle(c) || !c->cfg.after_fence_on || e->facts->maintenance || e->facts->unreaped_fence != 0 || c->intake_closed)
        return false;
    for (unsigned d = 0; d < c->cfg.n_devices; d++)
        if (c->power_on[d])
            return true;
    return false;
}

bool guard_fence_on_answered(const struct core *c, const struct core_event *e)
{
    return waits_for(c, OP_FENCE_ON) && (core_answered(c, e) || late(c));
}

/* Planned release, restart here, adoption */
bool guard_release_asked(const struct core *c, const struct core_event *e)
{
    unsigned who;
    return core_may_release(c, e->facts, e->node, &who) == WHY_NONE;
}

bool guard_release_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SERVICE_RELEASE, RES_OK); }
bool guard_sync_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SYNC, RES_OK); }
bool guard_resume_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_SERVICE_RESUME, RES_OK); }
bool guard_resume_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_SERVICE_RESUME, RES_OK); }
bool guard_release_refused(const struct core *c, const struct core_event *e) { return fell(c, e, OP_SERVICE_RELEASE, RES_OK); }

bool guard_release_forced(const struct core *c, const struct core_event *e)
{
    return c->release_force && guard_release_refused(c, e);
}

bool guard_release_failed(const struct core *c, const struct core_event *e)
{
    return fell(c, e, OP_SYNC, RES_OK) || fell(c, e, OP_ADDRESS_STOP, RES_OK);
}

bool guard_restart_stop_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_SERVICE_STOP, RES_OK); }
bool guard_adopt_ok(const struct core *c, const struct core_event *e) { return guard_monitor_ok(c, e); }
bool guard_adopt_failed(const struct core *c, const struct core_event *e) { return guard_monitor_failed(c, e); }

/* Ending */
bool guard_end_due(const struct core *c, const struct core_event *e)
{
    return idle(c) && due(c) && e->facts->unreaped == 0 && e->facts->service_here == TRI_NO
        && facts_share_fresh(c, e->facts);
}

bool guard_end_ok(const struct core *c, const struct core_event *e) { return answered(c, e, OP_END, RES_OK); }
bool guard_end_ok_hold(const struct core *c, const struct core_event *e) { return c->hold_after && guard_end_ok(c, e); }
bool guard_end_failed(const struct core *c, const struct core_event *e) { return fell(c, e, OP_END, RES_OK); }
