/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the start to the claim, and everything that keeps a node from it. */
#include "core_fixture.h"
#include "core_tests.h"

static void test_start_stops_what_runs(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.f.service_here = TRI_YES;
    assert_int_equal(fx_look(&x), 403);
    assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_STOP));
    assert_int_equal(fx_answer(&x, RES_FAILED), 413);
    assert_true(fx_alerted(&x, WHY_SERVICE_HERE));
    assert_true(fx_explains(&x, WHY_STARTING) && fx_explains(&x, WHY_SERVICE_HERE));
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_later(&x, 1000), 403);
    assert_int_equal(fx_answer(&x, RES_OK), 405);
    assert_true(fx_did(&x, ACT_RUN, OP_ADDRESS_STOP));
    assert_int_equal(fx_answer(&x, RES_OK), 409);
    assert_int_equal(fx_look(&x), 0); /* /proc still shows it */
    x.f.service_here = TRI_NO;
    assert_int_equal(fx_look(&x), 402);
    assert_int_equal(x.c.state, ST_PASSIVE);
}

/* Each fact alone keeps a node from claiming, is explained by name, and lifts. */
static void blocked_by(struct fx *x, enum core_reason why)
{
    fx_settle(x);
    assert_int_not_equal(x->c.state, ST_CLAIMING);
    if (!fx_explains(x, why))
        fail_msg("not explained: %s", core_reason_name(why));
    assert_true(strlen(core_reason_action(why)) > 5);
}

#define BLOCKED(why, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        set; \
        fx_look(&x), fx_answer(&x, RES_OK), fx_answer(&x, RES_OK); \
        blocked_by(&x, why); \
    } while (0)

static void test_each_fact_blocks(void **state)
{
    (void)state;
    BLOCKED(WHY_MAINTENANCE, x.f.maintenance = true);
    BLOCKED(WHY_MEMBERS_STALE, x.f.members_fresh = false);
    BLOCKED(WHY_NOT_ENCRYPTED, x.f.encrypted_ok = false);
    BLOCKED(WHY_NO_RING, x.f.ring = 0);
    BLOCKED(WHY_NOT_QUORATE, x.f.quorate = false);
    BLOCKED(WHY_UNSEEN_PEER, (x.f.quorate = false, fx_peer_gone(&x)));
    BLOCKED(WHY_SHARE_UNKNOWN, (x.f.share = SHARE_UNKNOWN, x.f.share_seen_ms = 0));
    BLOCKED(WHY_SHARE_WRONG, x.f.share = SHARE_WRONG);
    BLOCKED(WHY_EPOCH_LOST, x.f.share = SHARE_BEHIND);
    BLOCKED(WHY_EPOCH_LOST, x.f.local_max = 4);
    BLOCKED(WHY_TOO_MANY_OPEN, x.f.n_open = CORE_EPOCHS + 1);
    BLOCKED(WHY_UNREAPED, x.f.unreaped = 1);
    BLOCKED(WHY_FENCE_RUNNING, x.f.unreaped_fence = 1);
    BLOCKED(WHY_PEER_DIGEST, x.f.peer[1].digest_differs = true);
    BLOCKED(WHY_PEER_AHEAD, x.f.peer[1].highest = 3);
    BLOCKED(WHY_PEER_NOT_HEARD, x.f.peer[1].heard = false);
    BLOCKED(WHY_PEER_ACTIVE, fx_open(&x, 1, 1, 11, true));
    BLOCKED(WHY_PATIENCE, (fx_open(&x, 1, 1, 11, true), x.f.peer[1].held = true));
    BLOCKED(WHY_SPLIT, (fx_open(&x, 1, 1, 11, true), fx_peer_gone(&x), x.f.peer[1].beat_moves = true));
    BLOCKED(WHY_BEAT_UNKNOWN, (fx_open(&x, 1, 1, 11, true), fx_peer_gone(&x)));
    BLOCKED(WHY_SERVICE_HERE, x.f.service_here = TRI_UNKNOWN);
}

static void test_nothing_blocks(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_CLAIMING);
    assert_true(fx_did(&x, ACT_RUN, OP_CLAIM));
    assert_int_equal(x.c.claim, 1);
    assert_true(fx_seen[511]);
}

