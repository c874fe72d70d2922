/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The look at the floating address of an active node. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_address.h"

#define INTERVAL_MS 2000u

static struct config cfg = { .n_nodes = 2, .monitor_interval_ms = INTERVAL_MS, .drain_ms = 700, .max_failures = 3,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_run sent;
static unsigned n_sent;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (m->kind == WIRE_RUN) {
        sent = m->u.run;
        n_sent++;
    }
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
    n_sent = 0;
    address_tick(&d, 1000);
    assert_int_equal(n_sent, 1);
    assert_int_equal(sent.job, JOB_ADDRESS_MONITOR);
    return 0;
}

static void answer(const char *text, int32_t status)
{
    struct op *op = ops_find(&d.ops, sent.op_id);

    assert_non_null(op);
    ops_text_add(op, text, strlen(text));
    struct wire_done w = { .op_id = sent.op_id, .job = JOB_ADDRESS_MONITOR, .status = status };
    driver_done(&d, &w, 1100);
}

static enum core_result with(enum core_op as, enum core_result service)
{
    const struct op op = { .core_op = as };

    return address_with(&d, &op, service);
}

static void one_at_a_time_and_as_often_as_told(void **state)
{
    (void)state;
    address_tick(&d, 1000 + INTERVAL_MS);
    assert_int_equal(n_sent, 1); /* the first is not back */
    answer("", 0);
    address_tick(&d, 999 + INTERVAL_MS);
    assert_int_equal(n_sent, 1);
    address_tick(&d, 1000 + INTERVAL_MS);
    assert_int_equal(n_sent, 2);
    assert_false(d.address.bad);
    assert_int_equal(d.n_alerts, 0);
}

static void a_dead_link_is_told_once_and_moves_nothing(void **state)
{
    (void)state;
    answer("interface eth1 is down", 1);
    assert_true(d.address.bad);
    assert_string_equal(d.address.text, "interface eth1 is down");
    assert_int_equal(d.n_alerts, 1);
    assert_int_equal(d.alert[0].reason, WHY_ADDRESS_FAILED);
    assert_int_equal(with(OP_SERVICE_MONITOR, RES_OK), RES_OK);
    address_tick(&d, 1000 + INTERVAL_MS);
    answer("interface eth1 is down", 1);
    assert_int_equal(d.n_alerts, 1);
    address_tick(&d, 1000 + 2 * INTERVAL_MS);
    answer("", 0);
    assert_false(d.address.bad);
    address_tick(&d, 1000 + 3 * INTERVAL_MS);
    answer("", 1);
    assert_int_equal(d.n_alerts, 2);
    assert_string_equal(d.address.text, "The look at it said nothing.");
}

static void an_address_that_is_gone_is_a_service_that_is_not_whole(void **state)
{
    (void)state;
    answer("", 7);
    assert_string_equal(d.address.text, "It was taken off this node.");
    assert_int_equal(with(OP_SERVICE_START, RES_OK), RES_OK);
    assert_int_equal(with(OP_SERVICE_MONITOR, RES_LATE), RES_LATE);
    assert_int_equal(with(OP_SERVICE_MONITOR, RES_OK), RES_FAILED);
    assert_int_equal(with(OP_SERVICE_MONITOR, RES_OK), RES_OK); /* said once: what follows puts it back */
}

static void nothing_is_looked_at_or_announced_where_others_may_act(void **state)
{
    (void)state;
    answer("", 7);
    d.core.intake_closed = true; /* after a gap, until the epochs were read again */
    address_tick(&d, 100000);
    assert_int_equal(n_sent, 1);
    assert_false(d.address.missing);
    d.core.intake_closed = false;
    for (enum core_state s = ST_STARTING; s < ST_N; s++) {
        if (s == ST_ACTIVE)
            continue;
        d.core.state = s;
        address_tick(&d, 200000 + 10000u * (unsigned)s);
        assert_int_equal(n_sent, 1);
    }
    d.core.state = ST_ACTIVE;
    address_tick(&d, 900000);
    assert_int_equal(n_sent, 2);
    d.core.state = ST_PASSIVE;
    answer("", 7);
    assert_false(d.address.missing);
    assert_int_equal(d.n_alerts, 1); /* the first one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_at_a_time_and_as_often_as_told, setup),
        cmocka_unit_test_setup(a_dead_link_is_told_once_and_moves_nothing, setup),
        cmocka_unit_test_setup(an_address_that_is_gone_is_a_service_that_is_not_whole, setup),
        cmocka_unit_test_setup(nothing_is_looked_at_or_announced_where_others_may_act, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
