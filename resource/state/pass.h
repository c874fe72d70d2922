/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One attempt at each of many units (lists, queues), none of which can hold back the others: each is made in a worker process of a
 * small pool, so that one whose call hangs on the share costs a worker and not the pass (facts: cyrus §4, RUN 4 and 6). */
#ifndef UNDERSTUDY_PASS_H
#define UNDERSTUDY_PASS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "resource/state/defer.h"

enum pass_result {
    PASS_UNTRIED,   /* the budget was over, or the share was given up, before its turn */
    PASS_DONE,
    PASS_LOCKED,    /* a live owner has it */
    PASS_BUSY,      /* it changed meanwhile */
    PASS_FAILED,    /* see `error`; also when the worker died of it */
    PASS_STUCK,     /* not back within unit_ms: the worker was killed, and is dead once its call comes back */
    PASS_RESULT_N
};

struct pass_unit {
    char             name[DEFER_UNIT_MAX];
    enum pass_result result;
    int              error;     /* errno of PASS_FAILED; 0 = not known */
};

#define PASS_DATA_MAX 49152u    /* what one attempt can tell */

struct pass_answer {
    int      error;             /* of PASS_FAILED; 0 = not known */
    uint32_t len;               /* of `data`, for told() */
    _Alignas(8) unsigned char data[PASS_DATA_MAX];
};

struct pass {
    /* Tries one unit without ever waiting for a lock, in a worker: what it changes in memory is not seen by anybody, but for `ret`,
     * which comes with error and len 0. */
    enum pass_result (*attempt)(void *ctx, const char *unit, struct pass_answer *ret);
    /* In the parent: what an attempt had to tell, `len` bytes and aligned like struct pass_answer. May be NULL. */
    void   (*told)(void *ctx, const struct pass_unit *u, const void *data, size_t len);
    /* In each worker before its first attempt: gives up what only the parent needs. 0 or -errno: the worker ends. May be NULL. */
    int    (*enter)(void *ctx);
    void    *ctx;
    unsigned workers;           /* at most, 1 to PASS_WORKERS_MAX; another is started once all are at work for a while */
    uint32_t unit_ms;           /* for one attempt */
    uint32_t budget_ms;         /* for all: no attempt begins later, and none is waited for */
};

#define PASS_WORKERS_MAX 16u
#define PASS_STUCK_MAX   4u     /* so many that hang, or */
#define PASS_ERRORS_MAX  20u    /* so many that fail in a row: it is the share, not the units */

struct pass_outcome {
    unsigned given_up;          /* 1: the share was given up */
    unsigned unreaped;          /* workers that were killed and still hang in a call */
};

/* A worker that is there before there is anything to do, so that its start costs no time then; pid 0: there is none. */
struct pass_early { pid_t pid; int fd; };

/* `p->ctx` is for this worker as it is now. 0 or -errno: pass_run() starts its own. */
int  pass_prepare(const struct pass *p, struct pass_early *ret);
/* Nothing is to be done after all. May be called after pass_run(), too. */
void pass_discard(struct pass_early *e);

/* Tries v[0], v[1], ... in this order and fills in their results. Takes `early`, which may be NULL. 0; -errno: no worker could be
 * started, nothing was tried. */
int pass_run(const struct pass *p, struct pass_unit *v, size_t n, struct pass_early *early, struct pass_outcome *ret);

const char *pass_result_name(enum pass_result r);
/* Why it is put off; only for what is not done. */
enum defer_reason pass_defer_reason(enum pass_result r);

#endif
