/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being active, stopping, ending, hold; and what ties the tests together. */
#include "core_fixture.h"
#include "core_tests.h"

static void active(struct fx *x)
{
    fx_init(x);
    fx_to(x, ST_ACTIVE);
}

#define STOPS(set, rule, reason) \
    do { \
        struct fx x; \
        active(&x); \
        set; \
        assert_int_equal(fx_look(&x), rule); \
        assert_int_equal(x.c.state, ST_STOPPING); \
        assert_true(fx_did(&x, ACT_NO_PERMIT, OP_NONE) && fx_did(&x, ACT_RUN, OP_SERVICE_STOP)); \
        assert_true(fx_alerted(&x, reason) && fx_explains(&x, reason)); \
    } while (0)

static void test_what_stops_an_active_node(void **state)
{
    (void)state;
    STOPS(x.f.quorate = false, 205, WHY_NOT_QUORATE);
    STOPS(x.f.members_fresh = false, 205, WHY_MEMBERS_STALE);
    STOPS(x.f.ring = 0, 205, WHY_NO_RING);
    STOPS(x.f.share = SHARE_WRONG, 207, WHY_SHARE_WRONG);
    STOPS(x.f.share = SHARE_BEHIND, 207, WHY_EPOCH_LOST);
    STOPS(x.f.local_max = 9, 207, WHY_EPOCH_LOST);
    STOPS(fx_open(&x, 2, 1, 11, false), 203, WHY_HIGHER_CLAIM);
    STOPS(fx_close(&x, 1), 203, WHY_HIGHER_CLAIM);
    STOPS(x.f.last.owned = false, 203, WHY_EPOCH_LOST);
    STOPS(x.f.last.run++, 203, WHY_EPOCH_LOST);
    STOPS((x.c.dead_boot[1].lo = 11, x.f.peer[1].dead_boot_seen = true), 201, WHY_DEAD_NODE_SPOKE);
}

static void test_who_comes_and_goes_stops_nobody(void **state)
{
    struct fx x;
    (void)state;
    active(&x); /* CPG has told of the new ring, votequorum not yet */
    x.f.ring++;
    x.f.quorate = false;
    x.f.quorum_settling = true;
    assert_int_equal(fx_look(&x), 0);
    x.f.quorum_settling = false;
    assert_int_equal(fx_look(&x), 205);
    active(&x);
    fx_peer_gone(&x);
    assert_int_equal(fx_look(&x), 0);
    x.f.peer[1].in_ring = x.f.peer[1].heard = true;
    x.f.ring++;
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(x.c.state, ST_ACTIVE);
}

static void test_share_hangs(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    x.f.share = SHARE_UNKNOWN;
    x.now += 2500;
    assert_int_equal(fx_look(&x), 901);
    assert_true(fx_did(&x, ACT_RUN, OP_INTAKE_CLOSE));
    assert_int_equal(fx_answer(&x, RES_OK), 903);
    assert_true(fx_explains(&x, WHY_SHARE_UNKNOWN));
    x.f.share = SHARE_OK;
    assert_int_equal(fx_look(&x), 907);
    x.f.share = SHARE_UNKNOWN; /* away again while it opens */
    x.now += 2500;
    assert_int_equal(fx_look(&x), 901);
    assert_true(fx_did(&x, ACT_CANCEL, OP_NONE));
    fx_answer(&x, RES_OK);
    x.f.share = SHARE_OK;
    assert_int_equal(fx_look(&x), 907);
    assert_int_equal(fx_answer(&x, RES_OK), 909);
    x.f.share = SHARE_UNKNOWN;
    x.now += 2500;
    fx_look(&x);
    fx_answer(&x, RES_OK);
    x.now += 28000;
    assert_int_equal(fx_look(&x), 209);
}

static void test_list_share_takes_nothing(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    x.f.lists_refuse = true;
    assert_int_equal(fx_look(&x), 902);
    assert_true(fx_did(&x, ACT_RUN, OP_INTAKE_CLOSE) && x.c.intake_closed);
    assert_int_equal(fx_answer(&x, RES_OK), 903);
    assert_true(fx_explains(&x, WHY_LISTS_REFUSE) && !fx_explains(&x, WHY_SHARE_UNKNOWN));
    assert_int_equal(fx_later(&x, 2100), 915); /* it is watched as ever, and moved by nobody */
    assert_int_equal(fx_answer(&x, RES_OK), 911);
    assert_int_equal(x.c.state, ST_ACTIVE);
    x.f.lists_refuse = false;
    assert_int_equal(fx_look(&x), 907);
    x.f.lists_refuse = true; /* full again while it opens */
    assert_int_equal(fx_look(&x), 902);
    assert_true(fx_did(&x, ACT_CANCEL, OP_NONE));
    fx_answer(&x, RES_OK);
    x.f.lists_refuse = false;
    assert_int_equal(fx_look(&x), 907);
    assert_int_equal(fx_answer(&x, RES_OK), 909);
    assert_false(fx_explains(&x, WHY_LISTS_REFUSE));
}

