/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers to the engine. They are levels of the children, sent when there is room, so that none is lost and nothing
 * waits for an engine that does not read. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <string.h>

#include "daemon/log.h"

#include "common/banned.h"

static struct wire_msg *message(struct executor *x, enum wire_kind kind)
{
    memset(&x->msg, 0, sizeof x->msg);
    x->msg.version = WIRE_VERSION;
    x->msg.kind = (uint32_t) kind;
    return &x->msg;
}

static bool send_or_wait(struct executor *x)
{
    int rc = wire_send(x->engine_fd, &x->msg);

    x->tell_blocked = rc == -EAGAIN;
    return rc == 0; /* a lost connection is seen by poll */
}

static bool tell_done(struct executor *x, const struct wire_done *done)
{
    struct wire_msg *m = message(x, WIRE_DONE);

    m->u.done = *done;
    m->u.done.unreaped = exec_unreaped(x);
    if (!send_or_wait(x))
        return false;
    x->unreaped_told = m->u.done.unreaped;
    return true;
}

static void tell_child(struct executor *x, struct exec_child *c, uint64_t now_ms)
{
    struct wire_done done = { .op_id = c->op_id, .job = (uint32_t) c->job, .status = c->status, .late = c->late,
                              .started_ms = c->started_ms, .ended_ms = c->ended_ms };

    if (c->done && tell_done(x, &done)) {
        c->pid = 0;
    } else if (!c->done && c->killed && !c->late_told && now_ms >= c->killed_ms + EXEC_LATE_MS) {
        message(x, WIRE_LATE)->u.op_id = c->op_id;
        c->late_told = send_or_wait(x);
    }

}

void exec_tell(struct executor *x, uint64_t now_ms)
{
    const struct wire_done none = { .op_id = 0 };

    if (x->engine_fd < 0)
        return;
    x->tell_blocked = false;
    while (x->n_refused > 0 && tell_done(x, &x->refused[0]))
        memmove(x->refused, x->refused + 1, --x->n_refused * sizeof x->refused[0]);
    for (unsigned i = 0; i < EXEC_CHILDREN && !x->tell_blocked; i++)
        if (x->child[i].pid != 0 && x->child[i].op_id != 0)
            tell_child(x, &x->child[i], now_ms);
    if (!x->tell_blocked && x->unreaped_told != exec_unreaped(x))
        (void) tell_done(x, &none);
    if (!x->tell_blocked && !x->safety_told) {
        message(x, WIRE_SAFETY)->u.safety = x->safety;
        x->safety_told = send_or_wait(x);
    }
}

void exec_tell_answer(struct executor *x, const struct wire_done *done, uint64_t now_ms)
{
    if (x->n_refused == EXEC_REFUSED) {
        exec_engine_lose(x, "it asks for too many wrong things and does not read the answers", now_ms);
        return;
    }
    x->refused[x->n_refused++] = *done;
}

void exec_tell_refused(struct executor *x, const struct wire_run *run, int error, uint64_t now_ms)
{
    const struct wire_done done = { .op_id = run->op_id, .job = run->job, .status = -1000 + error, .started_ms = now_ms,
                                    .ended_ms = now_ms };

    log_warning("%s refused: %s", job_name(run->job < JOB_N ? (enum job) run->job : JOB_NONE), strerror(-error));
    exec_tell_answer(x, &done, now_ms);
}
