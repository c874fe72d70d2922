/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claim, proof, drain, own, recover, address, service: what each step rests on, and what makes it fall. */
#include "core_fixture.h"
#include "core_tests.h"

static void test_clean_members_need_no_drain(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_CLAIMING);
    fx_open(&x, 1, 0, 10, false);
    assert_int_equal(fx_answer(&x, RES_OK), 601);
    assert_int_equal(fx_look(&x), 721);
    assert_int_equal(fx_look(&x), 733);
    assert_true(fx_did(&x, ACT_RUN, OP_OWN));
    assert_int_equal(x.out.v[0].proof[1], PROOF_NOT_NEEDED);
    assert_int_equal(fx_answer(&x, RES_OK), 811);
    assert_true(fx_did(&x, ACT_PERMIT, OP_NONE));
    assert_int_equal(fx_answer(&x, RES_OK), 821);
    assert_int_equal(fx_answer(&x, RES_OK), 831);
    assert_int_equal(fx_answer(&x, RES_OK), 841);
}

/* Goes on until the address is asked for: may its duplicate check be short? */
static bool takes_address_as_planned(struct fx *x)
{
    fx_to(x, ST_RECOVER);
    assert_int_equal(fx_answer(x, RES_OK), 821);
    assert_true(fx_did(x, ACT_RUN, OP_ADDRESS_START));
    return x->out.v[0].planned;
}

static void test_unplanned_end_before_is_drained(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_close(&x, 1);
    fx_to(&x, ST_DRAIN);
    assert_true(fx_seen[731]);
    assert_true(fx_explains(&x, WHY_DRAIN));
    assert_false(takes_address_as_planned(&x));
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_close(&x, 1);
    x.f.last.planned = true;
    fx_to(&x, ST_OWNING);
    assert_false(x.c.drain_needed);
    assert_true(takes_address_as_planned(&x));
    fx_dead_peer(&x, ST_OWNING);
    assert_false(takes_address_as_planned(&x));
}

/* Who has just ended its tenure and left the ring is most likely starting its daemon anew; who is silent otherwise is dead. */
static void test_who_has_just_ended_is_not_fenced_at_once(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    assert_int_equal(fx_look(&x), 743);
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_close(&x, 1);
    fx_peer_gone(&x);
    fx_to(&x, ST_PROOF);
    assert_int_equal(fx_look(&x), 0);
    assert_int_equal(fx_later(&x, x.cfg.share_deadline_ms + 500), 743);
}

/* A member with an epoch of its present boot is given its patience, then it is fenced. */
static void member_with_epoch(struct fx *x)
{
    fx_dead_peer(x, ST_PROOF);
    x->f.peer[1].in_ring = x->f.peer[1].heard = x->f.peer[1].beat_moves = true;
    x->f.ring++;
    assert_int_equal(fx_look(x), 307); /* the ring changed */
    assert_int_equal(fx_look(x), 509);
}

static void test_member_ends_by_itself(void **state)
{
    struct fx x;
    (void)state;
    member_with_epoch(&x);
    assert_int_equal(fx_look(&x), 0);
    assert_true(fx_explains(&x, WHY_PEER_MAY_END));
    fx_close(&x, 1);
    assert_int_equal(fx_look(&x), 723);
    assert_int_equal(fx_look(&x), 731); /* an end of which we do not know that it was planned */
    member_with_epoch(&x);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_int_equal(fx_later(&x, 2000), 743);
}

static void test_dirty_member_is_no_clean_one(void **state)
{
    struct fx x;
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        fx_init(&x);
        x.f.peer[1].no_service = i != 0;
        x.f.peer[1].no_share_child = i != 1;
        x.f.peer[1].no_end_pending = i != 2;
        x.f.peer[1].boot.lo = i != 3 ? 11 : 0;
        x.f.peer[1].boot.hi = i != 3;
        fx_to(&x, ST_PROOF);
        x.f.peer[1].heard = i != 4;
        assert_int_equal(fx_look(&x), 0);
        assert_true(fx_explains(&x, WHY_PEER_DIRTY));
        assert_int_equal(fx_later(&x, 21000), 743);
    }
}

static void test_rebooted_member(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 10, true); /* its present boot is 11 */
    fx_to(&x, ST_PROOF);
    assert_int_equal(fx_look(&x), 725);
    assert_int_equal(x.c.proof[1].kind, PROOF_REBOOTED);
    x.f.peer[1].boot.lo = 10;
    assert_int_equal(fx_look(&x), 311);
    x.f.peer[1].boot.lo = 11;
    fx_look(&x);
    assert_int_equal(fx_look(&x), 731);
}

