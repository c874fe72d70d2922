/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations that the executor runs for us: from the request until the child is reaped, which may be long after
 * its deadline. What is not reaped may still change something, and is counted. */
#ifndef UNDERSTUDY_ENGINE_OPS_H
#define UNDERSTUDY_ENGINE_OPS_H

#include "common/wire.h"
#include "core/core.h"
#include "daemon/engine_record.h"

#define OPS_MAX      48
#define OPS_TEXT_MAX 600

struct op {
    uint64_t            id;           /* 0 = free */
    enum job            job;
    enum core_op        core_op;      /* OP_NONE: the engine's own, the core does not hear of it */
    uint8_t             node, device; /* JOB_FENCE_* */
    bool                late, cancelled;
    bool                spoke;        /* it has printed something, so it was loaded */
    bool                duplicate;    /* JOB_ADDRESS_START: somebody answered for the address */
    uint64_t            start_ms;
    uint32_t            deadline_ms;
    uint64_t            again_ms;     /* not with the executor: asked for again then (engine_again.h); 0 = with it */
    unsigned            tries;        /* that could not be started */
    struct wire_run     run;          /* as last asked for: what follows in its chain is made from it */
    struct record_lines lines;
    char                text[OPS_TEXT_MAX]; /* the last of what it said to people, lines joined by "; " */
};

struct ops {
    struct op v[OPS_MAX];
    unsigned  executor_unreaped;      /* as the executor last counted */
};

struct op *ops_add(struct ops *o, uint64_t id, enum job job); /* NULL: too many */
struct op *ops_find(struct ops *o, uint64_t id);              /* NULL: not ours, or over */
void       ops_drop(struct op *op);
void       ops_text_add(struct op *op, const char *line, size_t len);
/* Late or cancelled and not reaped, and able to change a share; or a fence program. */
unsigned   ops_unreaped(const struct ops *o);
unsigned   ops_unreaped_fence(const struct ops *o);
bool       ops_running(const struct ops *o, enum job job);

bool job_is_fence(enum job j);
bool job_changes_share(enum job j);

#endif
