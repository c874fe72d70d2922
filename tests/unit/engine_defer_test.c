/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the recovery pass has put off, as the engine hears of it, has it tried again, and shows it. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/exitcodes.h"
#include "daemon/engine_defer.h"

#define EPOCH 7u

static struct config cfg = { .n_nodes = 2, .monitor_interval_ms = 2000, .drain_ms = 700, .max_failures = 3,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_run sent;
static unsigned n_sent, n_cancelled;
static uint64_t now;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (m->kind == WIRE_RUN && m->u.run.job == JOB_STATE_RETRY) {
        sent = m->u.run;
        n_sent++;
    }
    n_cancelled += m->kind == WIRE_CANCEL && m->u.op_id == sent.op_id;
    return 0;
}

static void said(enum job job, const char *line)
{
    struct op op = { .id = 5, .job = job };
    struct record r;

    assert_int_equal(record_parse(line, strlen(line), &r), 0);
    defer_record(&d, &op, &r, now);
}

/* As understudy-state prints it, so many and due in so many ms. */
static void recovered(enum job job, unsigned units, unsigned next_in_ms, unsigned tries, unsigned age_ms)
{
    char line[256];

    if (units > 0) {
        (void)snprintf(line, sizeof line, "deferred unit=list:a%%20b reason=locked tries=%u age_ms=%u next_in_ms=%u", tries, age_ms,
                       next_in_ms);
        said(job, line);
    }
    (void)snprintf(line, sizeof line, "defer epoch=7 units=%u oldest_ms=%u tries=%u next_in_ms=%u dropped=0 unreaped=0", units,
                   age_ms, tries, next_in_ms);
    said(job, line);
}

static int setup(void **state)
{
    const struct id128 boot = { 1, 1 };

    (void)state;
    now = 10000;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&d, &cfg, 0, &facts, &report, now);
    d.send = fake_send;
    d.core.claim = EPOCH;
    d.core.state = ST_PASSIVE;
    n_sent = n_cancelled = 0;
    defer_tick(&d, now);
    d.core.state = ST_RECOVER;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 0);
    return 0;
}

static void go_active(void)
{
    d.core.state = ST_SERVICE;
    defer_tick(&d, now);
    d.core.state = ST_ACTIVE;
    defer_tick(&d, now);
}

static void answer(int32_t status)
{
    struct op *op = ops_find(&d.ops, sent.op_id), copy;

    assert_non_null(op);
    copy = *op;
    ops_drop(op);
    defer_done(&d, &copy, status, now);
}

static json_int_t shown(const char *key)
{
    json_t *o = defer_json(&d.defer, now);
    json_int_t n = json_is_null(o) ? -1 : json_integer_value(json_object_get(o, key));

    json_decref(o);
    return n;
}

static void without_any_nothing_is_done(void **state)
{
    (void)state;
    recovered(JOB_STATE_RECOVER, 0, 0, 0, 0);
    go_active();
    for (; now < 100000; now += 500)
        defer_tick(&d, now);
    assert_int_equal(n_sent, 0);
    assert_int_equal(shown("units"), -1);
}

static void it_is_tried_when_it_is_due_one_at_a_time(void **state)
{
    (void)state;
    recovered(JOB_STATE_RECOVER, 2, 3000, 1, 10);
    go_active();
    assert_int_equal(n_sent, 0);
    assert_int_equal(shown("units"), 2);
    now += 2999;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 0);
    now++;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 1);
    assert_true(sent.epoch == EPOCH && sent.no_stuck == 0 && sent.deadline_ms > 0);
    now += 30000;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 1); /* it has not answered yet */
    recovered(JOB_STATE_RETRY, 1, 4000, 2, 3000);
    answer(EXIT_DONE);
    assert_int_equal(shown("units"), 1);
    now += 4000;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 2);
    recovered(JOB_STATE_RETRY, 0, 0, 0, 0);
    answer(EXIT_DONE);
    now += 100000;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 2);
    assert_int_equal(shown("units"), -1);
}

