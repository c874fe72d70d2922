/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes wrong from outside, at times and for as long as the seed says; and the end of all of it. */
#include <string.h>

#include "world.h"

enum fault {
    F_CUT, F_ONE_WAY, F_JOIN, F_SHARE_HANG, F_SHARE_HANG_HOST, F_SHARE_WRONG, F_POWER_OFF, F_POWER_ON, F_RESET, F_PAUSE,
    F_ENGINE, F_COROSYNC, F_DEVICE, F_SERVICE_DIES, F_ROGUE, F_MAINTENANCE, F_DIGEST, F_NOT_ENCRYPTED, F_START_BROKEN,
    F_STOP_BROKEN, F_RECOVER_BROKEN, F_INTAKE_BROKEN, F_FOREIGN_ADDRESS, F_ACKNOWLEDGE, F_CLEAR, F_CUT_ACTIVE,
    F_POWER_OFF_ACTIVE, F_PAUSE_ACTIVE, F_HANG_ACTIVE, F_RELEASE, F_UNSAFE, F_EXECUTOR, F_UPGRADE, F_SHARE_OLD, F_RESTORED,
    F_RECOVER, F_N
};

static void set_links(struct world *w, unsigned a, bool cut, bool both)
{
    for (unsigned o = 0; o < w->p.n; o++) {
        w->cut[a][o] = cut && o != a;
        if (both || !cut)
            w->cut[o][a] = cut && o != a;
    }
    net_changed(w, cut ? w->p.detect_ms : w->p.join_ms);
}

static unsigned active_host(const struct world *w)
{
    for (unsigned h = 0; h < w->p.n; h++)
        if (w->host[h].running)
            return h;
    return 0;
}

static void tell(struct world *w, unsigned h, enum core_event_kind kind, unsigned node)
{
    if (!w->host[h].engine.alive || world_paused(w, h))
        return;
    driver_facts(w, h);
    driver_feed(w, h, (struct core_event){ .kind = kind, .node = node });
}

/* A truthful operator: only what is off is called off. */
static void acknowledge(struct world *w, unsigned h)
{
    for (unsigned p = 0; p < w->p.n; p++)
        if (p != h && !w->host[p].on && w->host[h].engine.alive)
            tell(w, h, EV_ACKNOWLEDGE, p);
}

static void fault_of_host(struct world *w, unsigned h, enum fault f, uint64_t until)
{
    struct sim_host *x = &w->host[h];
    uint64_t *window[F_N] = {
        [F_SHARE_HANG_HOST] = &x->share_hangs_until, [F_SHARE_WRONG] = &x->share_wrong_until,
        [F_DIGEST] = &x->digest_until, [F_NOT_ENCRYPTED] = &x->not_encrypted_until,
        [F_START_BROKEN] = &x->start_broken_until, [F_STOP_BROKEN] = &x->stop_broken_until,
        [F_RECOVER_BROKEN] = &x->recover_broken_until, [F_INTAKE_BROKEN] = &x->intake_broken_until,
        [F_COROSYNC] = &x->corosync_stopped_until, [F_SHARE_HANG] = &w->share.hangs_until,
        [F_UNSAFE] = &x->unsafe_until, [F_SHARE_OLD] = &w->share_old_until,
        [F_MAINTENANCE] = &w->maintenance_until, [F_FOREIGN_ADDRESS] = &w->foreign_address_until,
    };
    if (window[f]) {
        *window[f] = until;
    } else if (f == F_SERVICE_DIES && x->running) {
        x->whole = false;
    } else if (f == F_ROGUE && x->booted && !x->running) {
        x->rogue = true;
    }
    if (f == F_COROSYNC) {
        net_changed(w, w->p.detect_ms);
        w->topology++;
        world_push(w, until + 1, WE_TOPOLOGY, 0, 0, (uint32_t)w->topology);
    }
}

static void fault_power(struct world *w, unsigned h, enum fault f, uint64_t length)
{
    unsigned whom = f == F_POWER_OFF_ACTIVE ? active_host(w) : h;
    if (f == F_POWER_OFF || f == F_POWER_OFF_ACTIVE)
        host_switch(w, whom, false);
    if ((f == F_POWER_OFF || f == F_POWER_OFF_ACTIVE) && rng_chance(&w->rng, 0.6))
        world_push(w, w->now + 3 * length, WE_SWITCH_ON, whom, 0, 0);
    if (f == F_POWER_ON)
        host_switch(w, h, true);
    else if (f == F_RESET && w->host[h].on)
        host_reset(w, h);
    else if (f == F_PAUSE)
        host_pause(w, h, length);
    else if (f == F_ENGINE)
        engine_crash(w, h);
    else if (f == F_EXECUTOR)
        executor_crash(w, h);
    else if (f == F_DEVICE && w->p.cfg.n_devices != 0)
        w->device[rng_range(&w->rng, 0, w->p.cfg.n_devices - 1)].dead_until = w->now + 4 * length;
}

/* Alive and out of reach: what a proof by fencing is for. */
static void fault_active(struct world *w, unsigned h, enum fault f, uint64_t length)
{
    if (f == F_PAUSE_ACTIVE)
        host_pause(w, h, length);
    else
        set_links(w, h, true, true);
    if (f == F_HANG_ACTIVE)
        w->host[h].share_hangs_until = w->now + length;
}

