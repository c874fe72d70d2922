/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenure token for the gate: there while this node owns, has a permit, and its list service is up; gone before
 * anything of that ends. It is a level: whatever the other parts do, each turn of the loop makes it true again. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/fileio.h"
#include "common/tenure.h"
#include "daemon/log.h"

#include "common/banned.h"

#define OWN_NAME "own"

/* A token that is still here, of this boot, is of an executor that ended without stopping what ran under it. */
static void offer_tenure(struct executor *x)
{
    struct tenure t;

    if (tenure_read(x->opt->gate_dir, x->root.uid, &t) != TENURE_SOUND || strcmp(t.cluster, x->cfg->cluster) != 0 ||
        strcmp(t.node, x->cfg->nodes[x->jobs.self].name) != 0 || !bootid_equal(&t.boot, &x->token.boot))
        return;
    x->adoptable = t.epoch;
    log_notice("an understudyd before this one left epoch %llu owned", (unsigned long long) t.epoch);
}

bool exec_token_holds(const struct executor *x, uint64_t now_ms)
{
    return x->token.there && !x->token.shut && x->owned && x->epoch != 0 && x->token.epoch == x->epoch && x->permitted &&
           now_ms < x->permit_until_ms;
}

/* The run that owns, not the present one, is in epoch.N.own: it has to outlive us, for an executor that adopts. */
static void own_read(struct executor *x)
{
    struct exec_token *t = &x->token;
    char text[TENURE_TEXT_MAX];
    struct tenure n;
    size_t len;
    int rc = fileio_read(t->dir_fd, OWN_NAME, text, sizeof text, &len, NULL);

    if (rc == 0)
        rc = tenure_parse(text, len, &n);
    if (rc == 0 && bootid_equal(&n.boot, &t->boot)) {
        t->own_epoch = n.epoch;
        t->own_run = n.run;
    } else if (rc != 0 && rc != -ENOENT) {
        log_warning("%s/" OWN_NAME " cannot be read (%s): the gate stays closed for a tenure that is adopted",
                    x->opt->gate_dir, strerror(-rc));
    }
}

static int text_write(struct executor *x, const char *name, uint64_t until_ms)
{
    struct exec_token *t = &x->token;
    struct tenure n = { .epoch = t->own_epoch, .boot = t->boot, .run = t->own_run, .until_ms = until_ms };
    char text[TENURE_TEXT_MAX];

    (void) snprintf(n.cluster, sizeof n.cluster, "%s", x->cfg->cluster);
    (void) snprintf(n.node, sizeof n.node, "%s", x->cfg->nodes[x->jobs.self].name);
    size_t len = tenure_format(&n, text);
    return len ? fileio_write_replace(t->dir_fd, name, text, len, 0644) : -EINVAL;
}

static void own_note(struct executor *x, uint64_t epoch)
{
    x->token.own_epoch = epoch;
    x->token.own_run = x->jobs.run;
    int rc = text_write(x, OWN_NAME, 1);
    if (rc < 0)
        log_warning("%s/" OWN_NAME " cannot be written (%s), ignoring: it is for an executor that adopts", x->opt->gate_dir,
                    strerror(-rc));
}

int exec_token_open(struct executor *x)
{
    struct exec_token *t = &x->token;

    t->dir_fd = exec_directory_make(x->opt->gate_dir, 0755, &x->root);
    int rc = t->dir_fd < 0 ? t->dir_fd : bootid_read(&t->boot);
    if (rc < 0) {
        log_error("%s: %s; the tenure token is kept there, for root alone to write; correct it", x->opt->gate_dir,
                  strerror(-rc));
        return rc;
    }
    offer_tenure(x);
    t->there = true; /* maybe of an executor before us */
    exec_token_remove(x);
    own_read(x);
    return 0;
}

