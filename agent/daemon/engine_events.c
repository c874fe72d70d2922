/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes in: messages of the executor and of members, timers, finished jobs of the two threads. */
#include <config.h>

#include "daemon/engine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/engine_address.h"
#include "daemon/engine_again.h"
#include "daemon/engine_defer.h"
#include "daemon/engine_failed.h"
#include "daemon/engine_lists.h"
#include "daemon/engine_units.h"
#include "daemon/log.h"

#include "common/banned.h"

static void link_lost(struct engine *e, const char *whom, int rc)
{
    log_error("%s is gone (%s): ending, the executor starts a new engine when nothing runs here any more", whom,
              strerror(-rc));
    e->driver.gone = true;
    qb_loop_stop(e->loop);
}

/* What another node has just done may stand on the share: it is looked at now, and not at the next beat. */
static void peer_moved(struct engine *e, const struct cpgmsg *before, const struct cpgmsg *now, uint64_t now_ms)
{
    if (now->state != before->state || now->epoch != before->epoch)
        watch_nudge(&e->watch, now_ms);
}

static void cpg_take(struct engine *e, const struct wire_cpg *in, uint64_t now_ms)
{
    int node = config_node_by_id(&e->cfg, in->sender);
    const struct cpgmsg *kept = &e->facts.peer[node < 0 ? e->self : (unsigned)node].msg;
    struct cpgmsg before = *kept;
    int rc = facts_cpg(&e->facts, in, now_ms);

    if (rc == 0)
        peer_moved(e, &before, kept, now_ms);
    else if (ignored_count(facts_ignored(&e->facts, in->sender), rc, now_ms))
        log_warning("messages of node id %u are ignored: %s", in->sender,
                    ignored_text(facts_ignored(&e->facts, in->sender)->last));
}

bool engine_members_drain(struct engine *e, uint64_t now_ms)
{
    struct wire_msg m;
    bool changed = false;
    int rc = 0;

    for (unsigned i = 0; i < ENGINE_RECV_MAX && (rc = wire_recv(WIRE_FD_MEMBERS, &m)) == 0; i++) {
        if (m.kind == WIRE_MEMBERS)
            changed = facts_members(&e->facts, &m.u.members, now_ms) || changed;
        else if (m.kind == WIRE_CPG_IN)
            cpg_take(e, &m.u.cpg, now_ms);
        else
            rc = -EPROTO;
        if (rc)
            break;
    }
    if (rc && rc != -EAGAIN)
        link_lost(e, "understudy-members", rc);
    return changed;
}

/* The way from a new ring to the claim has no timer in it: take, tell the others, look. */
int32_t engine_on_members(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;
    uint64_t now = engine_enter(e);

    (void)fd;
    (void)revents;
    if (engine_members_drain(e, now)) {
        log_notice("ring %llu: %u member%s, %s", (unsigned long long)e->facts.members.cpg_ring,
                   e->facts.members.n_members, e->facts.members.n_members == 1 ? "" : "s",
                   e->facts.members.quorate && e->facts.members.quorum_ring == e->facts.members.cpg_ring
                   ? "quorate" : "not quorate, or votequorum is not there yet");
        engine_message_send(e, now);
        e->driver.changed = true;
    }
    driver_look(&e->driver, now);
    engine_leave(e);
    return 0;
}

struct line_ctx { struct engine *e; struct op *op; uint64_t now_ms; };

static void line_take(void *data, const char *line, size_t len)
{
    struct line_ctx *c = data;

    driver_line(&c->e->driver, c->op, line, len, c->now_ms);
}

static void output_take(struct engine *e, const struct wire_output *out, uint64_t now_ms)
{
    struct line_ctx c = { e, ops_find(&e->driver.ops, out->op_id), now_ms };

    if (!c.op || out->len > sizeof out->text)
        return;
    c.op->spoke = true;
    if (out->op_id != e->watch.op_id)
        record_lines_feed(&c.op->lines, out->text, out->len, line_take, &c);
    else if (watch_output(&e->watch, out, now_ms))
        driver_look(&e->driver, now_ms);
}

