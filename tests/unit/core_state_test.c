/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the core says about itself: the invariant, the limits of its configuration, when to look again, what others are told. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/private.h"
#include "core_tests.h"

/* Does it die of an assertion? In a process of its own. */
static bool dies(void (*f)(struct fx *x), struct fx *x)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        f(x);
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void init(struct fx *x) { core_init(&x->c, &x->cfg, x->now); }
static void reconfigure(struct fx *x) { core_reconfigure(&x->c, &x->cfg); }

#define REFUSES(f, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        set; \
        assert_true(dies(f, &x)); \
    } while (0)

#define TAKES(f, set) \
    do { \
        struct fx x; \
        fx_init(&x); \
        set; \
        assert_false(dies(f, &x)); \
    } while (0)

static void test_limits_of_the_configuration(void **state)
{
    (void)state;
    REFUSES(init, x.cfg.n_nodes = 0);
    REFUSES(init, x.cfg.n_nodes = CORE_NODES + 1);
    REFUSES(init, x.cfg.self = 2);
    REFUSES(init, x.cfg.n_devices = CORE_DEVICES + 1);
    REFUSES(init, x.cfg.drain_ms = 0);
    REFUSES(init, x.cfg.max_failures = 0);
    TAKES(init, x.cfg.n_nodes = 1);
    TAKES(init, x.cfg.n_nodes = CORE_NODES);
    TAKES(init, x.cfg.n_devices = CORE_DEVICES);
    TAKES(init, (x.cfg.drain_ms = 1, x.cfg.max_failures = 1));
    REFUSES(reconfigure, x.cfg.n_nodes = 3);
    REFUSES(reconfigure, x.cfg.self = 1);
    REFUSES(reconfigure, x.cfg.n_devices = 1);
    REFUSES(reconfigure, x.cfg.drain_ms = 0);
    REFUSES(reconfigure, x.cfg.max_failures = 0);
    TAKES(reconfigure, (x.cfg.drain_ms = 1, x.cfg.max_failures = 1));
}

static void test_new_times_are_taken(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    x.cfg.drain_ms = 77;
    reconfigure(&x);
    assert_int_equal(x.c.cfg.drain_ms, 77);
}

static void test_a_new_core(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    assert_int_equal(x.c.state, ST_STARTING);
    assert_int_equal(x.c.fence.target, CORE_NODE_NONE);
    assert_true(x.c.since_ms == x.now && x.c.observe_since_ms == x.now && x.c.now_ms == x.now);
    for (unsigned p = 0; p < CORE_NODES; p++)
        assert_true(x.c.heard_ms[p] == x.now && x.c.beat_ms[p] == x.now && x.c.ring_change_ms[p] == x.now);
    assert_int_equal(x.c.claim, 0);
    assert_true(core_invariant(&x.c));
}

static void step(struct fx *x) { fx_look(x); }

static void push_too_many(struct fx *x)
{
    struct core_turn t = { .c = &x->c, .f = &x->f, .out = &x->out };
    x->out.n = 0;
    for (unsigned i = 0; i <= CORE_ACTIONS; i++)
        turn_push(&t, &(struct core_action){ .kind = ACT_NONE });
}

static void push_four(struct fx *x)
{
    struct core_turn t = { .c = &x->c, .f = &x->f, .out = &x->out };
    x->out.n = 0;
    for (unsigned i = 0; i < CORE_ACTIONS; i++)
        turn_push(&t, &(struct core_action){ .kind = ACT_NONE });
}

static void run_two(struct fx *x)
{
    struct core_turn t = { .c = &x->c, .f = &x->f, .out = &x->out };
    x->out.n = 0;
    turn_run(&t, OP_CLAIM, 10);
    turn_run(&t, OP_CLAIM, 10);
}

static void init_broken(struct fx *x)
{
    x->cfg.self = 1; /* proof[self] is what a half made core would have */
    core_init(&x->c, &x->cfg, x->now);
    x->c.proof[1].kind = PROOF_OFF;
    fx_look(x);
}

static void test_broken_promises_are_noticed(void **state)
{
    (void)state;
    REFUSES(push_too_many, (void)0);
    TAKES(push_four, (void)0);
    REFUSES(run_two, (void)0);
    REFUSES(init_broken, (void)0);
    REFUSES(step, x.c.claim_run = 3); /* no claim, and a run that holds it */
    TAKES(step, (void)0);
}

/* A core in that state as its first step left it, then broken in one way. */
#define BROKEN(s, set) \
    do { \
        struct fx x; \
        fx_dead_peer(&x, s); \
        struct core *c = &x.c; \
        assert_true(core_invariant(c)); \
        set; \
        assert_false(core_invariant(c)); \
    } while (0)

