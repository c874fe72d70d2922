/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children's output: taken in lines, never understood, forwarded within a bound. What the engine cannot take is
 * dropped, not kept: a report that waits would be believed as if it were new. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"

#include "common/banned.h"

int exec_stream_open(struct exec_stream *s, int *ret_write_fd)
{
    int fd[2];

    if (pipe2(fd, O_CLOEXEC) < 0)
        return -errno;
    if (fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0) {
        int rc = -errno;
        (void) close(fd[0]);
        (void) close(fd[1]);
        return rc;
    }
    s->fd = fd[0];
    s->len = 0;
    s->skip = false;
    *ret_write_fd = fd[1];
    return 0;
}

/* To the log of the executor, for what it started itself. */
static void log_lines(const struct exec_child *c, const char *text, size_t len)
{
    while (len > 0) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t) (nl - text) : len;
        log_info("%s: %.*s", job_name(c->job), (int) n, text);
        n += nl != NULL;
        text += n;
        len -= n;
    }
}

static void forward(struct executor *x, struct exec_child *c, char *text, size_t len, uint64_t now_ms)
{
    if (c->job == JOB_EPOCH_WATCH && now_ms - c->window_ms >= 1000u) {
        c->window_ms = now_ms;
        c->budget = EXEC_OUTPUT_MAX;
    }
    if (len > c->budget) {
        if (c->budget > 0)
            log_warning("%s: prints more than %u bytes; the rest is dropped", job_name(c->job), EXEC_OUTPUT_MAX);
        c->budget = 0;
        return;
    }
    c->budget -= len;
    if (c->secret)
        secrets_scrub(c->secret, text, len);
    if (c->op_id == 0 || x->engine_fd < 0) {
        log_lines(c, text, len);
        return;
    }
    struct wire_msg *m = &x->msg;
    memset(m, 0, offsetof(struct wire_msg, u.output.text));
    m->version = WIRE_VERSION;
    m->kind = WIRE_OUTPUT;
    m->u.output.op_id = c->op_id;
    m->u.output.job = (uint32_t) c->job;
    m->u.output.read_ms = now_ms;
    m->u.output.len = (uint32_t) len;
    memcpy(m->u.output.text, text, len);
    memset(m->u.output.text + len, 0, sizeof m->u.output.text - len);
    (void) wire_send(x->engine_fd, m); /* a lost connection is seen by poll */
}

/* The line that ends a report: "end at_ms=...". */
static bool ends_report(const char *line, const char *nl)
{
    return nl - line >= 3 && memcmp(line, "end", 3) == 0 && (line[3] == ' ' || line[3] == '\n');
}

/* How much of buf[len] is complete: all up to the last line end; of a watch, up to the end of its first report, so
 * that each message is one report. */
static size_t complete(bool reports, const char *buf, size_t len)
{
    const char *line = buf, *nl, *last = NULL;

    while ((nl = memchr(line, '\n', len - (size_t) (line - buf)))) {
        last = nl;
        if (reports && ends_report(line, nl))
            break;
        line = nl + 1;
    }
    if (reports && !nl && len < WIRE_OUTPUT_MAX)
        return 0;
    return last ? (size_t) (last - buf) + 1 : 0;
}

static void cut(struct executor *x, struct exec_child *c, struct exec_stream *s, uint64_t now_ms)
{
    bool reports = c->job == JOB_EPOCH_WATCH && s == &c->out[0];
    size_t n;

    if (s->skip) {
        char *nl = memchr(s->buf, '\n', s->len);
        n = nl ? (size_t) (nl - s->buf) + 1 : s->len;
        memmove(s->buf, s->buf + n, s->len -= n);
        s->skip = !nl;
    }
    while ((n = complete(reports, s->buf, s->len)) > 0) {
        forward(x, c, s->buf, n, now_ms);
        memmove(s->buf, s->buf + n, s->len -= n);
    }
    if (s->len == sizeof s->buf) {
        char note[] = "(a line that is too long)\n"; /* not a part of it: a secret could be cut in two */
        forward(x, c, note, sizeof note - 1, now_ms);
        s->len = 0;
        s->skip = true;
    }
}

static void end_stream(struct executor *x, struct exec_child *c, struct exec_stream *s, uint64_t now_ms)
{
    if (s->len > 0 && !s->skip) { /* a last line without its end, or half a report; the buffer is never full here */
        if (s->buf[s->len - 1] != '\n')
            s->buf[s->len++] = '\n';
        forward(x, c, s->buf, s->len, now_ms);
    }
    s->len = 0;
    (void) close(s->fd);
    s->fd = -1;
}

void exec_stream_read(struct executor *x, struct exec_child *c, struct exec_stream *s, uint64_t now_ms)
{
    /* One read a turn: a child that floods does not keep the others waiting. */
    ssize_t n = read(s->fd, s->buf + s->len, sizeof s->buf - s->len);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        s->len += (size_t) n;
        cut(x, c, s, now_ms);
        return;
    }
    end_stream(x, c, s, now_ms);
}

void exec_stream_finish(struct executor *x, struct exec_child *c, uint64_t now_ms)
{
    /* What it printed before it ended; a descendant that keeps the pipe open is not waited for, and one that floods
     * it is cut off. */
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned turns = 0; c->out[i].fd >= 0 && turns < 64; turns++) {
            struct pollfd p = { .fd = c->out[i].fd, .events = POLLIN };
            if (poll(&p, 1, 0) <= 0 || p.revents == 0)
                break;
            exec_stream_read(x, c, &c->out[i], now_ms);
        }
        if (c->out[i].fd >= 0)
            end_stream(x, c, &c->out[i], now_ms);
    }
}
