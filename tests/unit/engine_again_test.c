/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look at the list service that can not be started is tried again for a while, and nothing else is; what is short, and a step
 * that takes long, have names. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_again.h"
#include "daemon/engine_explain.h"
#include "daemon/engine_failed.h"
#include "daemon/engine_slow.h"

#define BEGAN_MS  5000u
#define DEADLINE  10000u
#define LAST_MS   (BEGAN_MS + DEADLINE / 4 * 3) /* no try is made later */
#define LOOK_ID   41u

static struct config cfg = { .n_nodes = 2, .drain_ms = 700, .max_failures = 3, .monitor_interval_ms = 1000, .stop_timeout_ms = 5000,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_run sent;
static unsigned n_runs, n_cancels;
static int send_rc;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (send_rc == 0 && m->kind == WIRE_RUN) {
        sent = m->u.run;
        n_runs++;
    }
    n_cancels += send_rc == 0 && m->kind == WIRE_CANCEL;
    return send_rc;
}

/* As the core has it while it waits for `core_op` in `state`; by the facts there is no ring, so that an answer makes it stop. */
static struct op *at_work(enum core_state state, enum core_op core_op, uint64_t id)
{
    struct op *op = ops_add(&d.ops, id, driver_job(core_op));

    op->core_op = core_op;
    op->start_ms = BEGAN_MS;
    op->deadline_ms = DEADLINE;
    op->run = (struct wire_run){ .op_id = id, .job = (uint32_t)op->job, .deadline_ms = DEADLINE };
    d.core.state = state;
    d.core.pending.op = core_op;
    d.core.pending.id = id;
    d.core.pending.deadline_ms = BEGAN_MS + DEADLINE + 500;
    return op;
}

static int setup(void **state)
{
    const struct id128 boot = { 1, 1 };

    (void)state;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&d, &cfg, 0, &facts, &report, 1000);
    d.send = fake_send;
    n_runs = n_cancels = 0;
    send_rc = 0;
    d.core.claim = d.core.claim_run = 1;
    d.core.own_issued = d.core.owned = d.core.drained = d.core.adopted = true;
    (void)at_work(ST_ACTIVE, OP_SERVICE_MONITOR, LOOK_ID);
    return 0;
}

/* As the engine takes an answer. */
static void answer(int32_t status, uint64_t now_ms)
{
    struct op *op = ops_find(&d.ops, LOOK_ID);
    const struct wire_done done = { .op_id = LOOK_ID, .job = JOB_SERVICE_MONITOR, .status = status };

    assert_non_null(op);
    failed_say(&d, op, &done, now_ms);
    driver_done(&d, &done, now_ms);
}

static void what_could_not_be_started_is_asked_for_again_until_it_can(void **state)
{
    static const int used_up[] = { EAGAIN, ENOMEM, EMFILE, ENFILE };
    uint64_t now_ms = BEGAN_MS;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        answer(-1000 - used_up[i], now_ms);
        assert_int_equal(d.core.state, ST_ACTIVE);
        assert_int_equal(d.core.pending.id, LOOK_ID);
        again_tick(&d, now_ms + AGAIN_MS - 1);
        assert_int_equal(n_runs, i);
        now_ms += AGAIN_MS;
        again_tick(&d, now_ms);
        again_tick(&d, now_ms + AGAIN_MS); /* it is with the executor */
        assert_int_equal(n_runs, i + 1);
        assert_int_equal(sent.op_id, LOOK_ID);
        assert_int_equal(sent.job, JOB_SERVICE_MONITOR);
        assert_int_equal(sent.deadline_ms, BEGAN_MS + DEADLINE - now_ms); /* no more than there was */
    }
    answer(0, now_ms + 20);
    assert_null(ops_find(&d.ops, LOOK_ID)); /* an answer: the core has it */
    assert_int_equal(d.core.state, ST_STOPPING);
    assert_int_equal(again_until_ms(&d), 0);
}

static void not_for_ever(void **state)
{
    uint64_t now_ms = BEGAN_MS;

    (void)state;
    for (; d.core.state == ST_ACTIVE; now_ms += AGAIN_MS) {
        assert_true(now_ms <= LAST_MS);
        answer(-1000 - EAGAIN, now_ms);
        again_tick(&d, now_ms + AGAIN_MS);
    }
    assert_true(now_ms + AGAIN_MS >= LAST_MS);
    assert_int_equal(d.core.state, ST_STOPPING);
    assert_int_equal(sent.job, JOB_SERVICE_STOP);
}

