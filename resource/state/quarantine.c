/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
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

int quarantine_right(int quarantine)
{
    /* NFS hands flock() of a file to the server, but has none for directories: the kernel's own, for this node, applies. */
    if (flock(quarantine, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

bool quarantine_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int target_name(uint64_t epoch, const char *prefix, const char *name, char ret[TARGET_MAX])
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    (void)snprintf(ret, TARGET_MAX, "%" PRIu64 ".%016" PRIx64 ".%s%s", epoch, random, prefix, name);
    return 0;
}

/* linkat, never rename: who has made `name` again meanwhile keeps it, and then this stays where it is. */
static int put_back(int dirfd, const char *name, int there, const char *target)
{
    struct stat moved, found;
    int rc = linkat(there, target, dirfd, name, 0) < 0 && errno != EEXIST ? -errno : -ESTALE;

    if (fstatat(there, target, &moved, AT_SYMLINK_NOFOLLOW) == 0
        && fstatat(dirfd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && quarantine_same_file(&moved, &found)) {
        (void)unlinkat(there, target, 0);
        rc = -ESTALE;
    }
    return rc;
}

int quarantine_rename(int dirfd, const char *name, int there, const char *target, const struct stat *judged)
{
    struct stat st;

    if (judged && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !quarantine_same_file(&st, judged))
        return -ESTALE; /* who breaks locks without our right, as Mailman does, has come first */
    int moved = renameat(dirfd, name, there, target) < 0 ? -errno : 0;
    /* A lost reply says ENOENT of a rename that was done: what counts is what lies there now. */
    if (fstatat(there, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT && moved ? moved : -errno;
    if (!judged || quarantine_same_file(&st, judged))
        return 0;
    return put_back(dirfd, name, there, target);
}

int quarantine_move(int dirfd, const char *name, int quarantine, uint64_t epoch, const char *prefix,
                    const struct stat *judged)
{
    char target[TARGET_MAX];
    int rc = target_name(epoch, prefix, name, target);

    return rc ? rc : quarantine_rename(dirfd, name, quarantine, target, judged);
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
    if (quarantine_same_file(&st, judged))
        return 0;
    return unlinkat(quarantine, target, 0) < 0 ? -errno : -ESTALE;
}
