/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every operation: judged by the rules, then done on the backing, held, or lied about. */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int root_fd = -1;
/* The answer to a lie needs attributes, which are asked for in the same thread. */
static _Thread_local const char *lied_path;
static _Thread_local struct stat lied_stat;

void do_open_root(int root)
{
    root_fd = root;
}

static int look(const char *path, const struct handle *h, struct stat *st)
{
    if (h)
        return fstat(h->fd, st) != 0 ? -errno : 0;
    return back_stat(root_fd, path, st);
}

int do_getattr(const char *path, const struct handle *h, struct stat *st)
{
    int rc;

    if (path && lied_path && strcmp(path, lied_path) == 0) {
        lied_path = NULL;
        *st = lied_stat;
        return 0;
    }
    struct verdict v = rules_judge(OP_GETATTR, h ? h->path : path, NULL);
    if (v.error < 0)
        return v.error;
    if (!h && v.kind == KIND_STALE && stale_stat(path, st, &rc))
        return rc;
    rc = look(path, h, st);
    if (rc == 0 && wire_settle(st->st_ino) == 0)    /* the size is that after the writes that were answered */
        rc = look(path, h, st);
    return rc;
}

static int lie(const struct call *c)
{
    if (c->op == OP_LINK && back_stat(root_fd, c->path, &lied_stat) == 0) {
        lied_stat.st_nlink++;
        lied_path = c->to;
    }
    return 0;
}

int do_change(const struct call *c)
{
    const char *to = c->op == OP_LINK || c->op == OP_RENAME ? c->to : NULL;
    struct verdict v = rules_judge(c->op, c->path, to);

    if (v.error < 0 && v.kind == KIND_NONE)
        return v.error;
    if (v.kind == KIND_LIED)
        return lie(c);
    int rc = v.kind == KIND_LATE ? wire_change(c, v.ms) : back_do(root_fd, c);
    if (rc == 0) {
        stale_touch(c->path);
        if (to)
            stale_touch(to);
    }
    return rc == 0 && v.kind == KIND_LOST ? v.error : rc;
}

/* The same of a file that is open, which may have no name any more. */
int do_change_open(const struct call *c, const struct handle *h)
{
    struct verdict v = rules_judge(c->op, h->path, NULL);
    int rc = -1;

    if (v.error < 0)
        return v.error;
    if (c->op == OP_CHMOD)
        rc = fchmod(h->fd, c->mode);
    else if (c->op == OP_CHOWN)
        rc = fchown(h->fd, c->uid, c->gid);
    else if (c->op == OP_UTIMENS)
        rc = futimens(h->fd, c->times);
    else if (wire_settle(h->ino) == 0)
        rc = ftruncate(h->fd, c->size);
    else
        errno = EIO;
    if (rc == 0)
        stale_touch(h->path);
    return rc != 0 ? -errno : 0;
}

int do_readlink(const char *path, char *text, size_t size)
{
    struct verdict v = rules_judge(OP_READLINK, path, NULL);
    ssize_t n = v.error < 0 ? -1 : readlinkat(root_fd, back_name(path), text, size - 1);

    if (v.error < 0)
        return v.error;
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

int do_statfs(const char *path, struct statvfs *ret)
{
    struct verdict v = rules_judge(OP_STATFS, path, NULL);

    if (v.error < 0)
        return v.error;
    return fstatvfs(root_fd, ret) != 0 ? -errno : 0;
}

/* -- directories */
static void list_present(const char *folder, const struct dirent *d, bool stale, list_each_fn each, void *ctx)
{
    const struct stat st = { .st_ino = d->d_ino, .st_mode = (mode_t)d->d_type << 12 };
    char path[4096];
    bool dots = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;

    (void)snprintf(path, sizeof path, "%s/%s", folder[1] ? folder : "", d->d_name);
    if (!stale || dots || !stale_hides(path))
        each(ctx, d->d_name, &st);
}

int do_readdir(const struct handle *h, list_each_fn each, void *ctx)
{
    struct verdict v = rules_judge(OP_READDIR, h->path, NULL);

    if (v.error < 0)
        return v.error;
    int fd = openat(h->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return -errno;
    bool stale = v.kind == KIND_STALE && stale_list(h->path, each, ctx);
    for (const struct dirent *d = readdir(dir); d; d = readdir(dir))
        list_present(h->path, d, stale, each, ctx);
    (void)closedir(dir);
    return 0;
}

/* -- files */
static int keep(int fd, const char *path, struct handle **ret)
{
    size_t length = strlen(path) + 1;
    struct handle *h = calloc(1, sizeof *h + length);
    struct stat st;

    if (!h || fstat(fd, &st) != 0) {
        free(h);
        (void)close(fd);
        return -ENOMEM;
    }
    h->fd = fd;
    h->ino = st.st_ino;
    memcpy(h->path, path, length);
    *ret = h;
    return 0;
}

int do_open(const char *path, int flags, struct handle **ret)
{
    struct verdict v = rules_judge(OP_OPEN, path, NULL);

    if (v.error < 0)
        return v.error;
    int fd = back_open(root_fd, path, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_DIRECT));
    if (fd == -ENOENT && stale_was(path))
        return -ESTALE;     /* a name of the past leads to a file that has gone */
    return fd < 0 ? fd : keep(fd, path, ret);
}

int do_create(const struct call *c, int flags, struct handle **ret)
{
    struct verdict v = rules_judge(OP_CREATE, c->path, NULL);

    if (v.error < 0)
        return v.error;
    int fd = back_create(root_fd, c, flags & ~(O_NOCTTY | O_DIRECT));
    if (fd < 0)
        return fd;
    stale_touch(c->path);
    return keep(fd, c->path, ret);
}

void do_close(struct handle *h)
{
    (void)close(h->fd);
    free(h);
}

int do_read(const struct handle *h, char *data, size_t size, off_t offset)
{
    struct verdict v = rules_judge(OP_READ, h->path, NULL);

    if (v.error < 0)
        return v.error;
    (void)wire_settle(h->ino);
    ssize_t n = pread(h->fd, data, size, offset);
    return n < 0 ? -errno : (int)n;
}

int do_write(const struct handle *h, const char *data, size_t size, off_t offset)
{
    struct verdict v = rules_judge(OP_WRITE, h->path, NULL);

    if (v.error < 0 && v.kind == KIND_NONE)
        return v.error;
    stale_touch(h->path);
    if (v.kind == KIND_LIED)
        return (int)size;
    if (v.kind == KIND_LATE)
        return (int)wire_write(h, data, size, offset, v.ms);
    ssize_t n = pwrite(h->fd, data, v.kind == KIND_SHORT ? (size + 1) / 2 : size, offset);
    if (n >= 0 && v.kind == KIND_LOST)
        return v.error;
    return n < 0 ? -errno : (int)n;
}

int do_flush(const struct handle *h)
{
    struct verdict v = rules_judge(OP_FLUSH, h->path, NULL);

    return v.error < 0 ? v.error : wire_settle(h->ino);
}

int do_fsync(const struct handle *h)
{
    struct verdict v = rules_judge(OP_FSYNC, h->path, NULL);

    if ((v.error < 0 && v.kind == KIND_NONE) || v.kind == KIND_LIED)
        return v.error;
    int rc = wire_settle(h->ino);
    if (rc == 0 && fsync(h->fd) != 0)
        rc = -errno;
    return rc == 0 && v.kind == KIND_LOST ? v.error : rc;
}