static void test_invariant(void **state)
{
    (void)state;
    BROKEN(ST_PASSIVE, c->state = ST_N);
    BROKEN(ST_PASSIVE, c->since_ms = c->now_ms + 1);
    BROKEN(ST_PASSIVE, c->state = ST_HOLD);
    BROKEN(ST_PASSIVE, c->stop_unproven = true);
    BROKEN(ST_PASSIVE, c->ending = 1);
    BROKEN(ST_PASSIVE, c->state = ST_ENDING);
    BROKEN(ST_PASSIVE, c->end_planned = true);
    BROKEN(ST_PASSIVE, c->claim = 3);
    BROKEN(ST_PASSIVE, c->claim_run = 3);
    BROKEN(ST_PASSIVE, c->proof[0].kind = PROOF_OFF);
    BROKEN(ST_PASSIVE, (c->claim = 3, c->claim_run = 3, c->own_issued = true));
    BROKEN(ST_PASSIVE, (c->claim = 1, c->claim_run = 3, c->own_issued = true));
    BROKEN(ST_CLAIMING, c->end_issued = true);
    BROKEN(ST_CLAIMING, (c->claim = 0, c->claim_run = 0));
    BROKEN(ST_CLAIMING, c->pending.id = 0);
    BROKEN(ST_CLAIMING, c->pending.deadline_ms = 0);
    BROKEN(ST_CLAIMING, c->pending.op = OP_OWN);
    BROKEN(ST_CLAIMING, (c->pending.op = OP_NONE, c->pending.deadline_ms = 0, c->pending.id = 0));
    BROKEN(ST_DRAIN, c->proof[1].kind = PROOF_NONE);
    BROKEN(ST_DRAIN, (c->state = ST_OWNING, c->pending.op = OP_OWN, c->own_issued = true));
    BROKEN(ST_OWNING, c->drained = false);
    BROKEN(ST_OWNING, c->own_issued = false);
    BROKEN(ST_RECOVER, c->owned = false);
    BROKEN(ST_RECOVER, c->proof[1].kind = PROOF_NONE);
    BROKEN(ST_ACTIVE, c->drained = false);
    BROKEN(ST_ACTIVE, (c->pending.op = OP_CLAIM, c->pending.id = 5, c->pending.deadline_ms = 5));
}

static void test_invariant_of_an_end(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PASSIVE);
    x.c.state = ST_ENDING;
    x.c.ending = 3;
    assert_true(core_invariant(&x.c));
    x.c.end_planned = true; /* of an epoch that is not our claim */
    assert_false(core_invariant(&x.c));
    x.c.claim = x.c.claim_run = 3;
    assert_true(core_invariant(&x.c));
    x.c.pending.op = OP_END;
    assert_false(core_invariant(&x.c));
}

static void test_invariant_of_the_second_node(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_DRAIN);
    x.c.cfg.self = 1;
    x.c.proof[0] = x.c.proof[1];
    x.c.proof[1].kind = PROOF_NONE;
    assert_true(core_invariant(&x.c));
    x.c.proof[0].kind = PROOF_NONE;
    assert_false(core_invariant(&x.c));
}

/* With all else in the past the one time that lies ahead is the one that is named. */
#define WAKES(s, set, at) \
    do { \
        struct core c = { .cfg = { .n_nodes = 2, .share_deadline_ms = 1, .share_patience_ms = 2, .claim_patience_ms = 3 } }; \
        c.state = s; \
        c.now_ms = 1000000; \
        set; \
        assert_int_equal(core_wakeup_ms(&c), at); \
    } while (0)

