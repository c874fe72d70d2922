/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/pickle.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/banned.h"

#define PICKLE_STOP '.'

int pickle_judge(int fd, struct stat *ret_st)
{
    char last = 0;

    if (fstat(fd, ret_st) < 0)
        return -errno;
    if (!S_ISREG(ret_st->st_mode) || ret_st->st_size == 0)
        return 1;
    if (pread(fd, &last, 1, ret_st->st_size - 1) < 0)
        return -errno;
    return last != PICKLE_STOP;
}

int pickle_look(int dirfd, const char *name, enum pickle_shape *ret, struct stat *ret_st)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc;

    *ret = fd < 0 && errno == ENOENT ? PICKLE_ABSENT : PICKLE_BROKEN;
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && (errno == ELOOP || errno == ENXIO))
        return fstatat(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (fd < 0)
        return -errno;
    rc = pickle_judge(fd, ret_st);
    *ret = rc == 0 ? PICKLE_WHOLE : PICKLE_BROKEN;
    (void)close(fd);
    return rc < 0 ? rc : 0;
}
