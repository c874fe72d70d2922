/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planned release, restart under the same tenure, adoption under maintenance. */
#include "core_fixture.h"
#include "core_tests.h"

static void active(struct fx *x)
{
    fx_init(x);
    x->cfg.max_restarts = 2;
    x->cfg.max_failures = 4;
    fx_restart(x);
    fx_to(x, ST_ACTIVE);
    x->f.peer[1].ready = true;
}

static enum core_reason refusal(const struct fx *x, unsigned node)
{
    unsigned about;
    return core_may_release(&x->c, &x->f, node, &about);
}

static void test_release(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    uint64_t epoch = x.c.claim;
    assert_int_equal(fx_release(&x, CORE_NODE_NONE, false), 921);
    assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_RELEASE) && !fx_did(&x, ACT_NO_PERMIT, OP_NONE));
    assert_int_equal(fx_answer(&x, RES_OK), 923);
    assert_true(fx_did(&x, ACT_RUN, OP_SYNC));
    assert_int_equal(fx_answer(&x, RES_OK), 925);
    assert_true(fx_did(&x, ACT_RUN, OP_ADDRESS_STOP));
    assert_int_equal(fx_answer(&x, RES_OK), 927);
    assert_true(fx_did(&x, ACT_NO_PERMIT, OP_NONE));
    assert_int_equal(fx_look(&x), 0); /* list processes are still seen: no end */
    x.f.service_here = TRI_NO;
    assert_int_equal(fx_look(&x), 1001);
    assert_true(fx_did(&x, ACT_RUN, OP_END));
    assert_true(x.out.v[0].planned && x.out.v[0].epoch == epoch);
    fx_close(&x, epoch);
    assert_int_equal(fx_answer(&x, RES_OK), 1005);
    assert_int_equal(x.c.release_why, WHY_NONE);
    x.f.last.planned = true;
    assert_int_equal(fx_look(&x), 0); /* the other node's turn */
    assert_true(fx_explains(&x, WHY_PEER_TURN));
}

/* Only to somebody who can go on, and only by who is at rest. */
static void test_release_needs_a_successor(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    assert_int_equal(refusal(&x, 1), WHY_NONE);
    assert_int_equal(refusal(&x, 0), WHY_NO_SUCCESSOR);
    x.f.peer[1].ready = false;
    assert_int_equal(refusal(&x, CORE_NODE_NONE), WHY_NO_SUCCESSOR);
    assert_int_equal(fx_release(&x, CORE_NODE_NONE, true), 0);
    x.f.peer[1].ready = true;
    x.f.peer[1].no_share_child = false;
    assert_int_equal(refusal(&x, 1), WHY_NO_SUCCESSOR);
    x.f.peer[1].no_share_child = true;
    x.f.peer[1].in_ring = false;
    assert_int_equal(refusal(&x, 1), WHY_NO_SUCCESSOR);
    x.f.peer[1].in_ring = true;
    x.f.maintenance = true;
    assert_int_equal(refusal(&x, 1), WHY_MAINTENANCE);
    x.f.maintenance = false;
    x.f.share = SHARE_UNKNOWN;
    assert_int_equal(refusal(&x, 1), WHY_SHARE_UNKNOWN);
    fx_event(&x, EV_GAP);
    assert_int_equal(fx_look(&x), 901);
    assert_int_equal(refusal(&x, 1), WHY_BUSY);
    assert_int_equal(fx_release(&x, 1, true), 0);
    fx_dead_peer(&x, ST_PROOF);
    assert_int_equal(refusal(&x, 1), WHY_NOT_ACTIVE);
    assert_int_equal(fx_release(&x, 1, true), 0);
}

static void test_refused_release_serves_on(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        active(&x);
        fx_release(&x, 1, false);
        assert_int_equal(late ? fx_later(&x, 12600) : fx_answer(&x, RES_FAILED), 931);
        assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_RESUME));
        assert_int_equal(fx_answer(&x, RES_OK), 933);
        assert_int_equal(x.c.state, ST_ACTIVE);
        assert_int_equal(x.c.release_why, WHY_RELEASE_REFUSED);
        assert_int_equal(x.c.failures, 0);
        fx_later(&x, 2100);
        assert_int_equal(x.c.pending.op, OP_SERVICE_MONITOR); /* it is watched again */
    }
    active(&x);
    fx_release(&x, 1, false);
    fx_answer(&x, RES_FAILED);
    assert_int_equal(fx_answer(&x, RES_FAILED), 935); /* what was stopped does not go on */
    assert_int_equal(x.c.failures, 1);
}

