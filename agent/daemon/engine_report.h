/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of one takeover, from the last sign of the old active node to the new one being active: phases,
 * evidence, what was repaired (design: What the operator sees). Times are CLOCK_BOOTTIME of this node. */
#ifndef UNDERSTUDY_ENGINE_REPORT_H
#define UNDERSTUDY_ENGINE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "core/core.h"
#include "daemon/engine_facts.h"
#include "daemon/engine_ops.h"
#include "daemon/engine_record.h"

#define REPORT_EVIDENCE_MAX 32
#define REPORT_WORD_MAX     64
#define REPORT_POKES_MAX    48
#define REPORT_UNITS_MAX    8

enum report_phase {
    PHASE_SILENCE, PHASE_MEMBERSHIP, PHASE_CLAIM, PHASE_PROOF, PHASE_DRAIN, PHASE_OWN, PHASE_RECOVER, PHASE_ADDRESS,
    PHASE_START, PHASE_LMTP, PHASE_INTAKE,
    PHASE_N
};

struct report_span { uint64_t begin_ms, end_ms; }; /* 0 = did not happen (yet) */

struct report_fence {
    uint64_t         op_id;
    uint8_t          device;
    enum core_op     op;
    enum core_result result;
    uint64_t         begin_ms, end_ms;
};

/* What an MX host said when it was told to retry. */
struct report_poke {
    char     mx[REPORT_WORD_MAX * 2], domain[REPORT_WORD_MAX * 2];
    unsigned code;                          /* of SMTP; 0 = it did not come to an answer */
    uint64_t at_ms, took_ms;
};

/* What the recovery pass has put off. */
struct report_unit { char unit[160], reason[16]; };

struct takeover {
    uint64_t           epoch;
    bool               unplanned;           /* somebody had to be proven harmless: a takeover, not a first start */
    uint8_t            from;                /* node whose tenure it follows; CORE_NODES = nobody's */
    unsigned           attempts;            /* times that proofs had to be begun */
    struct report_span phase[PHASE_N];
    uint64_t           opened_ms;           /* when this node began to claim, or to prove for a claim that it kept */
    uint64_t           ring_ms;             /* the ring was formed (as corosync's answer was sampled) */
    uint64_t           claim_request_ms, fence_request_ms, proof_ms, address_ms, active_ms;
    struct core_proof_state proof[CORE_NODES];
    unsigned           n_fence;
    struct report_fence fence[REPORT_EVIDENCE_MAX];
    bool               recovered;           /* the state helper's summary has come */
    uint64_t           locks_cleared, pck, bak, tmp, quarantined, shunt, bad, last_chance, parked, duplicate_bound;
    uint64_t           deferred;            /* units that were put off; the oldest of them by name */
    unsigned           n_deferred;
    struct report_unit deferred_unit[REPORT_UNITS_MAX];
    unsigned           n_poke;              /* from here on: known after the node is active */
    struct report_poke poke[REPORT_POKES_MAX];
    bool               units_asked;
    enum core_result   units;
    uint64_t           units_ms;
};

struct report {
    const struct config *cfg;               /* borrowed */
    unsigned             self;
    bool                 open;              /* `now` is being written */
    struct takeover      now;
    bool                 ready;             /* `last` is complete and not yet written: the engine takes it from here */
    bool                 any;               /* `last` is valid */
    struct takeover      last;
};

void report_init(struct report *r, const struct config *cfg, unsigned self);
/* The four are called by the driver, in this order for one rule: state, op begin; later op end, records. */
void report_state(struct report *r, const struct core *c, const struct facts *f, enum core_state from, uint64_t now_ms);
void report_op_begin(struct report *r, const struct core_action *a, uint64_t now_ms);
void report_op_end(struct report *r, const struct op *op, enum core_result result, uint64_t now_ms);
void report_record(struct report *r, enum job job, const struct record *rec, uint64_t now_ms);

const char *report_phase_name(enum report_phase p);

/* engine_report_json.c: the same as JSON and as text for people. Both return malloc'd text, or NULL; the caller frees.
 * `wall` is the time of day, seconds since 1970, at which the node became active. */
char *report_json(const struct config *cfg, unsigned self, const struct takeover *t, uint64_t wall);
char *report_text(const struct config *cfg, unsigned self, const struct takeover *t, uint64_t wall);

#endif
