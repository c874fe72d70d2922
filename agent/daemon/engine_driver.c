/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/engine_address.h"
#include "daemon/engine_again.h"
#include "daemon/engine_chain.h"
#include "daemon/engine_defer.h"
#include "daemon/engine_failed.h"
#include "daemon/engine_fence.h"
#include "daemon/engine_lists.h"
#include "daemon/engine_report_mail.h"
#include "daemon/engine_units.h"
#include "daemon/log.h"

#include "common/banned.h"

void driver_init(struct driver *d, const struct config *cfg, unsigned self, struct facts *facts, struct report *report,
                 uint64_t now_ms)
{
    struct core_config cc;

    *d = (struct driver){ .cfg = cfg, .facts = facts, .report = report };
    driver_config(cfg, self, &cc);
    core_init(&d->core, &cc, now_ms);
}

int driver_send(struct driver *d, const struct wire_msg *m)
{
    int rc = d->send(d->send_ctx, m);

    if (rc && rc != -EAGAIN)
        d->gone = true;
    return rc;
}

void driver_permit(struct driver *d, uint64_t now_ms)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_PERMIT };

    m.u.permit.until_ms = d->permit ? now_ms + d->cfg->permit_timeout_ms : 0;
    m.u.permit.maintenance = facts_maintenance(d->facts, now_ms);
    (void)driver_send(d, &m); /* lost: it runs out by itself, and a withdrawal is repeated each tick */
}

/* Sends the request; the table has it from then on. */
static struct op *op_request(struct driver *d, const struct wire_run *run, enum core_op core_op, uint64_t now_ms)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RUN };
    struct op *op = ops_add(&d->ops, run->op_id, (enum job)run->job);

    if (!op)
        return NULL;
    op->core_op = core_op;
    op->start_ms = now_ms;
    op->deadline_ms = run->deadline_ms;
    op->device = (uint8_t)run->device;
    op->run = *run;
    m.u.run = *run;
    if (driver_send(d, &m)) {
        ops_drop(op);
        return NULL;
    }
    if (job_is_fence(op->job) && op->device < CORE_DEVICES) {
        op->node = (uint8_t)d->cfg->devices[op->device].node;
        d->fence[op->device].running_since_ms = now_ms;
    }
    return op;
}

struct op *driver_run_own(struct driver *d, struct wire_run *run, uint64_t now_ms)
{
    run->op_id = DRIVER_OWN_OPS | ++d->own_seq;
    return op_request(d, run, OP_NONE, now_ms);
}

static bool op_moves_service(enum core_op op)
{
    return op == OP_SERVICE_START || op == OP_SERVICE_STOP || op == OP_SERVICE_RELEASE;
}

static void action_run(struct driver *d, const struct core_action *a, uint64_t now_ms)
{
    struct wire_run run;

    driver_run_fill(d->cfg, a, &run);
    run.job = (uint32_t)chain_first(d->cfg, a->op, (enum job)run.job);
    if (op_moves_service(a->op))
        facts_scan_forget(d->facts);
    report_op_begin(d->report, a, now_ms);
    if (op_request(d, &run, a->op, now_ms))
        return;
    log_error("operation %s (%llu) could not be handed to the executor", core_op_name(a->op),
              (unsigned long long)a->op_id);
    if (d->n_failed < sizeof d->failed / sizeof d->failed[0]) {
        d->failed[d->n_failed].id = a->op_id;
        d->failed[d->n_failed++].op = a->op;
    }
}

void driver_cancel(struct driver *d, struct op *op)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CANCEL };

    if (op->again_ms != 0) { /* nothing of it runs */
        ops_drop(op);
        return;
    }
    m.u.op_id = op->id;
    op->cancelled = driver_send(d, &m) == 0;
}

void driver_alert(struct driver *d, enum core_reason reason, unsigned node, const char *detail, uint64_t now_ms)
{
    struct driver_alert *a = &d->alert[d->n_alerts++ % DRIVER_ALERTS];

    *a = (struct driver_alert){ .at_ms = now_ms, .reason = reason, .node = node };
    (void)snprintf(a->detail, sizeof a->detail, "%s", detail);
    log_error("alert: %s (node %s): %s%s%s %s", core_reason_name(reason), node < d->cfg->n_nodes ? d->cfg->nodes[node].name
              : "-", core_reason_what(reason), detail[0] ? " " : "", detail, core_reason_action(reason));
    d->changed = true;
}

static void action_adopt(struct driver *d, const struct core_action *a)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_ADOPT };

    m.u.epoch = a->epoch;
    if (driver_send(d, &m))
        log_error("the executor could not be told that epoch %llu is adopted", (unsigned long long)a->epoch);
}

