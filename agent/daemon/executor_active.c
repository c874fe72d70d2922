/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether anything that makes this node active may run here, by what the executor itself has started and stopped. The
 * engine may hang or be wrong: an active node without a permit that is not being stopped is stopped from here. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fileio.h"
#include "daemon/log.h"

#include "common/banned.h"

#define RUNNING_FILE "running"

bool exec_mark(struct executor *x, const char *name, bool set)
{
    char text[32];
    int rc;

    if (!set) {
        rc = unlinkat(x->run_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
    } else {
        int n = snprintf(text, sizeof text, "%" PRIu64 "\n", x->epoch);
        rc = fileio_write_replace(x->run_fd, name, text, (size_t) n, 0644);
    }
    if (rc < 0)
        log_error("%s/%s: %s; the next understudyd would not know what may run here", x->opt->run_dir, name, strerror(-rc));
    return rc == 0;
}

/* The directory is the engine's: only a file of ours counts. */
bool exec_marked(const struct executor *x, const char *name)
{
    char text[32];
    struct stat st;
    size_t len;

    return fileio_read(x->run_fd, name, text, sizeof text, &len, &st) == 0 && st.st_uid == x->root.uid;
}

void exec_safety_changed(struct executor *x)
{
    x->safety.stop_unproven = x->active.unproven;
    x->safety_told = false;
}

void exec_active_read(struct executor *x, uint64_t now_ms)
{
    x->active.running = exec_marked(x, RUNNING_FILE);
    x->active.idle_ms = now_ms;
    if (x->active.running)
        log_notice("an understudyd before this one has left this node active: what runs here is stopped or taken up by the "
                   "engine, or stopped by the executor");
}

static bool makes_active(enum job j)
{
    return j == JOB_ADDRESS_START || j == JOB_SERVICE_START || j == JOB_SERVICE_RESUME || j == JOB_INTAKE_OPEN;
}

int exec_active_allow(struct executor *x, enum job j, uint64_t now_ms)
{
    if (!makes_active(j))
        return 0;
    if (!x->active.running && !exec_mark(x, RUNNING_FILE, true))
        return -EIO;
    x->active.running = true;
    x->active.best = 0;
    x->active.address_down = x->active.address_down && j != JOB_ADDRESS_START;
    x->active.service_down = x->active.service_down && j != JOB_SERVICE_START && j != JOB_SERVICE_RESUME;
    exec_watchdog_arm(x, now_ms);
    return 0;
}

static bool stops(enum job j)
{
    return j == JOB_SERVICE_STOP || j == JOB_ADDRESS_STOP;
}

void exec_active_answer(struct executor *x, const struct exec_child *c, uint64_t now_ms)
{
    bool good = c->status == 0 && !c->killed;

    if (!stops(c->job) && c->job != JOB_SERVICE_RELEASE)
        return;
    x->active.idle_ms = now_ms;
    if (c->job == JOB_ADDRESS_STOP)
        x->active.address_down = good;
    else
        x->active.service_down = good;
    unsigned down = (unsigned) x->active.service_down + (unsigned) x->active.address_down;
    if (down > x->active.best) { /* the same half of a stop again and again is no progress */
        x->active.best = down;
        exec_watchdog_pet(x, now_ms);
    }
    if (!good && stops(c->job) && (!c->killed || c->late)) /* a release goes on serving; one cancelled says nothing */
        x->active.fell = true;
}

/* Not gone: it may make this node active yet, or change the list share. */
static bool anything_left(const struct executor *x)
{
    for (unsigned i = 0; i < EXEC_CHILDREN; i++) {
        const struct exec_child *c = &x->child[i];
        if (c->pid != 0 && !c->done && (makes_active(c->job) || (c->killed && job_touches_lists(c->job))))
            return true;
    }
    return false;
}

bool exec_active_proven(struct executor *x, uint64_t now_ms)
{
    if (!x->active.service_down || !x->active.address_down || anything_left(x))
        return false;
    if (x->active.running) {
        x->active.running = x->active.fell = x->active.unproven = false;
        (void) exec_mark(x, RUNNING_FILE, false);
        exec_watchdog_disarm(x, now_ms);
        exec_safety_changed(x);
    }
    return true;
}

/* A stop at work, as the engine's. One that hangs at its deadline has failed. */
static bool stop_at_work(struct executor *x, uint64_t now_ms)
{
    bool ret = false;

    for (unsigned i = 0; i < EXEC_CHILDREN; i++) {
        const struct exec_child *c = &x->child[i];
        if (c->pid == 0 || c->done || (!stops(c->job) && c->job != JOB_SERVICE_RELEASE))
            continue;
        if (!c->killed)
            ret = true;
        else if (c->late && stops(c->job) && now_ms >= c->killed_ms + EXEC_LATE_MS)
            x->active.fell = true;
    }
    return ret;
}

/* The engine had its try. If we may reboot we see to it ourselves; else it holds, says so, and goes on trying. */
static void stop_fell(struct executor *x, uint64_t now_ms)
{
    x->active.fell = false;
    if (exec_fence_may(x)) {
        exec_engine_lose(x, "the stop that it asked for is not proven", now_ms);
    } else if (!x->active.unproven) {
        x->active.unproven = true;
        exec_safety_changed(x);
    }
}

void exec_active_tick(struct executor *x, uint64_t now_ms)
{
    bool at_work = stop_at_work(x, now_ms);

    if (!x->active.running || exec_active_proven(x, now_ms) || x->step != STEP_RUN) {
        x->active.fell = false;
        return;
    }
    if (x->permitted || at_work || x->engine.pid == 0)
        x->active.idle_ms = now_ms;
    if (x->active.unproven)
        return;
    if (x->active.fell)
        stop_fell(x, now_ms);
    else if (now_ms >= x->active.idle_ms + x->cfg->permit_timeout_ms)
        exec_engine_lose(x, "this node may be active, and it neither renews its permit nor stops it", now_ms);
}

uint64_t exec_active_next(const struct executor *x)
{
    if (!x->active.running || x->step != STEP_RUN || x->permitted || x->active.unproven || x->engine.pid == 0)
        return UINT64_MAX;
    return x->active.idle_ms + x->cfg->permit_timeout_ms;
}
