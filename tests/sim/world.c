/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop: the event with the smallest time is taken, ties in the order of their making. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

uint64_t sim_rule_fired[W_RULES];
unsigned sim_rule_index[2048];
uint32_t sim_ignore;

void sim_index_rules(void)
{
    int ids[W_RULES];
    unsigned n = core_rule_ids(ids, W_RULES);
    for (unsigned i = 0; i < n; i++)
        sim_rule_index[ids[i]] = i + 1;
}

const char *world_checker_name(enum world_checker c)
{
    static const char *const names[CHECK_N] = {
        "none", "single-active", "proof", "order", "epoch", "late-write", "end", "deadline", "must-stop", "claim",
        "address", "livelock", "wakeup", "dead-end", "invariant", "calm",
    };
    return (unsigned)c < CHECK_N ? names[c] : "?";
}

void world_push(struct world *w, uint64_t at, enum world_event_kind kind, unsigned host, uint32_t gen, uint32_t a)
{
    struct world_event e = { .at = at, .seq = ++w->seq, .gen = gen, .a = a, .kind = (uint8_t)kind, .host = (uint8_t)host };
    queue_put(w, &e);
}

void world_fail(struct world *w, enum world_checker c, const char *fmt, ...)
{
    va_list ap;
    if (w->failed || (sim_ignore & (1u << c)))
        return;
    w->failed = c;
    va_start(ap, fmt);
    vsnprintf(w->failure, sizeof w->failure, fmt, ap);
    va_end(ap);
    world_trace(w, 0, "VIOLATION %s: %s", world_checker_name(c), w->failure);
}

