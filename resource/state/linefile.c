/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/linefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

#define NAME_SIZE 64

static int lines_take(FILE *f, linefile_take *take, void *ctx)
{
    char  *line = NULL;
    size_t size = 0;
    int    rc = 0;

    for (ssize_t len; rc == 0 && (len = getline(&line, &size, f)) >= 0;) {
        bool whole = line[len - 1] == '\n';
        rc = take(ctx, line, (size_t)len - (size_t)whole, whole);
    }
    if (rc == 0 && ferror(f))
        rc = -EIO;
    free(line);
    return rc;
}

int linefile_read(int dirfd, const char *name, uid_t owner, off_t max, linefile_take *take, void *ctx)
{
    struct stat st;
    int         fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : errno == ELOOP || errno == ENXIO ? -EUCLEAN : -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_uid != owner || st.st_size > max)
        rc = -EUCLEAN;
    FILE *f = rc == 0 ? fdopen(fd, "r") : NULL;
    if (rc == 0 && !f)
        rc = -errno;
    if (!f) {
        (void)close(fd);
        return rc;
    }
    rc = lines_take(f, take, ctx);
    (void)fclose(f);
    return rc;
}

static int lines_write(int fd, linefile_write *write, const void *ctx)
{
    FILE *f = fdopen(fd, "w");
    int   rc = f ? 0 : -errno;

    if (!f) {
        (void)close(fd);
        return rc;
    }
    write(ctx, f);
    if (fflush(f) != 0 || fsync(fileno(f)) < 0)
        rc = -errno;
    else if (ferror(f))
        rc = -EIO;
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int linefile_replace(int dirfd, const char *name, linefile_write *write, const void *ctx)
{
    char temporary[NAME_SIZE];
    int  n = snprintf(temporary, sizeof temporary, ".%s.new", name);

    if (n < 0 || (size_t)n >= sizeof temporary)
        return -ENAMETOOLONG;
    if (unlinkat(dirfd, temporary, 0) < 0 && errno != ENOENT) /* of one that was killed */
        return -errno;
    int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    int rc = fd < 0 ? -errno : lines_write(fd, write, ctx);
    if (rc == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
        rc = -errno;
    if (rc != 0 && fd >= 0)
        (void)unlinkat(dirfd, temporary, 0);
    return rc != 0 ? rc : fsync(dirfd) < 0 ? -errno : 0;
}

int linefile_remove(int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return fsync(dirfd) < 0 ? -errno : 0;
}