static void done_take(struct engine *e, const struct wire_done *done, uint64_t now_ms)
{
    struct op *op = ops_find(&e->driver.ops, done->op_id);
    bool watch = op && op->id == e->watch.op_id, ended = op && op->job == JOB_EPOCH_END;
    struct line_ctx c = { e, op, now_ms };
    char said[OPS_TEXT_MAX] = "";

    if (op && op->lines.len > 0) /* its last line had no end */
        record_lines_feed(&op->lines, "\n", 1, line_take, &c);
    if (op)
        failed_say(&e->driver, op, done, now_ms);
    if (op)
        memcpy(said, op->text, sizeof said);
    driver_done(&e->driver, done, now_ms);
    request_job_done(&e->request, done->op_id, done->status, done->late != 0, said);
    recover_done(&e->request, done->op_id, now_ms);
    if (watch) {
        watch_done(&e->watch, now_ms);
        watch_tick(&e->watch, now_ms);
    }
    if (ended) /* seen as un-ended still, it keeps us from being clean */
        watch_nudge(&e->watch, now_ms);
    if (e->driver.scan_wanted)
        engine_scan_post(e, now_ms);
}

int32_t engine_on_executor(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;
    uint64_t now = engine_enter(e);
    struct wire_msg m;
    int rc = 0;

    (void)revents;
    for (unsigned i = 0; i < ENGINE_RECV_MAX && (rc = wire_recv(fd, &m)) == 0; i++) {
        if (m.kind == WIRE_OUTPUT)
            output_take(e, &m.u.output, now);
        else if (m.kind == WIRE_DONE)
            done_take(e, &m.u.done, now);
        else if (m.kind == WIRE_LATE)
            driver_late(&e->driver, m.u.op_id, now);
        else if (m.kind == WIRE_RELOADED)
            reload_done(&e->request.reload, m.u.status);
        else if (m.kind == WIRE_SAFETY)
            driver_safety(&e->driver, &m.u.safety);
        else
            rc = -EPROTO;
        if (rc)
            break;
    }
    if (rc && rc != -EAGAIN)
        link_lost(e, "understudyd", rc);
    engine_leave(e);
    return 0;
}

static void timer_read(int fd)
{
    uint64_t n;

    (void)!read(fd, &n, sizeof n);
}

int32_t engine_on_tick(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;
    uint64_t now = engine_enter(e);

    (void)revents;
    timer_read(fd);
    driver_permit(&e->driver, now);
    again_tick(&e->driver, now);
    watch_tick(&e->watch, now);
    if (now >= e->scan_next_ms)
        engine_scan_post(e, now);
    if (now >= e->message_next_ms)
        engine_message_send(e, now);
    engine_fence_round(e, now);
    recover_tick(&e->request, now);
    units_tick(&e->driver, now);
    driver_look(&e->driver, now);
    lists_tick(&e->driver, now);
    defer_tick(&e->driver, now);
    address_tick(&e->driver, now); /* after the look: a node that is to stop announces nothing any more */
    engine_leave(e);
    return 0;
}

int32_t engine_on_wake(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;
    uint64_t now = engine_enter(e);

    (void)revents;
    timer_read(fd);
    watch_tick(&e->watch, now);
    driver_look(&e->driver, now);
    engine_leave(e);
    return 0;
}

int32_t engine_on_scanner(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;
    uint64_t now = engine_enter(e);

    (void)fd;
    (void)revents;
    worker_collect(&e->scanner);
    driver_look(&e->driver, now);
    engine_leave(e);
    return 0;
}

int32_t engine_on_writer(int32_t fd, int32_t revents, void *data)
{
    struct engine *e = data;

    (void)fd;
    (void)revents;
    (void)engine_enter(e);
    worker_collect(&e->writer);
    engine_leave(e);
    return 0;
}
