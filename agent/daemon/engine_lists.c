/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_lists.h"

#include <stdio.h>

#include "common/exitcodes.h"
#include "daemon/log.h"

#include "common/banned.h"

#define PROBE_MS 5000u /* of one probe: it writes to the server */

static void tenure_over(struct driver *d)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (d->ops.v[i].id != 0 && d->ops.v[i].job == JOB_STATE_PROBE && !d->ops.v[i].cancelled)
            driver_cancel(d, &d->ops.v[i]);
    d->lists = (struct driver_lists){ 0 };
    d->facts->lists_refuse = false;
}

void lists_tick(struct driver *d, uint64_t now_ms)
{
    struct wire_run run = { .job = JOB_STATE_PROBE, .deadline_ms = PROBE_MS };

    if (d->core.state != ST_ACTIVE) {
        tenure_over(d);
        return;
    }
    if (now_ms < d->lists.next_ms || ops_running(&d->ops, JOB_STATE_PROBE))
        return;
    d->lists.next_ms = now_ms + d->cfg->monitor_interval_ms;
    if (!driver_run_own(d, &run, now_ms))
        log_warning("%s could not be handed to the executor; it is tried again", job_name(JOB_STATE_PROBE));
}

static void refuses(struct driver *d, const struct op *op, uint64_t now_ms)
{
    bool first = d->lists.since_ms == 0;

    (void)snprintf(d->lists.text, sizeof d->lists.text, "%s", op->text[0] ? op->text : op->late
                   ? "a file could not be written there in time" : "the probe said nothing");
    if (!first)
        return;
    d->lists.since_ms = op->start_ms;
    d->facts->lists_refuse = d->changed = true;
    driver_alert(d, WHY_LISTS_REFUSE, d->core.cfg.self, d->lists.text, now_ms);
}

void lists_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms)
{
    if (op->job != JOB_STATE_PROBE || op->cancelled || d->core.state != ST_ACTIVE)
        return;
    if (op->late || status == EXIT_FAILED || status == EXIT_FULL) {
        refuses(d, op, now_ms);
    } else if (status == EXIT_DONE && d->lists.since_ms != 0) {
        log_notice("the list share takes what is written again, after %llu ms", (unsigned long long)(now_ms - d->lists.since_ms));
        d->lists = (struct driver_lists){ .next_ms = d->lists.next_ms };
        d->facts->lists_refuse = false;
        d->changed = true;
    }
}
