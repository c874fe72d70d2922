/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of one list of Mailman 2.1 as a dead node may have left it (facts: mailman E, config.pck). Mailman saves by
 * config.pck.tmp.HOST.PID, unlink of config.pck.last, link of config.pck to it, rename; it syncs nothing by default, so a file
 * server that died can leave any of them empty or cut off, and a list without a good one is gone: its mail is refused. */
#ifndef UNDERSTUDY_LIST21_H
#define UNDERSTUDY_LIST21_H

#include <stdbool.h>
#include <stdint.h>

enum list21_result {
    LIST21_SOUND,       /* nothing had to be done */
    LIST21_TIDIED,      /* a half-made save was put aside, or config.pck.last made again */
    LIST21_RESTORED,    /* config.pck is what config.pck.last was */
    LIST21_RESTORED_OLD,/* config.pck is what config.pck.safety was: perhaps months old, a person has to look at it */
    LIST21_GONE,        /* none of them is whole: Mailman does not know the list any more, a person has to restore a backup */
    LIST21_RESULT_N
};

struct list21_look {
    int         listfd;     /* directory lists/NAME, open; the caller holds the list's lock */
    uint64_t    epoch;      /* for the quarantine */
    bool        change;     /* else only looked at: the result is what would be done */
    /* Is the maker of config.pck.tmp.HOST.PID proven dead or harmless? HOST is as in the name. */
    bool      (*is_dead)(void *ctx, const char *host, long pid);
    void       *ctx;
};

/* At no moment neither config.pck nor config.pck.last is there, if one of them was; what is replaced is kept in the quarantine.
 * 0 or -errno; then it can be done again. */
int list21_check(const struct list21_look *l, enum list21_result *ret);

const char *list21_result_name(enum list21_result r);

/* The HOST and PID of such a file; hosts may have dots. Pure. False: it is no name of one. */
bool list21_half_parse(const char *name, char *ret_host, unsigned size, long *ret_pid);

#endif
