/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_defer.h"

#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "daemon/log.h"

#include "common/banned.h"

#define RETRY_MS       60000u   /* deadline of one: its own budget is below */
#define SOON_MS         1000u   /* the next one at the earliest: what hung may be due all the time */
#define FAILED_MS       5000u   /* after one that said nothing */
#define WARN_TRIES        10u   /* from then on a person is told, at each doubling */
#define WARN_AGE_MS   900000u

static void warn_reset(struct driver_defer *f)
{
    f->warn_tries = WARN_TRIES;
    f->warn_age_ms = WARN_AGE_MS;
}

static void forget(struct driver *d)
{
    if (d->defer.units > 0)
        d->changed = true;
    d->defer = (struct driver_defer){ .known = false };
    warn_reset(&d->defer);
}

/* From the recovery on, which says what is put off, until the node is not active any more. */
static bool is_tenure(enum core_state s)
{
    switch (s) {
    case ST_RECOVER:
    case ST_ADDRESS:
    case ST_SERVICE:
    case ST_ACTIVE:
    case ST_RESTARTING:
    case ST_ADOPTING:
        return true;
    case ST_STARTING:
    case ST_PASSIVE:
    case ST_CLAIMING:
    case ST_PROOF:
    case ST_DRAIN:
    case ST_OWNING:
    case ST_RELEASING:
    case ST_STOPPING:
    case ST_ENDING:
    case ST_HOLD:
    case ST_N:
        break;
    }
    return false;
}

static void tenure_over(struct driver *d)
{
    for (unsigned i = 0; i < OPS_MAX; i++)
        if (d->ops.v[i].id != 0 && d->ops.v[i].job == JOB_STATE_RETRY && !d->ops.v[i].cancelled)
            driver_cancel(d, &d->ops.v[i]);
    forget(d);
}

/* After an adoption nothing is known: the retry also says what there is. */
void defer_tick(struct driver *d, uint64_t now_ms)
{
    struct wire_run run = { .job = JOB_STATE_RETRY, .deadline_ms = RETRY_MS, .epoch = d->core.claim };

    if (!is_tenure(d->core.state)) {
        tenure_over(d);
        return;
    }
    if (d->core.state != ST_ACTIVE || (d->defer.known && d->defer.units == 0) || now_ms < d->defer.next_ms
        || ops_running(&d->ops, JOB_STATE_RETRY))
        return;
    run.no_stuck = ops_unreaped(&d->ops) > 0;
    d->defer.next_ms = now_ms + SOON_MS;
    if (!driver_run_own(d, &run, now_ms))
        log_warning("%s could not be handed to the executor; it is tried again", job_name(JOB_STATE_RETRY));
}

static void text_take(char *dst, size_t size, const char *text)
{
    (void)snprintf(dst, size, "%s", text ? text : "-");
}

static void unit_take(struct driver_defer *f, const struct record *r, uint64_t now_ms)
{
    struct driver_deferred *u = &f->heard[f->n_heard];
    uint64_t                age_ms = 0;

    if (f->n_heard == DEFER_SHOWN)
        return;
    text_take(u->unit, sizeof u->unit, record_value(r, "unit"));
    text_take(u->reason, sizeof u->reason, record_value(r, "reason"));
    u->tries = 0;
    (void)record_u64(r, "tries", &u->tries);
    (void)record_u64(r, "age_ms", &age_ms);
    u->since_ms = now_ms > age_ms ? now_ms - age_ms : 1;
    f->n_heard++;
}

static void warn(struct driver_defer *f, uint64_t age_ms)
{
    if (f->tries < f->warn_tries && age_ms < f->warn_age_ms)
        return;
    log_warning("%llu unit%s that the recovery pass has put off cannot be finished: the oldest for %llu s, tried %llu times at "
                "most: %s (%s); see what understudy-state check says of its lock",
                (unsigned long long)f->units, f->units == 1 ? "" : "s", (unsigned long long)(age_ms / 1000),
                (unsigned long long)f->tries, f->n_shown ? f->shown[0].unit : "-", f->n_shown ? f->shown[0].reason : "-");
    while (f->warn_tries <= f->tries)
        f->warn_tries *= 2;
    while (f->warn_age_ms <= age_ms)
        f->warn_age_ms *= 2;
}

