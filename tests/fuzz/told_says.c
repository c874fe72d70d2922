/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What members and the executor tell an engine when all is as it should be. */
#include <config.h>

#include <inttypes.h>

#include "common/bootid.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/told_world.h"

void told_members(struct told *t)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_MEMBERS };

    m.u.members = (struct wire_members){ .sampled_ms = told_now_ms(), .connected = 1, .quorate = t->quorate, .encrypted = 1,
        .n_members = t->peer_in_ring ? 2 : 1, .cpg_ring = t->ring, .quorum_ring = t->ring,
        .member = { 1, t->peer_in_ring ? 2 : 0 } };
    told_from_members(t, &m, sizeof m);
}

void told_peer_message(const struct told *t, uint64_t seq, struct cpgmsg *ret)
{
    *ret = (struct cpgmsg){ .cluster = t->e.facts.cluster, .node = 2, .run = TOLD_RUN_B, .ring = t->ring, .seq = seq,
        .epoch = t->epoch[t->n_epochs - 1].n, .flags = t->peer_flags, .state = ST_PASSIVE, .digest = t->e.facts.digest };
    PROMISE(bootid_parse(TOLD_BOOT_B, &ret->boot) == 0);
}

void told_peer(struct told *t)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CPG_IN, .u.cpg.sender = 2 };
    struct cpgmsg   c;

    told_peer_message(t, ++t->peer_seq, &c);
    m.u.cpg.len = (uint32_t)cpgmsg_encode(&c, m.u.cpg.data);
    told_from_members(t, &m, sizeof m);
}

static size_t epoch_text(const struct told *t, const struct core_epoch *e, const char *word, char *buf, size_t size)
{
    const char *node = e->node == 0 ? "a" : e->node == 1 ? "b" : "-", *boot;

    boot = e->node != 0 ? TOLD_BOOT_B : t->old_boot ? TOLD_BOOT_OLD : TOLD_BOOT_A;
    int n = snprintf(buf, size, "%s n=%" PRIu64 " node=%s boot=%s run=%016" PRIx64 " owned=%d", word, e->n, node, boot, e->run,
                     e->owned);

    if (strcmp(word, "open") != 0)
        n += snprintf(buf + n, size - (size_t)n, " ended=%d planned=%d", e->ended, e->planned);
    return (size_t)n + (size_t)snprintf(buf + n, size - (size_t)n, "\n");
}

size_t told_report_text(const struct told *t, char *buf, size_t size)
{
    static const char *const maintenance[] = { [MAINTENANCE_OFF] = "off", [MAINTENANCE_ON] = "on",
                                               [MAINTENANCE_MALFORMED] = "malformed" };
    const struct core_epoch *last = &t->epoch[t->n_epochs - 1];
    unsigned n_open = 0;
    size_t   n;

    if (t->share_wrong)
        return (size_t)snprintf(buf, size, "share state=wrong why=not-mounted highest=0 local_max=0 open=0 uuid=-\nend at_ms=%"
                                PRIu64 "\n", told_now_ms());
    for (unsigned i = 0; i < t->n_epochs; i++)
        n_open += !t->epoch[i].ended;
    n = (size_t)snprintf(buf, size, "share state=ok why=- highest=%" PRIu64 " local_max=%" PRIu64 " open=%u uuid=u\n", last->n,
                         last->n, n_open);
    n += epoch_text(t, last, "last", buf + n, size - n);
    if (t->n_epochs > 1)
        n += epoch_text(t, last - 1, "before", buf + n, size - n);
    for (unsigned i = 0; i < t->n_epochs; i++)
        if (!t->epoch[i].ended && n_open <= CORE_EPOCHS)
            n += epoch_text(t, &t->epoch[i], "open", buf + n, size - n);
    n += (size_t)snprintf(buf + n, size - n, "maintenance state=%s node=- since=- reason=-\n", maintenance[t->maintenance]);
    if (t->peer_beats)
        n += (size_t)snprintf(buf + n, size - n, "beat node=b boot=%s run=%016" PRIx64 " counter=%" PRIu64 "\n", TOLD_BOOT_B,
                              TOLD_RUN_B, t->peer_counter);
    return n + (size_t)snprintf(buf + n, size - n, "end at_ms=%" PRIu64 "\n", told_now_ms());
}

const struct told_op *told_watch(const struct told *t)
{
    for (unsigned i = 0; i < t->n_ops; i++)
        if (t->op[i].run.job == JOB_EPOCH_WATCH)
            return &t->op[i];
    return NULL;
}

void told_say(struct told *t, uint64_t op_id, uint32_t job, const char *text, size_t len)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_OUTPUT };
    const struct told_op *w = told_watch(t);

    if (w && w->run.op_id == op_id)
        t->report_ms = told_now_ms();
    m.u.output = (struct wire_output){ .op_id = op_id, .job = job, .len = (uint32_t)len, .read_ms = told_now_ms() };
    memcpy(m.u.output.text, text, len < WIRE_OUTPUT_MAX ? len : WIRE_OUTPUT_MAX);
    told_from_executor(t, &m, sizeof m);
}

