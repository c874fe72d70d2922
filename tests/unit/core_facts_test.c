/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What facts mean, to the millisecond and to the last epoch; proofs and guards at their edges. */
#include "core/rules.h"
#include "core_tests.h"

#define NOW 1000000u

/* A core and facts that are all well at NOW; node 0 is ourselves unless said otherwise. */
static void at_now(struct fx *x)
{
    fx_init(x);
    x->c.now_ms = NOW;
    x->c.observe_since_ms = NOW - 50000;
    x->f.share_seen_ms = NOW;
    x->c.ring = x->f.ring;
}

static void test_age_of_the_share(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.f.share_seen_ms = NOW - 2000;
    assert_true(facts_share_fresh(&x.c, &x.f)); /* in time to the millisecond */
    x.f.share_seen_ms = NOW - 2001;
    assert_false(facts_share_fresh(&x.c, &x.f));
    at_now(&x);
    x.f.peer[1].beat_moves = false;
    x.f.peer[1].beat_same = 3;
    x.c.share_fresh_since_ms = 1;
    assert_true(facts_beat_stands(&x.c, &x.f, 1));
    x.c.share_fresh_since_ms = 0;
    assert_false(facts_beat_stands(&x.c, &x.f, 1));
    x.c.observe_since_ms = x.f.share_seen_ms = NOW - 2000;
    x.c.cfg.share_deadline_ms = 2000;
    const struct core_event e = { .facts = &x.f };
    assert_true(guard_unconfirmed(&x.c, &e)); /* read at the gap is not read after it */
    x.f.share_seen_ms++;
    assert_false(guard_unconfirmed(&x.c, &e));
}

static void test_outranked(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.c.claim = x.f.highest = 4;
    x.c.claim_run = FX_RUN;
    x.f.last = (struct core_epoch){ .n = 4, .node = 0, .run = FX_RUN };
    assert_false(facts_outranked(&x.c, &x.f));
    x.f.last.node = 1;
    assert_true(facts_outranked(&x.c, &x.f));
    x.f.last = (struct core_epoch){ .n = 4, .node = 0, .run = FX_RUN + 1 };
    assert_true(facts_outranked(&x.c, &x.f));
    x.f.last = (struct core_epoch){ .n = 4, .node = 0, .run = FX_RUN, .ended = true };
    assert_true(facts_outranked(&x.c, &x.f));
}

/* A share from a backup, on which a late link of an earlier claim of ours has made our epoch anew. */
static void test_own_is_gone(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.c.claim = x.f.highest = 4;
    x.c.claim_run = FX_RUN;
    x.c.owned = true;
    x.c.owned_ms = NOW;
    x.f.last = (struct core_epoch){ .n = 4, .node = 0, .run = FX_RUN };
    assert_false(facts_outranked(&x.c, &x.f)); /* read before the answer, to the millisecond */
    x.f.share_seen_ms = NOW + 1;
    assert_true(facts_outranked(&x.c, &x.f));
    x.f.last.owned = true;
    assert_false(facts_outranked(&x.c, &x.f));
    x.f.last.owned = x.c.owned = false; /* the own is on its way */
    assert_false(facts_outranked(&x.c, &x.f));
}

/* Started again after a gap, with its intake open, before the epochs were read again. */
static void test_intake_after_a_gap(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    const struct core_event e = { .facts = &x.f };
    x.c.observe_since_ms = x.f.share_seen_ms = NOW - 1000;
    assert_true(guard_share_hangs(&x.c, &e)); /* read at the gap is not read after it */
    x.c.intake_closed = true;
    assert_false(guard_share_hangs(&x.c, &e));
    x.c.intake_closed = false;
    x.f.share_seen_ms++;
    assert_false(guard_share_hangs(&x.c, &e));
}

static void test_ground_and_ring(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.f.n_open = CORE_EPOCHS;
    assert_true(facts_ground(&x.c, &x.f));
    x.f.n_open = CORE_EPOCHS + 1;
    assert_false(facts_ground(&x.c, &x.f));
    at_now(&x);
    x.f.quorate = false;
    x.f.quorum_settling = true;
    x.f.ring = 1; /* any number but 0 is a ring */
    assert_false(guard_cluster_lost(&x.c, &(struct core_event){ .facts = &x.f }));
}

