/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_report.h"

#include <stdio.h>
#include <string.h>

#include "common/num.h"

#include "common/banned.h"

void report_init(struct report *r, const struct config *cfg, unsigned self)
{
    *r = (struct report){ .cfg = cfg, .self = self };
}

const char *report_phase_name(enum report_phase p)
{
    static const char *const names[PHASE_N] = {
        [PHASE_SILENCE] = "silence", [PHASE_MEMBERSHIP] = "membership", [PHASE_CLAIM] = "claim",
        [PHASE_PROOF] = "proof", [PHASE_DRAIN] = "drain", [PHASE_OWN] = "own", [PHASE_RECOVER] = "recover",
        [PHASE_ADDRESS] = "address", [PHASE_START] = "start", [PHASE_LMTP] = "lmtp", [PHASE_INTAKE] = "intake",
    };

    return p < PHASE_N ? names[p] : "unknown";
}

/* A phase begins where the one before it ended: together they are the whole time, with no gaps to hide things in. */
static void phase_end(struct takeover *t, enum report_phase p, uint64_t now_ms)
{
    uint64_t begin = t->opened_ms;

    for (unsigned i = 0; i < (unsigned)p; i++)
        if (t->phase[i].end_ms)
            begin = t->phase[i].end_ms;
    t->phase[p].begin_ms = begin < now_ms ? begin : now_ms;
    t->phase[p].end_ms = now_ms;
}

static void phases_forget(struct takeover *t, enum report_phase from)
{
    memset(&t->phase[from], 0, sizeof t->phase[0] * (PHASE_N - from));
}

/* The node that we follow: the holder of the highest epoch, whether it has ended or not. */
static uint8_t predecessor(const struct report *r, const struct facts *f)
{
    const struct core_epoch *last = &f->share.last;

    return f->share_ever && last->n > 0 && last->node != r->self ? last->node : CORE_NODES;
}

static void silence_take(struct takeover *t, const struct facts *f, uint64_t now_ms)
{
    const struct facts_peer *p = t->from < CORE_NODES ? &f->peer[t->from] : NULL;
    uint64_t sign = p ? facts_last_sign_ms(f, t->from) : 0;

    t->ring_ms = f->ring_ms;
    if (!p || !sign || !p->left_ms || p->left_ms > now_ms)
        return; /* it is here, or was never seen by this run: there was no silence to measure */
    t->phase[PHASE_SILENCE].begin_ms = sign < p->left_ms ? sign : p->left_ms;
    t->phase[PHASE_SILENCE].end_ms = p->left_ms;
    phase_end(t, PHASE_MEMBERSHIP, f->quorum_ms > p->left_ms && f->quorum_ms <= now_ms ? f->quorum_ms : p->left_ms);
}

/* The highest epoch is that of a claim of ours that was given up: the takeover that it was made for goes on. */
static bool goes_on(const struct report *r, const struct facts *f)
{
    return f->share_ever && r->now.active_ms == 0 && r->now.epoch != 0 && f->share.last.n == r->now.epoch
        && f->share.last.node == r->self;
}

static void takeover_open(struct report *r, const struct facts *f, uint64_t now_ms)
{
    bool again = goes_on(r, f);

    r->now = (struct takeover){ .from = again ? r->now.from : predecessor(r, f), .opened_ms = now_ms,
                                .attempts = again ? r->now.attempts : 0 };
    r->open = true;
    silence_take(&r->now, f, now_ms);
}

static void takeover_close(struct report *r, uint64_t now_ms)
{
    if (!r->now.phase[PHASE_INTAKE].end_ms)
        phase_end(&r->now, PHASE_INTAKE, now_ms);
    r->now.active_ms = now_ms;
    for (unsigned i = 0; i < CORE_NODES; i++)
        if (r->now.proof[i].kind != PROOF_NONE && r->now.proof[i].kind != PROOF_NOT_NEEDED && i != r->self)
            r->now.unplanned = true;
    r->last = r->now;
    r->any = r->ready = true;
    r->open = false;
}

static void state_left(struct report *r, const struct core *c, enum core_state from, uint64_t now_ms)
{
    struct takeover *t = &r->now;

    switch (from) {
    case ST_CLAIMING:
        phase_end(t, PHASE_CLAIM, now_ms);
        break;
    case ST_PROOF:
        phase_end(t, PHASE_PROOF, now_ms);
        t->proof_ms = now_ms;
        break;
    case ST_DRAIN:
        phase_end(t, PHASE_DRAIN, now_ms);
        break;
    case ST_OWNING:
        phase_end(t, PHASE_OWN, now_ms);
        memcpy(t->proof, c->proof, sizeof t->proof);
        break;
    case ST_RECOVER:
        phase_end(t, PHASE_RECOVER, now_ms);
        break;
    case ST_ADDRESS:
        phase_end(t, PHASE_ADDRESS, now_ms);
        t->address_ms = now_ms;
        break;
    case ST_STARTING:
    case ST_PASSIVE:
    case ST_SERVICE:
    case ST_ACTIVE:
    case ST_RELEASING:
    case ST_RESTARTING:
    case ST_ADOPTING:
    case ST_STOPPING:
    case ST_ENDING:
    case ST_HOLD:
    case ST_N:
        break;
    }
}

