/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/listuser.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/banned.h"

#define FD_REPORT 3 /* in the child: the exec's errno goes here; closed by a successful exec */

int listuser_find(const char *name, struct listuser *ret)
{
    const struct passwd *p = getpwnam(name);

    if (!p || strlen(name) >= sizeof ret->name)
        return -ENOENT;
    if (p->pw_uid == 0)
        return -EPERM;
    (void)snprintf(ret->name, sizeof ret->name, "%s", name);
    ret->uid = p->pw_uid;
    ret->gid = p->pw_gid;
    return 0;
}

int listuser_become(const struct listuser *u)
{
    uid_t r, e, s;

    if (geteuid() == 0 && (initgroups(u->name, u->gid) != 0 || setresgid(u->gid, u->gid, u->gid) != 0
                           || setresuid(u->uid, u->uid, u->uid) != 0))
        return -errno;
    if (getresuid(&r, &e, &s) != 0 || r != u->uid || e != u->uid || s != u->uid)
        return -EPERM;
    return 0;
}

/* Moves the descriptors to 0, 1, 2 and the report to 3; everything else is closed. */
static int descriptors_set(const struct listuser_io *io, int report)
{
    int want[3] = { io->in, io->out, io->err };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -errno;
    for (int i = 0; i < 3; i++) { /* above the range that is written below */
        want[i] = fcntl(want[i] < 0 ? null : want[i], F_DUPFD_CLOEXEC, FD_REPORT + 1);
        if (want[i] < 0)
            return -errno;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(want[i], i) < 0)
            return -errno;
    if (report != FD_REPORT && dup3(report, FD_REPORT, O_CLOEXEC) < 0)
        return -errno;
    return close_range(FD_REPORT + 1, ~0U, 0) != 0 ? -errno : 0;
}

static int signals_reset(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL); /* KILL and STOP cannot be set, and need not */
    return sigprocmask(SIG_SETMASK, &none, NULL) != 0 ? -errno : 0;
}

/* What starts the list server may run with a better priority than normal, the list server not. */
static int priority_reset(void)
{
    errno = 0;
    if (getpriority(PRIO_PROCESS, 0) >= 0 || errno != 0) /* -1 is a priority, too */
        return -errno;
    return setpriority(PRIO_PROCESS, 0, 0) != 0 ? -errno : 0;
}

static _Noreturn void child_run(const struct listuser *u, char *const argv[], const struct listuser_io *io, int report)
{
    char *const env[] = { (char[]){ "PATH=/usr/local/bin:/usr/bin:/bin" }, (char[]){ "LANG=C.UTF-8" }, NULL };
    int rc = signals_reset();

    if (rc == 0)
        rc = priority_reset();
    if (rc == 0)
        rc = descriptors_set(io, report);
    if (rc == 0 && io->session && setsid() < 0)
        rc = -errno;
    if (rc == 0)
        rc = listuser_become(u);
    if (rc == 0 && chdir("/") != 0)
        rc = -errno;
    (void)umask(007);
    if (rc == 0) {
        (void)execve(argv[0], argv, env);
        rc = -errno;
    }
    ssize_t done = write(FD_REPORT, &rc, sizeof rc);
    _exit(done == sizeof rc ? 127 : 126);
}

int listuser_spawn(const struct listuser *u, char *const argv[], const struct listuser_io *io, pid_t *ret_pid)
{
    int   report[2], rc = 0;
    pid_t pid;

    if (pipe2(report, O_CLOEXEC) != 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        child_run(u, argv, io, report[1]);
    if (pid < 0)
        rc = -errno;
    (void)close(report[1]);
    if (pid > 0 && read(report[0], &rc, sizeof rc) == sizeof rc)
        (void)waitpid(pid, NULL, 0);
    (void)close(report[0]);
    if (rc == 0)
        *ret_pid = pid;
    return rc;
}

int listuser_files_enter(const struct listuser *u)
{
    if (geteuid() != 0) /* nothing to give up */
        return 0;
    (void)setfsgid(u->gid); /* the gid first: afterwards it is no longer permitted */
    (void)setfsuid(u->uid);
    return (uid_t)setfsuid((uid_t)-1) == u->uid && (gid_t)setfsgid((gid_t)-1) == u->gid ? 0 : -EPERM;
}

void listuser_files_leave(void)
{
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
}
