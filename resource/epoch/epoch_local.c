/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch_local.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/fileio.h"
#include "resource/epoch/epoch_file.h"

#include "common/banned.h"

#define FILE_NAME    "epoch.max"
#define CHECKED_NAME "epoch.checked"
#define LOCK_NAME    "epoch.lock"

static int local_read(int dirfd, const char *name, struct epoch_local *ret)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_file f;
    size_t len;
    int rc = fileio_read(dirfd, name, text, sizeof text, &len, NULL);

    if (rc == -ENOENT) {
        *ret = (struct epoch_local){ 0 };
        return 0;
    }
    if (rc == -EFBIG || rc == -ENOTSUP || rc == -ELOOP)
        return -EBADMSG;
    if (rc)
        return rc;
    if (epoch_file_parse(text, len, EPOCH_MAX, &f))
        return -EBADMSG;
    *ret = (struct epoch_local){ .max = f.n, .uuid = f.uuid };
    return 0;
}

static int dir_open(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int epoch_local_read(const char *dir, struct epoch_local *ret)
{
    int fd = dir_open(dir);

    if (fd == -ENOENT) {
        *ret = (struct epoch_local){ 0 };
        return 0;
    }
    if (fd < 0)
        return fd;
    int rc = local_read(fd, FILE_NAME, ret);
    (void)close(fd);
    return rc;
}

static int local_raise(int dirfd, uint64_t n, const struct id128 *uuid, struct epoch_local *ret)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_local l;
    int rc = local_read(dirfd, FILE_NAME, &l);

    if (rc)
        return rc;
    if (n > l.max || !bootid_known(&l.uuid)) {
        struct epoch_file f = { .kind = EPOCH_MAX, .n = n > l.max ? n : l.max, .uuid = *uuid };
        size_t len = epoch_file_format(&f, text);

        rc = fileio_write_durable(dirfd, FILE_NAME, text, len, 0644);
        if (rc)
            return rc;
        l = (struct epoch_local){ .max = f.n, .uuid = f.uuid };
    }
    *ret = l;
    return 0;
}

/* A process that is killed lets go of it; nobody holds it over more than a few calls on a local disk. */
static int lock_take(int dirfd)
{
    int fd = openat(dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    while (fd >= 0 && flock(fd, LOCK_EX) < 0)
        if (errno != EINTR) {
            int rc = -errno;
            (void)close(fd);
            return rc;
        }
    return fd < 0 ? -errno : fd;
}

static int locked(const char *dir, int (*change)(int, uint64_t, const struct id128 *, struct epoch_local *), uint64_t n,
                  const struct id128 *uuid, struct epoch_local *ret)
{
    int fd = dir_open(dir), lock = fd < 0 ? fd : lock_take(fd), rc = lock < 0 ? lock : change(fd, n, uuid, ret);

    if (lock >= 0)
        (void)close(lock);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int epoch_local_raise(const char *dir, uint64_t n, const struct id128 *uuid, struct epoch_local *ret)
{
    return locked(dir, local_raise, n, uuid, ret);
}

static int checked_write(int dirfd, uint64_t n, const struct id128 *uuid, struct epoch_local *ret)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_file f = { .kind = EPOCH_MAX, .n = n, .uuid = *uuid };
    size_t len = epoch_file_format(&f, text);

    (void)ret;
    return fileio_write_replace(dirfd, CHECKED_NAME, text, len, 0644);
}

int epoch_local_check(const char *dir, uint64_t n, const struct id128 *uuid)
{
    return locked(dir, checked_write, n, uuid, NULL);
}

uint64_t epoch_local_checked(const char *dir, const struct id128 *uuid)
{
    struct epoch_local l = { 0 };
    int fd = dir_open(dir);
    bool known = fd >= 0 && local_read(fd, CHECKED_NAME, &l) == 0 && bootid_equal(&l.uuid, uuid);

    if (fd >= 0)
        (void)close(fd);
    return known ? l.max : 0;
}
