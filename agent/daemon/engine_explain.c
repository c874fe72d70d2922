/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_explain.h"

#include <stdio.h>
#include <string.h>

#include "daemon/engine_again.h"
#include "daemon/engine_failed.h"

#include "common/banned.h"

static uint64_t age_of(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms == 0 ? UINT64_MAX : now_ms > at_ms ? now_ms - at_ms : 0;
}

static const char *node_name(const struct driver *d, unsigned node)
{
    return node < d->cfg->n_nodes ? d->cfg->nodes[node].name : "?";
}

enum source { FROM_ENGINE, FROM_COROSYNC, FROM_SHARE, FROM_PEER, FROM_PROC, FROM_FENCING, FROM_EXECUTOR };

/* Who says so; what is not listed is the engine's own conclusion. */
static const enum source source_of[WHY_N] = {
    [WHY_MEMBERS_STALE] = FROM_COROSYNC, [WHY_NOT_ENCRYPTED] = FROM_COROSYNC, [WHY_NO_RING] = FROM_COROSYNC,
    [WHY_NOT_QUORATE] = FROM_COROSYNC, [WHY_UNSEEN_PEER] = FROM_COROSYNC,
    [WHY_SHARE_UNKNOWN] = FROM_SHARE, [WHY_SHARE_WRONG] = FROM_SHARE, [WHY_EPOCH_LOST] = FROM_SHARE,
    [WHY_TOO_MANY_OPEN] = FROM_SHARE, [WHY_OWN_OPEN_EPOCH] = FROM_SHARE, [WHY_PEER_ACTIVE] = FROM_SHARE,
    [WHY_PEER_MAY_END] = FROM_SHARE, [WHY_SPLIT] = FROM_SHARE, [WHY_HIGHER_CLAIM] = FROM_SHARE,
    [WHY_PEER_NOT_HEARD] = FROM_PEER, [WHY_PEER_DIRTY] = FROM_PEER, [WHY_PEER_DIGEST] = FROM_PEER,
    [WHY_PEER_AHEAD] = FROM_PEER, [WHY_PEER_LIVES] = FROM_PEER, [WHY_DEAD_NODE_SPOKE] = FROM_PEER,
    [WHY_SERVICE_HERE] = FROM_PROC, [WHY_STOP_UNPROVEN] = FROM_PROC,
    [WHY_FENCE_RUNNING] = FROM_FENCING, [WHY_FENCE_FAILED] = FROM_FENCING, [WHY_NO_DEVICE] = FROM_FENCING,
    [WHY_UNREAPED] = FROM_EXECUTOR, [WHY_END_PENDING] = FROM_EXECUTOR, [WHY_DRAIN] = FROM_EXECUTOR,
    [WHY_SERVICE_FAILED] = FROM_EXECUTOR, [WHY_RECOVER_FAILED] = FROM_EXECUTOR, [WHY_ADDRESS_FAILED] = FROM_EXECUTOR,
    [WHY_INTAKE_FAILED] = FROM_EXECUTOR, [WHY_LISTS_REFUSE] = FROM_EXECUTOR, [WHY_DUPLICATE_ADDRESS] = FROM_EXECUTOR,
};

static void source_fill(const struct driver *d, const struct core_why *why, uint64_t now_ms, struct explain *ret)
{
    static const char *const names[] = {
        [FROM_ENGINE] = "the engine", [FROM_COROSYNC] = "corosync", [FROM_SHARE] = "the control share",
        [FROM_PEER] = "the other node's messages", [FROM_PROC] = "/proc of this node", [FROM_FENCING] = "fencing",
        [FROM_EXECUTOR] = "the executor",
    };
    const struct facts *f = d->facts;
    enum source from = why->reason < WHY_N ? source_of[why->reason] : FROM_ENGINE;

    ret->source = names[from];
    ret->age_ms = UINT64_MAX;
    if (from == FROM_COROSYNC)
        ret->age_ms = age_of(f->members.sampled_ms, now_ms);
    else if (from == FROM_SHARE)
        ret->age_ms = age_of(f->share_ms, now_ms);
    else if (from == FROM_PEER && why->node < d->cfg->n_nodes)
        ret->age_ms = age_of(f->peer[why->node].msg_ms, now_ms);
    else if (from == FROM_PROC)
        ret->age_ms = age_of(f->scan_ms, now_ms);
}

