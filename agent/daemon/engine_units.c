/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_units.h"

#include "daemon/log.h"

#include "common/banned.h"

#define POKE_SPARE_MS 2000u /* over its own limit, until the executor kills it */

/* After intake has opened. The last one is later than an MX's timeouts (deploy/postfix) for a session to a dead host. */
static const uint32_t poke_after_ms[] = { 0, 2000, 12000 };
#define POKES (sizeof poke_after_ms / sizeof poke_after_ms[0])

static void job_start(struct driver *d, enum job job, uint32_t deadline_ms, uint64_t now_ms)
{
    struct wire_run run = { .job = (uint32_t)job, .deadline_ms = deadline_ms };

    if (!driver_run_own(d, &run, now_ms))
        log_warning("%s could not be handed to the executor; it is left out", job_name(job));
}

static void jobs_cancel(struct driver *d, enum job job)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (d->ops.v[i].id && d->ops.v[i].job == job && !d->ops.v[i].cancelled)
            driver_cancel(d, &d->ops.v[i]);
}

static void units_stop(struct driver *d, uint64_t now_ms)
{
    if (d->cfg->n_also_units == 0)
        return;
    jobs_cancel(d, JOB_UNITS_START); /* systemd gives up a start of its own for a stop */
    job_start(d, JOB_UNITS_STOP, d->cfg->stop_timeout_ms, now_ms);
}

void units_state(struct driver *d, enum core_state from, uint64_t now_ms)
{
    enum core_state to = d->core.state;

    if (to == from)
        return;
    if (to == ST_ACTIVE) {
        d->poke_from_ms = now_ms;
        d->pokes = 0;
        if (d->cfg->n_also_units > 0) {
            jobs_cancel(d, JOB_UNITS_STOP);
            job_start(d, JOB_UNITS_START, d->cfg->start_timeout_ms, now_ms);
        }
        units_tick(d, now_ms);
    } else if (from == ST_ACTIVE) {
        d->pokes = POKES;
        if (to != ST_STOPPING) /* a release has the time to begin with them */
            units_stop(d, now_ms);
    } else if (from == ST_STOPPING) {
        units_stop(d, now_ms); /* an involuntary stop has not: the list service first */
    }
}

void units_tick(struct driver *d, uint64_t now_ms)
{
    if (d->core.state != ST_ACTIVE || d->cfg->mail.n_mx == 0 || d->pokes >= POKES
        || now_ms < d->poke_from_ms + poke_after_ms[d->pokes] || ops_running(&d->ops, JOB_POKE))
        return;
    d->pokes++;
    job_start(d, JOB_POKE, d->cfg->mail.poke_timeout_ms + POKE_SPARE_MS, now_ms);
}
