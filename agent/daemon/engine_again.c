/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_again.h"

#include <errno.h>
#include <string.h>

#include "daemon/engine_failed.h"
#include "daemon/log.h"

#include "common/banned.h"

/* The last quarter of its deadline is for the look itself. */
static uint64_t until_ms(const struct op *op)
{
    return op->start_ms + op->deadline_ms / 4 * 3ull;
}

/* One that is late or cancelled is not. */
static bool is_waited_for(const struct driver *d, const struct op *op)
{
    return op->core_op == OP_SERVICE_MONITOR && d->core.pending.op == OP_SERVICE_MONITOR && d->core.pending.id == op->id;
}

bool again_put_off(struct driver *d, struct op *op, const struct wire_done *done, uint64_t now_ms)
{
    if (!is_waited_for(d, op) || !(failed_used_up(done->status) || failed_not_loaded(op, done->status))
        || now_ms + AGAIN_MS > until_ms(op))
        return false;
    if (op->tries++ == 0)
        log_warning("%s: %s; it is tried again for %llu ms, and the list service goes on meanwhile", job_name(op->job),
                    op->text, (unsigned long long)(until_ms(op) - now_ms));
    op->again_ms = now_ms + AGAIN_MS;
    d->changed = true;
    return true;
}

static void ask(struct driver *d, struct op *op, uint64_t now_ms)
{
    uint64_t end_ms = op->start_ms + op->deadline_ms;
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RUN };

    op->again_ms = 0;
    op->text[0] = '\0';
    op->spoke = false;
    op->run.deadline_ms = end_ms > now_ms ? (uint32_t)(end_ms - now_ms) : 1;
    m.u.run = op->run;
    if (driver_send(d, &m) == 0)
        return;
    const struct wire_done full = { .op_id = op->id, .job = (uint32_t)op->job, .status = -1000 - EAGAIN,
        .unreaped = d->ops.executor_unreaped, .started_ms = now_ms, .ended_ms = now_ms };
    failed_say(d, op, &full, now_ms);
    driver_done(d, &full, now_ms);
}

void again_tick(struct driver *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < OPS_MAX; i++) {
        struct op *op = &d->ops.v[i];
        if (op->id != 0 && op->again_ms != 0 && now_ms >= op->again_ms)
            ask(d, op, now_ms);
    }
}

uint64_t again_until_ms(const struct driver *d)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (d->ops.v[i].id != 0 && d->ops.v[i].again_ms != 0)
            return until_ms(&d->ops.v[i]);
    return 0;
}
