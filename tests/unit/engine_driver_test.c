/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's mapping: actions -> requests, answers -> results; and what it counts. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/exitcodes.h"
#include "daemon/engine_driver.h"
#include "daemon/engine_watch.h"

static struct config cfg = { .n_nodes = 2, .drain_ms = 700, .max_failures = 3, .n_devices = 2, .permit_timeout_ms = 3000,
    .share_deadline_ms = 1000, .share_patience_ms = 5000, .claim_patience_ms = 2000, .stop_timeout_ms = 5000,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } },
    .devices = { { .name = "a-ipmi", .node = 0, .level = 1, .timeout_ms = 900 },
                 { .name = "b-ipmi", .node = 1, .level = 1, .timeout_ms = 800 } } };
static struct facts facts;
static struct report report;
static struct driver d;
static struct wire_msg sent[16];
static unsigned n_sent;
static int send_rc;

static int fake_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    if (send_rc == 0 && n_sent < 16)
        sent[n_sent++] = *m;
    return send_rc;
}

static int setup(void **state)
{
    const struct id128 boot = { 1, 1 };

    (void)state;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&d, &cfg, 0, &facts, &report, 1000);
    d.send = fake_send;
    n_sent = 0;
    send_rc = 0;
    return 0;
}

static void every_operation_has_a_job_of_its_own(void **state)
{
    bool used[JOB_N] = { false };

    (void)state;
    assert_int_equal(driver_job(OP_NONE), JOB_NONE);
    for (unsigned op = OP_NONE + 1; op < OP_N; op++) {
        enum job j = driver_job((enum core_op)op);
        assert_int_not_equal(j, JOB_NONE);
        assert_false(used[j]);
        used[j] = true;
    }
}

static void only_what_is_proven_harmless_has_its_locks_cleared(void **state)
{
    struct core_action a = { .kind = ACT_RUN, .op = OP_RECOVER, .op_id = 4, .deadline_ms = 100, .epoch = 9 };
    struct wire_run r;

    (void)state;
    for (unsigned p = PROOF_NONE; p < PROOF_N; p++) {
        a.proof[1] = (enum core_proof)p;
        driver_run_fill(&cfg, &a, &r);
        bool harmless = p == PROOF_OFF || p == PROOF_REBOOTED || p == PROOF_DENIED || p == PROOF_ACKNOWLEDGED;
        assert_int_equal(r.harmless, harmless ? 2 : 0); /* an ended tenure proves nothing of its locks */
        a.clean[1] = true; /* a live member that says that no list process of its lives */
        driver_run_fill(&cfg, &a, &r);
        assert_int_equal(r.harmless, 2);
        a.clean[1] = false;
        assert_int_equal(r.epoch, 9);
        assert_int_equal(r.op_id, 4);
        assert_int_equal(r.deadline_ms, 100);
    }
}

static void own_carries_the_proofs_and_drain_its_duration(void **state)
{
    struct core_action a = { .kind = ACT_RUN, .op = OP_OWN, .op_id = 4, .epoch = 9, .proof = { PROOF_NONE, PROOF_OFF } };
    struct wire_run r;

    (void)state;
    driver_run_fill(&cfg, &a, &r);
    assert_int_equal(r.job, JOB_EPOCH_OWN);
    assert_int_equal(r.proof[1], PROOF_OFF);
    assert_int_equal(r.harmless, 0);
    a.op = OP_DRAIN;
    driver_run_fill(&cfg, &a, &r);
    assert_int_equal(r.duration_ms, 700);
    a = (struct core_action){ .kind = ACT_RUN, .op = OP_FENCE_OFF, .device = 1, .node = 1 };
    driver_run_fill(&cfg, &a, &r);
    assert_int_equal(r.device, 1);
}

