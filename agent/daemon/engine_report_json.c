/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_answer.h"
#include "daemon/engine_report_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "common/bootid.h"

#include "common/banned.h"

#define UNKNOWN_MS UINT64_MAX

/* Everything is told relative to the first thing known: the last sign of the old active, else the claim. */
static uint64_t takeover_zero(const struct takeover *t)
{
    for (unsigned i = 0; i < PHASE_N; i++)
        if (t->phase[i].end_ms)
            return t->phase[i].begin_ms;
    return t->active_ms;
}

static uint64_t span_ms(uint64_t from_ms, uint64_t to_ms)
{
    return from_ms && to_ms && to_ms >= from_ms ? to_ms - from_ms : UNKNOWN_MS;
}

static json_t *ms_value(uint64_t ms)
{
    return ms == UNKNOWN_MS ? json_null() : json_integer((json_int_t)ms);
}

static uint64_t drain_ms(const struct takeover *t)
{
    return t->phase[PHASE_DRAIN].end_ms ? t->phase[PHASE_DRAIN].end_ms - t->phase[PHASE_DRAIN].begin_ms : 0;
}

static uint64_t proof_to_address_ms(const struct takeover *t)
{
    uint64_t all = span_ms(t->proof_ms, t->address_ms);

    return all == UNKNOWN_MS || all < drain_ms(t) ? UNKNOWN_MS : all - drain_ms(t);
}

static json_t *phases_json(const struct takeover *t)
{
    uint64_t zero = takeover_zero(t);
    json_t *list = json_array();

    for (unsigned i = 0; i < PHASE_N; i++) {
        const struct report_span *p = &t->phase[i];
        uint64_t begin = p->begin_ms > zero ? p->begin_ms - zero : 0;
        if (!p->end_ms)
            continue; /* for a first start there is no silence, without need no drain */
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", report_phase_name((enum report_phase)i),
            "at_ms", (json_int_t)begin, "took_ms", (json_int_t)(p->end_ms - p->begin_ms)));
    }
    return list;
}

static const char *node_name(const struct config *cfg, unsigned node)
{
    return node < cfg->n_nodes ? cfg->nodes[node].name : "-";
}

/* The device whose operation gave the proof, CONFIG_DEVICES_MAX when it was none. */
static unsigned proof_device(const struct takeover *t, uint64_t op_id)
{
    for (unsigned i = 0; i < t->n_fence; i++)
        if (op_id && t->fence[i].op_id == op_id)
            return t->fence[i].device;
    return CONFIG_DEVICES_MAX;
}

static json_t *proofs_json(const struct config *cfg, unsigned self, const struct takeover *t)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < cfg->n_nodes; i++) {
        unsigned device = proof_device(t, t->proof[i].op_id);
        const struct id128 id = { t->proof[i].boot.hi, t->proof[i].boot.lo };
        char boot[BOOTID_TEXT_SIZE] = "-";
        json_t *o;
        if (t->proof[i].kind == PROOF_NONE || (i == self && t->proof[i].kind == PROOF_NOT_NEEDED))
            continue;
        if (bootid_known(&id))
            bootid_format(&id, boot);
        o = json_pack("{s:s, s:s, s:s, s:I}", "node", node_name(cfg, i), "proof", core_proof_name(t->proof[i].kind),
                      "boot", boot, "op", (json_int_t)t->proof[i].op_id);
        if (device < cfg->n_devices)
            json_object_set_new(o, "device", json_string(cfg->devices[device].name));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *fence_json(const struct config *cfg, const struct takeover *t)
{
    uint64_t zero = takeover_zero(t);
    json_t *list = json_array();

    for (unsigned i = 0; i < t->n_fence; i++) {
        const struct report_fence *f = &t->fence[i];
        const char *device = f->device < cfg->n_devices ? cfg->devices[f->device].name : "-";
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:I, s:I}", "op", (json_int_t)f->op_id,
            "device", device, "action", core_op_name(f->op), "answer", core_result_name(f->result),
            "at_ms", (json_int_t)(f->begin_ms > zero ? f->begin_ms - zero : 0),
            "took_ms", (json_int_t)(f->end_ms - f->begin_ms)));
    }
    return list;
}

static json_t *latency_json(const struct takeover *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}",
        "ring_formed_to_claim_request", ms_value(span_ms(t->ring_ms, t->claim_request_ms)),
        "claim", ms_value(t->phase[PHASE_CLAIM].end_ms ? span_ms(t->claim_request_ms, t->phase[PHASE_CLAIM].end_ms)
                                                       : UNKNOWN_MS),
        "ring_formed_to_fence_request", ms_value(span_ms(t->ring_ms, t->fence_request_ms)),
        "proof_to_address", ms_value(proof_to_address_ms(t)),
        "silence_to_active", ms_value(span_ms(takeover_zero(t), t->active_ms)));
}

static void wall_text(uint64_t wall, char ret[32])
{
    time_t at = (time_t)wall;
    struct tm tm;

    if (!gmtime_r(&at, &tm) || !strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        ret[0] = '\0';
}

static json_t *recovery_json(const struct takeover *t)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "pck", (json_int_t)t->pck, "bak", (json_int_t)t->bak,
        "tmp", (json_int_t)t->tmp, "quarantined", (json_int_t)t->quarantined, "shunt", (json_int_t)t->shunt,
        "bad", (json_int_t)t->bad, "last_chance", (json_int_t)t->last_chance, "parked", (json_int_t)t->parked);
}

static json_t *deferred_json(const struct takeover *t)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < t->n_deferred; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "unit", t->deferred_unit[i].unit,
            "reason", t->deferred_unit[i].reason));
    return json_pack("{s:I, s:o}", "units", (json_int_t)t->deferred, "oldest", list);
}

char *report_json(const struct config *cfg, unsigned self, const struct takeover *t, uint64_t wall)
{
    char at[32];
    json_t *o;

    (void)answer_lost();
    wall_text(wall, at);
    o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:i}", "version", 1, "kind",
        t->unplanned ? "takeover" : "start", "cluster", cfg->cluster, "node", node_name(cfg, self), "from",
        node_name(cfg, t->from), "epoch", (json_int_t)t->epoch, "active_at", at, "zero_boottime_ms",
        (json_int_t)takeover_zero(t), "attempts", (int)t->attempts);
    if (!o)
        return NULL;
    json_object_set_new(o, "phases", phases_json(t));
    json_object_set_new(o, "latency_ms", latency_json(t));
    json_object_set_new(o, "proofs", proofs_json(cfg, self, t));
    json_object_set_new(o, "fencing", fence_json(cfg, t));
    if (t->recovered) {
        json_object_set_new(o, "locks_cleared", json_integer((json_int_t)t->locks_cleared));
        json_object_set_new(o, "queue", recovery_json(t));
        json_object_set_new(o, "duplicate_bound", json_integer((json_int_t)t->duplicate_bound));
        json_object_set_new(o, "deferred", deferred_json(t));
    }
    json_object_set_new(o, "pokes", report_mail_json(t, takeover_zero(t)));
    json_object_set_new(o, "also_units", report_units_json(t));
    return answer_whole(o, JSON_INDENT(2));
}
