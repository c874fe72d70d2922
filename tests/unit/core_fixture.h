/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One core and the facts it sees; every state is reached by real steps, never by writing it. */
#ifndef UNDERSTUDY_CORE_FIXTURE_H
#define UNDERSTUDY_CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"

#define FX_RUN 77u

struct fx {
    struct core         c;
    struct core_config  cfg;
    struct core_facts   f;
    struct core_actions out;
    uint64_t            now;
};

extern bool fx_seen[2048];          /* rules that fired in any test, by number */

/* Node 0 is ourselves; node 1 is a clean member; epoch.0 is the highest; one fence device a node. */
void fx_init(struct fx *x);
/* A fresh core on the same configuration and facts. */
void fx_restart(struct fx *x);
/* As fx_init(), but node 1 is ourselves and node 0 the other member. */
void fx_init_second(struct fx *x);
/* One event, one step; the share was read just now unless fx.f.share says otherwise. Returns the rule. */
int  fx_event(struct fx *x, enum core_event_kind kind);
int  fx_look(struct fx *x);
int  fx_later(struct fx *x, uint64_t ms);             /* looks after `ms` of ordinary time */
int  fx_answer(struct fx *x, enum core_result r);     /* to the operation that is waited for */
int  fx_release(struct fx *x, unsigned node, bool force);
int  fx_acknowledge(struct fx *x, unsigned node);
void fx_settle(struct fx *x);                         /* looks until no rule fires */
void fx_to(struct fx *x, enum core_state s);          /* the shortest way there */
void fx_peer_gone(struct fx *x);                      /* node 1 leaves the ring and stops beating */
void fx_dead_peer(struct fx *x, enum core_state to);  /* a new start: node 1 was active and is gone; on to `to` */
void fx_open(struct fx *x, uint64_t n, unsigned node, uint64_t boot, bool owned); /* an un-ended epoch appears */
void fx_close(struct fx *x, uint64_t n);
bool fx_did(const struct fx *x, enum core_act_kind kind, enum core_op op);
bool fx_alerted(const struct fx *x, enum core_reason why);
bool fx_explains(const struct fx *x, enum core_reason why);

#endif