static void test_intake_that_does_not_move(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    x.f.share = SHARE_UNKNOWN;
    x.now += 2500;
    fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_FAILED), 905);
    assert_int_equal(x.c.last_reason, WHY_INTAKE_FAILED);
}

static void test_gap_while_active(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    x.f.share = SHARE_UNKNOWN;
    assert_int_equal(fx_event(&x, EV_GAP), 111);
    assert_int_equal(fx_look(&x), 901);
    assert_true(fx_did(&x, ACT_RUN, OP_INTAKE_CLOSE));
    fx_answer(&x, RES_OK);
    assert_int_equal(fx_event(&x, EV_GAP), 111);
    x.f.share = SHARE_OK;
    assert_int_equal(fx_look(&x), 907);
    fx_answer(&x, RES_OK);
    x.f.share = SHARE_UNKNOWN;
    fx_event(&x, EV_GAP);
    fx_answer(&x, RES_OK);
    int rule = fx_later(&x, 2100);
    if (rule == 915) /* the monitor needs no share */
        fx_answer(&x, RES_OK), rule = fx_later(&x, 2100);
    assert_int_equal(rule, 211); /* not confirmed in time */
}

static void test_monitor(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    assert_int_equal(fx_later(&x, 2100), 915);
    assert_int_equal(fx_answer(&x, RES_OK), 911);
    assert_int_equal(fx_later(&x, 1900), 0);
    assert_int_equal(fx_later(&x, 200), 915);
    assert_int_equal(fx_answer(&x, RES_FAILED), 913);
    assert_int_equal(x.c.failures, 1);
    active(&x);
    x.f.maintenance = true;
    assert_int_equal(fx_later(&x, 10000), 0);
}

static void test_flapping_is_held(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    for (unsigned i = 0; i < 3; i++) {
        fx_to(&x, ST_ACTIVE);
        fx_later(&x, 2100);
        fx_answer(&x, RES_FAILED);
        assert_int_equal(x.c.hold_after, i == 2);
        x.f.service_here = TRI_NO;
        fx_answer(&x, RES_OK);
        assert_int_equal(fx_answer(&x, RES_OK), 407);
        assert_true(core_end_pending(&x.c, &x.f));
        fx_look(&x);
        fx_close(&x, x.c.claim);
        assert_int_equal(fx_answer(&x, RES_OK), i == 2 ? 1003 : 1005);
    }
    assert_true(core_is_held(&x.c) && fx_explains(&x, WHY_HELD) && fx_explains(&x, WHY_SERVICE_FAILED));
    assert_int_equal(fx_later(&x, 100000), 0);
    fx_open(&x, 9, 0, 9, false); /* held, and still it cleans up behind itself */
    assert_int_equal(fx_look(&x), 501);
    fx_look(&x), fx_close(&x, 9);
    assert_int_equal(fx_answer(&x, RES_OK), 1003);
    x.f.service_here = TRI_YES;
    assert_int_equal(fx_look(&x), 503);
    x.f.service_here = TRI_NO;
    fx_look(&x), fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
    assert_int_equal(fx_look(&x), 401);
    assert_int_equal(fx_event(&x, EV_CLEAR), 1011);
    assert_false(core_is_held(&x.c));
    assert_int_equal(x.c.failures, 0);
}

static void test_clear_while_active(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_ACTIVE);
    assert_int_equal(fx_event(&x, EV_CLEAR), 0); /* there is nothing to forget */
    x.c.failures = 2;
    x.c.failure_ms[0] = x.c.failure_ms[1] = x.now;
    assert_int_equal(fx_event(&x, EV_CLEAR), 1015);
    assert_int_equal(x.c.failures, 0);
    assert_int_equal(x.c.state, ST_ACTIVE);
}

static void test_old_failures_are_forgotten(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    for (unsigned i = 0; i < 5; i++) {
        fx_to(&x, ST_ACTIVE);
        fx_later(&x, 2100);
        fx_answer(&x, RES_FAILED);
        x.f.service_here = TRI_NO;
        fx_answer(&x, RES_OK), fx_answer(&x, RES_OK), fx_look(&x);
        fx_close(&x, x.c.claim);
        fx_answer(&x, RES_OK);
        x.f.maintenance = true;
        fx_later(&x, 400000);
        x.f.maintenance = false;
    }
    assert_false(x.c.hold_after);
}

/* A stop that is not proven: no end, held, tried again. */
static void test_stop_not_proven(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        active(&x);
        x.f.quorate = false;
        fx_look(&x);
        assert_int_equal(late ? fx_later(&x, 20600) : fx_answer(&x, RES_FAILED), 411);
        assert_int_equal(x.c.state, ST_HOLD);
        assert_true(fx_alerted(&x, WHY_STOP_UNPROVEN) && fx_explains(&x, WHY_STOP_UNPROVEN));
        assert_true(core_end_pending(&x.c, &x.f) && core_is_held(&x.c));
        assert_int_equal(fx_later(&x, 1100), 1013);
        fx_answer(&x, RES_OK);
        assert_int_equal(fx_answer(&x, RES_FAILED), 411); /* the address counts too */
        assert_false(fx_did(&x, ACT_RUN, OP_END));
        fx_later(&x, 1100), fx_answer(&x, RES_OK);
        x.f.service_here = TRI_NO;
        assert_int_equal(fx_answer(&x, RES_OK), 407);
        fx_look(&x);
        assert_int_equal(fx_answer(&x, RES_OK), 1003);
    }
}

