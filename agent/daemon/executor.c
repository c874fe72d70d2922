/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/log.h"

#include "common/banned.h"

#define POLL_MAX (2 + 2 * EXEC_CHILDREN)

static int open_signals(void)
{
    sigset_t set;

    (void) signal(SIGPIPE, SIG_IGN);
    (void) sigemptyset(&set);
    (void) sigaddset(&set, SIGCHLD);
    (void) sigaddset(&set, SIGTERM);
    (void) sigaddset(&set, SIGINT);
    (void) sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int find_users(struct executor *x)
{
    int rc = exec_identity_find(x->opt->user, &x->daemon);

    if (rc < 0) {
        log_error("user %s: %s; the unprivileged parts run as it; create it", x->opt->user, strerror(-rc));
        return rc;
    }
    rc = exec_identity_find(x->cfg->list.user, &x->list);
    if (rc < 0)
        log_error("user %s of [mailman3]: %s; the list server runs as it; install it or correct the key",
                  x->cfg->list.user, strerror(-rc));
    else if (x->root.uid == 0 && (x->list.uid == 0 || x->daemon.uid == 0))
        rc = -EPERM;
    return rc;
}

static int open_directories(struct executor *x)
{
    x->state_fd = exec_directory_make(x->opt->state_dir, 0750, &x->daemon);
    if (x->state_fd < 0) {
        log_error("%s: %s; the highest epoch seen is kept there; correct it", x->opt->state_dir, strerror(-x->state_fd));
        return x->state_fd;
    }
    x->run_fd = exec_directory_make(x->opt->run_dir, 0755, &x->daemon);
    if (x->run_fd < 0) {
        log_error("%s: %s; status and ended epochs are kept there; correct it", x->opt->run_dir, strerror(-x->run_fd));
        return x->run_fd;
    }
    int rc = exec_directory_make(x->opt->defer_dir, 0750, &x->list);
    if (rc < 0) {
        log_error("%s: %s; what the recovery pass has put off is kept there, by the list user; correct it", x->opt->defer_dir,
                  strerror(-rc));
        return rc;
    }
    (void) close(rc);
    rc = exec_token_open(x);
    if (rc < 0)
        return rc;
    rc = exec_ended_read(x);
    if (rc < 0)
        log_error("%s/ended: %s; it says which epochs must not be used again; remove it only after a reboot",
                  x->opt->run_dir, strerror(-rc));
    return rc;
}

static int open_resources(struct executor *x)
{
    x->exec_errno = mmap(NULL, EXEC_CHILDREN * sizeof *x->exec_errno, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (x->exec_errno == MAP_FAILED)
        return -errno;
    x->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (x->null_fd < 0)
        return -errno;
    x->signal_fd = open_signals();
    return x->signal_fd < 0 ? x->signal_fd : 0;
}

/* What an executor before this one has left, and this node's own reboots. */
static void take_over(struct executor *x, uint64_t now_ms)
{
    exec_fence_read(x);
    exec_active_read(x, now_ms);
    exec_watchdog_init(x, now_ms);
}

int executor_init(struct executor *x, const struct exec_options *opt, struct config *cfg, struct secrets *secrets)
{
    int self = opt->node ? config_node_by_name(cfg, opt->node) : config_self(cfg);

    memset(x, 0, sizeof *x);
    x->opt = opt;
    x->cfg = cfg;
    x->secrets = secrets;
    x->engine_fd = x->members_fd = -1;
    x->engine.name = "understudy-engine";
    x->members.name = "understudy-members";
    x->root.uid = geteuid();
    x->root.gid = getegid();
    if (self < 0) {
        log_error("this host is none of the nodes in %s; its hostname has to be in a section [node NAME]; "
                  "correct the file or say --node NAME", opt->config_path);
        return self;
    }
    x->jobs = (struct jobs_context) { .cfg = cfg, .config_path = opt->config_path, .self = (unsigned) self,
                                      .libexec_dir = opt->libexec_dir, .ocf_dir = opt->ocf_dir };
    int rc = find_users(x);
    if (rc == 0)
        rc = open_directories(x);
    if (rc == 0)
        rc = open_resources(x);
    /* What a killed child leaves behind becomes ours: reaped at once, and never a zombie that looks alive. */
    if (rc == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        rc = -errno;
    if (rc == 0)
        take_over(x, clock_now_ms());
    return rc;
}

static void reap(struct executor *x, uint64_t now_ms)
{
    pid_t pid;
    int wstatus;

    while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0) {
        if (exec_helper_ended(x, pid, wstatus, now_ms))
            continue;
        for (unsigned i = 0; i < EXEC_CHILDREN; i++)
            if (x->child[i].pid == pid && !x->child[i].reaped) {
                exec_child_reaped(x, &x->child[i], wstatus, now_ms);
                break;
            }
    }
}

static void take_signals(struct executor *x, uint64_t now_ms)
{
    struct signalfd_siginfo s;

    while (read(x->signal_fd, &s, sizeof s) == (ssize_t) sizeof s) {
        if ((s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT) && !x->terminate) {
            x->terminate = true;
            exec_notify("STOPPING=1");
            if (!exec_engine_leave(x, now_ms))
                exec_engine_lose(x, "understudyd was asked to end", now_ms);
        }
    }
    reap(x, now_ms);
}

/* Only what is open, and whose it is: poll() answers EINVAL to more entries than a process may have descriptors. */
static nfds_t fill_poll(struct executor *x, struct pollfd *p, struct exec_child **of)
{
    nfds_t n = 0;

    p[n++] = (struct pollfd) { .fd = x->signal_fd, .events = POLLIN };
    p[n++] = (struct pollfd) { .fd = x->engine_fd, .events = (short) (POLLIN | (x->tell_blocked ? POLLOUT : 0)) };
    for (unsigned i = 0; i < EXEC_CHILDREN; i++)
        for (unsigned k = 0; k < 2; k++)
            if (x->child[i].pid != 0 && x->child[i].out[k].fd >= 0) {
                of[n] = &x->child[i];
                p[n++] = (struct pollfd) { .fd = x->child[i].out[k].fd, .events = POLLIN };
            }
    return n;
}

static void take_output(struct executor *x, struct exec_child *c, int fd, uint64_t now_ms)
{
    for (unsigned k = 0; k < 2; k++)
        if (c->pid != 0 && c->out[k].fd == fd) {
            exec_stream_read(x, c, &c->out[k], now_ms);
            return;
        }
}

/* Everything that is due at `now_ms`; returns when something will be due again. */
static uint64_t tick(struct executor *x, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX, t;

    exec_engine_tick(x, now_ms);
    exec_stop_tick(x, now_ms);
    exec_token_tick(x, now_ms);
    for (unsigned i = 0; i < EXEC_CHILDREN; i++) { /* last: the steps above may have started one */
        t = exec_child_tick(x, &x->child[i], now_ms);
        next_ms = t < next_ms ? t : next_ms;
    }
    exec_active_tick(x, now_ms); /* after the children: by what has become of them */
    exec_watchdog_tick(x, now_ms);
    exec_tell(x, now_ms);
    t = exec_active_next(x);
    next_ms = t < next_ms ? t : next_ms;
    t = exec_watchdog_next(x);
    next_ms = t < next_ms ? t : next_ms;
    t = exec_engine_next(x);
    next_ms = t < next_ms ? t : next_ms;
    t = exec_stop_next(x, now_ms);
    return t < next_ms ? t : next_ms;
}

int executor_run(struct executor *x)
{
    struct pollfd p[POLL_MAX];
    struct exec_child *of[POLL_MAX];
    uint64_t now_ms = clock_now_ms(), next_ms = tick(x, now_ms);

    exec_notify("READY=1");
    while (x->step != STEP_OUT) {
        nfds_t n = fill_poll(x, p, of);
        int rc = poll(p, n, clock_poll_ms(now_ms, next_ms));
        if (rc < 0 && errno != EINTR) {
            log_error("poll: %s; ending: nothing can be waited for any more", strerror(errno));
            return 1;
        }
        now_ms = clock_now_ms();
        if (rc > 0 && p[1].revents != 0 && p[1].fd == x->engine_fd)
            exec_engine_read(x, now_ms); /* first: what it asks for is what is waited for most */
        for (nfds_t i = 2; rc > 0 && i < n; i++)
            if (p[i].revents != 0)
                take_output(x, of[i], p[i].fd, now_ms);
        if (rc > 0 && p[0].revents != 0)
            take_signals(x, now_ms);
        next_ms = tick(x, now_ms);
    }
    return x->stop_failed ? 1 : 0;
}
