/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "tests/fuzz/told_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "daemon/engine_answer.h"
#include "daemon/jobs.h"
#include "daemon/log.h"
#include "tests/fuzz/fuzz.h"

#define RUN_A  UINT64_C(0xaa)

static const struct config config = { .cluster = "test", .service = "mailman3", .control_share = "/srv/control",
    .n_nodes = 2, .nodes = { { .name = "a", .id = 1, .fqdn = "a.lab.test" }, { .name = "b", .id = 2, .fqdn = "b.lab.test" } },
    .beat_interval_ms = 100, .share_deadline_ms = 1000, .share_patience_ms = 5000, .claim_patience_ms = 2000, .drain_ms = 200,
    .power_wait_ms = 50, .start_timeout_ms = 5000, .stop_timeout_ms = 5000, .release_timeout_ms = 2000,
    .monitor_interval_ms = 1000, .permit_timeout_ms = 3000, .failure_window_ms = 60000, .max_failures = 3, .max_restarts = 1,
    .after_fence_on = true, .list_reserve_mib = 64, .address_ip = "10.77.1.100/24", .dad_ms = 40, .n_devices = 2,
    .devices = { { .name = "a-ipmi", .node = 0, .level = 1, .timeout_ms = 900, .agent = "/usr/sbin/fence_ipmilan" },
                 { .name = "b-ipmi", .node = 1, .level = 1, .timeout_ms = 900, .agent = "/usr/sbin/fence_ipmilan" } },
    .list = { .user = "list", .config = "/etc/mailman3/mailman.cfg", .runners_text = "in out", .intake_port = 8024 } };

static uint64_t now_ms = 1;
static int far_executor = -1, far_members = -1;

/* In place of those of the engine: its clock, its log, its threads, its loop and the command line. */
uint64_t clock_now_ms(void) { return now_ms; }
uint64_t clock_now_us(void) { return now_ms * 1000; }
void ipc_caller_keep(struct ipc_caller *caller) { (void)caller; }
void ipc_reply(struct ipc_caller *caller, const char *text) { (void)caller; (void)text; }
void qb_loop_stop(qb_loop_t *l) { (void)l; }
int32_t qb_loop_job_add(qb_loop_t *l, enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn)
{
    (void)l;
    (void)p;
    (void)data;
    (void)fn;
    return -1;
}

/* Formatted and not shown: what it is given must be texts. */
void log_write(int priority, const char *format, ...)
{
    char text[1024];
    va_list ap;

    (void)priority;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
}

static struct told *the_told;

/* The look into /proc is done by told_scan(); no report is written. */
int worker_post(struct worker *w, struct worker_job *job)
{
    (void)w;
    if (job != &the_told->e.scan.job)
        return -EAGAIN;
    the_told->scan_posted = true;
    return 0;
}

void worker_collect(struct worker *w)
{
    struct engine_scan *s = &the_told->e.scan;

    (void)w;
    if (!the_told->scan_posted)
        return;
    the_told->scan_posted = false;
    s->rc = 0;
    s->list = (struct listproc_list){ .complete = true };
    if (the_told->list_process) {
        s->list.n = s->list.n_alive = 1;
        s->list.v[0] = (struct listproc){ .pid = 4711, .kind = LISTPROC_MASTER };
    }
    s->job.done(&s->job);
}