static void test_forced_release_stops_hard(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    fx_release(&x, 1, true);
    assert_int_equal(fx_answer(&x, RES_FAILED), 929);
    assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_STOP));
    x.f.service_here = TRI_NO;
    fx_answer(&x, RES_OK);
    assert_int_equal(fx_answer(&x, RES_OK), 407);
    assert_int_equal(fx_look(&x), 1001);
    assert_false(x.out.v[0].planned); /* the other node drains */
}

/* Stopped at a safe point, and then something fails: the end is no planned one. */
static void test_release_that_fails_late(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned address = 0; address < 2; address++) {
        active(&x);
        fx_release(&x, 1, false);
        fx_answer(&x, RES_OK);
        if (address)
            fx_answer(&x, RES_OK);
        assert_int_equal(fx_answer(&x, RES_LATE), 937);
        assert_int_equal(x.c.release_why, address ? WHY_ADDRESS_FAILED : WHY_SYNC_FAILED);
        x.f.service_here = TRI_NO;
        fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
        assert_int_equal(fx_look(&x), 1001);
        assert_false(x.out.v[0].planned);
    }
    active(&x);
    fx_release(&x, 1, false);
    fx_answer(&x, RES_OK), fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
    assert_int_equal(x.c.state, ST_ENDING);
    assert_int_equal(fx_later(&x, 1100), 415); /* somebody started it again */
    x.f.service_here = TRI_NO;
    fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
    assert_int_equal(fx_look(&x), 1001);
    assert_false(x.out.v[0].planned);
}

static void test_release_falls_like_any_tenure(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    fx_release(&x, 1, false);
    x.f.quorate = false;
    assert_int_equal(fx_look(&x), 205);
    active(&x);
    fx_release(&x, 1, false);
    x.f.highest++;
    assert_int_equal(fx_look(&x), 203);
    active(&x);
    fx_release(&x, 1, false);
    assert_int_equal(fx_event(&x, EV_GAP), 101);
}

static void fail_monitor(struct fx *x)
{
    fx_later(x, 2100);
    assert_int_equal(x->c.pending.op, OP_SERVICE_MONITOR);
}

/* Two restarts here, then the other node's turn, then hold. */
static void test_restart_here_first(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    uint64_t epoch = x.c.claim;
    for (unsigned i = 0; i < 2; i++) {
        fail_monitor(&x);
        assert_int_equal(fx_answer(&x, RES_FAILED), 912);
        assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_STOP) && fx_alerted(&x, WHY_SERVICE_FAILED));
        assert_false(fx_did(&x, ACT_NO_PERMIT, OP_NONE));
        x.f.service_here = TRI_NO;
        assert_int_equal(fx_answer(&x, RES_OK), 941);
        assert_true(fx_did(&x, ACT_RUN, OP_RECOVER) && x.out.v[0].epoch == epoch);
        fx_to(&x, ST_ACTIVE);
        assert_int_equal(x.c.claim, epoch);
    }
    fail_monitor(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 913);
    assert_false(x.c.hold_after);
    x.f.service_here = TRI_NO;
    fx_answer(&x, RES_OK), fx_answer(&x, RES_OK), fx_look(&x);
    fx_close(&x, epoch);
    assert_int_equal(fx_answer(&x, RES_OK), 1005);
    fx_to(&x, ST_ACTIVE); /* the other node did not claim */
    fail_monitor(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 913);
    assert_true(x.c.hold_after);
}

static void test_no_restart_on_bad_ground(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    fail_monitor(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 912);
    assert_int_equal(fx_answer(&x, RES_LATE), 943);
    assert_int_equal(x.c.state, ST_STOPPING);
    active(&x);
    x.f.share = SHARE_UNKNOWN;
    fx_later(&x, 2100), fx_answer(&x, RES_OK); /* intake is closed */
    while (x.c.pending.op != OP_SERVICE_MONITOR)
        fx_later(&x, 150);
    assert_int_equal(fx_answer(&x, RES_FAILED), 913);
}

