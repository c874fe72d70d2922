/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes wrong from outside, at times and for as long as the seed says; and the end of all of it. */
#include <assert.h>
#include <string.h>

#include "world.h"

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
        [F_LATE_LINK] = &x->links_late_until, [F_LISTS_FULL] = &x->lists_full_until,
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
    for (unsigned f = 0; f < F_DRAWN; f++)
        sum += w->p.weight[f];
    if (sum == 0)
        return F_POWER_OFF_ACTIVE;
    uint64_t at = rng_range(&w->rng, 0, sum - 1);
    for (unsigned f = 0; f < F_DRAWN; f++) {
        if (at < w->p.weight[f])
            return (enum fault)f;
        at -= w->p.weight[f];
    }
    return F_POWER_OFF_ACTIVE;
}

const char *fault_name(unsigned kind)
{
    static const char *const names[F_N] = {
        "cut", "one-way cut", "links joined", "share hangs", "share hangs for one", "share wrong", "power off", "power on",
        "reset", "pause", "engine crash", "corosync stopped", "fence device dead", "service dies", "rogue start",
        "maintenance", "digest differs", "not encrypted", "start broken", "stop broken", "recover broken",
        "intake broken", "foreign address", "acknowledge", "clear", "active cut off", "active power off",
        "active paused", "active cut off from cluster and share", "switchover", "no safe point", "daemon killed",
        "daemon replaced under maintenance", "old share", "share restored", "init --recover",
        "fence device lies", "fence device acts late", "changes of the share are late", "gap in its time",
        "everything in the network frozen", "power off, and nobody switches it on", "wrong acknowledge",
        "fence devices of a node dead", "list share takes nothing",
    };
    return kind < F_N ? names[kind] : "?";
}

/* The odd ones: devices that say one thing and do another, a network that keeps everything and then delivers it. */
static void fault_odd(struct world *w, unsigned h, enum fault f, uint64_t length)
{
    uint64_t until = w->now + length;
    for (unsigned d = 0; d < w->p.cfg.n_devices; d++) {
        if (f == F_FENCE_LIES && w->p.cfg.device[d].node == h)
            w->device[d].lies_until = until;
        else if (f == F_DEVICE_ALL && w->p.cfg.device[d].node == h)
            w->device[d].dead_until = until;
        else if (f == F_FENCE_LATE && w->p.cfg.device[d].node == h)
            w->device[d].late_until = until;
    }
    if (f == F_FREEZE) {
        w->frozen_until = w->share.hangs_until = until;
        net_changed(w, w->p.detect_ms);
        w->topology++;
        world_push(w, until + 1, WE_TOPOLOGY, 0, 0, (uint32_t)w->topology);
    } else if (f == F_GAP) {
        tell(w, h, EV_GAP, 0);
    } else if (f == F_STAY_OFF) {
        host_switch(w, h, false);
    } else if (f == F_WRONG_ACKNOWLEDGE) {
        for (unsigned p = 0; p < w->p.n; p++)
            if (p != h)
                tell(w, h, EV_ACKNOWLEDGE, p);
    }
}

static void apply(struct world *w, enum fault f, unsigned h, uint64_t length)
{
    world_trace(w, h, "FAULT %s for %llu ms", fault_name(f), (unsigned long long)length);
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
    fault_odd(w, h, f, length);
    fault_of_host(w, h, f, w->now + length);
    fault_power(w, h, f, length);
}

static void next_at(struct world *w, uint64_t at) { world_push(w, at, WE_FAULT, 0, 0, 0); }

static void fixed_at(struct world *w, uint64_t at, enum fault f, unsigned h, uint64_t length)
{
    world_push(w, at, WE_FAULT, h, (uint32_t)length, 1 + (uint32_t)f);
}

static bool is_listed(const struct world *w) { return w->script && (w->script->n != 0 || !w->script->scenario); }

static void begin_listed(struct world *w)
{
    const struct sim_script *s = w->script;
    uint64_t end = w->p.faults_ms;
    if (s->n != 0)
        next_at(w, s->fault[0].at);
    if (s->n != 0 && s->scenario)
        end = s->fault[s->n - 1].at + s->fault[s->n - 1].length + 1;
    world_push(w, end, WE_HEAL, 0, 0, 0);
}

void faults_begin(struct world *w)
{
    struct rng r = { .s = w->seed ^ 0x6f6464ull };
    uint64_t first = 2000 + rng_pause(&w->rng, w->p.fault_mean_ms);
    if (is_listed(w)) {
        begin_listed(w);
        return;
    }
    next_at(w, first);
    world_push(w, w->script ? 120000 : w->p.faults_ms, WE_HEAL, 0, 0, 0);
    if (!w->script && w->seed % 8 == 5)
        fixed_at(w, rng_range(&r, 3000, w->p.faults_ms), F_LISTS_FULL, (unsigned)rng_range(&r, 0, w->p.n - 1),
                 rng_pause(&r, w->p.window_mean_ms));
    if (w->script || w->seed % 4 != 3)
        return;
    for (uint64_t i = rng_range(&r, 0, 4); i > 0; i--) {
        uint64_t at = rng_range(&r, 3000, w->p.faults_ms), length = rng_pause(&r, w->p.window_mean_ms);
        fixed_at(w, at, (enum fault)rng_range(&r, F_DRAWN, F_ODD - 1), (unsigned)rng_range(&r, 0, w->p.n - 1), length);
    }
}

