/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What members and the executor tell the engine. An input is a script: what happens in the world, and what the engine is told
 * of it, rightly or not. Promised (design: The core): what is unknown, late, malformed or to another request changes nothing,
 * and no step towards active is made without a whole answer, in time, to the request for it. The second is told_world.c's. */
#include <config.h>

#include <errno.h>

#include "daemon/engine_status.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/told_world.h"

#define STEPS_MAX  200
#define ROUNDS_MAX 60

struct script {
    const uint8_t *at;
    size_t         left;
};

/* Zero when the script is over. */
static void bytes_take(struct script *s, void *ret, size_t n)
{
    size_t have = n < s->left ? n : s->left;

    memset(ret, 0, n);
    if (have)
        memcpy(ret, s->at, have);
    s->at += have;
    s->left -= have;
}

static uint8_t byte_take(struct script *s)
{
    uint8_t b;

    bytes_take(s, &b, 1);
    return b;
}

/* A message of the kind whose body is what the script says. */
static void message_take(struct script *s, enum wire_kind kind, size_t body, struct wire_msg *ret)
{
    *ret = (struct wire_msg){ .version = WIRE_VERSION, .kind = kind };
    bytes_take(s, &ret->u, body < sizeof ret->u ? body : sizeof ret->u);
}

static bool is_open(const struct told *t, uint64_t op_id)
{
    for (unsigned i = 0; i < t->n_ops; i++)
        if (t->op[i].run.op_id == op_id)
            return true;
    return false;
}

/* ---- what must change nothing */

static void noise_executor(struct told *t, struct script *s)
{
    struct wire_msg m;
    const struct told_op *op;

    switch (byte_take(s) % 6) {
    case 0: /* done, of another job than was asked for, or asked for by nobody */
        message_take(s, WIRE_DONE, sizeof m.u.done, &m);
        op = t->n_ops ? &t->op[byte_take(s) % t->n_ops] : NULL;
        if (op && (m.u.done.op_id & 1) && m.u.done.job != op->run.job)
            m.u.done.op_id = op->run.op_id;
        else if (is_open(t, m.u.done.op_id))
            return;
        m.u.done.unreaped = t->unreaped; /* that alone is believed */
        break;
    case 1:
        message_take(s, WIRE_LATE, sizeof m.u.op_id, &m);
        if (is_open(t, m.u.op_id))
            return;
        break;
    case 2: /* output of nobody, or longer than a message */
        message_take(s, WIRE_OUTPUT, 64, &m);
        if (t->n_ops && m.u.output.len > WIRE_OUTPUT_MAX)
            m.u.output.op_id = t->op[byte_take(s) % t->n_ops].run.op_id;
        else if (is_open(t, m.u.output.op_id))
            return;
        break;
    case 3:
        message_take(s, WIRE_SAFETY, sizeof m.u.safety, &m);
        break;
    default: /* of a reload that nobody has asked for */
        message_take(s, WIRE_RELOADED, sizeof m.u.status, &m);
        break;
    }
    told_from_executor(t, &m, sizeof m);
}

static void noise_members(struct told *t, struct script *s)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CPG_IN, .u.cpg.sender = 2 };
    uint8_t         what = byte_take(s) % 6, by = byte_take(s);
    const struct cpgmsg *last = &t->e.facts.peer[1].msg;
    struct cpgmsg   c;

    told_peer_message(t, t->peer_seq + 1, &c);
    c.flags = ~c.flags; /* so that it is seen when something is taken of it */
    c.epoch++;
    if (what == 0)
        c.cluster ^= UINT64_C(1) << (by % 64);
    if (what == 1)
        c.node = by;
    if (what == 2 && last->run == c.run) /* one that was sent before */
        c.seq = last->seq - (by < last->seq ? by : 0);
    if (what == 2 && t->e.facts.peer[1].dead.hi) /* that a dead boot speaks is heard, whatever it says */
        c.boot = last->boot;
    m.u.cpg.len = (uint32_t)cpgmsg_encode(&c, m.u.cpg.data);
    if (what == 3)
        m.u.cpg.len -= 1u + by % m.u.cpg.len;
    if (what == 4)
        m.u.cpg.len = by % 2 ? m.u.cpg.len + by : UINT32_MAX - by;
    if (what == 5)
        m.u.cpg.sender = by;
    if (c.seq == t->peer_seq + 1 && c.node == 2 && m.u.cpg.sender == 2 && (what == 1 || what == 2 || what == 5))
        return;
    told_from_members(t, &m, sizeof m);
}