/* Any change of the ground goes back to the first step; the claim stays while it is the highest. */
#define GROUND(set, in, rule, then) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, in); \
        set; \
        assert_int_equal(fx_look(&x), rule); \
        assert_int_equal(x.c.state, then); \
        assert_true(x.c.state == ST_ENDING || x.c.proof[1].kind == PROOF_NONE); \
    } while (0)

static void test_ground(void **state)
{
    (void)state;
    for (enum core_state s = ST_PROOF; s <= ST_DRAIN; s++) {
        GROUND(x.f.ring++, s, 307, ST_PASSIVE);
        GROUND(x.f.quorate = false, s, 307, ST_PASSIVE);
        GROUND(x.f.members_fresh = false, s, 307, ST_PASSIVE);
        GROUND(x.f.encrypted_ok = false, s, 307, ST_PASSIVE);
        GROUND((x.f.share = SHARE_UNKNOWN, x.now += 3000), s, 307, ST_PASSIVE);
        GROUND(x.f.share = SHARE_BEHIND, s, 307, ST_PASSIVE);
        GROUND(x.f.maintenance = true, s, 307, ST_PASSIVE);
        GROUND(x.f.unreaped = 1, s, 307, ST_PASSIVE);
        GROUND(x.f.service_here = TRI_YES, s, 307, ST_PASSIVE);
        GROUND(fx_open(&x, 3, 1, 12, false), s, 305, ST_ENDING);
    }
    GROUND(x.f.ring++, ST_OWNING, 303, ST_ENDING);
    GROUND(x.f.quorate = false, ST_OWNING, 303, ST_ENDING);
    GROUND(fx_open(&x, 3, 1, 12, false), ST_OWNING, 303, ST_ENDING);
    GROUND(x.f.peer[1].dead_boot_seen = true, ST_OWNING, 302, ST_ENDING);
    GROUND(x.f.ring++, ST_CLAIMING, 301, ST_PASSIVE);
}

static void test_gap_before_own(void **state)
{
    static const struct { enum core_state in; int rule; enum core_state then; } cases[] = {
        { ST_CLAIMING, 105, ST_PASSIVE }, { ST_PROOF, 107, ST_PASSIVE }, { ST_DRAIN, 107, ST_PASSIVE },
        { ST_OWNING, 103, ST_ENDING }, { ST_RECOVER, 101, ST_STOPPING }, { ST_ADDRESS, 101, ST_STOPPING },
        { ST_SERVICE, 101, ST_STOPPING },
    };
    struct fx x;
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        fx_dead_peer(&x, cases[i].in);
        assert_int_equal(fx_event(&x, EV_GAP), cases[i].rule);
        assert_int_equal(x.c.state, cases[i].then);
    }
}

static void test_kept_claim(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_DRAIN);
    x.f.ring++;
    fx_look(&x);
    assert_int_equal(x.c.claim, 2);
    assert_int_equal(fx_look(&x), 509);
    fx_dead_peer(&x, ST_PROOF);
    x.f.quorate = false;
    fx_look(&x);
    fx_open(&x, 3, 1, 12, false);
    assert_int_equal(fx_look(&x), 505);
    fx_dead_peer(&x, ST_PROOF);
    x.f.maintenance = true;
    fx_look(&x);
    assert_int_equal(fx_later(&x, 19000), 0);
    assert_int_equal(fx_later(&x, 2000), 507); /* it must not keep others from claiming */
}

static void test_drain_fails(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_DRAIN);
    assert_int_equal(fx_answer(&x, RES_FAILED), 805);
    assert_int_equal(x.c.proof[1].kind, PROOF_NONE);
    fx_dead_peer(&x, ST_DRAIN);
    x.f.peer[1].beat_moves = true; /* said to be off */
    assert_int_equal(fx_answer(&x, RES_OK), 801);
    assert_true(fx_alerted(&x, WHY_DEAD_NODE_SPOKE) && x.c.hold_after);
    fx_look(&x);
    assert_int_equal(fx_answer(&x, RES_OK), 1003);
    assert_int_equal(x.c.state, ST_HOLD);
}

static void test_own_not_read_back(void **state)
{
    struct fx x;
    static const enum core_result bad[] = { RES_FAILED, RES_LATE, RES_ON, RES_OFF };
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        fx_dead_peer(&x, ST_OWNING);
        assert_int_equal(fx_answer(&x, bad[i]), 813);
        assert_int_equal(x.c.state, ST_ENDING);
    }
}

