/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fencing, device by device and level by level, and a person's word in its place. */
#include "core_fixture.h"
#include "core_tests.h"

/* Off, status, power_wait, status: nothing less. */
static void test_fencing(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    assert_int_equal(fx_look(&x), 743);
    assert_true(fx_did(&x, ACT_RUN, OP_FENCE_OFF));
    assert_int_equal(x.out.v[0].device, 1);
    assert_true(fx_explains(&x, WHY_FENCE_RUNNING));
    assert_int_equal(fx_answer(&x, RES_FAILED), 701); /* whatever off says */
    assert_int_equal(fx_look(&x), 741);
    assert_true(fx_did(&x, ACT_RUN, OP_FENCE_STATUS));
    assert_int_equal(fx_answer(&x, RES_OFF), 703);
    assert_int_equal(fx_look(&x), 0); /* power_wait */
    assert_int_equal(fx_later(&x, 500), 741);
    assert_int_equal(fx_answer(&x, RES_OFF), 711);
    assert_int_equal(x.c.proof[1].kind, PROOF_OFF);
    assert_int_equal(fx_look(&x), 731);
    assert_int_equal(fx_answer(&x, RES_OK), 803);
    assert_int_equal(x.c.dead_boot[1].lo, 11);
}

static void test_stale_answers_count_for_nothing(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    fx_look(&x), fx_answer(&x, RES_OK), fx_look(&x);
    struct core_event e = { .kind = EV_DONE, .now_ms = x.now, .facts = &x.f, .op_id = x.c.pending.id - 1,
        .op = OP_FENCE_STATUS, .result = RES_OFF };
    assert_int_equal(core_step(&x.c, &e, &x.out), 0);
    e.op_id = x.c.pending.id;
    e.op = OP_FENCE_OFF; /* the right number, the wrong operation */
    assert_int_equal(core_step(&x.c, &e, &x.out), 0);
    assert_int_equal(x.c.proof[1].kind, PROOF_NONE);
}

static void test_fence_fails(void **state)
{
    struct fx x;
    static const enum core_result bad[] = { RES_ON, RES_OK, RES_FAILED, RES_LATE };
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        fx_dead_peer(&x, ST_PROOF);
        fx_look(&x), fx_answer(&x, RES_OK), fx_look(&x);
        assert_int_equal(fx_answer(&x, bad[i]), 715);
        assert_true(fx_alerted(&x, WHY_FENCE_FAILED));
        assert_true(fx_explains(&x, WHY_FENCE_FAILED));
        assert_int_equal(fx_look(&x), 0);
        assert_int_equal(fx_later(&x, 1000), 741);
        fx_answer(&x, RES_OK), fx_look(&x);
        assert_int_equal(fx_answer(&x, bad[i]), 715);
        assert_false(fx_alerted(&x, WHY_FENCE_FAILED)); /* told once */
        assert_int_equal(fx_later(&x, 1900), 0);        /* twice as long */
        assert_int_equal(fx_later(&x, 200), 741);
    }
}

static void test_second_status_on(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    fx_look(&x), fx_answer(&x, RES_OK), fx_look(&x), fx_answer(&x, RES_OFF), fx_later(&x, 500);
    assert_int_equal(fx_answer(&x, RES_ON), 715);
    assert_int_equal(x.c.proof[1].kind, PROOF_NONE);
}

static void test_fence_program_in_flight(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_LATE), 701);
    x.f.unreaped_fence = 1;
    assert_int_equal(fx_later(&x, 60000), 0);
    x.f.unreaped_fence = 0;
    assert_int_equal(fx_look(&x), 741);
    assert_int_equal(fx_later(&x, 15000 + 600), 715); /* no answer at all */
    assert_true(fx_did(&x, ACT_CANCEL, OP_NONE));
}

/* Two supplies in the first level, a BMC in the second. */
static void levels(struct fx *x)
{
    fx_init(x);
    x->cfg.n_devices = 3;
    for (unsigned d = 0; d < 3; d++) {
        x->cfg.device[d].node = 1;
        x->cfg.device[d].level = d < 2 ? 1 : 2;
        x->cfg.fence_ms[d] = 1000;
    }
    fx_restart(x);
    fx_open(x, 1, 1, 11, true);
    fx_to(x, ST_PASSIVE);
    fx_later(x, 3000);
    fx_peer_gone(x);
    fx_to(x, ST_PROOF);
}

static void one_device_off(struct fx *x)
{
    fx_answer(x, RES_OK), fx_look(x), fx_answer(x, RES_OFF), fx_later(x, 600);
}

