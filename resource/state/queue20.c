/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/queue20.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/state/quarantine.h"

#include "common/banned.h"

#define CLOCK_NAME    ".understudy-clock"
#define MARSHAL_FIRST '{'   /* a dictionary, */
#define MARSHAL_LAST  '0'   /* and its end */

struct stems { char (*v)[QUEUE20_STEM_LEN + 1]; size_t n, size; };

bool queue20_name(const char *name, char ret_stem[QUEUE20_STEM_LEN + 1], bool *ret_msg)
{
    if (strspn(name, "0123456789abcdef") != QUEUE20_STEM_LEN)
        return false;
    const char *end = name + QUEUE20_STEM_LEN;
    if (strcmp(end, ".db") != 0 && strcmp(end, ".msg") != 0)
        return false;
    memcpy(ret_stem, name, QUEUE20_STEM_LEN);
    ret_stem[QUEUE20_STEM_LEN] = '\0';
    *ret_msg = end[1] == 'm';
    return true;
}

enum queue20_fault queue20_judge(const struct queue20_entry *e)
{
    if ((e->db.there && !e->db.file) || (e->msg.there && !e->msg.file))
        return QUEUE20_NOT_A_FILE;
    if (!e->msg.there)
        return QUEUE20_NO_MESSAGE;
    if (!e->db.there)
        return QUEUE20_NO_METADATA;
    if (e->db.size < 2 || e->db_first != MARSHAL_FIRST || e->db_last != MARSHAL_LAST)
        return QUEUE20_TORN_METADATA;
    return e->msg.size == 0 ? QUEUE20_EMPTY_MESSAGE : QUEUE20_WHOLE;
}

static bool half_is_old(const struct queue20_half *h, uint64_t now_ms)
{
    return !h->there || (now_ms > h->changed_ms && now_ms - h->changed_ms > QUEUE20_GUARD_MS);
}

bool queue20_is_old(const struct queue20_entry *e, uint64_t now_ms)
{
    return half_is_old(&e->db, now_ms) && half_is_old(&e->msg, now_ms);
}

const char *queue20_fault_name(enum queue20_fault f)
{
    static const char *const names[QUEUE20_FAULT_N] = { "whole", "no-message", "no-metadata", "torn-metadata", "empty-message",
                                                        "not-a-file" };
    return f < QUEUE20_FAULT_N ? names[f] : "unknown";
}

static uint64_t stat_ms(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000u + (uint64_t)st->st_mtim.tv_nsec / 1000000u;
}

int queue20_clock(int dirfd, uint64_t *ret_ms)
{
    struct stat st;
    int fd = openat(dirfd, CLOCK_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), rc = 0;

    if (fd < 0 && errno == EEXIST && unlinkat(dirfd, CLOCK_NAME, 0) == 0)
        fd = openat(dirfd, CLOCK_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    (void)close(fd);
    if (unlinkat(dirfd, CLOCK_NAME, 0) < 0 && errno != ENOENT && !rc)
        rc = -errno;
    if (!rc)
        *ret_ms = stat_ms(&st);
    return rc;
}

static int stem_add(struct stems *s, const char *stem)
{
    if (s->n == s->size) {
        size_t size = s->size ? s->size * 2 : 64;
        char (*v)[QUEUE20_STEM_LEN + 1] = realloc(s->v, size * sizeof *v);

        if (!v)
            return -ENOMEM;
        s->v = v;
        s->size = size;
    }
    memcpy(s->v[s->n++], stem, QUEUE20_STEM_LEN + 1);
    return 0;
}

static int stem_compare(const void *a, const void *b) { return strcmp(a, b); }

/* Every stem once, sorted. */
static int stems_list(int dirfd, struct stems *ret)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;
    char stem[QUEUE20_STEM_LEN + 1];
    size_t kept = 0;
    bool msg;

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (!rc && (errno = 0, d = readdir(dir)))
        if (queue20_name(d->d_name, stem, &msg))
            rc = stem_add(ret, stem);
    if (!rc && errno)
        rc = -errno;
    (void)closedir(dir);
    if (ret->n > 1)
        qsort(ret->v, ret->n, sizeof *ret->v, stem_compare);
    for (size_t i = 0; i < ret->n; i++)
        if (kept == 0 || strcmp(ret->v[kept - 1], ret->v[i]) != 0)
            memmove(ret->v[kept++], ret->v[i], sizeof *ret->v);
    ret->n = kept;
    return rc;
}

