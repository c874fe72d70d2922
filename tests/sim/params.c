/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The world that a seed means: sizes, timings, and how likely each thing is to fail. */
#include <math.h>
#include <string.h>

#include "world.h"

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi) { return lo + rng_next(r) % (hi - lo + 1); }

static double unit(struct rng *r) { return (double)(rng_next(r) >> 11) * 0x1.0p-53; }

bool rng_chance(struct rng *r, double p) { return p > 0 && unit(r) < p; }

uint64_t rng_pause(struct rng *r, double mean_ms)
{
    double ms = -log(1.0 - unit(r)) * mean_ms;
    return 1 + (uint64_t)(ms > mean_ms * 8 ? mean_ms * 8 : ms);
}

/* Mostly quiet worlds, some in which one thing fails all the time. */
static double draw_p(struct rng *r, double often)
{
    switch (rng_range(r, 0, 5)) {
    case 0: case 1: case 2:
        return 0;
    case 3:
        return often / 8;
    case 4:
        return often / 2;
    }
    return often;
}

static void draw_faults(struct world_params *p, struct rng *r)
{
    p->p_fail = draw_p(r, 0.10);
    p->p_lost = draw_p(r, 0.10);
    p->p_hang = draw_p(r, 0.08);
    p->p_land_after_kill = draw_p(r, 0.9);
    p->p_unreaped = draw_p(r, 0.7);
    p->p_stale_report = draw_p(r, 0.4);
    p->p_message_lost = draw_p(r, 0.3);
    p->p_message_late = draw_p(r, 0.3);
    p->p_crash_action = draw_p(r, 0.02);
    p->p_stale_answer = draw_p(r, 0.5);
    p->p_fence_fail = draw_p(r, 0.5);
    p->p_fence_hang = draw_p(r, 0.3);
    p->p_fence_acts_late = draw_p(r, 0.3);
    p->p_noise = draw_p(r, 0.002);
    p->p_mute = draw_p(r, 0.5);
    for (unsigned i = 0; i < sizeof p->weight; i++)
        p->weight[i] = (uint8_t)(rng_chance(r, 0.5) ? 0 : rng_range(r, 1, 8));
    static const double means[] = { 400, 1500, 4000, 10000 };
    p->fault_mean_ms = means[rng_range(r, 0, 3)];
    p->window_mean_ms = (double)rng_range(r, 300, 6000);
    p->faults_ms = rng_range(r, 8000, 40000);
}

static void draw_devices(struct core_config *c, struct rng *r, unsigned n)
{
    c->n_devices = 0;
    for (unsigned h = 0; h < n; h++) {
        unsigned levels = rng_chance(r, 0.08) ? 0 : rng_chance(r, 0.3) ? 2 : 1;
        if (n == W_HOSTS && levels == 2)
            levels = 1;
        for (unsigned l = 0; l < levels; l++) {
            unsigned count = rng_chance(r, 0.25) && n < W_HOSTS ? 2 : 1;
            for (unsigned d = 0; d < count; d++) {
                c->device[c->n_devices].node = (uint8_t)h;
                c->device[c->n_devices].level = (uint8_t)(l + 1);
                c->fence_ms[c->n_devices++] = (uint32_t)rng_range(r, 600, 3000);
            }
        }
    }
}

