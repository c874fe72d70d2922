/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_ipc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <qb/qbdefs.h>
#include <qb/qbipcs.h>

#include "daemon/engine_answer.h"
#include "daemon/log.h"

#include "common/banned.h"

/* libqb's callbacks for the loop carry no context, hence one service a process, kept here. */
static struct {
    qb_loop_t         *loop;
    qb_ipcs_service_t *service;
    ipc_request_fn    *fn;
    void              *ctx;
} the_ipc;

static int32_t ipc_job_add(enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn)
{
    return qb_loop_job_add(the_ipc.loop, p, data, fn);
}

static int32_t ipc_dispatch_add(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
                                qb_ipcs_dispatch_fn_t fn)
{
    return qb_loop_poll_add(the_ipc.loop, p, fd, events, data, fn);
}

static int32_t ipc_dispatch_mod(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
                                qb_ipcs_dispatch_fn_t fn)
{
    return qb_loop_poll_mod(the_ipc.loop, p, fd, events, data, fn);
}

static int32_t ipc_dispatch_del(int32_t fd)
{
    return qb_loop_poll_del(the_ipc.loop, fd);
}

/* The kernel told libqb who it is. Who may act is decided for each request; the socket's files are for the client,
 * and for our own group when we are not root and cannot give them away. */
static int32_t ipc_accept(qb_ipcs_connection_t *c, uid_t uid, gid_t gid)
{
    (void)gid;
    qb_ipcs_connection_auth_set(c, uid, getegid(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
    qb_ipcs_context_set(c, (void *)(uintptr_t)uid);
    return 0;
}

static void ipc_send(qb_ipcs_connection_t *c, const char *text)
{
    size_t len = strlen(text) + 1;
    struct qb_ipc_response_header h = { .id = 1 };
    struct iovec v[2] = { { .iov_base = &h, .iov_len = sizeof h } };
    ssize_t rc;

    if (sizeof h + len > IPC_MESSAGE_MAX) {
        text = "{\"ok\":false,\"error\":\"the answer is too long for one message\"}";
        len = strlen(text) + 1;
    }
    h.size = (int32_t)(sizeof h + len);
    memcpy(&v[1].iov_base, &text, sizeof text); /* iov_base is not const, sendmsg does not write to it */
    v[1].iov_len = len;
    rc = qb_ipcs_response_sendv(c, v, 2);
    if (rc < 0)
        log_info("a client did not take its answer: %s", strerror((int)-rc));
}

static int32_t ipc_message(qb_ipcs_connection_t *c, void *data, size_t size)
{
    const struct qb_ipc_request_header *h = data;
    const char *text = (const char *)data + sizeof *h;
    char *answer;

    /* libqb hands on the size that the client has written, whatever it has received. */
    if (size < sizeof *h || h->size < (int32_t)sizeof *h || (size_t)h->size > size || size > IPC_MESSAGE_MAX)
        return -EBADMSG;
    size_t len = strnlen(text, (size_t)h->size - sizeof *h);
    answer = the_ipc.fn(the_ipc.ctx, (struct ipc_caller *)c, (uid_t)(uintptr_t)qb_ipcs_context_get(c), text, len);
    if (answer)
        ipc_send(c, answer);
    answer_free(answer);
    return 0;
}

void ipc_caller_keep(struct ipc_caller *caller)
{
    qb_ipcs_connection_ref((qb_ipcs_connection_t *)caller);
}

void ipc_reply(struct ipc_caller *caller, const char *text)
{
    ipc_send((qb_ipcs_connection_t *)caller, text);
    qb_ipcs_connection_unref((qb_ipcs_connection_t *)caller);
}

int ipc_start(qb_loop_t *loop, const char *name, ipc_request_fn *fn, void *ctx)
{
    struct qb_ipcs_service_handlers handlers = { .connection_accept = ipc_accept, .msg_process = ipc_message };
    struct qb_ipcs_poll_handlers poll = { .job_add = ipc_job_add, .dispatch_add = ipc_dispatch_add,
        .dispatch_mod = ipc_dispatch_mod, .dispatch_del = ipc_dispatch_del };
    int rc;

    the_ipc.loop = loop;
    the_ipc.fn = fn;
    the_ipc.ctx = ctx;
    the_ipc.service = qb_ipcs_create(name, 0, QB_IPC_SOCKET, &handlers);
    if (!the_ipc.service)
        return errno ? -errno : -ENOMEM;
    qb_ipcs_enforce_buffer_size(the_ipc.service, IPC_MESSAGE_MAX);
    qb_ipcs_poll_handlers_set(the_ipc.service, &poll);
    rc = qb_ipcs_run(the_ipc.service);
    if (rc < 0)
        the_ipc.service = NULL;
    return rc < 0 ? rc : 0;
}

void ipc_stop(void)
{
    if (the_ipc.service)
        qb_ipcs_destroy(the_ipc.service);
    the_ipc.service = NULL;
}
