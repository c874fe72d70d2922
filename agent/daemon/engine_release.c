/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/banned.h"

static const char *const phase_names[RELEASE_PHASE_N] = {
    [RELEASE_INTAKE] = "intake", [RELEASE_SAFE_POINT] = "safe_point", [RELEASE_SYNC] = "sync",
    [RELEASE_ADDRESS] = "address", [RELEASE_END] = "end",
};

const char *release_result_name(enum release_result r)
{
    static const char *const names[] = {
        [RELEASE_NONE] = "none", [RELEASE_RUNNING] = "running", [RELEASE_DONE] = "released",
        [RELEASE_REFUSED] = "refused", [RELEASE_HARD] = "stopped-hard", [RELEASE_FAILED] = "failed",
    };

    return (unsigned)r < sizeof names / sizeof names[0] ? names[r] : "unknown";
}

static void begin(struct release *r, const struct core *c, uint64_t now_ms)
{
    *r = (struct release){ .number = c->releases, .epoch = c->claim, .result = RELEASE_RUNNING, .forced = c->release_force,
                           .begin_ms = now_ms };
}

static void over(struct release *r, enum release_result result, enum core_reason why, uint64_t now_ms)
{
    r->result = result;
    r->why = why;
    r->over_ms = now_ms;
    r->ready = true;
}

void release_state(struct release *r, const struct core *c, enum core_state from, uint64_t now_ms)
{
    if (c->state == ST_RELEASING && from != ST_RELEASING)
        begin(r, c, now_ms);
    if (r->result != RELEASE_RUNNING || c->state == from)
        return;
    if (from == ST_RELEASING && c->state == ST_ACTIVE) {
        over(r, RELEASE_REFUSED, c->release_why, now_ms);
    } else if (c->state == ST_STOPPING) {
        r->hard = true;
    } else if (from == ST_ENDING && !r->hard) {
        r->end_ms[RELEASE_END] = now_ms;
        over(r, RELEASE_DONE, WHY_NONE, now_ms);
    } else if (from == ST_ENDING || c->state == ST_HOLD || c->state == ST_STARTING) {
        bool told = r->forced && c->last_reason == WHY_RELEASE_REFUSED;
        over(r, told ? RELEASE_HARD : RELEASE_FAILED, c->last_reason, now_ms);
    }
}

void release_op_end(struct release *r, const struct op *op, enum core_result result, uint64_t now_ms)
{
    if (r->result != RELEASE_RUNNING)
        return;
    if (op->core_op == OP_SERVICE_RELEASE && result != RES_OK)
        (void)snprintf(r->said, sizeof r->said, "%s", result == RES_LATE ? "the agent did not answer in time" : op->text);
    if (result != RES_OK || r->hard)
        return;
    if (op->core_op == OP_SERVICE_RELEASE)
        r->end_ms[RELEASE_SAFE_POINT] = now_ms;
    else if (op->core_op == OP_SYNC)
        r->end_ms[RELEASE_SYNC] = now_ms;
    else if (op->core_op == OP_ADDRESS_STOP)
        r->end_ms[RELEASE_ADDRESS] = now_ms;
}

void release_record(struct release *r, enum job job, const struct record *rec, uint64_t now_ms)
{
    const char *name = record_value(rec, "name");
    uint64_t at = now_ms;

    if (r->result != RELEASE_RUNNING || job != JOB_SERVICE_RELEASE || strcmp(rec->word, "phase") != 0 || !name
        || strcmp(name, "closed") != 0)
        return;
    if (record_u64(rec, "at_ms", &at) || at > now_ms || at < r->begin_ms)
        at = now_ms;
    r->end_ms[RELEASE_INTAKE] = at;
}

/* Begin of a phase is the end of the last one that was reached before it. */
static uint64_t phase_begin(const struct release *r, unsigned phase)
{
    uint64_t begin_ms = r->begin_ms;

    for (unsigned i = 0; i < phase; i++)
        if (r->end_ms[i])
            begin_ms = r->end_ms[i];
    return begin_ms;
}

json_t *release_json(const struct release *r, const char *node, uint64_t now_ms)
{
    json_t *phases = json_array();
    uint64_t until = r->over_ms ? r->over_ms : now_ms;

    for (unsigned i = 0; i < RELEASE_PHASE_N; i++) {
        uint64_t begin_ms = phase_begin(r, i);
        if (r->end_ms[i])
            json_array_append_new(phases, json_pack("{s:s, s:I, s:I}", "name", phase_names[i], "at_ms",
                                                    (json_int_t)(begin_ms - r->begin_ms), "took_ms",
                                                    (json_int_t)(r->end_ms[i] - begin_ms)));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:b, s:I, s:I, s:o}", "kind", "switchover", "node", node,
                     "number", (json_int_t)r->number, "epoch", (json_int_t)r->epoch,
                     "result", release_result_name(r->result), "why", core_reason_name(r->why), "said", r->said,
                     "forced", r->forced, "zero_boottime_ms", (json_int_t)r->begin_ms,
                     "took_ms", (json_int_t)(until > r->begin_ms ? until - r->begin_ms : 0), "phases", phases);
}

static void head_write(FILE *out, const struct release *r, const char *node, uint64_t wall)
{
    time_t at = (time_t)wall;
    char day[64] = "";
    struct tm tm;

    if (gmtime_r(&at, &tm))
        (void)strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S UTC", &tm);
    (void)fprintf(out, "Switchover: node %s, epoch %llu, %s, %s after %llu ms\n", node, (unsigned long long)r->epoch, day,
                  release_result_name(r->result), (unsigned long long)(r->over_ms - r->begin_ms));
    if (r->result != RELEASE_DONE)
        (void)fprintf(out, "%s %s\n", core_reason_what(r->why), core_reason_action(r->why));
    if (r->said[0])
        (void)fprintf(out, "The agent said: %s\n", r->said);
}

char *release_text(const struct release *r, const char *node, uint64_t wall)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    head_write(out, r, node, wall);
    (void)fprintf(out, "\n  %-12s %9s %9s\n", "phase", "at ms", "took ms");
    for (unsigned i = 0; i < RELEASE_PHASE_N; i++)
        if (r->end_ms[i])
            (void)fprintf(out, "  %-12s %9llu %9llu\n", phase_names[i], (unsigned long long)(phase_begin(r, i) - r->begin_ms),
                          (unsigned long long)(r->end_ms[i] - phase_begin(r, i)));
    bool whole = !ferror(out); /* it may have gone without memory in the middle */
    if (fclose(out) == 0 && whole)
        return text;
    free(text);
    return NULL;
}