static void test_fence_levels(void **state)
{
    struct fx x;
    (void)state;
    levels(&x);
    fx_look(&x);
    one_device_off(&x);
    assert_int_equal(fx_answer(&x, RES_OFF), 705);
    fx_look(&x);
    assert_int_equal(x.out.v[0].device, 1);
    one_device_off(&x);
    assert_int_equal(fx_answer(&x, RES_OFF), 707);
    fx_look(&x);
    assert_int_equal(x.out.v[0].device, 0);
    assert_true(fx_did(&x, ACT_RUN, OP_FENCE_STATUS));
    assert_int_equal(fx_answer(&x, RES_OFF), 709);
    fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_OFF), 711);
    levels(&x);
    fx_look(&x), fx_answer(&x, RES_OK), fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_ON), 713);
    fx_look(&x);
    assert_int_equal(x.out.v[0].device, 2);
    fx_answer(&x, RES_OK), fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 715);
    assert_int_equal(x.c.fence.device, 0);
}

static void test_no_device_and_a_persons_word(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.cfg.n_devices = 0;
    fx_restart(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 3000);
    assert_int_equal(core_may_acknowledge(&x.c, &x.f, 1), WHY_NOT_ASKED);
    fx_peer_gone(&x);
    fx_to(&x, ST_PROOF);
    assert_int_equal(fx_look(&x), 745);
    assert_true(fx_alerted(&x, WHY_NO_DEVICE) && fx_explains(&x, WHY_NO_DEVICE));
    assert_int_equal(fx_later(&x, 100000), 0);
    x.f.peer[1].beat_moves = true; /* it lives */
    assert_int_equal(fx_acknowledge(&x, 1), 0);
    assert_int_equal(core_may_acknowledge(&x.c, &x.f, 1), WHY_PEER_LIVES);
    x.f.peer[1].beat_moves = false;
    assert_int_equal(fx_acknowledge(&x, 1), 0); /* it was heard since the takeover began */
    assert_int_equal(core_may_acknowledge(&x.c, &x.f, 1), WHY_PEER_LIVES);
    fx_later(&x, 21000);
    assert_int_equal(core_may_acknowledge(&x.c, &x.f, 0), WHY_NOT_ASKED);
    assert_int_equal(core_may_acknowledge(&x.c, &x.f, 9), WHY_NOT_ASKED);
    assert_int_equal(fx_acknowledge(&x, 1), 727);
    x.f.peer[1].beat_moves = true; /* any sign of life voids it */
    assert_int_equal(fx_look(&x), 311);
    x.f.peer[1].beat_moves = false;
    fx_settle(&x);
    fx_later(&x, 21000);
    assert_int_equal(fx_acknowledge(&x, 1), 727);
    assert_int_equal(fx_look(&x), 731);
    x.f.peer[1].beat_moves = true;
    assert_int_equal(fx_look(&x), 309);
    assert_int_equal(x.c.proof[1].kind, PROOF_NONE);
}

static void test_acknowledge_stops_the_fencing(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    fx_look(&x);
    assert_int_equal(fx_acknowledge(&x, 1), 727);
    assert_true(fx_did(&x, ACT_CANCEL, OP_NONE));
    assert_false(x.c.power_on[1]); /* a person switches it on again */
    assert_int_equal(fx_look(&x), 731);
}

/* A ring change drops the proofs, and the off may have been done: who was switched off is switched on once we serve. */
static void test_power_comes_back_after_a_second_try(void **state)
{
    struct fx x;
    bool on = false;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    fx_settle(&x);
    assert_int_equal(x.c.pending.op, OP_FENCE_OFF);
    x.f.ring++;
    assert_int_equal(fx_look(&x), 307);
    fx_close(&x, 1); /* the node has ended meanwhile, and is found clean: no second off is asked for */
    x.f.peer[1].in_ring = x.f.peer[1].heard = true;
    x.f.ring++;
    fx_to(&x, ST_PROOF);
    fx_to(&x, ST_ACTIVE);
    for (unsigned i = 0; i < 50 && !on; i++) {
        fx_later(&x, 3000);
        on = fx_did(&x, ACT_RUN, OP_FENCE_ON);
        if (x.c.pending.op != OP_NONE)
            fx_answer(&x, RES_OK);
        on |= fx_did(&x, ACT_RUN, OP_FENCE_ON);
    }
    assert_true(on);
}

const struct CMUnitTest core_fence_tests[] = {
    cmocka_unit_test(test_power_comes_back_after_a_second_try),
    cmocka_unit_test(test_fencing), cmocka_unit_test(test_stale_answers_count_for_nothing),
    cmocka_unit_test(test_fence_fails), cmocka_unit_test(test_second_status_on),
    cmocka_unit_test(test_fence_program_in_flight), cmocka_unit_test(test_fence_levels),
    cmocka_unit_test(test_no_device_and_a_persons_word), cmocka_unit_test(test_acknowledge_stops_the_fencing),
};
const size_t core_n_fence_tests = sizeof core_fence_tests / sizeof *core_fence_tests;
