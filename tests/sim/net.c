/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A model of corosync: who reaches whom both ways forms a ring, seen by each a little later, quorum later still. */
#include "world.h"

static bool reachable(const struct world *w, unsigned h)
{
    const struct sim_host *x = &w->host[h];
    return x->on && x->booted && x->cpg && !world_paused(w, h) && x->corosync_stopped_until <= w->now;
}

void net_changed(struct world *w, uint64_t after_ms)
{
    w->topology++;
    world_push(w, w->now + after_ms, WE_TOPOLOGY, 0, 0, (uint32_t)w->topology);
}

static unsigned component(const struct world *w, unsigned h)
{
    unsigned mask = 1u << h, old;
    do {
        old = mask;
        for (unsigned i = 0; i < w->p.n; i++)
            for (unsigned j = 0; j < w->p.n; j++)
                if ((mask & (1u << i)) && reachable(w, j) && w->frozen_until <= w->now && !w->cut[i][j] && !w->cut[j][i])
                    mask |= 1u << j;
    } while (mask != old);
    return mask;
}

static bool settled(const struct world *w, unsigned mask)
{
    uint64_t ring = 0;
    for (unsigned h = 0; h < w->p.n; h++) {
        if (!(mask & (1u << h)))
            continue;
        const struct sim_host *x = &w->host[h];
        if (x->view != mask || x->ring != x->ring_due || x->ring == 0 || (ring != 0 && x->ring != ring))
            return false;
        ring = x->ring;
    }
    return true;
}

void net_topology(struct world *w, uint32_t version)
{
    unsigned seen = 0;
    if (version != (uint32_t)w->topology)
        return;
    for (unsigned h = 0; h < w->p.n; h++) {
        if ((seen & (1u << h)) || !reachable(w, h))
            continue;
        unsigned mask = component(w, h);
        seen |= mask;
        if (settled(w, mask))
            continue;
        w->ring_seq++;
        for (unsigned m = 0; m < w->p.n; m++) {
            if (!(mask & (1u << m)))
                continue;
            w->host[m].ring_due = w->ring_seq;
            world_push(w, w->now + rng_range(&w->rng, 0, 120), WE_VIEW, m, w->host[m].boot,
                       (uint32_t)w->ring_seq << 8 | mask);
        }
    }
}

void net_view(struct world *w, unsigned h, uint32_t ring, uint32_t mask)
{
    struct sim_host *x = &w->host[h];
    if (!reachable(w, h) || ring < x->ring)
        return;
    if (x->quorum_at <= w->now)
        x->was_quorate = net_quorate(w, h);
    x->ring = ring;
    x->view = mask;
    x->quorum_at = w->now + rng_range(&w->rng, 0, 60);
    if (mask == (1u << w->p.n) - 1)
        x->seen_all = true;
    x->engine.send_at = w->now;
    world_push(w, x->quorum_at, WE_QUORUM, h, x->boot, 0);
    world_trace(w, h, "ring %u members %x", (unsigned)ring, mask);
}

static bool quorate_with_view(const struct world *w, const struct sim_host *x)
{
    unsigned count = (unsigned)__builtin_popcount(x->view);
    if (w->p.two_node)
        return x->seen_all;
    if (w->p.n == 2)
        return count == 2 || (x->view & (1u << w->p.qdevice_side));
    return count * 2 > w->p.n;
}

bool net_has_quorum(const struct world *w, unsigned h)
{
    const struct sim_host *x = &w->host[h];
    return quorate_with_view(w, x) && (x->quorum_at <= w->now || x->was_quorate);
}

bool net_quorate(const struct world *w, unsigned h)
{
    const struct sim_host *x = &w->host[h];
    return x->ring != 0 && x->quorum_at <= w->now && quorate_with_view(w, x);
}

/* votequorum has not told of the new ring yet; what it said last, of the one before, still stands. */
bool net_quorum_settling(const struct world *w, unsigned h)
{
    const struct sim_host *x = &w->host[h];
    return x->ring != 0 && x->quorum_at > w->now && x->was_quorate;
}

static void deliver(struct world *w, unsigned from, unsigned to, struct sim_message m)
{
    struct sim_host *x = &w->host[to];
    if (w->cut[from][to] || w->frozen_until > w->now || rng_chance(&w->rng, w->p.p_message_lost))
        return;
    m.arrive_at = w->now + rng_range(&w->rng, 0, 30);
    if (rng_chance(&w->rng, w->p.p_message_late))
        m.arrive_at += rng_range(&w->rng, 100, 3000);
    x->mail[from][x->mail_at[from]++ % W_MAIL] = m;
}

void net_send(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    const struct core_facts *f = &x->engine.facts;
    struct sim_message m = { .full = true, .ring = x->ring, .boot = host_boot_id(w, h), .highest = x->engine.local_max,
        .no_service = f->service_here == TRI_NO, .no_share_child = f->unreaped == 0,
        .no_end_pending = !core_end_pending(&x->engine.core, f), .held = core_is_held(&x->engine.core),
        .ready = core_is_ready(&x->engine.core, f), .releasing = core_is_releasing(&x->engine.core),
        .digest_differs = x->digest_until > w->now };
    if (w->now < x->engine.send_at || !reachable(w, h))
        return;
    x->engine.send_at = w->now + w->p.message_ms;
    for (unsigned to = 0; to < w->p.n; to++)
        if (to != h && w->host[to].on)
            deliver(w, h, to, m);
}

void net_receive(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    for (unsigned from = 0; from < w->p.n; from++) {
        for (unsigned i = 0; i < W_MAIL; i++) {
            struct sim_message *m = &x->mail[from][i];
            if (!m->full || m->arrive_at > w->now)
                continue;
            m->full = false;
            if (m->ring != x->ring || x->corosync_stopped_until > w->now)
                continue; /* sent in another ring: says nothing about now */
            if (x->engine.heard_at[from] != 0 && m->arrive_at < x->engine.last[from].arrive_at)
                continue;
            x->engine.last[from] = *m;
            x->engine.heard_at[from] = w->now;
        }
    }
}
