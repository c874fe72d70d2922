/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the recovery pass has put off: units (a list, a queue) that a live owner holds, or that failed, with when they first were,
 * how often they were tried, and when they are due again. Kept in one file, written whole, on the node's own disk, so that a kill
 * of the pass loses none (facts: cyrus §4, defer). Times are milliseconds of CLOCK_REALTIME: the file outlives a boot. */
#ifndef UNDERSTUDY_DEFER_H
#define UNDERSTUDY_DEFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DEFER_FILE      "defer"
#define DEFER_UNIT_MAX  288u        /* KIND:NAME with a name of NAME_MAX bytes, and the terminator */
#define DEFER_CAP_MS    4000u       /* longest pause between two tries, before chance makes a fifth more or less of it: what was let
                                     * go is finished within 5 s */
#define DEFER_UNITS_MAX 20000u

enum defer_reason {
    DEFER_UNTRIED,   /* the budget was over before its turn */
    DEFER_LOCKED,    /* a live owner has its lock */
    DEFER_BUSY,      /* it changed while it was looked at */
    DEFER_FAILED,    /* a call failed */
    DEFER_STUCK,     /* the call does not come back */
    DEFER_REASON_N
};

struct defer_unit {
    char              name[DEFER_UNIT_MAX];
    uint64_t          first_ms, next_ms;
    uint32_t          tries;
    enum defer_reason reason;
};

/* Sorted by name, each name once. */
struct defer {
    struct defer_unit *v;           /* owned; defer_free() */
    size_t             n, size;
    uint64_t           epoch;       /* of the tenure whose units these are; 0 = not known */
    unsigned           torn;        /* lines of the file that could not be read: what they named is not known */
};

const char *defer_reason_name(enum defer_reason r);

/* 0, also when there is no file; -EUCLEAN: there is one, and it is no file of `owner`'s, nothing was taken; another -errno.
 * `ret` is to be freed in any case. */
int  defer_load(int dirfd, uid_t owner, struct defer *ret);
/* As it is, to the disk: a temporary file, fsync, rename, fsync of the directory; without units the file goes. 0 or -errno. */
int  defer_save(int dirfd, const struct defer *d);
void defer_free(struct defer *d);

/* Puts `unit` off, for the first time or once more; a try that was none (DEFER_UNTRIED) counts as none and is due at once.
 * The pause doubles with each try, up to the cap; `chance` (any number) makes it 0.8 to 1.2 of that. 0; -ENAMETOOLONG,
 * -ENOSPC (too many units) or -ENOMEM: nothing has changed. */
int  defer_put(struct defer *d, const char *unit, enum defer_reason reason, uint64_t now_ms, uint32_t chance);
/* Takes over what another one knows of a unit, unless it is there already. The same. */
int  defer_keep(struct defer *d, const struct defer_unit *u);
/* It is done. */
void defer_drop(struct defer *d, const char *unit);
const struct defer_unit *defer_find(const struct defer *d, const char *unit);
/* A clock that was set back puts nothing off for longer than the cap. */
bool defer_is_due(const struct defer_unit *u, uint64_t now_ms);
/* When the next one is due; UINT64_MAX = nothing is put off. */
uint64_t defer_next_ms(const struct defer *d, uint64_t now_ms);

/* One line of the file, pure. 0 or -EBADMSG, and `ret` is untouched. */
int  defer_line_parse(const char *line, size_t len, struct defer_unit *ret);
/* Without a terminating newline; returns its length, always below DEFER_LINE_MAX. */
#define DEFER_LINE_MAX (DEFER_UNIT_MAX * 3u + 96u)
size_t defer_line_write(const struct defer_unit *u, char ret[DEFER_LINE_MAX]);

#endif
