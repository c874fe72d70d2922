/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engine does of itself: its message to the others, the look into /proc, the round of the fence devices,
 * the snapshot, the reports; and how each callback begins and ends. */
#include <config.h>

#include "daemon/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fileio.h"
#include "daemon/engine_answer.h"
#include "daemon/log.h"

#include "common/banned.h"

static int executor_send(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    return wire_send(WIRE_FD_EXECUTOR, m);
}

static void scan_work(struct worker_job *job)
{
    struct engine_scan *s = (struct engine_scan *)job;

    s->rc = listproc_scan("/proc", s->uid, &s->service, &s->list);
}

static void scan_done(struct worker_job *job)
{
    struct engine_scan *s = (struct engine_scan *)job;
    struct engine *e = s->engine;
    enum core_tri here = TRI_UNKNOWN;

    s->busy = false;
    if (s->rc == 0 && s->list.n_alive > 0)
        here = TRI_YES;
    else if (s->rc == 0 && s->list.complete)
        here = TRI_NO;
    if (s->rc != e->scan_rc && s->rc != 0)
        log_error("/proc does not show the processes of others (%s): it cannot be proven that the list service has "
                  "stopped. Mount /proc without hidepid, or let user %s in by gid=", strerror(-s->rc), UNDERSTUDY_USER);
    e->scan_rc = s->rc;
    if (here == TRI_UNKNOWN && s->rc == 0)
        e->scan_next_ms = s->began_ms + ENGINE_TICK_MS; /* somebody was just exiting: look again soon */
    if (here == TRI_YES && s->round == e->facts.scan_round)
        engine_rogue_look(e, &s->list, clock_now_ms());
    facts_scan(&e->facts, here, s->began_ms, s->round);
    if (e->driver.scan_wanted)
        engine_scan_post(e, clock_now_ms());
}

void engine_parts_init(struct engine *e, uint64_t now_ms)
{
    (void)snprintf(e->status_path, sizeof e->status_path, "%s/status.json", e->opt.rundir);
    (void)snprintf(e->reports_dir, sizeof e->reports_dir, "%s/reports", e->opt.statedir);
    facts_init(&e->facts, &e->cfg, e->self, e->run, &e->boot);
    e->facts.adoptable = e->opt.adoptable;
    report_init(&e->report, &e->cfg, e->self);
    driver_init(&e->driver, &e->cfg, e->self, &e->facts, &e->report, now_ms);
    e->driver.send = executor_send;
    watch_init(&e->watch, &e->cfg, &e->driver, &e->facts);
    e->request = (struct request_ctx){ .driver = &e->driver, .facts = &e->facts, .own_uid = getuid(),
        .reload = { .path = e->opt.config, .cfg = &e->cfg, .self = e->self, .driver = &e->driver },
        .view = { .cfg = &e->cfg, .self = e->self, .driver = &e->driver, .facts = &e->facts, .report = &e->report,
                  .started_ms = now_ms, .reports_dir = e->reports_dir } };
    e->scan = (struct engine_scan){ .job = { scan_work, scan_done }, .engine = e, .uid = e->list_uid,
        .service = listproc_service_of(&e->cfg.list) };
    e->fence_next_ms = now_ms + ENGINE_FENCE_FIRST_MS;
}

/* While the list service is being started no look is worth anything: it may begin to run a moment later. */
void engine_scan_post(struct engine *e, uint64_t now_ms)
{
    if (e->scan.busy || ops_running(&e->driver.ops, JOB_SERVICE_START))
        return;
    e->driver.scan_wanted = false;
    e->scan_next_ms = now_ms + ENGINE_SCAN_MS;
    e->scan.began_ms = now_ms;
    e->scan.round = e->facts.scan_round;
    e->scan.busy = worker_post(&e->scanner, &e->scan.job) == 0;
}

void engine_message_send(struct engine *e, uint64_t now_ms)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CPG_OUT };
    struct cpgmsg out;

    facts_message(&e->facts, now_ms, &e->driver.core, ops_running(&e->driver.ops, JOB_EPOCH_END), ++e->message_seq, &out);
    e->message_flags = out.flags;
    e->message_state = out.state;
    e->message_next_ms = now_ms + CPGMSG_EVERY_MS;
    m.u.cpg.sender = out.node;
    m.u.cpg.len = (uint32_t)cpgmsg_encode(&out, m.u.cpg.data);
    (void)wire_send(WIRE_FD_MEMBERS, &m); /* full: the next one says the same; gone: seen when reading */
}

/* Devices of the other nodes, one at a time, never while the core is busy with fencing. */
void engine_fence_round(struct engine *e, uint64_t now_ms)
{
    enum core_state s = e->driver.core.state;
    struct wire_run run = { .job = JOB_FENCE_STATUS };

    if (now_ms < e->fence_next_ms || e->cfg.n_devices == 0 || (s != ST_PASSIVE && s != ST_ACTIVE)
        || e->driver.core.pending.op != OP_NONE || ops_running(&e->driver.ops, JOB_FENCE_STATUS))
        return;
    e->fence_next_ms = now_ms + ENGINE_FENCE_MS / e->cfg.n_devices;
    for (unsigned i = 0; i < e->cfg.n_devices; i++) { /* our own take no turn: the first one asked must not wait for them */
        e->fence_device = (e->fence_device + 1) % e->cfg.n_devices;
        if (e->cfg.devices[e->fence_device].node != e->self)
            break;
    }
    if (e->cfg.devices[e->fence_device].node == e->self)
        return;
    run.device = e->fence_device;
    run.deadline_ms = e->cfg.devices[e->fence_device].timeout_ms;
    (void)driver_run_own(&e->driver, &run, now_ms);
}

