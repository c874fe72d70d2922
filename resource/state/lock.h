/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One file of the lock directory: what it says, and what may be done with it. */
#ifndef UNDERSTUDY_LOCK_H
#define UNDERSTUDY_LOCK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "resource/state/lock_name.h"
#include "resource/state/state.h"

enum lock_fault {
    LOCK_SOUND,
    LOCK_EMPTY, LOCK_TORN, LOCK_OVERSIZED, LOCK_LINKS, LOCK_BAD_NAME, LOCK_AMBIGUOUS, /* whose it is cannot be known */
    LOCK_NOT_REGULAR, LOCK_FOREIGN_OWNER,                             /* Mailman did not make it */
    LOCK_FAULT_N
};

enum lock_verdict { LOCK_CLEAR, LOCK_KEEP, LOCK_REFUSE };

struct lock_file {
    char              name[LOCK_NAME_MAX];
    bool              claim;         /* a claim file; else the lock itself */
    enum lock_fault   fault;
    struct lock_claim owner;         /* if LOCK_SOUND */
    char              named[LOCK_NAME_MAX]; /* of a sound lock: the claim file that its text names */
    struct stat       st;            /* what was judged */
    enum lock_verdict verdict;
    const char       *why;           /* a word */
};

/* What the judgement needs to know besides the file. */
struct lock_circumstances {
    const struct state_ctx *ctx;
    bool                    all_others_harmless;
    bool                    service_here;        /* or unknown */
};

/* Opens and reads `name`. 0 and its descriptor (to be held while it is moved), -1 for what cannot be opened; -ENOENT it
 * is gone; or another -errno. */
int lock_file_read(int dirfd, const char *name, uid_t uid, const struct lock_names *names, struct lock_file *ret, int *ret_fd);

/* Whether it may be cleared (reliability L4, L6): never by age, only because its owner is proven harmless or is a dead
 * process of this node; an odd one only if nobody at all can be its owner. */
void lock_file_judge(const struct lock_circumstances *c, struct lock_file *f);

bool lock_is_master(enum lock_grammar grammar, const struct lock_file *f);

#endif
