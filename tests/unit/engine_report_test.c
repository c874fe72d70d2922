/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of one takeover against the text that is expected (tests/unit/takeover.golden.json and .txt). */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_report_mail.h"

static struct config cfg = { .cluster = "test", .n_nodes = 2, .n_devices = 2,
    .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } },
    .devices = { { .name = "a-ipmi", .node = 0, .level = 1 }, { .name = "b-ipmi", .node = 1, .level = 1 } } };
static struct facts facts;
static struct report r;
static struct core core;

static void to(enum core_state s, uint64_t now_ms)
{
    enum core_state from = core.state;

    core.state = s;
    report_state(&r, &core, &facts, from, now_ms);
}

static void fence(enum core_op op, enum job job, uint64_t id, enum core_result result, uint64_t begin_ms, uint64_t end_ms)
{
    struct core_action a = { .kind = ACT_RUN, .op = op, .op_id = id, .device = 1, .node = 1 };
    struct op o = { .id = id, .job = job, .core_op = op, .device = 1, .node = 1, .start_ms = begin_ms };

    report_op_begin(&r, &a, begin_ms);
    report_op_end(&r, &o, result, end_ms);
}

static void print(enum job job, const char *line, uint64_t now_ms)
{
    struct record rec;

    assert_int_equal(record_parse(line, strlen(line), &rec), 0);
    report_record(&r, job, &rec, now_ms);
}

static void prepare(void)
{
    const struct id128 boot = { 1, 1 };

    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&r, &cfg, 0);
    memset(&core, 0, sizeof core);
    core.state = ST_PASSIVE;
    core.claim = 2;
    facts.share_ever = true;
    facts.share.last = (struct core_epoch){ .n = 1, .node = 1, .owned = true };
    facts.peer[1].msg_ms = 100000;
    facts.peer[1].beat_change_ms = 100040;
    facts.peer[1].left_ms = 101150;
    facts.ring_ms = 101150;
    facts.quorum_ms = 101152;
}

static void take_over(void)
{
    struct core_action claim = { .kind = ACT_RUN, .op = OP_CLAIM, .op_id = 11, .epoch = 2 };

    to(ST_CLAIMING, 101153);
    report_op_begin(&r, &claim, 101153);
    to(ST_PROOF, 101160);
    fence(OP_FENCE_OFF, JOB_FENCE_OFF, 12, RES_OK, 101160, 101260);
    fence(OP_FENCE_STATUS, JOB_FENCE_STATUS, 13, RES_OFF, 101260, 101350);
    fence(OP_FENCE_STATUS, JOB_FENCE_STATUS, 14, RES_OFF, 101850, 101940);
    core.proof[1] = (struct core_proof_state){ .kind = PROOF_OFF, .boot = { 0xb, 0xb }, .op_id = 14 };
    to(ST_DRAIN, 101940);
    to(ST_OWNING, 103940);
    to(ST_RECOVER, 103950);
    print(JOB_STATE_RECOVER, "deferred unit=queue:in reason=failed tries=1 age_ms=3 next_in_ms=900", 103990);
    print(JOB_STATE_RECOVER, "deferred unit=list:a%20b reason=locked tries=1 age_ms=3 next_in_ms=900", 103990);
    print(JOB_STATE_RECOVER, "defer epoch=7 units=3 oldest_ms=3 tries=1 next_in_ms=900 dropped=0 unreaped=0", 103990);
    print(JOB_STATE_RECOVER, "summary locks_cleared=2 bak=1 pck=7 tmp=0 quarantined=1 shunt=0 bad=0 duplicate_bound=1 deferred=3",
          103990);
    to(ST_ADDRESS, 104000);
    to(ST_SERVICE, 104060);
    print(JOB_SERVICE_START, "phase name=start at_ms=104900", 104901);
    print(JOB_SERVICE_START, "phase name=lmtp at_ms=106400", 106401);
    print(JOB_SERVICE_START, "phase name=intake at_ms=106430", 106431);
    to(ST_ACTIVE, 106500);
}

static void mail(const char *line, uint64_t now_ms)
{
    struct record rec;

    assert_int_equal(record_parse(line, strlen(line), &rec), 0);
    report_poke(&r, &rec, now_ms);
}

/* What is known only after the node is active. */
static void beside(void)
{
    struct op poke = { .id = 20, .job = JOB_POKE, .start_ms = 106500 };
    struct op units = { .id = 21, .job = JOB_UNITS_START, .start_ms = 106500 };

    mail("poke mx=mx1.lab.test:25 domain=lab.test code=250 took_ms=4", 106520);
    mail("poke mx=mx2.lab.test:25 domain=lab.test code=0 took_ms=5000", 111520);
    report_beside(&r, &poke, RES_FAILED, 111521);
    report_beside(&r, &units, RES_OK, 108000);
}

static void golden(const char *text, const char *name)
{
    char path[512], expected[8192];
    const char *top = getenv("top_srcdir");

    (void)snprintf(path, sizeof path, "%s/tests/unit/%s", top ? top : ".", name);
    bool write = getenv("GOLDEN_WRITE") != NULL; /* after a change that was meant: look at the difference, then commit it */
    FILE *f = fopen(path, write ? "w+" : "r");
    if (!f)
        fail_msg("%s cannot be opened", path);
    if (write && (fputs(text, f) < 0 || fseek(f, 0, SEEK_SET) != 0))
        fail_msg("%s cannot be written", path);
    size_t len = fread(expected, 1, sizeof expected - 1, f);
    (void)fclose(f);
    expected[len] = '\0';
    assert_string_equal(text, expected);
}

