/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has to be right before anything runs: identities and directories. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

int exec_identity_find(const char *name, struct exec_identity *ret)
{
    errno = 0;
    const struct passwd *pw = getpwnam(name); /* at start only: it may ask a directory server */

    if (!pw)
        return errno ? -errno : -ENOENT;
    ret->uid = pw->pw_uid;
    ret->gid = pw->pw_gid;
    ret->n_groups = EXEC_GROUPS;
    return getgrouplist(name, pw->pw_gid, ret->groups, &ret->n_groups) < 0 ? -E2BIG : 0;
}

/* Makes the directory if it is not there; what is in it is never touched. One that root or its owner has is used as it
 * is; anybody else's is refused. */
int exec_directory_make(const char *path, mode_t mode, const struct exec_identity *owner)
{
    struct stat st;
    bool made = mkdir(path, 0700) == 0;
    int rc = 0;

    if (!made && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (st.st_uid != owner->uid && st.st_uid != geteuid())
        rc = -EPERM;
    else if (st.st_uid != owner->uid && fchown(fd, owner->uid, owner->gid) < 0)
        rc = -errno;
    if (rc == 0 && made && (fchown(fd, owner->uid, owner->gid) < 0 || fchmod(fd, mode) < 0))
        rc = -errno;
    if (rc < 0) {
        (void) close(fd);
        return rc;
    }
    return fd;
}