static void switchover(struct world *w)
{
    unsigned h = active_host(w);
    if (!w->host[h].engine.alive || world_paused(w, h))
        return;
    driver_facts(w, h);
    driver_feed(w, h, (struct core_event){ .kind = EV_RELEASE, .node = CORE_NODE_NONE, .force = rng_chance(&w->rng, 0.3) });
}

/* The maintenance lasts for longer than the daemon is away, mostly. */
static void upgrade(struct world *w, unsigned h, uint64_t length)
{
    if (!w->host[h].running || world_paused(w, h))
        return;
    w->maintenance_until = w->now + 2000 + length;
    driver_look(w, h);
    if (w->host[h].engine.alive)
        executor_crash(w, h);
}

static enum fault draw_fault(struct world *w)
{
    unsigned sum = 0;
    for (unsigned f = 0; f < F_N; f++)
        sum += w->p.weight[f];
    if (sum == 0)
        return F_POWER_OFF_ACTIVE;
    uint64_t at = rng_range(&w->rng, 0, sum - 1);
    for (unsigned f = 0; f < F_N; f++) {
        if (at < w->p.weight[f])
            return (enum fault)f;
        at -= w->p.weight[f];
    }
    return F_POWER_OFF_ACTIVE;
}

static void apply(struct world *w, enum fault f, unsigned h, uint64_t length)
{
    static const char *const names[F_N] = {
        "cut", "one-way cut", "links joined", "share hangs", "share hangs for one", "share wrong", "power off", "power on",
        "reset", "pause", "engine crash", "corosync stopped", "fence device dead", "service dies", "rogue start",
        "maintenance", "digest differs", "not encrypted", "start broken", "stop broken", "recover broken",
        "intake broken", "foreign address", "acknowledge", "clear", "active cut off", "active power off",
        "active paused", "active cut off from cluster and share", "switchover", "no safe point", "daemon killed",
        "daemon replaced under maintenance", "old share", "share restored", "init --recover",
    };
    world_trace(w, h, "FAULT %s for %llu ms", names[f], (unsigned long long)length);
    if (f == F_CUT || f == F_ONE_WAY || f == F_JOIN)
        set_links(w, h, f != F_JOIN, f == F_CUT);
    else if (f == F_CUT_ACTIVE || f == F_PAUSE_ACTIVE || f == F_HANG_ACTIVE)
        fault_active(w, active_host(w), f, length + 2 * w->p.detect_ms);
    else if (f == F_ACKNOWLEDGE)
        acknowledge(w, h);
    else if (f == F_CLEAR)
        tell(w, h, EV_CLEAR, 0);
    else if (f == F_RELEASE)
        switchover(w);
    else if (f == F_UPGRADE)
        upgrade(w, active_host(w), length);
    else if (f == F_RESTORED)
        share_restore(w);
    else if (f == F_RECOVER)
        operator_recover(w, h);
    fault_of_host(w, h, f, w->now + length);
    fault_power(w, h, f, length);
}

void faults_next(struct world *w)
{
    if (w->healed)
        return;
    apply(w, draw_fault(w), (unsigned)rng_range(&w->rng, 0, w->p.n - 1), rng_pause(&w->rng, w->p.window_mean_ms));
    world_push(w, w->now + rng_pause(&w->rng, w->p.fault_mean_ms), WE_FAULT, 0, 0, 0);
}

static void heal_host(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    uint64_t *window[] = { &x->share_hangs_until, &x->share_wrong_until, &x->digest_until, &x->not_encrypted_until,
        &x->start_broken_until, &x->stop_broken_until, &x->recover_broken_until, &x->intake_broken_until, &x->unsafe_until,
        &x->corosync_stopped_until };
    for (unsigned i = 0; i < sizeof window / sizeof *window; i++)
        if (*window[i] > w->now)
            *window[i] = w->now;
}

/* Faults stop. Nobody is helped yet: what is off stays off, what is held stays held. */
void faults_heal(struct world *w)
{
    struct world_params *p = &w->p;
    world_trace(w, 0, "FAULTS END");
    w->healed = true;
    w->healed_at = w->now;
    memset(w->cut, 0, sizeof w->cut);
    for (unsigned h = 0; h < p->n; h++)
        heal_host(w, h);
    for (unsigned d = 0; d < CORE_DEVICES; d++)
        w->device[d].dead_until = 0;
    w->share.hangs_until = w->share.hangs_until > w->now ? w->now : w->share.hangs_until;
    w->maintenance_until = w->foreign_address_until = w->share_old_until = 0;
    p->p_fail = p->p_lost = p->p_hang = p->p_stale_report = p->p_message_lost = p->p_message_late = p->p_crash_action = 0;
    p->p_fence_fail = p->p_fence_hang = p->p_fence_acts_late = p->p_noise = p->p_stale_answer = p->p_mute = 0;
    net_changed(w, p->join_ms);
    world_push(w, w->now + 500, WE_JUDGE, 0, 0, 0);
}
