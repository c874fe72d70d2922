/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Release: the planned stop. Intake is closed; master and runners are frozen one after the other, each at a safe point,
 * in the order in which mail flows. Only when all are frozen they are killed. Until then nothing is done that our own
 * end would not undo, apart from the closed intake: `resume` sees to that. */
#include <config.h>

#include "resource/listserver_release.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/intake.h"
#include "resource/listserver_kill.h"

#include "common/banned.h"

#define PAUSE_NS  5000000
#define OPEN_MAX  8
#define WRITER_MS 1000u  /* a killed process closes its files a moment after it is gone from view */

enum holder_end { HOLDER_REFUSED = 1, HOLDER_RELEASED, HOLDER_FAILED }; /* FAILED: after the kill */

static struct release release; /* large */

static const struct timespec pause_time = { 0, PAUSE_NS };

static const char *part_name(const struct listproc *p)
{
    return p->kind == LISTPROC_MASTER ? "master" : p->runner;
}

static int refuse(const struct listproc *p, const char *name, const struct why *why)
{
    char slice[32] = "";

    if (p && p->count > 1)
        (void)snprintf(slice, sizeof slice, " slice %u of %u", p->slice, p->count);
    ocf_record("refused runner=%s slice=%u pid=%ld why=%s", name, p ? p->slice : 0, p ? (long)p->pid : 0, why->word);
    ocf_error("%s%s did not come to a safe point in time: %s; nothing was stopped: wait and try again, or use "
              "`understudy switchover --force`, which may repeat a message", name, slice, why->text);
    return -ETIMEDOUT;
}

/* Master first, since it could make new ones; then along the flow of mail; who is forked after who forks. */
static unsigned part_rank(const struct listproc *p)
{
    return p->kind == LISTPROC_MASTER ? 0 : 1 + safepoint_rank(listserver_queue(release.m, p->runner));
}

static int part_compare(const void *a, const void *b)
{
    const struct listproc *x = &((const struct part *)a)->p, *y = &((const struct part *)b)->p;
    unsigned               i = part_rank(x), j = part_rank(y);

    if (i != j)
        return i < j ? -1 : 1;
    if (x->slice != y->slice)
        return x->slice < y->slice ? -1 : 1;
    if (x->start_ticks != y->start_ticks)
        return x->start_ticks < y->start_ticks ? -1 : 1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct part *part_find(struct release *r, const struct listproc *p)
{
    for (unsigned i = 0; i < r->n; i++)
        if (r->v[i].p.pid == p->pid && r->v[i].p.start_ticks == p->start_ticks)
            return &r->v[i];
    return NULL;
}

/* Traces those of the service that are not known yet. Their number or -errno, with the sentence printed. */
static int parts_add(struct release *r, const struct listproc_list *l)
{
    int added = 0;

    for (unsigned i = 0; i < l->n; i++) {
        const struct listproc *p = &l->v[i];
        if ((p->kind != LISTPROC_MASTER && p->kind != LISTPROC_RUNNER) || part_find(r, p))
            continue;
        if (r->n == LISTPROC_MAX)
            return -E2BIG;
        struct part *part = &r->v[r->n];
        *part = (struct part){ .p = *p };
        int rc = frozen_begin(&part->frozen, p->pid);
        if (rc == -ESRCH)
            continue;
        if (rc != 0) {
            const struct why why = { "trace", "it cannot be traced (a debugger, or kernel.yama.ptrace_scope 3)" };
            return refuse(p, part_name(p), &why);
        }
        r->n++;
        added++;
    }
    return added;
}

/* Forgets a worker that has ended; anything else that ends by itself is a service that is not whole. */
static int part_ended(struct release *r, unsigned i, pid_t master)
{
    const struct listproc p = r->v[i].p;

    if (p.kind == LISTPROC_MASTER || p.ppid == master) {
        const struct why why = { "dead", "it has ended by itself; see Mailman's log" };
        return refuse(&p, part_name(&p), &why);
    }
    memmove(&r->v[i], &r->v[i + 1], (r->n - i - 1) * sizeof r->v[0]);
    r->n--;
    return 0;
}

static int parts_freeze(struct release *r)
{
    pid_t      master = r->v[0].p.pid;
    struct why why;
    int        rc = 0;

    for (unsigned i = 0; rc == 0 && i < r->n;) {
        struct part *part = &r->v[i];
        uint64_t     begin_ms = clock_now_ms();
        if (!part->safe && (rc = listserver_freeze(r, part, &why)) == 0)
            ocf_record("frozen runner=%s slice=%u took_ms=%llu", part_name(&part->p), part->p.slice,
                       (unsigned long long)(clock_now_ms() - begin_ms));
        if (rc == 0)
            i++;
        else if (rc == -ESRCH)
            rc = part_ended(r, i, master);
        else
            rc = refuse(&part->p, part_name(&part->p), &why);
    }
    return rc;
}

static int writers_look(struct release *r, struct openfile *found, unsigned *ret_n)
{
    pid_t parts[LISTPROC_MAX];

    for (unsigned i = 0; i < r->n; i++)
        parts[i] = r->v[i].p.pid;
    return openfiles_find(r->m->user.uid, r->devices, r->n_devices, parts, r->n, found, OPEN_MAX, ret_n);
}

/* Somebody else who could change the share: a command of an operator or of cron, or any program of the list user.
 * 0 nobody, 1 somebody, with `why`. */
static int others_look(struct release *r, const struct listproc_list *l, struct why *why)
{
    struct openfile found[OPEN_MAX];
    unsigned        n = 0;

    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].kind == LISTPROC_COMMAND) {
            why->word = "command";
            (void)snprintf(why->text, sizeof why->text, "a command of Mailman (process %ld) runs", (long)l->v[i].pid);
            return 1;
        }
    int rc = writers_look(r, found, &n);
    if (rc == 0 && n == 0)
        return 0;
    why->word = "open";
    if (n > 0)
        (void)snprintf(why->text, sizeof why->text, "process %ld of user %s has a file on the share open for writing",
                       (long)found[0].pid, r->m->user.name);
    else
        (void)snprintf(why->text, sizeof why->text, "/proc does not tell who has files of the share open");
    return 1;
}

