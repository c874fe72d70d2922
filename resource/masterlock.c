/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/masterlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fileio.h"
#include "common/num.h"
#include "resource/state/lock_name.h"

#include "common/banned.h"

#define LOCK_TEXT_MAX 4096

static bool host_good(const char *host)
{
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return len > 0 && host[len] == '\0';
}

const char *masterlock_name(enum config_list_kind kind)
{
    return lock_name_master(lock_grammar_of(kind));
}

static void owner_set(const char *host, const char *pid_text, struct masterlock *ret)
{
    uint32_t pid;

    if (!host_good(host) || strlen(host) >= sizeof ret->host || num_parse_u32(pid_text, 1, 1u << 30, &pid) != 0)
        return;
    memcpy(ret->host, host, strlen(host) + 1);
    ret->pid = (pid_t)pid;
    ret->state = MASTERLOCK_HELD;
}

/* PATH|HOST|PID|RANDOM */
static void parse_3(char *at, struct masterlock *ret)
{
    char    *field[4];
    unsigned n = 0;

    while (n < 4) {
        field[n++] = at;
        at = strchr(at, '|');
        if (!at)
            break;
        *at++ = '\0';
    }
    if (n == 4 && !at && *field[3] && strspn(field[3], "0123456789") == strlen(field[3]))
        owner_set(field[1], field[2], ret);
}

/* .../NAME.HOST.PID, and HOST may have dots. */
static void parse_2(char *text, const char *name, struct masterlock *ret)
{
    char  *slash = strrchr(text, '/'), *base = slash ? slash + 1 : text, *last;
    size_t len = strlen(name);

    if (strncmp(base, name, len) != 0 || base[len] != '.')
        return;
    char *host = base + len + 1;
    last = strrchr(host, '.');
    if (!last)
        return;
    *last = '\0';
    owner_set(host, last + 1, ret);
}

void masterlock_parse(enum config_list_kind kind, const char *text, size_t len, struct masterlock *ret)
{
    char copy[LOCK_TEXT_MAX + 1];

    ret->state = MASTERLOCK_MALFORMED;
    ret->host[0] = '\0';
    ret->pid = 0;
    if (len == 0 || len > LOCK_TEXT_MAX || memchr(text, '\0', len))
        return;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (kind == LIST_MAILMAN3)
        parse_3(copy, ret);
    else
        parse_2(copy, masterlock_name(kind), ret);
}

int masterlock_read(const char *lock_dir, enum config_list_kind kind, struct masterlock *ret)
{
    struct masterlock lock = { .state = MASTERLOCK_NONE };
    char              text[LOCK_TEXT_MAX];
    struct stat       st;
    size_t            len;
    int               dir = open(lock_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (dir < 0)
        return -errno;
    rc = fileio_read(dir, masterlock_name(kind), text, sizeof text, &len, &st);
    (void)close(dir);
    if (rc == 0) {
        masterlock_parse(kind, text, len, &lock);
        lock.links = (unsigned)st.st_nlink;
    } else if (rc == -EFBIG || rc == -ENOTSUP || rc == -ELOOP) {
        lock.state = MASTERLOCK_MALFORMED;
    } else if (rc != -ENOENT) {
        return rc;
    }
    *ret = lock;
    return 0;
}
