/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The executor's own, coarse view of the tenure: claim, own, then what makes a node active. An engine that goes wrong
 * cannot skip a step, and cannot go on under a number whose end was issued. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "common/fileio.h"
#include "common/num.h"
#include "daemon/log.h"

#include "common/banned.h"

#define ENDED_FILE "ended"

static bool ended_has(const struct executor *x, uint64_t epoch)
{
    for (unsigned i = 0; i < x->n_ended; i++)
        if (x->ended[i] == epoch)
            return true;
    return false;
}

static void ended_add(struct executor *x, uint64_t epoch)
{
    if (x->adoptable == epoch)
        x->adoptable = 0;
    if (x->n_ended == EXEC_ENDED)
        memmove(x->ended, x->ended + 1, --x->n_ended * sizeof x->ended[0]);
    x->ended[x->n_ended++] = epoch;
}

int exec_ended_read(struct executor *x)
{
    char text[EXEC_ENDED * 32];
    size_t len = 0;
    struct stat st;
    uint64_t n;
    int rc = fileio_read(x->run_fd, ENDED_FILE, text, sizeof text - 1, &len, &st);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0 && st.st_uid != x->root.uid)
        rc = -EPERM; /* the directory is the engine's: only a file of ours counts */
    if (rc < 0)
        return rc;
    text[len] = '\0';
    for (char *p = text, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
        *nl = '\0';
        if (num_parse_u64(p, 1, UINT64_MAX, &n) < 0)
            return -EBADMSG;
        ended_add(x, n);
    }
    return 0;
}

/* One number a line, the latest last. It has to be there before the end is issued (design: Epochs). */
int exec_ended_record(struct executor *x, uint64_t epoch)
{
    char text[EXEC_ENDED * 32];
    size_t len = 0;

    exec_token_remove(x);
    if (!ended_has(x, epoch))
        ended_add(x, epoch);
    for (unsigned i = 0; i < x->n_ended; i++)
        len += (size_t) snprintf(text + len, sizeof text - len, "%" PRIu64 "\n", x->ended[i]);
    return fileio_write_replace(x->run_fd, ENDED_FILE, text, len, 0644);
}

static int allow_claim(struct executor *x, uint64_t epoch)
{
    if (ended_has(x, epoch))
        return -EPERM;
    x->epoch = epoch;
    x->owned = false;
    return 0;
}

static int allow_end(struct executor *x, uint64_t epoch)
{
    if (x->epoch == epoch) {
        x->epoch = 0;
        x->owned = false;
    }
    return exec_ended_record(x, epoch);
}

int exec_tenure_allow(struct executor *x, const struct wire_run *run, uint64_t now_ms)
{
    bool ours = x->epoch != 0 && run->epoch == x->epoch;

    switch ((enum job) run->job) {
    case JOB_EPOCH_CLAIM:
        return allow_claim(x, run->epoch);
    case JOB_EPOCH_OWN:
        return ours ? 0 : -EPERM;
    case JOB_STATE_RECOVER: case JOB_SHARE_MOUNT:
        return ours && x->owned ? 0 : -EPERM;
    case JOB_STATE_RETRY:
        return ours && x->owned && x->permitted && now_ms < x->permit_until_ms ? 0 : -EPERM;
    case JOB_ADDRESS_START: case JOB_SERVICE_START: case JOB_INTAKE_OPEN: case JOB_SERVICE_RESUME:
    case JOB_UNITS_START: case JOB_STATE_PROBE:
        return x->owned && x->permitted && now_ms < x->permit_until_ms ? 0 : -EPERM;
    case JOB_EPOCH_END:
        return allow_end(x, run->epoch);
    case JOB_NONE: case JOB_EPOCH_WATCH: case JOB_EPOCH_DRAIN: case JOB_EPOCH_INIT: case JOB_STATE_CHECK:
    case JOB_INTAKE_CLOSE: case JOB_ADDRESS_STOP: case JOB_ADDRESS_MONITOR: case JOB_SERVICE_STOP:
    case JOB_SERVICE_MONITOR: case JOB_SERVICE_RELEASE: case JOB_STATE_SYNC: case JOB_SHARE_UMOUNT:
    case JOB_EPOCH_MAINTAIN: case JOB_EPOCH_UNMAINTAIN: case JOB_FENCE_OFF: case JOB_FENCE_ON: case JOB_FENCE_STATUS:
    case JOB_POKE: case JOB_UNITS_STOP: case JOB_N:
        return 0;
    }
    return -EINVAL;
}

void exec_tenure_adopt(struct executor *x, uint64_t epoch, uint64_t now_ms)
{
    if (epoch == 0 || epoch != x->adoptable || ended_has(x, epoch)) {
        log_error("the engine wants to adopt epoch %" PRIu64 ", which was not offered to it; refused", epoch);
        return;
    }
    log_notice("epoch %" PRIu64 " is adopted", epoch);
    x->adoptable = 0;
    x->epoch = epoch;
    x->owned = true;
    exec_watchdog_arm(x, now_ms);
}

void exec_tenure_answer(struct executor *x, const struct exec_child *c)
{
    exec_token_answer(x, c);
    if (c->epoch == 0 || c->epoch != x->epoch)
        return;
    if (c->job == JOB_EPOCH_OWN && c->status == EXIT_DONE && !c->late)
        x->owned = true;
    else if (c->job == JOB_EPOCH_CLAIM && c->status == EXIT_LOST)
        x->epoch = 0;
}
