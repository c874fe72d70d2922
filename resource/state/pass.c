/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/pass.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/state/state.h"

#include "common/banned.h"

#define IDLE   SIZE_MAX
#define END_MS 200u     /* for workers that were killed at work to be gone */
#define MORE_MS  5u     /* all workers are at work for so long: another one is started */

struct worker { pid_t pid; int fd; size_t unit; uint64_t until_ms; };  /* pid 0: there is none */
struct order { size_t unit; char name[DEFER_UNIT_MAX]; };
struct answer { size_t unit; enum pass_result result; struct pass_answer a; };
#define ANSWER_SIZE(x) (offsetof(struct answer, a.data) + (x)->a.len)

struct run {
    const struct pass *p;
    struct pass_unit  *v;
    size_t             n, next, open;       /* open: handed out, no answer yet */
    uint64_t           until_ms, more_ms;   /* more_ms: when another worker is started */
    unsigned           stuck, errors;
    struct worker      worker[PASS_WORKERS_MAX];
    pid_t              hanging[PASS_STUCK_MAX];
};

const char *pass_result_name(enum pass_result r)
{
    static const char *const names[PASS_RESULT_N] = { "untried", "done", "locked", "busy", "failed", "stuck" };

    return (unsigned)r < PASS_RESULT_N ? names[r] : "?";
}

enum defer_reason pass_defer_reason(enum pass_result r)
{
    return r == PASS_LOCKED ? DEFER_LOCKED : r == PASS_BUSY ? DEFER_BUSY : r == PASS_FAILED ? DEFER_FAILED
         : r == PASS_STUCK ? DEFER_STUCK : DEFER_UNTRIED;
}

/* A worker lives as long as the pass: it is killed with it, and ends when its socket does. */
__attribute__((noreturn)) static void worker_main(const struct pass *p, int fd, pid_t parent)
{
    static struct answer a; /* large */
    struct order         o;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || (p->enter && p->enter(p->ctx) != 0))
        _exit(1);
    while (recv(fd, &o, sizeof o, 0) == (ssize_t)sizeof o) {
        a.unit = o.unit;
        a.a.error = 0;
        a.a.len = 0;
        a.result = p->attempt(p->ctx, o.name, &a.a);
        if (a.a.len > PASS_DATA_MAX || send(fd, &a, ANSWER_SIZE(&a), MSG_NOSIGNAL) != (ssize_t)ANSWER_SIZE(&a))
            break;
    }
    _exit(0);
}

/* `r`: whose other sockets the worker must not keep, or NULL. */
static int worker_fork(const struct pass *p, const struct run *r, struct pass_early *ret)
{
    pid_t parent = getpid();
    int   pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; r && i < PASS_WORKERS_MAX; i++)
            if (r->worker[i].pid != 0)
                (void)close(r->worker[i].fd);
        (void)close(pair[0]);
        worker_main(p, pair[1], parent);
    }
    int rc = pid < 0 ? -errno : 0;
    (void)close(pair[1]);
    if (rc == 0)
        *ret = (struct pass_early){ .pid = pid, .fd = pair[0] };
    else
        (void)close(pair[0]);
    return rc;
}

static int worker_start(struct run *r, struct worker *w)
{
    struct pass_early e;
    int               rc = worker_fork(r->p, r, &e);

    if (rc == 0)
        *w = (struct worker){ .pid = e.pid, .fd = e.fd, .unit = IDLE };
    return rc;
}

int pass_prepare(const struct pass *p, struct pass_early *ret)
{
    *ret = (struct pass_early){ .pid = 0, .fd = -1 };
    return worker_fork(p, NULL, ret);
}

void pass_discard(struct pass_early *e)
{
    if (e->pid == 0)
        return;
    (void)kill(e->pid, SIGKILL);
    (void)waitpid(e->pid, NULL, 0); /* it waits for its socket, where the kill arrives */
    (void)close(e->fd);
    *e = (struct pass_early){ .pid = 0, .fd = -1 };
}

/* The answer for what the worker had in its hands. */
static void unit_answer(struct run *r, struct worker *w, enum pass_result result, int error)
{
    r->v[w->unit].result = result;
    r->v[w->unit].error = error;
    r->errors = result == PASS_FAILED || result == PASS_STUCK ? r->errors + 1 : 0;
    w->unit = IDLE;
    r->open--;
}

static void worker_drop(struct worker *w)
{
    (void)close(w->fd);
    *w = (struct worker){ .pid = 0 };
}

static void worker_hear(struct run *r, struct worker *w)
{
    static struct answer a;
    ssize_t              got = recv(w->fd, &a, sizeof a, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got >= (ssize_t)offsetof(struct answer, a.data) && a.a.len <= PASS_DATA_MAX && got == (ssize_t)ANSWER_SIZE(&a)
        && w->unit == a.unit && (unsigned)a.result < PASS_RESULT_N && a.result != PASS_UNTRIED) {
        unit_answer(r, w, a.result, a.a.error);
        if (a.a.len > 0 && r->p->told)
            r->p->told(r->p->ctx, &r->v[a.unit], a.a.data, a.a.len);
        return;
    }
    size_t unit = w->unit;
    int    wstatus = 0;
    if (unit != IDLE)
        unit_answer(r, w, PASS_FAILED, 0);
    (void)kill(w->pid, SIGKILL);
    (void)waitpid(w->pid, &wstatus, 0); /* dead, or between two calls: it has just been heard */
    if (unit != IDLE && WIFSIGNALED(wstatus) && WTERMSIG(wstatus) != SIGKILL)
        (void)state_fail(0, "%s: the worker was killed by signal %d%s", r->v[unit].name, WTERMSIG(wstatus),
                         WTERMSIG(wstatus) == SIGSYS ? ", since it made a system call that it is not allowed: report it" : "");
    worker_drop(w);
}

