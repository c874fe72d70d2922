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

#include "common/banned.h"

#define LOCK_NAME     "master.lck"
#define LOCK_TEXT_MAX 4096

static bool host_good(const char *host)
{
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return len > 0 && host[len] == '\0';
}

void masterlock_parse(const char *text, size_t len, struct masterlock *ret)
{
    char     copy[LOCK_TEXT_MAX + 1];
    char    *field[4];
    unsigned n = 0;
    uint32_t pid;

    ret->state = MASTERLOCK_MALFORMED;
    ret->host[0] = '\0';
    ret->pid = 0;
    if (len == 0 || len > LOCK_TEXT_MAX || memchr(text, '\0', len))
        return;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *at = copy;
    while (n < 4) {
        field[n++] = at;
        at = strchr(at, '|');
        if (!at)
            break;
        *at++ = '\0';
    }
    if (n != 4 || at || !host_good(field[1]) || strlen(field[1]) >= sizeof ret->host)
        return;
    if (num_parse_u32(field[2], 1, 1u << 30, &pid) != 0 || !*field[3]
        || strspn(field[3], "0123456789") != strlen(field[3]))
        return;
    memcpy(ret->host, field[1], strlen(field[1]) + 1);
    ret->pid = (pid_t)pid;
    ret->state = MASTERLOCK_HELD;
}

int masterlock_read(const char *lock_dir, struct masterlock *ret)
{
    struct masterlock lock = { .state = MASTERLOCK_NONE };
    char              text[LOCK_TEXT_MAX];
    struct stat       st;
    size_t            len;
    int               dir = open(lock_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (dir < 0)
        return -errno;
    rc = fileio_read(dir, LOCK_NAME, text, sizeof text, &len, &st);
    (void)close(dir);
    if (rc == 0) {
        masterlock_parse(text, len, &lock);
        lock.links = (unsigned)st.st_nlink;
    } else if (rc == -EFBIG || rc == -ENOTSUP || rc == -ELOOP) {
        lock.state = MASTERLOCK_MALFORMED;
    } else if (rc != -ENOENT) {
        return rc;
    }
    *ret = lock;
    return 0;
}
