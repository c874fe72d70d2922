/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/members.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "common/sandbox.h"
#include "daemon/log.h"

#include "common/banned.h"

#define FD_ENGINE       3
#define PROBE_MS        100u
#define RETRY_SEND_MS   10u
#define CMAP_MS       5000u    /* corosync can be told to reload its configuration */
#define PAUSE_MIN_MS    100u
#define PAUSE_MAX_MS    1000u
#define RECV_MAX        32u

struct members {
    struct members_sink    sink;
    struct members_cpg    *cpg;
    struct members_quorum *quorum;
    struct wire_members    now;         /* the levels, as sent */
    bool                   heard_quorate, asked_no; /* as it told us last; it denied it since when asked */
    bool                   dirty;       /* they have changed and the engine has not been told */
    bool                   told_refused, was_connected;
    uint64_t               probe_ms, cmap_ms, open_ms, retry_ms; /* when each is due */
    uint32_t               pause_ms;
    uint8_t                out[CPGMSG_SIZE_MAX]; /* the engine's newest message, if it could not be sent yet */
    size_t                 out_len;
    struct wire_msg        msg;
    bool                   engine_gone;
};

static void send_msg(struct members *m, enum wire_kind kind)
{
    m->msg.version = WIRE_VERSION;
    m->msg.kind = (uint32_t) kind;
    int rc = wire_send(FD_ENGINE, &m->msg);
    if (rc == -EPIPE)
        m->engine_gone = true;
    if (kind == WIRE_MEMBERS && rc == 0)
        m->dirty = false;
}

static void send_members(struct members *m)
{
    memset(&m->msg, 0, sizeof m->msg);
    m->msg.u.members = m->now;
    m->msg.u.members.quorate = m->heard_quorate && !m->asked_no;
    send_msg(m, WIRE_MEMBERS);
}

static void on_ring(void *closure, uint64_t ring)
{
    struct members *m = closure;

    log_info("ring %llu", (unsigned long long) ring);
    m->now.cpg_ring = ring;
    m->dirty = true;
}

static void on_group(void *closure, const uint32_t *nodes, unsigned n)
{
    struct members *m = closure;

    memset(m->now.member, 0, sizeof m->now.member);
    memcpy(m->now.member, nodes, n * sizeof *nodes);
    m->now.n_members = n;
    m->dirty = true;
}

static void on_quorum(void *closure, bool quorate, uint64_t ring)
{
    struct members *m = closure;

    if (ring != 0)
        log_info("%s in ring %llu", quorate ? "quorate" : "not quorate", (unsigned long long) ring);
    m->heard_quorate = quorate;
    m->asked_no = false; /* this is newer than any answer */
    m->now.quorum_ring = ring;
    m->dirty = true;
}

static void on_message(void *closure, uint32_t node, const void *data, size_t len)
{
    struct members *m = closure;

    if (len > CPGMSG_SIZE_MAX) {
        log_warning("a message of %zu bytes from node %u: not one of ours, ignoring", len, (unsigned) node);
        return;
    }
    if (m->dirty) /* the engine must know the ring in which it was sent first */
        send_members(m);
    memset(&m->msg, 0, sizeof m->msg);
    m->msg.u.cpg.sender = node;
    m->msg.u.cpg.len = (uint32_t) len;
    memcpy(m->msg.u.cpg.data, data, len);
    send_msg(m, WIRE_CPG_IN);
}

static void disconnect(struct members *m, uint64_t now_ms)
{
    members_cpg_close(m->cpg);
    members_quorum_close(m->quorum);
    m->cpg = NULL;
    m->quorum = NULL;
    uint64_t sampled_ms = m->now.sampled_ms;
    memset(&m->now, 0, sizeof m->now);
    m->now.sampled_ms = sampled_ms;
    m->heard_quorate = m->asked_no = false;
    m->dirty = true;
    m->out_len = 0;
    if (m->was_connected)
        log_notice("corosync is gone");
    m->was_connected = false;
    m->open_ms = now_ms + m->pause_ms;
    m->pause_ms = m->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : m->pause_ms * 2;
}

