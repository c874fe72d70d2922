/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values at and beyond every limit, and the second half of each condition. */
#include "core/rules.h"
#include "core_tests.h"

static void test_numbers_without_a_name(void **state)
{
    int ids[3] = { 0, 0, 0 };
    (void)state;
    assert_int_equal(core_rule_ids(ids, 2), 2);
    assert_true(ids[0] == 101 && ids[1] == 103 && ids[2] == 0);
    assert_string_equal(core_state_name((enum core_state)99), "?");
    assert_string_equal(core_op_name((enum core_op)99), "?");
    assert_non_null(core_reason_name((enum core_reason)99));
    struct fx x;
    struct core_why v[CORE_REASONS];
    fx_init(&x);
    x.c.state = (enum core_state)99;
    assert_int_equal(core_explain(&x.c, &x.f, v), 0);
    for (unsigned k = PROOF_N; k < PROOF_N + 3; k++) {
        x.c.proof[1].kind = (enum core_proof)k;
        assert_true(proof_voided(&x.c, &x.f, 1)); /* a proof that is none */
    }
}

/* Eight failures are remembered; that many within the window hold the node whatever its limit. */
static void test_the_memory_of_failures_is_full(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    struct core_turn t = { .c = &x.c, .f = &x.f, .out = &x.out, .was = OP_RECOVER };
    x.c.cfg.max_failures = 20;
    for (unsigned i = 0; i < 7; i++)
        do_count_failure(&t);
    assert_true(x.c.failures == 7 && !x.c.hold_after);
    do_count_failure(&t);
    assert_true(x.c.failures == 8 && x.c.hold_after && x.c.last_reason == WHY_RECOVER_FAILED);
    do_count_failure(&t);
    assert_int_equal(x.c.failures, 8);
    x.c.now_ms += x.c.cfg.failure_window_ms;
    do_count_failure(&t);
    assert_int_equal(x.c.failures, 1);
}

static void test_more_epochs_than_are_looked_at(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    struct core_event e = { .facts = &x.f };
    struct core_turn t = { .c = &x.c, .e = &e, .f = &x.f, .out = &x.out };
    for (unsigned i = 0; i < CORE_EPOCHS; i++)
        x.f.open[i] = (struct core_epoch){ .n = i + 1, .node = 0, .boot = { 1, 5 } };
    x.f.n_open = CORE_EPOCHS + 1;
    x.f.peer[1] = (struct core_peer){ 0 };
    x.c.fence.target = 1;
    do_prove_off(&t);
    assert_int_equal(x.c.proof[1].boot.lo, 0);
    do_void_proof(&t); /* nothing to void */
    assert_int_equal(x.c.proof[1].kind, PROOF_OFF);
    x.c.last_reason = WHY_GAP;
    do_blame_lives(&t);
    assert_int_equal(x.c.last_reason, WHY_GAP);
    x.f.peer[1].heard = true;
    do_void_proof(&t);
    assert_int_equal(x.c.proof[1].kind, PROOF_NONE);
}

#define CLEAN(want, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        struct core_peer *q = &x.f.peer[1]; \
        q->highest = 4; \
        x.f.highest = 4; \
        set; \
        assert_int_equal(facts_clean(&x.c, &x.f, 1), want); \
        (void)q; \
    } while (0)

static void test_clean_member(void **state)
{
    (void)state;
    CLEAN(true, (void)0);
    CLEAN(false, q->in_ring = false);
    CLEAN(false, q->heard = false);
    CLEAN(false, q->boot = ((struct core_id){ 0, 0 }));
    CLEAN(true, q->boot = ((struct core_id){ 1, 0 }));
    CLEAN(false, q->digest_differs = true);
    CLEAN(false, q->highest = 5);
    CLEAN(true, (q->highest = 5, x.c.claim = 5)); /* ours may be won and not listed yet */
    CLEAN(false, q->no_service = false);
    CLEAN(false, q->no_share_child = false);
    CLEAN(false, q->no_end_pending = false);
}

static void test_proofs_of_a_clean_member(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 99, true);
    assert_int_equal(proof_first_not_needed(&x.c, &x.f), CORE_NODE_NONE); /* clean, and it holds an epoch */
    x.c.proof[1].kind = PROOF_NOT_NEEDED;
    assert_true(proof_voided(&x.c, &x.f, 1));
    x.c.proof[1].kind = PROOF_NONE;
    assert_true(facts_rebooted(&x.c, &x.f, 1));
    x.f.open[0].node = 3; /* nobody's, so perhaps its own: no boot of that one can be compared */
    assert_false(facts_rebooted(&x.c, &x.f, 1));
    x.f.open[0] = (struct core_epoch){ .n = 0, .node = 1, .boot = { 1, 11 } };
    assert_false(facts_holds_claim_only(&x.f, 1));
    x.f.open[0].n = 1;
    assert_true(facts_holds_claim_only(&x.f, 1));
    x.f.open[0].owned = true;
    assert_false(facts_holds_claim_only(&x.f, 1));
}

