/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"

#include "common/banned.h"

#define SILENT_PERMITS 10u /* permit_timeouts: so long an engine may say nothing, on a passive node too */
#define SILENT_LOOK_MS 1000u
#define SETTLED_MS  60000u  /* lived for so long: the next end of it is no crash loop */
#define PAUSE_MIN_MS 1000u
#define PAUSE_MAX_MS 30000u
#define SOCKET_BYTES (1 << 20)
#define RECV_MAX     32u

static int start_helper(struct executor *x, struct exec_helper *h, bool with_run, int fd3, int fd4, uint64_t now_ms)
{
    int rc = jobs_build_helper(&x->jobs, h->name, with_run, with_run ? x->adoptable : 0, &x->command);
    struct exec_spawn s = { .command = &x->command, .as = &x->daemon,
                            .fd = { x->null_fd, STDERR_FILENO, STDERR_FILENO, fd3, fd4 }, .umask = 022 };

    if (rc == 0) {
        h->pid = exec_spawn(&s);
        rc = h->pid < 0 ? (int) h->pid : 0;
    }
    if (rc < 0) {
        h->pid = 0;
        log_error("%s could not be started: %s", h->name, strerror(-rc));
        return rc;
    }
    h->started_ms = now_ms;
    return 0;
}

/* The pause before the next start: none after the first end, then doubling while it keeps ending soon. */
static void plan_start(struct exec_helper *h, uint64_t now_ms)
{
    h->next_ms = now_ms;
    if (now_ms - h->started_ms >= SETTLED_MS)
        h->pause_ms = 0;
    h->next_ms += h->pause_ms;
    h->pause_ms = h->pause_ms == 0 ? PAUSE_MIN_MS : h->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : h->pause_ms * 2;
}

static int new_run(struct executor *x)
{
    uint64_t run = 0;

    while (run == 0)
        if (getrandom(&run, sizeof run, 0) != (ssize_t) sizeof run)
            return -EIO;
    x->jobs.run = run;
    x->epoch = 0;
    x->owned = x->permitted = false;
    x->n_refused = 0;
    x->tell_blocked = false;
    x->unreaped_told = 0; /* what is left from the engine before is told at once */
    (void) exec_fence_may(x);
    exec_safety_changed(x);
    return 0;
}