/* The device that a person should look at: the one that is being tried, else the node's that answered last. */
static const struct driver_fence *fence_of(const struct driver *d, unsigned node, unsigned *ret_device)
{
    const struct driver_fence *best = NULL;

    for (unsigned i = 0; i < d->cfg->n_devices && i < CORE_DEVICES; i++) {
        const struct driver_fence *f = &d->fence[i];
        if (d->cfg->devices[i].node != node || (f->job == JOB_NONE && !f->running_since_ms))
            continue;
        if (best && (f->at_ms < best->at_ms || best->running_since_ms))
            continue;
        best = f;
        *ret_device = i;
    }
    return best;
}

static void fence_detail(const struct driver *d, unsigned node, uint64_t now_ms, struct explain *ret)
{
    unsigned device = 0;
    const struct driver_fence *f = fence_of(d, node, &device);
    int n;

    if (!f)
        return;
    ret->age_ms = age_of(f->at_ms, now_ms);
    n = snprintf(ret->detail, sizeof ret->detail, "device %s (%s, level %u) of node %s", d->cfg->devices[device].name,
                 d->cfg->devices[device].agent, d->cfg->devices[device].level, node_name(d, node));
    if (n > 0 && (size_t)n < sizeof ret->detail && f->running_since_ms) {
        int more = snprintf(ret->detail + n, sizeof ret->detail - (size_t)n, " has been working for %llu ms",
                            (unsigned long long)(now_ms - f->running_since_ms));
        n += more > 0 ? more : 0;
    }
    if (n > 0 && (size_t)n < sizeof ret->detail && f->job != JOB_NONE)
        (void)snprintf(ret->detail + n, sizeof ret->detail - (size_t)n, "; its last answer to %s, %llu ms ago: %s (exit %d): %s",
                       job_name(f->job), (unsigned long long)(now_ms - f->at_ms), core_result_name(f->result),
                       (int)f->status, f->text[0] ? f->text : "it said nothing");
}

/* The command that helps, with the name of the node that it is about, to be typed as it stands. */
static void action_fill(const struct driver *d, const struct core_why *why, struct explain *ret)
{
    const char *action = core_reason_action(why->reason), *at = strstr(action, "NODE");

    if (!at || why->node >= d->cfg->n_nodes)
        (void)snprintf(ret->action, sizeof ret->action, "%s", action);
    else
        (void)snprintf(ret->action, sizeof ret->action, "%.*s%s%s", (int)(at - action), action, node_name(d, why->node),
                       at + strlen("NODE"));
}

static void fence_action(const struct driver *d, unsigned node, struct explain *ret)
{
    const char *name = node_name(d, node);

    (void)snprintf(ret->action, sizeof ret->action,
        "Fencing is tried again by itself. Repair the device or the way to it (a BMC has no power when its server has none). "
        "If that takes too long: go to node %s, make sure with your own eyes that it is switched off and stays off, "
        "then run `understudy acknowledge %s` here. Never acknowledge a node that you have not seen: if it still runs, "
        "both nodes will work on the same queue and mail is lost.", name, name);
}

static void share_detail(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    const struct facts *f = d->facts;

    if (!f->share_ever)
        (void)snprintf(ret->detail, sizeof ret->detail, "%s has not answered since this engine started",
                       d->cfg->control_share);
    else
        (void)snprintf(ret->detail, sizeof ret->detail,
            "%s, last whole answer %llu ms ago: state %s, why %s, highest epoch %llu, highest ever seen by this node %llu",
            d->cfg->control_share, (unsigned long long)age_of(f->share_ms, now_ms),
            f->share.share == SHARE_OK ? "ok" : f->share.share == SHARE_BEHIND ? "behind" : "wrong", f->share.why,
            (unsigned long long)f->share.highest, (unsigned long long)f->share.local_max);
}