/* Of another size, version, kind or direction: the connection is over. */
static void noise_end(struct told *t, struct script *s)
{
    struct wire_msg m;
    size_t          size = sizeof m;
    uint8_t         what = byte_take(s), by = byte_take(s);

    message_take(s, WIRE_DONE, 64, &m);
    if (what % 4 == 0)
        size = 1 + by % (sizeof m - 1);
    else if (what % 4 == 1)
        m.version = WIRE_VERSION + 1u + by;
    else if (what % 4 == 2)
        m.kind = WIRE_KIND_N + by;
    else
        m.kind = WIRE_PERMIT;
    if (what & 0x80)
        told_from_members(t, &m, size);
    else
        told_from_executor(t, &m, size);
    PROMISE(t->e.driver.gone);
}

static void noise(struct told *t, struct script *s, void (*make)(struct told *, struct script *))
{
    struct core   before;
    struct cpgmsg peer = t->e.facts.peer[1].msg;
    uint64_t      heard_ms = t->e.facts.peer[1].msg_ms;
    bool          permit;

    driver_look(&t->e.driver, told_now_ms()); /* all that time alone does is done */
    told_scan(t);
    before = t->e.driver.core;
    permit = t->e.driver.permit;
    make(t, s);
    PROMISE(memcmp(&before, &t->e.driver.core, sizeof before) == 0 && permit == t->e.driver.permit);
    PROMISE(memcmp(&peer, &t->e.facts.peer[1].msg, sizeof peer) == 0 && heard_ms == t->e.facts.peer[1].msg_ms);
}

/* ---- what may be believed, and may be wrong */

static void answer_odd(struct told *t, struct script *s)
{
    struct wire_done done = { .unreaped = byte_take(s) % 4 };
    uint8_t          which = byte_take(s), status = byte_take(s);
    char             text[256];

    if (t->n_ops == 0)
        return;
    const struct wire_run run = t->op[which % t->n_ops].run;
    if (status & 0x80) {
        size_t len = byte_take(s);
        bytes_take(s, text, len);
        told_say(t, run.op_id, run.job, text, len);
    }
    done.op_id = run.op_id;
    done.job = run.job;
    done.status = (int32_t)(status & 0x7f) - 40;
    done.late = which & 0x80 ? 1 : 0;
    if (done.status == 80) /* it could not be started for want of processes: it may be asked for again */
        done.status = -1000 - EAGAIN;
    else if (done.status > 3)
        done.status = 0;
    told_done(t, &done);
}

static void late(struct told *t, struct script *s)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_LATE };

    if (t->n_ops == 0)
        return;
    struct told_op *op = &t->op[byte_take(s) % t->n_ops];
    op->late = true;
    m.u.op_id = op->run.op_id;
    told_from_executor(t, &m, sizeof m);
}

static void peer_odd(struct told *t, struct script *s)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CPG_IN, .u.cpg.sender = 2 };
    struct cpgmsg   c;
    uint8_t         at = byte_take(s), bits = byte_take(s);

    told_peer_message(t, ++t->peer_seq, &c);
    m.u.cpg.len = (uint32_t)cpgmsg_encode(&c, m.u.cpg.data);
    m.u.cpg.data[at % m.u.cpg.len] ^= bits;
    told_from_members(t, &m, sizeof m);
}

/* A listing with some bytes replaced, or something else. */
static void report_odd(struct told *t, struct script *s)
{
    const struct told_op *w = told_watch(t);
    char     text[WIRE_OUTPUT_MAX];
    uint8_t  n = byte_take(s);
    uint16_t at;

    if (!w)
        return;
    size_t len = n & 0x80 ? n & 0x7f : told_report_text(t, text, sizeof text);
    if (n & 0x80)
        bytes_take(s, text, len);
    for (unsigned i = 0; len > 0 && !(n & 0x80) && i < n % 4; i++) {
        bytes_take(s, &at, sizeof at);
        text[at % len] = (char)byte_take(s);
    }
    told_say(t, w->run.op_id, w->run.job, text, len);
}

static void world_change(struct told *t, struct script *s)
{
    uint8_t what = byte_take(s);

    t->quorate = !(what & 1);
    t->peer_in_ring = t->peer_on && (what & 2);
    t->peer_speaks = t->peer_on && (what & 4);
    t->peer_beats = t->peer_on && (what & 8);
    t->share_wrong = (what & 16) && (what & 32);
    t->list_process = (what & 64) && (what & 32);
    t->ring += (what & 128) != 0;
    t->peer_flags = byte_take(s) ^ (CPGMSG_NO_LIST_PROCESS | CPGMSG_NO_SHARE_CHILD | CPGMSG_NO_END_PENDING);
}

