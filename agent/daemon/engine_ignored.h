/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages that are not taken: counted by kind, so that an operator sees why a node that speaks is not heard. */
#ifndef UNDERSTUDY_ENGINE_IGNORED_H
#define UNDERSTUDY_ENGINE_IGNORED_H

#include <stdbool.h>
#include <stdint.h>

enum ignored_kind {
    IGNORED_VERSION,    /* of another version of understudy */
    IGNORED_MALFORMED,  /* cut short, too long, or none of ours */
    IGNORED_CLUSTER,    /* of another cluster name */
    IGNORED_SENDER,     /* corosync names another sender than the message, or one that is not configured */
    IGNORED_REPEATED,   /* said before, or of a run that a later one has followed */
    IGNORED_N,
};

/* All zero = none yet. Counters stay at their largest value. */
struct ignored {
    uint32_t          n[IGNORED_N];
    enum ignored_kind last;
    uint64_t          last_ms;      /* 0 = none yet */
    uint32_t          said;         /* bit of each kind that stands in the log since said_ms */
    uint64_t          said_ms;
};

/* What facts_cpg() returned, which is not 0. True when it is worth a line in the log: the first of its kind in a minute. */
bool        ignored_count(struct ignored *i, int rc, uint64_t now_ms);
const char *ignored_name(enum ignored_kind k);   /* a word */
const char *ignored_text(enum ignored_kind k);   /* what it is and what to do, for a person */

#endif
