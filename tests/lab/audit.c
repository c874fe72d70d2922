/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-audit: writes what processes of the lab's hosts do on the shares, one JSON object a line.
 *
 * usage: understudy-audit [--no-process-events] LIST_SHARE CONTROL_SHARE
 * stdin: a line "mark WORD" is answered by {"ev":"mark","word":WORD} once everything queued before it is written; end of
 * file ends the program. Exit: 0, 1 the kernel refused something (said on stderr), 2 usage.
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

static void drain_all(struct shares *shares, struct procs *procs)
{
    while (shares_drain(shares, procs))
        continue;
    procs_drain_events(procs);
    procs_drain_exits(procs);
}

/* Answers each whole line on stdin. False at its end. */
static bool answer_marks(struct shares *shares, struct procs *procs)
{
    static char line[256];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, line + used, sizeof line - used);

    if (got <= 0)
        return got < 0 && errno == EINTR;
    used += (size_t)got;
    for (char *newline = memchr(line, '\n', used); newline; newline = memchr(line, '\n', used)) {
        size_t length = (size_t)(newline - line);

        drain_all(shares, procs);
        out_begin("mark", audit_now_us());
        out_string("word", line + (length > 5 ? 5 : length), length > 5 ? length - 5 : 0);
        out_end();
        used -= length + 1;
        memmove(line, newline + 1, used);
    }
    return used < sizeof line;
}

static void watch(struct shares *shares, struct procs *procs)
{
    struct pollfd ready[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = shares_fd(shares), .events = POLLIN },
        { .fd = procs_connector_fd(procs), .events = POLLIN },
        { .fd = procs_exit_fd(procs), .events = POLLIN },
    };
    bool going = true;

    while (going) {
        if (poll(ready, sizeof ready / sizeof ready[0], -1) < 0)
            continue;
        if (ready[1].revents)
            (void)shares_drain(shares, procs);
        if (ready[2].revents)
            procs_drain_events(procs);
        if (ready[3].revents)
            procs_drain_exits(procs);
        if (ready[0].revents)
            going = answer_marks(shares, procs);
        out_flush();
    }
    drain_all(shares, procs);
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "understudy-audit: %s: %s\n", what, strerror(-error));
    return 1;
}

int main(int argc, char **argv)
{
    bool connector = true;
    struct procs *procs = NULL;
    struct shares *shares = NULL;

    if (argc == 4 && strcmp(argv[1], "--no-process-events") == 0) {
        connector = false;
        argv++;
        argc--;
    }
    if (argc != 3) {
        fputs("usage: understudy-audit [--no-process-events] LIST_SHARE CONTROL_SHARE\n", stderr);
        return 2;
    }
    (void)setpriority(PRIO_PROCESS, 0, -15);    /* what is read late is merged by the kernel */
    int error = procs_open(&procs, connector);
    if (error < 0)
        return fail("cannot follow processes", error);
    error = shares_open(&shares, argv[1], argv[2], !procs_has_connector(procs));
    if (error < 0) {
        procs_close(procs);
        return fail("fanotify on the shares", error);
    }
    out_begin("ready", audit_now_us());
    out_text("processes", procs_has_connector(procs) ? "events" : "proc");
    out_text("shares", shares_mode(shares));
    out_end();
    out_flush();
    watch(shares, procs);
    out_begin("end", audit_now_us());
    out_number("events", (int64_t)shares_count(shares));
    out_end();
    out_flush();
    shares_close(shares);
    procs_close(procs);
    return 0;
}
