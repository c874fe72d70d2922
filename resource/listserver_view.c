/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What runs here, from /proc alone: the share may hang. Also the monitor action. */
#include <config.h>

#include "resource/listserver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "resource/lmtp.h"

#include "common/banned.h"

#define LOOKS          100 /* a process that is just exiting cannot be read; on a busy machine for a while */
#define AGAIN_LOOKS    200 /* a runner that is being started again, and a start by hand that is refused, take about a second */
#define LOOK_PAUSE_NS  10000000
#define GREETING_MS    5000
#define RESTARTED_S    5u  /* all of them come up with the master within less */

static const struct listproc *process_find(const struct listproc_list *l, pid_t pid)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].pid == pid)
            return &l->v[i];
    return NULL;
}

/* A child of the master that has not come to its exec yet looks like a second master. */
static bool is_master(const struct listproc_list *l, const struct listproc *p)
{
    const struct listproc *parent = process_find(l, p->ppid);

    return p->kind == LISTPROC_MASTER && !(parent && parent->kind == LISTPROC_MASTER);
}

/* The process of an expected runner. What a runner forks (the REST workers) has its command line and is no child of
 * the master. */
static const struct listproc *runner_find(const struct listserver_view *v, const struct listserver_runner *r)
{
    for (unsigned i = 0; i < v->list.n; i++) {
        const struct listproc *p = &v->list.v[i];
        if (p->kind == LISTPROC_RUNNER && p->ppid == v->master && p->slice == r->slice && p->count == r->count
            && !strcmp(p->runner, r->name))
            return p;
    }
    return NULL;
}

static bool is_stopped(const struct listproc *p)
{
    return p && (p->state == 'T' || p->state == 't');
}

void listserver_view_judge(const struct listserver *m, struct listserver_view *v)
{
    const struct listproc_list *l = &v->list;

    v->n_masters = v->n_missing = v->n_stopped = v->n_zombies = v->n_alive = 0;
    v->master = 0;
    for (unsigned i = 0; i < l->n; i++) {
        if (is_master(l, &l->v[i])) {
            v->n_masters++;
            v->master = l->v[i].pid;
        }
        v->n_alive += l->v[i].kind == LISTPROC_MASTER || l->v[i].kind == LISTPROC_RUNNER;
    }
    for (unsigned i = 0; i < l->n; i++)
        v->n_zombies += l->v[i].kind == LISTPROC_ZOMBIE && v->n_masters == 1 && l->v[i].ppid == v->master;
    for (unsigned i = 0; i < m->n_runners; i++) {
        const struct listproc *p = v->n_masters == 1 ? runner_find(v, &m->runners[i]) : NULL;
        v->missing[i] = !p || is_stopped(p);
        v->n_missing += v->missing[i];
        v->n_stopped += is_stopped(p);
    }
}

/* What may be right a moment later, by itself: the master of 2.1 starts a runner that died again, and a mailmanctl start that
 * the lock refuses looks like a second master until it has ended. */
static bool may_settle(const struct listserver *m, const struct listserver_view *v)
{
    return m->service.kind == LIST_MAILMAN21 && v->n_alive > 0 && (v->n_masters > 1 || (m->restarts && v->n_missing > 0));
}

static int look_settled(const struct listserver *m, struct listserver_view *v)
{
    const struct timespec pause = { 0, LOOK_PAUSE_NS };
    int                   rc = listserver_look(m, v);

    for (unsigned i = 0; i < AGAIN_LOOKS && rc == 0 && may_settle(m, v); i++) {
        (void)nanosleep(&pause, NULL);
        rc = listserver_look(m, v);
    }
    return rc;
}

int listserver_look(const struct listserver *m, struct listserver_view *ret)
{
    const struct timespec pause = { 0, LOOK_PAUSE_NS };
    int                   rc = 0;

    for (unsigned i = 0; i < LOOKS; i++) {
        rc = listproc_scan("/proc", m->user.uid, &m->service, &ret->list);
        if (rc != 0)
            return rc;
        if (ret->list.complete)
            break;
        (void)nanosleep(&pause, NULL);
    }
    listserver_view_judge(m, ret);
    return ret->list.complete ? 0 : -EAGAIN;
}

