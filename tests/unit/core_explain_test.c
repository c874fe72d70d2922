/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `explain` says in each state, and what is answered to a person who asks for something. */
#include "core/private.h"
#include "core_tests.h"

#define SAYS(s, why, set) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, s); \
        set; \
        assert_true(fx_explains(&x, why)); \
    } while (0)

#define SILENT(s, why, set) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, s); \
        set; \
        assert_false(fx_explains(&x, why)); \
    } while (0)

static void test_passive(void **state)
{
    (void)state;
    SAYS(ST_PASSIVE, WHY_MAINTENANCE, x.f.maintenance = true);
    SAYS(ST_PASSIVE, WHY_NOT_ENCRYPTED, x.f.encrypted_ok = false);
    SAYS(ST_PASSIVE, WHY_SHARE_WRONG, x.f.share = SHARE_WRONG);
    SAYS(ST_PASSIVE, WHY_SERVICE_HERE, x.f.service_here = TRI_YES);
    SAYS(ST_PASSIVE, WHY_SERVICE_HERE, x.f.service_here = TRI_UNKNOWN);
    SAYS(ST_PASSIVE, WHY_TOO_MANY_OPEN, x.f.n_open = CORE_EPOCHS + 1);
    SILENT(ST_PASSIVE, WHY_TOO_MANY_OPEN, x.f.n_open = CORE_EPOCHS);
    SAYS(ST_PASSIVE, WHY_PEER_DIGEST, x.f.peer[1].in_ring = x.f.peer[1].digest_differs = true);
    SAYS(ST_PASSIVE, WHY_SPLIT, x.f.peer[1].beat_moves = true);
    SAYS(ST_PASSIVE, WHY_PEER_AHEAD, (x.f.peer[1].in_ring = x.f.peer[1].heard = true, x.f.peer[1].highest = 9));
    SILENT(ST_PASSIVE, WHY_PEER_AHEAD, (x.f.peer[1].in_ring = x.f.peer[1].heard = true, x.f.peer[1].highest = 9, x.c.claim = 9));
}

static void test_no_more_reasons_than_there_is_room(void **state)
{
    struct core_why_list l = { .n = 0 };
    (void)state;
    for (unsigned i = 0; i < CORE_REASONS + 3; i++)
        blockers_add(&l, WHY_GAP, 0, i);
    assert_int_equal(l.n, CORE_REASONS);
    blockers_add(&l, WHY_NONE, 0, 0);
    l.n = 0;
    blockers_add(&l, WHY_NONE, 0, 0);
    assert_int_equal(l.n, 0);
}

static void test_whose_turn(void **state)
{
    struct core_why_list l;
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_PASSIVE);
    x.c.cfg.self = 1;
    x.f.peer[0] = x.f.peer[1];
    x.c.turn_since_ms = 1;
    x.c.now_ms = 20000; /* a patience after 1 is 20001 */
    x.f.share_seen_ms = x.c.now_ms;
    x.c.observe_since_ms = 0;
    blockers_passive(&x.c, &x.f, true, &l);
    assert_true(l.n == 1 && l.v[0].reason == WHY_PEER_TURN && l.v[0].node == 0 && l.v[0].value == 20001);
    x.c.now_ms = 20001;
    blockers_passive(&x.c, &x.f, true, &l);
    assert_int_equal(l.n, 0);
    x.c.turn_since_ms = 0;
    blockers_passive(&x.c, &x.f, true, &l);
    assert_int_equal(l.n, 1);
    x.f.peer[0].in_ring = false;
    blockers_passive(&x.c, &x.f, true, &l);
    assert_int_equal(l.n, 0);
    x.f.peer[0].in_ring = true;
    x.f.peer[0].held = true;
    blockers_passive(&x.c, &x.f, true, &l);
    assert_int_equal(l.n, 0);
    x.f.peer[0].held = false;
    x.f.last = (struct core_epoch){ .n = 1, .node = 0, .ended = true }; /* who has ended goes last */
    blockers_passive(&x.c, &x.f, true, &l);
    assert_int_equal(l.n, 0);
}