static void say_refused(struct members *m)
{
    if (!m->told_refused)
        log_error("corosync refuses us: user %s is not in /etc/corosync/uidgid.d; membership cannot be seen; "
                  "install the file uidgid.d/understudy and reload corosync", UNDERSTUDY_USER);
    m->told_refused = true;
}

/* TRY_AGAIN is for later; everything else but OK ends the connection. */
static bool good(struct members *m, enum members_result r, uint64_t now_ms)
{
    if (r == MEMBERS_OK || r == MEMBERS_TRY_AGAIN)
        return true;
    if (r == MEMBERS_REFUSED)
        say_refused(m);
    disconnect(m, now_ms);
    return false;
}

static void read_cmap(struct members *m, uint64_t now_ms)
{
    bool encrypted = false;
    uint32_t detect_ms = 0;
    enum members_result r = members_cmap_read(&encrypted, &detect_ms);

    m->cmap_ms = now_ms + (r == MEMBERS_OK ? CMAP_MS : PROBE_MS);
    if (r == MEMBERS_OK && (m->now.encrypted != encrypted || m->now.detect_ms != detect_ms)) {
        m->now.encrypted = encrypted;
        m->now.detect_ms = detect_ms;
        m->dirty = true;
    }
}

static void connect_all(struct members *m, uint64_t now_ms)
{
    enum members_result r = members_cpg_open(&m->sink, &m->cpg);

    if (r == MEMBERS_OK)
        r = members_quorum_open(&m->sink, &m->quorum);
    if (r != MEMBERS_OK) {
        if (r == MEMBERS_REFUSED)
            say_refused(m);
        disconnect(m, now_ms);
        return;
    }
    m->now.connected = 1;
    m->was_connected = true;
    m->told_refused = false;
    m->dirty = true;
    m->probe_ms = m->cmap_ms = now_ms;
    log_notice("connected to corosync");
}

static bool dispatch(struct members *m, uint64_t now_ms)
{
    return m->cpg && good(m, members_quorum_dispatch(m->quorum), now_ms) && good(m, members_cpg_dispatch(m->cpg), now_ms);
}

/* Asks corosync something that it has to answer itself. What it had to tell before that answer is taken afterwards, so
 * that what is sent is not older than the time that goes with it. */
static void probe(struct members *m, uint64_t now_ms)
{
    bool quorate = false;
    enum members_result q, c;

    m->probe_ms = now_ms + PROBE_MS;
    q = members_quorum_probe(m->quorum, &quorate); /* may block for ever */
    if (!good(m, q, now_ms))
        return;
    c = members_cpg_probe(m->cpg);
    if (!good(m, c, now_ms))
        return;
    if (now_ms >= m->cmap_ms)
        read_cmap(m, now_ms);
    m->asked_no = q == MEMBERS_OK && !quorate;
    if (!dispatch(m, now_ms))
        return;
    if (q == MEMBERS_OK && c == MEMBERS_OK) {
        m->now.sampled_ms = now_ms;
        m->pause_ms = PAUSE_MIN_MS;
    }
    m->dirty = true;
}

static void send_out(struct members *m, uint64_t now_ms)
{
    enum members_result r = members_cpg_send(m->cpg, m->out, m->out_len);

    m->retry_ms = now_ms + RETRY_SEND_MS;
    if (r == MEMBERS_OK)
        m->out_len = 0;
    else
        (void) good(m, r, now_ms);
}

static void wait_cancel(void)
{
    enum members_result r = members_wait_cancel();

    if (r == MEMBERS_OK)
        log_notice("corosync does not wait for all nodes any more");
    else
        log_error("corosync could not be told not to wait for all nodes (%d): see whether it runs, and whether user %s may "
                  "ask it", (int) r, UNDERSTUDY_USER);
}