static void what_is_due_all_the_time_is_no_busy_loop(void **state)
{
    (void)state;
    recovered(JOB_STATE_RECOVER, 1, 0, 1, 10);
    d.ops.executor_unreaped = 1;
    go_active();
    for (unsigned i = 0; i < 100; i++) {
        now += 100;
        defer_tick(&d, now);
        if (ops_running(&d.ops, JOB_STATE_RETRY)) {
            assert_int_equal(sent.no_stuck, 1); /* what hung still hangs: no second worker beside it */
            recovered(JOB_STATE_RETRY, 1, 0, 1, 10);
            answer(EXIT_DONE);
        }
    }
    assert_in_range(n_sent, 8, 10);
}

/* The engine is new: what was put off before it is asked for. */
static void after_an_adoption_it_is_asked_for(void **state)
{
    (void)state;
    d.core.state = ST_ADOPTING;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 0);
    d.core.state = ST_ACTIVE;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 1);
    recovered(JOB_STATE_RETRY, 3, 1500, 4, 8000);
    answer(EXIT_DONE);
    assert_true(shown("units") == 3 && shown("oldest_ms") == 8000 && shown("tries") == 4);
}

static void one_that_says_nothing_is_tried_again_later(void **state)
{
    static const int32_t bad[] = { EXIT_FAILED, EXIT_REFUSED, -9, -1011 };

    (void)state;
    recovered(JOB_STATE_RECOVER, 2, 1000, 1, 10);
    go_active();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        now += 5000;
        defer_tick(&d, now);
        assert_int_equal(n_sent, i + 1);
        if (bad[i] == EXIT_REFUSED) /* of another tenure: not ours */
            said(JOB_STATE_RETRY, "defer epoch=0 units=0 oldest_ms=0 tries=0 next_in_ms=0 dropped=0 unreaped=0");
        answer(bad[i]);
        now += 4999;
        defer_tick(&d, now);
        assert_int_equal(n_sent, i + 1);
        assert_int_equal(shown("units"), 2);
    }
}

static void it_is_over_with_the_tenure(void **state)
{
    (void)state;
    recovered(JOB_STATE_RECOVER, 2, 1000, 1, 10);
    go_active();
    now += 1000;
    defer_tick(&d, now);
    assert_int_equal(n_sent, 1);
    d.core.state = ST_RESTARTING;
    defer_tick(&d, now);
    assert_true(n_cancelled == 0 && shown("units") == 2); /* the tenure goes on */
    d.core.state = ST_RELEASING;
    defer_tick(&d, now);
    assert_int_equal(n_cancelled, 1); /* it still writes: counted until it is reaped */
    assert_int_equal(ops_unreaped(&d.ops), 1);
    assert_int_equal(shown("units"), -1);
    recovered(JOB_STATE_RETRY, 2, 1000, 1, 10);
    answer(-9);
    for (enum core_state s = ST_STARTING; s < ST_N; s++) {
        if (s == ST_ACTIVE)
            continue;
        d.core.state = s;
        defer_tick(&d, now += 10000);
        assert_int_equal(n_sent, 1);
    }
}

static void a_person_is_told_at_each_doubling(void **state)
{
    unsigned told = 0;

    (void)state;
    recovered(JOB_STATE_RECOVER, 1, 1000, 1, 10);
    go_active();
    for (unsigned tries = 2; tries <= 100; tries++) {
        uint64_t before = d.defer.warn_tries;
        recovered(JOB_STATE_RETRY, 1, 1000, tries, tries * 4000);
        told += d.defer.warn_tries != before;
        assert_true(d.defer.warn_tries > tries);
    }
    assert_int_equal(told, 4); /* 10, 20, 40, 80 */
    recovered(JOB_STATE_RETRY, 1, 1000, 100, 900000);
    assert_int_equal(d.defer.warn_age_ms, 1800000);
    recovered(JOB_STATE_RETRY, 0, 0, 0, 0);
    assert_true(d.defer.warn_tries == 10 && d.defer.warn_age_ms == 900000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_any_nothing_is_done, setup),
        cmocka_unit_test_setup(it_is_tried_when_it_is_due_one_at_a_time, setup),
        cmocka_unit_test_setup(what_is_due_all_the_time_is_no_busy_loop, setup),
        cmocka_unit_test_setup(after_an_adoption_it_is_asked_for, setup),
        cmocka_unit_test_setup(one_that_says_nothing_is_tried_again_later, setup),
        cmocka_unit_test_setup(it_is_over_with_the_tenure, setup),
        cmocka_unit_test_setup(a_person_is_told_at_each_doubling, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
