/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/log.h"
#include "daemon/privileges.h"

#include "common/banned.h"

#define OWN_OPS (UINT64_C(1) << 62) /* apart from the engine's, as far as any are told apart within a run */

/* In the child: gives up what the job must not have. Nothing of this may be skipped. */
static int become(const struct exec_identity *as, uint64_t keep)
{
    bool same = as->uid == geteuid() && as->gid == getegid();

    if (same)
        return privileges_keep(keep);
    int rc = privileges_bound(0); /* the change of identity does the rest */
    if (rc < 0)
        return rc;
    if (setgroups((size_t) as->n_groups, as->groups) < 0 || setresgid(as->gid, as->gid, as->gid) < 0 ||
        setresuid(as->uid, as->uid, as->uid) < 0)
        return -errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Moves the given descriptors to 0, 1, 2...; everything else is closed. */
static int place_descriptors(const struct exec_spawn *s)
{
    int high[5], n = 0;

    for (int i = 0; i < 5 && s->fd[i] >= 0; i++, n++)
        if ((high[i] = fcntl(s->fd[i], F_DUPFD_CLOEXEC, 10)) < 0) /* out of the way of the targets */
            return -errno;
    for (int i = 0; i < n; i++)
        if (dup2(high[i], i) < 0)
            return -errno;
    return close_range((unsigned) n, ~0u, 0) < 0 ? -errno : 0;
}

/* As in a shell: who started us may have had some ignored. */
static int set_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        (void) signal(s, SIG_DFL); /* KILL and STOP cannot be set, and need not */
    (void) sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* In the child, never returns. */
static void run_child(const struct exec_spawn *s, pid_t parent)
{
    const struct rlimit no_core = { 0, 0 };
    int rc;

    (void) setsid(); /* its own group, so that all of it can be killed at once */
    (void) umask(s->umask);
    rc = chdir("/") < 0 ? -errno : 0;
    if (rc == 0)
        rc = setrlimit(RLIMIT_CORE, &no_core) < 0 ? -errno : 0;
    if (rc == 0)
        rc = place_descriptors(s);
    if (rc == 0)
        rc = become(s->as, s->keep);
    /* After the change of identity, which clears it. A job without an executor has no deadline any more. */
    if (rc == 0)
        rc = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
    if (rc == 0 && getppid() != parent)
        _exit(127);
    if (rc == 0)
        rc = set_signals();
    if (rc == 0) {
        (void) execve(s->command->path, s->command->argv, s->command->envp);
        rc = -errno;
    }
    if (s->ret_errno)
        *s->ret_errno = -rc;
    _exit(127);
}

pid_t exec_spawn(const struct exec_spawn *s)
{
    pid_t parent = getpid();

    if (s->ret_errno)
        *s->ret_errno = 0;
    pid_t pid = fork();
    if (pid == 0)
        run_child(s, parent);
    return pid < 0 ? -errno : pid;
}

/* A pipe that already holds all of a fence program's input: it is smaller than the pipe, so nothing blocks. */
static int fence_input(struct executor *x, const struct wire_run *run, int *ret_fd)
{
    static char text[JOBS_TEXT_MAX];
    const struct secret *secret = &x->secrets->device[run->device];
    int fd[2];
    size_t len = 0;
    int rc = jobs_fence_input(&x->cfg->devices[run->device], (enum job) run->job, secret->text, secret->len, text,
                              sizeof text, &len);

    if (rc == 0)
        rc = pipe2(fd, O_CLOEXEC) < 0 ? -errno : 0;
    if (rc < 0) {
        explicit_bzero(text, sizeof text);
        return rc;
    }
    (void) fcntl(fd[1], F_SETFL, O_NONBLOCK);
    ssize_t n = write(fd[1], text, len);
    explicit_bzero(text, sizeof text);
    (void) close(fd[1]);
    if (n != (ssize_t) len) {
        (void) close(fd[0]);
        return -EIO;
    }
    *ret_fd = fd[0];
    return 0;
}

static const struct exec_identity *identity_of(const struct executor *x, enum job_user user)
{
    switch (user) {
    case JOB_AS_ROOT: return &x->root;
    case JOB_AS_DAEMON: return &x->daemon;
    case JOB_AS_LIST: return &x->list;
    }
    return &x->daemon;
}

static struct exec_child *free_slot(struct executor *x, const struct wire_run *run, int *ret_error)
{
    struct exec_child *slot = NULL;

    *ret_error = -EBUSY;
    for (unsigned i = 0; i < EXEC_CHILDREN; i++) {
        struct exec_child *c = &x->child[i];
        if (c->pid == 0) {
            slot = slot ? slot : c;
        } else if (run->op_id != 0 && (c->op_id == run->op_id || (c->job == JOB_EPOCH_WATCH && c->op_id != 0 &&
                                                                   run->job == JOB_EPOCH_WATCH && !c->killed))) {
            *ret_error = -EINVAL; /* an operation id twice, or a second watch */
            return NULL;
        }
    }
    return slot;
}

static void init_slot(const struct executor *x, struct exec_child *c, const struct wire_run *run, uint64_t now_ms)
{
    memset(c, 0, sizeof *c);
    c->op_id = run->op_id;
    c->job = (enum job) run->job;
    c->epoch = run->epoch;
    c->share = x->command.share;
    c->workers = x->command.workers;
    c->secret = x->command.fence ? &x->secrets->device[run->device] : NULL;
    c->started_ms = c->window_ms = now_ms;
    c->deadline_ms = run->deadline_ms ? now_ms + run->deadline_ms : UINT64_MAX;
    c->budget = EXEC_OUTPUT_MAX;
    c->out[0].fd = c->out[1].fd = -1;
}

static int start_in_slot(struct executor *x, struct exec_child *c, const struct wire_run *run)
{
    struct exec_spawn s = { .command = &x->command, .as = identity_of(x, x->command.user),
                            .fd = { x->null_fd, -1, -1, -1, -1 }, .umask = x->command.user == JOB_AS_LIST ? 027 : 022,
                            .keep = privileges_of_job(c->job),
                            .ret_errno = &x->exec_errno[c - x->child] };
    int rc = x->command.fence ? fence_input(x, run, &s.fd[0]) : 0;

    if (rc == 0)
        rc = exec_stream_open(&c->out[0], &s.fd[1]);
    if (rc == 0)
        rc = exec_stream_open(&c->out[1], &s.fd[2]);
    if (rc == 0) {
        c->pid = exec_spawn(&s);
        rc = c->pid < 0 ? (int) c->pid : 0;
    }
    for (int i = 0; i < 3; i++)
        if (s.fd[i] >= 0 && s.fd[i] != x->null_fd)
            (void) close(s.fd[i]);
    if (rc == 0)
        return 0;
    c->pid = 0;
    for (int i = 0; i < 2; i++)
        if (c->out[i].fd >= 0)
            (void) close(c->out[i].fd);
    return rc;
}

int exec_child_start(struct executor *x, const struct wire_run *run, uint64_t now_ms, struct exec_child **ret_child)
{
    struct wire_run checked = *run;
    int rc;

    if (run->op_id == 0)
        checked.op_id = OWN_OPS | ++x->own_ops; /* it goes into the names of files on the share */
    rc = jobs_build(&x->jobs, &checked, &x->command);
    if (rc < 0)
        return rc;
    struct exec_child *c = free_slot(x, run, &rc);
    if (!c)
        return rc;
    init_slot(x, c, run, now_ms);
    rc = start_in_slot(x, c, run);
    if (rc == 0)
        *ret_child = c;
    return rc;
}

void exec_child_kill(struct exec_child *c, bool late, uint64_t now_ms)
{
    if (c->pid == 0 || c->killed)
        return;
    c->killed = true;
    c->late = late;
    c->killed_ms = now_ms;
    if (!c->reaped)
        (void) kill(c->pid, SIGKILL); /* it may not have made its group yet */
    (void) kill(-c->pid, SIGKILL);
}

/* Descendants of a killed child may still be in a system call: it is not over before they are gone. */
static bool group_lives(const struct exec_child *c)
{
    return kill(-c->pid, 0) == 0 || errno == EPERM;
}

static void finish(struct executor *x, struct exec_child *c, uint64_t now_ms)
{
    exec_stream_finish(x, c, now_ms);
    c->ended_ms = now_ms;
    c->done = true;
    if (c->op_id != 0) {
        exec_tenure_answer(x, c);
        exec_active_answer(x, c, now_ms);
    }
    if (c->op_id == 0 && c != x->stop_child)
        c->pid = 0; /* nobody asks for it any more */
}

void exec_say_forbidden(const char *name, pid_t pid, int wstatus)
{
    if (WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGSYS)
        log_error("%s: killed by SIGSYS, since it made a system call that it is not allowed. That is a defect or an attack: "
                  "report it, with what the kernel's log says of it: journalctl -k --grep='type=1326 .* pid=%ld '", name,
                  (long) pid);
}

/* Its answer stands and is told at once. The slot goes on for what it has left behind: killed, not done, of no operation. */
static void leave_behind(struct executor *x, struct exec_child *c, uint64_t now_ms)
{
    const struct wire_done done = { .op_id = c->op_id, .job = (uint32_t) c->job, .status = c->status, .started_ms = c->started_ms,
                                    .ended_ms = now_ms };

    log_warning("%s: over, but a process that it started hangs in a call; this node counts as dirty until that is gone",
                job_name(c->job));
    exec_stream_finish(x, c, now_ms);
    exec_child_kill(c, false, now_ms);
    c->op_id = 0;
    if (done.op_id != 0)
        exec_tell_answer(x, &done, now_ms);
}

void exec_child_reaped(struct executor *x, struct exec_child *c, int wstatus, uint64_t now_ms)
{
    int32_t error = x->exec_errno[c - x->child];

    exec_say_forbidden(job_name(c->job), c->pid, wstatus);
    c->reaped = true;
    c->status = WIFSIGNALED(wstatus) ? -WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
    if (error != 0)
        c->status = -1000 - error;
    if (!group_lives(c) || !(c->killed || c->workers)) {
        finish(x, c, now_ms);
        return;
    }
    if (!c->killed)
        leave_behind(x, c, now_ms);
    c->group_ms = now_ms + EXEC_GROUP_MS;
}

uint64_t exec_child_tick(struct executor *x, struct exec_child *c, uint64_t now_ms)
{
    if (c->pid == 0 || c->done)
        return UINT64_MAX;
    if (!c->killed && now_ms >= c->deadline_ms) {
        log_warning("%s: not done at its deadline after %llu ms; killed", job_name(c->job),
                    (unsigned long long) (now_ms - c->started_ms));
        exec_child_kill(c, true, now_ms);
    }
    if (!c->killed)
        return c->deadline_ms;
    if (c->reaped && now_ms >= c->group_ms) {
        if (!group_lives(c)) {
            finish(x, c, now_ms);
            return UINT64_MAX;
        }
        c->group_ms = now_ms + EXEC_GROUP_MS;
    }
    uint64_t told_ms = c->late_told ? UINT64_MAX : c->killed_ms + EXEC_LATE_MS;
    if (told_ms <= now_ms)
        told_ms = UINT64_MAX; /* due: exec_engine_tell() has it */
    return c->reaped && c->group_ms < told_ms ? c->group_ms : told_ms;
}

unsigned exec_unreaped(const struct executor *x)
{
    unsigned n = 0;

    for (unsigned i = 0; i < EXEC_CHILDREN; i++)
        n += x->child[i].pid != 0 && x->child[i].share && x->child[i].killed && !x->child[i].done;
    return n;
}
