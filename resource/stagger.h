/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runners one after the other. All that Mailman's master forks run into the same lock (dbcreate.lck, mailman-cfg.lck) at
 * the same moment, and who does not get it sleeps for a random time of up to two seconds, more than once. So all but the
 * LMTP runner are stopped before they come that far, and continued at the pace at which the processors can start
 * them: LMTP greets seconds earlier, and the last runner is not later. Whoever is not caught young runs on. */
#ifndef UNDERSTUDY_STAGGER_H
#define UNDERSTUDY_STAGGER_H

#include <stdbool.h>
#include <stdint.h>

#include "resource/listserver.h"

struct stagger {
    const struct listserver *m;
    pid_t                  master;      /* our child; 0 = nothing to do */
    uint32_t               gap_ms;      /* processor time between two runners */
    pid_t                  turn;        /* the last one that may run; 0 = no runner has been seen */
    uint64_t               turn_ms, turn_cpu_ms; /* when its turn began, and what it had used by then */
    uint64_t               last_ms;     /* of the last look */
    unsigned               n_held;
    struct {
        pid_t pid;
        bool  seen, held;
    } runner[LISTSERVER_RUNNERS_MAX];     /* as in m->runners */
};

/* Nothing is staggered when `m` expects no LMTP runner, or when master is 0. */
void stagger_begin(struct stagger *s, const struct listserver *m, pid_t master, uint64_t now_ms);
/* To be called every few milliseconds: stops new runners, continues the next one when its time has come. */
void stagger_step(struct stagger *s, uint64_t now_ms);
/* Continues all that are still held. */
void stagger_end(struct stagger *s);

/* The next pid in a text like /proc/PID/task/TID/children, behind which *at moves; 0 at its end. One that no blank follows may
 * have been cut off, and would be another process: it is left out. Split out for tests. */
pid_t stagger_child_next(const char **at);

#endif
