/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/listserver_kill.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/banned.h"

/* A process that was judged, pinned by a pidfd. Another one may have got its pid between the scan and the pidfd, so a
 * second scan has to find the same process: then the pidfd is its. */
struct target {
    int                    fd;      /* -1 = gone, or not the one */
    const struct listproc *now;     /* in the second scan */
};

static const struct listproc *same_find(const struct listproc_list *l, const struct listproc *p)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].pid == p->pid && l->v[i].start_ticks == p->start_ticks && l->v[i].kind != LISTPROC_ZOMBIE)
            return &l->v[i];
    return NULL;
}

static int kind_signal(const struct target *t, unsigned n, enum listproc_kind kind, int signal_no, unsigned *count)
{
    int rc = 0;

    for (unsigned i = 0; i < n; i++) {
        if (t[i].fd < 0 || !t[i].now || t[i].now->kind != kind)
            continue;
        if (syscall(SYS_pidfd_send_signal, t[i].fd, signal_no, NULL, 0u) == 0)
            (*count)++;
        else if (errno != ESRCH)
            rc = -errno;
    }
    return rc;
}

/* The master is frozen first, or it could fork a runner behind our back while it is starting. */
static int targets_kill(const struct target *t, unsigned n, bool commands_too)
{
    unsigned frozen = 0, runners = 0, commands = 0, masters = 0;
    int      rc = kind_signal(t, n, LISTPROC_MASTER, SIGSTOP, &frozen), r;

    r = kind_signal(t, n, LISTPROC_RUNNER, SIGKILL, &runners);
    rc = r != 0 ? r : rc;
    r = commands_too ? kind_signal(t, n, LISTPROC_COMMAND, SIGKILL, &commands) : 0;
    rc = r != 0 ? r : rc;
    r = kind_signal(t, n, LISTPROC_MASTER, SIGKILL, &masters);
    rc = r != 0 ? r : rc;
    ocf_record("killed masters=%u runners=%u commands=%u", masters, runners, commands);
    return rc;
}

static int targets_continue(const struct target *t, unsigned n)
{
    unsigned count = 0;
    int      rc = 0, r;

    for (enum listproc_kind kind = LISTPROC_MASTER; kind <= LISTPROC_COMMAND; kind++) {
        r = kind_signal(t, n, kind, SIGCONT, &count);
        rc = r != 0 ? r : rc;
    }
    return rc;
}

int listserver_signal(const struct listserver *m, const struct listproc_list *seen, enum listserver_signal what)
{
    struct target        t[LISTPROC_MAX];
    struct listproc_list again;
    int                  rc;

    for (unsigned i = 0; i < seen->n; i++)
        t[i].fd = (int)syscall(SYS_pidfd_open, seen->v[i].pid, 0u);
    rc = listproc_scan("/proc", m->user.uid, &m->service, &again);
    for (unsigned i = 0; rc == 0 && i < seen->n; i++)
        t[i].now = same_find(&again, &seen->v[i]);
    if (rc == 0)
        rc = what == LISTSERVER_CONTINUE ? targets_continue(t, seen->n) : targets_kill(t, seen->n, what == LISTSERVER_KILL);
    for (unsigned i = 0; i < seen->n; i++)
        if (t[i].fd >= 0)
            (void)close(t[i].fd);
    return rc;
}

void listserver_pid_file_remove(const struct listserver *m)
{
    if (!m->pid_file || strncmp(m->pid_file, "/run/", 5) != 0 || listuser_files_enter(&m->user) != 0)
        return;
    (void)unlink(m->pid_file);
    listuser_files_leave();
}
