/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The probe of the list share of an active node, and what its answers do to intake. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/exitcodes.h"
#include "daemon/engine_explain.h"
#include "daemon/engine_lists.h"

#define INTERVAL_MS 2000u

static struct config cfg = { .n_nodes = 2, .monitor_interval_ms = INTERVAL_MS, .drain_ms = 700, .max_failures = 3,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_run sent;
static unsigned n_sent, n_cancelled;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (m->kind == WIRE_RUN && m->u.run.job == JOB_STATE_PROBE) {
        sent = m->u.run;
        n_sent++;
    }
    n_cancelled += m->kind == WIRE_CANCEL && m->u.op_id == sent.op_id;
    return 0;
}

static int setup(void **state)
{
    const struct id128 boot = { 1, 1 };

    (void)state;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&d, &cfg, 0, &facts, &report, 1000);
    d.send = fake_send;
    d.core.state = ST_ACTIVE;
    n_sent = n_cancelled = 0;
    lists_tick(&d, 1000);
    assert_int_equal(n_sent, 1);
    return 0;
}

static void answer(const char *text, int32_t status)
{
    struct op *op = ops_find(&d.ops, sent.op_id), copy;

    assert_non_null(op);
    ops_text_add(op, text, strlen(text));
    copy = *op;
    ops_drop(op);
    lists_done(&d, &copy, status, 1100);
}

static bool refuses(void)
{
    struct core_facts f;

    facts_fill(&facts, 1200, &f);
    return f.lists_refuse;
}

static void one_at_a_time_and_as_often_as_told(void **state)
{
    (void)state;
    lists_tick(&d, 1000 + 5 * INTERVAL_MS); /* it has not answered yet */
    assert_int_equal(n_sent, 1);
    answer("", EXIT_DONE);
    lists_tick(&d, 1000 + INTERVAL_MS - 1);
    assert_int_equal(n_sent, 1);
    lists_tick(&d, 1000 + INTERVAL_MS);
    assert_int_equal(n_sent, 2);
    assert_false(refuses());
}

static void a_share_that_takes_nothing_is_told_once(void **state)
{
    const struct core_why why = { .reason = WHY_LISTS_REFUSE };
    struct explain e;

    (void)state;
    answer("writing a file in /srv/lists/queue: No space left on device", EXIT_FAILED);
    assert_true(refuses());
    assert_int_equal(d.n_alerts, 1);
    assert_int_equal(d.alert[0].reason, WHY_LISTS_REFUSE);
    assert_non_null(strstr(d.alert[0].detail, "No space left"));
    lists_tick(&d, 1000 + INTERVAL_MS);
    answer("writing a file in /srv/lists/queue: Disk quota exceeded", EXIT_FAILED);
    assert_int_equal(d.n_alerts, 1);
    explain_why(&d, &why, 2500, &e);
    assert_non_null(strstr(e.detail, "since 1500 ms: writing a file in /srv/lists/queue: Disk quota exceeded"));
    lists_tick(&d, 1000 + 2 * INTERVAL_MS);
    answer("", EXIT_DONE);
    assert_false(refuses());
    lists_tick(&d, 1000 + 3 * INTERVAL_MS);
    answer("full again", EXIT_FAILED);
    assert_int_equal(d.n_alerts, 2);
}

static void one_that_does_not_come_back_counts_as_refused(void **state)
{
    struct op *op = ops_find(&d.ops, sent.op_id);

    (void)state;
    op->late = true;
    lists_done(&d, op, 0, 6000);
    assert_true(refuses());
    assert_non_null(strstr(d.alert[0].detail, "could not be written there in time"));
    lists_tick(&d, 60000); /* it hangs: a second one would hang beside it */
    assert_int_equal(n_sent, 1);
}

/* A node that cannot start programs, an executor that does not let it, a program killed for want of memory. */
static void what_says_nothing_about_the_share_changes_nothing(void **state)
{
    static const int32_t other[] = { -1011, -1001, -9, EXIT_USAGE, 127 };
    uint64_t now = 1000;

    (void)state;
    for (unsigned bad = 0; bad < 2; bad++) {
        for (unsigned i = 0; i < sizeof other / sizeof other[0]; i++) {
            answer("", other[i]);
            assert_int_equal(refuses(), bad);
            lists_tick(&d, now += INTERVAL_MS);
        }
        answer("full", EXIT_FAILED);
        lists_tick(&d, now += INTERVAL_MS);
    }
    ops_find(&d.ops, sent.op_id)->cancelled = true;
    answer("", EXIT_DONE);
    assert_true(refuses());
}

static void it_is_over_with_the_tenure(void **state)
{
    (void)state;
    answer("full", EXIT_FAILED);
    lists_tick(&d, 1000 + INTERVAL_MS);
    assert_int_equal(n_sent, 2);
    d.core.state = ST_RELEASING;
    lists_tick(&d, 1000 + 2 * INTERVAL_MS);
    assert_false(refuses());
    assert_int_equal(n_cancelled, 1); /* it still writes: counted until it is reaped */
    assert_int_equal(ops_unreaped(&d.ops), 1);
    answer("full", EXIT_FAILED);
    assert_false(refuses());
    for (enum core_state s = ST_STARTING; s < ST_N; s++) {
        d.core.state = s == ST_ACTIVE ? ST_PASSIVE : s;
        lists_tick(&d, 100000 + 10000u * (unsigned)s);
        assert_int_equal(n_sent, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_at_a_time_and_as_often_as_told, setup),
        cmocka_unit_test_setup(a_share_that_takes_nothing_is_told_once, setup),
        cmocka_unit_test_setup(one_that_does_not_come_back_counts_as_refused, setup),
        cmocka_unit_test_setup(what_says_nothing_about_the_share_changes_nothing, setup),
        cmocka_unit_test_setup(it_is_over_with_the_tenure, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
