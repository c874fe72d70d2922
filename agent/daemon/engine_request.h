/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line may ask (design: What the operator sees).
 * Reading is open to whoever can connect; acting is for root and the engine's own user. */
#ifndef UNDERSTUDY_ENGINE_REQUEST_H
#define UNDERSTUDY_ENGINE_REQUEST_H

#include "daemon/engine_ipc.h"
#include "daemon/engine_reload.h"
#include "daemon/engine_recover.h"
#include "daemon/engine_status.h"

#define REQUEST_JOBS 8

/* Somebody who waits for the end of a job of the executor. */
struct request_job {
    uint64_t           op_id;           /* 0 = free */
    struct ipc_caller *caller;          /* NULL = has gone */
    const char        *what;            /* static text: what was asked for */
};

struct request_ctx {
    struct status_view  view;
    struct driver      *driver;
    const struct facts *facts;
    uid_t               own_uid;
    bool                report_lost;    /* there was one, and no memory to keep it */
    char               *last_report;    /* JSON of the last takeover of this run; owned; NULL = none */
    struct request_job  job[REQUEST_JOBS];
    struct reload       reload;
    struct recover      recover;
};

/* An ipc_request_fn; `ctx` is a struct request_ctx. */
char *request_handle(void *ctx, struct ipc_caller *caller, uid_t uid, const char *text, size_t len);
/* Whether somebody waits for `what` already; and that `caller`, which was kept, waits for the end of `op_id` from now on
 * (false: too many do). `what` is static text. */
bool  request_job_runs(const struct request_ctx *r, const char *what);
bool  request_job_add(struct request_ctx *r, uint64_t op_id, struct ipc_caller *caller, const char *what);
/* A job of the executor has ended: answers whoever waits for it. `status` as in wire_done. */
void  request_job_done(struct request_ctx *r, uint64_t op_id, int32_t status, bool late, const char *said);

#endif