/* A hang of the share stops beats from being seen; that is not a death. */
static void test_beat_must_be_watched(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 5000);
    x.f.share = SHARE_UNKNOWN;
    fx_later(&x, 2500);
    fx_peer_gone(&x);
    fx_later(&x, 500);
    x.f.share = SHARE_OK;
    assert_int_equal(fx_later(&x, 1500), 0);
    assert_true(fx_explains(&x, WHY_BEAT_UNKNOWN));
    assert_int_equal(fx_later(&x, 1000), 511);
}

static void test_split_is_no_takeover(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_peer_gone(&x);
    x.f.peer[1].beat_moves = true;
    assert_int_equal(fx_look(&x), 0); /* it may have died just now */
    assert_true(fx_explains(&x, WHY_SPLIT));
    assert_int_equal(fx_later(&x, x.cfg.claim_patience_ms), 513);
    assert_true(fx_alerted(&x, WHY_SPLIT));
    assert_int_equal(fx_later(&x, 100000), 0); /* told once, and never claimed */
    x.f.peer[1].beat_moves = false;
    assert_int_equal(fx_look(&x), 0); /* one report is not enough */
    assert_true(fx_explains(&x, WHY_BEAT_UNKNOWN));
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_look(&x), 511);
}

static void test_split_by_majority(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.cfg.two_node = false;
    fx_restart(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_peer_gone(&x);
    x.f.peer[1].beat_moves = true;
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_true(fx_explains(&x, WHY_PATIENCE));
    assert_int_equal(fx_later(&x, 2000), 511);
}

/* A claim of the peer that never became a tenure: it may be fencing us right now. */
static void test_claim_of_a_silent_peer(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, false);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 3000);
    fx_peer_gone(&x);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_true(fx_explains(&x, WHY_PATIENCE));
    assert_int_equal(fx_later(&x, 2000), 511);
}

static void test_silent_member(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 3000);
    x.f.peer[1].heard = false;
    assert_int_equal(fx_later(&x, 30000), 0); /* it says nothing, but it beats */
    assert_true(fx_explains(&x, WHY_PEER_ACTIVE));
    x.f.peer[1].beat_moves = false;
    assert_int_equal(fx_look(&x), 0); /* one report is not enough */
    assert_true(fx_explains(&x, WHY_BEAT_UNKNOWN));
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_look(&x), 511);
}

static void test_held_peer_with_its_epoch(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    x.f.peer[1].held = true;
    fx_to(&x, ST_PASSIVE);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_int_equal(fx_later(&x, 2000), 511);
}

/* A member that stopped and can not reach the share to end its epoch: its patience counts only while its beat stands. */
static void test_stuck_peer_with_its_epoch(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    x.f.peer[1].no_service = true;
    x.f.peer[1].no_end_pending = false;
    x.f.peer[1].beat_moves = true;
    fx_to(&x, ST_PASSIVE);
    assert_int_equal(fx_later(&x, 40000), 0); /* its share is there: it will end by itself */
    assert_true(fx_explains(&x, WHY_PATIENCE));
    x.f.peer[1].beat_moves = false;
    assert_int_equal(fx_later(&x, 3000), 511);
    fx_open(&x, 2, 0, 10, false);
    assert_int_equal(fx_answer(&x, RES_OK), 601);
    assert_int_equal(fx_look(&x), 743); /* it has had its patience */
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    x.f.peer[1].no_service = x.f.peer[1].no_end_pending = false; /* it still serves */
    fx_to(&x, ST_PASSIVE);
    assert_int_equal(fx_later(&x, 40000), 0);
    assert_true(fx_explains(&x, WHY_PEER_ACTIVE));
}

/* Who owes an end claims nothing, though it is the first in the configuration. */
static void test_no_turn_for_who_owes_an_end(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned owes = 0; owes < 2; owes++) {
        fx_init_second(&x);
        x.f.peer[0].no_end_pending = !owes;
        fx_to(&x, ST_PASSIVE);
        assert_int_equal(fx_look(&x), owes ? 511 : 0);
        assert_int_equal(fx_explains(&x, WHY_PEER_TURN), !owes);
    }
}

