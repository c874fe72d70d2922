/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking a lock of the list server as the list server itself does, beside it (reliability L2, L3, facts A, E): a claim file
 * with our host and process in its name and its own path as its text, linked to the lock's name. Neither success nor failure
 * of a call is believed; what lies in the directory is. One attempt, no waiting: who is told -EBUSY comes again later.
 *
 * Mailman breaks a lock whose time is over, so take it for longer than the work can last, or refresh it, and ask before each
 * change that cannot be taken back. We never break one: age is no proof. All functions may block in the file system:
 * call them in a process that may hang (reliability L1). */
#ifndef UNDERSTUDY_LOCK_TAKE_H
#define UNDERSTUDY_LOCK_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "resource/state/lock.h"

struct lock_place {
    int                     dirfd; /* the lock directory, borrowed */
    const char             *path;  /* of it, as Mailman writes it: absolute, borrowed */
    const struct state_ctx *ctx;   /* nodes, ourselves, grammar, list user, epoch; borrowed */
};

#define LOCK_LATE_MAX 16u

/* One lock of this process, also between attempts: begin with LOCK_HANDLE_NONE and keep it until the last release.
 * It owns a descriptor while it is held. Not for a child of this process. */
struct lock_handle {
    bool held, leaving;          /* leaving: a release has begun, and it was ours then */
    int  fd;                     /* of the claim file */
    char lock[LOCK_NAME_MAX], claim[LOCK_NAME_MAX];
    /* Claims of earlier attempts, whose link may still come: of the last one, and of those that may have made it unseen. */
    char late[LOCK_LATE_MAX][LOCK_NAME_MAX];
    unsigned n_unseen;
};

#define LOCK_HANDLE_NONE { .held = false, .fd = -1 }

/* Who has it, for a person. */
struct lock_other {
    struct lock_file file;       /* name[0] == 0: it had gone again; verdict and why are set if circumstances were given */
    int64_t          expired_s;  /* > 0: its time is over for so long, by the file server's clock */
};

/* Tries once to take `name` for `lifetime_s` seconds. With `c` (may be NULL) a lock that is in the way and may be cleared by
 * lock_file_judge() (its owner is proven harmless, or is a dead process of this node; an odd one never) is moved to the
 * quarantine and the attempt made again. 0 = held; -EBUSY = somebody else has it, `ret_other` (may be NULL) says who;
 * -ESTALE = on NFS each look met a name that others had just made anew: as good as busy;
 * -EALREADY the handle holds it; -EINVAL such a name cannot be written; -EMLINK somebody makes links of our claim;
 * or another -errno. Unless 0 is returned nothing is held, and nothing of ours is left but what cannot be removed. */
int lock_take(const struct lock_place *place, const char *name, unsigned lifetime_s, const struct lock_circumstances *c,
              struct lock_handle *h, struct lock_other *ret_other);

/* Moves the lock `name` to the quarantine if lock_file_judge() lets it and it is no odd one; never one of this process.
 * Where a Mailman runs that breaks it at the same moment because its time is over, and takes it, that one's lock may be moved
 * and put back: clear before Mailman runs.
 * 0 = it is gone; -EBUSY = it stays, or another process of this node clears; or another -errno. */
int lock_clear(const struct lock_place *place, const char *name, const struct lock_circumstances *c);

/* Is it still ours, by what lies in the directory now? 1, 0, or -errno: it cannot be known, so do nothing that needs it. */
int lock_held(const struct lock_place *place, const struct lock_handle *h);

/* The same, with another `lifetime_s` seconds from now. */
int lock_refresh(const struct lock_place *place, const struct lock_handle *h, unsigned lifetime_s);

/* Lets go. Removes nothing but what is ours by identity. 0; -ENOLCK it was not ours any more (somebody broke it: what was
 * done under it may not have been alone); after another -errno it may still be ours, and the handle stays held: call again. */
int lock_release(const struct lock_place *place, struct lock_handle *h);

#endif