static void nothing_but_a_clear_answer_is_a_success(void **state)
{
    (void)state;
    assert_int_equal(driver_result(OP_CLAIM, 0, false, false), RES_OK);
    assert_int_equal(driver_result(OP_CLAIM, 3, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_END, 3, false, false), RES_OK);
    assert_int_equal(driver_result(OP_END, 1, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_CLAIM, -9, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_CLAIM, -1002, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_CLAIM, 0, true, false), RES_LATE);
    assert_int_equal(driver_result(OP_FENCE_STATUS, 0, false, false), RES_ON);
    assert_int_equal(driver_result(OP_FENCE_STATUS, 2, false, false), RES_OFF);
    assert_int_equal(driver_result(OP_FENCE_STATUS, 1, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_FENCE_STATUS, 2, true, false), RES_LATE);
    for (int32_t status = -70000; status <= 70000; status++)
        if (status != 0 && status != 2)
            assert_int_equal(driver_result(OP_FENCE_STATUS, status, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_ADDRESS_START, 1, false, true), RES_DUPLICATE);
    assert_int_equal(driver_result(OP_RECOVER, EXIT_FULL, false, false), RES_FULL);
    assert_int_equal(driver_result(OP_RECOVER, EXIT_FULL, true, false), RES_LATE);
    assert_int_equal(driver_result(OP_CLAIM, EXIT_FULL, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_ADDRESS_START, 1, false, false), RES_FAILED);
    assert_int_equal(driver_result(OP_FENCE_OFF, 2, false, false), RES_FAILED);
}

static struct op *running_stop(void)
{
    driver_look(&d, 1000); /* the core begins by stopping what runs here */
    assert_int_equal(d.core.state, ST_STOPPING);
    assert_int_equal(sent[n_sent - 1].kind, WIRE_RUN);
    assert_int_equal(sent[n_sent - 1].u.run.job, JOB_SERVICE_STOP);
    return ops_find(&d.ops, sent[n_sent - 1].u.run.op_id);
}

static void a_late_child_is_answered_once_and_counted_until_reaped(void **state)
{
    struct op *op = running_stop();
    uint64_t id = op->id;
    struct wire_done done = { .op_id = id, .job = JOB_SERVICE_STOP, .status = -9, .late = 1 };

    (void)state;
    driver_late(&d, id, 1100);
    assert_int_not_equal(d.core.state, ST_STOPPING); /* the core has heard */
    enum core_state then = d.core.state;
    assert_non_null(ops_find(&d.ops, id));
    driver_late(&d, id, 1100);
    driver_done(&d, &done, 1200);
    assert_int_equal(d.core.state, then);            /* and hears nothing a second time */
    assert_null(ops_find(&d.ops, id));
}

static void an_answer_for_another_job_is_none(void **state)
{
    struct op *op = running_stop();
    struct wire_done done = { .op_id = op->id, .job = JOB_EPOCH_OWN, .status = 0 };

    (void)state;
    driver_done(&d, &done, 1100);
    assert_non_null(ops_find(&d.ops, op->id));
    assert_int_equal(d.core.pending.op, OP_SERVICE_STOP);
    done.op_id = 999;
    driver_done(&d, &done, 1100);
    assert_int_equal(d.core.pending.op, OP_SERVICE_STOP);
}

static void what_cannot_be_asked_for_has_failed(void **state)
{
    (void)state;
    send_rc = -EAGAIN;
    driver_look(&d, 1000);
    assert_int_equal(d.core.pending.op, OP_NONE);
    assert_false(d.gone);
    send_rc = -EPIPE;
    driver_look(&d, 9000);
    assert_true(d.gone);
}

static void a_cancelled_share_child_keeps_the_node_dirty(void **state)
{
    struct wire_run run = { .job = JOB_EPOCH_WATCH };
    struct op *op = driver_run_own(&d, &run, 1000);
    struct wire_done done = { .op_id = op->id, .job = JOB_EPOCH_WATCH, .status = -9 };

    (void)state;
    assert_true(op->id & DRIVER_OWN_OPS);
    assert_int_equal(ops_unreaped(&d.ops), 0);
    driver_cancel(&d, op);
    assert_int_equal(sent[n_sent - 1].kind, WIRE_CANCEL);
    assert_int_equal(ops_unreaped(&d.ops), 1);
    driver_done(&d, &done, 1100);
    assert_int_equal(ops_unreaped(&d.ops), 0);
    done.op_id = 0;
    done.unreaped = 2; /* the executor may know of others, of the engine before */
    driver_done(&d, &done, 1200);
    assert_int_equal(ops_unreaped(&d.ops), 2);
}

