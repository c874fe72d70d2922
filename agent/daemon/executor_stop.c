/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Involuntary stop by the executor itself: everything killed and reaped, service stopped, address down, and only if
 * both are proven the end of the epoch; then a new engine (design: Programs and processes). */
#include <config.h>

#include "daemon/executor.h"

#include <string.h>

#include "daemon/log.h"

#include "common/banned.h"

#define ADDRESS_STOP_MS 5000u
#define SHARE_UMOUNT_MS 3000u
#define END_MIN_MS      3000u
#define RETRY_MS        1000u
#define TRIES           3u

static bool anything_left(const struct executor *x)
{
    if (x->engine.pid != 0 || x->members.pid != 0)
        return true;
    for (unsigned i = 0; i < EXEC_CHILDREN; i++)
        if (x->child[i].pid != 0)
            return true;
    return false;
}

static void step_to(struct executor *x, enum exec_step step, uint64_t at_ms)
{
    x->step = step;
    x->step_ms = at_ms;
    x->stop_child = NULL;
}

void exec_stop_begin(struct executor *x, uint64_t now_ms)
{
    x->stop_tries = 0;
    x->stop_failed = false;
    x->stop_began_ms = now_ms;
    step_to(x, STEP_KILL, now_ms + EXEC_KILLED_MS);
}

static uint32_t end_deadline_ms(const struct config *cfg)
{
    return 2 * cfg->share_deadline_ms > END_MIN_MS ? 2 * cfg->share_deadline_ms : END_MIN_MS;
}

/* All tries together have stop_timeout; another one is made only while half of it is left. */
static uint32_t service_deadline_ms(const struct executor *x, uint64_t now_ms)
{
    uint64_t spent_ms = now_ms - x->stop_began_ms;
    uint32_t least_ms = x->cfg->stop_timeout_ms / 4;

    return spent_ms + least_ms < x->cfg->stop_timeout_ms ? x->cfg->stop_timeout_ms - (uint32_t) spent_ms : least_ms;
}

/* Starts the step's job. false = it could not be started. */
static bool start_job(struct executor *x, enum job job, uint32_t deadline_ms, uint64_t now_ms)
{
    struct wire_run run = { .job = (uint32_t) job, .deadline_ms = deadline_ms };
    int rc = 0;

    if (job == JOB_SERVICE_STOP)
        x->active.service_down = x->active.address_down = false; /* what an earlier try has proven is old */
    if (job == JOB_EPOCH_END) {
        run.epoch = x->epoch;
        rc = exec_ended_record(x, x->epoch);
    }
    if (rc == 0)
        rc = exec_child_start(x, &run, now_ms, &x->stop_child);
    if (rc < 0)
        log_error("involuntary stop: %s could not be started: %s", job_name(job), strerror(-rc));
    return rc == 0;
}

/* 0 = goes on; 1 = done and proven; -1 = failed, or killed at its deadline and maybe never reaped. */
static int answer(struct executor *x, uint64_t now_ms)
{
    struct exec_child *c = x->stop_child;
    int ret = 0;

    if (c->done) {
        ret = c->status == 0 && !c->killed ? 1 : -1;
        exec_active_answer(x, c, now_ms);
        if (ret < 0)
            log_error("involuntary stop: %s failed with status %d", job_name(c->job), (int) c->status);
        c->pid = 0;
    } else if (c->killed && now_ms >= c->killed_ms + EXEC_LATE_MS) {
        log_error("involuntary stop: %s hangs", job_name(c->job));
        ret = -1;
    }
    if (ret != 0)
        x->stop_child = NULL;
    return ret;
}

static void finish_stop(struct executor *x, uint64_t now_ms)
{
    if (x->stop_failed)
        log_error("involuntary stop: not proven; the epoch is not ended");
    else
        log_notice("involuntary stop: done");
    if (x->stop_failed && x->active.running)
        exec_fence(x, "its stop cannot be proven");
    x->epoch = 0;
    x->owned = false;
    step_to(x, x->terminate ? STEP_OUT : STEP_RUN, now_ms);
}

