/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "cli/listchild.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/listuser.h"

#include "common/banned.h"

#define KILLED_MS 500u /* until a killed child is taken to hang in the kernel */
#define LOOK_MS   5

static int user_find(const struct config *cfg, struct listuser *ret)
{
    const struct passwd *own;

    if (geteuid() == 0)
        return listuser_find(cfg->list.user, ret);
    own = getpwuid(geteuid());
    if (!own || strlen(own->pw_name) >= sizeof ret->name)
        return -ENOENT;
    (void)snprintf(ret->name, sizeof ret->name, "%s", own->pw_name);
    ret->uid = geteuid();
    ret->gid = getegid();
    return 0;
}

/* 1 at the end of the stream, 0 when there may be more, or -errno. */
static int out_read(int fd, struct listchild *c)
{
    char drop[4096];
    size_t room = LISTCHILD_OUT_MAX - c->out_len;
    ssize_t n = room ? read(fd, c->out + c->out_len, room) : read(fd, drop, sizeof drop);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n > 0 && !room)
        c->truncated = 1;
    else
        c->out_len += (size_t)n;
    return n == 0;
}

static int err_read(int fd, struct listchild *c)
{
    char drop[1024];
    size_t len = strlen(c->err), room = sizeof c->err - 1 - len;
    ssize_t n = room ? read(fd, c->err + len, room) : read(fd, drop, sizeof drop);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (room)
        c->err[len + (size_t)n] = '\0';
    for (char *p = c->err + len; room && *p; p++)
        if (iscntrl((unsigned char)*p) && *p != '\n')
            *p = '?';
    return n == 0;
}

/* Both streams until their ends. -ETIMEDOUT, or 0. */
static int streams_read(int out, int err, uint64_t until_ms, struct listchild *c)
{
    struct pollfd p[2] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };

    while (p[0].fd >= 0 || p[1].fd >= 0) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= until_ms)
            return -ETIMEDOUT;
        if (poll(p, 2, clock_poll_ms(now_ms, until_ms)) < 0 && errno != EINTR)
            return -errno;
        if (p[0].revents && out_read(out, c) != 0)
            p[0].fd = -1;
        if (p[1].revents && err_read(err, c) != 0)
            p[1].fd = -1;
    }
    return 0;
}

/* The exit status, or -ETIMEDOUT: then nobody waits for it any more. */
static int child_reap(pid_t pid, uint64_t until_ms)
{
    int status;

    for (bool killed = false;; (void)poll(NULL, 0, LOOK_MS)) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid && !killed)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (got != 0 && !(got < 0 && errno == EINTR))
            return -ETIMEDOUT;
        if (clock_now_ms() < until_ms)
            continue;
        if (killed)
            return -ETIMEDOUT;
        (void)kill(pid, SIGKILL);
        killed = true;
        until_ms = clock_now_ms() + KILLED_MS;
    }
}

static int child_run(const struct listuser *u, char *const argv[], uint64_t until_ms, struct listchild *c)
{
    int out[2], err[2], rc;
    struct listuser_io io = { .in = -1 };
    pid_t pid = 0;

    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    if (pipe2(err, O_CLOEXEC | O_NONBLOCK) != 0) {
        rc = -errno;
        (void)close(out[0]);
        (void)close(out[1]);
        return rc;
    }
    io.out = out[1];
    io.err = err[1];
    (void)fcntl(out[1], F_SETFL, 0); /* our ends only: a program does not expect EAGAIN on its output */
    (void)fcntl(err[1], F_SETFL, 0);
    rc = listuser_spawn(u, argv, &io, &pid);
    (void)close(out[1]);
    (void)close(err[1]);
    if (rc == 0) {
        if (streams_read(out[0], err[0], until_ms, c) != 0)
            until_ms = 0;
        rc = child_reap(pid, until_ms);
    }
    (void)close(out[0]);
    (void)close(err[0]);
    return rc;
}

int listchild_run(const struct config *cfg, char *const argv[], uint32_t limit_ms, struct listchild *ret)
{
    struct listuser user;
    int rc;

    *ret = (struct listchild){ .out = malloc(LISTCHILD_OUT_MAX + 1) };
    if (!ret->out)
        return -ENOMEM;
    rc = user_find(cfg, &user);
    if (rc == 0)
        rc = child_run(&user, argv, clock_now_ms() + limit_ms, ret);
    ret->out[ret->out_len] = '\0';
    return rc;
}