static void any_other_answer_is_one_at_once(void **state)
{
    static const int32_t answers[] = { 0, 1, 7, 127, -SIGTERM, -1000 - EPERM, -1000 - ENOENT, -1000 - EBUSY, -1000 - EINVAL,
                                       -1000 - EIO };

    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        (void)setup(state);
        answer(answers[i], BEGAN_MS + 1);
        assert_null(ops_find(&d.ops, LOOK_ID));
        assert_int_equal(d.core.state, ST_STOPPING);
    }
}

static void what_died_while_it_was_loaded_has_not_looked_either(void **state)
{
    static const struct { int32_t status; const char *text; bool spoke; } died[] = {
        { -SIGKILL, "", false }, { -SIGSEGV, "", false }, { -SIGBUS, "", false },
        { 127, "mailman3: error while loading shared libraries: libc.so.6: failed to map segment", true },
    };

    for (unsigned again = 0; again < 2; again++)
        for (unsigned i = 0; i < sizeof died / sizeof died[0]; i++) {
            (void)setup(state);
            struct op *op = ops_find(&d.ops, LOOK_ID);
            op->spoke = died[i].spoke;
            ops_text_add(op, died[i].text, strlen(died[i].text));
            answer(died[i].status, BEGAN_MS + 1);
            assert_int_equal(d.core.state, ST_ACTIVE);
            assert_true(failed_starts(&d, BEGAN_MS + 2)); /* and it has a name */
            again_tick(&d, BEGAN_MS + 1 + AGAIN_MS);
            assert_true(n_runs == 1 && !op->spoke && !op->text[0]);
            op->spoke = again != 0;
            answer(again ? -SIGKILL : 1, BEGAN_MS + 300); /* it was loaded, and found something or was killed at it */
            assert_int_equal(d.core.state, ST_STOPPING);
        }
}

static void nothing_but_a_look_waits(void **state)
{
    const struct wire_done done = { .op_id = 50, .status = -1000 - EAGAIN };

    (void)state;
    for (unsigned op = OP_NONE + 1; op < OP_N; op++) {
        struct op *o = at_work(ST_ACTIVE, (enum core_op)op, 50);
        assert_true(again_put_off(&d, o, &done, BEGAN_MS) == (op == OP_SERVICE_MONITOR));
        ops_drop(o);
    }
    struct op *own = at_work(ST_ACTIVE, OP_SERVICE_MONITOR, 50);
    d.core.pending.id = 51; /* the core does not wait for this one any more */
    assert_false(again_put_off(&d, own, &done, BEGAN_MS));
}

/* In the same moment as without any of this. */
static void a_stop_that_can_not_be_started_is_unproven_at_once(void **state)
{
    (void)state;
    answer(-1000 - EAGAIN, BEGAN_MS);
    driver_look(&d, BEGAN_MS + 10); /* no ring: it has to stop, though its look still waits */
    assert_int_equal(d.core.state, ST_STOPPING);
    assert_int_equal(sent.job, JOB_SERVICE_STOP);
    assert_null(ops_find(&d.ops, LOOK_ID));
    assert_int_equal(n_cancels, 0); /* the executor has nothing of it */
    driver_done(&d, &(struct wire_done){ .op_id = sent.op_id, .job = JOB_SERVICE_STOP, .status = -1000 - EAGAIN }, BEGAN_MS + 11);
    assert_int_equal(d.core.state, ST_HOLD);
    assert_true(d.core.stop_unproven);
    unsigned runs = n_runs;
    again_tick(&d, BEGAN_MS + 10 * AGAIN_MS);
    assert_int_equal(n_runs, runs);
}

static void an_executor_that_does_not_read_is_a_try_too(void **state)
{
    uint64_t now_ms = BEGAN_MS;

    (void)state;
    answer(-1000 - EAGAIN, now_ms);
    send_rc = -EAGAIN;
    for (; now_ms <= LAST_MS && d.core.state == ST_ACTIVE; now_ms += AGAIN_MS)
        again_tick(&d, now_ms);
    assert_int_not_equal(d.core.state, ST_ACTIVE);
    assert_true(now_ms + 2 * AGAIN_MS >= LAST_MS);
    assert_int_equal(n_runs, 0);
}

