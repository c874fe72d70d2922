/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/banned.h"

#define TARGET_MAX 256 /* NAME_MAX and the terminator; a longer name is cut, the random part comes first */

int quarantine_open(int dirfd)
{
    struct stat st;

    if (mkdirat(dirfd, QUARANTINE_NAME, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(dirfd, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? -EPERM : -errno;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
        return fd;
    (void)close(fd);
    return -EPERM;
}

static int target_name(uint64_t epoch, const char *prefix, const char *name, char ret[TARGET_MAX])
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    (void)snprintf(ret, TARGET_MAX, "%" PRIu64 ".%016" PRIx64 ".%s%s", epoch, random, prefix, name);
    return 0;
}

/* linkat, never rename: who has made `name` again meanwhile keeps it, and then this stays in the quarantine. */
static int put_back(int dirfd, const char *name, int quarantine, const char *target)
{
    struct stat there, here;

    if (linkat(quarantine, target, dirfd, name, 0) < 0 && errno != EEXIST)
        return -errno;
    if (fstatat(quarantine, target, &there, AT_SYMLINK_NOFOLLOW) == 0
        && fstatat(dirfd, name, &here, AT_SYMLINK_NOFOLLOW) == 0
        && there.st_dev == here.st_dev && there.st_ino == here.st_ino)
        (void)unlinkat(quarantine, target, 0);
    return -ESTALE;
}

int quarantine_move(int dirfd, const char *name, int quarantine, uint64_t epoch, const char *prefix,
                    const struct stat *judged)
{
    char target[TARGET_MAX];
    struct stat st;
    int rc = target_name(epoch, prefix, name, target);

    if (rc)
        return rc;
    int moved = renameat(dirfd, name, quarantine, target) < 0 ? -errno : 0;
    /* A lost reply says ENOENT of a rename that was done: what counts is what lies there now. */
    if (fstatat(quarantine, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return moved ? moved : -errno;
    if (!judged || (st.st_dev == judged->st_dev && st.st_ino == judged->st_ino))
        return 0;
    return put_back(dirfd, name, quarantine, target);
}

int quarantine_keep(int dirfd, const char *name, int quarantine, uint64_t epoch, const char *prefix, const struct stat *judged)
{
    char target[TARGET_MAX];
    struct stat st;
    int rc = target_name(epoch, prefix, name, target);

    if (rc)
        return rc;
    int linked = linkat(dirfd, name, quarantine, target, 0) < 0 ? -errno : 0;
    /* The name is nobody else's: if it is there, the link was made, whatever the reply said. */
    if (fstatat(quarantine, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return linked ? linked : -errno;
    if (st.st_dev == judged->st_dev && st.st_ino == judged->st_ino)
        return 0;
    return unlinkat(quarantine, target, 0) < 0 ? -errno : -ESTALE;
}