static void test_seen_after_the_stop(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    x.f.quorate = false;
    fx_look(&x), fx_answer(&x, RES_OK), fx_answer(&x, RES_OK);
    assert_int_equal(x.c.state, ST_ENDING);
    assert_int_equal(fx_look(&x), 0); /* list processes are seen: no end */
    assert_int_equal(fx_later(&x, 1100), 415);
}

static void test_power_on_once_active(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 3000);
    fx_peer_gone(&x);
    fx_to(&x, ST_SERVICE);
    assert_true(x.c.power_on[1]);
    fx_to(&x, ST_ACTIVE);
    assert_int_equal(fx_look(&x), 917);
    assert_true(fx_did(&x, ACT_RUN, OP_FENCE_ON));
    assert_int_equal(fx_answer(&x, RES_FAILED), 919);
    assert_int_equal(fx_look(&x), 0); /* once */
}

static void test_time_never_runs_back(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    uint64_t at = x.c.now_ms;
    x.now = 5;
    fx_look(&x);
    assert_int_equal(x.c.now_ms, at);
}

static void test_wakeup_names_the_monitor(void **state)
{
    struct fx x;
    (void)state;
    active(&x);
    assert_true(core_wakeup_ms(&x.c) > x.now && core_wakeup_ms(&x.c) <= x.c.monitor_due_ms);
}

static bool moving(struct fx *x, enum core_state s)
{
    if (s == ST_ADOPTING)
        return false; /* core_release_test.c has both of its answers */
    x->cfg.max_restarts = 1;
    fx_restart(x);
    fx_to(x, ST_ACTIVE);
    x->f.peer[1].ready = true;
    if (s == ST_RELEASING)
        fx_release(x, 1, false);
    else
        fx_later(x, 2100), fx_answer(x, RES_FAILED);
    return x->c.state == s;
}

/* Whatever is waited for, every answer to it is used up by some rule, and nothing is waited for any more. */
static void test_every_answer_is_taken(void **state)
{
    struct fx x;
    (void)state;
    for (enum core_state s = ST_STARTING; s < ST_N; s++) {
        for (enum core_result r = RES_OK; r < RES_N; r++) {
            fx_init(&x);
            if (s == ST_HOLD || s == ST_STARTING)
                continue;
            if (s == ST_RELEASING || s == ST_RESTARTING || s == ST_ADOPTING) {
                if (!moving(&x, s))
                    continue;
            } else if (s == ST_STOPPING || s == ST_ENDING) {
                fx_to(&x, ST_ACTIVE);
                x.f.quorate = false;
                fx_look(&x);
                x.f.service_here = TRI_NO;
                if (s == ST_ENDING)
                    fx_answer(&x, RES_OK), fx_answer(&x, RES_OK), fx_look(&x);
            } else {
                fx_open(&x, 1, 1, 11, true);
                fx_to(&x, ST_PASSIVE);
                fx_later(&x, 3000);
                fx_peer_gone(&x);
                fx_to(&x, s);
                fx_look(&x);
            }
            uint64_t id = x.c.pending.id;
            if (id == 0)
                continue;
            assert_int_not_equal(fx_answer(&x, r), 0);
            assert_int_not_equal(x.c.pending.id, id);
        }
    }
}

/* Last: every rule of the table has fired in these tests. */
static void test_every_rule_was_tried(void **state)
{
    int ids[256];
    unsigned n = core_rule_ids(ids, 256), missing = 0;
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        if (!fx_seen[ids[i]])
            print_message("# rule %d has no test: %s\n", ids[i], core_rule_why(ids[i]));
        missing += !fx_seen[ids[i]];
    }
    assert_int_equal(missing, 0);
}

const struct CMUnitTest core_active_tests[] = {
    cmocka_unit_test(test_what_stops_an_active_node), cmocka_unit_test(test_who_comes_and_goes_stops_nobody),
    cmocka_unit_test(test_share_hangs), cmocka_unit_test(test_list_share_takes_nothing),
    cmocka_unit_test(test_intake_that_does_not_move),
    cmocka_unit_test(test_gap_while_active), cmocka_unit_test(test_monitor), cmocka_unit_test(test_flapping_is_held),
    cmocka_unit_test(test_clear_while_active),
    cmocka_unit_test(test_old_failures_are_forgotten), cmocka_unit_test(test_stop_not_proven),
    cmocka_unit_test(test_seen_after_the_stop), cmocka_unit_test(test_power_on_once_active),
    cmocka_unit_test(test_time_never_runs_back), cmocka_unit_test(test_wakeup_names_the_monitor),
    cmocka_unit_test(test_every_answer_is_taken), cmocka_unit_test(test_every_rule_was_tried),
};
const size_t core_n_active_tests = sizeof core_active_tests / sizeof *core_active_tests;