static void gap_take(struct engine *e, uint64_t now_ms)
{
    log_warning("no time of ours for %llu ms (suspended, paused, or starved of CPU): epochs are read again before anything else",
                (unsigned long long)(now_ms - e->last_ms));
    /* What lies in the socket was sent before or during the gap: it must not look fresh. */
    (void)engine_members_drain(e, e->last_ms);
    driver_gap(&e->driver, now_ms);
}

uint64_t engine_enter(struct engine *e)
{
    uint64_t now = clock_now_ms();

    if (e->last_ms != 0 && now > e->last_ms + ENGINE_GAP_MS)
        gap_take(e, now);
    e->last_ms = now;
    return now;
}

struct report_job {
    struct worker_job job;           /* first: cast back */
    char             *text[2];       /* owned: JSON, and for people */
    char              path[2][PATH_MAX];
    char              dir[PATH_MAX];
    int               rc;
};

static void report_work(struct worker_job *job)
{
    struct report_job *r = (struct report_job *)job;

    r->rc = mkdir(r->dir, 0755) != 0 && errno != EEXIST ? -errno : 0;
    for (unsigned i = 0; i < 2 && r->rc == 0; i++)
        r->rc = r->text[i] ? fileio_write_durable(AT_FDCWD, r->path[i], r->text[i], strlen(r->text[i]), 0644) : -ENOMEM;
}

static void report_done(struct worker_job *job)
{
    struct report_job *r = (struct report_job *)job;

    if (r->rc)
        log_error("the report %s cannot be written: %s", r->path[0], strerror(-r->rc));
    else
        log_notice("report: %s", r->path[1]);
    free(r->text[0]);
    free(r->text[1]);
    free(r);
}

/* Takes both texts. `kind` and `epoch` make the names of the files. */
static void report_post(struct engine *e, const char *kind, uint64_t epoch, char *json, char *text)
{
    struct report_job *r = calloc(1, sizeof *r);

    free(e->request.last_report);
    e->request.last_report = json ? strdup(json) : NULL;
    e->request.report_lost = !e->request.last_report;
    if (!r) {
        log_error("the report of %s %llu can not be written: %s", kind, (unsigned long long)epoch, strerror(ENOMEM));
        free(json);
        free(text);
        return;
    }
    r->job = (struct worker_job){ report_work, report_done };
    r->text[0] = json;
    r->text[1] = text;
    (void)snprintf(r->dir, sizeof r->dir, "%s", e->reports_dir);
    for (unsigned i = 0; i < 2; i++)
        (void)snprintf(r->path[i], sizeof r->path[i], "%.*s/%s-%llu.%s", PATH_MAX - 64, e->reports_dir, kind,
                       (unsigned long long)epoch, i == 0 ? "json" : "txt");
    if (worker_post(&e->writer, &r->job) == 0)
        return;
    r->rc = -EAGAIN;
    report_done(&r->job);
}

static void reports_post(struct engine *e)
{
    uint64_t wall = (uint64_t)time(NULL);
    const struct takeover *t = &e->report.last;
    const char *node = e->cfg.nodes[e->self].name;
    struct release *l = &e->driver.release;

    if (e->report.ready)
        report_post(e, "takeover", t->epoch, report_json(&e->cfg, e->self, t, wall), report_text(&e->cfg, e->self, t, wall));
    e->report.ready = false;
    if (l->ready) {
        (void)answer_lost();
        report_post(e, "switchover", l->epoch, answer_whole(release_json(l, node, l->over_ms), JSON_INDENT(1)),
                    release_text(l, node, wall));
    }
    l->ready = false;
}

static void status_job(void *data)
{
    struct engine *e = data;
    uint64_t now = clock_now_ms();
    int rc = status_write(&e->request.view, e->status_path, now);

    e->status_queued = false;
    e->status_next_ms = now + ENGINE_STATUS_MS;
    if (rc)
        log_info("%s cannot be written: %s", e->status_path, strerror(-rc));
}

static void wake_arm(struct engine *e)
{
    uint64_t at = core_wakeup_ms(&e->driver.core), nudge = watch_wakeup_ms(&e->watch);
    struct itimerspec t = { 0 };

    at = nudge < at ? nudge : at;
    if (at != UINT64_MAX) {
        at = at ? at : 1; /* all zero would disarm it */
        t.it_value.tv_sec = (time_t)(at / 1000);
        t.it_value.tv_nsec = (long)(at % 1000) * 1000000;
    }
    (void)timerfd_settime(e->wake_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static bool message_is_old(struct engine *e)
{
    struct cpgmsg m;

    facts_message(&e->facts, e->last_ms, &e->driver.core, ops_running(&e->driver.ops, JOB_EPOCH_END), 0, &m);
    return m.flags != e->message_flags || m.state != e->message_state;
}

void engine_leave(struct engine *e)
{
    if (e->driver.gone)
        qb_loop_stop(e->loop);
    wake_arm(e);
    if (message_is_old(e))
        engine_message_send(e, e->last_ms); /* the others wait for this */
    reports_post(e);
    if ((e->driver.changed || e->last_ms >= e->status_next_ms) && !e->status_queued)
        e->status_queued = qb_loop_job_add(e->loop, QB_LOOP_LOW, e, status_job) == 0;
    e->driver.changed = false;
}