#define GROUND(want, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        x.c.ring = x.f.ring; \
        x.c.observe_since_ms = 0; \
        set; \
        assert_int_equal(facts_ground(&x.c, &x.f), want); \
    } while (0)

static void test_ground(void **state)
{
    (void)state;
    GROUND(true, (void)0);
    GROUND(false, x.f.quorate = false);
    GROUND(false, x.f.encrypted_ok = false);
    GROUND(false, x.f.ring++);
    GROUND(false, x.f.share = SHARE_UNKNOWN);
    GROUND(false, x.c.observe_since_ms = x.f.share_seen_ms); /* fresh, and not read since */
    GROUND(false, x.f.maintenance = true);
    GROUND(false, x.f.unreaped = 1);
    GROUND(false, x.f.service_here = TRI_YES);
    GROUND(true, x.f.service_here = TRI_UNKNOWN);
}

#define ADOPTS(want, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        x.c.observe_since_ms = 0; \
        fx_open(&x, 1, 0, 10, true); \
        x.f.adoptable = 1; \
        x.f.maintenance = x.f.maintenance_sound = true; \
        x.f.service_here = TRI_YES; \
        set; \
        assert_int_equal(facts_adoptable(&x.c, &x.f), want); \
    } while (0)

static void test_adoption(void **state)
{
    (void)state;
    ADOPTS(true, (void)0);
    ADOPTS(false, x.c.no_adoption = true);
    ADOPTS(false, x.c.claim = 1);
    ADOPTS(false, x.f.maintenance = false);
    ADOPTS(false, x.f.maintenance_sound = false);
    ADOPTS(false, x.f.service_here = TRI_UNKNOWN);
    ADOPTS(false, x.f.unreaped = 1);
    ADOPTS(false, x.f.quorate = false);
    ADOPTS(false, x.f.encrypted_ok = false);
    ADOPTS(false, x.f.share = SHARE_WRONG);
    ADOPTS(false, x.c.observe_since_ms = x.f.share_seen_ms);
    ADOPTS(false, x.f.last.n = x.f.adoptable = x.f.highest = x.f.local_max = 0);
    ADOPTS(false, x.f.highest = 2);
    ADOPTS(false, x.f.adoptable = 2);
    ADOPTS(false, x.f.last.node = 1);
    ADOPTS(false, x.f.last.boot.lo = 9);
    ADOPTS(false, x.f.last.owned = false);
    ADOPTS(false, x.f.last.ended = true);
}

#define STOPS_NOW(want, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        x.f.adoptable = 1; \
        x.f.quorate = false; \
        set; \
        assert_int_equal(guard_stop_due(&x.c, &(struct core_event){ .facts = &x.f }), want); \
    } while (0)

/* What may yet be adopted is left alone for two deadlines. */
static void test_what_is_left_alone(void **state)
{
    (void)state;
    STOPS_NOW(false, (void)0);
    STOPS_NOW(true, x.f.adoptable = 0);
    STOPS_NOW(true, x.c.no_adoption = true);
    STOPS_NOW(true, (x.f.quorate = true, x.c.observe_since_ms = 0));
    STOPS_NOW(false, (x.f.quorate = true, x.c.observe_since_ms = x.now));
    STOPS_NOW(false, (x.f.quorate = x.f.maintenance = true, x.c.observe_since_ms = 0, x.f.service_here = TRI_UNKNOWN));
    STOPS_NOW(true, (x.f.quorate = true, x.c.observe_since_ms = 0, x.f.service_here = TRI_UNKNOWN));
    STOPS_NOW(true, (x.c.claim = 1, x.f.highest = 2));
    STOPS_NOW(false, x.c.now_ms = x.c.since_ms + 3999);
    STOPS_NOW(true, x.c.now_ms = x.c.since_ms + 4000);
    STOPS_NOW(false, (x.f.adoptable = 0, x.c.retry_ms = x.now + 1));
}

/* Two devices in the level of node 1: 1 and 2. */
static void test_off_of_several_devices(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.c.cfg.n_devices = 3;
    x.c.cfg.device[2].node = x.c.cfg.device[2].level = 1;
    x.c.pending.op = OP_FENCE_STATUS;
    x.c.pending.id = 5;
    const struct core_event e = { .kind = EV_DONE, .op_id = 5, .op = OP_FENCE_STATUS, .result = RES_OFF, .facts = &x.f };
    static const struct { unsigned phase, device; bool more, sweep, again, proven; } want[] = {
        { FENCE_SECOND, 1, true, false, false, false }, { FENCE_SECOND, 2, false, true, false, false },
        { FENCE_SWEEP, 1, false, false, true, false },  { FENCE_SWEEP, 2, false, false, false, true },
        { FENCE_SECOND, 0, false, false, false, true }, { FENCE_FIRST, 2, false, false, false, false },
    };
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++) {
        x.c.fence.phase = want[i].phase;
        x.c.fence.device = want[i].device;
        assert_int_equal(guard_second_off_more(&x.c, &e), want[i].more);
        assert_int_equal(guard_second_off_sweep(&x.c, &e), want[i].sweep);
        assert_int_equal(guard_sweep_off_more(&x.c, &e), want[i].again);
        assert_int_equal(guard_proven_off(&x.c, &e), want[i].proven);
    }
    x.c.pending.op = OP_NONE;
    x.c.proof[1].kind = PROOF_OFF;
    assert_false(guard_proofs_own(&x.c, &e)); /* the drain comes first */
    assert_true(guard_proofs_drain(&x.c, &e));
}

