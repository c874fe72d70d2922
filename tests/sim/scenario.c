/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named courses of events: a fixed list of faults with times and lengths between two bounds, in a world of a given kind.
 * A scenario begins when somebody has just come to serve in full, and then counts time from 0. All checkers watch it; its
 * last two columns say how often somebody may take over because of it. The F numbers are
 * those of the fault list in README. */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define ROWS 8

enum whom { ACTIVE, PASSIVE, ANYBODY, ALL };

struct row { uint32_t from_ms, to_ms; enum fault fault; enum whom whom; uint32_t least_ms, most_ms; };

struct scenario {
    const char *name, *what, *worlds;  /* worlds: 2 two nodes, 3 three nodes, Q two nodes with a qdevice */
    bool        noisy;                 /* what a seed draws fails on top of it; else nothing else does */
    struct row  row[ROWS];
    unsigned    least, most;           /* in how many runs of a hundred somebody takes over */
};

#define ROW(from, to, fault, whom, least, most) { from, to, F_##fault, whom, least, most }

static const struct scenario scenarios[] = {
    { "power-off", "the active node loses power for good", "23Q", false,
      { ROW(0, 3000, STAY_OFF, ACTIVE, 30000, 30000) }, 95, 100 },
    { "power-off-noisy", "the same, and all the rest fails as the seed says", "23Q", true,
      { ROW(0, 3000, STAY_OFF, ACTIVE, 30000, 30000) }, 90, 100 },
    { "power-cycle", "the active node is reset and boots again (F14)", "23Q", true,
      { ROW(0, 3000, RESET, ACTIVE, 20000, 20000) }, 90, 100 },
    { "split", "the cluster network is cut, both live and see the share (F1, F5)", "2", false,
      { ROW(0, 3000, CUT, ACTIVE, 20000, 40000) }, 0, 0 },
    { "split-majority", "the active node is cut off from a quorate rest (F1)", "3Q", false,
      { ROW(0, 3000, CUT, ACTIVE, 20000, 40000) }, 30, 100 },
    { "split-no-share", "the active node loses cluster network and share (F5)", "23Q", false,
      { ROW(0, 3000, HANG_ACTIVE, ACTIVE, 15000, 40000) }, 95, 100 },
    { "one-way", "messages of the active node are lost, not those to it (F3)", "2", false,
      { ROW(0, 3000, ONE_WAY, ACTIVE, 10000, 30000) }, 0, 0 },
    { "one-way-back", "messages to the active node are lost, not its own (F3)", "2", false,
      { ROW(0, 3000, ONE_WAY, PASSIVE, 10000, 30000) }, 0, 0 },
    { "flapping-link", "the cluster network comes and goes (F4)", "2", false,
      { ROW(0, 500, CUT, ANYBODY, 1, 1), ROW(1500, 3500, JOIN, ALL, 1, 1), ROW(4000, 6000, CUT, ANYBODY, 1, 1),
        ROW(7000, 9000, JOIN, ALL, 1, 1), ROW(10000, 11000, CUT, ANYBODY, 1, 1), ROW(12000, 15000, JOIN, ALL, 1, 1) }, 0, 0 },
    { "frozen-network-90s", "everything stands for 90 s, then all of it is delivered, fence requests too (F6)", "23Q", false,
      { ROW(0, 3000, FREEZE, ALL, 90000, 90000) }, 90, 100 },
    { "freeze-in-takeover", "the same for 20 s, in the middle of a takeover (F6)", "23Q", true,
      { ROW(0, 0, STAY_OFF, ACTIVE, 1, 1), ROW(500, 9000, FREEZE, ALL, 20000, 20000) }, 80, 100 },
    { "fence-lies", "off is answered with success, and the node stays on (F9)", "3Q", false,
      { ROW(0, 0, FENCE_LIES, ALL, 30000, 30000), ROW(100, 3000, HANG_ACTIVE, ACTIVE, 20000, 30000) }, 90, 100 },
    { "fence-dead", "no device answers while the active node is dead (F2, F10, F15)", "23Q", false,
      { ROW(0, 0, DEVICE_ALL, ALL, 30000, 30000), ROW(0, 3000, STAY_OFF, ACTIVE, 1, 1) }, 95, 100 },
    { "fence-late", "devices act seconds after their answer, perhaps on a node that is back (F11)", "23Q", true,
      { ROW(0, 0, FENCE_LATE, ALL, 40000, 40000), ROW(100, 3000, RESET, ACTIVE, 20000, 20000) }, 80, 100 },
    { "fence-race", "both lose each other and the share, then get it back at once (F12, F13)", "2", true,
      { ROW(0, 2000, CUT, ANYBODY, 25000, 25000), ROW(2500, 5000, SHARE_HANG, ALL, 2000, 15000) }, 20, 100 },
    { "late-link", "claims, owns and ends reach the share up to 20 s late (F33)", "23Q", true,
      { ROW(0, 0, LATE_LINK, ALL, 40000, 40000), ROW(100, 3000, RESET, ACTIVE, 20000, 20000) }, 80, 100 },
    { "paused-active", "the active node stands still for longer than all deadlines, then goes on (F19, F20, F31)", "23Q", false,
      { ROW(0, 3000, PAUSE, ACTIVE, 500, 60000) }, 30, 100 },
    { "paused-passive", "the passive nodes stand still, then go on (F19, F20)", "2", false,
      { ROW(0, 3000, PAUSE, PASSIVE, 500, 60000) }, 0, 0 },
    { "paused-both", "all stand still and go on at different times (F25)", "23Q", false,
      { ROW(0, 200, PAUSE, ACTIVE, 500, 40000), ROW(0, 200, PAUSE, PASSIVE, 500, 40000) }, 20, 100 },
    { "clock-gap", "a gap in the active node's own time (F20, F44)", "23Q", false,
      { ROW(0, 3000, GAP, ACTIVE, 5000, 5000) }, 0, 0 },
    { "clock-gap-in-takeover", "gaps in the time of the node that takes over (F20)", "23Q", true,
      { ROW(0, 0, STAY_OFF, ACTIVE, 1, 1), ROW(500, 4000, GAP, PASSIVE, 1, 1), ROW(4000, 9000, GAP, PASSIVE, 20000, 20000) },
      80, 100 },
    { "crash-in-takeover", "the engine dies in the middle of a takeover (F21)", "23Q", true,
      { ROW(0, 0, STAY_OFF, ACTIVE, 1, 1), ROW(500, 9000, ENGINE, PASSIVE, 20000, 20000) }, 80, 100 },
    { "power-cut-in-takeover", "the node that takes over is reset in the middle of it (F21)", "23Q", true,
      { ROW(0, 0, RESET, ACTIVE, 1, 1), ROW(500, 9000, RESET, PASSIVE, 20000, 20000) }, 90, 100 },
    { "share-restored", "a backup is put in the place of the share (F22)", "23Q", false,
      { ROW(0, 3000, RESTORED, ALL, 20000, 20000) }, 90, 100 },
    { "both-boot", "all lose power and boot at once, each with a tenure or claim on record (F23)", "23Q", true,
      { ROW(0, 3000, STAY_OFF, ALL, 1, 1), ROW(4000, 5000, POWER_ON, ALL, 1, 1) }, 95, 100 },
    { "one-boots-first", "all lose power, one boots up to a minute later (F23)", "23Q", true,
      { ROW(0, 3000, STAY_OFF, ALL, 1, 1), ROW(4000, 5000, POWER_ON, ACTIVE, 1, 1),
        ROW(5000, 65000, POWER_ON, PASSIVE, 1, 1) }, 95, 100 },
    { "corosync-stops-first", "corosync stands still or is stopped before us (F27)", "23Q", false,
      { ROW(0, 3000, COROSYNC, ACTIVE, 5000, 30000) }, 90, 100 },
    { "start-while-stopping", "the engine dies again and again, and its stop does not succeed (F28)", "23Q", true,
      { ROW(0, 1000, STOP_BROKEN, ACTIVE, 10000, 10000), ROW(1000, 2000, ENGINE, ACTIVE, 1, 1),
        ROW(4000, 9000, ENGINE, ACTIVE, 1, 1), ROW(9000, 15000, RESET, ACTIVE, 1, 1) }, 90, 100 },
    { "share-reboots", "the server of the share is away for less than share_patience (F29, F30)", "23Q", false,
      { ROW(0, 3000, SHARE_HANG, ALL, 500, 1500) }, 0, 0 },
    { "share-gone", "the server of the share is away for a minute (F29)", "23Q", false,
      { ROW(0, 3000, SHARE_HANG, ALL, 60000, 60000) }, 95, 100 },
    { "export-revoked", "the share hangs for the active node only (F37)", "23Q", false,
      { ROW(0, 3000, SHARE_HANG_HOST, ACTIVE, 20000, 40000) }, 95, 100 },
    { "list-share-full", "the list share takes nothing from the active node (F35)", "23Q", false,
      { ROW(0, 3000, LISTS_FULL, ACTIVE, 1000, 60000) }, 0, 0 },
    { "stop-broken", "what runs can not be killed while quorum is lost (F38)", "3", false,
      { ROW(0, 0, STOP_BROKEN, ACTIVE, 30000, 30000), ROW(100, 3000, CUT, ACTIVE, 25000, 25000) }, 90, 100 },
    { "foreign-address", "a third host answers for the address during a takeover (F47)", "23Q", false,
      { ROW(0, 0, FOREIGN_ADDRESS, ALL, 15000, 15000), ROW(0, 2000, RESET, ACTIVE, 1, 1) }, 90, 100 },
    { "service-dies", "the list service dies", "23Q", false, { ROW(0, 3000, SERVICE_DIES, ACTIVE, 10000, 10000) }, 10, 90 },
    { "mixed-config", "the configurations differ while the active node dies (F50)", "2", false,
      { ROW(0, 0, DIGEST, ALL, 15000, 15000), ROW(100, 3000, RESET, ACTIVE, 1, 1) }, 90, 100 },
    { "maintenance", "in maintenance the daemon is replaced, and what runs goes on", "23Q", false,
      { ROW(0, 3000, UPGRADE, ACTIVE, 20000, 30000) }, 0, 0 },
    { "maintenance-death", "the active node dies in maintenance: nobody takes over before it is over (F52)", "23Q", false,
      { ROW(0, 0, MAINTENANCE, ALL, 30000, 30000), ROW(100, 3000, STAY_OFF, ACTIVE, 1, 1) }, 95, 100 },
    { "rogue-start", "somebody starts the list service on the passive node (F52)", "23Q", false,
      { ROW(0, 3000, ROGUE, PASSIVE, 10000, 10000) }, 0, 0 },
    { "operator-wrong-acknowledge", "a person calls a node dead that lives beyond a cut network (F52)", "2", false,
      { ROW(0, 0, CUT, ACTIVE, 20000, 20000), ROW(3000, 6000, WRONG_ACKNOWLEDGE, PASSIVE, 1, 1),
        ROW(9000, 12000, WRONG_ACKNOWLEDGE, PASSIVE, 1, 1) }, 0, 0 },
    { "switchover", "a planned release", "23Q", false, { ROW(0, 3000, RELEASE, ACTIVE, 15000, 15000) }, 80, 100 },
};

