/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_watch.h"

#include <string.h>

#include "daemon/log.h"

#include "common/banned.h"

#define WATCH_AGAIN_MS 1000u /* after one that ended at once: it will hardly be better sooner */
#define WATCH_NUDGE_MS 10u   /* most often */
#define WATCH_GRACE_MS 1000u /* beyond share_deadline, until a silent one is killed */

void watch_init(struct watch *w, const struct config *cfg, struct driver *driver, struct facts *facts)
{
    *w = (struct watch){ .driver = driver, .facts = facts };
    watch_parser_init(&w->parser, cfg);
}

static void watch_start(struct watch *w, uint64_t now_ms)
{
    struct wire_run run = { .job = JOB_EPOCH_WATCH };
    struct op *op = driver_run_own(w->driver, &run, now_ms);

    w->next_ms = now_ms + WATCH_AGAIN_MS;
    if (!op)
        return;
    watch_parser_init(&w->parser, w->parser.cfg);
    w->op_id = op->id;
    w->start_ms = w->alive_ms = now_ms;
    w->speaks = false;
}

/* Only once it has reported: before that the signal could end it. A full socket is no harm: it is sent again. */
static void nudge_send(struct watch *w, uint64_t now_ms)
{
    const struct op *op = ops_find(&w->driver->ops, w->op_id);
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_NUDGE };

    if (!w->nudge_due || !op || op->cancelled || !w->speaks || now_ms < w->nudge_ms + WATCH_NUDGE_MS)
        return;
    m.u.op_id = op->id;
    if (w->driver->send(w->driver->send_ctx, &m) == 0) {
        w->nudge_due = false;
        w->nudge_ms = now_ms;
    }
}

void watch_nudge(struct watch *w, uint64_t now_ms)
{
    w->nudge_due = true;
    nudge_send(w, now_ms);
}

uint64_t watch_wakeup_ms(const struct watch *w)
{
    return w->nudge_due && w->op_id && w->speaks ? w->nudge_ms + WATCH_NUDGE_MS : UINT64_MAX;
}

void watch_tick(struct watch *w, uint64_t now_ms)
{
    struct op *op = ops_find(&w->driver->ops, w->op_id);

    if (!w->op_id) {
        if (now_ms >= w->next_ms)
            watch_start(w, now_ms);
        return;
    }
    nudge_send(w, now_ms);
    if (!op || op->cancelled || now_ms < w->alive_ms + w->parser.cfg->share_deadline_ms + WATCH_GRACE_MS)
        return;
    log_warning("the control share %s has not answered for %llu ms: the watch is killed and started again once it is gone",
                w->parser.cfg->control_share, (unsigned long long)(now_ms - w->alive_ms));
    driver_cancel(w->driver, op);
}

static void report_take(struct watch *w)
{
    facts_share(w->facts, &w->parser.r, w->now_ms);
    w->alive_ms = w->now_ms;
    w->reported = w->speaks = true;
    if (w->n_bad > 0)
        log_notice("the watch's reports can be read again, after %u that could not", w->n_bad);
    w->n_bad = 0;
}

static void watch_take_line(void *ctx, const char *line, size_t len)
{
    struct watch *w = ctx;
    struct op *op = ops_find(&w->driver->ops, w->op_id);

    switch (watch_parser_line(&w->parser, line, len)) {
    case WATCH_REPORT:
        report_take(w);
        break;
    case WATCH_BAD:
        if (w->n_bad++ == 0)
            log_error("a report of the watch cannot be used, so the control share counts as not answering: \"%s\"",
                      w->parser.bad_line);
        break;
    case WATCH_TEXT:
        if (op)
            ops_text_add(op, line, len);
        log_info("epoch-watch: %s", line);
        break;
    case WATCH_MORE:
        break;
    }
}

bool watch_output(struct watch *w, const struct wire_output *out, uint64_t now_ms)
{
    struct op *op = ops_find(&w->driver->ops, out->op_id);

    if (!op || out->op_id != w->op_id || op->cancelled || out->len > sizeof out->text)
        return false;
    w->now_ms = now_ms;
    w->reported = false;
    record_lines_feed(&op->lines, out->text, out->len, watch_take_line, w);
    nudge_send(w, now_ms); /* one that came too soon after the look that this tells of */
    return w->reported;
}

void watch_done(struct watch *w, uint64_t now_ms)
{
    w->op_id = 0;
    w->next_ms = now_ms < w->start_ms + WATCH_AGAIN_MS ? now_ms + WATCH_AGAIN_MS : now_ms;
}