void exec_token_remove(struct executor *x)
{
    struct exec_token *t = &x->token;

    if (!t->there)
        return;
    if (unlinkat(t->dir_fd, TENURE_NAME, 0) < 0 && errno != ENOENT) {
        log_error("%s/" TENURE_NAME " cannot be removed (%s): the gate stays open until it expires", x->opt->gate_dir,
                  strerror(errno));
        return; /* tried again each turn */
    }
    t->there = false;
}

void exec_token_lose(struct executor *x)
{
    x->adoptable = 0;
    exec_token_remove(x);
    x->token.shut = false; /* the next engine's run begins anew */
}

static void token_write(struct executor *x)
{
    struct exec_token *t = &x->token;
    int rc = text_write(x, TENURE_NAME, x->permit_until_ms);

    if (rc < 0 && rc != t->write_rc)
        log_error("%s/" TENURE_NAME " cannot be written (%s): the gate stays closed", x->opt->gate_dir, strerror(-rc));
    t->write_rc = rc;
    if (rc < 0) {
        exec_token_remove(x);
        return;
    }
    t->there = true;
    t->epoch = t->own_epoch;
    t->run = t->own_run;
    t->until_ms = x->permit_until_ms;
}

void exec_token_tick(struct executor *x, uint64_t now_ms)
{
    struct exec_token *t = &x->token;

    bool ours = x->owned && x->epoch != 0 && x->epoch == t->own_epoch;

    if (x->step == STEP_OUT) /* after a stop there is none; after exec_engine_leave() it tells the next what it may adopt */
        return;
    if (x->step != STEP_RUN || !ours || !x->permitted || now_ms >= x->permit_until_ms || t->shut) {
        exec_token_remove(x);
        return;
    }
    /* A permit comes ten times a second; half of its time is soon enough, but none may outlive the present one. */
    if (!t->there || t->epoch != t->own_epoch || t->run != t->own_run || t->until_ms > x->permit_until_ms ||
        t->until_ms < now_ms + x->cfg->permit_timeout_ms / 2)
        token_write(x);
}

/* From the claim until the service is up, and from the begin of its end on, nothing else may start beside it. */
void exec_token_job(struct executor *x, const struct wire_run *run)
{
    switch ((enum job) run->job) {
    case JOB_EPOCH_CLAIM: case JOB_EPOCH_OWN: case JOB_EPOCH_END: case JOB_STATE_RECOVER: case JOB_SHARE_MOUNT:
    case JOB_SHARE_UMOUNT: case JOB_SERVICE_START: case JOB_SERVICE_STOP: case JOB_SERVICE_RELEASE:
        x->token.shut = true;
        exec_token_remove(x);
        if (run->job == JOB_EPOCH_OWN)
            own_note(x, run->epoch);
        break;
    case JOB_NONE: case JOB_EPOCH_WATCH: case JOB_EPOCH_DRAIN: case JOB_EPOCH_INIT: case JOB_EPOCH_MAINTAIN:
    case JOB_EPOCH_UNMAINTAIN: case JOB_STATE_CHECK: case JOB_STATE_SYNC: case JOB_INTAKE_OPEN: case JOB_INTAKE_CLOSE:
    case JOB_STATE_RETRY: case JOB_STATE_PROBE:
    case JOB_ADDRESS_START: case JOB_ADDRESS_STOP: case JOB_ADDRESS_MONITOR: case JOB_SERVICE_MONITOR:
    case JOB_SERVICE_RESUME: case JOB_FENCE_OFF: case JOB_FENCE_ON: case JOB_FENCE_STATUS: case JOB_POKE:
    case JOB_UNITS_START: case JOB_UNITS_STOP: case JOB_N:
        break;
    }
}

void exec_token_answer(struct executor *x, const struct exec_child *c)
{
    bool good = c->status == 0 && !c->killed;
    bool serves_on = c->job == JOB_SERVICE_RELEASE && c->status > 0 && !c->killed; /* refused: as if never asked */

    if (((c->job == JOB_SERVICE_START || c->job == JOB_SERVICE_RESUME) && good) || serves_on)
        x->token.shut = false;
}
