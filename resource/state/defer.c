/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/defer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "resource/state/linefile.h"

#include "common/banned.h"

#define FIRST_MS 1000u /* pause after the first try */

/* The place of `unit`, or the one where it belongs. */
static size_t place_of(const struct defer *d, const char *unit, bool *ret_there)
{
    size_t low = 0, high = d->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int    order = strcmp(d->v[middle].name, unit);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = false;
    return low;
}

/* One more at `at`, not filled in. */
static int room_make(struct defer *d, size_t at)
{
    if (d->n == DEFER_UNITS_MAX)
        return -ENOSPC;
    if (d->n == d->size) {
        size_t             size = d->size ? d->size * 2 : 16;
        struct defer_unit *v = realloc(d->v, size * sizeof *v);
        if (!v)
            return -ENOMEM;
        d->v = v;
        d->size = size;
    }
    memmove(d->v + at + 1, d->v + at, (d->n - at) * sizeof *d->v);
    d->n++;
    return 0;
}

static uint64_t pause_ms(uint32_t tries, uint32_t chance)
{
    uint64_t ms = FIRST_MS;

    for (uint32_t i = 1; i < tries && ms < DEFER_CAP_MS; i++)
        ms *= 2;
    if (ms > DEFER_CAP_MS)
        ms = DEFER_CAP_MS;
    return ms * (800 + chance % 401) / 1000;
}

int defer_put(struct defer *d, const char *unit, enum defer_reason reason, uint64_t now_ms, uint32_t chance)
{
    bool   there;
    size_t at = place_of(d, unit, &there), len = strlen(unit);
    int    rc = len >= DEFER_UNIT_MAX ? -ENAMETOOLONG : there ? 0 : room_make(d, at);

    if (rc)
        return rc;
    struct defer_unit *u = &d->v[at];
    if (!there) {
        *u = (struct defer_unit){ .first_ms = now_ms };
        memcpy(u->name, unit, len + 1);
    }
    u->reason = reason;
    u->tries += reason != DEFER_UNTRIED && u->tries < UINT32_MAX;
    u->next_ms = reason == DEFER_UNTRIED ? now_ms : now_ms + pause_ms(u->tries, chance);
    return 0;
}

int defer_keep(struct defer *d, const struct defer_unit *u)
{
    bool   there;
    size_t at = place_of(d, u->name, &there);
    int    rc = there ? 0 : room_make(d, at);

    if (rc == 0 && !there)
        d->v[at] = *u;
    return rc;
}

void defer_drop(struct defer *d, const char *unit)
{
    bool   there;
    size_t at = place_of(d, unit, &there);

    if (!there)
        return;
    memmove(d->v + at, d->v + at + 1, (d->n - at - 1) * sizeof *d->v);
    d->n--;
}

const struct defer_unit *defer_find(const struct defer *d, const char *unit)
{
    bool   there;
    size_t at = place_of(d, unit, &there);

    return there ? &d->v[at] : NULL;
}

bool defer_is_due(const struct defer_unit *u, uint64_t now_ms)
{
    return u->next_ms <= now_ms || u->next_ms > now_ms + DEFER_CAP_MS / 5 * 6;
}

uint64_t defer_next_ms(const struct defer *d, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < d->n; i++) {
        uint64_t at = defer_is_due(&d->v[i], now_ms) ? now_ms : d->v[i].next_ms;
        next = at < next ? at : next;
    }
    return next;
}

void defer_free(struct defer *d)
{
    free(d->v);
    *d = (struct defer){ 0 };
}

/* "epoch N", before all units. */
static bool epoch_parse(const char *line, size_t len, uint64_t *ret)
{
    static const char word[] = "epoch ";
    char              copy[32];

    if (len < sizeof word || len >= sizeof copy || memcmp(line, word, sizeof word - 1) != 0)
        return false;
    memcpy(copy, line, len);
    copy[len] = '\0';
    return num_parse_u64(copy + sizeof word - 1, 1, UINT64_MAX, ret) == 0;
}

/* Twice the same unit: what was first is first, what was tried more often counts. */
static int line_take(void *ctx, const char *line, size_t len, bool whole)
{
    struct defer     *d = ctx;
    struct defer_unit u;
    bool              there;

    if (whole && epoch_parse(line, len, &d->epoch))
        return 0;
    if (!whole || defer_line_parse(line, len, &u) != 0) {
        d->torn++;
        return 0;
    }
    size_t at = place_of(d, u.name, &there);
    int    rc = there ? 0 : room_make(d, at);
    if (rc)
        return rc;
    if (there && d->v[at].first_ms < u.first_ms)
        u.first_ms = d->v[at].first_ms;
    if (!there || d->v[at].tries <= u.tries)
        d->v[at] = u;
    d->v[at].first_ms = u.first_ms;
    return 0;
}

int defer_load(int dirfd, uid_t owner, struct defer *ret)
{
    *ret = (struct defer){ 0 };
    return linefile_read(dirfd, DEFER_FILE, owner, (off_t)DEFER_UNITS_MAX * (off_t)DEFER_LINE_MAX, line_take, ret);
}

static void units_write(const void *ctx, FILE *f)
{
    const struct defer *d = ctx;
    char                line[DEFER_LINE_MAX];

    if (d->epoch)
        (void)fprintf(f, "epoch %" PRIu64 "\n", d->epoch);
    for (size_t i = 0; i < d->n; i++) {
        (void)defer_line_write(&d->v[i], line);
        (void)fprintf(f, "%s\n", line);
    }
}

int defer_save(int dirfd, const struct defer *d)
{
    return d->n > 0 ? linefile_replace(dirfd, DEFER_FILE, units_write, d) : linefile_remove(dirfd, DEFER_FILE);
}
