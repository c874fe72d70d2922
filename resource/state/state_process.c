/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the owner of a lock of this very node still lives. */
#include <config.h>

#include "resource/state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fileio.h"
#include "common/listproc.h"

#include "common/banned.h"

#define EXIT_WAIT_MS 1000u
#define EXIT_POLL_MS 5

/* The line "KEY:\tVALUE..." of a text like /proc/PID/status, or NULL. */
static const char *status_value(const char *text, const char *key)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, key, strlen(key)))
            return line + strlen(key);
    }
    return NULL;
}

static bool uid_is(const char *uids, uid_t uid)
{
    char want[16];
    size_t len = (size_t)snprintf(want, sizeof want, "%u", uid);

    for (unsigned i = 0; uids && i < 2; i++) { /* real, effective */
        uids += strspn(uids, " \t");
        size_t n = strspn(uids, "0123456789");
        if (n == len && !memcmp(uids, want, n))
            return true;
        uids += n;
    }
    return false;
}

bool state_pid_alive(const struct state_ctx *ctx, pid_t pid)
{
    char path[64], text[8192];
    size_t len;

    if (pid == getpid())
        return false; /* we hold no lock: our number was that of a dead process */
    (void)snprintf(path, sizeof path, "%s/%d/status", ctx->proc, (int)pid);
    int rc = fileio_read(AT_FDCWD, path, text, sizeof text - 1, &len, NULL);
    if (rc)
        return rc != -ENOENT && rc != -ESRCH;
    text[len] = '\0';
    const char *state = status_value(text, "State:"), *uids = status_value(text, "Uid:");
    if (!state || !uids)
        return true;
    state += strspn(state, " \t");
    /* Every program of the list server runs as the list user; that it is one of them need not be known to refuse. */
    return *state != 'Z' && *state != 'X' && uid_is(uids, ctx->uid);
}

int state_runner(const struct state_ctx *ctx, const char *name, pid_t *ret)
{
    const struct listproc_service service = listproc_service_of(&ctx->cfg->list);
    struct listproc_list list;
    int rc = listproc_scan(ctx->proc, ctx->uid, &service, &list);

    *ret = 0;
    for (unsigned i = 0; !rc && i < list.n && *ret == 0; i++)
        if (list.v[i].kind == LISTPROC_RUNNER && !strcmp(list.v[i].runner, name))
            *ret = list.v[i].pid;
    return rc;
}

static int service_look(const struct state_ctx *ctx)
{
    const struct listproc_service service = listproc_service_of(&ctx->cfg->list);
    struct listproc_list list;
    int rc = listproc_scan(ctx->proc, ctx->uid, &service, &list);

    if (rc)
        return rc;
    if (list.n_alive)
        return 1;
    return list.complete ? 0 : -EAGAIN;
}

/* A process that is just exiting shows no command line any more; it is waited for, since it may be one of them. */
int state_service_alive(const struct state_ctx *ctx)
{
    uint64_t until_ms = clock_now_ms() + EXIT_WAIT_MS;
    int rc;

    while ((rc = service_look(ctx)) == -EAGAIN && clock_now_ms() < until_ms)
        (void)poll(NULL, 0, EXIT_POLL_MS);
    return rc;
}
