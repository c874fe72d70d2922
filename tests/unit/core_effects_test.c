/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each effect by itself, on a core that is full of what it has to clear; and what `explain` and its kin answer. */
#include "core/rules.h"
#include "core_tests.h"

struct desk { struct fx x; struct core_event e; struct core_turn t; };

/* At 100000 ms, with every memory of a takeover set. */
static struct core *laid(struct desk *d)
{
    struct core *c = &d->x.c;
    fx_init(&d->x);
    d->e = (struct core_event){ .facts = &d->x.f };
    d->t = (struct core_turn){ .c = c, .e = &d->e, .f = &d->x.f, .out = &d->x.out };
    c->observe_since_ms = 3;
    c->claim = c->claim_run = 4;
    c->own_issued = c->owned = c->end_issued = c->end_planned = c->adopted = c->drained = c->stopped = c->hold_after = true;
    c->retry_ms = c->turn_since_ms = c->share_fresh_since_ms = c->fence.next_ms = 7;
    c->fence.target = c->fence.phase = c->fence.tries = c->fence.device = 1;
    c->alerted = UINT64_MAX;
    c->failures = 2;
    for (unsigned i = 0; i < CORE_NODES; i++) {
        c->heard_ms[i] = c->beat_ms[i] = 9;
        c->dead_boot[i] = (struct core_id){ 1, 11 };
        c->held_from[i] = 1;
        c->proof[i].kind = PROOF_OFF;
    }
    for (unsigned i = 0; i < CORE_DEVICES; i++)
        c->power_on[i] = true;
    return c;
}

static void assert_no_fence(const struct core *c)
{
    assert_int_equal(c->fence.target, CORE_NODE_NONE);
    assert_true(c->fence.device == 0 && c->fence.phase == FENCE_IDLE && c->fence.tries == 0 && c->fence.next_ms == 0);
}

static void test_observe(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    do_observe(&d.t);
    assert_true(c->observe_since_ms == 100000 && c->turn_since_ms == 0 && c->share_fresh_since_ms == 0);
    assert_true(c->heard_ms[0] == 100000 && c->heard_ms[1] == 100000 && c->beat_ms[0] == 100000 && c->beat_ms[1] == 100000);
    assert_true(c->heard_ms[2] == 9); /* nobody of that number */
}

static void test_claim_and_end(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    d.x.f.highest = 6;
    do_run_claim(&d.t);
    assert_true(c->claim == 7 && !c->own_issued && !c->owned && !c->end_issued && c->held_from[0] == 0 && c->held_from[1] == 0);
    assert_int_equal(c->held_from[2], 1);
    for (unsigned i = 0; i < CORE_DEVICES; i++)
        assert_false(c->power_on[i]);
    c = laid(&d);
    c->end_issued = false;
    c->ending = 2; /* a stray one, not our claim */
    do_run_end(&d.t);
    assert_false(c->end_issued);
    c = laid(&d);
    c->end_issued = false;
    c->ending = 4;
    do_run_end(&d.t);
    assert_true(c->end_issued);
    c = laid(&d);
    do_forget_claim(&d.t);
    assert_true(c->claim == 0 && c->claim_run == 0 && c->retry_ms == 0);
    assert_false(c->own_issued || c->owned || c->end_issued || c->end_planned || c->adopted);
    c = laid(&d);
    c->stop_unproven = true;
    do_withdraw(&d.t);
    assert_true(c->ending == 4 && c->retry_ms == 0 && !c->stop_unproven && !c->end_planned);
    c = laid(&d);
    fx_open(&d.x, 3, 0, 10, false);
    do_end_stray(&d.t);
    assert_true(c->ending == 3 && c->retry_ms == 0);
    do_note_ended(&d.t);
    assert_true(c->claim == 4 && c->ending == 0 && c->observe_since_ms == 100000);
}

static void test_stop_and_clear(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    do_stop_unproven(&d.t);
    assert_true(c->stop_unproven && c->last_reason == WHY_STOP_UNPROVEN && c->retry_ms == 101000);
    c = laid(&d);
    do_clear(&d.t);
    assert_true(c->claim == 0 && !c->stopped && !c->hold_after && c->failures == 0 && c->alerted == 0);
    for (unsigned p = 0; p < CORE_NODES; p++)
        assert_true(c->dead_boot[p].lo == 0 && c->dead_boot[p].hi == 0);
}