static void play(struct world *w, struct sim_fault f)
{
    f.at = w->now;
    assert(w->log.n < W_FAULTS);
    w->log.fault[w->log.n++] = f;
    apply(w, (enum fault)f.kind, f.host, f.length);
}

/* The next of a list; as much chance is used up as by drawing it, so that the list of a seed gives the run of that seed. */
static void play_listed(struct world *w)
{
    const struct sim_script *s = w->script;
    const struct sim_fault *f = &s->fault[w->script_at++];
    if (s->scenario && w->script_at == 1)
        scenario_noise(w);
    if (!f->odd)
        for (unsigned i = 0; i < 3; i++)
            (void)rng_next(&w->rng);
    play(w, *f);
    if (!f->odd)
        (void)rng_next(&w->rng);
    if (w->script_at < s->n)
        next_at(w, s->fault[w->script_at].at);
}

/* A scenario begins once all is well; it ends with the last of its faults. */
static void begin_scenario(struct world *w)
{
    struct sim_script s;
    uint64_t end = 0;
    if (!scenario_resolve(w, &s)) {
        for (unsigned h = 0; h < w->p.n; h++)
            if (w->now % 20000 < 200 && !w->host[h].on) /* fenced at the first start by one that did not come to serve */
                host_switch(w, h, true);
        next_at(w, w->now + 200);
        return;
    }
    w->base_at = w->now;
    w->base_takeovers = w->takeovers;
    scenario_noise(w);
    for (unsigned i = 0; i < s.n; i++) {
        const struct sim_fault *f = &s.fault[i];
        fixed_at(w, f->at, (enum fault)f->kind, f->host, f->length);
        end = f->at + f->length > end ? f->at + f->length : end;
    }
    world_push(w, end + 1, WE_HEAL, 0, 0, 0);
}

static void draw_next(struct world *w)
{
    struct sim_fault f = { .kind = (uint8_t)draw_fault(w) };
    f.host = (uint8_t)rng_range(&w->rng, 0, w->p.n - 1);
    f.length = rng_pause(&w->rng, w->p.window_mean_ms);
    play(w, f);
    next_at(w, w->now + rng_pause(&w->rng, w->p.fault_mean_ms));
}

void faults_next(struct world *w, const struct world_event *e)
{
    if (w->healed)
        return;
    if (e->a != 0)
        play(w, (struct sim_fault){ .kind = (uint8_t)(e->a - 1), .host = e->host, .length = e->gen, .odd = true });
    else if (is_listed(w))
        play_listed(w);
    else if (w->script)
        begin_scenario(w);
    else
        draw_next(w);
}

static void heal_host(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    uint64_t *window[] = { &x->share_hangs_until, &x->share_wrong_until, &x->digest_until, &x->not_encrypted_until,
        &x->start_broken_until, &x->stop_broken_until, &x->recover_broken_until, &x->intake_broken_until, &x->unsafe_until,
        &x->corosync_stopped_until, &x->links_late_until, &x->lists_full_until };
    for (unsigned i = 0; i < sizeof window / sizeof *window; i++)
        if (*window[i] > w->now)
            *window[i] = w->now;
}

/* Faults stop. Nobody is helped yet: what is off stays off, what is held stays held. */
void faults_heal(struct world *w)
{
    struct world_params *p = &w->p;
    if (w->healed)
        return;
    world_trace(w, 0, "FAULTS END");
    w->healed = true;
    w->healed_at = w->now;
    memset(w->cut, 0, sizeof w->cut);
    for (unsigned h = 0; h < p->n; h++)
        heal_host(w, h);
    for (unsigned d = 0; d < CORE_DEVICES; d++)
        w->device[d].dead_until = w->device[d].lies_until = w->device[d].late_until = 0;
    w->share.hangs_until = w->share.hangs_until > w->now ? w->now : w->share.hangs_until;
    w->maintenance_until = w->foreign_address_until = w->share_old_until = w->frozen_until = 0;
    p->p_fail = p->p_lost = p->p_hang = p->p_stale_report = p->p_message_lost = p->p_message_late = p->p_crash_action = 0;
    p->p_fence_fail = p->p_fence_hang = p->p_fence_acts_late = p->p_noise = p->p_stale_answer = p->p_mute = 0;
    net_changed(w, p->join_ms);
    world_push(w, w->now + 500, WE_JUDGE, 0, 0, 0);
}