static void action_do(struct driver *d, const struct core_action *a, uint64_t now_ms)
{
    struct op *op;

    switch (a->kind) {
    case ACT_RUN:
        action_run(d, a, now_ms);
        break;
    case ACT_CANCEL:
        op = ops_find(&d->ops, a->op_id);
        if (op)
            driver_cancel(d, op);
        break;
    case ACT_PERMIT:
    case ACT_NO_PERMIT:
        d->permit = a->kind == ACT_PERMIT;
        driver_permit(d, now_ms);
        break;
    case ACT_ADOPT:
        action_adopt(d, a);
        break;
    case ACT_ALERT:
        driver_alert(d, (enum core_reason)a->reason, a->node, "", now_ms);
        break;
    case ACT_NONE:
    case ACT_N:
        break;
    }
}

static void rule_log(struct driver *d, int rule, enum core_state from, uint64_t now_ms)
{
    /* A rule that keeps the state is routine: monitors, retries. */
    log_write(from == d->core.state ? LOG_INFO : LOG_NOTICE, "rule %d: %s -> %s: %s", rule, core_state_name(from),
              core_state_name(d->core.state), core_rule_why(rule));
    d->last_rule = rule;
    d->last_rule_from = from;
    d->last_rule_ms = now_ms;
    d->changed = true;
}

static int driver_step(struct driver *d, struct core_event *e)
{
    struct core_facts facts;
    struct core_actions out = { 0 };
    enum core_state from = d->core.state;
    int rule;

    d->facts->unreaped = ops_unreaped(&d->ops);
    d->facts->unreaped_fence = ops_unreaped_fence(&d->ops);
    facts_dead(d->facts, d->core.dead_boot, e->now_ms);
    facts_fill(d->facts, e->now_ms, &facts);
    e->facts = &facts;
    rule = core_step(&d->core, e, &out);
    e->facts = NULL;
    if (!rule)
        return 0;
    rule_log(d, rule, from, e->now_ms);
    report_state(d->report, &d->core, d->facts, from, e->now_ms);
    release_state(&d->release, &d->core, from, e->now_ms);
    for (unsigned i = 0; i < out.n && i < CORE_ACTIONS; i++)
        action_do(d, &out.v[i], e->now_ms);
    units_state(d, from, e->now_ms);
    return rule;
}

/* What could not be asked for has failed, and the core must hear it like any other answer. */
static bool failed_next(struct driver *d, struct core_event *ret)
{
    if (d->n_failed == 0)
        return false;
    d->n_failed--;
    ret->kind = EV_DONE;
    ret->op_id = d->failed[d->n_failed].id;
    ret->op = d->failed[d->n_failed].op;
    ret->result = RES_FAILED;
    return true;
}

/* Returns the rule that took the first event. */
static int driver_feed(struct driver *d, struct core_event *e)
{
    uint64_t now_ms = e->now_ms;
    int first = driver_step(d, e), rule = first;

    for (unsigned i = 0; i < DRIVER_STEPS; i++) {
        struct core_event next = { .kind = EV_LOOK, .now_ms = now_ms };
        bool failed = failed_next(d, &next);
        if (!failed && !rule && i > 0)
            return first;
        rule = driver_step(d, &next);
    }
    log_error("%d rules for one event and no end: going on at the next tick", (int)DRIVER_STEPS);
    return first;
}

/* Events may carry a time from before the last one when they were queued: the core's clock never runs back. */
static uint64_t driver_now(const struct driver *d, uint64_t now_ms)
{
    return now_ms > d->core.now_ms ? now_ms : d->core.now_ms;
}

void driver_look(struct driver *d, uint64_t now_ms)
{
    (void)driver_feed(d, &(struct core_event){ .kind = EV_LOOK, .now_ms = driver_now(d, now_ms) });
}

void driver_gap(struct driver *d, uint64_t now_ms)
{
    (void)driver_feed(d, &(struct core_event){ .kind = EV_GAP, .now_ms = driver_now(d, now_ms) });
}

int driver_acknowledge(struct driver *d, unsigned node, uint64_t now_ms)
{
    return driver_feed(d, &(struct core_event){ .kind = EV_ACKNOWLEDGE, .now_ms = driver_now(d, now_ms), .node = node });
}

int driver_clear(struct driver *d, uint64_t now_ms)
{
    return driver_feed(d, &(struct core_event){ .kind = EV_CLEAR, .now_ms = driver_now(d, now_ms) });
}

int driver_release(struct driver *d, unsigned node, bool force, uint64_t now_ms)
{
    struct core_event e = { .kind = EV_RELEASE, .now_ms = driver_now(d, now_ms), .node = node, .force = force };

    return driver_feed(d, &e);
}

