/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must never happen, judged by what is true in the world, not by what a core believes. Each is shown to fire on a
 * seeded bug (mutants.c). */
#include "world.h"

#define BIT(s) (1u << (s))
#define SERVING (BIT(ST_ACTIVE) | BIT(ST_RELEASING) | BIT(ST_RESTARTING) | BIT(ST_ADOPTING))
#define OWNED (BIT(ST_RECOVER) | BIT(ST_ADDRESS) | BIT(ST_SERVICE) | SERVING)

static bool in(const struct world *w, unsigned h, uint32_t states)
{
    const struct sim_host *x = &w->host[h];
    return x->on && x->engine.alive && (states & BIT(x->engine.core.state)) != 0;
}

/* I1: never two list services, and never two nodes that believe they may run one. */
void check_world(struct world *w)
{
    unsigned running = 0, owned = 0, addresses = 0;
    for (unsigned h = 0; h < w->p.n; h++) {
        running += w->host[h].running;
        owned += in(w, h, OWNED);
        addresses += w->host[h].address;
    }
    if (running > 1 || owned > 1)
        world_fail(w, CHECK_SINGLE_ACTIVE, "%u list services run, %u nodes own", running, owned);
    if (addresses > 1)
        world_fail(w, CHECK_ADDRESS, "%u nodes hold the address", addresses);
}

/* I2: at own everyone else is harmless in fact, and what the dead had on its way has landed. */
static void check_own(struct world *w, unsigned h, const struct core_action *a)
{
    for (unsigned p = 0; p < w->p.n; p++) {
        const struct sim_host *x = &w->host[p];
        if (p == h)
            continue;
        if (a->proof[p] == PROOF_NONE)
            world_fail(w, CHECK_PROOF, "own %llu without a proof for %u", (unsigned long long)a->epoch, p);
        if (a->proof[p] == PROOF_OFF && w->host[h].engine.facts.peer[p].beat_moves
            && w->host[h].engine.facts.peer[p].beat_boot.lo == w->host[h].engine.core.proof[p].boot.lo)
            world_fail(w, CHECK_PROOF, "own %llu, and %u beats", (unsigned long long)a->epoch, p);
        if (x->on && (x->running || share_has_open(w, p, host_boot_id(w, p), a->epoch)))
            world_fail(w, CHECK_PROOF, "own %llu, and %u is not harmless (%s)", (unsigned long long)a->epoch, p,
                       core_proof_name(a->proof[p]));
    }
}

static bool was_told(const struct world *w, unsigned h, unsigned p)
{
    const struct sim_snapshot *s = &w->host[h].engine.report;
    for (unsigned i = 0; i < s->n_open && i < CORE_EPOCHS; i++)
        if (s->open[i].node == p && s->open[i].boot.lo == host_boot_id(w, p).lo)
            return true;
    return false;
}

/* Stopped, at a safe point, on the way to its end or held: for good, if its core does not bring it back, which may_run() finds. */
bool is_stopped_for_good(const struct world *w, unsigned h)
{
    return !w->host[h].running
        && (w->host[h].released || in(w, h, BIT(ST_STARTING) | BIT(ST_STOPPING) | BIT(ST_ENDING) | BIT(ST_HOLD)));
}

/* A split is no takeover: who serves on, and shows it by its beat, is not claimed against by its only peer. */
static void check_calm(struct world *w, unsigned h, unsigned p, uint64_t claim)
{
    const struct sim_host *x = &w->host[h], *y = &w->host[p];
    uint64_t beats = 3 * w->p.beat_ms, since = x->beats_since > y->beats_since ? x->beats_since : y->beats_since;
    if (p == h || !w->p.two_node || !y->on || !y->engine.alive || world_paused(w, p) || x->engine.facts.peer[p].held
        || !was_told(w, h, p) || is_stopped_for_good(w, p) || !share_has_open(w, p, host_boot_id(w, p), claim))
        return;
    if (x->engine.beat_same[p] < 3)
        world_fail(w, CHECK_CALM, "claim, and the beat of %u was not watched", p);
    else if (y->beats_since != 0 && y->read_at + beats > w->now && since + w->p.cfg.share_deadline_ms + 2 * beats < w->now)
        world_fail(w, CHECK_CALM, "claim, and %u lives and holds its epoch", p);
}

static void check_claim(struct world *w, unsigned h, uint64_t claim)
{
    for (unsigned p = 0; p < w->p.n; p++)
        check_calm(w, h, p, claim);
    const struct sim_host *x = &w->host[h];
    if (!net_quorate(w, h) || x->ring == 0 || x->corosync_stopped_until > w->now)
        world_fail(w, CHECK_CLAIM, "claim without quorum");
    if (x->engine.facts.share_seen_ms <= x->engine.gap_ms && x->engine.gap_ms != 0)
        world_fail(w, CHECK_CLAIM, "claim before the epochs were read again after a gap");
    if (w->maintenance_until > w->now || x->engine.core.hold_after)
        world_fail(w, CHECK_CLAIM, "claim in maintenance or hold");
    if (x->running || x->rogue || child_unreaped(w, h, false) != 0)
        world_fail(w, CHECK_CLAIM, "claim by a node that is not clean");
}

static bool may_run(const struct world *w, unsigned h, uint64_t n)
{
    if (n == 0 || n >= W_EPOCHS)
        return false;
    const struct sim_epoch *e = &w->share.epoch[n];
    return e->owned && e->node == h && e->run == w->host[h].engine.core.claim_run && !e->end_issued;
}

