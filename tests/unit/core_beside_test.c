/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The claim that is made beside the end of a planned release, seen by the one that claims and by the one that releases. */
#include "core_fixture.h"
#include "core_tests.h"

/* The active node has stopped for a planned release, and its end is on the way. */
static void peer_releases(struct fx *x)
{
    fx_init(x);
    fx_open(x, 1, 1, 11, true);
    fx_to(x, ST_PASSIVE);
    assert_int_equal(fx_later(x, 1000), 0);
    x->f.peer[1].releasing = true;
    x->f.peer[1].no_end_pending = false;
    x->f.peer[1].highest = 1;
}

static void test_claim_beside_a_release(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned planned = 0; planned < 2; planned++) {
        peer_releases(&x);
        assert_int_equal(fx_look(&x), 511);
        fx_open(&x, 2, 0, 10, false);
        assert_int_equal(fx_answer(&x, RES_OK), 601);
        assert_int_equal(fx_later(&x, 19000), 0); /* it is given time, and nothing goes on before its end is there */
        assert_true(fx_explains(&x, WHY_PEER_MAY_END));
        fx_close(&x, 1);
        x.f.before.planned = planned;
        assert_int_equal(fx_look(&x), 0); /* not clean yet */
        x.f.peer[1].no_end_pending = true;
        x.f.peer[1].releasing = false;
        assert_int_equal(fx_look(&x), 723);
        assert_int_equal(fx_look(&x), planned ? 733 : 731);
    }
}

/* Each thing that a claim beside a release needs; without it the node waits as ever. */
static void test_no_claim_beside_what_is_no_release(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct fx x;
        peer_releases(&x);
        struct core_peer *q = &x.f.peer[1];
        switch (i) {
        case 0: q->releasing = false; break;
        case 1: q->no_service = false; break;
        case 2: q->highest = 0; break; /* what it says is older than the epoch */
        case 3: q->heard = false; break;
        case 4: x.f.last.node = x.f.open[0].node = CORE_NODE_NONE; break;
        case 5: q->in_ring = q->heard = false; break;
        }
        assert_int_not_equal(fx_look(&x), 511);
    }
}

/* Only the end of the epoch right below the claim is read: it has to be all that the node held. */
static void test_planned_end_among_others_is_drained(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct fx x;
        fx_init(&x);
        fx_open(&x, 1, 1, 11, true);
        if (i == 0)
            fx_open(&x, 2, 1, 11, true);
        fx_to(&x, ST_PASSIVE);
        x.f.peer[1].releasing = true;
        x.f.peer[1].highest = x.f.highest;
        assert_int_equal(fx_look(&x), 511);
        fx_open(&x, x.c.claim, 0, 10, false);
        fx_answer(&x, RES_OK);
        fx_close(&x, 1);
        if (i == 0)
            fx_close(&x, 2);
        x.f.before.planned = true;
        x.f.peer[1].releasing = false;
        if (i == 1)
            x.f.before.n = 0;
        if (i == 2)
            x.f.before.node = 0;
        if (i == 3)
            x.f.before.ended = false; /* it contradicts the list of those that have not */
        assert_int_equal(fx_look(&x), 723);
        assert_int_equal(fx_look(&x), 731);
    }
}

/* The one that releases takes no turn before us, though it is the first in the configuration. */
static void test_turn_beside_a_release(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned releasing = 0; releasing < 2; releasing++) {
        fx_init_second(&x);
        fx_open(&x, 1, 0, 11, true);
        fx_to(&x, ST_PASSIVE);
        x.f.peer[0].releasing = releasing;
        x.f.peer[0].highest = 1;
        if (!releasing)
            fx_close(&x, 1), x.f.last.node = CORE_NODE_NONE;
        assert_int_equal(fx_look(&x), releasing ? 511 : 0);
    }
}

static void active(struct fx *x)
{
    fx_init(x);
    fx_to(x, ST_ACTIVE);
    x->f.peer[1].ready = true;
}

/* Once nothing of ours runs the one that we release to may claim: what is left is done as planned all the same. */
static void test_claim_beside_our_release(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    uint64_t epoch = x.c.claim;
    assert_false(core_is_releasing(&x.c));
    fx_release(&x, 1, false);
    assert_false(core_is_releasing(&x.c)); /* it may go on serving yet */
    fx_answer(&x, RES_OK);
    assert_true(core_is_releasing(&x.c) && x.c.pending.op == OP_SYNC);
    fx_open(&x, epoch + 1, 1, 11, false);
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_answer(&x, RES_OK), 925);
    assert_true(core_is_releasing(&x.c));
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_answer(&x, RES_OK), 927);
    assert_true(core_is_releasing(&x.c) && x.c.state == ST_ENDING);
    x.f.service_here = TRI_NO;
    assert_int_equal(fx_look(&x), 1001);
    assert_true(x.out.v[0].planned && x.out.v[0].epoch == epoch);
    fx_close(&x, epoch);
    assert_int_equal(fx_answer(&x, RES_OK), 1005);
    assert_false(core_is_releasing(&x.c));
    active(&x); /* what goes back to serving is stopped by a claim as ever */
    fx_release(&x, 1, false);
    fx_answer(&x, RES_FAILED);
    assert_true(!core_is_releasing(&x.c) && x.c.pending.op == OP_SERVICE_RESUME);
    fx_open(&x, x.c.claim + 1, 1, 11, false);
    assert_int_equal(fx_look(&x), 203);
    fx_answer(&x, RES_OK);
    assert_true(x.c.pending.op == OP_ADDRESS_STOP && !core_is_releasing(&x.c)); /* an involuntary stop is no release */
    x.f.service_here = TRI_NO;
    fx_answer(&x, RES_OK);
    assert_true(x.c.state == ST_ENDING && !core_is_releasing(&x.c));
}

const struct CMUnitTest core_beside_tests[] = {
    cmocka_unit_test(test_claim_beside_a_release), cmocka_unit_test(test_no_claim_beside_what_is_no_release),
    cmocka_unit_test(test_planned_end_among_others_is_drained), cmocka_unit_test(test_turn_beside_a_release),
    cmocka_unit_test(test_claim_beside_our_release),
};
const size_t core_n_beside_tests = sizeof core_beside_tests / sizeof *core_beside_tests;
