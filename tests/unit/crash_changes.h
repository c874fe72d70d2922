/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which system calls of a traced process change something that outlives it. */
#ifndef UNDERSTUDY_CRASH_CHANGES_H
#define UNDERSTUDY_CRASH_CHANGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CALL_NUMBER, CALL_LENGTH };

struct change {
    const char *call;
    char        what[256];      /* a path as the call has it, or what its descriptor is open on; for a person */
    bool        is_write, is_sync;
    int         fd;             /* of the traced process; -1 */
};

/* Is the call that `pid` is about to make a change? Making or cutting a file, writing into a regular one, names, modes,
 * owners, times, sizes, and the syncs, which make it last. */
bool change_find(pid_t pid, uint64_t number, const uint64_t *args, struct change *ret);

/* The call has returned. Notes what is written and not synced. */
void change_done(pid_t pid, const struct change *c);

/* Every file is cut back to where it was synced last: what a client that loses its power takes with it. */
void changes_lose(void);

/* In the stop before a call: another number, or another third argument. 0 or -1 and errno. */
int call_set(pid_t pid, int which, uint64_t value);

#endif