static void test_proof(void **state)
{
    (void)state;
    SAYS(ST_PROOF, WHY_NO_DEVICE, (x.c.cfg.n_devices = 0, x.c.fence.target = CORE_NODE_NONE));
    SAYS(ST_PROOF, WHY_NO_DEVICE, (x.c.cfg.n_devices = 0, x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true,
                                   x.c.since_ms = 0));
    SILENT(ST_PROOF, WHY_NO_DEVICE, (x.c.cfg.n_devices = 0, x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true));
    SAYS(ST_PROOF, WHY_PEER_DIRTY, (x.c.cfg.n_devices = 0, x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true,
                                    x.f.n_open = 0));
    SAYS(ST_PROOF, WHY_FENCE_RUNNING, x.c.fence.target = 1);
    SAYS(ST_PROOF, WHY_FENCE_FAILED, (x.c.fence.target = 1, x.c.fence.tries = 1));
    SAYS(ST_PROOF, WHY_FENCE_RUNNING, (x.c.fence.target = CORE_NODE_NONE, x.f.unreaped_fence = 1));
    SAYS(ST_PROOF, WHY_PEER_MAY_END, (x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true));
    SILENT(ST_PROOF, WHY_PEER_MAY_END, (x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true,
                                        x.c.stuck_since_ms[1] = 1)); /* it has had its time */
    SAYS(ST_PROOF, WHY_PEER_DIRTY, (x.c.fence.target = CORE_NODE_NONE, x.f.n_open = 0));
    SAYS(ST_PROOF, WHY_PEER_DIRTY, (x.c.fence.target = CORE_NODE_NONE, x.c.since_ms = 0));
}

/* Its patience is over with the very millisecond in which the core would fence it. */
static void test_proof_at_the_end_of_patience(void **state)
{
#define AT_THE_END (x.c.fence.target = CORE_NODE_NONE, x.f.peer[1].in_ring = true, x.c.since_ms = 1000, \
                    x.c.now_ms = 1000 + x.c.cfg.claim_patience_ms)
    (void)state;
    SILENT(ST_PROOF, WHY_PEER_MAY_END, AT_THE_END);
    SAYS(ST_PROOF, WHY_PEER_MAY_END, (AT_THE_END, x.c.now_ms--));
    SAYS(ST_PROOF, WHY_NO_DEVICE, (AT_THE_END, x.c.cfg.n_devices = 0));
    SILENT(ST_PROOF, WHY_NO_DEVICE, (AT_THE_END, x.c.cfg.n_devices = 0, x.c.now_ms--));
}

static void test_proofs_of_others_only(void **state)
{
    struct fx x;
    struct core_why v[CORE_REASONS];
    (void)state;
    fx_dead_peer(&x, ST_PROOF);
    assert_true(core_explain(&x.c, &x.f, v) == 1 && v[0].node == 1); /* of others only */
    x.c.proof[1].kind = PROOF_OFF;
    assert_int_equal(core_explain(&x.c, &x.f, v), 0);
}

static void test_stopping_ending_hold(void **state)
{
    (void)state;
    SAYS(ST_ACTIVE, WHY_MAINTENANCE, x.f.maintenance = true);
    SAYS(ST_ACTIVE, WHY_SHARE_WRONG, (x.c.intake_closed = true, x.f.share = SHARE_WRONG));
    SAYS(ST_ACTIVE, WHY_LISTS_REFUSE, x.f.lists_refuse = true);
    SAYS(ST_PASSIVE, WHY_STARTING, x.c.state = ST_STARTING);
    SAYS(ST_PASSIVE, WHY_SERVICE_HERE, (x.c.state = ST_STARTING, x.f.service_here = TRI_YES));
    SILENT(ST_PASSIVE, WHY_SERVICE_HERE, x.c.state = ST_STARTING);
    SAYS(ST_PASSIVE, WHY_END_PENDING, x.c.state = ST_ENDING);
    SAYS(ST_PASSIVE, WHY_SERVICE_HERE, (x.c.state = ST_ENDING, x.f.service_here = TRI_UNKNOWN));
    SILENT(ST_PASSIVE, WHY_SERVICE_HERE, x.c.state = ST_ENDING);
    SAYS(ST_PASSIVE, WHY_UNREAPED, (x.c.state = ST_ENDING, x.f.unreaped = 1));
    SAYS(ST_PASSIVE, WHY_HELD, x.c.state = ST_HOLD);
    SAYS(ST_PASSIVE, WHY_GAP, x.f.share_seen_ms = x.c.observe_since_ms = x.c.now_ms);
    SAYS(ST_PASSIVE, WHY_DUPLICATE_ADDRESS, (x.c.state = ST_HOLD, x.c.last_reason = WHY_DUPLICATE_ADDRESS));
    SAYS(ST_PASSIVE, WHY_STOP_UNPROVEN, (x.c.state = ST_HOLD, x.c.stop_unproven = true, x.c.last_reason = WHY_SERVICE_FAILED));
    SILENT(ST_PASSIVE, WHY_STOP_UNPROVEN, (x.c.state = ST_HOLD, x.c.last_reason = WHY_SERVICE_FAILED));
}