static void test_whose_epochs_count(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.f.n_open = 1;
    x.f.open[0] = (struct core_epoch){ .n = 4, .node = 1, .boot = { 1, 11 } };
    assert_true(facts_holds(&x.c, &x.f, 1));
    x.c.claim = 4;
    assert_false(facts_holds(&x.c, &x.f, 1)); /* not below our claim */
    x.c.claim = 5;
    assert_true(facts_holds(&x.c, &x.f, 1));
    x.f.open[0].n = 0;
    assert_false(facts_holds(&x.c, &x.f, 1));
    x.c.claim = 0;
    assert_false(facts_holds(&x.c, &x.f, 1));
    x.f.open[0] = (struct core_epoch){ .n = 4, .node = 2 }; /* a node that is not configured: may be anybody's */
    assert_true(facts_holds(&x.c, &x.f, 1));
    x.f.n_open = 0;
    x.f.open[0] = (struct core_epoch){ .n = 4, .node = 1, .boot = { 1, 11 } }; /* beyond the number that was read */
    assert_false(facts_holds(&x.c, &x.f, 1));
    assert_false(facts_holds_now(&x.c, &x.f, 1));
    assert_false(facts_holds_claim_only(&x.f, 1));
    assert_true(facts_rebooted(&x.c, &x.f, 1));
}

#define PRESENT(want, set) \
    do { \
        struct fx x; \
        at_now(&x); \
        struct core_peer *q = &x.f.peer[1]; \
        *q = (struct core_peer){ .in_ring = true }; \
        x.f.n_open = 1; \
        x.f.open[0] = (struct core_epoch){ .n = 4, .node = 1, .boot = { 1, 11 } }; \
        set; \
        assert_int_equal(facts_holds_now(&x.c, &x.f, 1), want); \
    } while (0)

#define OTHER (struct core_id){ 1, 99 }
#define SAME (struct core_id){ 1, 11 }

static void test_which_boot_is_the_present_one(void **state)
{
    (void)state;
    PRESENT(true, (void)0);                                               /* nothing shown: the careful answer */
    PRESENT(true, (q->heard = true, q->boot = SAME, q->beat_boot = OTHER, q->beat_moves = true));
    PRESENT(false, (q->heard = true, q->boot = OTHER, q->beat_boot = SAME, q->beat_moves = true));
    PRESENT(false, (q->heard = true, q->beat_boot = OTHER, q->beat_moves = true));
    PRESENT(true, (q->heard = true, q->beat_boot = SAME, q->beat_moves = true));
    PRESENT(false, (q->boot = SAME, q->beat_boot = OTHER, q->beat_moves = true));
    PRESENT(true, (q->boot = OTHER, q->beat_boot = SAME, q->beat_moves = true));
    PRESENT(true, (q->boot = SAME, q->beat_moves = true));                /* it moves, and says no boot */
    PRESENT(true, (q->boot = OTHER, q->beat_boot = SAME));                /* any that was shown may be */
    PRESENT(true, (q->boot = SAME, q->beat_boot = OTHER));
    PRESENT(false, (q->boot = OTHER, q->beat_boot = OTHER));
    PRESENT(false, q->boot = OTHER);
    PRESENT(false, q->beat_boot = OTHER);
}

static void test_signs_of_the_dead_and_strays(void **state)
{
    struct fx x;
    unsigned who = 9;
    (void)state;
    at_now(&x);
    x.f.peer[1].dead_boot_seen = x.f.peer[0].dead_boot_seen = true;
    assert_false(facts_dead_spoke(&x.c, &x.f, &who)); /* nobody was proven dead */
    x.c.dead_boot[0].lo = 10;
    assert_false(facts_dead_spoke(&x.c, &x.f, &who)); /* ourselves */
    x.c.dead_boot[1].lo = 11;
    assert_true(facts_dead_spoke(&x.c, &x.f, &who));
    assert_int_equal(who, 1);
    x.c.claim = 3;
    x.c.claim_run = FX_RUN;
    x.f.n_open = 1;
    x.f.open[0] = (struct core_epoch){ .n = 3, .node = 0, .run = FX_RUN };
    assert_int_equal(facts_own_stray(&x.c, &x.f), 0);
    x.f.open[0].run = FX_RUN + 1;
    assert_int_equal(facts_own_stray(&x.c, &x.f), 3);
    x.f.open[0] = (struct core_epoch){ .n = 2, .node = 0, .run = FX_RUN };
    assert_int_equal(facts_own_stray(&x.c, &x.f), 2);
}

static void test_what_voids_a_proof(void **state)
{
    static const enum core_proof off[] = { PROOF_OFF, PROOF_DENIED, PROOF_ACKNOWLEDGED };
    struct fx x;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        at_now(&x);
        x.c.proof[1].kind = off[i];
        x.f.peer[1] = (struct core_peer){ .in_ring = true };
        assert_true(proof_voided(&x.c, &x.f, 1));
        x.f.peer[1] = (struct core_peer){ .heard = true };
        assert_true(proof_voided(&x.c, &x.f, 1));
        x.f.peer[1] = (struct core_peer){ .beat_moves = true };
        assert_int_equal(proof_voided(&x.c, &x.f, 1), off[i] == PROOF_ACKNOWLEDGED);
        x.f.peer[1] = (struct core_peer){ 0 };
        assert_false(proof_voided(&x.c, &x.f, 1));
    }
}

