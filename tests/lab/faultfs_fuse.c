/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mount, on libfuse. The kernel above keeps neither names nor attributes, so that a host sees at once what another one
 * does on the backing, as far as no rule says otherwise; pages it drops at each open, as an NFS client does. */
#include "faultfs.h"

#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS_MAX = 1000, WRITE_MAX = 65536 };  /* an operation that hangs keeps a thread */

static struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

static int handle_give(int rc, struct handle *const *h, struct fuse_file_info *fi)
{
    if (rc == 0)
        fi->fh = (uintptr_t)*h;
    return rc;
}

/* -- names and attributes */
static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    return do_getattr(path, fi ? handle_of(fi) : NULL, st);
}

static int op_link(const char *path, const char *to)
{
    return do_change(&(struct call){ .op = OP_LINK, .path = path, .to = to });
}

static int op_rename(const char *path, const char *to, unsigned int flags)
{
    return do_change(&(struct call){ .op = OP_RENAME, .path = path, .to = to, .flags = flags });
}

static int op_unlink(const char *path)
{
    return do_change(&(struct call){ .op = OP_UNLINK, .path = path });
}

static int op_rmdir(const char *path)
{
    return do_change(&(struct call){ .op = OP_RMDIR, .path = path });
}

static int make(enum op op, const char *path, const char *text, mode_t mode, dev_t device)
{
    const struct fuse_context *who = fuse_get_context();

    return do_change(&(struct call){ .op = op, .path = path, .to = text, .mode = mode, .device = device, .uid = who->uid,
                                     .gid = who->gid });
}

static int op_mkdir(const char *path, mode_t mode)
{
    return make(OP_MKDIR, path, NULL, mode, 0);
}

static int op_symlink(const char *text, const char *path)
{
    return make(OP_SYMLINK, path, text, 0, 0);
}

static int op_mknod(const char *path, mode_t mode, dev_t device)
{
    return make(OP_MKNOD, path, NULL, mode, device);
}

static int change(const struct call *call, const struct fuse_file_info *fi)
{
    return fi ? do_change_open(call, handle_of(fi)) : do_change(call);
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return change(&(struct call){ .op = OP_CHMOD, .path = path, .mode = mode }, fi);
}

static int op_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    return change(&(struct call){ .op = OP_CHOWN, .path = path, .uid = uid, .gid = gid }, fi);
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    return change(&(struct call){ .op = OP_TRUNCATE, .path = path, .size = size }, fi);
}

static int op_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
    return change(&(struct call){ .op = OP_UTIMENS, .path = path, .times = times }, fi);
}

static int op_readlink(const char *path, char *text, size_t size)
{
    return do_readlink(path, text, size);
}

static int op_statfs(const char *path, struct statvfs *ret)
{
    return do_statfs(path, ret);
}

/* -- directories */
struct listing {
    void *buffer;
    fuse_fill_dir_t fill;
};

static void list_one(void *ctx, const char *name, const struct stat *st)
{
    const struct listing *l = ctx;

    (void)l->fill(l->buffer, name, st, 0, 0);
}

static int op_opendir(const char *path, struct fuse_file_info *fi)
{
    struct handle *h = NULL;

    return handle_give(do_open(path, O_RDONLY | O_DIRECTORY, &h), &h, fi);
}

static int op_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *fi,
                      enum fuse_readdir_flags flags)
{
    struct listing l = { .buffer = buffer, .fill = fill };

    (void)path, (void)offset, (void)flags;
    return do_readdir(handle_of(fi), list_one, &l);
}

/* -- files */
static int op_open(const char *path, struct fuse_file_info *fi)
{
    struct handle *h = NULL;

    return handle_give(do_open(path, fi->flags, &h), &h, fi);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    const struct fuse_context *who = fuse_get_context();
    const struct call call = { .op = OP_CREATE, .path = path, .mode = mode, .uid = who->uid, .gid = who->gid };
    struct handle *h = NULL;

    return handle_give(do_create(&call, fi->flags, &h), &h, fi);
}

static int op_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)path;
    return do_read(handle_of(fi), data, size, offset);
}

static int op_write(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)path;
    return do_write(handle_of(fi), data, size, offset);
}

static int op_flush(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return do_flush(handle_of(fi));
}

static int op_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    do_close(handle_of(fi));
    return 0;
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path, (void)data_only;
    return do_fsync(handle_of(fi));
}

static void *op_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    conn->want &= ~(unsigned int)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    conn->max_write = WRITE_MAX;
    config->use_ino = 1;
    config->hard_remove = 1;
    config->nullpath_ok = 1;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    return NULL;
}

static const struct fuse_operations operations = {
    .getattr = op_getattr, .readlink = op_readlink, .mknod = op_mknod, .mkdir = op_mkdir, .unlink = op_unlink,
    .rmdir = op_rmdir, .symlink = op_symlink, .rename = op_rename, .link = op_link, .chmod = op_chmod, .chown = op_chown,
    .truncate = op_truncate, .open = op_open, .read = op_read, .write = op_write, .statfs = op_statfs, .flush = op_flush,
    .release = op_release, .fsync = op_fsync, .opendir = op_opendir, .readdir = op_readdir, .releasedir = op_release,
    .fsyncdir = op_fsync, .init = op_init,
    .create = op_create, .utimens = op_utimens,
};

int fuse_run(const char *name, const char *point, int root)
{
    char options[256];
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

    do_open_root(root);
    snprintf(options, sizeof options, "-ofsname=%s,subtype=faultfs,allow_other,default_permissions", name);
    if (fuse_opt_add_arg(&args, "faultfs") != 0 || fuse_opt_add_arg(&args, options) != 0)
        return -ENOMEM;
    struct fuse *fuse = fuse_new(&args, &operations, sizeof operations, NULL);
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    fuse_opt_free_args(&args);
    if (!fuse || !loop || fuse_mount(fuse, point) != 0)
        return -EIO;
    fuse_loop_cfg_set_max_threads(loop, THREADS_MAX);
    fuse_loop_cfg_set_idle_threads(loop, 8);
    bool told = write(STDOUT_FILENO, "ready\n", 6) == 6;
    int rc = told ? fuse_loop_mt(fuse, loop) : -EPIPE;
    fuse_loop_cfg_destroy(loop);
    fuse_unmount(fuse);
    fuse_destroy(fuse);
    return rc < 0 ? rc : 0;
}