static void members_detail(const struct driver *d, struct explain *ret)
{
    const struct wire_members *m = &d->facts->members;

    if (!d->facts->members_ever)
        (void)snprintf(ret->detail, sizeof ret->detail, "corosync has not answered since this engine started");
    else
        (void)snprintf(ret->detail, sizeof ret->detail, "connected %s, %u member%s of the group, its ring %llu, "
                       "ring of votequorum %llu, quorate %s, encrypted %s", m->connected ? "yes" : "no", m->n_members,
                       m->n_members == 1 ? "" : "s", (unsigned long long)m->cpg_ring,
                       (unsigned long long)m->quorum_ring, m->quorate ? "yes" : "no", m->encrypted ? "yes" : "no");
}

static void peer_detail(const struct driver *d, enum core_reason why, unsigned node, uint64_t now_ms, struct explain *ret)
{
    const struct facts_peer *p = &d->facts->peer[node];
    const char *key = facts_digest_difference(d->facts, node), *ignored = facts_ignored_why(d->facts, node, now_ms);

    if (ignored && why == WHY_PEER_NOT_HEARD)
        (void)snprintf(ret->detail, sizeof ret->detail, "messages of node %s are ignored: %s", node_name(d, node), ignored);
    else if (!p->heard_ever)
        (void)snprintf(ret->detail, sizeof ret->detail, "no message of node %s since this engine started", node_name(d, node));
    else if (key)
        (void)snprintf(ret->detail, sizeof ret->detail, "the configuration of node %s differs in: %s", node_name(d, node), key);
    else
        (void)snprintf(ret->detail, sizeof ret->detail, "node %s says: state %s, %s, %s, %s, highest epoch %llu",
            node_name(d, node), core_state_name((enum core_state)p->msg.state),
            p->msg.flags & CPGMSG_NO_LIST_PROCESS ? "no list process" : "list processes, or it does not know",
            p->msg.flags & CPGMSG_NO_SHARE_CHILD ? "no hanging helper" : "a helper hangs on the share",
            p->msg.flags & CPGMSG_NO_END_PENDING ? "no end outstanding" : "an end is outstanding",
            (unsigned long long)p->msg.epoch);
}

static bool about_share(enum core_reason r)
{
    return r == WHY_SHARE_UNKNOWN || r == WHY_SHARE_WRONG || r == WHY_EPOCH_LOST || r == WHY_TOO_MANY_OPEN;
}

static bool about_members(enum core_reason r)
{
    return r == WHY_MEMBERS_STALE || r == WHY_NOT_ENCRYPTED || r == WHY_NO_RING || r == WHY_NOT_QUORATE;
}

static bool about_peer(enum core_reason r)
{
    return r == WHY_PEER_NOT_HEARD || r == WHY_PEER_DIRTY || r == WHY_PEER_DIGEST || r == WHY_PEER_AHEAD;
}

static bool about_fencing(enum core_reason r)
{
    return r == WHY_FENCE_RUNNING || r == WHY_FENCE_FAILED || r == WHY_NO_DEVICE;
}

static bool about_service(enum core_reason r)
{
    return r == WHY_SERVICE_FAILED || r == WHY_RECOVER_FAILED || r == WHY_ADDRESS_FAILED || r == WHY_INTAKE_FAILED
        || r == WHY_STOP_UNPROVEN;
}

static void service_detail(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    if (d->broken.n == 0)
        return;
    ret->age_ms = age_of(d->broken.at_ms, now_ms);
    (void)snprintf(ret->detail, sizeof ret->detail, "the last that failed: %s", d->broken.text);
}