/* It is in a call that may never come back, and then not even the kill arrives: nobody waits for it. */
static void worker_give_up(struct run *r, struct worker *w)
{
    unit_answer(r, w, PASS_STUCK, 0);
    (void)kill(w->pid, SIGKILL);
    r->hanging[r->stuck++] = w->pid;
    worker_drop(w);
}

static bool is_given_up(const struct run *r) { return r->stuck == PASS_STUCK_MAX || r->errors >= PASS_ERRORS_MAX; }

static bool is_idle(const struct run *r)
{
    for (unsigned i = 0; i < r->p->workers; i++)
        if (r->worker[i].pid != 0 && r->worker[i].unit == IDLE)
            return true;
    return false;
}

/* One, if nobody is there for what is to be tried, or if those who are have had enough time: a fork costs as much as some units. */
static int worker_add(struct run *r, uint64_t now_ms)
{
    unsigned alive = 0, i = 0;

    for (unsigned k = 0; k < r->p->workers; k++)
        alive += r->worker[k].pid != 0;
    if (r->next == r->n || alive == r->p->workers || is_idle(r) || (alive > 0 && now_ms < r->more_ms))
        return 0;
    r->more_ms = now_ms + MORE_MS;
    while (r->worker[i].pid != 0)
        i++;
    return worker_start(r, &r->worker[i]);
}

/* Something to do for each worker that has nothing. False: there is none at all. */
static bool hand_out(struct run *r, uint64_t now_ms, int *ret_error)
{
    unsigned alive = 0;
    int      rc = worker_add(r, now_ms);

    *ret_error = rc ? rc : *ret_error;
    for (unsigned i = 0; i < r->p->workers; i++) {
        struct worker *w = &r->worker[i];
        alive += w->pid != 0;
        if (w->pid == 0 || w->unit != IDLE || r->next == r->n)
            continue;
        struct order o = { .unit = r->next };
        memcpy(o.name, r->v[r->next].name, sizeof o.name);
        if (send(w->fd, &o, sizeof o, MSG_NOSIGNAL) != (ssize_t)sizeof o)
            continue; /* it has died: heard below */
        w->unit = r->next++;
        w->until_ms = now_ms + r->p->unit_ms;
        r->open++;
    }
    return alive > 0;
}

static void wait_and_hear(struct run *r, uint64_t now_ms)
{
    struct pollfd  fds[PASS_WORKERS_MAX];
    struct worker *of[PASS_WORKERS_MAX];
    nfds_t         n = 0;
    uint64_t       until_ms = r->until_ms;
    unsigned       alive = 0;

    for (unsigned i = 0; i < r->p->workers; i++) {
        if (r->worker[i].pid == 0)
            continue;
        if (r->worker[i].unit != IDLE && r->worker[i].until_ms < until_ms)
            until_ms = r->worker[i].until_ms;
        alive++;
        of[n] = &r->worker[i];
        fds[n++] = (struct pollfd){ .fd = r->worker[i].fd, .events = POLLIN };
    }
    if (r->next < r->n && alive < r->p->workers && r->more_ms < until_ms)
        until_ms = r->more_ms;
    if (poll(fds, n, until_ms > now_ms ? (int)(until_ms - now_ms) : 0) < 0)
        return;
    now_ms = clock_now_ms();
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents)
            worker_hear(r, of[i]);
        else if (of[i]->unit != IDLE && now_ms >= of[i]->until_ms && r->stuck < PASS_STUCK_MAX)
            worker_give_up(r, of[i]);
    }
}

/* Those that have nothing to do wait for their socket, where the kill arrives. The others are given a little time; what hangs is
 * counted. */
static unsigned workers_end(struct run *r)
{
    pid_t    left[PASS_WORKERS_MAX + PASS_STUCK_MAX];
    unsigned n = 0;
    uint64_t end_ms = clock_now_ms() + END_MS;

    for (unsigned i = 0; i < r->p->workers; i++) {
        if (r->worker[i].pid == 0)
            continue;
        (void)kill(r->worker[i].pid, SIGKILL);
        if (r->worker[i].unit != IDLE)
            left[n++] = r->worker[i].pid;
        else
            (void)waitpid(r->worker[i].pid, NULL, 0);
        worker_drop(&r->worker[i]);
    }
    for (unsigned i = 0; i < r->stuck; i++)
        left[n++] = r->hanging[i];
    for (;;) {
        for (unsigned i = 0; i < n;)
            if (waitpid(left[i], NULL, WNOHANG) != 0)
                left[i] = left[--n];
            else
                i++;
        if (n == 0 || clock_now_ms() >= end_ms)
            return n;
        (void)poll(NULL, 0, 1);
    }
}

int pass_run(const struct pass *p, struct pass_unit *v, size_t n, struct pass_early *early, struct pass_outcome *ret)
{
    struct run r = { .p = p, .v = v, .n = n, .until_ms = clock_now_ms() + p->budget_ms };
    int        error = 0;

    *ret = (struct pass_outcome){ 0 };
    if (p->workers == 0 || p->workers > PASS_WORKERS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        v[i].result = PASS_UNTRIED, v[i].error = 0;
    if (early && early->pid != 0) {
        r.worker[0] = (struct worker){ .pid = early->pid, .fd = early->fd, .unit = IDLE };
        early->pid = 0;
    }
    while ((r.next < n || r.open > 0) && !is_given_up(&r)) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= r.until_ms || !hand_out(&r, now_ms, &error))
            break;
        wait_and_hear(&r, now_ms);
    }
    ret->given_up = is_given_up(&r);
    ret->unreaped = workers_end(&r);
    return error != 0 && r.next == 0 && n > 0 ? error : 0;
}
