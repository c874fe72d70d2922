/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line's way in: a libqb IPC service that carries one JSON text a request and one a response. */
#ifndef UNDERSTUDY_ENGINE_IPC_H
#define UNDERSTUDY_ENGINE_IPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <qb/qbloop.h>

#define IPC_MESSAGE_MAX  65536u /* header included */
#define IPC_SERVICE_NAME "understudy"

struct ipc;
struct ipc_caller;      /* one connection; valid until ipc_reply(), if it was kept */

/* Answers a request with a text of answer_text(), which the service gives back by answer_free(), or with NULL after
 * ipc_caller_keep(): later. */
typedef char *ipc_request_fn(void *ctx, struct ipc_caller *caller, uid_t uid, const char *text, size_t len);

/* 0 or -errno. One service a process. */
int  ipc_start(qb_loop_t *loop, const char *name, ipc_request_fn *fn, void *ctx);
void ipc_stop(void);
/* Keeps the connection for a later ipc_reply(), which releases it. */
void ipc_caller_keep(struct ipc_caller *caller);
void ipc_reply(struct ipc_caller *caller, const char *text);

#endif