/* Each message of the engine says everything, so only the newest one is kept for later. */
static void take_engine(struct members *m, uint64_t now_ms)
{
    static struct wire_msg in;
    int rc = 0;

    for (unsigned i = 0; i < RECV_MAX && (rc = wire_recv(FD_ENGINE, &in)) == 0; i++) {
        if (in.kind == WIRE_CANCEL_WAIT) {
            wait_cancel();
            continue;
        }
        if (in.kind != WIRE_CPG_OUT || in.u.cpg.len > CPGMSG_SIZE_MAX) {
            rc = -EPROTO;
            break;
        }
        memcpy(m->out, in.u.cpg.data, in.u.cpg.len);
        m->out_len = in.u.cpg.len;
    }
    if (rc < 0 && rc != -EAGAIN)
        m->engine_gone = true;
    else if (m->out_len > 0 && m->cpg)
        send_out(m, now_ms);
}

static uint64_t next_due(const struct members *m)
{
    uint64_t next_ms = m->probe_ms;

    if (!m->cpg && m->open_ms < next_ms)
        next_ms = m->open_ms;
    if (m->cpg && m->out_len > 0 && m->retry_ms < next_ms)
        next_ms = m->retry_ms;
    return next_ms;
}

static void tick(struct members *m, uint64_t now_ms)
{
    if (!m->cpg && now_ms >= m->open_ms)
        connect_all(m, now_ms);
    if (m->cpg && m->out_len > 0 && now_ms >= m->retry_ms)
        send_out(m, now_ms);
    if (now_ms >= m->probe_ms) {
        m->probe_ms = now_ms + PROBE_MS;
        if (m->cpg)
            probe(m, now_ms);
        m->dirty = true; /* at least so often, connected or not */
    }
    if (m->dirty)
        send_members(m);
}

static int run(struct members *m)
{
    uint64_t now_ms = clock_now_ms();

    while (!m->engine_gone) {
        struct pollfd p[3] = { { .fd = FD_ENGINE, .events = POLLIN }, { .fd = -1, .events = POLLIN },
                               { .fd = -1, .events = POLLIN } };
        if (m->cpg) {
            p[1].fd = members_cpg_fd(m->cpg);
            p[2].fd = members_quorum_fd(m->quorum);
        }
        if (poll(p, 3, clock_poll_ms(now_ms, next_due(m))) < 0 && errno != EINTR)
            return EXIT_FAILED;
        now_ms = clock_now_ms();
        if (p[1].revents != 0 || p[2].revents != 0)
            (void) dispatch(m, now_ms);
        if (p[0].revents != 0)
            take_engine(m, now_ms);
        tick(m, now_ms);
    }
    log_notice("the engine is gone");
    return EXIT_DONE;
}

static int sandbox_begin(void)
{
    int rc = sandbox_enter(SANDBOX_MEMBERS);

    if (rc == -ENOSYS)
        log_warning("system calls are not limited: this build or this kernel has no seccomp");
    else if (rc != 0)
        log_error("system calls cannot be limited: %s", strerror(-rc));
    return rc == -ENOSYS ? 0 : rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' }, { NULL, 0, NULL, 0 },
    };
    static struct members m;
    sigset_t all;
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == '?') {
            (void) fprintf(stderr, "usage: understudy-members [--config FILE] [--node NAME]; started by understudyd\n");
            return EXIT_USAGE;
        }
    }
    (void) signal(SIGPIPE, SIG_IGN);
    (void) sigfillset(&all);
    (void) sigdelset(&all, SIGTERM);
    sigset_t before;
    (void) sigprocmask(SIG_BLOCK, &all, &before); /* for the log's thread */
    log_open("understudy-members", LOG_INFO);
    (void) sigprocmask(SIG_SETMASK, &before, NULL);
    m.sink = (struct members_sink) { .ring = on_ring, .group = on_group, .message = on_message, .quorum = on_quorum,
                                     .closure = &m };
    m.pause_ms = PAUSE_MIN_MS;
    int rc = sandbox_begin() == 0 ? run(&m) : EXIT_FAILED;
    log_close();
    return rc;
}