/* Until everybody is frozen with empty hands, and nobody else is there. 0 and the last look; -errno, all said. */
static int all_freeze(struct release *r, struct listproc_list *ret)
{
    for (;;) {
        struct why why = { "proc", "a process could not be read in /proc" };
        int        rc = parts_freeze(r);
        if (rc == 0)
            rc = listproc_scan("/proc", r->m->user.uid, &r->m->service, ret);
        if (rc == 0)
            rc = parts_add(r, ret);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        if (ret->complete && ret->n < LISTPROC_MAX && others_look(r, ret, &why) == 0)
            return 0;
        if (clock_now_ms() >= r->until_ms)
            return refuse(NULL, "service", &why);
        (void)nanosleep(&pause_time, NULL);
    }
}

/* What the share's file systems are, before anything is touched: a share that hangs is found here. */
static int devices_find(struct release *r)
{
    struct queuelook_answer a;
    struct why              why = { "share", "the share does not answer" };
    int                     rc = queuelook_devices(&r->look, r->until_ms, &a);

    if (rc == 0 && a.rc != 0) {
        (void)snprintf(why.text, sizeof why.text, "parameters queue_dir, lock_dir%s: %s", r->m->list_dir ? ", list_dir" : "",
                       strerror(-a.rc));
        rc = a.rc;
    }
    if (rc != 0)
        return refuse(NULL, "share", &why);
    r->n_devices = a.n < QUEUELOOK_DIRS ? a.n : QUEUELOOK_DIRS;
    for (unsigned i = 0; i < r->n_devices; i++)
        r->devices[i] = (struct openfiles_device){ a.major[i], a.minor[i] };
    return 0;
}

static int service_freeze(struct release *r, struct listproc_list *ret)
{
    int rc = devices_find(r);

    /* What a runner of Mailman 2 delivers to this host's own MTA has to come to its end. */
    uid_t own = r->m->service.kind == LIST_MAILMAN3 ? INTAKE_NO_UID : r->m->user.uid;

    if (rc == 0 && (rc = intake_close(r->m->intake_port, own)) != 0)
        ocf_error("cannot close intake on port %u: %s; nothing was stopped; is nftables installed and allowed here?",
                  r->m->intake_port, rc == -EREMOTEIO ? "nft refused" : strerror(-rc));
    if (rc != 0)
        return rc;
    ocf_phase("closed");
    rc = listproc_scan("/proc", r->m->user.uid, &r->m->service, ret);
    if (rc == 0)
        rc = parts_add(r, ret);
    if (rc < 0)
        return rc;
    qsort(r->v, r->n, sizeof r->v[0], part_compare);
    rc = r->n > 0 ? all_freeze(r, ret) : -ESRCH;
    if (rc == 0)
        ocf_phase("frozen");
    return rc;
}

/* No way back from here. 0, or what is left, said. */
static int service_kill(struct release *r, const struct listproc_list *seen)
{
    struct listproc_list l = { 0 };
    uint64_t             until_ms = clock_now_ms() + r->m->stop_timeout_ms;
    int                  rc = listserver_signal(r->m, seen, LISTSERVER_KILL_SERVICE), reaped = 0;

    for (unsigned i = 0; rc == 0 && i < r->n; i++)
        reaped = frozen_reap(&r->v[i].frozen, until_ms) != 0 ? -ETIMEDOUT : reaped;
    do {
        if (rc == 0)
            rc = listproc_scan("/proc", r->m->user.uid, &r->m->service, &l);
        if (rc == 0 && reaped == 0 && l.complete && l.n_alive == 0)
            return 0;
        (void)nanosleep(&pause_time, NULL);
    } while (rc == 0 && clock_now_ms() < until_ms);
    for (unsigned i = 0; i < l.n; i++)
        if (l.v[i].kind != LISTPROC_ZOMBIE)
            ocf_record("left pid=%ld state=%c runner=%s", (long)l.v[i].pid, l.v[i].state,
                       l.v[i].runner[0] ? l.v[i].runner : "-");
    ocf_error("Mailman was killed at a safe point, but it is not proven that nothing of it is left: %s; stop it (action "
              "stop)", rc != 0 ? strerror(-rc) : "a process does not end");
    return -ETIMEDOUT;
}