static void test_whose_turn(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x); /* the last tenure was ours: the other first */
    fx_open(&x, 1, 0, 10, true);
    fx_close(&x, 1);
    x.f.last.planned = true;
    fx_to(&x, ST_PASSIVE);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_true(fx_explains(&x, WHY_PEER_TURN));
    assert_int_equal(fx_later(&x, 2000), 511);
    fx_init(&x); /* unless it is held */
    fx_open(&x, 1, 0, 10, true);
    fx_close(&x, 1);
    x.f.peer[1].held = true;
    fx_to(&x, ST_CLAIMING);
    assert_true(x.now < 110000);
    fx_init_second(&x); /* nobody ever: the first in the configuration */
    fx_to(&x, ST_PASSIVE);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_true(fx_explains(&x, WHY_PEER_TURN));
    assert_int_equal(fx_later(&x, 2000), 511);
}

static void test_own_epoch_is_ended_first(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 0, 9, true); /* of our earlier boot */
    fx_to(&x, ST_PASSIVE);
    assert_true(fx_explains(&x, WHY_OWN_OPEN_EPOCH));
    assert_true(core_end_pending(&x.c, &x.f));
    x.f.share = SHARE_BEHIND; /* in a backup: no end will be written, and init --recover must not wait for it */
    assert_false(core_end_pending(&x.c, &x.f));
    x.f.share = SHARE_OK;
    assert_int_equal(fx_look(&x), 501);
    assert_int_equal(x.c.state, ST_ENDING);
    x.f.unreaped = 1; /* nothing of ours may be left on the share */
    assert_int_equal(fx_look(&x), 0);
    assert_true(fx_explains(&x, WHY_END_PENDING) && fx_explains(&x, WHY_UNREAPED));
    x.f.unreaped = 0;
    assert_int_equal(fx_look(&x), 1001);
    assert_true(fx_did(&x, ACT_RUN, OP_END));
    assert_int_equal(x.out.v[0].epoch, 1);
    assert_int_equal(fx_answer(&x, RES_LATE), 1007);
    assert_int_equal(fx_later(&x, 1100), 1001);
    assert_int_equal(fx_answer(&x, RES_OK), 1005);
    fx_close(&x, 1);
    assert_int_equal(x.c.state, ST_PASSIVE);
}

static void test_late_link_of_our_own(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_CLAIMING);
    assert_int_equal(fx_answer(&x, RES_LATE), 603);
    assert_int_equal(x.c.claim, 0);
    fx_open(&x, 1, 0, 10, false); /* it lands all the same, of this very run */
    assert_int_equal(fx_later(&x, 2000), 501);
}

static void test_rogue_start(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    x.f.service_here = TRI_YES;
    assert_int_equal(fx_look(&x), 503);
    assert_int_equal(fx_look(&x), 403);
}

static void test_gap_only_observes(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 5000);
    fx_peer_gone(&x);
    x.f.share = SHARE_UNKNOWN;
    assert_int_equal(fx_event(&x, EV_GAP), 111);
    assert_int_equal(fx_look(&x), 0);
    x.f.share = SHARE_OK;
    assert_int_equal(fx_later(&x, 1900), 0);
    assert_int_equal(fx_later(&x, 1000), 511);
}

const struct CMUnitTest core_passive_tests[] = {
    cmocka_unit_test(test_start_stops_what_runs), cmocka_unit_test(test_each_fact_blocks),
    cmocka_unit_test(test_nothing_blocks), cmocka_unit_test(test_beat_must_be_watched),
    cmocka_unit_test(test_split_is_no_takeover), cmocka_unit_test(test_split_by_majority),
    cmocka_unit_test(test_claim_of_a_silent_peer), cmocka_unit_test(test_silent_member),
    cmocka_unit_test(test_held_peer_with_its_epoch), cmocka_unit_test(test_stuck_peer_with_its_epoch),
    cmocka_unit_test(test_whose_turn), cmocka_unit_test(test_no_turn_for_who_owes_an_end),
    cmocka_unit_test(test_own_epoch_is_ended_first), cmocka_unit_test(test_late_link_of_our_own),
    cmocka_unit_test(test_rogue_start), cmocka_unit_test(test_gap_only_observes),
};
const size_t core_n_passive_tests = sizeof core_passive_tests / sizeof *core_passive_tests;
