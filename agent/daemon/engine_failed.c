/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_failed.h"

#include <stdio.h>

#include "daemon/log.h"

#include "common/banned.h"

static void op_log(const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    unsigned long long took = now_ms - op->start_ms;
    bool bad = result == RES_FAILED || result == RES_LATE || result == RES_DUPLICATE;

    if (bad && !op->cancelled)
        log_warning("%s: %s after %llu ms, exit %d: %s", job_name(op->job), core_result_name(result), took, (int)status,
                    op->text[0] ? op->text : "it said nothing");
    else
        log_info("%s: %s after %llu ms", job_name(op->job), op->cancelled ? "cancelled" : core_result_name(result), took);
}

static void claim_failed(struct driver_failed *f, const char *text, uint64_t now_ms)
{
    f->since_ms = f->n == 0 ? now_ms : f->since_ms;
    f->at_ms = now_ms;
    f->n++;
    (void)snprintf(f->text, sizeof f->text, "%s", text);
}

void failed_late(struct driver *d, const struct op *op, uint64_t now_ms)
{
    if (op->core_op == OP_CLAIM)
        claim_failed(&d->claims, "it was not done at its deadline, and killed", now_ms);
}

void failed_note(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    op_log(op, status, result, now_ms);
    if (op->core_op != OP_CLAIM || op->cancelled || op->late)
        return;
    if (result == RES_FAILED || result == RES_LATE)
        claim_failed(&d->claims, op->text[0] ? op->text : "it said nothing", now_ms);
    else
        d->claims = (struct driver_failed){ 0 };
}

bool failed_claims(const struct driver *d, uint64_t now_ms)
{
    return d->claims.n >= FAILED_CLAIMS && now_ms < d->claims.at_ms + FAILED_FRESH_MS
        && (d->core.state == ST_PASSIVE || d->core.state == ST_CLAIMING);
}