static void draw_config(struct world_params *p, struct rng *r)
{
    struct core_config *c = &p->cfg;
    memset(c, 0, sizeof *c);
    c->n_nodes = p->n;
    c->two_node = p->two_node;
    c->claim_patience_ms = (uint32_t)rng_range(r, 2500, 9000);
    c->power_wait_ms = (uint32_t)rng_range(r, 0, 600);
    c->drain_ms = (uint32_t)rng_range(r, 200, 2500);
    c->share_deadline_ms = (uint32_t)rng_range(r, 700, 2000);
    c->share_patience_ms = (uint32_t)rng_range(r, 3000, 12000);
    c->epoch_op_ms = (uint32_t)rng_range(r, 500, 2000);
    c->recover_ms = 3000;
    c->address_ms = 1500;
    c->start_ms = 4000;
    c->stop_ms = 2500;
    c->monitor_ms = 1500;
    c->monitor_interval_ms = (uint32_t)rng_range(r, 500, 2000);
    c->max_failures = (uint32_t)rng_range(r, 1, 4);
    c->failure_window_ms = (uint32_t)rng_range(r, 5000, 60000);
    c->fence_retry_min_ms = (uint32_t)rng_range(r, 200, 1000);
    c->fence_retry_max_ms = (uint32_t)rng_range(r, 1500, 4000);
    c->after_fence_on = rng_chance(r, 0.7);
    c->release_ms = (uint32_t)rng_range(r, 500, 2500);
    c->sync_ms = (uint32_t)rng_range(r, 500, 3000);
    c->max_restarts = (uint32_t)rng_range(r, 0, 3);
    draw_devices(c, r, p->n);
}

void params_draw(struct world *w)
{
    struct world_params *p = &w->p;
    struct rng *r = &w->rng;
    p->n = rng_chance(r, 0.2) ? 3 : 2;
    p->two_node = p->n == 2 && rng_chance(r, 0.75);
    p->qdevice_side = (unsigned)rng_range(r, 0, 1);
    p->beat_ms = rng_range(r, 100, 300);
    p->report_every = rng_chance(r, 0.1) ? (uint32_t)rng_range(r, 2, 4) : 1;
    p->message_ms = rng_range(r, 200, 500);
    p->heard_ms = 3 * p->message_ms + p->beat_ms;
    p->detect_ms = rng_range(r, 300, 2500);
    p->join_ms = rng_range(r, 50, 300);
    p->boot_ms = rng_range(r, 1000, 8000);
    p->slow = (uint32_t)rng_range(r, 1, 4);
    draw_faults(p, r);
    draw_config(p, r);
    while (p->report_every * p->beat_ms * 3 / 2 > p->cfg.share_deadline_ms)
        p->report_every--;
}

static const struct { size_t at; const char *name; } chances[] = {
#define CHANCE(f, words) { offsetof(struct world_params, f), words }
    CHANCE(p_fail, "operations fail"), CHANCE(p_lost, "operations are done and answer that they failed"),
    CHANCE(p_hang, "operations hang until their deadline"), CHANCE(p_land_after_kill, "killed fence programs act all the same"),
    CHANCE(p_unreaped, "killed children are reaped late"), CHANCE(p_stale_report, "reports of the share are a beat old"),
    CHANCE(p_message_lost, "messages are lost"), CHANCE(p_message_late, "messages are late"),
    CHANCE(p_crash_action, "engines die between two actions"), CHANCE(p_stale_answer, "answers come that nobody waits for"),
    CHANCE(p_fence_fail, "fence devices fail"), CHANCE(p_fence_hang, "fence devices hang"),
    CHANCE(p_fence_acts_late, "fence devices act late"), CHANCE(p_noise, "gaps in time and unknown process tables"),
    CHANCE(p_mute, "deadlines pass and nobody says so"),
#undef CHANCE
};

#define N_CHANCES (sizeof chances / sizeof *chances)

const char *params_name(unsigned i) { return i < N_CHANCES ? chances[i].name : NULL; }

static double *chance(struct world_params *p, unsigned i) { return (double *)(void *)((char *)p + chances[i].at); }

bool params_is_set(const struct world *w, unsigned i)
{
    struct world_params p = w->p;
    return *chance(&p, i) > 0;
}

void params_quiet(struct world *w, uint32_t which)
{
    for (unsigned i = 0; i < N_CHANCES; i++)
        if (which & (1u << i))
            *chance(&w->p, i) = 0;
}

/* All but those of `quiet` are again what they are in `from`. */
void params_restore(struct world *w, const struct world_params *from, uint32_t quiet)
{
    struct world_params copy = *from;
    for (unsigned i = 0; i < N_CHANCES; i++)
        *chance(&w->p, i) = *chance(&copy, i);
    params_quiet(w, quiet);
}