static void test_when_to_look_again(void **state)
{
    (void)state;
    WAKES(ST_PASSIVE, (void)0, UINT64_MAX);
    WAKES(ST_PASSIVE, (c.pending.op = OP_END, c.pending.deadline_ms = 1000007), 1000007);
    WAKES(ST_PASSIVE, c.pending.deadline_ms = 1000007, UINT64_MAX);
    WAKES(ST_PASSIVE, c.retry_ms = 1000007, 1000007);
    WAKES(ST_PASSIVE, c.retry_ms = 1000000, UINT64_MAX);
    WAKES(ST_PASSIVE, c.fence.next_ms = 1000007, 1000007);
    WAKES(ST_PASSIVE, c.share_seen_ms = 1000000, 1000002);
    WAKES(ST_PASSIVE, (c.share_seen_ms = 1000000, c.cfg.share_deadline_ms = 50), 1000002);
    WAKES(ST_PASSIVE, (c.share_seen_ms = 1000000, c.cfg.share_patience_ms = 50), 1000002);
    WAKES(ST_PASSIVE, (c.share_seen_ms = 1000000, c.cfg.share_patience_ms = 60, c.cfg.share_deadline_ms = 50), 1000051);
    WAKES(ST_PASSIVE, c.share_fresh_since_ms = 1000000, 1000001);
    WAKES(ST_PASSIVE, c.observe_since_ms = 1000000, 1000001);
    WAKES(ST_PASSIVE, c.observe_since_ms = 999999, 1000001);
    WAKES(ST_PASSIVE, c.since_ms = 1000000, 1000001);
    WAKES(ST_PASSIVE, (c.since_ms = 1000000, c.cfg.share_deadline_ms = 0), 1000003);
    WAKES(ST_PASSIVE, (c.since_ms = 999990, c.cfg.share_deadline_ms = 10), 1000010);
    WAKES(ST_PASSIVE, c.since_ms = 999900, 1000900);
    WAKES(ST_ACTIVE, c.monitor_due_ms = 1000007, 1000007);
    WAKES(ST_PASSIVE, c.monitor_due_ms = 1000007, UINT64_MAX);
    for (unsigned p = 0; p < 2; p++) {
        WAKES(ST_PASSIVE, c.heard_ms[p] = 1000000, 1000003);
        WAKES(ST_PASSIVE, c.beat_ms[p] = 1000000, 1000003);
        WAKES(ST_PASSIVE, c.ring_change_ms[p] = 1000000, 1000003);
        WAKES(ST_PASSIVE, c.stuck_since_ms[p] = 1000000, 1000003);
        WAKES(ST_PROOF, c.stuck_since_ms[p] = 1000000, 1000003);
        WAKES(ST_CLAIMING, c.heard_ms[p] = 1000000, UINT64_MAX);
    }
    WAKES(ST_PROOF, c.stuck_since_ms[2] = 1000000, UINT64_MAX);
    WAKES(ST_PASSIVE, c.heard_ms[2] = 1000000, UINT64_MAX); /* nobody of that number */
    WAKES(ST_PASSIVE, c.turn_since_ms = 1000000, 1000003);
    WAKES(ST_PASSIVE, c.turn_since_ms = 999997, 1000003);
}

static void test_what_others_are_told(void **state)
{
    struct fx x;
    (void)state;
    fx_dead_peer(&x, ST_PASSIVE);
    assert_false(core_end_pending(&x.c, &x.f));
    x.c.claim = 2;
    assert_false(core_end_pending(&x.c, &x.f));
    x.c.state = ST_STOPPING;
    assert_true(core_end_pending(&x.c, &x.f));
    x.c.state = ST_HOLD;
    assert_true(core_end_pending(&x.c, &x.f));
    x.c.claim = 0;
    assert_false(core_end_pending(&x.c, &x.f));
    x.c.state = ST_ENDING;
    assert_true(core_end_pending(&x.c, &x.f));
    x.c.state = ST_PASSIVE;
    fx_open(&x, 2, 0, 10, false); /* one of ours that this run does not pursue */
    assert_true(core_end_pending(&x.c, &x.f));
    x.f.share = SHARE_BEHIND;
    assert_false(core_end_pending(&x.c, &x.f));
}

static void test_who_is_ready(void **state)
{
    struct fx x;
    (void)state;
    fx_init(&x);
    fx_open(&x, 1, 1, 11, true);
    fx_to(&x, ST_PASSIVE);
    fx_later(&x, 3000);
    assert_true(core_is_ready(&x.c, &x.f)); /* only the active node is in the way */
    x.f.maintenance = true;
    assert_false(core_is_ready(&x.c, &x.f));
    x.f.maintenance = false;
    x.c.claim = 2;
    assert_false(core_is_ready(&x.c, &x.f));
    x.c.claim = 1;
    assert_false(core_is_ready(&x.c, &x.f));
    x.c.claim = 0;
    x.c.state = ST_STARTING;
    assert_false(core_is_ready(&x.c, &x.f));
}

const struct CMUnitTest core_state_tests[] = {
    cmocka_unit_test(test_limits_of_the_configuration), cmocka_unit_test(test_new_times_are_taken),
    cmocka_unit_test(test_a_new_core), cmocka_unit_test(test_broken_promises_are_noticed), cmocka_unit_test(test_invariant),
    cmocka_unit_test(test_invariant_of_an_end), cmocka_unit_test(test_invariant_of_the_second_node),
    cmocka_unit_test(test_when_to_look_again), cmocka_unit_test(test_what_others_are_told), cmocka_unit_test(test_who_is_ready),
};
const size_t core_n_state_tests = sizeof core_state_tests / sizeof *core_state_tests;