/* The recovery pass is told who is clean now: a member that ended leaves locks, and answers that their pids are gone. */
static void test_recovery_knows_who_is_clean(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.f.last.ended = x.f.last.planned = true;
    fx_to(&x, ST_OWNING);
    assert_int_equal(fx_answer(&x, RES_OK), 811);
    assert_true(fx_did(&x, ACT_RUN, OP_RECOVER) && x.out.v[x.out.n - 1].clean[1] && !x.out.v[x.out.n - 1].clean[0]);
    fx_dead_peer(&x, ST_OWNING);
    assert_int_equal(fx_answer(&x, RES_OK), 811);
    assert_false(x.out.v[x.out.n - 1].clean[1]);
}

/* Nothing that another node would do better: the tenure is kept, and the pass tried again. */
static void test_no_room_for_recovery(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_RECOVER);
    x.c.cfg.after_fence_on = false;
    x.c.cfg.max_restarts = 1;
    assert_int_equal(fx_answer(&x, RES_FULL), 823);
    assert_true(fx_alerted(&x, WHY_LISTS_REFUSE) && fx_explains(&x, WHY_LISTS_REFUSE));
    assert_true(x.c.state == ST_RECOVER && x.c.failures == 0);
    assert_int_equal(fx_later(&x, 999), 0);
    assert_int_equal(fx_later(&x, 1), 825);
    assert_true(fx_did(&x, ACT_RUN, OP_RECOVER) && fx_explains(&x, WHY_LISTS_REFUSE));
    assert_int_equal(fx_answer(&x, RES_FULL), 823);
    assert_false(fx_alerted(&x, WHY_LISTS_REFUSE)); /* once */
    assert_int_equal(fx_later(&x, 1000), 825);
    assert_int_equal(fx_answer(&x, RES_OK), 821);
    fx_to(&x, ST_ACTIVE);
    assert_false(fx_explains(&x, WHY_LISTS_REFUSE));
    assert_int_equal(fx_later(&x, 2100), 915); /* the next one is told again */
    assert_int_equal(fx_answer(&x, RES_FAILED), 912);
    assert_int_equal(fx_answer(&x, RES_OK), 941);
    assert_false(fx_explains(&x, WHY_LISTS_REFUSE));
    assert_int_equal(fx_answer(&x, RES_FULL), 823);
    assert_true(fx_alerted(&x, WHY_LISTS_REFUSE));
}

static void test_half_started(void **state)
{
    struct fx x;
    (void)state;
    for (enum core_state s = ST_RECOVER; s <= ST_SERVICE; s++) {
        fx_dead_peer(&x, s);
        assert_int_equal(fx_answer(&x, RES_FAILED), 851);
        assert_true(fx_did(&x, ACT_RUN, OP_SERVICE_STOP));
        assert_true(fx_did(&x, ACT_NO_PERMIT, OP_NONE));
        fx_dead_peer(&x, s);
        uint64_t most = x.c.pending.deadline_ms - x.now;
        assert_int_equal(fx_later(&x, most + 150), 851);
    }
    fx_dead_peer(&x, ST_ADDRESS);
    assert_int_equal(fx_answer(&x, RES_DUPLICATE), 833);
    assert_true(x.c.hold_after && fx_alerted(&x, WHY_DUPLICATE_ADDRESS));
}

const struct CMUnitTest core_takeover_tests[] = {
    cmocka_unit_test(test_clean_members_need_no_drain), cmocka_unit_test(test_unplanned_end_before_is_drained),
    cmocka_unit_test(test_who_has_just_ended_is_not_fenced_at_once),
    cmocka_unit_test(test_member_ends_by_itself), cmocka_unit_test(test_dirty_member_is_no_clean_one),
    cmocka_unit_test(test_rebooted_member), cmocka_unit_test(test_ground),
    cmocka_unit_test(test_gap_before_own), cmocka_unit_test(test_kept_claim),
    cmocka_unit_test(test_drain_fails), cmocka_unit_test(test_own_not_read_back),
    cmocka_unit_test(test_recovery_knows_who_is_clean), cmocka_unit_test(test_no_room_for_recovery),
    cmocka_unit_test(test_half_started),
};
const size_t core_n_takeover_tests = sizeof core_takeover_tests / sizeof *core_takeover_tests;
