/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "1 QUEUE STEM STARTS" a line: names of queue entries have no blanks (queue_name.h). */
#include <config.h>

#include "resource/state/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"
#include "resource/state/linefile.h"

#include "common/banned.h"

#define LEDGER_LINE (64u + LEDGER_NAME + 32u)

static int order(const struct ledger_entry *e, const char *queue, const char *stem)
{
    int by_queue = strcmp(e->queue, queue);

    return by_queue ? by_queue : strcmp(e->stem, stem);
}

static bool is_word(const char *text, size_t size)
{
    size_t len = strlen(text);

    return len > 0 && len < size && !strpbrk(text, " /\n\t\r");
}

/* The entry, made if need be; NULL: no word, no room. */
static struct ledger_entry *entry_get(struct ledger *l, const char *queue, const char *stem)
{
    size_t low = 0, high = l->n;

    if (!is_word(queue, sizeof l->v->queue) || !is_word(stem, sizeof l->v->stem))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int    o = order(&l->v[middle], queue, stem);
        if (o == 0)
            return &l->v[middle];
        low = o < 0 ? middle + 1 : low;
        high = o < 0 ? high : middle;
    }
    if (l->n == LEDGER_MAX)
        return NULL;
    if (l->n == l->size) {
        size_t               size = l->size ? l->size * 2 : 16;
        struct ledger_entry *v = realloc(l->v, size * sizeof *v);
        if (!v)
            return NULL;
        l->v = v;
        l->size = size;
    }
    memmove(l->v + low + 1, l->v + low, (l->n++ - low) * sizeof *l->v);
    l->v[low] = (struct ledger_entry){ .starts = 0 };
    memcpy(l->v[low].queue, queue, strlen(queue) + 1);
    memcpy(l->v[low].stem, stem, strlen(stem) + 1);
    return &l->v[low];
}

static int line_take(void *ctx, const char *line, size_t len, bool whole)
{
    struct ledger *l = ctx;
    char           copy[LEDGER_LINE], *queue, *stem, *starts;
    uint32_t       n;

    l->there = true;
    l->unread++;
    if (!whole || len >= sizeof copy || len < 2 || memchr(line, '\0', len) || memcmp(line, "1 ", 2) != 0)
        return 0;
    memcpy(copy, line, len);
    copy[len] = '\0';
    queue = copy + 2;
    if (!(stem = strchr(queue, ' ')) || !(starts = strchr(stem + 1, ' ')))
        return 0;
    *stem++ = *starts++ = '\0';
    struct ledger_entry *e = num_parse_u32(starts, 1, UINT32_MAX - 1, &n) == 0 ? entry_get(l, queue, stem) : NULL;
    if (!e)
        return 0;
    l->unread--;
    e->starts = n > e->starts ? n : e->starts;
    return 0;
}

int ledger_load(int queuefd, struct ledger *ret)
{
    *ret = (struct ledger){ 0 };
    return linefile_read(queuefd, LEDGER_FILE, geteuid(), (off_t)LEDGER_MAX * (off_t)LEDGER_LINE, line_take, ret);
}

uint32_t ledger_note(struct ledger *l, const char *queue, const char *stem)
{
    struct ledger_entry *e = entry_get(l, queue, stem);

    if (!e)
        return 0;
    e->starts += !e->seen;
    e->seen = true;
    return e->starts;
}

void ledger_keep(struct ledger *l, const char *queue)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->v[i].queue, queue))
            l->v[i].seen = true;
}

static void entries_write(const void *ctx, FILE *f)
{
    const struct ledger *l = ctx;

    for (size_t i = 0; i < l->n; i++)
        (void)fprintf(f, "1 %s %s %" PRIu32 "\n", l->v[i].queue, l->v[i].stem, l->v[i].starts);
}

int ledger_save(int queuefd, struct ledger *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].seen)
            l->v[kept++] = l->v[i];
    l->n = kept;
    return l->n > 0 ? linefile_replace(queuefd, LEDGER_FILE, entries_write, l)
         : l->there ? linefile_remove(queuefd, LEDGER_FILE) : 0;
}

void ledger_free(struct ledger *l)
{
    free(l->v);
    *l = (struct ledger){ 0 };
}
