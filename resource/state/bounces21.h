/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounces that a dead BounceRunner of Mailman 2.1 had seen and not yet counted: data/bounce-events-PID.pck, one pickle after the
 * other. Only the process whose number is in the name ever reads it, so nobody does after a takeover (facts: mailman E).
 * Under the number of the runner that works now, the file is read with that one's next bounces. */
#ifndef UNDERSTUDY_BOUNCES21_H
#define UNDERSTUDY_BOUNCES21_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bounces21 {
    int      datafd;            /* the data directory, open */
    uint64_t epoch;             /* for the quarantine */
    bool     change;            /* else it is only looked */
    pid_t    runner;            /* of this node's BounceRunner; 0 = none works now */
    bool   (*alive)(void *ctx, pid_t pid);  /* does it work here? */
    void    *ctx;
};

struct bounces21_result {
    unsigned handed;            /* files that the present runner has now */
    unsigned broken;            /* empty or cut off: reading one would stop the runner; put aside */
    unsigned left;              /* wait until there is a runner, or until it has read the one that it has */
};

/* The number in such a name: at least five digits, as Mailman writes it. False: it is no name of one. */
bool bounces21_name(const char *name, pid_t *ret_pid);

/* Hands over one file at most to a runner that has none, and puts aside what is broken. A file of a process that works here
 * is left alone. 0 or -errno; done again, it goes on where it was cut off. */
int bounces21_hand_over(const struct bounces21 *b, struct bounces21_result *ret);

#endif