static void state_entered(struct report *r, const struct core *c, uint64_t now_ms)
{
    struct takeover *t = &r->now;

    switch (c->state) {
    case ST_PROOF:
        phases_forget(t, PHASE_PROOF);
        t->epoch = c->claim;
        t->attempts++;
        t->proof_ms = t->fence_request_ms = 0;
        break;
    case ST_ACTIVE:
        takeover_close(r, now_ms);
        break;
    case ST_STOPPING:
    case ST_ENDING:
    case ST_HOLD:
        r->open = false; /* it came to nothing */
        break;
    case ST_PASSIVE: /* proofs dropped; it goes on only if the claim is kept */
        r->open = c->claim != 0;
        break;
    case ST_STARTING:
    case ST_CLAIMING:
    case ST_DRAIN:
    case ST_OWNING:
    case ST_RECOVER:
    case ST_ADDRESS:
    case ST_SERVICE:
    case ST_RELEASING:
    case ST_RESTARTING:
    case ST_ADOPTING:
    case ST_N:
        break;
    }
}

void report_state(struct report *r, const struct core *c, const struct facts *f, enum core_state from, uint64_t now_ms)
{
    if (c->state == from)
        return;
    if (!r->open && (c->state == ST_CLAIMING || c->state == ST_PROOF))
        takeover_open(r, f, now_ms);
    if (!r->open)
        return;
    state_left(r, c, from, now_ms);
    state_entered(r, c, now_ms);
}

void report_op_begin(struct report *r, const struct core_action *a, uint64_t now_ms)
{
    struct takeover *t = &r->now;
    bool fence = a->op == OP_FENCE_OFF || a->op == OP_FENCE_STATUS;

    if (!r->open)
        return;
    if (a->op == OP_CLAIM) {
        t->claim_request_ms = now_ms;
        t->epoch = a->epoch;
    }
    if (fence && !t->fence_request_ms)
        t->fence_request_ms = now_ms;
}

void report_op_end(struct report *r, const struct op *op, enum core_result result, uint64_t now_ms)
{
    struct takeover *t = &r->now;

    if (!r->open || !job_is_fence(op->job))
        return;
    /* When there are more, the last ones are those that count: they gave the proof. */
    if (t->n_fence == REPORT_EVIDENCE_MAX)
        memmove(&t->fence[0], &t->fence[1], sizeof t->fence[0] * --t->n_fence);
    t->fence[t->n_fence++] = (struct report_fence){ op->id, op->device, op->core_op, result, op->start_ms, now_ms };
}

static void summary_take(struct takeover *t, const struct record *rec)
{
    t->recovered = true;
    (void)record_u64(rec, "locks_cleared", &t->locks_cleared);
    (void)record_u64(rec, "pck", &t->pck);
    (void)record_u64(rec, "bak", &t->bak);
    (void)record_u64(rec, "tmp", &t->tmp);
    (void)record_u64(rec, "quarantined", &t->quarantined);
    (void)record_u64(rec, "shunt", &t->shunt);
    (void)record_u64(rec, "bad", &t->bad);
    (void)record_u64(rec, "last_chance", &t->last_chance);
    (void)record_u64(rec, "parked", &t->parked);
    (void)record_u64(rec, "duplicate_bound", &t->duplicate_bound);
    (void)record_u64(rec, "deferred", &t->deferred);
}

static void unit_take(struct takeover *t, const struct record *rec)
{
    const char *unit = record_value(rec, "unit"), *reason = record_value(rec, "reason");
    struct report_unit *u = &t->deferred_unit[t->n_deferred];

    if (!unit || !reason || t->n_deferred == REPORT_UNITS_MAX)
        return;
    (void)snprintf(u->unit, sizeof u->unit, "%s", unit);
    (void)snprintf(u->reason, sizeof u->reason, "%s", reason);
    t->n_deferred++;
}

void report_record(struct report *r, enum job job, const struct record *rec, uint64_t now_ms)
{
    struct takeover *t = &r->now;
    const char *name = record_value(rec, "name");
    uint64_t at = now_ms;

    if (!r->open)
        return;
    if (job == JOB_STATE_RECOVER && !strcmp(rec->word, "summary"))
        summary_take(t, rec);
    if (job == JOB_STATE_RECOVER && !strcmp(rec->word, "deferred"))
        unit_take(t, rec);
    if (job != JOB_SERVICE_START || strcmp(rec->word, "phase") != 0 || !name)
        return;
    if (record_u64(rec, "at_ms", &at) || at > now_ms || at < t->claim_request_ms)
        at = now_ms; /* a child that is wrong about the time does not make the report wrong */
    if (!strcmp(name, "start"))
        phase_end(t, PHASE_START, at);
    else if (!strcmp(name, "lmtp"))
        phase_end(t, PHASE_LMTP, at);
    else if (!strcmp(name, "intake"))
        phase_end(t, PHASE_INTAKE, at); /* the last runners may come up after it */
}
