/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "cli/gate_look.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "resource/epoch/epoch_view.h"

#include "common/banned.h"

static void entry_judge(const struct epoch_view *view, const struct tenure *t, struct gate_answer *ret)
{
    const struct epoch_entry *e = epoch_view_find(view, t->epoch);

    ret->highest = epoch_view_highest(view);
    if (!e || !e->own_read || strcmp(e->node, t->node) != 0 || !bootid_equal(&e->boot, &t->boot) || e->run != t->run)
        ret->result = LOOK_NO_OWN;
    else if (e->end_ino || !epoch_is_open(e))
        ret->result = LOOK_ENDED;
    else if (ret->highest != t->epoch)
        ret->result = LOOK_HIGHER;
    else
        ret->result = LOOK_OURS;
}

/* The local maximum, which only understudy may read, is not needed: that N was reached the token says, and a share that
 * has lost N has no epoch.N.own. What lies below N is the executor's matter, and need not be read. */
static void share_ask(const struct config *cfg, const struct tenure *t, struct gate_answer *ret)
{
    struct epoch_view view = { .checked = t->epoch - 1 };
    struct epoch_share s;
    epoch_share_find_user();
    int rc = epoch_share_open(cfg, &s);

    if (!rc && !s.why)
        rc = epoch_share_identify(cfg, &s);
    if (!rc && !s.why)
        rc = epoch_view_update(cfg, &s, &view);
    if (rc) {
        ret->result = LOOK_ERROR;
        ret->error = -rc;
        (void)snprintf(ret->call, sizeof ret->call, "%s", s.call);
    } else if (s.why) {
        ret->result = LOOK_WRONG;
        (void)snprintf(ret->word, sizeof ret->word, "%s", s.why);
    } else {
        entry_judge(&view, t, ret);
    }
}

/* 0, -ENOENT when the user is not there, or another -errno. */
static int leave_root(void)
{
    const struct passwd *pw;

    if (geteuid() != 0)
        return 0;
    pw = getpwnam(UNDERSTUDY_USER);
    if (!pw || pw->pw_uid == 0)
        return -ENOENT;
    if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0
        || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        return -errno;
    return 0;
}

/* In the child. The answer is smaller than a pipe: writing it cannot block. */
static void child_run(const struct config *cfg, const struct tenure *t, int fd)
{
    struct gate_answer a = { .result = LOOK_ERROR };
    int rc = leave_root();

    if (rc) {
        a.result = rc == -ENOENT ? LOOK_NO_USER : LOOK_ERROR;
        a.error = -rc;
        (void)snprintf(a.call, sizeof a.call, "becoming user %s", UNDERSTUDY_USER);
    } else {
        share_ask(cfg, t, &a);
    }
    _exit(write(fd, &a, sizeof a) == (ssize_t)sizeof a ? 0 : 1);
}

/* 0 when the child has ended in time; then it is reaped. Otherwise it is killed, and nobody waits for it any more. */
static int child_wait(pid_t pid, uint64_t until_ms)
{
    struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    int rc, status;

    do
        rc = p.fd < 0 ? -1 : poll(&p, 1, clock_poll_ms(clock_now_ms(), until_ms));
    while (rc < 0 && errno == EINTR && p.fd >= 0);
    if (p.fd >= 0)
        (void)close(p.fd);
    if (rc <= 0) {
        (void)kill(pid, SIGKILL);
        return -ETIMEDOUT;
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static void error_set(struct gate_answer *a, const char *call, int error)
{
    *a = (struct gate_answer){ .result = LOOK_ERROR, .error = error };
    (void)snprintf(a->call, sizeof a->call, "%s", call);
}

void gate_look(const struct config *cfg, const struct tenure *t, struct gate_answer *ret)
{
    uint64_t until_ms = clock_now_ms() + cfg->share_deadline_ms;
    int fd[2], rc;

    if (pipe2(fd, O_CLOEXEC) < 0) {
        error_set(ret, "making a pipe", errno);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        child_run(cfg, t, fd[1]);
    error_set(ret, "starting a child", errno);
    (void)close(fd[1]);
    rc = pid < 0 ? -EAGAIN : child_wait(pid, until_ms);
    if (rc == -ETIMEDOUT)
        ret->result = LOOK_SILENT;
    else if (rc == -ECHILD || (rc == 0 && read(fd[0], ret, sizeof *ret) != (ssize_t)sizeof *ret))
        error_set(ret, "asking the control share", EIO);
    (void)close(fd[0]);
}