static void test_proofs_begin_anew(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    do_begin_proofs(&d.t);
    assert_no_fence(c);
    assert_true(c->ring == 5 && c->alerted == 0 && !c->drained);
    for (unsigned p = 0; p < CORE_NODES; p++)
        assert_true(c->proof[p].kind == PROOF_NONE && c->dead_boot[p].lo == 0 && c->dead_boot[p].hi == 0);
    for (unsigned i = 0; i < CORE_DEVICES; i++)
        assert_true(c->power_on[i]); /* a node that was switched off in an earlier try is still to be switched on */
}

/* The boot that is proven is the one that was shown last, else the one in its epoch. */
static void test_which_boot_is_proven(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    struct core_peer *q = &d.x.f.peer[1];
    (void)state;
    q->beat_boot = (struct core_id){ 2, 22 };
    q->boot = (struct core_id){ 3, 33 };
    do_prove_off(&d.t);
    assert_true(c->proof[1].boot.lo == 22 && c->proof[1].kind == PROOF_OFF);
    assert_no_fence(c);
    c->fence.target = 1;
    q->beat_boot = (struct core_id){ 0, 0 };
    d.e.kind = EV_DONE;
    d.e.op_id = 55;
    do_prove_off(&d.t);
    assert_true(c->proof[1].boot.lo == 33 && c->proof[1].op_id == 55);
    c->fence.target = 1;
    q->boot = (struct core_id){ 0, 0 };
    c->op_seq = 66;
    d.e.kind = EV_LOOK;
    do_prove_off(&d.t);
    assert_true(c->proof[1].boot.lo == 0 && c->proof[1].boot.hi == 0 && c->proof[1].op_id == 66);
    c->fence.target = 1;
    fx_open(&d.x, 1, 1, 44, true);
    fx_open(&d.x, 2, 0, 10, true);
    do_prove_off(&d.t);
    assert_int_equal(c->proof[1].boot.lo, 44);
    c->fence.target = 1;
    d.x.f.open[0].node = 0;
    d.x.f.open[2] = (struct core_epoch){ .n = 9, .node = 1, .boot = { 1, 77 } }; /* beyond the number that was read */
    do_prove_off(&d.t);
    assert_int_equal(c->proof[1].boot.lo, 0);
    c->fence.target = 2;
    do_prove_off(&d.t); /* nobody of that number */
    assert_int_equal(c->proof[2].boot.lo, 0);
    assert_int_equal(c->fence.target, 2);
}

static void test_acknowledged_and_drained(void **state)
{
    static const enum core_proof strong[] = { PROOF_OFF, PROOF_DENIED, PROOF_ACKNOWLEDGED };
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    d.e.node = 1;
    c->cfg.device[2].node = 1; /* beyond the last device */
    do_prove_acknowledged(&d.t);
    assert_true(c->power_on[0] && !c->power_on[1] && c->power_on[2]); /* only those of that node */
    d.x.c.cfg.self = 1;
    d.e.node = 0;
    do_prove_acknowledged(&d.t);
    assert_false(c->power_on[0]);
    for (unsigned i = 0; i < 3; i++) {
        c = laid(&d);
        c->proof[0].kind = c->proof[1].kind = c->proof[2].kind = strong[i];
        c->proof[0].boot.lo = c->proof[1].boot.lo = c->proof[2].boot.lo = 50;
        do_note_drained(&d.t);
        assert_true(c->dead_boot[0].lo == 50 && c->dead_boot[1].lo == 50 && c->dead_boot[2].lo == 11);
    }
    c = laid(&d);
    c->proof[1].kind = PROOF_ENDED;
    c->proof[1].boot.lo = 50;
    do_note_drained(&d.t);
    assert_int_equal(c->dead_boot[1].lo, 11);
}

