/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/tenure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/fileio.h"
#include "common/num.h"

#include "common/banned.h"

#define HEAD "understudy-tenure 1"

static bool name_ok(const char *s)
{
    return s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(s);
}

size_t tenure_format(const struct tenure *t, char buf[TENURE_TEXT_MAX])
{
    char boot[BOOTID_TEXT_SIZE];

    if (!name_ok(t->cluster) || !name_ok(t->node))
        return 0;
    bootid_format(&t->boot, boot);
    int n = snprintf(buf, TENURE_TEXT_MAX, HEAD "\ncluster=%s\nnode=%s\nepoch=%" PRIu64 "\nboot=%s\nrun=%016" PRIx64
                     "\nuntil_ms=%" PRIu64 "\nend=1\n", t->cluster, t->node, t->epoch, boot, t->run, t->until_ms);
    return n > 0 && n < TENURE_TEXT_MAX ? (size_t)n : 0;
}

/* The value of the next line, which has to be KEY=VALUE; NULL when it is another one. */
static char *value_next(char **rest, const char *key)
{
    char *line = strsep(rest, "\n");
    size_t n = strlen(key);

    return line && *rest && strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

static int name_take(const char *v, char ret[CONFIG_NAME_MAX])
{
    if (!v || !name_ok(v) || strlen(v) >= CONFIG_NAME_MAX)
        return -EBADMSG;
    memcpy(ret, v, strlen(v) + 1);
    return 0;
}

static int number_take(const char *v, uint64_t *ret)
{
    return v && num_parse_u64(v, 1, UINT64_MAX - 1, ret) == 0 ? 0 : -EBADMSG;
}

int tenure_parse(const char *text, size_t len, struct tenure *ret)
{
    char buf[TENURE_TEXT_MAX], *rest = buf;
    struct tenure t = { .epoch = 0 };

    if (len >= sizeof buf || memchr(text, '\0', len))
        return -EBADMSG;
    memcpy(buf, text, len);
    buf[len] = '\0';
    const char *head = strsep(&rest, "\n");
    if (strcmp(head, HEAD) != 0 || !rest)
        return -EBADMSG;
    if (name_take(value_next(&rest, "cluster"), t.cluster) || name_take(value_next(&rest, "node"), t.node)
        || number_take(value_next(&rest, "epoch"), &t.epoch))
        return -EBADMSG;
    const char *boot = value_next(&rest, "boot"), *run = boot ? value_next(&rest, "run") : NULL;
    if (!run || bootid_parse(boot, &t.boot) || num_parse_hex64(run, &t.run)
        || number_take(value_next(&rest, "until_ms"), &t.until_ms))
        return -EBADMSG;
    if (strcmp(rest, "end=1\n") != 0)
        return -EBADMSG;
    *ret = t;
    return 0;
}

static bool only_owner_writes(const struct stat *st, uid_t owner)
{
    return st->st_uid == owner && (st->st_mode & 022) == 0;
}

static enum tenure_fault fault_of(int rc)
{
    if (rc == -ENOENT)
        return TENURE_MISSING;
    return rc == -ELOOP || rc == -ENOTDIR || rc == -ENOTSUP || rc == -ENXIO ? TENURE_UNSAFE : TENURE_UNREADABLE;
}

static enum tenure_fault read_in(int dir, uid_t owner, struct tenure *ret)
{
    char text[TENURE_TEXT_MAX];
    struct stat st;
    size_t len;

    if (fstat(dir, &st) < 0)
        return TENURE_UNREADABLE;
    if (!only_owner_writes(&st, owner))
        return TENURE_UNSAFE;
    int rc = fileio_read(dir, TENURE_NAME, text, sizeof text, &len, &st);
    if (rc == -EFBIG)
        return TENURE_MALFORMED;
    if (rc)
        return fault_of(rc);
    if (!only_owner_writes(&st, owner))
        return TENURE_UNSAFE;
    return tenure_parse(text, len, ret) ? TENURE_MALFORMED : TENURE_SOUND;
}

enum tenure_fault tenure_read(const char *dir, uid_t owner, struct tenure *ret)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return fault_of(-errno);
    enum tenure_fault fault = read_in(fd, owner, ret);
    (void)close(fd);
    return fault;
}

enum tenure_fault tenure_check(const struct tenure *t, const char *cluster, const struct id128 *boot, uint64_t now_ms)
{
    if (strcmp(t->cluster, cluster) != 0)
        return TENURE_OTHER_CLUSTER;
    if (!bootid_equal(&t->boot, boot))
        return TENURE_OTHER_BOOT;
    /* One that holds longer than any permit can was not written by this clock. */
    if (now_ms >= t->until_ms || t->until_ms - now_ms > TENURE_AHEAD_MAX_MS)
        return TENURE_EXPIRED;
    return TENURE_SOUND;
}