const struct scenario *scenario_at(unsigned i) { return i < sizeof scenarios / sizeof *scenarios ? &scenarios[i] : NULL; }
const char *scenario_name(const struct scenario *s) { return s->name; }

const struct scenario *scenario_find(const char *name)
{
    for (unsigned i = 0; scenario_at(i); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

void scenario_list(void)
{
    for (unsigned i = 0; scenario_at(i); i++)
        printf("%-27s %-3s %s\n", scenarios[i].name, scenarios[i].worlds, scenarios[i].what);
}

/* Every node has one device, and is switched on again after fencing, so that all are there when the scenario begins: what
 * happens otherwise is left to the drawn worlds. */
void scenario_world(struct world *w)
{
    const struct scenario *s = w->script->scenario;
    char kind = s->worlds[w->seed % strlen(s->worlds)];
    struct core_config *c = &w->p.cfg;
    w->noise = w->p;
    params_quiet(w, UINT32_MAX);
    w->p.n = c->n_nodes = c->n_devices = kind == '3' ? 3 : 2;
    w->p.two_node = c->two_node = kind == '2';
    c->after_fence_on = true;
    for (unsigned h = 0; h < w->p.n; h++) {
        c->device[h].node = (uint8_t)h;
        c->device[h].level = 1;
        c->fence_ms[h] = (uint32_t)rng_range(&w->rng, 600, 3000);
    }
}

/* What fails besides does so from the first fault on. */
void scenario_noise(struct world *w)
{
    if (w->script->scenario->noisy)
        params_restore(w, &w->noise, w->script->quiet);
}

static bool is_meant(const struct world *w, const struct row *r, unsigned h)
{
    return r->whom == ALL || (r->whom == ACTIVE) == w->host[h].running;
}

static void resolve_row(struct world *w, const struct row *r, struct sim_script *s)
{
    uint64_t at = w->now + 1 + rng_range(&w->rng, r->from_ms, r->to_ms), length = rng_range(&w->rng, r->least_ms, r->most_ms);
    unsigned one = (unsigned)rng_range(&w->rng, 0, w->p.n - 1);
    for (unsigned h = 0; h < w->p.n; h++)
        if (r->whom == ANYBODY ? h == one : is_meant(w, r, h))
            s->fault[s->n++] = (struct sim_fault){ .at = at, .length = length, .kind = (uint8_t)r->fault, .host = (uint8_t)h,
                                                   .odd = true };
}

bool scenario_resolve(struct world *w, struct sim_script *ret)
{
    const struct scenario *s = w->script->scenario;
    unsigned members = 0;
    for (unsigned h = 0; h < w->p.n; h++)
        members += w->host[h].view == (1u << w->p.n) - 1;
    if (operator_serving(w) != 1 || members != w->p.n)
        return false;
    ret->n = 0;
    for (unsigned i = 0; i < ROWS && s->row[i].least_ms != 0; i++)
        resolve_row(w, &s->row[i], ret);
    return true;
}

bool scenario_outcome(const struct scenario *s, uint64_t runs, uint64_t with_takeover)
{
    bool good = with_takeover * 100 >= s->least * runs && with_takeover * 100 <= s->most * runs;
    printf("# %s: somebody took over in %llu of %llu runs, and %u to %u of a hundred are right\n", s->name,
           (unsigned long long)with_takeover, (unsigned long long)runs, s->least, s->most);
    return good;
}
