/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_fence.h"

#include <stdio.h>
#include <string.h>

#include "common/banned.h"

static const char unbelieved[] = "exit status 2 (off) without a word, of a device that has not yet answered on nor done an off; "
                                 "run the fence agent by hand";

static bool is_of_device(const struct op *op) { return job_is_fence(op->job) && op->device < CORE_DEVICES; }

enum core_result fence_judge(struct driver *d, struct op *op, enum core_result result)
{
    if (!is_of_device(op))
        return result;
    struct driver_fence *f = &d->fence[op->device];
    f->works = f->works || result == RES_ON || (op->job == JOB_FENCE_OFF && result == RES_OK);
    if (result != RES_OFF || f->works || strcasestr(op->text, "status: off"))
        return result;
    ops_text_add(op, unbelieved, sizeof unbelieved - 1);
    return RES_FAILED;
}

void fence_done(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    if (!is_of_device(op))
        return;
    struct driver_fence *f = &d->fence[op->device];
    f->running_since_ms = 0;
    f->job = op->job;
    f->result = result;
    f->status = status;
    f->at_ms = now_ms;
    f->took_ms = now_ms - op->start_ms;
    f->ours = op->core_op == OP_NONE;
    (void)snprintf(f->text, sizeof f->text, "%s", op->text);
}