/* Of the probes while it serves, or of the recovery pass that waits for space. */
static void lists_detail(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    if (d->lists.since_ms == 0) {
        service_detail(d, now_ms, ret);
        return;
    }
    (void)snprintf(ret->detail, sizeof ret->detail, "since %llu ms: %s",
                   (unsigned long long)age_of(d->lists.since_ms, now_ms), d->lists.text);
}

void explain_why(const struct driver *d, const struct core_why *why, uint64_t now_ms, struct explain *ret)
{
    *ret = (struct explain){ 0 };
    source_fill(d, why, now_ms, ret);
    action_fill(d, why, ret);
    if (about_share(why->reason))
        share_detail(d, now_ms, ret);
    else if (about_members(why->reason))
        members_detail(d, ret);
    else if (about_peer(why->reason) && why->node < d->cfg->n_nodes)
        peer_detail(d, why->reason, why->node, now_ms, ret);
    else if (about_fencing(why->reason))
        fence_detail(d, why->node, now_ms, ret);
    else if (why->reason == WHY_LISTS_REFUSE)
        lists_detail(d, now_ms, ret);
    else if (about_service(why->reason))
        service_detail(d, now_ms, ret);
    if (why->reason == WHY_FENCE_FAILED || why->reason == WHY_NO_DEVICE)
        fence_action(d, why->node, ret);
}

#define SHARE_ACTION "Look at the control share on its server: is it full, over a quota, exported or mounted read-only, or " \
    "closed to this node? It is tried again by itself, and nothing else is needed once it takes what is written."

bool explain_unwritable(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    const struct facts *f = d->facts;

    if (f->share.write_errno == 0)
        return false;
    *ret = (struct explain){ .source = "the control share", .age_ms = age_of(f->share_ms, now_ms) };
    (void)snprintf(ret->detail, sizeof ret->detail, "%s, writing the beat: %s. Until that is mended this node can neither claim "
                   "nor end an epoch", d->cfg->control_share, strerror((int)f->share.write_errno));
    (void)snprintf(ret->action, sizeof ret->action, "%s", SHARE_ACTION);
    return true;
}

bool explain_claim_failed(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    const struct driver_failed *f = &d->claims;

    if (!failed_claims(d, now_ms))
        return false;
    *ret = (struct explain){ .source = "the executor", .age_ms = age_of(f->at_ms, now_ms) };
    (void)snprintf(ret->detail, sizeof ret->detail, "%u tries in %llu ms on %s, the last: %s", f->n,
                   (unsigned long long)(now_ms - f->since_ms), d->cfg->control_share, f->text);
    (void)snprintf(ret->action, sizeof ret->action, "%s", SHARE_ACTION);
    return true;
}

bool explain_start_refused(const struct driver *d, uint64_t now_ms, struct explain *ret)
{
    const struct driver_failed *f = &d->starts;
    uint64_t until_ms = again_until_ms(d);
    int n;

    if (!failed_starts(d, now_ms))
        return false;
    *ret = (struct explain){ .source = "the executor", .age_ms = age_of(f->at_ms, now_ms) };
    n = snprintf(ret->detail, sizeof ret->detail, "%u of them failed in %llu ms, the last: %s. Without programs this node can "
                 "neither watch nor stop its list service, nor fence", f->n,
                 (unsigned long long)(now_ms - f->since_ms), f->text);
    if (until_ms != 0 && n > 0 && (size_t)n < sizeof ret->detail)
        (void)snprintf(ret->detail + n, sizeof ret->detail - (size_t)n, ". Its list service goes on unwatched meanwhile; if that "
                       "lasts %llu ms more this node stops it, and is fenced if it can not",
                       (unsigned long long)(until_ms > now_ms ? until_ms - now_ms : 0));
    (void)snprintf(ret->action, sizeof ret->action, "Free what is used up on this node: processes (`systemctl status understudy` "
                   "shows Tasks and their limit), descriptors or memory; if that can not be done, reboot it. It is tried again by "
                   "itself; if the node is held, run `understudy clear` once programs start again.");
    return true;
}