static void test_each_reason_is_said_once(void **state)
{
    struct core_why v[CORE_REASONS];
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PASSIVE);
    x.c.state = ST_HOLD;
    x.c.stop_unproven = true;
    x.c.last_reason = WHY_STOP_UNPROVEN;
    assert_int_equal(core_explain(&x.c, &x.f, v), 2); /* said once */
    x.c.state = ST_STOPPING;
    x.c.last_reason = WHY_DUPLICATE_ADDRESS;
    x.c.last_node = 1;
    assert_true(core_explain(&x.c, &x.f, v) == 1 && v[0].reason == WHY_STARTING && v[0].node == 0 && v[0].value == 0);
    x.c.claim = 1;
    assert_true(core_explain(&x.c, &x.f, v) == 1 && v[0].reason == WHY_DUPLICATE_ADDRESS && v[0].node == 1);
}

#define ACKNOWLEDGES(why, who, set) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, ST_PROOF); \
        set; \
        assert_int_equal(core_may_acknowledge(&x.c, &x.f, who), why); \
    } while (0)

static void test_whose_death_is_believed(void **state)
{
    (void)state;
    ACKNOWLEDGES(WHY_NONE, 1, (void)0);
    ACKNOWLEDGES(WHY_NOT_ASKED, 2, (void)0);
    ACKNOWLEDGES(WHY_NOT_ASKED, 0, (void)0);
    ACKNOWLEDGES(WHY_NOT_ASKED, 1, x.c.state = ST_PASSIVE);
    ACKNOWLEDGES(WHY_NOT_ASKED, 1, x.c.proof[1].kind = PROOF_OFF);
    ACKNOWLEDGES(WHY_PEER_LIVES, 1, x.f.peer[1].in_ring = true);
    ACKNOWLEDGES(WHY_PEER_LIVES, 1, x.f.peer[1].heard = true);
    ACKNOWLEDGES(WHY_PEER_LIVES, 1, x.f.peer[1].beat_moves = true);
    ACKNOWLEDGES(WHY_PEER_LIVES, 1, x.c.heard_ms[1] = x.c.since_ms); /* since the operation began, that moment included */
    ACKNOWLEDGES(WHY_PEER_LIVES, 1, x.c.beat_ms[1] = x.c.since_ms);
    ACKNOWLEDGES(WHY_NONE, 1, x.c.beat_ms[1] = x.c.since_ms - 1);
    ACKNOWLEDGES(WHY_NONE, 1, (x.c.beat_ms[1] = x.c.since_ms, x.c.now_ms = x.c.since_ms + 20000));
}

#define RELEASES(why, to, set) \
    do { \
        struct fx x; \
        unsigned who = 9; \
        fx_init(&x); \
        fx_to(&x, ST_ACTIVE); \
        x.f.peer[1].ready = true; \
        set; \
        assert_int_equal(core_may_release(&x.c, &x.f, to, &who), why); \
        assert_int_equal(who, (to) == 1 ? 1 : 0); \
    } while (0)

