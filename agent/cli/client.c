/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <qb/qbdefs.h>
#include <qb/qbipcc.h>

#include "common/clock.h"
#include "daemon/engine_ipc.h" /* the size of a message */

#include "common/banned.h"

static int left_ms(uint64_t until_ms)
{
    return clock_poll_ms(clock_now_ms(), until_ms);
}

/* Anybody can listen on an abstract socket while the daemon is down: an answer must come from root or our user. */
static bool server_is_ours(qb_ipcc_connection_t *c, const char *user)
{
    struct passwd *p;
    pid_t pid;
    uid_t uid;
    gid_t gid;

    if (qb_ipcc_auth_get(c, &pid, &uid, &gid) != 0)
        return false;
    if (uid == 0 || uid == geteuid())
        return true;
    p = getpwnam(user);
    return p && p->pw_uid == uid;
}

/* The connection is ours to close only when it could be finished: libqb frees it when that fails. */
static int server_connect(const char *service, uint64_t until_ms, qb_ipcc_connection_t **ret)
{
    struct pollfd p = { .events = POLLIN };
    qb_ipcc_connection_t *c = qb_ipcc_connect_async(service, IPC_MESSAGE_MAX, &p.fd);
    int rc;

    if (!c)
        return errno ? -errno : -ECONNREFUSED;
    do
        rc = poll(&p, 1, left_ms(until_ms));
    while (rc < 0 && errno == EINTR);
    if (rc <= 0)
        (void)shutdown(p.fd, SHUT_RDWR); /* so that going on fails at once, which frees the half-made connection */
    int done = qb_ipcc_connect_continue(c);
    if (rc <= 0)
        return -ETIMEDOUT;
    if (done < 0)
        return done;
    *ret = c;
    return 0;
}

static int question_send(qb_ipcc_connection_t *c, const char *text)
{
    struct qb_ipc_request_header h = { .id = 1 };
    size_t len = strlen(text) + 1;
    struct iovec v[2] = { { .iov_base = &h, .iov_len = sizeof h }, { .iov_len = len } };
    ssize_t n;

    if (sizeof h + len > IPC_MESSAGE_MAX)
        return -EMSGSIZE;
    h.size = (int32_t)(sizeof h + len);
    memcpy(&v[1].iov_base, &text, sizeof text); /* iov_base is not const; it is only read */
    n = qb_ipcc_sendv(c, v, 2);
    return n < 0 ? (int)n : 0;
}

static int answer_receive(qb_ipcc_connection_t *c, uint64_t until_ms, char **ret)
{
    struct qb_ipc_response_header h;
    char *buf = malloc(IPC_MESSAGE_MAX), *text;
    ssize_t n;

    if (!buf)
        return -ENOMEM;
    n = qb_ipcc_recv(c, buf, IPC_MESSAGE_MAX, left_ms(until_ms));
    if (n < (ssize_t)sizeof h) {
        free(buf);
        return n < 0 ? (n == -EAGAIN ? -ETIMEDOUT : (int)n) : -EBADMSG;
    }
    memcpy(&h, buf, sizeof h);
    text = strndup(buf + sizeof h, (size_t)n - sizeof h);
    free(buf);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

int client_ask(const char *service, const char *user, const char *text, int timeout_ms, char **ret)
{
    uint64_t until_ms = clock_now_ms() + (uint64_t)timeout_ms;
    qb_ipcc_connection_t *c;
    int rc = server_connect(service, until_ms, &c);

    if (rc)
        return rc;
    rc = server_is_ours(c, user) ? 0 : -EPERM;
    rc = rc ? rc : question_send(c, text);
    rc = rc ? rc : answer_receive(c, until_ms, ret);
    qb_ipcc_disconnect(c);
    return rc;
}
