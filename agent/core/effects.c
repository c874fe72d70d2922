/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rules do: operations asked for, alerts, and what the core remembers. The state itself is written in step.c. */
#include "core/rules.h"

void do_cancel(struct core_turn *t)
{
    if (t->c->pending.op == OP_NONE)
        return;
    turn_push(t, &(struct core_action){ .kind = ACT_CANCEL, .op = t->c->pending.op, .op_id = t->c->pending.id });
    t->c->pending.op = OP_NONE;
    t->c->pending.id = t->c->pending.deadline_ms = 0;
}

/* Nothing that was seen before counts as seen lately; the epochs have to be read again. */
void do_observe(struct core_turn *t)
{
    t->c->observe_since_ms = t->c->now_ms;
    t->c->turn_since_ms = t->c->share_fresh_since_ms = 0;
    for (unsigned p = 0; p < t->c->cfg.n_nodes; p++)
        t->c->heard_ms[p] = t->c->beat_ms[p] = t->c->now_ms;
}

void do_reread(struct core_turn *t) { t->c->observe_since_ms = t->c->now_ms; }
void do_retry_later(struct core_turn *t) { t->c->retry_ms = t->c->now_ms + CORE_RETRY_MS; }

/* Operations */
void do_run_service_stop(struct core_turn *t)
{
    t->c->no_adoption = true;
    turn_run(t, OP_SERVICE_STOP, t->c->cfg.stop_ms);
}

void do_run_release(struct core_turn *t) { turn_run(t, OP_SERVICE_RELEASE, t->c->cfg.release_ms); }
void do_run_resume(struct core_turn *t) { turn_run(t, OP_SERVICE_RESUME, t->c->cfg.release_ms); }
void do_run_sync(struct core_turn *t) { turn_run(t, OP_SYNC, t->c->cfg.sync_ms); }
void do_run_address_stop(struct core_turn *t) { turn_run(t, OP_ADDRESS_STOP, t->c->cfg.address_ms); }
void do_run_own(struct core_turn *t)
{
    t->c->own_issued = true;
    turn_run(t, OP_OWN, t->c->cfg.epoch_op_ms);
}
void do_retry_recover(struct core_turn *t) { turn_run(t, OP_RECOVER, t->c->cfg.recover_ms); }

void do_run_recover(struct core_turn *t)
{
    t->c->no_room = false;
    do_retry_recover(t);
}

void do_run_address(struct core_turn *t) { turn_run(t, OP_ADDRESS_START, t->c->cfg.address_ms); }
void do_run_service(struct core_turn *t) { turn_run(t, OP_SERVICE_START, t->c->cfg.start_ms); }
void do_run_monitor(struct core_turn *t) { turn_run(t, OP_SERVICE_MONITOR, t->c->cfg.monitor_ms); }
void do_run_intake_open(struct core_turn *t) { turn_run(t, OP_INTAKE_OPEN, t->c->cfg.address_ms); }

void do_run_intake_close(struct core_turn *t)
{
    t->c->intake_closed = true;
    turn_run(t, OP_INTAKE_CLOSE, t->c->cfg.address_ms);
}

/* The drain ends by itself after drain_ms of answered probes; a gap starts it again, for share_patience at most. */
void do_run_drain(struct core_turn *t)
{
    turn_run(t, OP_DRAIN, t->c->cfg.drain_ms + t->c->cfg.share_patience_ms);
}

/* Only highest + 1 is tried. Whether there is something to drain of an epoch that has not ended yet is for its proof to say. */
void do_run_claim(struct core_turn *t)
{
    const struct core_epoch *last = &t->f->last;
    t->c->claim = t->f->highest + 1;
    t->c->claim_run = t->f->run;
    t->c->ring = t->f->ring;
    t->c->ended_last = last->ended ? last->node : CORE_NODE_NONE;
    t->c->drain_needed = t->f->highest != 0 && last->ended && !last->planned;
    t->c->own_issued = t->c->owned = t->c->end_issued = false;
    for (unsigned p = 0; p < t->c->cfg.n_nodes; p++)
        t->c->held_from[p] = facts_held_from(t->c, t->f, p);
    for (unsigned d = 0; d < CORE_DEVICES; d++)
        t->c->power_on[d] = false; /* what is switched off under this claim is remembered for as long as it is pursued */
    turn_run(t, OP_CLAIM, t->c->cfg.epoch_op_ms);
}

void do_run_end(struct core_turn *t)
{
    if (t->c->ending == t->c->claim)
        t->c->end_issued = true;
    turn_run(t, OP_END, t->c->cfg.epoch_op_ms);
}