/* What goes with the list service comes last: nothing that counts for the proof waits for it. */
static void leave(struct executor *x, uint64_t now_ms)
{
    if (!x->stop_failed && x->cfg->n_also_units > 0)
        step_to(x, STEP_UNITS, now_ms);
    else
        finish_stop(x, now_ms);
}

/* The service and the address count; a share that does not go, or hangs, makes no stop unproven: nobody works on it. */
static void after_share(struct executor *x, uint64_t now_ms)
{
    if (!x->stop_failed && x->epoch != 0) {
        step_to(x, STEP_END, now_ms);
    } else if (x->stop_failed && ++x->stop_tries < TRIES && now_ms < x->stop_began_ms + x->cfg->stop_timeout_ms / 2) {
        x->stop_failed = false;
        step_to(x, STEP_SERVICE, now_ms + RETRY_MS);
    } else {
        leave(x, now_ms);
    }
}

/* Both have answered. What is left of the children may still change the list share, so it counts like a runner. */
static void after_address(struct executor *x, uint64_t now_ms)
{
    bool proven = exec_active_proven(x, now_ms);

    if (!proven && (x->active.running || x->epoch != 0))
        x->stop_failed = true;
    if (x->cfg->list_with_service && !x->stop_failed)
        step_to(x, STEP_SHARE, now_ms);
    else
        after_share(x, now_ms);
}

/* A step with a job: starts it, or looks at its answer. Returns true when the step is over. */
static bool job_step(struct executor *x, enum job job, uint32_t deadline_ms, uint64_t now_ms)
{
    if (!x->stop_child) {
        if (now_ms < x->step_ms)
            return false;
        if (start_job(x, job, deadline_ms, now_ms))
            return false;
        x->stop_failed = true;
        return true;
    }
    int ret = answer(x, now_ms);
    x->stop_failed = x->stop_failed || ret < 0;
    return ret != 0;
}

static void units_step(struct executor *x, uint64_t now_ms)
{
    bool failed = x->stop_failed;
    bool over = job_step(x, JOB_UNITS_STOP, x->cfg->stop_timeout_ms, now_ms);

    x->stop_failed = failed; /* they prove nothing: job_step() has logged what went wrong */
    if (over)
        finish_stop(x, now_ms);
}

void exec_stop_tick(struct executor *x, uint64_t now_ms)
{
    switch (x->step) {
    case STEP_RUN: case STEP_OUT:
        break;
    case STEP_KILL:
        if (!anything_left(x) || now_ms >= x->step_ms)
            step_to(x, STEP_SERVICE, now_ms);
        break;
    case STEP_SERVICE:
        if (job_step(x, JOB_SERVICE_STOP, service_deadline_ms(x, now_ms), now_ms))
            step_to(x, STEP_ADDRESS, now_ms);
        break;
    case STEP_ADDRESS:
        if (job_step(x, JOB_ADDRESS_STOP, ADDRESS_STOP_MS, now_ms))
            after_address(x, now_ms);
        break;
    case STEP_SHARE:
        if (job_step(x, JOB_SHARE_UMOUNT, SHARE_UMOUNT_MS, now_ms)) {
            x->stop_failed = false;
            after_share(x, now_ms);
        }
        break;
    case STEP_END:
        if (job_step(x, JOB_EPOCH_END, end_deadline_ms(x->cfg), now_ms)) {
            x->stop_failed = false; /* the stop is proven; only the end may be missing, and that was said */
            leave(x, now_ms);
        }
        break;
    case STEP_UNITS:
        units_step(x, now_ms);
        break;
    }
}

uint64_t exec_stop_next(const struct executor *x, uint64_t now_ms)
{
    if (x->step == STEP_RUN || x->step == STEP_OUT)
        return UINT64_MAX;
    if (x->stop_child && x->stop_child->killed && !x->stop_child->done)
        return x->stop_child->killed_ms + EXEC_LATE_MS;
    if (x->stop_child)
        return x->stop_child->done ? now_ms : UINT64_MAX;
    return x->step_ms;
}
