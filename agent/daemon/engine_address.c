/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_address.h"

#include <stdio.h>

#include "common/exitcodes.h"
#include "daemon/engine_failed.h"
#include "daemon/log.h"

#include "common/banned.h"

#define LOOK_MS     5000u /* deadline of one look */
#define NOT_RUNNING 7     /* OCF: the address is not on this node */

void address_tick(struct driver *d, uint64_t now_ms)
{
    struct wire_run run = { .job = JOB_ADDRESS_MONITOR, .deadline_ms = LOOK_MS };

    if (d->core.state != ST_ACTIVE || d->core.intake_closed) /* also while the tenure is not confirmed after a gap */
        d->address = (struct driver_address){ .next_ms = now_ms + d->cfg->monitor_interval_ms };
    if (now_ms < d->address.next_ms || ops_running(&d->ops, JOB_ADDRESS_MONITOR))
        return;
    d->address.next_ms = now_ms + d->cfg->monitor_interval_ms;
    if (!driver_run_own(d, &run, now_ms))
        log_warning("%s could not be handed to the executor; it is tried again", job_name(JOB_ADDRESS_MONITOR));
}

void address_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms)
{
    bool bad = status != EXIT_DONE || op->late;

    if (op->job != JOB_ADDRESS_MONITOR || op->cancelled || d->core.state != ST_ACTIVE)
        return;
    if (failed_used_up(status) || failed_not_loaded(op, status)) /* nobody has looked: what was seen last stands */
        return;
    d->address.missing = status == NOT_RUNNING && !op->late;
    (void)snprintf(d->address.text, sizeof d->address.text, "%s", !bad ? "" : op->text[0] ? op->text : d->address.missing
                   ? "It was taken off this node." : "The look at it said nothing.");
    if (bad && !d->address.bad)
        driver_alert(d, WHY_ADDRESS_FAILED, d->core.cfg.self, d->address.text, now_ms);
    else if (!bad && d->address.bad)
        log_notice("the floating address is reachable again, and was announced");
    d->changed = d->changed || bad != d->address.bad;
    d->address.bad = bad;
}

enum core_result address_with(struct driver *d, const struct op *op, enum core_result service)
{
    if (op->core_op != OP_SERVICE_MONITOR || service != RES_OK || !d->address.missing)
        return service;
    d->address.missing = false;
    return RES_FAILED;
}