/* I3: each operation only in its state; whatever moves the address or the service only under our own, un-ended tenure. */
void check_action(struct world *w, unsigned h, const struct core_action *a)
{
    static const uint32_t legal[OP_N] = {
        [OP_CLAIM] = BIT(ST_CLAIMING), [OP_DRAIN] = BIT(ST_DRAIN), [OP_OWN] = BIT(ST_OWNING), [OP_END] = BIT(ST_ENDING),
        [OP_RECOVER] = BIT(ST_RECOVER), [OP_ADDRESS_START] = BIT(ST_ADDRESS), [OP_SERVICE_START] = BIT(ST_SERVICE),
        [OP_SERVICE_STOP] = BIT(ST_STOPPING) | BIT(ST_RESTARTING), [OP_ADDRESS_STOP] = BIT(ST_STOPPING) | BIT(ST_RELEASING),
        [OP_SERVICE_MONITOR] = BIT(ST_ACTIVE) | BIT(ST_ADOPTING), [OP_SERVICE_RELEASE] = BIT(ST_RELEASING),
        [OP_SERVICE_RESUME] = BIT(ST_RELEASING), [OP_SYNC] = BIT(ST_RELEASING),
        [OP_INTAKE_OPEN] = BIT(ST_ACTIVE), [OP_INTAKE_CLOSE] = BIT(ST_ACTIVE), [OP_FENCE_ON] = BIT(ST_ACTIVE),
        [OP_FENCE_OFF] = BIT(ST_PROOF), [OP_FENCE_STATUS] = BIT(ST_PROOF),
    };
    const struct sim_host *x = &w->host[h];
    if (a->kind != ACT_RUN)
        return;
    if (!(legal[a->op] & BIT(x->engine.core.state)))
        world_fail(w, CHECK_ORDER, "%s in state %s", core_op_name(a->op), core_state_name(x->engine.core.state));
    if (a->op == OP_CLAIM)
        check_claim(w, h, a->epoch);
    if (a->op == OP_OWN)
        check_own(w, h, a);
    if ((a->op == OP_ADDRESS_START || a->op == OP_SERVICE_START || a->op == OP_RECOVER) && !may_run(w, h, a->epoch))
        world_fail(w, CHECK_ORDER, "%s under epoch %llu, which is not ours to run", core_op_name(a->op),
                   (unsigned long long)a->epoch);
    if (a->op == OP_SERVICE_START && (!x->address || !x->engine.permit))
        world_fail(w, CHECK_ORDER, "list service started without address or permit");
    if (a->op == OP_END && (x->running || x->address || x->rogue || child_unreaped(w, h, false) != 0))
        world_fail(w, CHECK_END, "an end is written, and the stop is not proven");
    if (a->op == OP_END && a->planned && !x->released)
        world_fail(w, CHECK_END, "an end is said to be planned, and no safe point was reached");
}

/* I12: under each epoch one owner goes on, and numbers rise. */
static void check_epoch(struct world *w, unsigned h)
{
    uint64_t n = w->host[h].engine.core.claim;
    if (n == 0 || n >= W_EPOCHS || n <= w->highest_run || w->share.epoch[n].ran_by != 0)
        world_fail(w, CHECK_EPOCH, "node %u takes over under epoch %llu, and %llu was run before", h, (unsigned long long)n,
                   (unsigned long long)w->highest_run);
    else
        w->share.epoch[n].ran_by = (uint8_t)(h + 1);
    w->highest_run = n;
    w->takeovers++;
}

/* A node that joins or leaves stops nobody: only a loss of quorum in fact does. */
static void check_stop(struct world *w, unsigned h)
{
    enum core_reason why = w->host[h].engine.core.last_reason;
    if ((why == WHY_NOT_QUORATE || why == WHY_UNSEEN_PEER) && net_has_quorum(w, h))
        world_fail(w, CHECK_CALM, "the active node stops for %s, and its ring has quorum", core_reason_name(why));
}

void check_step(struct world *w, unsigned h, enum core_state before)
{
    enum core_state now = w->host[h].engine.core.state;
    if (now == ST_STOPPING && (SERVING & BIT(before)))
        check_stop(w, h);
    if (now == ST_RECOVER && before != ST_RECOVER && before != ST_RESTARTING)
        check_epoch(w, h);
    static const uint32_t after[ST_N] = {
        [ST_PROOF] = BIT(ST_CLAIMING) | BIT(ST_PASSIVE), [ST_DRAIN] = BIT(ST_PROOF), [ST_OWNING] = BIT(ST_DRAIN) | BIT(ST_PROOF),
        [ST_RECOVER] = BIT(ST_OWNING) | BIT(ST_RESTARTING), [ST_ADDRESS] = BIT(ST_RECOVER), [ST_SERVICE] = BIT(ST_ADDRESS),
        [ST_ACTIVE] = BIT(ST_SERVICE) | BIT(ST_RELEASING) | BIT(ST_ADOPTING), [ST_RELEASING] = BIT(ST_ACTIVE),
        [ST_RESTARTING] = BIT(ST_ACTIVE), [ST_ADOPTING] = BIT(ST_STARTING),
    };
    if (now != before && after[now] != 0 && !(after[now] & BIT(before)))
        world_fail(w, CHECK_ORDER, "%s after %s", core_state_name(now), core_state_name(before));
    check_world(w);
}

/* I5: nothing of a former active lands once another owns. */
void check_write(struct world *w, unsigned h)
{
    for (unsigned p = 0; p < w->p.n; p++)
        if (p != h && (in(w, p, OWNED) || w->host[p].running))
            world_fail(w, CHECK_LATE_WRITE, "a write of %u lands while %u owns", h, p);
}