void do_run_fence(struct core_turn *t)
{
    enum core_op op = t->c->fence.phase == FENCE_OFF ? OP_FENCE_OFF : OP_FENCE_STATUS;
    if (op == OP_FENCE_OFF)
        t->c->power_on[t->c->fence.device] = true;
    turn_run(t, op, t->c->cfg.fence_ms[t->c->fence.device]);
}

void do_run_fence_on(struct core_turn *t)
{
    for (unsigned d = 0; d < t->c->cfg.n_devices; d++) {
        if (!t->c->power_on[d])
            continue;
        t->c->power_on[d] = false;
        t->c->fence.device = d;
        turn_run(t, OP_FENCE_ON, t->c->cfg.fence_ms[d]);
        return;
    }
}

/* Reasons */
static void blame(struct core_turn *t, enum core_reason why, unsigned node)
{
    t->c->last_reason = why;
    t->c->last_node = (uint8_t)node;
}

static void blame_self(struct core_turn *t, enum core_reason why) { blame(t, why, t->c->cfg.self); }

void do_blame_gap(struct core_turn *t) { blame_self(t, WHY_GAP); }
void do_blame_share_lost(struct core_turn *t) { blame_self(t, WHY_SHARE_UNKNOWN); }
void do_blame_duplicate(struct core_turn *t) { blame_self(t, WHY_DUPLICATE_ADDRESS); }
void do_blame_cluster(struct core_turn *t) { blame_self(t, facts_cluster_why(t->c, t->f)); }

void do_blame_outranked(struct core_turn *t)
{
    const struct core *c = t->c;
    bool ours = t->f->highest == c->claim && t->f->last.node == c->cfg.self && !t->f->last.ended;
    blame(t, ours ? WHY_EPOCH_LOST : WHY_HIGHER_CLAIM, t->f->last.node);
}


void do_blame_dead(struct core_turn *t)
{
    unsigned who = t->c->cfg.self;
    (void)facts_dead_spoke(t->c, t->f, &who);
    blame(t, WHY_DEAD_NODE_SPOKE, who);
}

void do_blame_lives(struct core_turn *t)
{
    for (unsigned p = 0; p < t->c->cfg.n_nodes; p++)
        if (p != t->c->cfg.self && t->c->proof[p].kind == PROOF_OFF && t->f->peer[p].beat_moves)
            blame(t, WHY_DEAD_NODE_SPOKE, p);
}

void do_blame_proof(struct core_turn *t)
{
    unsigned p = proof_first_voided(t->c, t->f);
    if (p != CORE_NODE_NONE)
        blame(t, WHY_PEER_LIVES, p);
}

void do_blame_share_bad(struct core_turn *t)
{
    blame_self(t, t->f->share == SHARE_WRONG ? WHY_SHARE_WRONG : WHY_EPOCH_LOST);
}

void do_blame_ground(struct core_turn *t)
{
    struct core_why_list l;
    blockers_passive(t->c, t->f, false, &l);
    if (facts_outranked(t->c, t->f))
        do_blame_outranked(t);
    else if (l.n > 0)
        blame(t, l.v[0].reason, l.v[0].node);
    else if (proof_first_voided(t->c, t->f) != CORE_NODE_NONE)
        do_blame_proof(t);
    else
        blame_self(t, WHY_NO_RING); /* everything holds again, but the ring is another one */
}

static void blame_the_release(struct core_turn *t, enum core_reason why)
{
    t->c->release_why = why;
    blame_self(t, why);
}

void do_blame_release(struct core_turn *t) { blame_the_release(t, WHY_RELEASE_REFUSED); }
void do_blame_sync(struct core_turn *t) { blame_the_release(t, t->was == OP_SYNC ? WHY_SYNC_FAILED : WHY_ADDRESS_FAILED); }

static enum core_reason failed_op(enum core_op op)
{
    if (op == OP_RECOVER)
        return WHY_RECOVER_FAILED;
    if (op == OP_ADDRESS_START)
        return WHY_ADDRESS_FAILED;
    return op == OP_INTAKE_OPEN || op == OP_INTAKE_CLOSE ? WHY_INTAKE_FAILED : WHY_SERVICE_FAILED;
}

/* Failures older than the window are forgotten; too many within it: hold, instead of passing the service to and fro. */
void do_count_failure(struct core_turn *t)
{
    struct core *c = t->c;
    unsigned kept = 0;
    const unsigned room = sizeof c->failure_ms / sizeof *c->failure_ms;
    for (unsigned i = 0; i < c->failures; i++)
        if (!facts_waited(c, c->failure_ms[i], c->cfg.failure_window_ms))
            c->failure_ms[kept++] = c->failure_ms[i];
    if (kept < room)
        c->failure_ms[kept++] = c->now_ms;
    c->failures = kept;
    blame_self(t, failed_op(t->was));
    if (c->failures >= c->cfg.max_failures || c->failures == room)
        c->hold_after = true;
}