void world_trace(struct world *w, unsigned host, const char *fmt, ...)
{
    va_list ap;
    if (!w->trace)
        return;
    printf("# %8llu %u ", (unsigned long long)w->now, host);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

void world_digest(struct world *w, uint64_t v) { w->digest = (w->digest ^ v) * 0x100000001b3ull; }

bool world_paused(const struct world *w, unsigned h) { return w->host[h].paused_until > w->now; }

/* Events of a host's own processes wait while the host does. */
static bool frozen(const struct world *w, const struct world_event *e)
{
    switch ((enum world_event_kind)e->kind) {
    case WE_TICK: case WE_WAKE: case WE_ANSWER: case WE_DEADLINE: case WE_STALE: case WE_EXECUTOR: case WE_DAEMON: case WE_VIEW:
    case WE_QUORUM: case WE_REAP:
        return world_paused(w, e->host);
    case WE_LAND: case WE_EFFECT: case WE_DEVICE: case WE_TOPOLOGY: case WE_BOOT: case WE_UNPAUSE: case WE_WRITE:
    case WE_SWITCH_ON:
    case WE_BEAT: case WE_FAULT: case WE_HEAL: case WE_JUDGE: case WE_N:
        break;
    }
    return false;
}

static bool of_this_boot(const struct world *w, const struct world_event *e)
{
    return w->host[e->host].on && w->host[e->host].boot == e->gen;
}

static void host_event(struct world *w, const struct world_event *e)
{
    unsigned h = e->host;
    if (!of_this_boot(w, e))
        return;
    if (e->kind == WE_TICK)
        driver_tick(w, h);
    else if (e->kind == WE_VIEW)
        net_view(w, h, e->a >> 8, e->a & 0xff);
    else if (e->kind == WE_BOOT)
        host_boot(w, h);
    else if (e->kind == WE_EXECUTOR)
        executor_step(w, h);
    else if (e->kind == WE_DAEMON)
        executor_again(w, h);
    else if (e->kind == WE_UNPAUSE)
        host_wake(w, h);
    else if (e->kind == WE_QUORUM && w->host[h].engine.alive)
        driver_look(w, h);
}

static void beat_lands(struct world *w, const struct world_event *e)
{
    struct sim_beat *b = &w->share.beat[e->host];
    if ((b->boot.lo & ~15ull) == (uint64_t)e->gen * 16)
        b->counter++;
}

static void device_acts(struct world *w, const struct world_event *e)
{
    w->device[e->a / 2].on = e->a % 2;
    host_power(w, w->p.cfg.device[e->a / 2].node);
}

static void somebody_switches_on(struct world *w, unsigned h)
{
    w->host[h].switched_on = w->now;
    world_trace(w, h, "somebody switches it on");
    host_switch(w, h, true);
}

static void world_event(struct world *w, const struct world_event *e)
{
    if (e->kind == WE_LAND)
        share_land(w, e->a);
    else if (e->kind == WE_DEVICE)
        device_acts(w, e);
    else if (e->kind == WE_TOPOLOGY)
        net_topology(w, e->a);
    else if (e->kind == WE_WRITE && e->gen == w->host[e->host].writes)
        check_write(w, e->host);
    else if (e->kind == WE_SWITCH_ON)
        somebody_switches_on(w, e->host);
    else if (e->kind == WE_BEAT)
        beat_lands(w, e);
    else if (e->kind == WE_FAULT)
        faults_next(w, e);
    else if (e->kind == WE_HEAL)
        faults_heal(w);
    else if (e->kind == WE_JUDGE)
        operator_judge(w);
}

static void dispatch(struct world *w, const struct world_event *e)
{
    const struct sim_host *x = &w->host[e->host];
    switch ((enum world_event_kind)e->kind) {
    case WE_TICK: case WE_VIEW: case WE_QUORUM: case WE_BOOT: case WE_EXECUTOR: case WE_DAEMON: case WE_UNPAUSE:
        host_event(w, e);
        break;
    case WE_WAKE:
        if (x->on && x->engine.gen == e->gen)
            driver_wake(w, e->host);
        break;
    case WE_EFFECT: case WE_ANSWER: case WE_DEADLINE: case WE_REAP: case WE_STALE:
        if (x->on)
            child_event(w, e);
        break;
    case WE_LAND: case WE_DEVICE: case WE_TOPOLOGY: case WE_WRITE: case WE_SWITCH_ON:
    case WE_BEAT: case WE_FAULT: case WE_HEAL: case WE_JUDGE:
        world_event(w, e);
        break;
    case WE_N:
        break;
    }
}

static void world_begin(struct world *w)
{
    params_draw(w);
    if (w->script) {
        params_quiet(w, w->script->quiet);
        w->rng.s ^= w->script->salt;
        if (w->script->scenario)
            scenario_world(w);
    }
    share_init(w);
    for (unsigned d = 0; d < CORE_DEVICES; d++)
        w->device[d].on = true;
    for (unsigned h = 0; h < w->p.n; h++) {
        w->host[h].on = true;
        w->host[h].boot = 1;
        world_push(w, 1 + rng_range(&w->rng, 0, 3000), WE_BOOT, h, 1, 0);
    }
    faults_begin(w);
}

void world_run(struct world *w, uint64_t seed, bool trace) { world_run_script(w, seed, trace, NULL); }

void world_run_script(struct world *w, uint64_t seed, bool trace, const struct sim_script *s)
{
    struct world_event e;
    memset(w, 0, offsetof(struct world, queue));
    w->failed = CHECK_NONE;
    w->takeovers = w->steps = 0;
    w->trace = trace;
    w->script = s;
    w->seed = seed;
    w->rng.s = seed * 0x9e3779b97f4a7c15ull + 1;
    w->digest = 0xcbf29ce484222325ull;
    world_begin(w);
    while (!w->done && !w->failed && queue_take(w, &e)) {
        w->now = e.at;
        if (frozen(w, &e))
            world_push(w, w->host[e.host].paused_until + 1, (enum world_event_kind)e.kind, e.host, e.gen, e.a);
        else
            dispatch(w, &e);
        if (!w->failed)
            check_world(w);
    }
}