static void what_is_short_is_named_and_for_how_long_it_may_last(void **state)
{
    struct explain e;

    (void)state;
    assert_false(explain_start_refused(&d, BEGAN_MS, &e));
    answer(-1000 - EAGAIN, BEGAN_MS);
    assert_int_equal(again_until_ms(&d), LAST_MS);
    assert_true(explain_start_refused(&d, BEGAN_MS + 500, &e));
    assert_non_null(strstr(e.detail, "service-monitor: Resource temporarily unavailable"));
    assert_non_null(strstr(e.detail, "if that lasts 7000 ms more this node stops it"));
    again_tick(&d, BEGAN_MS + 500);
    answer(1, BEGAN_MS + 600);
    assert_true(explain_start_refused(&d, BEGAN_MS + 700, &e));
    assert_null(strstr(e.detail, "more this node stops it"));
}

/* A program that ended with `status` after it printed `text`; NULL = nothing. */
static const char *ended(enum job job, int32_t status, const char *text, bool late)
{
    static struct op op;
    struct wire_done done = { .op_id = 60, .job = (uint32_t)job, .status = status, .late = late };

    op = (struct op){ .id = 60, .job = job, .start_ms = BEGAN_MS, .spoke = text != NULL };
    if (text)
        ops_text_add(&op, text, strlen(text));
    failed_say(&d, &op, &done, BEGAN_MS + 5);
    return op.text;
}

static void a_program_that_died_while_it_was_loaded_says_so(void **state)
{
    static const char ld_so[] = "address: error while loading shared libraries: libc.so.6: failed to map segment";
    static const int32_t deaths[] = { -SIGKILL, -SIGSEGV, -SIGBUS };
    struct explain e;

    for (unsigned i = 0; i < 3; i++) {
        (void)setup(state);
        assert_non_null(strstr(ended(JOB_SERVICE_STOP, deaths[i], NULL, false), "before it said anything: is memory short?"));
        assert_true(explain_start_refused(&d, BEGAN_MS + 10, &e));
        assert_non_null(strstr(e.detail, "1 of them failed in 5 ms, the last: service-stop: it was ended by signal"));
        assert_non_null(strstr(e.action, "memory"));
    }
    (void)setup(state);
    assert_string_equal(ended(JOB_SERVICE_STOP, 127, ld_so, false), ld_so);
    assert_true(explain_start_refused(&d, BEGAN_MS + 10, &e));
    assert_non_null(strstr(e.detail, "failed to map segment"));
}

static void any_other_death_is_no_want_of_memory(void **state)
{
    (void)state;
    assert_string_equal(ended(JOB_SERVICE_STOP, -SIGTERM, NULL, false), "it was ended by signal 15 (Terminated) and said nothing");
    assert_string_equal(ended(JOB_SERVICE_STOP, -SIGSEGV, "killing", false), "killing");
    assert_string_equal(ended(JOB_SERVICE_STOP, -SIGKILL, NULL, true), ""); /* by us */
    assert_string_equal(ended(JOB_SERVICE_STOP, 127, "env: python9: No such file", false), "env: python9: No such file");
    assert_string_equal(ended(JOB_SERVICE_STOP, 1, NULL, false), "");
    assert_non_null(strstr(ended(JOB_EPOCH_WATCH, -SIGKILL, "", false), "if nobody did that, memory is short"));
    assert_int_equal(d.starts.n, 0);
}

static void what_failed_last_is_told_with_the_reason(void **state)
{
    const struct core_why unproven = { .reason = WHY_STOP_UNPROVEN }, failed = { .reason = WHY_SERVICE_FAILED };
    struct explain e;

    (void)state;
    explain_why(&d, &failed, BEGAN_MS, &e);
    assert_string_equal(e.detail, "");
    d.address.missing = true;
    answer(0, BEGAN_MS + 1);
    explain_why(&d, &failed, BEGAN_MS + 5, &e);
    assert_string_equal(e.detail, "the last that failed: service-monitor failed (exit 0): the floating address is not on "
                        "this node");
    assert_int_equal(e.age_ms, 4);
    struct op *op = ops_find(&d.ops, sent.op_id);
    struct wire_done done = { .op_id = sent.op_id, .job = JOB_SERVICE_STOP, .status = -SIGSEGV };
    failed_say(&d, op, &done, BEGAN_MS + 9);
    driver_done(&d, &done, BEGAN_MS + 9);
    assert_int_equal(d.core.state, ST_HOLD);
    explain_why(&d, &unproven, BEGAN_MS + 10, &e);
    assert_non_null(strstr(e.detail, "service-stop failed (exit -11): it was ended by signal 11 (Segmentation fault) before it"));
}

