/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small texts: the lines that children print, what one says of the database, boot ids, Mailman's master lock, the list of
 * runners. */
#include <config.h>

#include <errno.h>
#include <strings.h>
#include <unistd.h>

#include "common/bootid.h"
#include "daemon/engine_record.h"
#include "resource/dbprobe.h"
#include "resource/listserver.h"
#include "resource/masterlock.h"
#include "tests/fuzz/fuzz.h"

static void record_try(const char *line, size_t len)
{
    struct record r;
    uint64_t number;
    bool yes;

    if (record_parse(line, len, &r) != 0)
        return;
    PROMISE(r.n <= RECORD_PAIRS_MAX && r.word[0] != '\0' && !strchr(r.word, ' '));
    for (unsigned i = 0; i < r.n; i++) {
        PROMISE(record_value(&r, r.pair[i].key) == r.pair[i].value); /* no key twice */
        PROMISE(!strchr(r.pair[i].key, ' ') && !strchr(r.pair[i].value, ' '));
        if (record_bool(&r, r.pair[i].key, &yes) == 0)
            PROMISE(record_u64(&r, r.pair[i].key, &number) == 0 && number == (uint64_t)yes);
    }
}

static void line_take(void *ctx, const char *line, size_t len)
{
    (void)ctx;
    PROMISE(len < RECORD_LINE_MAX && line[len] == '\0' && !memchr(line, '\n', len));
    record_try(line, len);
}

static void text_try(const char *text)
{
    struct listserver_runner runner[LISTSERVER_RUNNERS_MAX];
    char again[BOOTID_TEXT_SIZE];
    struct id128 id;
    unsigned n = 0;

    if (bootid_parse(text, &id) == 0) {
        bootid_format(&id, again);
        PROMISE(!strncasecmp(text, again, strlen(again)));
    }
    if (listserver_runners_parse(LIST_MAILMAN3, text, runner, LISTSERVER_RUNNERS_MAX, &n) == 0)
        PROMISE(n <= LISTSERVER_RUNNERS_MAX);
}

/* What the list user's process says of the database, and then ends: at most one line of it counts. */
static void database_try(const uint8_t *data, size_t size)
{
    int            to[2], from[2];
    char           why[DBPROBE_WHY_MAX];
    const uint8_t *end = memchr(data, '\n', size);
    bool           ok = size >= 3 && !memcmp(data, "ok ", 3), no = size >= 3 && !memcmp(data, "no ", 3);

    PROMISE(pipe(to) == 0 && pipe(from) == 0 && write(from[1], data, size) == (ssize_t)size && close(from[1]) == 0);
    const struct dbprobe p = { .to = to[1], .from = from[0] };
    int rc = dbprobe_ask(&p, UINT64_MAX, why);
    PROMISE(rc == (end && ok ? 0 : end && no ? -EAGAIN : -EPIPE));
    PROMISE(memchr(why, '\0', sizeof why) && (rc != 0 || !why[0]));
    PROMISE(rc == 0 || why[0] || size == 0 || end == data || (no && (size == 3 || end == data + 3)));
    for (const char *c = why; *c; c++)
        PROMISE(*c >= ' ' && *c <= '~');
    (void)close(to[0]);
    (void)close(to[1]);
    (void)close(from[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record_lines lines;
    char *text = fuzz_text(data, size, 4000);
    struct masterlock lock;

    memset(&lines, 0, sizeof lines);
    record_lines_feed(&lines, (const char *)data, size, line_take, NULL);
    if (size <= 4096) /* fits a pipe */
        database_try(data, size);
    for (enum config_list_kind kind = LIST_MAILMAN3; kind < LIST_KIND_N; kind++) {
        masterlock_parse(kind, (const char *)data, size, &lock);
        if (lock.state == MASTERLOCK_HELD)
            PROMISE(lock.pid > 0 && lock.host[0] != '\0' && !strpbrk(lock.host, "/|\n")
                    && memchr(lock.host, '\0', sizeof lock.host));
    }
    if (text)
        text_try(text);
    free(text);
    return 0;
}
