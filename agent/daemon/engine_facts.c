/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_facts.h"

#include <errno.h>
#include <string.h>

#include "common/bootid.h"

#include "common/banned.h"

static bool core_id_equal(struct core_id a, struct core_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static bool core_id_known(struct core_id a)
{
    return a.hi != 0 || a.lo != 0;
}

static struct core_id core_id_of(const struct id128 *id)
{
    return (struct core_id){ id->hi, id->lo };
}

void facts_init(struct facts *f, const struct config *cfg, unsigned self, uint64_t run, const struct id128 *boot)
{
    *f = (struct facts){ .cfg = cfg, .self = self, .run = run, .boot = *boot };
    f->cluster = cpgmsg_cluster_hash(cfg->cluster);
    config_digest(cfg, &f->digest);
}

static bool members_have(const struct wire_members *m, uint32_t id)
{
    for (unsigned i = 0; i < m->n_members && i < CONFIG_NODES_MAX; i++)
        if (m->member[i] == id)
            return true;
    return false;
}

/* Our own id must be among the members: without it the list is of a group that we have left. */
static uint64_t ring_of(const struct facts *f, const struct wire_members *m)
{
    return m->connected && members_have(m, f->cfg->nodes[f->self].id) ? m->cpg_ring : 0;
}

static bool members_quorate(const struct facts *f, const struct wire_members *m)
{
    uint64_t ring = ring_of(f, m);

    return ring != 0 && m->quorate && m->quorum_ring == ring;
}

bool facts_in_ring(const struct facts *f, unsigned node)
{
    return f->members_ever && ring_of(f, &f->members) != 0 && members_have(&f->members, f->cfg->nodes[node].id);
}

static void peers_left(struct facts *f, uint64_t now_ms)
{
    for (unsigned i = 0; i < f->cfg->n_nodes; i++) {
        struct facts_peer *p = &f->peer[i];
        if (facts_in_ring(f, i))
            p->left_ms = 0;
        else if (!p->left_ms)
            p->left_ms = now_ms;
    }
}

bool facts_members(struct facts *f, const struct wire_members *m, uint64_t now_ms)
{
    uint64_t before = f->members_ever ? ring_of(f, &f->members) : 0, ring = ring_of(f, m);
    bool was_quorate = f->members_ever && members_quorate(f, &f->members), quorate = members_quorate(f, m);
    bool differs = !f->members_ever || before != ring || was_quorate != quorate
        || f->members.n_members != m->n_members || memcmp(f->members.member, m->member, sizeof m->member) != 0;

    if (ring != before)
        f->ring_ms = now_ms;
    if (ring != before || was_quorate != quorate)
        f->quorum_ms = quorate ? now_ms : 0;
    if (ring == 0 || m->quorum_ring == ring)
        f->unsettled_ms = 0;
    else if (!f->unsettled_ms)
        f->unsettled_ms = now_ms;
    if (ring == 0 || m->quorum_ring != 0)
        f->verdict = ring != 0 && m->quorate;
    f->members = *m;
    if (f->members.detect_ms > FACTS_DETECT_MAX_MS)
        f->members.detect_ms = FACTS_DETECT_MAX_MS;
    if (f->members.sampled_ms > now_ms) /* else a time to come would stay fresh until it is over */
        f->members.sampled_ms = now_ms;
    f->members_ever = true;
    peers_left(f, now_ms);
    return differs;
}

/* A run's id is random and never comes back: once a later run of the node has spoken, words of this one are old. */
static bool run_is_past(const struct facts_peer *p, uint64_t run)
{
    for (unsigned i = 0; i < FACTS_PAST && i < p->n_past; i++)
        if (p->past[i] == run)
            return true;
    return false;
}

static bool is_fresh(uint64_t at_ms, uint64_t now_ms, uint64_t limit_ms)
{
    return at_ms != 0 && now_ms < at_ms + limit_ms;
}

int facts_cpg(struct facts *f, const struct wire_cpg *in, uint64_t now_ms)
{
    struct cpgmsg m;
    int node, rc;

    if (in->len > sizeof in->data)
        return -EBADMSG;
    rc = cpgmsg_decode(in->data, in->len, &m);
    if (rc)
        return rc;
    if (m.cluster != f->cluster)
        return -EXDEV;
    node = config_node_by_id(f->cfg, in->sender);
    if (node < 0 || m.node != in->sender)
        return -EACCES;
    if ((unsigned)node == f->self)
        return 0; /* our own, echoed */
    struct facts_peer *p = &f->peer[node];
    bool same_run = p->heard_ever && p->msg.run == m.run && bootid_equal(&p->msg.boot, &m.boot);
    if (same_run && m.seq <= p->msg.seq)
        return -EALREADY;
    if (core_id_known(p->dead) && core_id_equal(p->dead, core_id_of(&m.boot)))
        p->dead_sign_ms = now_ms;
    if (!same_run && run_is_past(p, m.run))
        return -ESTALE;
    if (!same_run && p->heard_ever && p->msg.run == m.run) /* no run outlives its boot */
        return -EACCES;
    if (!same_run && p->heard_ever)
        p->past[p->n_past++ % FACTS_PAST] = p->msg.run;
    p->heard_ever = true;
    p->msg = m;
    p->msg_ms = now_ms;
    return 0;
}

struct ignored *facts_ignored(struct facts *f, uint32_t sender)
{
    int node = config_node_by_id(f->cfg, sender);

    return node < 0 ? &f->strangers : &f->peer[node].ignored;
}

const char *facts_ignored_why(const struct facts *f, unsigned node, uint64_t now_ms)
{
    const struct ignored *i = &f->peer[node].ignored;

    return is_fresh(i->last_ms, now_ms, FACTS_IGNORED_MS) ? ignored_text(i->last) : NULL;
}

/* Looks that are asked for between two beats say nothing: only those about an interval apart count as standing still. */
static bool beat_counts(const struct facts_peer *p, uint64_t listed_ms, uint32_t interval_ms)
{
    return listed_ms >= p->beat_listed_ms + interval_ms * 3ull / 4;
}

/* Of a node that was proven dead the first beat listed after the proof is where it stopped; a change from it is life. */
static void beat_take(struct facts_peer *p, const struct watch_beat *b, uint64_t listed_ms, uint32_t interval_ms,
                      uint64_t now_ms)
{
    bool same = p->beat_ever && p->beat.run == b->run && p->beat.counter == b->counter
        && core_id_equal(p->beat.boot, b->boot);
    bool based = p->dead_based;

    if (core_id_known(p->dead) && listed_ms > p->dead_since_ms)
        p->dead_based = true;
    if (!b->seen || same) {
        if (beat_counts(p, listed_ms, interval_ms)) {
            p->beat_same++;
            p->beat_listed_ms = listed_ms;
        }
        return;
    }
    p->beat_same = 0;
    p->beat_listed_ms = listed_ms;
    if (based && core_id_equal(p->dead, b->boot))
        p->dead_sign_ms = now_ms;
    p->beat = *b;
    p->beat_ever = true;
    p->beat_change_ms = now_ms;
}

void facts_share(struct facts *f, const struct watch_report *r, uint64_t now_ms)
{
    f->share = *r;
    f->share_ever = true;
    if (r->share != SHARE_WRONG) {
        uint64_t top = r->highest > r->local_max ? r->highest : r->local_max;
        f->highest_ever = top > f->highest_ever ? top : f->highest_ever;
    }
    f->share_ms = r->listed_ms < now_ms ? r->listed_ms : now_ms;
    for (unsigned i = 0; i < f->cfg->n_nodes; i++)
        if (i != f->self)
            beat_take(&f->peer[i], &r->beat[i], f->share_ms, f->cfg->beat_interval_ms, now_ms);
}

void facts_scan(struct facts *f, enum core_tri service_here, uint64_t began_ms, unsigned round)
{
    if (round != f->scan_round)
        return;
    f->scan = service_here;
    f->scan_ms = began_ms;
}

void facts_scan_forget(struct facts *f)
{
    f->scan = TRI_UNKNOWN;
    f->scan_ms = 0;
    f->scan_round++;
}

void facts_dead(struct facts *f, const struct core_id dead[CORE_NODES], uint64_t now_ms)
{
    for (unsigned i = 0; i < f->cfg->n_nodes; i++) {
        struct facts_peer *p = &f->peer[i];
        if (core_id_equal(p->dead, dead[i]))
            continue;
        p->dead = dead[i];
        p->dead_based = false;
        p->dead_since_ms = now_ms;
        p->dead_sign_ms = 0;
    }
}

bool facts_maintenance(const struct facts *f, uint64_t now_ms)
{
    struct core_facts now;

    facts_fill(f, now_ms, &now);
    return now.share == SHARE_OK && now.maintenance_sound;
}

const char *facts_digest_difference(const struct facts *f, unsigned node)
{
    const struct facts_peer *p = &f->peer[node];

    if (!p->heard_ever)
        return NULL;
    if (p->msg.digest.n != f->digest.n)
        return "the number of safety keys (another version of understudy?)";
    for (unsigned i = 0; i < f->digest.n; i++)
        if (p->msg.digest.value[i] != f->digest.value[i])
            return config_digest_key(i);
    return NULL;
}

static void peer_fill(const struct facts *f, unsigned node, uint64_t now_ms, struct core_peer *ret)
{
    const struct facts_peer *p = &f->peer[node];
    uint64_t ring = ring_of(f, &f->members);

    ret->in_ring = facts_in_ring(f, node);
    ret->heard = ret->in_ring && p->heard_ever && p->msg.ring == ring
        && is_fresh(p->msg_ms, now_ms, FACTS_BEATS * CPGMSG_EVERY_MS);
    if (p->heard_ever) {
        ret->no_service = (p->msg.flags & CPGMSG_NO_LIST_PROCESS) != 0;
        ret->no_share_child = (p->msg.flags & CPGMSG_NO_SHARE_CHILD) != 0;
        ret->no_end_pending = (p->msg.flags & CPGMSG_NO_END_PENDING) != 0;
        ret->held = (p->msg.flags & CPGMSG_HELD) != 0;
        ret->ready = (p->msg.flags & CPGMSG_READY) != 0;
        ret->releasing = (p->msg.flags & CPGMSG_RELEASING) != 0;
        ret->digest_differs = facts_digest_difference(f, node) != NULL;
        ret->boot = core_id_of(&p->msg.boot);
        ret->highest = p->msg.epoch;
    }
    ret->beat_moves = p->beat_ever
        && is_fresh(p->beat_change_ms, now_ms, (uint64_t)FACTS_BEATS * f->cfg->beat_interval_ms);
    ret->beat_same = p->beat_same;
    ret->beat_boot = p->beat.boot;
    ret->dead_boot_seen = is_fresh(p->dead_sign_ms, now_ms, FACTS_DEAD_SIGN_MS);
}

/* A share whose listing has lost epochs is the right one and too old: `init --recover` lifts that, a new `init` never. */
static void share_fill(const struct facts *f, uint64_t now_ms, struct core_facts *ret)
{
    const struct watch_report *r = &f->share;

    ret->share = SHARE_UNKNOWN;
    if (!f->share_ever)
        return;
    if (is_fresh(f->share_ms, now_ms, f->cfg->share_deadline_ms))
        ret->share = r->share == SHARE_WRONG && !strcmp(r->why, "epoch-lost") ? SHARE_BEHIND : r->share;
    ret->share_seen_ms = f->share_ms;
    ret->local_max = r->local_max;
    ret->highest = r->highest;
    ret->last = r->last;
    ret->before = r->before;
    ret->n_open = r->n_open;
    ret->maintenance = r->maintenance != MAINTENANCE_OFF;
    ret->maintenance_sound = r->maintenance == MAINTENANCE_ON;
    memcpy(ret->open, r->open, sizeof ret->open);
}

void facts_fill(const struct facts *f, uint64_t now_ms, struct core_facts *ret)
{
    *ret = (struct core_facts){ .run = f->run };
    ret->encrypted_ok = f->cfg->insecure_cluster;
    if (f->members_ever) {
        ret->members_fresh = f->members.connected && is_fresh(f->members.sampled_ms, now_ms, FACTS_MEMBERS_FRESH_MS);
        ret->encrypted_ok = ret->encrypted_ok || f->members.encrypted;
        ret->ring = ring_of(f, &f->members);
        ret->quorate = members_quorate(f, &f->members);
        ret->quorum_settling = f->verdict && f->unsettled_ms
            && now_ms < f->unsettled_ms + FACTS_SETTLE_MS + f->members.detect_ms;
        for (unsigned i = 0; i < f->cfg->n_nodes; i++)
            if (i != f->self)
                peer_fill(f, i, now_ms, &ret->peer[i]);
    }
    ret->peer[f->self].boot = core_id_of(&f->boot);
    ret->adoptable = f->adoptable;
    share_fill(f, now_ms, ret);
    ret->service_here = is_fresh(f->scan_ms, now_ms, FACTS_SCAN_FRESH_MS) ? f->scan : TRI_UNKNOWN;
    ret->unreaped = f->unreaped;
    ret->unreaped_fence = f->unreaped_fence;
    ret->lists_refuse = f->lists_refuse;
}

void facts_message(const struct facts *f, uint64_t now_ms, const struct core *c, bool end_running, uint64_t seq,
                   struct cpgmsg *ret)
{
    struct core_facts now;

    facts_fill(f, now_ms, &now);
    *ret = (struct cpgmsg){ .cluster = f->cluster, .node = f->cfg->nodes[f->self].id, .boot = f->boot, .run = f->run,
        .ring = now.ring, .seq = seq, .state = (uint32_t)c->state, .digest = f->digest };
    ret->epoch = f->highest_ever;
    if (now.service_here == TRI_NO)
        ret->flags |= CPGMSG_NO_LIST_PROCESS;
    if (now.unreaped == 0)
        ret->flags |= CPGMSG_NO_SHARE_CHILD;
    if (!end_running && !core_end_pending(c, &now))
        ret->flags |= CPGMSG_NO_END_PENDING;
    if (core_is_releasing(c))
        ret->flags |= CPGMSG_RELEASING;
    if (core_is_held(c))
        ret->flags |= CPGMSG_HELD;
    if (core_is_ready(c, &now) && f->share.write_errno == 0) /* it could not claim */
        ret->flags |= CPGMSG_READY;
}

uint64_t facts_last_sign_ms(const struct facts *f, unsigned node)
{
    const struct facts_peer *p = &f->peer[node];

    return p->msg_ms > p->beat_change_ms ? p->msg_ms : p->beat_change_ms;
}
