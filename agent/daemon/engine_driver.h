/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds core_step() and does what it says: one of its two callers (the other is the simulator). */
#ifndef UNDERSTUDY_ENGINE_DRIVER_H
#define UNDERSTUDY_ENGINE_DRIVER_H

#include "common/wire.h"
#include "core/core.h"
#include "daemon/engine_facts.h"
#include "daemon/engine_ops.h"
#include "daemon/engine_release.h"
#include "daemon/engine_report.h"

#define DRIVER_ALERTS  8
#define DRIVER_DETAIL_MAX 512
#define DRIVER_STEPS   64  /* most rules for one event; the rest has to wait for the next tick */
#define DRIVER_OWN_OPS (UINT64_C(1) << 63) /* ids of operations that the core does not know of */

struct driver_alert {
    uint64_t         at_ms;
    enum core_reason reason;
    unsigned         node;
    char             detail[DRIVER_DETAIL_MAX]; /* what the reason's own sentence cannot say; "" = nothing */
};

/* What a fence device last said. */
struct driver_fence {
    enum job         job;                 /* JOB_NONE: never asked */
    enum core_result result;
    int32_t          status;
    uint64_t         at_ms, took_ms;
    uint64_t         running_since_ms;    /* 0 = nothing is under way */
    bool             ours;                /* asked by the engine's own round, not for a takeover */
    bool             works;               /* has answered on, or done an off, in this run of the engine */
    char             text[OPS_TEXT_MAX];
};

/* Tries that failed in a row: claims though nothing blocked them, and programs that could not be started; engine_failed.c. */
struct driver_failed {
    unsigned n;
    uint64_t since_ms, at_ms;             /* of the first and the last one */
    char     text[OPS_TEXT_MAX];          /* what the last one said */
};

/* The last look at the floating address; engine_address.c. */
struct driver_address {
    uint64_t next_ms;
    bool     bad, missing;                /* missing: not on this node */
    char     text[OPS_TEXT_MAX];          /* what is wrong; "" = nothing */
};

/* The last probe of the list share; engine_lists.c. */
struct driver_lists {
    uint64_t next_ms, since_ms;           /* since_ms: when it first failed; 0 = it takes mail */
    char     text[OPS_TEXT_MAX];          /* what the last one that failed said */
};

#define DEFER_SHOWN 8

struct driver_deferred { char unit[160], reason[16]; uint64_t tries, since_ms; };

/* What the recovery pass has put off; engine_defer.c. */
struct driver_defer {
    bool     known;                       /* this tenure's understudy-state has said it */
    bool     failed;                      /* the last retry said nothing, and that was told */
    uint64_t units, tries;                /* tries: the most of one */
    uint64_t since_ms;                    /* of the oldest */
    uint64_t next_ms;                     /* of the retry */
    uint64_t warn_tries, warn_age_ms;     /* when a person is told next */
    unsigned n_shown, n_heard;
    struct driver_deferred shown[DEFER_SHOWN]; /* the oldest of them */
    struct driver_deferred heard[DEFER_SHOWN]; /* of a pass that still speaks */
};

struct driver {
    struct core          core;
    const struct config *cfg;             /* borrowed, like the next two */
    struct facts        *facts;
    struct report       *report;
    struct release       release;
    struct ops           ops;
    int                (*send)(void *ctx, const struct wire_msg *m); /* to the executor */
    void                *send_ctx;
    struct wire_safety   safety;          /* of the executor, to be shown */
    bool                 permit;
    bool                 gone;            /* the executor does not answer any more: end */
    bool                 scan_wanted;     /* a list process was started or stopped: look into /proc now */
    bool                 changed;         /* something that status shows */
    uint64_t             own_seq;
    uint64_t             poke_from_ms;    /* engine_units.c: since when the MX hosts are told to retry, how often so far */
    unsigned             pokes;
    int                  last_rule;
    uint64_t             last_rule_ms;
    enum core_state      last_rule_from;
    unsigned             n_alerts;        /* all of them; the last DRIVER_ALERTS are kept, as a ring */
    struct driver_alert  alert[DRIVER_ALERTS];
    struct driver_fence  fence[CORE_DEVICES];
    struct driver_address address;
    struct driver_defer  defer;
    struct driver_lists  lists;
    struct driver_failed claims, starts;
    struct driver_failed broken;          /* of what makes this node serve, or stops that: the last one */
    unsigned             n_failed;        /* operations that could not even be asked for */
    struct { uint64_t id; enum core_op op; } failed[CORE_ACTIONS * 2];
};

/* The core's configuration out of ours. */
void driver_config(const struct config *cfg, unsigned self, struct core_config *ret);
void driver_init(struct driver *d, const struct config *cfg, unsigned self, struct facts *facts, struct report *report,
                 uint64_t now_ms);

/* Lets the core look until no rule fires any more. `now_ms` never runs back. */
void driver_look(struct driver *d, uint64_t now_ms);
void driver_gap(struct driver *d, uint64_t now_ms);
/* Return the rule that took it, 0 = refused: core_may_acknowledge() says why. */
int  driver_acknowledge(struct driver *d, unsigned node, uint64_t now_ms);
int  driver_clear(struct driver *d, uint64_t now_ms);
/* Asks for a planned release to `node` (CORE_NODE_NONE = anybody). The same; core_may_release() says why. */
int  driver_release(struct driver *d, unsigned node, bool force, uint64_t now_ms);

/* Messages of the executor for an operation of ours. The op is over, and invalid, after WIRE_DONE. */
void driver_done(struct driver *d, const struct wire_done *done, uint64_t now_ms);
void driver_late(struct driver *d, uint64_t op_id, uint64_t now_ms);
void driver_safety(struct driver *d, const struct wire_safety *safety);
/* One line that a child printed. */
void driver_line(struct driver *d, struct op *op, const char *line, size_t len, uint64_t now_ms);

/* Tells a person: by the log and by status. `detail` may be "". */
void driver_alert(struct driver *d, enum core_reason reason, unsigned node, const char *detail, uint64_t now_ms);

/* Renews or withdraws the permit; call at least every third of permit_timeout. */
void driver_permit(struct driver *d, uint64_t now_ms);
/* An operation of the engine's own. NULL when it could not be asked for. */
struct op *driver_run_own(struct driver *d, struct wire_run *run, uint64_t now_ms);
/* One that is only to be asked for again is dropped: `op` may be over and invalid. */
void driver_cancel(struct driver *d, struct op *op);
/* To the executor. 0 or -errno; -EAGAIN: it does not read, anything else: it is gone. */
int  driver_send(struct driver *d, const struct wire_msg *m);

/* Pure: action -> request, and answer -> result. */
enum job driver_job(enum core_op op);
void driver_run_fill(const struct config *cfg, const struct core_action *a, struct wire_run *ret);
enum core_result driver_result(enum core_op op, int32_t status, bool late, bool duplicate);

#endif