/* As the second node: the first one is looked at too, and nobody beyond the last. */
static void test_the_second_node_looks_at_the_first(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.c.cfg.self = 1;
    x.f.peer[0] = x.f.peer[1];
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), 0);
    x.c.proof[0].kind = PROOF_NOT_NEEDED;
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), CORE_NODE_NONE);
    x.f.peer[0].no_service = false;
    assert_int_equal(proof_first_voided(&x.c, &x.f), 0);
    x.c.proof[0].kind = PROOF_NONE;
    x.c.held_from[0] = 1;
    assert_int_equal(proof_first_ended(&x.c, &x.f), CORE_NODE_NONE); /* a member that is not clean */
    x.f.peer[0].in_ring = false;
    assert_int_equal(proof_first_ended(&x.c, &x.f), 0);
    x.f.peer[0].in_ring = x.f.peer[0].no_service = true;
    assert_int_equal(proof_first_ended(&x.c, &x.f), 0);
    x.f.n_open = 1;
    x.f.open[0] = (struct core_epoch){ .n = 1, .node = 0, .boot = OTHER };
    assert_int_equal(proof_first_rebooted(&x.c, &x.f), 0);
    x.f.peer[0].in_ring = false;
    assert_int_equal(proof_first_to_fence(&x.c, &x.f, true), 0);
    x.f.quorate = false;
    assert_int_equal(facts_cluster_why(&x.c, &x.f), WHY_UNSEEN_PEER);
    x.f.peer[0].in_ring = true;
    assert_int_equal(facts_cluster_why(&x.c, &x.f), WHY_NOT_QUORATE);
}

static void test_nobody_beyond_the_last(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.c.proof[1].kind = PROOF_NOT_NEEDED; /* nodes 2 and 3 are not configured */
    x.f.peer[2] = x.f.peer[1];
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), CORE_NODE_NONE);
    assert_int_equal(proof_first_to_fence(&x.c, &x.f, false), CORE_NODE_NONE);
    x.c.since_ms = 0;
    assert_int_equal(proof_first_to_fence(&x.c, &x.f, false), CORE_NODE_NONE);
    x.c.held_from[2] = 1;
    assert_int_equal(proof_first_ended(&x.c, &x.f), CORE_NODE_NONE);
    x.f.n_open = 1;
    x.f.open[0] = (struct core_epoch){ .n = 1, .node = 2, .boot = OTHER };
    assert_int_equal(proof_first_rebooted(&x.c, &x.f), CORE_NODE_NONE);
    x.f.n_open = 0;
    x.c.proof[2].kind = PROOF_OFF;
    x.f.peer[2].beat_boot = x.c.proof[2].boot = SAME;
    assert_int_equal(proof_first_voided(&x.c, &x.f), CORE_NODE_NONE);
    assert_false(proof_off_beats(&x.c, &x.f));
    x.c.dead_boot[2] = SAME;
    x.f.peer[2].dead_boot_seen = true;
    unsigned who;
    assert_false(facts_dead_spoke(&x.c, &x.f, &who));
    x.f.quorate = false;
    x.f.peer[1].in_ring = false;
    assert_int_equal(facts_cluster_why(&x.c, &x.f), WHY_UNSEEN_PEER);
    x.f.quorate = true;
    x.f.peer[2].digest_differs = true;
    struct core_why_list l;
    blockers_passive(&x.c, &x.f, false, &l);
    assert_int_equal(l.n, 0);
}

static void test_who_is_being_asked(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    x.c.fence.target = 1;
    x.c.fence.phase = FENCE_OFF; /* the pause before a new try: another proof may come */
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), 1);
    x.c.pending.op = OP_FENCE_OFF;
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), CORE_NODE_NONE);
    x.c.pending.op = OP_NONE;
    x.c.fence.phase = FENCE_FIRST; /* off was asked for, and may be on its way */
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), CORE_NODE_NONE);
}

static void test_the_walk_over_devices(void **state)
{
    static const uint8_t node[] = { 0, 1, 1, 1, 1 }, level[] = { 1, 1, 1, 2, 3 };
    struct fx x;
    (void)state;
    at_now(&x);
    for (unsigned d = 0; d < 5; d++) {
        x.c.cfg.device[d].node = node[d];
        x.c.cfg.device[d].level = level[d];
    }
    x.c.cfg.n_devices = 4; /* the last one is not configured */
    assert_int_equal(fence_first_device(&x.c, 1), 1);
    assert_int_equal(fence_next_in_level(&x.c, 0), CORE_DEVICES);
    assert_int_equal(fence_next_in_level(&x.c, 1), 2);
    assert_int_equal(fence_next_in_level(&x.c, 2), CORE_DEVICES);
    assert_int_equal(fence_first_in_level(&x.c, 2), 1);
    assert_int_equal(fence_next_level(&x.c, 1), 3);
    assert_int_equal(fence_next_level(&x.c, 2), 3);
    assert_int_equal(fence_next_level(&x.c, 3), CORE_DEVICES);
    x.c.cfg.device[4].level = 2;
    assert_int_equal(fence_next_in_level(&x.c, 3), CORE_DEVICES);
}

