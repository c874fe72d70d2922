/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a seed that fails to the few faults that it takes, in words: faults are left out as long as the same checker still
 * fires (delta debugging), then the probabilities of the world are switched off one by one. */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define COURSES 12 /* of chance, that are tried for each shorter list: leaving out a fault changes what is drawn after it */

struct hunt {
    struct world      *w;
    uint64_t           seed;
    enum world_checker want;
    unsigned           runs;
};

static bool fails(struct hunt *k, struct sim_script *s)
{
    uint64_t salt = s->salt;
    for (unsigned i = 0; i <= COURSES; i++) {
        s->salt = i == 0 ? salt : i * 0x9e3779b97f4a7c15ull;
        world_run_script(k->w, k->seed, false, s);
        k->runs++;
        if (k->w->failed == k->want)
            return true;
    }
    s->salt = salt;
    return false;
}

static void without(const struct sim_script *s, unsigned from, unsigned n, struct sim_script *ret)
{
    *ret = *s;
    ret->n = s->n - n;
    memmove(ret->fault + from, s->fault + from + n, (s->n - from - n) * sizeof *ret->fault);
}

static bool shorten(struct hunt *k, struct sim_script *s, unsigned chunk)
{
    struct sim_script shorter;
    bool any = false;
    for (unsigned from = 0; from + chunk <= s->n && s->n > 1;) {
        without(s, from, chunk, &shorter);
        if (shorter.n != 0 && fails(k, &shorter)) {
            *s = shorter;
            any = true;
        } else {
            from += chunk;
        }
    }
    return any;
}

static void quieten(struct hunt *k, struct sim_script *s)
{
    for (unsigned i = 0; params_name(i); i++) {
        struct sim_script quieter = *s;
        quieter.quiet |= 1u << i;
        if (fails(k, &quieter))
            *s = quieter;
    }
}

static void tell(struct hunt *k, const struct sim_script *s)
{
    world_run_script(k->w, k->seed, false, s);
    const struct world *w = k->w;
    unsigned n = 0;
    printf("# shrunk in %u runs to %u faults; world: %u nodes%s\n", k->runs, s->n, w->p.n,
           w->p.two_node ? ", two_node" : w->p.n == 2 ? " and a qdevice" : "");
    for (unsigned i = 0; i < s->n && s->fault[i].at <= w->now; i++)
        printf("#  %u. at %.3f s, node %u: %s, for %.3f s\n", ++n, (double)s->fault[i].at / 1e3, s->fault[i].host,
               fault_name(s->fault[i].kind), (double)s->fault[i].length / 1e3);
    for (unsigned i = 0; params_name(i); i++)
        if (params_is_set(w, i))
            printf("#     all the time: %s\n", params_name(i));
    printf("#  %u. at %.3f s: %s: %s\n", ++n, (double)w->now / 1e3, world_checker_name(w->failed), w->failure);
}

/* Prints the short list and, if asked, its trace; returns its length, 0 = no list fails again. `w` has just failed with
 * that seed. */
unsigned shrink(struct world *w, uint64_t seed, bool trace, const struct scenario *scenario)
{
    struct hunt k = { .w = w, .seed = seed, .want = w->failed };
    struct sim_script s = w->log;
    s.scenario = scenario;
    s.quiet = 0;
    s.salt = 0;
    if (s.n == 0 || !fails(&k, &s)) {
        printf("# the list of its %u faults does not fail again: it takes this very course of chance\n", s.n);
        return 0;
    }
    for (unsigned chunk = s.n > 1 ? s.n / 2 : 1; chunk > 0;)
        if (!shorten(&k, &s, chunk) || chunk > 1)
            chunk = chunk == 1 ? 0 : chunk / 2;
    quieten(&k, &s);
    while (shorten(&k, &s, 1))
        ;
    tell(&k, &s);
    if (trace)
        world_run_script(w, seed, true, &s);
    return s.n;
}
