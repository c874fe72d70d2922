/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One operation of the core as several jobs: in order, under one id and one deadline, the first failure is the answer. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_chain.h"
#include "daemon/engine_driver.h"

#define BEGIN_MS 1000u

static struct config cfg = { .n_nodes = 2, .drain_ms = 700, .max_failures = 3, .permit_timeout_ms = 3000,
    .share_deadline_ms = 1000, .share_patience_ms = 5000, .claim_patience_ms = 2000, .stop_timeout_ms = 5000,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_msg sent[16];
static unsigned n_sent;
static int send_rc;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (send_rc == 0 && n_sent < 16 && m->kind == WIRE_RUN)
        sent[n_sent++] = *m;
    return send_rc;
}

static const struct wire_run *last(void)
{
    return n_sent ? &sent[n_sent - 1].u.run : NULL;
}

static void done(enum job j, int32_t status, uint32_t late, uint64_t now_ms)
{
    struct wire_done w = { .op_id = last()->op_id, .job = (uint32_t)j, .status = status, .late = late };

    driver_done(&d, &w, now_ms);
}

/* A new engine stops whatever may run on its node: service, then address. */
static int setup(void **state)
{
    const struct id128 boot = { 1, 1 };

    (void)state;
    cfg.list_with_service = true;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&d, &cfg, 0, &facts, &report, BEGIN_MS);
    d.send = fake_send;
    n_sent = 0;
    send_rc = 0;
    driver_look(&d, BEGIN_MS);
    assert_int_equal(last()->job, JOB_SERVICE_STOP);
    done(JOB_SERVICE_STOP, 0, 0, BEGIN_MS + 100);
    assert_int_equal(last()->job, JOB_ADDRESS_STOP);
    assert_int_equal(n_sent, 2);
    return 0;
}

static void the_share_follows_the_address(void **state)
{
    uint64_t id = last()->op_id;
    uint32_t deadline_ms = last()->deadline_ms;

    (void)state;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    assert_int_equal(last()->job, JOB_SHARE_UMOUNT);
    assert_int_equal(last()->op_id, id);
    assert_int_equal(last()->deadline_ms, deadline_ms - 200); /* one deadline for the whole */
    assert_int_equal(d.core.state, ST_STOPPING);              /* the core still waits for its one operation */
    assert_int_equal(d.core.pending.id, id);
    done(JOB_SHARE_UMOUNT, 0, 0, BEGIN_MS + 400);
    assert_int_equal(d.core.state, ST_STARTING);
    assert_true(d.core.stopped);
    assert_int_equal(n_sent, 3);
    assert_null(ops_find(&d.ops, id));
}

static void not_where_it_is_always_mounted(void **state)
{
    (void)state;
    cfg.list_with_service = false;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    assert_int_equal(n_sent, 2);
    assert_true(d.core.stopped);
}

static void the_first_failure_is_the_answer(void **state)
{
    (void)state;
    done(JOB_ADDRESS_STOP, 1, 0, BEGIN_MS + 300);
    assert_int_equal(n_sent, 2);       /* what follows is not tried */
    assert_false(d.core.stopped);
    assert_int_equal(d.core.state, ST_STARTING);
}

static void a_failure_in_the_middle_is_one_of_the_whole(void **state)
{
    (void)state;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    done(JOB_SHARE_UMOUNT, 1, 0, BEGIN_MS + 400);
    assert_false(d.core.stopped);
}

static void late_is_late_whichever_job_it_was(void **state)
{
    uint64_t id = last()->op_id;

    (void)state;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    driver_late(&d, id, BEGIN_MS + 5000);
    assert_false(d.core.stopped);
    assert_int_equal(ops_unreaped(&d.ops), 1); /* a child of a share is left: this node is dirty */
    done(JOB_SHARE_UMOUNT, -9, 1, BEGIN_MS + 9000);
    assert_int_equal(ops_unreaped(&d.ops), 0);
}

static void nothing_follows_what_was_late_or_cancelled(void **state)
{
    (void)state;
    done(JOB_ADDRESS_STOP, 0, 1, BEGIN_MS + 300);
    assert_int_equal(n_sent, 2);
    assert_int_equal(setup(state), 0);
    driver_cancel(&d, ops_find(&d.ops, last()->op_id));
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    assert_int_equal(n_sent, 2);
}

static void past_its_deadline_it_is_not_given_more_time(void **state)
{
    (void)state;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 100 + last()->deadline_ms + 50);
    assert_int_equal(last()->job, JOB_SHARE_UMOUNT);
    assert_int_equal(last()->deadline_ms, 1);
}

static void what_cannot_be_asked_for_has_failed(void **state)
{
    (void)state;
    send_rc = -EAGAIN;
    done(JOB_ADDRESS_STOP, 0, 0, BEGIN_MS + 300);
    assert_false(d.core.stopped);
}

static void the_chains(void **state)
{
    (void)state;
    assert_int_equal(chain_first(&cfg, OP_RECOVER, JOB_STATE_RECOVER), JOB_SHARE_MOUNT);
    assert_int_equal(chain_next(&cfg, OP_RECOVER, JOB_SHARE_MOUNT), JOB_STATE_RECOVER);
    assert_int_equal(chain_next(&cfg, OP_RECOVER, JOB_STATE_RECOVER), JOB_NONE);
    assert_int_equal(chain_first(&cfg, OP_ADDRESS_STOP, JOB_ADDRESS_STOP), JOB_ADDRESS_STOP);
    assert_int_equal(chain_first(&cfg, OP_SERVICE_STOP, JOB_SERVICE_STOP), JOB_SERVICE_STOP);
    cfg.list_with_service = false;
    assert_int_equal(chain_first(&cfg, OP_RECOVER, JOB_STATE_RECOVER), JOB_STATE_RECOVER);
    for (unsigned op = OP_NONE; op < OP_N; op++)
        for (unsigned j = JOB_NONE; j < JOB_N; j++)
            assert_int_equal(chain_next(&cfg, (enum core_op)op, (enum job)j), JOB_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_share_follows_the_address, setup),
        cmocka_unit_test_setup(not_where_it_is_always_mounted, setup),
        cmocka_unit_test_setup(the_first_failure_is_the_answer, setup),
        cmocka_unit_test_setup(a_failure_in_the_middle_is_one_of_the_whole, setup),
        cmocka_unit_test_setup(late_is_late_whichever_job_it_was, setup),
        cmocka_unit_test_setup(nothing_follows_what_was_late_or_cancelled, setup),
        cmocka_unit_test_setup(past_its_deadline_it_is_not_given_more_time, setup),
        cmocka_unit_test_setup(what_cannot_be_asked_for_has_failed, setup),
        cmocka_unit_test_setup(the_chains, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