static void a_look_at_the_address_that_could_not_be_started_says_nothing_of_it(void **state)
{
    struct wire_run run = { .job = JOB_ADDRESS_MONITOR, .deadline_ms = 5000 };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct op *op = driver_run_own(&d, &run, BEGAN_MS);
        struct wire_done done = { .op_id = op->id, .job = JOB_ADDRESS_MONITOR, .status = i == 0 ? -1000 - EAGAIN : 1 };
        driver_done(&d, &done, BEGAN_MS + 1);
        assert_int_equal(d.n_alerts, i);
        assert_int_equal(d.address.bad, i == 1);
    }
}

static void a_slow_step_says_which_since_when_and_what_comes_then(void **state)
{
    static const struct { enum core_state state; enum core_op op; uint32_t usual_ms; const char *name, *then, *look; } steps[] = {
        { ST_DRAIN, OP_DRAIN, 3700, "step drain (epoch-drain) of epoch 1", "proofs are dropped", "NFS server" },
        { ST_OWNING, OP_OWN, 3000, "step own (epoch-own) of epoch 1", "withdrawn", "NFS server" },
        { ST_RECOVER, OP_RECOVER, 3000, "step recover (state-recover) of epoch 1", "undone", "NFS server" },
        { ST_ADDRESS, OP_ADDRESS_START, 3000, "step address (address-start) of epoch 1", "undone", "interface" },
        { ST_SERVICE, OP_SERVICE_START, 6000, "step start (service-start) of epoch 1", "undone", "list server's log" },
    };
    struct explain e;
    uint64_t ms = 0;

    (void)state;
    assert_false(explain_slow(&d, BEGAN_MS + DEADLINE, &e, &ms)); /* a look at the list service is none */
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct op *op = at_work(steps[i].state, steps[i].op, 50 + i);
        assert_false(explain_slow(&d, BEGAN_MS + steps[i].usual_ms - 1, &e, &ms));
        assert_true(explain_slow(&d, BEGAN_MS + steps[i].usual_ms, &e, &ms));
        assert_int_equal(ms, steps[i].usual_ms);
        assert_non_null(strstr(e.detail, steps[i].name));
        assert_non_null(strstr(e.detail, "it has 10000 ms"));
        assert_non_null(strstr(e.detail, steps[i].then));
        assert_non_null(strstr(e.action, steps[i].look));
        assert_true(strlen(e.detail) < sizeof e.detail - OPS_TEXT_MAX); /* there is room for what the program says */
        op->late = true;
        ops_drop(op);
        assert_false(explain_slow(&d, BEGAN_MS + DEADLINE, &e, &ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_could_not_be_started_is_asked_for_again_until_it_can, setup),
        cmocka_unit_test_setup(not_for_ever, setup),
        cmocka_unit_test_setup(any_other_answer_is_one_at_once, setup),
        cmocka_unit_test_setup(what_died_while_it_was_loaded_has_not_looked_either, setup),
        cmocka_unit_test_setup(nothing_but_a_look_waits, setup),
        cmocka_unit_test_setup(a_stop_that_can_not_be_started_is_unproven_at_once, setup),
        cmocka_unit_test_setup(an_executor_that_does_not_read_is_a_try_too, setup),
        cmocka_unit_test_setup(what_is_short_is_named_and_for_how_long_it_may_last, setup),
        cmocka_unit_test_setup(a_program_that_died_while_it_was_loaded_says_so, setup),
        cmocka_unit_test_setup(any_other_death_is_no_want_of_memory, setup),
        cmocka_unit_test_setup(what_failed_last_is_told_with_the_reason, setup),
        cmocka_unit_test_setup(a_look_at_the_address_that_could_not_be_started_says_nothing_of_it, setup),
        cmocka_unit_test_setup(a_slow_step_says_which_since_when_and_what_comes_then, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