static void test_guards_of_a_kept_claim_and_of_fencing(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    const struct core_event e = { .facts = &x.f };
    x.c.observe_since_ms = x.c.since_ms = 0;
    x.c.claim = x.c.claim_run = x.f.highest = 1;
    assert_false(guard_claim_stuck(&x.c, &e)); /* old, and nothing is in its way */
    x.f.maintenance = true;
    assert_true(guard_claim_stuck(&x.c, &e));
    x.c.claim = 0;
    assert_false(guard_claim_stuck(&x.c, &e));
    x.f.peer[1].in_ring = false;
    assert_true(guard_fence_begin(&x.c, &e));
    x.f.unreaped_fence = 1;
    assert_false(guard_fence_begin(&x.c, &e));
    x.f.unreaped_fence = 0;
    x.c.fence.target = 1;
    assert_false(guard_fence_begin(&x.c, &e));
    x.c.fence.phase = FENCE_OFF; /* in the pause between two tries it lacks a proof, and is its own target already */
    assert_false(guard_fence_begin(&x.c, &e));
    x.c.proof[1] = (struct core_proof_state){ .kind = PROOF_OFF, .boot = { 1, 11 } };
    assert_true(proof_off_beats(&x.c, &x.f));
    x.f.peer[1].beat_boot.lo = 12; /* another boot of it */
    assert_false(proof_off_beats(&x.c, &x.f));
}

#define FITS(s, good, bad) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, ST_PASSIVE); \
        x.c.state = s; \
        x.c.ending = (s) == ST_ENDING; \
        x.c.claim = x.c.claim_run = 2; \
        x.c.drained = x.c.owned = x.c.own_issued = (s) == ST_RELEASING || (s) == ST_ACTIVE || (s) == ST_RECOVER; \
        x.c.proof[1].kind = PROOF_OFF; \
        x.c.pending.id = x.c.pending.deadline_ms = 9; \
        x.c.pending.op = good; \
        assert_true(core_invariant(&x.c)); \
        x.c.pending.op = bad; \
        assert_false(core_invariant(&x.c)); \
    } while (0)

static void test_only_without_room_the_recovery_waits(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_RECOVER);
    assert_true(core_invariant(&x.c));
    x.c.pending.op = OP_NONE;
    x.c.pending.id = x.c.pending.deadline_ms = 0;
    assert_false(core_invariant(&x.c));
    x.c.no_room = true;
    assert_true(core_invariant(&x.c));
}

static void test_which_operation_fits_which_state(void **state)
{
    (void)state;
    FITS(ST_STOPPING, OP_SERVICE_STOP, OP_CLAIM);
    FITS(ST_STOPPING, OP_ADDRESS_STOP, OP_SYNC);
    FITS(ST_RELEASING, OP_SERVICE_RELEASE, OP_SERVICE_STOP);
    FITS(ST_RELEASING, OP_SYNC, OP_END);
    FITS(ST_RELEASING, OP_ADDRESS_STOP, OP_ADDRESS_START);
    FITS(ST_RELEASING, OP_SERVICE_RESUME, OP_SERVICE_START);
    FITS(ST_PROOF, OP_FENCE_OFF, OP_FENCE_ON);
    FITS(ST_PROOF, OP_FENCE_STATUS, OP_DRAIN);
    FITS(ST_ENDING, OP_END, OP_OWN);
    FITS(ST_RECOVER, OP_RECOVER, OP_ADDRESS_START);
    FITS(ST_ACTIVE, OP_SERVICE_MONITOR, OP_SERVICE_STOP);
    FITS(ST_ACTIVE, OP_INTAKE_CLOSE, OP_RECOVER);
    FITS(ST_ACTIVE, OP_INTAKE_OPEN, OP_FENCE_OFF);
    FITS(ST_ACTIVE, OP_FENCE_ON, OP_FENCE_STATUS);
}

const struct CMUnitTest core_limits_tests[] = {
    cmocka_unit_test(test_numbers_without_a_name), cmocka_unit_test(test_the_memory_of_failures_is_full),
    cmocka_unit_test(test_more_epochs_than_are_looked_at), cmocka_unit_test(test_clean_member),
    cmocka_unit_test(test_proofs_of_a_clean_member), cmocka_unit_test(test_ground), cmocka_unit_test(test_adoption),
    cmocka_unit_test(test_what_is_left_alone), cmocka_unit_test(test_off_of_several_devices),
    cmocka_unit_test(test_guards_of_a_kept_claim_and_of_fencing),
    cmocka_unit_test(test_only_without_room_the_recovery_waits), cmocka_unit_test(test_which_operation_fits_which_state),
};
const size_t core_n_limits_tests = sizeof core_limits_tests / sizeof *core_limits_tests;