static void a_takeover_reads_as_expected(void **state)
{
    (void)state;
    prepare();
    take_over();
    assert_true(r.ready);
    r.ready = false;
    beside();
    assert_true(r.ready); /* it is written again */
    char *json = report_json(&cfg, 0, &r.last, 1795000000), *text = report_text(&cfg, 0, &r.last, 1795000000);
    golden(json, "takeover.golden.json");
    golden(text, "takeover.golden.txt");
    free(json);
    free(text);
}

static void phases_have_no_gaps(void **state)
{
    (void)state;
    prepare();
    take_over();
    for (unsigned i = 1; i < PHASE_N; i++)
        assert_int_equal(r.last.phase[i].begin_ms, r.last.phase[i - 1].end_ms);
    assert_int_equal(r.last.phase[PHASE_INTAKE].end_ms, 106430); /* as the agent says: active is a little later */
    assert_int_equal(r.last.active_ms, 106500);
}

static void proofs_that_were_dropped_are_not_in_it(void **state)
{
    struct core_action claim = { .kind = ACT_RUN, .op = OP_CLAIM, .op_id = 1, .epoch = 2 };

    (void)state;
    prepare();
    to(ST_CLAIMING, 101153);
    report_op_begin(&r, &claim, 101153);
    to(ST_PROOF, 101155);
    to(ST_DRAIN, 101200);
    to(ST_PASSIVE, 101300);
    assert_false(r.ready);
    to(ST_PROOF, 101400);
    assert_int_equal(r.now.attempts, 2);
    assert_int_equal(r.now.phase[PHASE_DRAIN].end_ms, 0);
    core.claim = 0;
    to(ST_PASSIVE, 101450); /* what comes hours later is another takeover */
    assert_false(r.open);
    to(ST_CLAIMING, 901460);
    assert_int_equal(r.now.opened_ms, 901460);
    to(ST_STOPPING, 901500);
    assert_false(r.open);
    to(ST_STARTING, 901600);
    assert_false(r.ready);
}

/* A claim that was given up is an epoch of our own by then: whom we follow and since when it was silent is still told. */
static void a_second_claim_goes_on_with_the_takeover(void **state)
{
    (void)state;
    prepare();
    to(ST_CLAIMING, 101153);
    to(ST_PROOF, 101160);
    to(ST_OWNING, 103940);
    to(ST_ENDING, 104000);
    facts.share.last = (struct core_epoch){ .n = 2, .node = 0, .ended = true };
    to(ST_PASSIVE, 104100);
    core.claim = 3;
    take_over();
    assert_int_equal(r.last.from, 1);
    assert_int_equal(r.last.attempts, 2);
    assert_int_equal(r.last.phase[PHASE_SILENCE].end_ms, 101150);
    assert_int_equal(r.last.phase[PHASE_MEMBERSHIP].end_ms, 101152);
    to(ST_STOPPING, 110000);
    to(ST_PASSIVE, 110100);
    facts.share.last = (struct core_epoch){ .n = 3, .node = 0, .ended = true };
    take_over(); /* that one was over: we follow ourselves */
    assert_int_equal(r.last.from, CORE_NODES);
    assert_int_equal(r.last.attempts, 1);
}

static void a_first_start_is_no_takeover(void **state)
{
    (void)state;
    prepare();
    facts.share.last = (struct core_epoch){ .node = CORE_NODE_NONE };
    facts.peer[1].left_ms = 0;
    to(ST_CLAIMING, 101153);
    to(ST_PROOF, 101155);
    core.proof[1].kind = PROOF_NOT_NEEDED;
    to(ST_OWNING, 101156);
    to(ST_RECOVER, 101160);
    to(ST_ADDRESS, 101170);
    to(ST_SERVICE, 101180);
    to(ST_ACTIVE, 101190);
    assert_true(r.ready);
    assert_false(r.last.unplanned);
    assert_int_equal(r.last.from, CORE_NODES);
    assert_int_equal(r.last.phase[PHASE_CLAIM].begin_ms, 101153);
    assert_int_equal(r.last.phase[PHASE_CLAIM].end_ms, 101155);
    char *json = report_json(&cfg, 0, &r.last, 0);
    assert_non_null(strstr(json, "\"kind\": \"start\""));
    assert_null(strstr(json, "\"name\": \"silence\""));
    free(json);
}

static void times_of_a_child_that_cannot_be_right_are_not_taken(void **state)
{
    struct core_action claim = { .kind = ACT_RUN, .op = OP_CLAIM, .op_id = 1, .epoch = 2 };

    (void)state;
    prepare();
    to(ST_CLAIMING, 101153);
    report_op_begin(&r, &claim, 101153);
    to(ST_SERVICE, 102000);
    print(JOB_SERVICE_START, "phase name=start at_ms=999999999", 102100);
    assert_int_equal(r.now.phase[PHASE_START].end_ms, 102100);
    print(JOB_SERVICE_START, "phase name=lmtp at_ms=5", 102200);
    assert_int_equal(r.now.phase[PHASE_LMTP].end_ms, 102200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_takeover_reads_as_expected),
        cmocka_unit_test(phases_have_no_gaps),
        cmocka_unit_test(proofs_that_were_dropped_are_not_in_it),
        cmocka_unit_test(a_second_claim_goes_on_with_the_takeover),
        cmocka_unit_test(a_first_start_is_no_takeover),
        cmocka_unit_test(times_of_a_child_that_cannot_be_right_are_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