/* The core hears of an operation once: when it is late, or else when it is done. */
static void op_answer(struct driver *d, struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    struct core_event e = { .kind = EV_DONE, .now_ms = driver_now(d, now_ms), .op_id = op->id, .op = op->core_op,
        .result = result };

    failed_note(d, op, status, result, now_ms);
    fence_done(d, op, status, result, now_ms);
    d->changed = true;
    if (op->core_op == OP_NONE) {
        report_beside(d->report, op, result, now_ms);
        address_done(d, op, status, now_ms);
        lists_done(d, op, status, now_ms);
        defer_done(d, op, status, now_ms);
        return;
    }
    report_op_end(d->report, op, result, now_ms);
    release_op_end(&d->release, op, result, now_ms);
    if (op_moves_service(op->core_op)) {
        facts_scan_forget(d->facts);
        d->scan_wanted = true;
    }
    (void)driver_feed(d, &e);
}

void driver_late(struct driver *d, uint64_t op_id, uint64_t now_ms)
{
    struct op *op = ops_find(&d->ops, op_id);

    if (!op || op->late)
        return;
    op->late = true;
    failed_late(d, op, now_ms);
    if (!op->cancelled)
        op_answer(d, op, 0, RES_LATE, now_ms);
}

/* Asks for the next job of the operation, under the same id and what is left of its deadline. False: it is over. */
static bool chain_go_on(struct driver *d, const struct op *done, int32_t status, uint64_t now_ms)
{
    enum job next = chain_next(d->cfg, done->core_op, done->job);
    uint64_t until_ms = done->start_ms + done->deadline_ms;
    struct wire_run run = done->run;
    struct op *op;

    if (next == JOB_NONE || done->late || done->cancelled || status != 0)
        return false;
    run.job = (uint32_t)next;
    run.deadline_ms = until_ms > now_ms ? (uint32_t)(until_ms - now_ms) : 1;
    op = op_request(d, &run, done->core_op, now_ms);
    if (!op)
        return false;
    op->start_ms = done->start_ms;
    op->deadline_ms = done->deadline_ms;
    log_info("%s: done, %s follows", job_name(done->job), job_name(next));
    return true;
}

/* What could not be handed over in the middle of a chain is not done. */
static enum core_result done_result(struct driver *d, struct op *op, const struct wire_done *done)
{
    enum core_op as = op->core_op == OP_NONE && op->job == JOB_FENCE_STATUS ? OP_FENCE_STATUS : op->core_op;
    enum core_result r = driver_result(as, done->status, done->late || op->cancelled, op->duplicate);

    r = address_with(d, op, fence_judge(d, op, r));
    return r == RES_OK && chain_next(d->cfg, op->core_op, op->job) != JOB_NONE ? RES_FAILED : r;
}

void driver_done(struct driver *d, const struct wire_done *done, uint64_t now_ms)
{
    struct op *op = ops_find(&d->ops, done->op_id);
    struct op copy;

    d->ops.executor_unreaped = done->unreaped;
    if (!op || (uint32_t)op->job != done->job) {
        driver_look(d, now_ms); /* the count alone may be what is waited for */
        return;
    }
    if (again_put_off(d, op, done, now_ms))
        return;
    copy = *op;
    ops_drop(op); /* first: it is reaped, and what is fed below may look at the table */
    if (!done->late && chain_go_on(d, &copy, done->status, now_ms))
        return;
    if (!copy.late)
        op_answer(d, &copy, done->status, done_result(d, &copy, done), now_ms);
    else
        driver_look(d, now_ms);
}

void driver_safety(struct driver *d, const struct wire_safety *safety)
{
    d->safety = *safety;
    d->safety.watchdog_says[sizeof d->safety.watchdog_says - 1] = '\0';
    d->safety.last_why[sizeof d->safety.last_why - 1] = '\0';
    d->changed = true;
}

/* Debian's fence agents begin each run with a warning of Python's about itself, and its source line, indented. */
static bool line_is_noise(const struct op *op, const char *line)
{
    return job_is_fence(op->job) && (strstr(line, "DeprecationWarning") || !strncmp(line, "  ", 2));
}

void driver_line(struct driver *d, struct op *op, const char *line, size_t len, uint64_t now_ms)
{
    struct record r;

    if (record_parse(line, len, &r) || r.n == 0) {
        if (!line_is_noise(op, line))
            ops_text_add(op, line, len);
        return;
    }
    if (op->job == JOB_SHARE_UMOUNT && !strncmp(r.word, "busy", 4))
        log_warning("%s: %.*s", job_name(op->job), (int)len, line);
    if (op->job == JOB_ADDRESS_START && !strcmp(r.word, "duplicate"))
        op->duplicate = true;
    if (op->job == JOB_POKE)
        report_poke(d->report, &r, now_ms);
    defer_record(d, op, &r, now_ms);
    report_record(d->report, op->job, &r, now_ms);
    release_record(&d->release, op->job, &r, now_ms);
}