/* The proof that nothing more is written from here by the list user. */
static int writers_none(struct release *r)
{
    uint64_t        until_ms = clock_now_ms() + WRITER_MS;
    struct openfile found[OPEN_MAX];
    unsigned        n = 0;
    int             rc;

    r->n = 0; /* all dead: nobody is passed over */
    while ((rc = writers_look(r, found, &n)) != 0 || n > 0) {
        if (clock_now_ms() >= until_ms)
            break;
        (void)nanosleep(&pause_time, NULL);
    }
    if (rc == 0 && n == 0)
        return 0;
    for (unsigned i = 0; i < n && i < OPEN_MAX; i++) {
        for (char *c = found[i].name; *c; c++)
            *c = *c > ' ' && *c <= '~' ? *c : '?';
        ocf_record("open pid=%ld fd=%d name=%s", (long)found[i].pid, found[i].fd, found[i].name);
    }
    ocf_error("Mailman has stopped at a safe point, but process %ld of user %s came up and has a file on the share open for "
              "writing; end it, then stop (action stop)", n > 0 ? (long)found[0].pid : 0, r->m->user.name);
    return -EBUSY;
}

static enum ocf_code service_end(struct release *r, const struct listproc_list *l)
{
    unsigned n = r->n;
    int      rc = service_kill(r, l);

    if (rc != 0) {
        ocf_record("service state=unknown");
        return OCF_ERR_GENERIC;
    }
    listserver_pid_file_remove(r->m);
    if (writers_none(r) != 0) {
        ocf_record("service state=stopped");
        return OCF_ERR_GENERIC;
    }
    ocf_phase("released");
    ocf_record("released runners=%u tries=%u took_ms=%llu", n - 1, r->tries,
               (unsigned long long)(clock_now_ms() - r->begin_ms));
    return OCF_SUCCESS;
}

static enum ocf_code whole_check(const struct listserver *m)
{
    struct listserver_view v;
    int                  rc = listserver_look(m, &v);

    if (rc == 0 && listserver_view_complete(&v))
        return OCF_SUCCESS;
    if (rc != 0)
        ocf_error("cannot tell what runs here: /proc: %s; nothing was stopped", strerror(-rc));
    else if (v.n_alive == 0)
        ocf_error("nothing of Mailman runs here, so there is nothing to release");
    else
        listserver_view_complain(m, &v);
    ocf_record("service state=unknown");
    return OCF_ERR_GENERIC;
}

/* In a process of its own, whose end lets everything go that it holds. */
static _Noreturn void holder_run(struct release *r)
{
    struct listproc_list l;
    enum holder_end      end = HOLDER_REFUSED;
    int                  rc = prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != r->parent ? -ESRCH : 0;

    if (rc == 0 && (rc = queuelook_begin(&r->look, &r->m->user, r->m->queue_dir, r->m->lock_dir, r->m->list_dir)) != 0)
        ocf_error("cannot look into the queues as user %s: %s; nothing was stopped", r->m->user.name, strerror(-rc));
    if (rc == 0)
        rc = service_freeze(r, &l);
    if (rc == 0)
        end = service_end(r, &l) == OCF_SUCCESS ? HOLDER_RELEASED : HOLDER_FAILED;
    pid_t child = r->look.child;
    if (queuelook_end(&r->look) != 0)
        ocf_record("unreaped pid=%ld", (long)child);
    _exit((int)end);
}

enum ocf_code listserver_release(const struct listserver *m)
{
    struct release *r = &release;
    enum ocf_code   code = whole_check(m);
    int             status;

    if (code != OCF_SUCCESS)
        return code;
    r->m = m;
    r->look.fd = -1;
    r->begin_ms = clock_now_ms();
    r->until_ms = r->begin_ms + m->release_timeout_ms;
    r->parent = getpid();
    pid_t holder = fork();
    if (holder == 0)
        holder_run(r);
    if (holder < 0) {
        ocf_error("cannot begin: %s; nothing was stopped", strerror(errno));
        return OCF_ERR_GENERIC;
    }
    while (waitpid(holder, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == HOLDER_RELEASED)
        return OCF_SUCCESS;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != HOLDER_FAILED)
        (void)listserver_resume(m);
    return OCF_ERR_GENERIC;
}
