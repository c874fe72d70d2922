/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core_fixture.h"

bool fx_seen[2048];

static void config(struct core_config *c)
{
    *c = (struct core_config){ .self = 0, .n_nodes = 2, .two_node = true, .claim_patience_ms = 20000, .power_wait_ms = 500,
        .drain_ms = 2000, .share_deadline_ms = 2000, .share_patience_ms = 30000, .epoch_op_ms = 2000,
        .recover_ms = 60000, .address_ms = 5000, .start_ms = 60000, .stop_ms = 20000, .monitor_ms = 10000,
        .monitor_interval_ms = 2000, .max_failures = 3, .release_ms = 12000, .sync_ms = 5000,
        .failure_window_ms = 600000, .fence_retry_min_ms = 1000,
        .fence_retry_max_ms = 8000, .after_fence_on = true, .n_devices = 2 };
    for (unsigned d = 0; d < 2; d++) {
        c->device[d].node = (uint8_t)d;
        c->device[d].level = 1;
        c->fence_ms[d] = 15000;
    }
}

void fx_restart(struct fx *x)
{
    core_init(&x->c, &x->cfg, x->now);
    x->f.service_here = TRI_NO;
}

void fx_init(struct fx *x)
{
    memset(x, 0, sizeof *x);
    x->now = 100000;
    config(&x->cfg);
    x->f = (struct core_facts){ .members_fresh = true, .encrypted_ok = true, .quorate = true, .ring = 5, .run = FX_RUN,
        .share = SHARE_OK, .share_seen_ms = x->now, .last = { .node = CORE_NODE_NONE }, .service_here = TRI_NO };
    x->f.peer[0].boot = (struct core_id){ 1, 10 };
    x->f.peer[1] = (struct core_peer){ .in_ring = true, .heard = true, .no_service = true, .no_share_child = true,
        .no_end_pending = true, .beat_moves = true, .boot = { 1, 11 }, .beat_boot = { 1, 11 } };
    fx_restart(x);
}

void fx_init_second(struct fx *x)
{
    fx_init(x);
    x->cfg.self = 1;
    x->f.peer[0] = x->f.peer[1];
    x->f.peer[1].boot = (struct core_id){ 1, 12 };
    fx_restart(x);
}

/* What lies beyond the configured nodes and the epochs that were read is no fact: whoever looks at it does something else. */
static void poison(struct fx *x)
{
    for (unsigned p = x->cfg.n_nodes; p < CORE_NODES; p++)
        x->f.peer[p] = (struct core_peer){ .in_ring = true, .digest_differs = true, .beat_moves = true, .boot = { 1, 66 },
                                           .highest = UINT64_MAX };
    for (unsigned i = x->f.n_open; i < CORE_EPOCHS; i++)
        x->f.open[i] = (struct core_epoch){ .n = 1, .node = i % 2, .boot = { 1, 11 }, .owned = true };
}

static int feed(struct fx *x, struct core_event e)
{
    poison(x);
    if (x->f.share == SHARE_OK) {
        x->f.share_seen_ms = x->now;
        x->f.peer[1].beat_same = x->f.peer[1].beat_moves ? 0 : x->f.peer[1].beat_same + 1;
    }
    e.now_ms = x->now;
    e.facts = &x->f;
    int rule = core_step(&x->c, &e, &x->out);
    fx_seen[rule] = true;
    return rule;
}

int fx_event(struct fx *x, enum core_event_kind kind)
{
    x->now += 10;
    return feed(x, (struct core_event){ .kind = kind });
}

int fx_look(struct fx *x) { return fx_event(x, EV_LOOK); }

/* Time passes in steps of a beat, as it does for the engine, so that nothing looks like a gap of the share. */
int fx_later(struct fx *x, uint64_t ms)
{
    int rule = 0;
    uint64_t until = x->now + ms;
    while (rule == 0 && x->now < until) {
        x->now += until - x->now < 150 ? until - x->now : 150;
        rule = feed(x, (struct core_event){ .kind = EV_LOOK });
    }
    return rule;
}

/* The share shows it from then on. */
static void owned(struct fx *x)
{
    if (x->f.last.n == x->c.claim)
        x->f.last.owned = true;
    for (unsigned i = 0; i < x->f.n_open; i++)
        if (x->f.open[i].n == x->c.claim)
            x->f.open[i].owned = true;
}

int fx_answer(struct fx *x, enum core_result r)
{
    x->now += 10;
    if (x->c.pending.op == OP_OWN && r == RES_OK)
        owned(x);
    return feed(x, (struct core_event){ .kind = EV_DONE, .op_id = x->c.pending.id, .op = x->c.pending.op, .result = r });
}

