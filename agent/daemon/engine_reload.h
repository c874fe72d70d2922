/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration that has changed is taken up while everything runs on: the engine looks at it first, then the
 * executor, which reads the root-owned file for itself; only when both agree is it the engine's too. */
#ifndef UNDERSTUDY_ENGINE_RELOAD_H
#define UNDERSTUDY_ENGINE_RELOAD_H

#include "daemon/engine_driver.h"
#include "daemon/engine_ipc.h"

struct reload {
    const char        *path;
    struct config     *cfg;       /* the running one: replaced in place */
    unsigned           self;
    struct driver     *driver;
    struct config      next;      /* read, and the executor was asked */
    struct ipc_caller *caller;    /* NULL = nothing under way */
};

/* An answer that refuses (of answer_text()), or NULL: the caller gets it later. */
char *reload_ask(struct reload *r, struct ipc_caller *caller);
/* The executor's answer, 0 or -errno. */
void  reload_done(struct reload *r, int32_t status);

#endif
