/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder behind the mount. Names are resolved by the kernel above us, link by link, so nothing here follows one. */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/fsuid.h>

const char *back_name(const char *path)
{
    return path[1] ? path + 1 : ".";
}

int back_stat(int root, const char *path, struct stat *ret)
{
    return fstatat(root, back_name(path), ret, AT_SYMLINK_NOFOLLOW) != 0 ? -errno : 0;
}

int back_open(int root, const char *path, int flags)
{
    int fd = openat(root, back_name(path), flags | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* What is made belongs to who asks. These are of the calling thread alone. */
static void become(uid_t uid, gid_t gid)
{
    (void)setfsgid(gid);
    (void)setfsuid(uid);
}

static void return_to_root(void)
{
    (void)setfsuid(0);
    (void)setfsgid(0);
}

int back_create(int root, const struct call *call, int flags)
{
    become(call->uid, call->gid);
    int fd = openat(root, back_name(call->path), flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, call->mode);
    int rc = fd < 0 ? -errno : fd;

    return_to_root();
    return rc;
}

static int make_node(int root, const struct call *call)
{
    const char *name = back_name(call->path);
    int rc;

    become(call->uid, call->gid);
    if (call->op == OP_MKDIR)
        rc = mkdirat(root, name, call->mode);
    else if (call->op == OP_SYMLINK)
        rc = symlinkat(call->to, root, name);
    else
        rc = mknodat(root, name, call->mode, call->device);
    rc = rc != 0 ? -errno : 0;
    return_to_root();
    return rc;
}

static int truncate_named(int root, const struct call *call)
{
    int fd = back_open(root, call->path, O_WRONLY);

    if (fd < 0)
        return fd;
    int rc = ftruncate(fd, call->size) != 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

static int chmod_named(int root, const struct call *call)
{
    struct stat st;
    int rc = back_stat(root, call->path, &st);

    if (rc < 0 || S_ISLNK(st.st_mode))
        return rc < 0 ? rc : -EOPNOTSUPP;
    return fchmodat(root, back_name(call->path), call->mode, 0) != 0 ? -errno : 0;
}

int back_do(int root, const struct call *call)
{
    const char *name = back_name(call->path);
    int rc = -ENOSYS;

    switch ((unsigned int)call->op) {
    case OP_LINK:
        rc = linkat(root, name, root, back_name(call->to), 0);
        break;
    case OP_RENAME:
        rc = renameat2(root, name, root, back_name(call->to), call->flags);
        break;
    case OP_UNLINK:
        rc = unlinkat(root, name, 0);
        break;
    case OP_RMDIR:
        rc = unlinkat(root, name, AT_REMOVEDIR);
        break;
    case OP_MKDIR:
    case OP_SYMLINK:
    case OP_MKNOD:
        return make_node(root, call);
    case OP_CHMOD:
        return chmod_named(root, call);
    case OP_CHOWN:
        rc = fchownat(root, name, call->uid, call->gid, AT_SYMLINK_NOFOLLOW);
        break;
    case OP_TRUNCATE:
        return truncate_named(root, call);
    case OP_UTIMENS:
        rc = utimensat(root, name, call->times, AT_SYMLINK_NOFOLLOW);
        break;
    default:
        return -ENOSYS;
    }
    return rc != 0 ? -errno : 0;
}
