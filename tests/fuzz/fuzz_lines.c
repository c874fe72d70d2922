/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of lines that a recovery pass finds: the ledger in the queue directory, which the list user can write, and what was put
 * off. What is taken is whole, sorted and there once; and it is the same when it was written and read again. */
#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "resource/state/defer.h"
#include "resource/state/ledger.h"
#include "tests/fuzz/fuzz_dir.h"

static void defer_line_try(const char *text, size_t size)
{
    struct defer_unit u, again;
    char line[DEFER_LINE_MAX];

    memset(&u, 0, sizeof u);
    if (defer_line_parse(text, size, &u) != 0) {
        PROMISE(u.name[0] == '\0' && u.tries == 0); /* untouched */
        return;
    }
    PROMISE(u.name[0] && memchr(u.name, '\0', sizeof u.name) && (unsigned)u.reason < DEFER_REASON_N);
    size_t len = defer_line_write(&u, line);
    PROMISE(len < DEFER_LINE_MAX && !memchr(line, '\n', len));
    PROMISE(defer_line_parse(line, len, &again) == 0 && !strcmp(again.name, u.name) && again.first_ms == u.first_ms
            && again.next_ms == u.next_ms && again.tries == u.tries && again.reason == u.reason);
}

static void defer_try(int dir, const uint8_t *data, size_t size)
{
    struct defer d, again;

    fuzz_dir_put(dir, DEFER_FILE, data, size);
    PROMISE(defer_load(dir, geteuid(), &d) == 0);
    for (size_t i = 0; i < d.n; i++) {
        PROMISE(i == 0 || strcmp(d.v[i - 1].name, d.v[i].name) < 0);
        PROMISE(defer_find(&d, d.v[i].name) == &d.v[i]);
    }
    PROMISE(defer_save(dir, &d) == 0 && defer_load(dir, geteuid(), &again) == 0);
    PROMISE(again.n == d.n && again.torn == 0);
    for (size_t i = 0; i < d.n; i++)
        PROMISE(!strcmp(again.v[i].name, d.v[i].name) && again.v[i].first_ms == d.v[i].first_ms
                && again.v[i].tries == d.v[i].tries);
    defer_free(&d);
    defer_free(&again);
    (void)unlinkat(dir, DEFER_FILE, 0);
}

static bool is_word(const char *text, size_t size)
{
    return text[0] && memchr(text, '\0', size) && !strpbrk(text, " /\n\t\r");
}

static void ledger_try(int dir, const uint8_t *data, size_t size)
{
    struct ledger l, again;
    size_t lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || i + 1 == size;
    fuzz_dir_put(dir, LEDGER_FILE, data, size);
    PROMISE(ledger_load(dir, &l) == 0);
    PROMISE(l.unread + l.n <= lines);
    for (size_t i = 0; i < l.n; i++) {
        PROMISE(is_word(l.v[i].queue, sizeof l.v[i].queue) && is_word(l.v[i].stem, sizeof l.v[i].stem) && l.v[i].starts > 0);
        int order = i ? strcmp(l.v[i - 1].queue, l.v[i].queue) : -1;
        PROMISE(order < 0 || (order == 0 && strcmp(l.v[i - 1].stem, l.v[i].stem) < 0));
        uint32_t before = l.v[i].starts;
        PROMISE(ledger_note(&l, l.v[i].queue, l.v[i].stem) == before + 1 && l.v[i].starts == before + 1);
        PROMISE(ledger_note(&l, l.v[i].queue, l.v[i].stem) == before + 1); /* once in a pass */
    }
    PROMISE(ledger_save(dir, &l) == 0 && ledger_load(dir, &again) == 0);
    PROMISE(again.n <= l.n && again.n + again.unread == l.n); /* a count at the end of its range is not read again */
    ledger_free(&l);
    ledger_free(&again);
    (void)unlinkat(dir, LEDGER_FILE, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int dir = fuzz_dir();

    defer_line_try((const char *)data, size);
    defer_try(dir, data, size);
    ledger_try(dir, data, size);
    return 0;
}
