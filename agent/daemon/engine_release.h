/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of one planned release: what was asked, how far it came and how long each part took (design: Release).
 * Times are CLOCK_BOOTTIME of this node. */
#ifndef UNDERSTUDY_ENGINE_RELEASE_H
#define UNDERSTUDY_ENGINE_RELEASE_H

#include <jansson.h>

#include "core/core.h"
#include "daemon/engine_ops.h"
#include "daemon/engine_record.h"

enum release_phase { RELEASE_INTAKE, RELEASE_SAFE_POINT, RELEASE_SYNC, RELEASE_ADDRESS, RELEASE_END, RELEASE_PHASE_N };

enum release_result {
    RELEASE_NONE,
    RELEASE_RUNNING,
    RELEASE_DONE,      /* the planned end is written and read back */
    RELEASE_REFUSED,   /* no safe point in time: this node serves on */
    RELEASE_HARD,      /* no safe point in time: stopped all the same, as told; the end is an unplanned one */
    RELEASE_FAILED,    /* stopped, but not as planned */
};

struct release {
    uint64_t            number;                    /* of the release in this run; 0 = there was none */
    uint64_t            epoch;
    enum release_result result;
    enum core_reason    why;                       /* of a result that is not RELEASE_DONE */
    bool                forced, hard;              /* told to stop hard; did so */
    bool                ready;                     /* over, and not yet written as a report: the engine takes it */
    uint64_t            begin_ms, over_ms;
    uint64_t            end_ms[RELEASE_PHASE_N];   /* 0 = not reached */
    char                said[OPS_TEXT_MAX];        /* the agent's own sentence when it refused */
};

/* Called by the driver after each rule, after each answer, and for each record of a job. */
void release_state(struct release *r, const struct core *c, enum core_state from, uint64_t now_ms);
void release_op_end(struct release *r, const struct op *op, enum core_result result, uint64_t now_ms);
void release_record(struct release *r, enum job job, const struct record *rec, uint64_t now_ms);

const char *release_result_name(enum release_result r);
/* A new object, or NULL when there was none. `now_ms` ends what is still under way. */
json_t *release_json(const struct release *r, const char *node, uint64_t now_ms);
/* The same for people; malloc'd, NULL without memory. `wall`: seconds since 1970 at which it was over. */
char   *release_text(const struct release *r, const char *node, uint64_t wall);

#endif