/* A daemon that has just started beside a list service which an earlier one has left, under maintenance. */
static void left_running(struct fx *x)
{
    active(x);
    uint64_t epoch = x->c.claim;
    x->f.last.owned = x->f.open[x->f.n_open - 1].owned = true;
    x->f.run = FX_RUN + 1;
    fx_restart(x);
    x->f.service_here = TRI_YES;
    x->f.maintenance = x->f.maintenance_sound = true;
    x->f.adoptable = epoch;
}

static void test_adoption(void **state)
{
    struct fx x;
    (void)state;
    left_running(&x);
    assert_int_equal(fx_look(&x), 400);
    assert_true(fx_did(&x, ACT_PERMIT, OP_NONE) && fx_did(&x, ACT_ADOPT, OP_NONE));
    assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_MONITOR));
    assert_int_equal(fx_answer(&x, RES_OK), 951);
    assert_int_equal(fx_look(&x), 907); /* whether intake is open is not known */
    assert_int_equal(fx_answer(&x, RES_OK), 909);
    assert_int_equal(fx_later(&x, 5000), 0);
    assert_true(fx_explains(&x, WHY_MAINTENANCE));
    x.f.maintenance = false;
    assert_int_equal(fx_look(&x), 915);
    left_running(&x);
    fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 953);
    assert_int_equal(x.c.claim, x.f.last.n); /* and so its end is ours to write */
}

/* Each condition of the adoption: without it what runs is stopped. */
static void test_adoption_conditions(void **state)
{
    (void)state;
    for (unsigned i = 0;; i++) {
        struct fx x;
        left_running(&x);
        switch (i) {
        case 0: x.f.maintenance = false; break;
        case 1: x.f.last.ended = true; break;
        case 2: x.f.last.owned = false; break;
        case 3: x.f.last.node = 1; break;
        case 4: x.f.last.boot.lo++; break;
        case 5: x.f.highest++; break;
        case 6: x.f.adoptable = 0; break;
        case 7: x.f.adoptable++; break;
        case 8: x.f.encrypted_ok = false; break;
        case 9: x.f.unreaped = 1; break;
        case 10: x.c.no_adoption = true; break;
        case 11: x.f.maintenance_sound = false; break;
        default: return;
        }
        assert_int_equal(fx_look(&x), 403);
        x.f.maintenance = x.f.maintenance_sound = true;
        x.f.adoptable = x.f.last.n;
        assert_int_equal(fx_look(&x), 0); /* and once it is being stopped nobody adopts it any more */
        fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
        assert_int_not_equal(fx_look(&x), 400);
    }
}

/* What is not known yet is waited for, but not for long. */
static void test_adoption_waits_for_the_facts(void **state)
{
    struct fx x;
    (void)state;
    left_running(&x);
    x.f.share = SHARE_UNKNOWN;
    assert_int_equal(fx_look(&x), 0);
    x.f.share = SHARE_OK;
    assert_int_equal(fx_look(&x), 400);
    left_running(&x);
    x.f.quorate = false;
    assert_int_equal(fx_later(&x, 3000), 0);
    assert_int_equal(fx_later(&x, 1500), 403);
    left_running(&x);
    x.f.service_here = TRI_UNKNOWN; /* on a busy node the look into /proc comes last */
    assert_int_equal(fx_later(&x, 3000), 0);
    x.f.service_here = TRI_YES;
    assert_int_equal(fx_look(&x), 400);
    left_running(&x);
    x.f.service_here = TRI_UNKNOWN;
    assert_int_equal(fx_later(&x, 4500), 403);
    left_running(&x);
    x.f.service_here = TRI_UNKNOWN;
    x.f.maintenance = false;
    assert_int_equal(fx_look(&x), 403);
}

const struct CMUnitTest core_release_tests[] = {
    cmocka_unit_test(test_release), cmocka_unit_test(test_release_needs_a_successor),
    cmocka_unit_test(test_refused_release_serves_on), cmocka_unit_test(test_forced_release_stops_hard),
    cmocka_unit_test(test_release_that_fails_late), cmocka_unit_test(test_release_falls_like_any_tenure),
    cmocka_unit_test(test_restart_here_first), cmocka_unit_test(test_no_restart_on_bad_ground),
    cmocka_unit_test(test_adoption), cmocka_unit_test(test_adoption_conditions),
    cmocka_unit_test(test_adoption_waits_for_the_facts),
};
const size_t core_n_release_tests = sizeof core_release_tests / sizeof *core_release_tests;
