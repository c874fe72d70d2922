/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/banned.h"

static int read_all(int fd, char *buf, size_t size, size_t *ret_len)
{
    size_t len = 0;

    for (;;) {
        char beyond;
        bool full = len == size;
        ssize_t n = read(fd, full ? &beyond : buf + len, full ? 1 : size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        if (full)
            return -EFBIG;
        len += (size_t) n;
    }
    *ret_len = len;
    return 0;
}

int fileio_read(int dirfd, const char *name, char *buf, size_t size, size_t *ret_len, struct stat *ret_st)
{
    /* O_NONBLOCK: a fifo put there must not hang us; it is refused below. */
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int rc;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (!S_ISREG(st.st_mode))
        rc = -ENOTSUP;
    else
        rc = read_all(fd, buf, size, ret_len);
    (void) close(fd);
    if (rc == 0 && ret_st)
        *ret_st = st;
    return rc;
}

const char *fileio_why(int rc)
{
    if (rc == -ELOOP)
        return "it is a symbolic link, which is not followed";
    if (rc == -ENOTSUP || rc == -ENXIO) /* a socket says ENXIO */
        return "it is not a regular file";
    return rc == -EFBIG ? "it is far too large to be one" : strerror(-rc);
}

int fileio_write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t) n;
    }
    return 0;
}

/* The directory that holds `name`, which may itself contain a path. */
static int sync_parent(int dirfd, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s", name);

    if (n < 0 || (size_t) n >= sizeof path)
        return -ENAMETOOLONG;
    int fd = openat(dirfd, dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    (void) close(fd);
    return rc;
}

static int write_new(int dirfd, const char *tmp, const char *data, size_t len, mode_t mode, bool durable)
{
    if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
        return -errno;
    int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    int rc = fchmod(fd, mode) < 0 ? -errno : 0; /* exactly this mode, whatever the umask */
    if (rc == 0)
        rc = fileio_write_all(fd, data, len);
    if (rc == 0 && durable && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int replace(int dirfd, const char *name, const char *data, size_t len, mode_t mode, bool durable)
{
    char tmp[PATH_MAX];
    int n = snprintf(tmp, sizeof tmp, "%s.new", name);

    if (n < 0 || (size_t) n >= sizeof tmp)
        return -ENAMETOOLONG;
    int rc = write_new(dirfd, tmp, data, len, mode, durable);
    if (rc == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
        rc = -errno;
    if (rc < 0) {
        (void) unlinkat(dirfd, tmp, 0);
        return rc;
    }
    return durable ? sync_parent(dirfd, name) : 0;
}

int fileio_write_durable(int dirfd, const char *name, const char *data, size_t len, mode_t mode)
{
    return replace(dirfd, name, data, len, mode, true);
}

int fileio_write_replace(int dirfd, const char *name, const char *data, size_t len, mode_t mode)
{
    return replace(dirfd, name, data, len, mode, false);
}