/* No pause but the one that is asked for. */
static void test_fence_steps(void **state)
{
    static const core_effect at_once[] = { do_fence_first, do_fence_next_device, do_fence_sweep, do_fence_sweep_next,
                                           do_fence_next_level };
    struct desk d;
    (void)state;
    for (unsigned i = 0; i < sizeof at_once / sizeof *at_once; i++) {
        struct core *c = laid(&d);
        at_once[i](&d.t);
        assert_int_equal(c->fence.next_ms, 100000);
    }
    struct core *c = laid(&d);
    c->proof[1].kind = PROOF_NONE;
    c->fence.target = CORE_NODE_NONE;
    d.x.f.peer[1].in_ring = false;
    do_fence_target(&d.t);
    assert_true(c->fence.target == 1 && c->fence.device == 1 && c->fence.next_ms == 100000 && c->fence.phase == FENCE_OFF);
    c = laid(&d);
    c->power_on[1] = false;
    do_run_fence(&d.t);
    assert_true(c->power_on[1] && d.x.out.v[d.x.out.n - 1].node == 1);
    c = laid(&d);
    c->power_on[1] = false;
    c->fence.phase = FENCE_FIRST;
    do_run_fence(&d.t);
    assert_false(c->power_on[1]); /* a question is no off */
}

static void test_power_given_back(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    c->power_on[0] = false;
    c->fence.device = 0;
    d.x.out.n = 0;
    do_run_fence_on(&d.t);
    assert_true(c->fence.device == 1 && !c->power_on[1] && d.x.out.n == 1 && d.x.out.v[0].device == 1 && d.x.out.v[0].node == 1);
    c = laid(&d);
    c->power_on[0] = c->power_on[1] = false; /* what is beyond the last device is none */
    d.x.out.n = 0;
    do_run_fence_on(&d.t);
    assert_true(d.x.out.n == 0 && c->power_on[2]);
}

static void test_blame(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    c->claim = 0;
    do_blame_ground(&d.t); /* all is well */
    assert_true(c->last_reason == WHY_PEER_LIVES && c->last_node == 1); /* but for a proof of a node that is there */
    c->proof[1].kind = PROOF_NONE;
    do_blame_ground(&d.t);
    assert_true(c->last_reason == WHY_NO_RING && c->last_node == 0);
    d.x.f.peer[1].digest_differs = true;
    do_blame_ground(&d.t);
    assert_true(c->last_reason == WHY_PEER_DIGEST && c->last_node == 1);
    d.x.f.maintenance = true;
    do_blame_ground(&d.t);
    assert_true(c->last_reason == WHY_MAINTENANCE && c->last_node == 0); /* the most basic one */
    c->claim = 4;
    d.x.f.highest = 5;
    d.x.f.last.node = 1;
    do_blame_ground(&d.t);
    assert_true(c->last_reason == WHY_HIGHER_CLAIM && c->last_node == 1);
}

static void test_blame_for_a_proof(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    c->last_reason = WHY_GAP;
    c->proof[1].kind = PROOF_NONE;
    do_blame_proof(&d.t); /* no proof is void: what was said before stands */
    assert_int_equal(c->last_reason, WHY_GAP);
    d.x.f.peer[1].beat_moves = true;
    do_blame_lives(&d.t);
    assert_int_equal(c->last_reason, WHY_GAP);
    c->proof[1].kind = PROOF_OFF;
    do_prove_ended(&d.t); /* nobody is left to be proven */
    assert_int_equal(c->proof[1].kind, PROOF_OFF);
    d.x.f.peer[2].beat_moves = true; /* nobody of that number */
    do_blame_lives(&d.t);
    assert_true(c->last_reason == WHY_DEAD_NODE_SPOKE && c->last_node == 1);
    c->cfg.self = 1;
    d.x.f.peer[0].beat_moves = true;
    do_blame_lives(&d.t);
    assert_int_equal(c->last_node, 0);
    do_blame_release(&d.t);
    assert_true(c->last_reason == WHY_RELEASE_REFUSED && c->last_node == 1);
}

static void test_on_the_way_to_active(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    c->release_why = WHY_BUSY;
    do_note_release(&d.t);
    assert_true(c->releases == 1 && c->release_why == WHY_NONE);
    c->intake_closed = true;
    c->monitor_due_ms = 0;
    do_note_active(&d.t);
    assert_true(!c->intake_closed && c->monitor_due_ms == 102000);
    c->monitor_due_ms = 0;
    do_note_adopted(&d.t);
    assert_true(c->intake_closed && c->monitor_due_ms == 102000);
    c->ring = 0;
    c->now_ms = 77;
    do_adopt(&d.t);
    assert_int_equal(c->ring, 5);
    assert_int_equal(c->owned_ms, 77);
    c->now_ms = 78;
    do_note_owned(&d.t);
    assert_true(c->owned && c->owned_ms == 78);
}