static void test_to_whom_it_is_released(void **state)
{
    (void)state;
    RELEASES(WHY_NONE, 1, (void)0);
    RELEASES(WHY_NONE, CORE_NODE_NONE, (void)0);
    RELEASES(WHY_NONE, 2, (void)0); /* anybody */
    RELEASES(WHY_NO_SUCCESSOR, 0, (void)0);
    RELEASES(WHY_NO_SUCCESSOR, 1, x.f.peer[1].ready = false);
    RELEASES(WHY_NO_SUCCESSOR, CORE_NODE_NONE, (x.f.peer[2] = x.f.peer[1], x.f.peer[1].ready = false));
    RELEASES(WHY_NO_SUCCESSOR, 1, x.f.peer[1].no_service = false);
    RELEASES(WHY_NO_SUCCESSOR, 1, (x.c.cfg.n_nodes = 3, x.f.peer[2] = x.f.peer[1], x.f.peer[1].ready = false));
    RELEASES(WHY_NOT_ACTIVE, 1, x.c.state = ST_RELEASING);
    RELEASES(WHY_MAINTENANCE, 1, x.f.maintenance = true);
    RELEASES(WHY_BUSY, 1, x.c.intake_closed = true);
    RELEASES(WHY_LISTS_REFUSE, 1, (x.c.intake_closed = true, x.f.lists_refuse = true));
    RELEASES(WHY_BUSY, 1, x.c.pending.op = OP_INTAKE_CLOSE);
    RELEASES(WHY_NONE, 1, x.c.pending.op = OP_SERVICE_MONITOR);
    RELEASES(WHY_SHARE_UNKNOWN, 1, x.f.share = SHARE_UNKNOWN);
}

static void test_the_second_node_releases_to_the_first(void **state)
{
    struct fx x;
    unsigned who;
    (void)state;
    fx_init(&x);
    fx_to(&x, ST_ACTIVE);
    x.c.cfg.self = 1;
    x.f.peer[0] = x.f.peer[1];
    x.f.peer[0].ready = true;
    assert_int_equal(core_may_release(&x.c, &x.f, CORE_NODE_NONE, &who), WHY_NONE);
}

#define BOOTS(why, who, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        fx_to(&x, ST_PASSIVE); \
        fx_peer_gone(&x); \
        x.f.quorate = false; \
        fx_later(&x, 3000); \
        set; \
        assert_int_equal(core_may_boot_alone(&x.c, &x.f, who), why); \
    } while (0)

static void test_who_may_boot_alone(void **state)
{
    (void)state;
    BOOTS(WHY_NONE, 1, (void)0);
    BOOTS(WHY_NOT_UNSEEN, 0, (void)0);
    BOOTS(WHY_NOT_UNSEEN, 2, (void)0);
    BOOTS(WHY_NOT_UNSEEN, CORE_NODES, (void)0);
    BOOTS(WHY_NOT_UNSEEN, 1, x.f.quorate = true);
    BOOTS(WHY_SHARE_UNKNOWN, 1, x.f.share = SHARE_UNKNOWN);
    BOOTS(WHY_PEER_LIVES, 1, x.f.peer[1].heard = true);
    BOOTS(WHY_PEER_LIVES, 1, x.f.peer[1].beat_moves = true);
    BOOTS(WHY_BEAT_UNKNOWN, 1, x.f.peer[1].beat_same = 2);
}

const struct CMUnitTest core_explain_tests[] = {
    cmocka_unit_test(test_passive), cmocka_unit_test(test_no_more_reasons_than_there_is_room), cmocka_unit_test(test_whose_turn),
    cmocka_unit_test(test_proof), cmocka_unit_test(test_proof_at_the_end_of_patience),
    cmocka_unit_test(test_proofs_of_others_only),
    cmocka_unit_test(test_each_reason_is_said_once), cmocka_unit_test(test_the_second_node_releases_to_the_first),
    cmocka_unit_test(test_stopping_ending_hold), cmocka_unit_test(test_whose_death_is_believed),
    cmocka_unit_test(test_to_whom_it_is_released), cmocka_unit_test(test_who_may_boot_alone),
};
const size_t core_n_explain_tests = sizeof core_explain_tests / sizeof *core_explain_tests;