static void a_late_fence_program_counts_until_reaped(void **state)
{
    struct wire_run run = { .job = JOB_FENCE_STATUS, .device = 1 };
    struct op *op = driver_run_own(&d, &run, 1000);
    struct wire_done done = { .op_id = op->id, .job = JOB_FENCE_STATUS, .status = -9, .late = 1 };

    (void)state;
    static const char noise[] = "/usr/sbin/fence_ipmilan:5: DeprecationWarning: 'pipes' is deprecated";
    driver_line(&d, op, noise, sizeof noise - 1, 1000);
    driver_line(&d, op, "  from pipes import quote", 25, 1000);
    driver_line(&d, op, "Connection timed out", 20, 1000);
    driver_late(&d, op->id, 1800);
    assert_int_equal(ops_unreaped_fence(&d.ops), 1);
    assert_int_equal(ops_unreaped(&d.ops), 0);
    assert_int_equal(d.fence[1].result, RES_LATE);
    assert_string_equal(d.fence[1].text, "Connection timed out");
    driver_done(&d, &done, 1900);
    assert_int_equal(ops_unreaped_fence(&d.ops), 0);
}

/* One answer of device 1 to the job, by exit status and word. */
static enum core_result answer_of_device(enum job job, int32_t status, const char *word)
{
    struct wire_run run = { .job = (uint32_t)job, .device = 1 };
    struct op *op = driver_run_own(&d, &run, 1000);
    struct wire_done done = { .op_id = op->id, .job = (uint32_t)job, .status = status };

    if (word)
        driver_line(&d, op, word, strlen(word), 1000);
    driver_done(&d, &done, 1100);
    return d.fence[1].result;
}

static void an_off_without_a_word_is_believed_from_a_device_that_works(void **state)
{
    (void)state;
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, NULL), RES_FAILED);
    assert_non_null(strstr(d.fence[1].text, "by hand"));
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, "syntax error: off is not expected"), RES_FAILED);
    assert_int_equal(answer_of_device(JOB_FENCE_OFF, 2, NULL), RES_FAILED);
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, NULL), RES_FAILED);
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, "Status: OFF"), RES_OFF);
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, NULL), RES_FAILED);
    assert_int_equal(answer_of_device(JOB_FENCE_OFF, 0, NULL), RES_OK);
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, NULL), RES_OFF);
    d.fence[1].works = false;
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 0, NULL), RES_ON);
    assert_int_equal(answer_of_device(JOB_FENCE_STATUS, 2, NULL), RES_OFF);
}

static void the_permit_is_renewed_and_withdrawn(void **state)
{
    (void)state;
    driver_permit(&d, 5000);
    assert_int_equal(sent[n_sent - 1].u.permit.until_ms, 0);
    d.permit = true;
    driver_permit(&d, 5000);
    assert_int_equal(sent[n_sent - 1].u.permit.until_ms, 8000);
}

static void the_last_words_are_kept(void **state)
{
    struct op op = { .id = 1 };
    char line[80];

    (void)state;
    ops_text_add(&op, "first", 5);
    ops_text_add(&op, "second", 6);
    assert_string_equal(op.text, "first; second");
    for (unsigned i = 0; i < 100; i++) {
        int n = snprintf(line, sizeof line, "line %u of a long complaint", i);
        ops_text_add(&op, line, (size_t)n);
        assert_true(strlen(op.text) < sizeof op.text);
    }
    assert_non_null(strstr(op.text, "line 99 of"));
    assert_null(strstr(op.text, "first"));
    static char big[2 * OPS_TEXT_MAX];
    memset(big, 'x', sizeof big);
    ops_text_add(&op, big, sizeof big);
    assert_int_equal(strlen(op.text), sizeof op.text - 1);
}