static void changes_log(const struct driver_defer *before, const struct driver_defer *now, uint64_t now_ms)
{
    if (now->units > 0 && before->units == 0)
        log_warning("%llu unit%s of the list share could not be recovered yet, first %s (%s); tried again while this node is "
                    "active",
                    (unsigned long long)now->units, now->units == 1 ? "" : "s", now->n_shown ? now->shown[0].unit : "-",
                    now->n_shown ? now->shown[0].reason : "-");
    if (now->units == 0 && before->units > 0)
        log_notice("all that the recovery pass had put off is done, after %llu ms",
                   (unsigned long long)(now_ms > before->since_ms ? now_ms - before->since_ms : 0));
}

/* The last of its records: all that it has to say is there. */
static void whole_take(struct driver *d, const struct record *r, uint64_t now_ms)
{
    struct driver_defer *f = &d->defer, before = *f;
    uint64_t             epoch = 0, age_ms = 0, next_ms = 0, dropped = 0;

    f->n_heard = 0;
    if (record_u64(r, "epoch", &epoch) || epoch != d->core.claim || record_u64(r, "units", &f->units))
        return; /* it was refused, or is of another tenure */
    (void)record_u64(r, "tries", &f->tries);
    (void)record_u64(r, "oldest_ms", &age_ms);
    (void)record_u64(r, "next_in_ms", &next_ms);
    if (record_u64(r, "dropped", &dropped) == 0 && dropped > 0)
        log_notice("%llu units that an earlier recovery pass of this node had put off are forgotten: this one has tried all "
                   "there are",
                   (unsigned long long)dropped);
    f->known = true;
    f->since_ms = now_ms > age_ms ? now_ms - age_ms : 1;
    f->next_ms = now_ms + (next_ms > SOON_MS ? next_ms : SOON_MS);
    f->n_shown = before.n_heard;
    memcpy(f->shown, before.heard, sizeof f->shown);
    d->changed = true;
    changes_log(&before, f, now_ms);
    if (f->units == 0)
        warn_reset(f);
    else
        warn(f, age_ms);
}

void defer_record(struct driver *d, const struct op *op, const struct record *r, uint64_t now_ms)
{
    if ((op->job != JOB_STATE_RECOVER && op->job != JOB_STATE_RETRY) || op->cancelled)
        return;
    if (!strcmp(r->word, "deferred"))
        unit_take(&d->defer, r, now_ms);
    else if (!strcmp(r->word, "defer"))
        whole_take(d, r, now_ms);
}

void defer_done(struct driver *d, const struct op *op, int32_t status, uint64_t now_ms)
{
    if (op->job != JOB_STATE_RETRY || op->cancelled)
        return;
    d->defer.n_heard = 0;
    if (!op->late && status == EXIT_DONE) {
        d->defer.failed = false;
        return;
    }
    if (!d->defer.failed)
        log_warning("%s: %s; it is tried again", job_name(op->job), op->text[0] ? op->text
                    : op->late ? "not done in time" : "it said nothing");
    d->defer.failed = true;
    d->defer.next_ms = now_ms + FAILED_MS;
}

json_t *defer_json(const struct driver_defer *d, uint64_t now_ms)
{
    json_t *list, *o;

    if (!d->known || d->units == 0)
        return json_null();
    list = json_array();
    for (unsigned i = 0; i < d->n_shown; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "unit", d->shown[i].unit, "reason", d->shown[i].reason,
            "tries", (json_int_t)d->shown[i].tries,
            "age_ms", (json_int_t)(now_ms > d->shown[i].since_ms ? now_ms - d->shown[i].since_ms : 0)));
    o = json_pack("{s:I, s:I, s:I, s:I}", "units", (json_int_t)d->units, "tries", (json_int_t)d->tries,
                  "oldest_ms", (json_int_t)(now_ms > d->since_ms ? now_ms - d->since_ms : 0),
                  "next_in_ms", (json_int_t)(d->next_ms > now_ms ? d->next_ms - now_ms : 0));
    (void)json_object_set_new(o, "oldest", list);
    return o;
}