static void name_of(const char *stem, bool msg, char ret[QUEUE20_STEM_LEN + 5])
{
    memcpy(ret, stem, QUEUE20_STEM_LEN);
    memcpy(ret + QUEUE20_STEM_LEN, msg ? ".msg" : ".db", msg ? 5 : 4);
}

/* `bytes`: of the .db, its first and last one. */
static int half_look(int dirfd, const char *name, struct queue20_half *h, struct stat *ret_st, char *bytes[2])
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc = 0;

    if (fd < 0 && errno == ENOENT)
        return 0;
    h->there = true;
    if (fd < 0 && errno != ELOOP && errno != ENXIO) /* these two: a symbolic link or a socket */
        return -errno;
    if ((fd < 0 ? fstatat(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW) : fstat(fd, ret_st)) < 0)
        rc = -errno;
    h->file = fd >= 0 && !rc && S_ISREG(ret_st->st_mode);
    h->size = h->file ? (uint64_t)ret_st->st_size : 0;
    h->changed_ms = rc ? 0 : stat_ms(ret_st);
    if (bytes && h->size > 0 && (pread(fd, bytes[0], 1, 0) < 0 || pread(fd, bytes[1], 1, ret_st->st_size - 1) < 0))
        rc = -errno;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* The text last, as it is the one that is worth something: a kill in between leaves it in the queue, alone. */
static int put_aside(const struct queue20 *q, int quarantine, const struct queue20_entry *e, const struct stat st[2])
{
    char name[QUEUE20_STEM_LEN + 5];

    for (unsigned msg = 0; msg < 2; msg++) {
        if (!(msg ? e->msg.there : e->db.there))
            continue;
        name_of(e->stem, msg != 0, name);
        int rc = quarantine_move(q->dirfd, name, quarantine, q->epoch, "qfiles.", &st[msg]);
        if (rc && rc != -ENOENT)
            return rc;
    }
    return 0;
}

static int faulty_treat(const struct queue20 *q, int *quarantine, const struct queue20_entry *e, enum queue20_fault fault,
                        const struct stat st[2], struct queue20_counts *c)
{
    if (!queue20_is_old(e, q->now_ms)) {
        c->young++;
        return 0;
    }
    c->faulty++;
    if (q->tell)
        q->tell(q->ctx, e->stem, fault);
    if (!q->change)
        return 0;
    if (*quarantine < 0)
        *quarantine = quarantine_open(q->dirfd);
    int rc = *quarantine < 0 ? *quarantine : put_aside(q, *quarantine, e, st);
    c->quarantined += !rc;
    return rc;
}

static int entry_treat(const struct queue20 *q, int *quarantine, const char *stem, struct queue20_counts *c)
{
    struct queue20_entry e = { .db_first = 0 };
    struct stat st[2] = { { 0 }, { 0 } };
    char name[QUEUE20_STEM_LEN + 5], *bytes[2] = { &e.db_first, &e.db_last };

    memcpy(e.stem, stem, sizeof e.stem);
    name_of(stem, false, name);
    int rc = half_look(q->dirfd, name, &e.db, &st[0], bytes);
    name_of(stem, true, name);
    if (!rc)
        rc = half_look(q->dirfd, name, &e.msg, &st[1], NULL);
    if (rc || (!e.db.there && !e.msg.there)) /* delivered meanwhile */
        return rc;
    enum queue20_fault fault = queue20_judge(&e);
    if (fault != QUEUE20_WHOLE)
        return faulty_treat(q, quarantine, &e, fault, st, c);
    c->whole++;
    uint64_t age = q->now_ms > e.msg.changed_ms ? q->now_ms - e.msg.changed_ms : 0;
    c->oldest_ms = age > c->oldest_ms ? age : c->oldest_ms;
    return 0;
}

int queue20_treat(const struct queue20 *q, struct queue20_counts *ret)
{
    struct stems s = { 0 };
    int quarantine = -1, rc = stems_list(q->dirfd, &s);

    *ret = (struct queue20_counts){ 0 };
    for (size_t i = 0; !rc && i < s.n; i++)
        rc = entry_treat(q, &quarantine, s.v[i], ret);
    if (quarantine >= 0)
        (void)close(quarantine);
    free(s.v);
    return rc;
}