void do_hold(struct core_turn *t) { t->c->hold_after = true; }
void do_alert(struct core_turn *t) { turn_alert(t, t->c->last_reason, t->c->last_node); }

static void alert_once(struct core_turn *t, enum core_reason why, unsigned node)
{
    if (!(t->c->alerted & (1ull << why)))
        turn_alert(t, why, node);
    t->c->alerted |= 1ull << why;
}

void do_alert_fence(struct core_turn *t) { alert_once(t, WHY_FENCE_FAILED, t->c->fence.target); }
void do_alert_service(struct core_turn *t) { alert_once(t, WHY_SERVICE_HERE, t->c->cfg.self); }
void do_alert_unproven(struct core_turn *t) { alert_once(t, WHY_STOP_UNPROVEN, t->c->cfg.self); }
void do_alert_no_device(struct core_turn *t) { alert_once(t, WHY_NO_DEVICE, proof_first_to_fence(t->c, t->f, false)); }

void do_alert_split(struct core_turn *t)
{
    struct core_why_list l;
    blockers_passive(t->c, t->f, false, &l);
    for (unsigned i = 0; i < l.n; i++)
        if (l.v[i].reason == WHY_SPLIT)
            alert_once(t, WHY_SPLIT, l.v[i].node);
}

/* Told when it begins, not with each try. */
void do_note_no_room(struct core_turn *t)
{
    if (!t->c->no_room)
        turn_alert(t, WHY_LISTS_REFUSE, t->c->cfg.self);
    t->c->no_room = true;
}

/* Claims and ends */
void do_forget_claim(struct core_turn *t)
{
    t->c->claim = t->c->claim_run = t->c->retry_ms = 0;
    t->c->own_issued = t->c->owned = t->c->end_issued = t->c->end_planned = t->c->adopted = false;
}

void do_must_stop(struct core_turn *t)
{
    do_forget_claim(t);
    t->c->stopped = false;
}

void do_withdraw(struct core_turn *t)
{
    t->c->ending = t->c->claim;
    t->c->retry_ms = 0;
    t->c->stop_unproven = t->c->end_planned = false;
}

void do_release_end(struct core_turn *t)
{
    do_withdraw(t);
    t->c->end_planned = true;
}

void do_end_stray(struct core_turn *t)
{
    t->c->ending = facts_own_stray(t->c, t->f);
    t->c->retry_ms = 0;
}

void do_pause_end(struct core_turn *t)
{
    t->c->ending = 0;
    t->c->end_planned = false;
}

void do_note_ended(struct core_turn *t)
{
    if (t->c->ending == t->c->claim)
        do_forget_claim(t);
    t->c->ending = 0;
    do_reread(t);
}

void do_stop_unproven(struct core_turn *t)
{
    t->c->stop_unproven = true;
    blame_self(t, WHY_STOP_UNPROVEN);
    do_retry_later(t);
}

void do_note_stopped(struct core_turn *t)
{
    t->c->stopped = true;
    do_retry_later(t);
}

void do_forget_failures(struct core_turn *t) { t->c->failures = 0; }

void do_clear(struct core_turn *t)
{
    do_must_stop(t);
    t->c->hold_after = t->c->stop_unproven = false;
    do_forget_failures(t);
    t->c->alerted = 0;
    for (unsigned p = 0; p < CORE_NODES; p++)
        t->c->dead_boot[p] = (struct core_id){ 0, 0 };
}

/* On the way to active */
void do_note_owned(struct core_turn *t)
{
    t->c->owned = true;
    t->c->owned_ms = t->c->now_ms;
}

void do_note_open(struct core_turn *t) { t->c->intake_closed = false; }
void do_note_monitored(struct core_turn *t) { t->c->monitor_due_ms = t->c->now_ms + t->c->cfg.monitor_interval_ms; }

void do_note_release(struct core_turn *t)
{
    t->c->releases++;
    t->c->release_force = t->e->force;
    t->c->release_why = WHY_NONE;
}

/* The proofs are those that the tenure was written with; nothing here asks for them again. */
void do_adopt(struct core_turn *t)
{
    struct core *c = t->c;
    c->claim = t->f->last.n;
    c->claim_run = t->f->last.run;
    c->ring = t->f->ring;
    c->own_issued = c->owned = c->drained = c->adopted = true;
    c->owned_ms = c->now_ms;
    turn_push(t, &(struct core_action){ .kind = ACT_ADOPT, .epoch = c->claim });
}

void do_note_active(struct core_turn *t)
{
    t->c->intake_closed = false;
    do_note_monitored(t);
}

/* Whether intake is open is not known: it is opened as after a hang of the share. */
void do_note_adopted(struct core_turn *t)
{
    t->c->intake_closed = true;
    do_note_monitored(t);
}