int fx_acknowledge(struct fx *x, unsigned node)
{
    x->now += 10;
    return feed(x, (struct core_event){ .kind = EV_ACKNOWLEDGE, .node = node });
}

int fx_release(struct fx *x, unsigned node, bool force)
{
    x->now += 10;
    return feed(x, (struct core_event){ .kind = EV_RELEASE, .node = node, .force = force });
}

void fx_settle(struct fx *x)
{
    for (unsigned i = 0; i < 50 && fx_look(x) != 0; i++)
        ;
}

void fx_open(struct fx *x, uint64_t n, unsigned node, uint64_t boot, bool owned)
{
    struct core_epoch e = { .n = n, .node = (uint8_t)node, .boot = { 1, boot }, .run = node == 0 ? FX_RUN : 88, .owned = owned };
    x->f.open[x->f.n_open++] = e;
    if (n > x->f.highest) {
        x->f.before = x->f.last;
        x->f.last = e;
        x->f.highest = x->f.local_max = n;
    }
}

void fx_close(struct fx *x, uint64_t n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < x->f.n_open; i++)
        if (x->f.open[i].n != n)
            x->f.open[kept++] = x->f.open[i];
    x->f.n_open = kept;
    if (x->f.last.n == n)
        x->f.last.ended = true;
    if (x->f.before.n == n)
        x->f.before.ended = true;
}

void fx_peer_gone(struct fx *x)
{
    x->f.peer[1].in_ring = x->f.peer[1].heard = x->f.peer[1].beat_moves = false;
    x->f.ring++;
}

/* One answer or look that leads on from each state. */
static void onward(struct fx *x)
{
    enum core_op op = x->c.pending.op;
    if (op == OP_NONE || x->c.state == ST_PASSIVE) {
        fx_later(x, 3000);
        return;
    }
    if (op == OP_CLAIM)
        fx_open(x, x->c.claim, 0, 10, false);
    if (op == OP_SERVICE_START)
        x->f.service_here = TRI_YES;
    fx_answer(x, op == OP_FENCE_STATUS ? RES_OFF : RES_OK);
}

void fx_to(struct fx *x, enum core_state s)
{
    for (unsigned i = 0; i < 100 && x->c.state != s; i++)
        onward(x);
    assert_string_equal(core_state_name(x->c.state), core_state_name(s));
}

void fx_dead_peer(struct fx *x, enum core_state to)
{
    fx_init(x);
    fx_open(x, 1, 1, 11, true);
    fx_to(x, ST_PASSIVE);
    fx_later(x, 3000);
    fx_peer_gone(x);
    fx_to(x, to);
}

bool fx_did(const struct fx *x, enum core_act_kind kind, enum core_op op)
{
    for (unsigned i = 0; i < x->out.n; i++)
        if (x->out.v[i].kind == kind && (kind != ACT_RUN || x->out.v[i].op == op))
            return true;
    return false;
}

bool fx_alerted(const struct fx *x, enum core_reason why)
{
    for (unsigned i = 0; i < x->out.n; i++)
        if (x->out.v[i].kind == ACT_ALERT && x->out.v[i].reason == (uint8_t)why)
            return true;
    return false;
}

/* Reasons that come with a number: a time, a ring, an epoch, how many. */
static bool has_value(enum core_reason r)
{
    static const enum core_reason with[] = { WHY_MEMBERS_STALE, WHY_NO_RING, WHY_NOT_QUORATE, WHY_UNSEEN_PEER, WHY_EPOCH_LOST,
        WHY_SHARE_UNKNOWN, WHY_GAP, WHY_TOO_MANY_OPEN, WHY_UNREAPED, WHY_FENCE_RUNNING, WHY_OWN_OPEN_EPOCH, WHY_PEER_NOT_HEARD,
        WHY_BEAT_UNKNOWN, WHY_PATIENCE, WHY_PEER_AHEAD, WHY_PEER_TURN, WHY_FENCE_FAILED, WHY_PEER_MAY_END, WHY_END_PENDING,
        WHY_DRAIN };
    for (unsigned i = 0; i < sizeof with / sizeof *with; i++)
        if (with[i] == r)
            return true;
    return false;
}

bool fx_explains(const struct fx *x, enum core_reason why)
{
    struct core_why v[CORE_REASONS];
    bool found = false;
    memset(v, 0xff, sizeof v);
    unsigned n = core_explain(&x->c, &x->f, v);
    for (unsigned i = 0; i < n; i++) {
        found |= v[i].reason == why;
        if (!has_value(v[i].reason))
            assert_int_equal(v[i].value, 0);
    }
    for (unsigned i = n; i < CORE_REASONS; i++)
        assert_int_equal((unsigned)v[i].reason, UINT32_MAX); /* not written */
    return found;
}
