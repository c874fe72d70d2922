/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_ops.h"

#include <string.h>

#include "common/banned.h"

bool job_is_fence(enum job j)
{
    return j == JOB_FENCE_OFF || j == JOB_FENCE_ON || j == JOB_FENCE_STATUS;
}

bool job_changes_share(enum job j)
{
    switch (j) {
    case JOB_EPOCH_WATCH:
    case JOB_EPOCH_CLAIM:
    case JOB_EPOCH_OWN:
    case JOB_EPOCH_END:
    case JOB_EPOCH_DRAIN:
    case JOB_EPOCH_INIT:
    case JOB_EPOCH_MAINTAIN:
    case JOB_EPOCH_UNMAINTAIN:
    case JOB_STATE_RECOVER:
    case JOB_STATE_RETRY:
    case JOB_STATE_SYNC:
    case JOB_STATE_PROBE:
    case JOB_SHARE_MOUNT:
    case JOB_SHARE_UMOUNT:
    case JOB_SERVICE_START:
        return true;
    case JOB_NONE:
    case JOB_STATE_CHECK:
    case JOB_INTAKE_OPEN:
    case JOB_INTAKE_CLOSE:
    case JOB_ADDRESS_START:
    case JOB_ADDRESS_STOP:
    case JOB_ADDRESS_MONITOR:
    case JOB_SERVICE_STOP:
    case JOB_SERVICE_MONITOR:
    case JOB_SERVICE_RELEASE:
    case JOB_SERVICE_RESUME:
    case JOB_FENCE_OFF:
    case JOB_FENCE_ON:
    case JOB_FENCE_STATUS:
    case JOB_POKE:
    case JOB_UNITS_START:
    case JOB_UNITS_STOP:
    case JOB_N:
        break;
    }
    return false;
}

struct op *ops_add(struct ops *o, uint64_t id, enum job job)
{
    for (unsigned i = 0; i < OPS_MAX; i++) {
        if (o->v[i].id != 0)
            continue;
        o->v[i] = (struct op){ .id = id, .job = job };
        return &o->v[i];
    }
    return NULL;
}

struct op *ops_find(struct ops *o, uint64_t id)
{
    for (unsigned i = 0; id != 0 && i < OPS_MAX; i++)
        if (o->v[i].id == id)
            return &o->v[i];
    return NULL;
}

void ops_drop(struct op *op)
{
    if (op)
        op->id = 0;
}

/* Keeps the end: the last words of a program say what went wrong. */
void ops_text_add(struct op *op, const char *line, size_t len)
{
    size_t have = strlen(op->text), join = have ? 2 : 0;

    if (len == 0)
        return;
    if (len > sizeof op->text - 1) {
        line += len - (sizeof op->text - 1);
        len = sizeof op->text - 1;
    }
    while (have && have + join + len > sizeof op->text - 1) {
        const char *next = strstr(op->text, "; ");
        size_t cut = next ? (size_t)(next - op->text) + 2 : have;
        have -= cut;
        memmove(op->text, op->text + cut, have + 1);
        join = have ? 2 : 0;
    }
    if (join)
        memcpy(op->text + have, "; ", 2);
    memcpy(op->text + have + join, line, len);
    op->text[have + join + len] = '\0';
}

unsigned ops_unreaped(const struct ops *o)
{
    unsigned n = 0;

    for (unsigned i = 0; i < OPS_MAX; i++)
        if (o->v[i].id && (o->v[i].late || o->v[i].cancelled) && job_changes_share(o->v[i].job))
            n++;
    return n > o->executor_unreaped ? n : o->executor_unreaped;
}

unsigned ops_unreaped_fence(const struct ops *o)
{
    unsigned n = 0;

    for (unsigned i = 0; i < OPS_MAX; i++)
        if (o->v[i].id && (o->v[i].late || o->v[i].cancelled) && job_is_fence(o->v[i].job))
            n++;
    return n;
}

bool ops_running(const struct ops *o, enum job job)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (o->v[i].id && o->v[i].job == job)
            return true;
    return false;
}