/* Before main(): later the numbers may be taken. */
static void __attribute__((constructor)) sockets_open(void)
{
    int pair[2], fixed[2] = { WIRE_FD_EXECUTOR, WIRE_FD_MEMBERS }, *far[2] = { &far_executor, &far_members };

    for (int i = 0; i < 2; i++) {
        PROMISE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        *far[i] = fcntl(pair[0], F_DUPFD_CLOEXEC, 20);
        int near = fcntl(pair[1], F_DUPFD_CLOEXEC, 20);
        PROMISE(*far[i] >= 0 && near >= 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
        PROMISE(dup2(near, fixed[i]) == fixed[i] && close(near) == 0);
    }
}

uint64_t told_now_ms(void) { return now_ms; }
void     told_pass_ms(unsigned ms) { now_ms += ms; }

void told_begin(struct told *t)
{
    struct wire_msg m;
    const struct id128 *boot = &t->e.boot;

    for (int fd = far_executor; fd >= 0; fd = fd == far_executor ? far_members : -1)
        while (wire_recv(fd, &m) == 0)
            ;
    memset(t, 0, sizeof *t);
    the_told = t;
    now_ms = 1000000;
    t->e.opt.rundir = t->e.opt.statedir = t->e.opt.config = "/nonexistent";
    t->e.cfg = config;
    t->e.run = RUN_A;
    t->e.tick_fd = t->e.wake_fd = -1;
    PROMISE(bootid_parse(TOLD_BOOT_A, &t->e.boot) == 0 && boot->lo);
    engine_parts_init(&t->e, now_ms);
    t->epoch[t->n_epochs++] = (struct core_epoch){ .node = CORE_NODE_NONE, .ended = true, .planned = true };
    t->ring = 10;
    t->quorate = t->peer_on = true;
    t->peer_flags = CPGMSG_NO_LIST_PROCESS | CPGMSG_NO_SHARE_CHILD | CPGMSG_NO_END_PENDING;
}

void told_left(struct told *t, const struct core_epoch *tenure, uint64_t adoptable)
{
    t->epoch[t->n_epochs++] = *tenure;
    t->e.opt.adoptable = t->e.facts.adoptable = adoptable;
}

/* ---- what it asks for: never more than its answers allow */

static void own_check(const struct told *t, const struct wire_run *run)
{
    PROMISE(run->epoch == t->tenure.claimed && run->epoch != t->tenure.ended);
    for (unsigned i = 0; i < CONFIG_NODES_MAX; i++) {
        PROMISE(run->proof[i] != PROOF_DENIED && run->proof[i] != PROOF_ACKNOWLEDGED); /* nobody has said so */
        PROMISE(run->proof[i] != PROOF_OFF || (t->tenure.offs >= 2 && t->tenure.drained));
        PROMISE(run->proof[i] != PROOF_REBOOTED || t->tenure.drained);
    }
}

/* What is asked for is no longer so, or may not be. */
static void run_note(struct told *t, const struct wire_run *run)
{
    struct told_tenure *n = &t->tenure;

    if (run->job == JOB_EPOCH_END)
        n->ended = run->epoch;
    if (run->job == JOB_SERVICE_STOP)
        t->stop_asked = true;
    if (run->job == JOB_SERVICE_STOP)
        n->service = false;
    if (run->job == JOB_ADDRESS_STOP)
        n->address = false;
    if (run->job == JOB_ADDRESS_START)
        n->down = false;
    if (run->job == JOB_SERVICE_START || run->job == JOB_SERVICE_RESUME)
        n->stopped = n->released = n->synced = false;
    if (run->job == JOB_SERVICE_RELEASE)
        t->release_asked = n->synced = false;
}

/* An end tells the others that nothing of ours runs; a planned one, that all was written besides. */
static void end_check(const struct told_tenure *n, const struct wire_run *run)
{
    PROMISE(n->stopped);
    PROMISE(!run->planned || (n->released && n->synced && n->down && run->epoch == n->owned));
}

static void run_check(struct told *t, const struct wire_run *run)
{
    static const struct jobs_context ctx = { .cfg = &config, .config_path = "/etc/understudy/understudy.conf", .run = RUN_A,
                                             .libexec_dir = "/usr/libexec/understudy", .ocf_dir = "/usr/lib/ocf" };
    static struct job_command command;
    const struct told_tenure *n = &t->tenure;

    PROMISE(jobs_build(&ctx, run, &command) == 0); /* the executor takes it */
    for (unsigned i = 0; i < t->n_ops; i++)
        PROMISE(t->op[i].run.op_id != run->op_id);
    if (run->job == JOB_EPOCH_OWN)
        own_check(t, run);
    if (run->job == JOB_EPOCH_END)
        end_check(n, run);
    PROMISE(run->job != JOB_SERVICE_RELEASE || t->release_asked);
    PROMISE(run->job != JOB_STATE_SYNC || n->released);
    run_note(t, run);
    bool tenure = n->owned && n->owned != n->ended;
    PROMISE(run->job != JOB_STATE_RECOVER || (tenure && run->epoch == n->owned));
    PROMISE(run->job != JOB_ADDRESS_START || (tenure && n->recovered));
    PROMISE(run->job != JOB_SERVICE_START || (tenure && n->recovered && n->address));
    PROMISE((run->job != JOB_INTAKE_OPEN && run->job != JOB_SERVICE_RELEASE && run->job != JOB_SERVICE_RESUME)
            || (tenure && n->service));
}

/* Under maintenance, and only what was offered: an un-ended tenure of this boot of ours, the highest, whose list service was
 * seen. What an engine before this one has done for it is not asked for again. */
static void adoption_take(struct told *t, uint64_t epoch)
{
    const struct watch_report *r = &t->e.facts.share;

    PROMISE(epoch == t->e.opt.adoptable && epoch != 0 && !t->stop_asked && t->tenure.claimed == 0);
    PROMISE(r->share == SHARE_OK && r->maintenance == MAINTENANCE_ON && t->e.facts.scan == TRI_YES);
    PROMISE(r->highest == epoch && r->last.n == epoch && r->last.node == 0 && r->last.owned && !r->last.ended);
    PROMISE(r->last.boot.hi == t->e.boot.hi && r->last.boot.lo == t->e.boot.lo);
    t->tenure = (struct told_tenure){ .claimed = epoch, .owned = epoch, .drained = true, .recovered = true, .address = true,
                                      .service = true };
}

static void request_take(struct told *t, const struct wire_msg *m)
{
    if (m->kind == WIRE_RUN) {
        run_check(t, &m->u.run);
        PROMISE(t->n_ops < OPS_MAX);
        t->op[t->n_ops++] = (struct told_op){ .run = m->u.run };
    }
    for (unsigned i = 0; m->kind == WIRE_CANCEL && i < t->n_ops; i++)
        t->op[i].cancelled = t->op[i].cancelled || t->op[i].run.op_id == m->u.op_id;
    if (m->kind == WIRE_PERMIT)
        t->permitted = m->u.permit.until_ms != 0;
    if (m->kind == WIRE_ADOPT)
        adoption_take(t, m->u.epoch);
}

/* After each message: what it has sent, what it has become, and whether what it knows is as old as it is. */
static void engine_check(struct told *t)
{
    struct core_facts f;
    struct wire_msg   m;
    const struct told_tenure *n = &t->tenure;

    while (wire_recv(far_executor, &m) == 0)
        request_take(t, &m);
    PROMISE(!t->permitted || t->tenure.owned); /* of an adoption the permit comes first, in the same turn */
    while (wire_recv(far_members, &m) == 0)
        PROMISE(m.kind == WIRE_CPG_OUT && m.u.cpg.len <= sizeof m.u.cpg.data);
    if (t->e.driver.core.state == ST_ACTIVE)
        PROMISE(n->owned && n->owned != n->ended && n->recovered && n->address && n->service);
    facts_fill(&t->e.facts, now_ms, &f);
    PROMISE(!f.members_fresh || now_ms < t->members_ms + FACTS_MEMBERS_FRESH_MS);
    PROMISE(f.share == SHARE_UNKNOWN || now_ms < t->report_ms + config.share_deadline_ms);
    PROMISE(f.share_seen_ms <= now_ms);
    PROMISE(memchr(t->e.driver.safety.watchdog_says, '\0', sizeof t->e.driver.safety.watchdog_says));
    PROMISE(memchr(t->e.driver.safety.last_why, '\0', sizeof t->e.driver.safety.last_why));
}

/* ---- what it is told */

void told_from_executor(struct told *t, const struct wire_msg *m, size_t size)
{
    PROMISE(send(far_executor, m, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
    (void)engine_on_executor(WIRE_FD_EXECUTOR, 0, &t->e);
    engine_check(t);
}

void told_from_members(struct told *t, const struct wire_msg *m, size_t size)
{
    PROMISE(send(far_members, m, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
    if (m->kind == WIRE_MEMBERS)
        t->members_ms = now_ms;
    (void)engine_on_members(WIRE_FD_MEMBERS, 0, &t->e);
    engine_check(t);
}

bool told_ask(struct told *t, const char *request)
{
    char *text = request_handle(&t->e.request, NULL, 0, request, strlen(request));
    bool  ret = text && strncmp(text, "{\"ok\":true", 10) == 0;

    PROMISE(text && (ret || strstr(text, "\"error\":\"")));
    answer_free(text);
    t->release_asked = t->release_asked || (ret && strstr(request, "switchover"));
    engine_leave(&t->e);
    engine_check(t);
    return ret;
}

void told_tick(struct told *t)
{
    (void)engine_on_tick(-1, 0, &t->e);
    engine_check(t);
}

void told_scan(struct told *t)
{
    (void)engine_on_scanner(-1, 0, &t->e);
    engine_check(t);
}