static void report_say(struct watch *w, uint64_t op_id, uint64_t ms)
{
    struct wire_output out = { .op_id = op_id, .job = JOB_EPOCH_WATCH };

    out.len = (uint32_t)snprintf(out.text, sizeof out.text, "share state=wrong why=missing uuid=-\nend at_ms=%llu\n",
                                 (unsigned long long)ms);
    assert_true(watch_output(w, &out, ms));
}

static unsigned nudges(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_sent; i++)
        n += sent[i].kind == WIRE_NUDGE;
    return n;
}

static void the_watch_is_nudged_only_when_it_expects_it(void **state)
{
    struct watch w;

    (void)state;
    watch_init(&w, &cfg, &d, &facts);
    watch_nudge(&w, 900); /* there is none */
    watch_tick(&w, 1000);
    watch_nudge(&w, 1001);
    watch_tick(&w, 1090);
    assert_int_equal(nudges(), 0); /* it may not have blocked the signal yet */
    report_say(&w, w.op_id, 1100);
    assert_int_equal(nudges(), 1);
    assert_int_equal(sent[n_sent - 1].u.op_id, w.op_id);
    watch_tick(&w, 1200);
    assert_int_equal(nudges(), 1); /* asked once, sent once */
    driver_done(&d, &(struct wire_done){ .op_id = w.op_id, .job = JOB_EPOCH_WATCH }, 1300);
    watch_done(&w, 1300);
    watch_nudge(&w, 1310);
    watch_tick(&w, 1400); /* the next one starts, and has not reported */
    watch_tick(&w, 1500);
    assert_int_equal(nudges(), 1);
}

static void nudges_come_at_most_every_10_ms_and_none_is_lost(void **state)
{
    struct watch w;

    (void)state;
    watch_init(&w, &cfg, &d, &facts);
    watch_tick(&w, 1000);
    report_say(&w, w.op_id, 1100);
    assert_true(watch_wakeup_ms(&w) == UINT64_MAX);
    watch_nudge(&w, 1200);
    watch_nudge(&w, 1205);
    watch_nudge(&w, 1209);
    assert_int_equal(nudges(), 1);
    assert_int_equal(watch_wakeup_ms(&w), 1210);
    watch_tick(&w, 1209);
    assert_int_equal(nudges(), 1);
    watch_tick(&w, 1210);
    assert_int_equal(nudges(), 2);
    assert_true(watch_wakeup_ms(&w) == UINT64_MAX);
    watch_nudge(&w, 1215);
    report_say(&w, w.op_id, 1221); /* also when a report comes */
    assert_int_equal(nudges(), 3);
    send_rc = -EAGAIN;
    watch_nudge(&w, 1300);
    send_rc = 0;
    watch_tick(&w, 1301); /* the socket was full */
    assert_int_equal(nudges(), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_watch_is_nudged_only_when_it_expects_it, setup),
        cmocka_unit_test_setup(nudges_come_at_most_every_10_ms_and_none_is_lost, setup),
        cmocka_unit_test_setup(every_operation_has_a_job_of_its_own, setup),
        cmocka_unit_test_setup(only_what_is_proven_harmless_has_its_locks_cleared, setup),
        cmocka_unit_test_setup(own_carries_the_proofs_and_drain_its_duration, setup),
        cmocka_unit_test_setup(nothing_but_a_clear_answer_is_a_success, setup),
        cmocka_unit_test_setup(a_late_child_is_answered_once_and_counted_until_reaped, setup),
        cmocka_unit_test_setup(an_answer_for_another_job_is_none, setup),
        cmocka_unit_test_setup(what_cannot_be_asked_for_has_failed, setup),
        cmocka_unit_test_setup(a_cancelled_share_child_keeps_the_node_dirty, setup),
        cmocka_unit_test_setup(a_late_fence_program_counts_until_reaped, setup),
        cmocka_unit_test_setup(an_off_without_a_word_is_believed_from_a_device_that_works, setup),
        cmocka_unit_test_setup(the_permit_is_renewed_and_withdrawn, setup),
        cmocka_unit_test_setup(the_last_words_are_kept, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
