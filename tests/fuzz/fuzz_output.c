/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a child prints, as the executor, which is root, forwards it: line by line, whole, nothing but it, a report of the watch a
 * message, and no secret. The first byte says what child it is; then come pieces: a length, how often, the bytes. */
#include <config.h>

#include <sys/socket.h>
#include <unistd.h>

#include "daemon/executor.h"
#include "tests/fuzz/fuzz.h"

#define PRINTED_MAX EXEC_OUTPUT_MAX
#define PIECE_MAX   4096u
#define PASSWORD    "hunter2"

static const char note[] = "(a line that is too long)\n";

struct text {
    size_t len;
    char   v[2 * PRINTED_MAX]; /* a note may be longer than what it stands for */
};

static struct text printed, expected, heard;
static struct executor x;
static struct exec_child c;
static int far;

static void text_add(struct text *t, const char *v, size_t len)
{
    PROMISE(len <= sizeof t->v - t->len);
    memcpy(t->v + t->len, v, len);
    t->len += len;
}

static bool is_end(const char *line, size_t len)
{
    return len >= 4 && !memcmp(line, "end", 3) && (line[3] == ' ' || line[3] == '\n');
}

/* Of a watch, only the last line of a message may end a report. */
static void message_check(const struct wire_msg *m)
{
    const char *line = m->u.output.text, *end = line + m->u.output.len, *nl;

    PROMISE(m->kind == WIRE_OUTPUT && m->u.output.op_id == c.op_id && m->u.output.job == c.job);
    PROMISE(m->u.output.len > 0 && m->u.output.len <= WIRE_OUTPUT_MAX && end[-1] == '\n');
    for (const char *p = end; p < m->u.output.text + WIRE_OUTPUT_MAX; p++)
        PROMISE(*p == '\0');
    PROMISE(!c.secret || !memmem(line, m->u.output.len, PASSWORD, sizeof PASSWORD - 1));
    for (; line < end; line = nl + 1) {
        nl = memchr(line, '\n', (size_t)(end - line));
        PROMISE(nl);
        PROMISE(c.job != JOB_EPOCH_WATCH || nl + 1 == end || !is_end(line, (size_t)(nl + 1 - line)));
    }
}

static void messages_take(void)
{
    struct wire_msg m;

    while (wire_recv(far, &m) == 0) {
        message_check(&m);
        text_add(&heard, m.u.output.text, m.u.output.len);
    }
}

static void piece_print(int fd, const uint8_t *data, size_t len)
{
    if (len == 0 || printed.len + len > PRINTED_MAX / 2)
        return;
    PROMISE(write(fd, data, len) == (ssize_t)len);
    text_add(&printed, (const char *)data, len);
    for (size_t left = len; left > 0;) { /* one read a turn, of what there is room for */
        size_t room = sizeof c.out[0].buf - c.out[0].len;
        exec_stream_read(&x, &c, &c.out[0], 1000);
        messages_take();
        left -= room < left ? room : left;
    }
}

/* What should have come: each line that fits a message, with its end. */
static void expect(void)
{
    const char *line = printed.v, *end = line + printed.len, *nl;

    for (; line < end; line = nl + 1) {
        nl = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((nl ? nl : end) - line);
        if (len < WIRE_OUTPUT_MAX) {
            text_add(&expected, line, len);
            text_add(&expected, "\n", 1);
        } else {
            text_add(&expected, note, sizeof note - 1);
        }
        if (!nl)
            break;
    }
    for (char *p = expected.v; c.secret && (p = memmem(p, expected.len - (size_t)(p - expected.v), PASSWORD, sizeof PASSWORD - 1));)
        memset(p, '*', sizeof PASSWORD - 1);
}

static void child_begin(uint8_t how)
{
    static const struct secret secret = { .text = "# of a device\npassword=" PASSWORD "\n" };
    static int pair[2] = { -1, -1 };

    if (pair[0] < 0)
        PROMISE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    x.engine_fd = pair[0];
    far = pair[1];
    memset(&c, 0, sizeof c);
    c.op_id = 4711;
    c.job = how & 1 ? JOB_EPOCH_WATCH : how & 2 ? JOB_FENCE_STATUS : JOB_STATE_CHECK;
    c.secret = c.job == JOB_FENCE_STATUS ? &secret : NULL;
    c.budget = EXEC_OUTPUT_MAX;
    printed.len = expected.len = heard.len = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd;

    if (size == 0)
        return 0;
    child_begin(*data++);
    PROMISE(exec_stream_open(&c.out[0], &fd) == 0);
    c.out[1].fd = -1;
    for (size--; size >= 3;) {
        size_t len = (size_t)(data[0] | data[1] << 8) % (PIECE_MAX + 1);
        unsigned times = data[2] % 80u + 1;
        data += 3;
        size -= 3;
        len = len < size ? len : size;
        for (; times > 0; times--)
            piece_print(fd, data, len);
        data += len;
        size -= len;
    }
    (void)close(fd);
    exec_stream_finish(&x, &c, 1000);
    messages_take();
    expect();
    PROMISE(heard.len == expected.len && memcmp(heard.v, expected.v, heard.len) == 0);
    return 0;
}
