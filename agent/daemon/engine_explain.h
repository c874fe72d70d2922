/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For each guard that blocks: where its fact came from, with its age, and what exactly is the matter here and now. */
#ifndef UNDERSTUDY_ENGINE_EXPLAIN_H
#define UNDERSTUDY_ENGINE_EXPLAIN_H

#include "daemon/engine_driver.h"
#include "daemon/engine_facts.h"

#define EXPLAIN_TEXT_MAX 1024

struct explain {
    const char *source;                   /* who says so: "corosync", "the control share", ... */
    uint64_t    age_ms;                   /* of that; UINT64_MAX = not known */
    char        detail[EXPLAIN_TEXT_MAX]; /* the particulars; "" = the reason's own sentence says all */
    char        action[EXPLAIN_TEXT_MAX]; /* what lifts it */
};

void explain_why(const struct driver *d, const struct core_why *why, uint64_t now_ms, struct explain *ret);
/* The same for what is no guard of the core's. False: it is not so. The last beat could not be written: */
bool explain_unwritable(const struct driver *d, uint64_t now_ms, struct explain *ret);
/* Claims fail again and again: */
bool explain_claim_failed(const struct driver *d, uint64_t now_ms, struct explain *ret);
/* Programs can not be started, since something is used up on this node: */
bool explain_start_refused(const struct driver *d, uint64_t now_ms, struct explain *ret);

#endif