/* The peer is, or was, active: a tenure of its own on the share. */
static void peer_tenure(struct told *t, struct script *s)
{
    uint8_t how = byte_take(s);

    if (t->n_epochs == TOLD_EPOCHS)
        return;
    t->epoch[t->n_epochs] = (struct core_epoch){ .n = t->epoch[t->n_epochs - 1].n + 1, .node = 1, .run = TOLD_RUN_B,
        .owned = !(how & 1), .ended = how & 2, .planned = (how & 2) && (how & 4) };
    t->n_epochs++;
}

/* The list service of a tenure goes on from before this engine. Only as the first thing, as in an executor that starts. */
static void left_running(struct told *t, struct script *s)
{
    uint8_t how = byte_take(s);
    const struct core_epoch tenure = { .n = 1, .node = how & 1, .run = TOLD_RUN_OLD, .owned = !(how & 2), .ended = how & 4 };

    if (t->n_epochs > 1 || t->members_ms || t->report_ms || t->e.driver.core.state != ST_STARTING)
        return;
    told_left(t, &tenure, how & 8 ? 2 : 1);
    t->maintenance = how & 16 ? MAINTENANCE_OFF : how & 32 ? MAINTENANCE_MALFORMED : MAINTENANCE_ON;
    t->list_process = !(how & 64);
    t->old_boot = how & 128;
}

static void switchover(struct told *t, struct script *s)
{
    static const char *const requests[] = {
        "{\"cmd\":\"switchover\"}", "{\"cmd\":\"switchover\",\"force\":true}", "{\"cmd\":\"switchover\",\"node\":\"b\"}",
        "{\"cmd\":\"switchover\",\"node\":\"b\",\"force\":true}", "{\"cmd\":\"switchover\",\"node\":\"a\"}",
        "{\"cmd\":\"switchover\",\"node\":\"c\"}", "{\"cmd\":\"release\"}", "{\"cmd\":\"clear\"}",
    };

    (void)told_ask(t, requests[byte_take(s) % (sizeof requests / sizeof requests[0])]);
}

/* What a person does. */
static void operator_does(struct told *t, struct script *s, uint8_t what)
{
    if (what >= 0xfc)
        left_running(t, s);
    else if (what >= 0xf8)
        switchover(t, s);
    else
        t->maintenance = (enum watch_maintenance)(byte_take(s) % 3);
}

static void step(struct told *t, struct script *s, uint8_t what, unsigned *rounds)
{
    struct wire_msg m;
    uint8_t         n;

    switch (what % 16) {
    case 0: noise(t, s, noise_executor); break;
    case 1: noise(t, s, noise_members); break;
    case 2: noise(t, s, noise_end); break;
    case 3: answer_odd(t, s); break;
    case 4: late(t, s); break;
    case 5: peer_odd(t, s); break;
    case 6: report_odd(t, s); break;
    case 7: world_change(t, s); break;
    case 8: peer_tenure(t, s); break;
    case 9:
        message_take(s, WIRE_MEMBERS, offsetof(struct wire_members, detect_ms), &m);
        told_from_members(t, &m, sizeof m);
        break;
    case 10:
        n = byte_take(s);
        told_pass_ms(n < 200 ? n : (n - 199u) * 400u);
        told_tick(t);
        break;
    case 11: told_members(t); break;
    case 12: told_report(t); break;
    case 13:
        if (t->n_ops)
            told_answer(t, byte_take(s) % t->n_ops);
        break;
    case 14: told_scan(t); break;
    default:
        for (n = byte_take(s) % 64; n > 0 && *rounds < ROUNDS_MAX; n--, (*rounds)++)
            told_round(t);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct told t;
    struct script      s = { data, size };
    unsigned           rounds = 0;

    told_begin(&t);
    for (unsigned i = 0; i < STEPS_MAX && s.left > 0 && !t.e.driver.gone; i++) {
        uint8_t what = byte_take(&s);
        if (what >= 0xf0)
            operator_does(&t, &s, what);
        else
            step(&t, &s, what, &rounds);
    }
    json_t *o = status_json(&t.e.request.view, told_now_ms());
    char   *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    PROMISE(json_is_object(o) && text); /* whatever it was told can be shown */
    free(text);
    json_decref(o);
    free(t.e.request.last_report);
    return 0;
}