static void test_guards_at_their_edges(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    const struct core_event e = { .facts = &x.f };
    x.c.proof[1].kind = PROOF_NOT_NEEDED;
    assert_true(guard_proofs_own(&x.c, &e));
    x.c.pending.op = OP_FENCE_ON;
    x.c.pending.deadline_ms = NOW + 1;
    assert_false(guard_proofs_own(&x.c, &e));
    assert_false(guard_fence_on_answered(&x.c, &e));
    x.c.now_ms++;
    assert_true(guard_fence_on_answered(&x.c, &e));
    x.c.pending.op = OP_SERVICE_STOP;
    assert_false(guard_fence_on_answered(&x.c, &e));
    assert_true(guard_restart_stop_failed(&x.c, &e));
    x.c.now_ms--;
    assert_false(guard_restart_stop_failed(&x.c, &e));
    x.c.pending.op = OP_SERVICE_MONITOR;
    assert_false(guard_adopt_failed(&x.c, &e));
    x.c.now_ms++;
    assert_true(guard_adopt_failed(&x.c, &e));
}

static void test_how_often_it_is_restarted(void **state)
{
    struct fx x;
    (void)state;
    at_now(&x);
    const struct core_event e = { .facts = &x.f };
    x.c.pending.op = OP_SERVICE_MONITOR;
    x.c.pending.deadline_ms = NOW;
    x.c.cfg.max_restarts = 9;
    x.c.cfg.max_failures = 3;
    x.c.failure_ms[0] = x.c.failure_ms[1] = NOW;
    x.c.failures = 1;
    assert_true(guard_monitor_restart(&x.c, &e));  /* the second failure of three */
    x.f.maintenance = true;
    assert_false(guard_monitor_restart(&x.c, &e));
    x.f.maintenance = false;
    x.f.share = SHARE_UNKNOWN;
    assert_false(guard_monitor_restart(&x.c, &e));
    x.f.share = SHARE_OK;
    x.c.failures = 2;
    assert_false(guard_monitor_restart(&x.c, &e)); /* the third one: held */
}

#define SWITCHES_ON(want, set) \
    do { \
        struct fx x; \
        at_now(&x); \
        x.c.power_on[0] = true; \
        set; \
        assert_int_equal(guard_fence_on_due(&x.c, &(struct core_event){ .facts = &x.f }), want); \
    } while (0)

static void test_when_power_is_given_back(void **state)
{
    (void)state;
    SWITCHES_ON(true, (void)0);
    SWITCHES_ON(false, x.c.cfg.after_fence_on = false);
    SWITCHES_ON(false, x.f.maintenance = true);
    SWITCHES_ON(false, x.f.unreaped_fence = 1);
    SWITCHES_ON(false, x.c.intake_closed = true);
    SWITCHES_ON(false, x.c.pending.op = OP_SERVICE_MONITOR);
    SWITCHES_ON(false, x.c.power_on[0] = false);
    SWITCHES_ON(false, (x.c.power_on[0] = false, x.c.power_on[2] = true)); /* no such device */
}

const struct CMUnitTest core_facts_tests[] = {
    cmocka_unit_test(test_age_of_the_share), cmocka_unit_test(test_outranked),
    cmocka_unit_test(test_own_is_gone), cmocka_unit_test(test_intake_after_a_gap), cmocka_unit_test(test_ground_and_ring),
    cmocka_unit_test(test_whose_epochs_count), cmocka_unit_test(test_which_boot_is_the_present_one),
    cmocka_unit_test(test_signs_of_the_dead_and_strays), cmocka_unit_test(test_what_voids_a_proof),
    cmocka_unit_test(test_the_second_node_looks_at_the_first), cmocka_unit_test(test_nobody_beyond_the_last),
    cmocka_unit_test(test_who_is_being_asked), cmocka_unit_test(test_the_walk_over_devices),
    cmocka_unit_test(test_guards_at_their_edges), cmocka_unit_test(test_how_often_it_is_restarted),
    cmocka_unit_test(test_when_power_is_given_back),
};
const size_t core_n_facts_tests = sizeof core_facts_tests / sizeof *core_facts_tests;
