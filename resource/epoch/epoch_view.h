/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One listing of the epochs: which numbers exist, whose they are, which have a tenure and an end. */
#ifndef UNDERSTUDY_EPOCH_VIEW_H
#define UNDERSTUDY_EPOCH_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/cpgmsg.h"
#include "resource/epoch/epoch_share.h"

#define EPOCH_VIEW_MAX 65536u /* epochs; a takeover a day for more than a century */

struct epoch_entry {
    uint64_t      n;
    ino_t         claim_ino, own_ino, end_ino;   /* 0 = no such file */
    bool          claim_read, own_read, end_read;
    char          node[CONFIG_NAME_MAX];         /* "-" for a base */
    struct id128  boot;
    uint64_t      run;
    bool          base;                          /* of no node: ended from the beginning */
    bool          planned;                       /* of the end */
};

/* Entries ascend by number, without a gap, from the highest base (or the highest checked one) on; all were read and
 * agree with one another. The caller owns it; all zero is an empty one. */
struct epoch_view {
    struct epoch_entry *v;
    size_t              n;
    bool                maintenance; /* a file of that name was in the listing */
    uint64_t            checked;   /* in: up to here all have ended, but for the highest they need not be read; 0 = none */
};

/* Lists and reads the epochs anew. What `view` holds from the last time is not read again: these files never change.
 * 0: s->why says whether they are sound; if not, `view` keeps what it had. -errno: no proper answer, s->call says to
 * what. */
int  epoch_view_update(const struct config *cfg, struct epoch_share *s, struct epoch_view *view);
void epoch_view_free(struct epoch_view *view);

/* The highest number in any epoch file's name, whatever is in it; for init. 0, -ENOENT none, or another -errno. */
int epoch_view_top(struct epoch_share *s, uint64_t *ret);

bool     epoch_is_open(const struct epoch_entry *e);
size_t   epoch_view_open(const struct epoch_view *view);     /* how many are un-ended */
uint64_t epoch_view_highest(const struct epoch_view *view);  /* 0 for an empty one */
const struct epoch_entry *epoch_view_find(const struct epoch_view *view, uint64_t n); /* or NULL */

#endif
