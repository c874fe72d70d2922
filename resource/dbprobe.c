/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/dbprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#include "common/banned.h"

#define END_MS   1000
#define PAUSE_NS 2000000

int dbprobe_start(const struct listuser *u, const char *python, const char *script, const char *config,
                  struct dbprobe *ret)
{
    char *const argv[] = { (char *)(uintptr_t)python, (char *)(uintptr_t)script, (char[]){ "--serve" },
                           (char[]){ "--timeout=1" }, (char *)(uintptr_t)config, NULL };
    int         to[2], from[2], rc;

    if (pipe2(to, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(from, O_CLOEXEC) != 0) {
        rc = -errno;
        (void)close(to[0]);
        (void)close(to[1]);
        return rc;
    }
    const struct listuser_io io = { .in = to[0], .out = from[1], .err = from[1] };
    struct dbprobe p = { .to = to[1], .from = from[0] };
    rc = listuser_spawn(u, argv, &io, &p.pid);
    (void)close(to[0]);
    (void)close(from[1]);
    if (rc != 0) {
        (void)close(p.to);
        (void)close(p.from);
        return rc;
    }
    *ret = p;
    return 0;
}

/* Reads one line of what the list user's process says: bounded, and made printable. */
static int line_read(int fd, uint64_t until_ms, char *ret, size_t size)
{
    size_t len = 0;
    char   c = '\0';

    ret[0] = '\0';
    while (c != '\n') {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int           n = poll(&p, 1, clock_poll_ms(clock_now_ms(), until_ms));
        if (n == 0)
            return -ETIMEDOUT;
        ssize_t got = n > 0 ? read(fd, &c, 1) : -1;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -EPIPE;
        if (got == 1 && c != '\n' && len + 1 < size) {
            ret[len++] = c >= ' ' && c <= '~' ? c : '?';
            ret[len] = '\0';
        }
    }
    return 0;
}

int dbprobe_ask(const struct dbprobe *p, uint64_t until_ms, char why[DBPROBE_WHY_MAX])
{
    char line[DBPROBE_WHY_MAX];
    bool asked = write(p->to, "go\n", 3) == 3;
    int  rc = line_read(p->from, until_ms, line, sizeof line);

    why[0] = '\0';
    if (!asked) /* it has ended, and what it said before that is the reason */
        rc = -EPIPE;
    if (rc == 0 && !strncmp(line, "ok ", 3))
        return 0;
    if (rc == 0 || rc == -EPIPE)
        (void)snprintf(why, DBPROBE_WHY_MAX, "%s", !strncmp(line, "no ", 3) ? line + 3 : line);
    return rc == 0 ? !strncmp(line, "no ", 3) ? -EAGAIN : -EPIPE : rc;
}

int dbprobe_end(struct dbprobe *p)
{
    const struct timespec pause = { 0, PAUSE_NS };
    uint64_t              until_ms = clock_now_ms() + END_MS;
    int                   rc = -EBUSY;

    (void)close(p->to);
    (void)close(p->from);
    (void)kill(p->pid, SIGKILL);
    while (rc != 0 && clock_now_ms() < until_ms) {
        pid_t done = waitpid(p->pid, NULL, WNOHANG);
        if (done == p->pid || (done < 0 && errno == ECHILD))
            rc = 0;
        else
            (void)nanosleep(&pause, NULL);
    }
    return rc;
}
