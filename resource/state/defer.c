/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/defer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

#define FIRST_MS  1000u             /* pause after the first try */
#define TEMPORARY ".defer.new"

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

/* Twice the same unit: what was first is first, what was tried more often counts. */
static int line_take(struct defer *d, const char *line, size_t len)
{
    struct defer_unit u;
    bool              there;

    if (defer_line_parse(line, len, &u) != 0) {
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

/* A last line without its end was torn off while it was written. */
static int stream_read(FILE *f, struct defer *d)
{
    char  *line = NULL;
    size_t size = 0;
    int    rc = 0;

    for (ssize_t len; rc == 0 && (len = getline(&line, &size, f)) >= 0;) {
        if (line[len - 1] == '\n')
            rc = line_take(d, line, (size_t)len - 1);
        else
            d->torn++;
    }
    if (rc == 0 && ferror(f))
        rc = -EIO;
    free(line);
    return rc;
}

int defer_load(int dirfd, struct defer *ret)
{
    struct stat st;
    int         fd = openat(dirfd, DEFER_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc = 0;

    *ret = (struct defer){ 0 };
    if (fd < 0)
        return errno == ENOENT ? 0 : errno == ELOOP ? -EUCLEAN : -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size > (off_t)DEFER_UNITS_MAX * (off_t)DEFER_LINE_MAX)
        rc = -EUCLEAN;
    FILE *f = rc == 0 ? fdopen(fd, "r") : NULL;
    if (rc == 0 && !f)
        rc = -errno;
    if (!f) {
        (void)close(fd);
        return rc;
    }
    rc = stream_read(f, ret);
    (void)fclose(f);
    return rc;
}

static int units_write(int fd, const struct defer *d)
{
    FILE *f = fdopen(fd, "w");
    char  line[DEFER_LINE_MAX];
    int   rc = 0;

    if (!f) {
        rc = -errno;
        (void)close(fd);
        return rc;
    }
    for (size_t i = 0; i < d->n; i++) {
        size_t len = defer_line_write(&d->v[i], line);
        line[len++] = '\n';
        if (fwrite(line, 1, len, f) != len)
            rc = -EIO;
    }
    if (fflush(f) != 0 || fsync(fileno(f)) < 0)
        rc = -errno;
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int replace(int dirfd, const struct defer *d)
{
    int fd = openat(dirfd, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
    int rc = fd < 0 ? -errno : units_write(fd, d);

    if (rc == 0 && renameat(dirfd, TEMPORARY, dirfd, DEFER_FILE) < 0)
        rc = -errno;
    if (rc != 0 && fd >= 0)
        (void)unlinkat(dirfd, TEMPORARY, 0);
    return rc;
}

int defer_save(int dirfd, const struct defer *d)
{
    int rc = 0;

    if (d->n > 0)
        rc = replace(dirfd, d);
    else if (unlinkat(dirfd, DEFER_FILE, 0) < 0 && errno != ENOENT)
        rc = -errno;
    return rc != 0 ? rc : fsync(dirfd) < 0 ? -errno : 0;
}