static void start_engine(struct executor *x, uint64_t now_ms)
{
    int ex[2] = { -1, -1 }, mem[2] = { -1, -1 }, size = SOCKET_BYTES;
    int rc = new_run(x);

    if (rc == 0 && (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ex) < 0 ||
                    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, mem) < 0))
        rc = -errno;
    if (rc == 0) {
        (void) setsockopt(ex[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        rc = start_helper(x, &x->engine, true, ex[1], mem[0], now_ms);
    }
    if (ex[1] >= 0)
        (void) close(ex[1]);
    if (mem[0] >= 0)
        (void) close(mem[0]);
    if (rc < 0) {
        if (ex[0] >= 0)
            (void) close(ex[0]);
        if (mem[1] >= 0)
            (void) close(mem[1]);
        x->engine.started_ms = now_ms;
        plan_start(&x->engine, now_ms);
        return;
    }
    x->engine_silent_ms = 0;
    x->engine_look_ms = now_ms;
    x->engine_fd = ex[0];
    x->members_fd = mem[1];
    x->members.next_ms = now_ms;
    log_notice("engine started, run %016llx", (unsigned long long) x->jobs.run);
}

/* An engine says each tick whether there is a permit. One that hangs, at its start already or while nothing runs here, is of no
 * use to anybody. Counted in looks, so that a sleep of the whole machine is none of its own. */
static bool engine_is_silent(struct executor *x, uint64_t now_ms)
{
    uint64_t spent_ms = now_ms - x->engine_look_ms;

    x->engine_look_ms = now_ms;
    x->engine_silent_ms += spent_ms < 2 * SILENT_LOOK_MS ? spent_ms : 2 * SILENT_LOOK_MS;
    return x->engine_silent_ms >= (uint64_t) SILENT_PERMITS * x->cfg->permit_timeout_ms;
}

void exec_engine_tick(struct executor *x, uint64_t now_ms)
{
    if (x->step != STEP_RUN)
        return;
    if (x->engine.pid == 0 && now_ms >= x->engine.next_ms)
        start_engine(x, now_ms);
    if (x->engine.pid != 0 && x->members.pid == 0 && now_ms >= x->members.next_ms &&
        start_helper(x, &x->members, false, x->members_fd, -1, now_ms) < 0) {
        x->members.started_ms = now_ms;
        plan_start(&x->members, now_ms);
    }
    if (x->permitted && now_ms >= x->permit_until_ms)
        exec_engine_lose(x, "it gave no permit in time", now_ms);
    else if (x->engine.pid != 0 && engine_is_silent(x, now_ms))
        exec_engine_lose(x, "it says nothing any more", now_ms);
}

uint64_t exec_engine_next(const struct executor *x)
{
    uint64_t next_ms = UINT64_MAX;

    if (x->step != STEP_RUN)
        return UINT64_MAX;
    if (x->engine.pid == 0)
        next_ms = x->engine.next_ms;
    else
        next_ms = x->engine_look_ms + SILENT_LOOK_MS;
    if (x->engine.pid != 0 && x->members.pid == 0 && x->members.next_ms < next_ms)
        next_ms = x->members.next_ms;
    return x->permitted && x->permit_until_ms < next_ms ? x->permit_until_ms : next_ms;
}

static void take_permit(struct executor *x, uint64_t until_ms, bool maintenance, uint64_t now_ms)
{
    uint64_t most_ms = now_ms + x->cfg->permit_timeout_ms;

    x->engine_silent_ms = 0;
    x->maintenance = maintenance;
    x->permitted = until_ms != 0;
    x->permit_until_ms = until_ms < most_ms ? until_ms : most_ms;
    if (x->permitted && now_ms < x->permit_until_ms) /* not one that has waited in the socket while we were stopped */
        exec_watchdog_pet(x, now_ms);
}

static void take_run(struct executor *x, const struct wire_run *run, uint64_t now_ms)
{
    struct exec_child *c;
    int rc = jobs_build(&x->jobs, run, &x->command); /* malformed ones must not touch what we know of the tenure */

    if (rc == 0)
        rc = exec_tenure_allow(x, run, now_ms);
    if (rc == 0)
        rc = exec_active_allow(x, (enum job) run->job, now_ms);
    if (rc == 0)
        exec_token_job(x, run);
    if (rc == 0)
        rc = exec_child_start(x, run, now_ms, &c);
    if (rc < 0)
        exec_tell_refused(x, run, rc, now_ms);
}

static void take_cancel(struct executor *x, uint64_t op_id, uint64_t now_ms)
{
    for (unsigned i = 0; i < EXEC_CHILDREN; i++)
        if (x->child[i].pid != 0 && x->child[i].op_id == op_id && op_id != 0)
            exec_child_kill(&x->child[i], false, now_ms);
}

/* Nothing else may be signalled: SIGUSR1 ends a program that does not expect it. */
static void take_nudge(struct executor *x, uint64_t op_id)
{
    for (unsigned i = 0; i < EXEC_CHILDREN; i++) {
        const struct exec_child *c = &x->child[i];
        if (c->pid != 0 && !c->reaped && c->op_id == op_id && op_id != 0 && c->job == JOB_EPOCH_WATCH)
            (void) kill(c->pid, SIGUSR1);
    }
}

void exec_engine_read(struct executor *x, uint64_t now_ms)
{
    struct wire_msg m;
    int rc = 0;

    for (unsigned i = 0; i < RECV_MAX && x->engine_fd >= 0 && (rc = wire_recv(x->engine_fd, &m)) == 0; i++) {
        switch ((enum wire_kind) m.kind) {
        case WIRE_PERMIT: take_permit(x, m.u.permit.until_ms, m.u.permit.maintenance == 1, now_ms); break;
        case WIRE_RUN: take_run(x, &m.u.run, now_ms); break;
        case WIRE_CANCEL: take_cancel(x, m.u.op_id, now_ms); break;
        case WIRE_ADOPT: exec_tenure_adopt(x, m.u.epoch, now_ms); break;
        case WIRE_RELOAD: exec_reload(x); break;
        case WIRE_NUDGE: take_nudge(x, m.u.op_id); break;
        case WIRE_CANCEL_WAIT: case WIRE_RELOADED: case WIRE_OUTPUT: case WIRE_DONE: case WIRE_LATE: case WIRE_MEMBERS:
        case WIRE_CPG_IN: case WIRE_CPG_OUT: case WIRE_SAFETY: case WIRE_KIND_N:
            exec_engine_lose(x, "it sent what only others send", now_ms);
            break;
        }
    }
    if (rc == -EPIPE)
        exec_engine_lose(x, "it closed its connection", now_ms);
    else if (rc < 0 && rc != -EAGAIN)
        exec_engine_lose(x, "it sent something malformed", now_ms);
}

static void kill_helper(const struct exec_helper *h)
{
    if (h->pid == 0)
        return;
    (void) kill(h->pid, SIGKILL);
    (void) kill(-h->pid, SIGKILL);
}

/* Engine, members and every child; nobody is told any more. */
static void end_all(struct executor *x, uint64_t now_ms)
{
    kill_helper(&x->engine);
    kill_helper(&x->members);
    if (x->engine_fd >= 0)
        (void) close(x->engine_fd);
    if (x->members_fd >= 0)
        (void) close(x->members_fd);
    x->engine_fd = x->members_fd = -1;
    x->permitted = false;
    for (unsigned i = 0; i < EXEC_CHILDREN; i++) {
        struct exec_child *c = &x->child[i];
        c->op_id = 0;
        if (c->done)
            c->pid = 0; /* nobody to tell any more */
        exec_child_kill(c, false, now_ms);
    }
}

void exec_engine_lose(struct executor *x, const char *why, uint64_t now_ms)
{
    if (x->step != STEP_RUN)
        return;
    exec_token_lose(x);
    log_write(x->terminate ? LOG_NOTICE : LOG_ERR, "engine: %s; stopping what runs here", why);
    end_all(x, now_ms);
    exec_stop_begin(x, now_ms);
}

bool exec_engine_leave(struct executor *x, uint64_t now_ms)
{
    if (x->step != STEP_RUN || !x->maintenance || !exec_token_holds(x, now_ms))
        return false;
    log_notice("maintenance: the list service is left running under epoch %llu, for the next understudyd to adopt",
               (unsigned long long) x->epoch);
    exec_watchdog_leave(x);
    end_all(x, now_ms);
    x->step = STEP_OUT;
    return true;
}

bool exec_helper_ended(struct executor *x, pid_t pid, int wstatus, uint64_t now_ms)
{
    struct exec_helper *h = pid == x->engine.pid ? &x->engine : pid == x->members.pid ? &x->members : NULL;

    if (!h)
        return false;
    exec_say_forbidden(h->name, pid, wstatus);
    if (WIFSIGNALED(wstatus))
        log_notice("%s: killed by signal %d", h->name, WTERMSIG(wstatus));
    else
        log_notice("%s: exited with status %d", h->name, WEXITSTATUS(wstatus));
    h->pid = 0;
    plan_start(h, now_ms);
    if (h == &x->engine)
        exec_engine_lose(x, "it is gone", now_ms);
    return true;
}