bool listserver_view_complete(const struct listserver_view *v)
{
    return v->n_masters == 1 && v->n_missing == 0;
}

/* A zombie has no command line any more: which runner it was follows when as many died as are gone. */
static const char *runner_state(const struct listserver_view *v, const struct listserver_runner *r)
{
    unsigned n_gone = v->n_missing - v->n_stopped;

    if (v->n_masters != 1)
        return "unknown";
    if (runner_find(v, r))
        return "stopped";
    return v->n_zombies == 0 ? "missing" : v->n_zombies >= n_gone ? "zombie" : "dead";
}

void listserver_view_complain(const struct listserver *m, const struct listserver_view *v)
{
    char   names[512] = "";
    size_t len = 0;

    for (unsigned i = 0; i < m->n_runners; i++) {
        if (!v->missing[i])
            continue;
        ocf_record("runner name=%s slice=%u count=%u state=%s", m->runners[i].name, m->runners[i].slice,
                   m->runners[i].count, runner_state(v, &m->runners[i]));
        int n = snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "", m->runners[i].name);
        len = n < 0 || len + (size_t)n >= sizeof names ? len : len + (size_t)n;
    }
    if (v->n_alive == 0)
        ocf_error("nothing of Mailman runs here any more; see its logs");
    else if (v->n_masters == 0)
        ocf_error("Mailman's master is dead and %u of its processes still run; stop them (action stop)", v->n_alive);
    else if (v->n_masters > 1)
        ocf_error("%u masters of Mailman run here with %s; stop them all (action stop) and find out who else starts "
                  "Mailman on this node", v->n_masters, m->service.path);
    else if (v->n_stopped == v->n_missing)
        ocf_error("runner %s of Mailman's master (pid %ld) is stopped by a signal and does no work; continue it with "
                  "SIGCONT, or stop and start the service", names, (long)v->master);
    else
        ocf_error("Mailman's master (pid %ld) runs but not runner %s, and Mailman does not restart it%s; stop and start "
                  "the service", (long)v->master, names, m->restarts ? " any more (see its log qrunner)" : "");
}

static enum ocf_code greeting_check(const struct listserver *m)
{
    int rc = lmtp_probe_greeting(m->intake_host, m->intake_port, GREETING_MS);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("all processes of Mailman run, but %s at %s port %u does not greet: %s; see %s", m->protocol, m->intake_host,
              m->intake_port, strerror(-rc), m->service.kind == LIST_MAILMAN3 ? "Mailman's log for what the lmtp runner says"
              : "whether this host's MTA runs and listens there");
    return OCF_ERR_GENERIC;
}

/* Runners that came up well after their master were started again by it, which it does ten times. */
static void restarts_record(const struct listserver *m, const struct listserver_view *v)
{
    const struct listproc *master = process_find(&v->list, v->master);
    uint64_t               late = (uint64_t)sysconf(_SC_CLK_TCK) * RESTARTED_S;

    for (unsigned i = 0; m->restarts && master && i < m->n_runners; i++) {
        const struct listproc *p = runner_find(v, &m->runners[i]);
        if (p && p->start_ticks > master->start_ticks + late)
            ocf_record("restarted runner=%s slice=%u pid=%ld", p->runner, p->slice, (long)p->pid);
    }
}

enum ocf_code listserver_monitor(const struct listserver *m, unsigned level)
{
    struct listserver_view v;
    int                  rc = look_settled(m, &v);

    if (rc != 0) {
        ocf_error("cannot tell what runs here: /proc: %s", rc == -EAGAIN ? "a process could not be read"
                  : strerror(-rc));
        return OCF_ERR_GENERIC;
    }
    if (v.n_alive == 0 && v.list.n < LISTPROC_MAX)
        return OCF_NOT_RUNNING;
    if (!listserver_view_complete(&v)) {
        listserver_view_complain(m, &v);
        return OCF_ERR_GENERIC;
    }
    restarts_record(m, &v);
    return level >= 10 ? greeting_check(m) : OCF_SUCCESS;
}