void told_report(struct told *t)
{
    const struct told_op *w = told_watch(t);
    char text[WIRE_OUTPUT_MAX];

    t->peer_counter++;
    if (!w)
        return;
    told_say(t, w->run.op_id, w->run.job, text, told_report_text(t, text, sizeof text));
}

/* ---- answers */

static void success_note(struct told_tenure *n, const struct wire_run *run)
{
    if (run->job == JOB_EPOCH_CLAIM)
        *n = (struct told_tenure){ .claimed = run->epoch, .ended = n->ended, .stopped = n->stopped, .down = n->down };
    if (run->job == JOB_EPOCH_OWN && run->epoch == n->claimed)
        n->owned = run->epoch;
    n->drained = n->drained || run->job == JOB_EPOCH_DRAIN;
    n->recovered = n->recovered || run->job == JOB_STATE_RECOVER;
    n->address = n->address || run->job == JOB_ADDRESS_START;
    n->service = (n->service || run->job == JOB_SERVICE_START) && run->job != JOB_SERVICE_RELEASE;
    n->stopped = n->stopped || run->job == JOB_SERVICE_STOP || run->job == JOB_SERVICE_RELEASE;
    n->down = n->down || run->job == JOB_ADDRESS_STOP;
    n->released = n->released || run->job == JOB_SERVICE_RELEASE;
    n->synced = n->synced || run->job == JOB_STATE_SYNC;
}

void told_done(struct told *t, const struct wire_done *done)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_DONE, .u.done = *done };

    t->unreaped = done->unreaped;
    for (unsigned i = 0; i < t->n_ops; i++) {
        struct told_op op = t->op[i];
        if (op.run.op_id != done->op_id || op.run.job != done->job)
            continue;
        t->op[i] = t->op[--t->n_ops];
        if (op.late || op.cancelled || done->late)
            break;
        if (done->status == 0)
            success_note(&t->tenure, &op.run);
        t->tenure.offs += op.run.job == JOB_FENCE_STATUS && op.run.device == 1 && done->status == 2;
        break;
    }
    told_from_executor(t, &m, sizeof m);
}

static struct core_epoch *epoch_find(struct told *t, uint64_t n)
{
    for (unsigned i = 0; i < t->n_epochs; i++)
        if (t->epoch[i].n == n)
            return &t->epoch[i];
    return NULL;
}

/* The exit status. */
static int32_t job_do(struct told *t, const struct wire_run *run)
{
    struct core_epoch *e = epoch_find(t, run->epoch);

    if (run->job == JOB_SERVICE_STOP || run->job == JOB_SERVICE_RELEASE)
        t->list_process = false;
    if (run->job == JOB_EPOCH_CLAIM) {
        if (run->epoch != t->epoch[t->n_epochs - 1].n + 1 || t->n_epochs == TOLD_EPOCHS)
            return 3;
        t->epoch[t->n_epochs++] = (struct core_epoch){ .n = run->epoch, .node = 0, .run = t->e.run };
    }
    if (e && run->job == JOB_EPOCH_OWN)
        e->owned = true;
    if (e && run->job == JOB_EPOCH_END) {
        e->ended = true;
        e->planned = run->planned;
    }
    return 0;
}

static int32_t fence_do(struct told *t, const struct wire_run *run)
{
    if (run->device == 1 && run->job != JOB_FENCE_STATUS)
        t->peer_on = run->job == JOB_FENCE_ON;
    if (run->device == 1 && run->job == JOB_FENCE_OFF)
        t->peer_speaks = t->peer_beats = t->peer_in_ring = false;
    return run->job == JOB_FENCE_STATUS && run->device == 1 && !t->peer_on ? 2 : 0;
}

void told_answer(struct told *t, unsigned i)
{
    static const char off[] = "Status: OFF\n";
    struct told_op    op = t->op[i];
    struct wire_done  done = { .op_id = op.run.op_id, .job = op.run.job, .unreaped = t->unreaped };

    if (op.cancelled)
        done.status = -9;
    else if (job_is_fence((enum job)op.run.job))
        done.status = fence_do(t, &op.run);
    else
        done.status = job_do(t, &op.run);
    if (done.status == 2)
        told_say(t, done.op_id, done.job, off, sizeof off - 1);
    told_done(t, &done);
}

void told_round(struct told *t)
{
    struct wire_run run[OPS_MAX];
    unsigned n = 0;

    told_members(t);
    if (t->peer_speaks)
        told_peer(t);
    told_report(t);
    for (unsigned i = 0; i < t->n_ops; i++)
        if (t->op[i].run.job != JOB_EPOCH_WATCH || t->op[i].cancelled)
            run[n++] = t->op[i].run;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < t->n_ops; k++)
            if (t->op[k].run.op_id == run[i].op_id) {
                told_answer(t, k);
                break;
            }
    told_scan(t);
    told_pass_ms(100);
    told_tick(t);
}