static void test_what_an_operation_is_told(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    struct core_action *a = d.x.out.v;
    (void)state;
    d.x.out.n = 0;
    turn_run(&d.t, OP_CLAIM, 10);
    assert_true(a->node == 0 && a->device == 0 && a->proof[1] == PROOF_NONE && !a->clean[1]);
    c->pending.op = OP_NONE;
    d.x.out.n = 0;
    turn_run(&d.t, OP_RECOVER, 10);
    assert_true(a->proof[1] == PROOF_OFF && a->clean[1] && !a->clean[0] && !a->clean[2]);
    c->pending.op = OP_NONE;
    c->cfg.self = 1;
    d.x.f.peer[0] = d.x.f.peer[2] = d.x.f.peer[1];
    d.x.out.n = 0;
    turn_run(&d.t, OP_RECOVER, 10);
    assert_true(a->clean[0] && !a->clean[1] && !a->clean[2]);
}

/* Reports that are a deadline apart are no hang, a millisecond more is one. */
static void test_a_hang_is_remembered(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    (void)state;
    c->share_seen_ms = d.x.f.share_seen_ms - 2000;
    core_remember(c, &d.x.f);
    assert_int_equal(c->share_fresh_since_ms, 7);
    c->share_seen_ms = d.x.f.share_seen_ms - 2001;
    core_remember(c, &d.x.f);
    assert_int_equal(c->share_fresh_since_ms, 100000);
}

static void test_what_is_remembered(void **state)
{
    struct desk d;
    struct core *c = laid(&d);
    struct core_peer *q = &d.x.f.peer[1];
    (void)state;
    c->state = ST_PASSIVE;
    c->claim = c->claim_run = 0;
    c->stuck_since_ms[1] = 5;
    c->was_in_ring[1] = false;
    c->ring_change_ms[1] = 5;
    core_remember(c, &d.x.f);
    assert_true(c->heard_ms[1] == 100000 && c->beat_ms[1] == 100000 && c->ring_change_ms[1] == 100000);
    assert_true(c->stuck_since_ms[1] == 0 && !(c->alerted & (1ull << WHY_SPLIT)) && (c->alerted & (1ull << WHY_GAP)));
    fx_open(&d.x, 1, 1, 11, true);
    core_remember(c, &d.x.f);
    assert_true(c->stuck_since_ms[1] == 0 && c->turn_since_ms == 0); /* it holds, and is not stuck; it is active */
    q->held = true;
    core_remember(c, &d.x.f);
    assert_int_equal(c->stuck_since_ms[1], 100000);
    fx_close(&d.x, 1);
    core_remember(c, &d.x.f);
    assert_int_equal(c->stuck_since_ms[1], 0); /* held, and it holds no epoch */
    q->held = false;
    core_remember(c, &d.x.f);
    assert_int_equal(c->turn_since_ms, 100000);
    c->state = ST_PROOF;
    core_remember(c, &d.x.f);
    assert_int_equal(c->turn_since_ms, 0);
    c->cfg.self = 1;
    d.x.f.peer[0].heard = true;
    c->heard_ms[2] = 5;
    d.x.f.peer[2].heard = true;
    core_remember(c, &d.x.f);
    assert_true(c->heard_ms[0] == 100000 && c->heard_ms[2] == 5);
}

const struct CMUnitTest core_effects_tests[] = {
    cmocka_unit_test(test_observe), cmocka_unit_test(test_claim_and_end), cmocka_unit_test(test_stop_and_clear),
    cmocka_unit_test(test_proofs_begin_anew), cmocka_unit_test(test_which_boot_is_proven),
    cmocka_unit_test(test_acknowledged_and_drained), cmocka_unit_test(test_fence_steps), cmocka_unit_test(test_power_given_back),
    cmocka_unit_test(test_blame), cmocka_unit_test(test_blame_for_a_proof),
    cmocka_unit_test(test_on_the_way_to_active), cmocka_unit_test(test_what_an_operation_is_told),
    cmocka_unit_test(test_what_is_remembered), cmocka_unit_test(test_a_hang_is_remembered),
};
const size_t core_n_effects_tests = sizeof core_effects_tests / sizeof *core_effects_tests;
