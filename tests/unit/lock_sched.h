/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several "processes" in one program, one at a time, each stopped before every change that it makes in a directory: all
 * orders of their changes are gone through, by running the world again and again. Link with $(lock_sched_wrap), which puts
 * these functions in the place of the C library's. */
#ifndef UNDERSTUDY_LOCK_SCHED_H
#define UNDERSTUDY_LOCK_SCHED_H

#include <stdbool.h>
#include <sys/types.h>

#define SCHED_MAX 4

struct sched {
    unsigned n;                         /* processes */
    void   (*body[SCHED_MAX])(unsigned self);
    pid_t    pid[SCHED_MAX];            /* what getpid() says in each */
    void   (*begin)(void);              /* the world before a run */
    void   (*check)(void);              /* after each step, by nobody of them; may fail the test */
    void   (*end)(void);                /* after a run */
    int      switches;                  /* how often one that could go on is stopped for another; < 0 = no limit */
    unsigned faults;                    /* how many replies are lost or requests refused, in one run */
    bool     looks_fail;                /* a fault may also be a file that cannot be opened or looked at */
    bool     every_call;                /* stopped before what only looks, too */
    const char *looked_at;              /* stopped before it is opened or looked at, too; of its file before fstat() */
    bool     shared_only;               /* not before making and removing names that only one of them uses: their order
                                         * makes no difference to anybody else */
};

/* Goes through all of it; returns how many runs that were. */
unsigned long sched_explore(const struct sched *s);

/* One more point where the process that calls it is stopped. */
void sched_step(void);

/* The choices of this run, for a message. */
const char *sched_path(void);


#endif
