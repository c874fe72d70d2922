/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pure part of the driver: what the core asks for -> what the executor is told; what a child answered -> what
 * the core hears. Unknown, late and malformed answers are never a success. */
#include <config.h>

#include "daemon/engine_driver.h"

#include "common/exitcodes.h"

#include "common/banned.h"

#define RECOVER_MS         60000u /* a queue of some thousand entries, by names alone */
#define ADDRESS_MS          5000u /* beyond the duplicate address check */
#define MONITOR_MS         10000u
#define RELEASE_GRACE_MS   15000u /* beyond release_timeout: to let everything go on again, or to prove the stop */
#define FENCE_RETRY_MIN_MS  1000u
#define FENCE_RETRY_MAX_MS 30000u

/* Answers of the Fence Agent API to action=status. */
#define FENCE_STATUS_ON  0
#define FENCE_STATUS_OFF 2

/* A claim, a tenure or an end asks the share for several things in a row: a look, a file, its link, another look. Each may take
 * as long as one answer may; else a slow share that serves an active node well lets no other one ever take over. */
#define EPOCH_ANSWERS    4u

void driver_config(const struct config *cfg, unsigned self, struct core_config *ret)
{
    *ret = (struct core_config){ .self = self, .n_nodes = cfg->n_nodes, .two_node = cfg->n_nodes == 2 };
    ret->claim_patience_ms = cfg->claim_patience_ms;
    ret->power_wait_ms = cfg->power_wait_ms;
    ret->drain_ms = cfg->drain_ms;
    ret->share_deadline_ms = cfg->share_deadline_ms;
    ret->share_patience_ms = cfg->share_patience_ms;
    ret->epoch_op_ms = EPOCH_ANSWERS * cfg->share_deadline_ms;
    ret->recover_ms = RECOVER_MS;
    ret->address_ms = ADDRESS_MS + cfg->dad_ms;
    ret->start_ms = cfg->start_timeout_ms;
    ret->stop_ms = cfg->stop_timeout_ms;
    ret->monitor_ms = MONITOR_MS;
    ret->monitor_interval_ms = cfg->monitor_interval_ms;
    ret->release_ms = cfg->release_timeout_ms + RELEASE_GRACE_MS;
    ret->sync_ms = cfg->share_patience_ms;
    ret->max_restarts = cfg->max_restarts;
    ret->max_failures = cfg->max_failures;
    ret->failure_window_ms = cfg->failure_window_ms;
    ret->fence_retry_min_ms = FENCE_RETRY_MIN_MS;
    ret->fence_retry_max_ms = FENCE_RETRY_MAX_MS;
    ret->after_fence_on = cfg->after_fence_on;
    ret->n_devices = cfg->n_devices;
    for (unsigned i = 0; i < cfg->n_devices && i < CORE_DEVICES; i++) {
        ret->device[i].node = (uint8_t)cfg->devices[i].node;
        ret->device[i].level = (uint8_t)cfg->devices[i].level;
        ret->fence_ms[i] = cfg->devices[i].timeout_ms;
    }
}

enum job driver_job(enum core_op op)
{
    switch (op) {
    case OP_CLAIM:           return JOB_EPOCH_CLAIM;
    case OP_OWN:             return JOB_EPOCH_OWN;
    case OP_END:             return JOB_EPOCH_END;
    case OP_DRAIN:           return JOB_EPOCH_DRAIN;
    case OP_RECOVER:         return JOB_STATE_RECOVER;
    case OP_ADDRESS_START:   return JOB_ADDRESS_START;
    case OP_ADDRESS_STOP:    return JOB_ADDRESS_STOP;
    case OP_SERVICE_START:   return JOB_SERVICE_START;
    case OP_SERVICE_STOP:    return JOB_SERVICE_STOP;
    case OP_SERVICE_MONITOR: return JOB_SERVICE_MONITOR;
    case OP_SERVICE_RELEASE: return JOB_SERVICE_RELEASE;
    case OP_SERVICE_RESUME:  return JOB_SERVICE_RESUME;
    case OP_SYNC:            return JOB_STATE_SYNC;
    case OP_INTAKE_CLOSE:    return JOB_INTAKE_CLOSE;
    case OP_INTAKE_OPEN:     return JOB_INTAKE_OPEN;
    case OP_FENCE_OFF:       return JOB_FENCE_OFF;
    case OP_FENCE_STATUS:    return JOB_FENCE_STATUS;
    case OP_FENCE_ON:        return JOB_FENCE_ON;
    case OP_NONE:
    case OP_N:
        break;
    }
    return JOB_NONE;
}

static bool proof_is_for_locks(enum core_proof p)
{
    switch (p) {
    case PROOF_OFF:
    case PROOF_REBOOTED:
    case PROOF_DENIED:
    case PROOF_ACKNOWLEDGED:
        return true;
    case PROOF_NONE:
    case PROOF_NOT_NEEDED: /* a live member answers for its locks itself, by being clean now */
    case PROOF_ENDED:      /* proves the tenure, not the locks */
    case PROOF_N:
        break;
    }
    return false;
}

void driver_run_fill(const struct config *cfg, const struct core_action *a, struct wire_run *ret)
{
    *ret = (struct wire_run){ .op_id = a->op_id, .job = (uint32_t)driver_job(a->op), .deadline_ms = a->deadline_ms,
        .epoch = a->epoch, .planned = a->planned, .device = a->device };
    if (a->op == OP_DRAIN)
        ret->duration_ms = cfg->drain_ms;
    for (unsigned i = 0; i < cfg->n_nodes; i++) {
        if (a->op == OP_OWN)
            ret->proof[i] = (uint8_t)a->proof[i];
        if (a->op == OP_RECOVER && (a->clean[i] || proof_is_for_locks(a->proof[i])))
            ret->harmless |= UINT32_C(1) << i;
    }
}

enum core_result driver_result(enum core_op op, int32_t status, bool late, bool duplicate)
{
    if (late)
        return RES_LATE;
    if (op == OP_FENCE_STATUS)
        return status == FENCE_STATUS_ON ? RES_ON : status == FENCE_STATUS_OFF ? RES_OFF : RES_FAILED;
    if (op == OP_ADDRESS_START && duplicate && status != EXIT_DONE)
        return RES_DUPLICATE;
    if (op == OP_END && status == EXIT_LOST)
        return RES_OK; /* the number is another node's, on a share that was put back: nothing of ours is left to be ended */
    if (op == OP_RECOVER && status == EXIT_FULL)
        return RES_FULL;
    return status == EXIT_DONE ? RES_OK : RES_FAILED;
}
