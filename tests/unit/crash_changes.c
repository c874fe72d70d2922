/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "tests/unit/crash_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#define FILES_MAX 4096

/* What the call is called by, and where its path is (its descriptor, if `path` < 0). */
enum kind { NAMES, OPENS, WRITES, SYNCS, SYNCS_ALL };
static const struct { long number; const char *name; enum kind kind; int path, flags; } calls[] = {
    { SYS_openat, "openat", OPENS, 1, 2 }, { SYS_mkdirat, "mkdirat", NAMES, 1, -1 }, { SYS_linkat, "linkat", NAMES, 3, -1 },
    { SYS_renameat2, "renameat2", NAMES, 1, -1 }, { SYS_unlinkat, "unlinkat", NAMES, 1, -1 },
    { SYS_symlinkat, "symlinkat", NAMES, 2, -1 }, { SYS_mknodat, "mknodat", NAMES, 1, -1 },
    { SYS_fchmodat, "fchmodat", NAMES, 1, -1 }, { SYS_fchownat, "fchownat", NAMES, 1, -1 },
    { SYS_truncate, "truncate", NAMES, 0, -1 }, { SYS_utimensat, "utimensat", NAMES, -1, -1 },
    { SYS_fchmod, "fchmod", NAMES, -1, -1 }, { SYS_fchown, "fchown", NAMES, -1, -1 },
    { SYS_ftruncate, "ftruncate", NAMES, -1, -1 }, { SYS_fallocate, "fallocate", NAMES, -1, -1 },
    { SYS_write, "write", WRITES, -1, -1 }, { SYS_pwrite64, "pwrite64", WRITES, -1, -1 },
    { SYS_writev, "writev", WRITES, -1, -1 }, { SYS_pwritev, "pwritev", WRITES, -1, -1 },
    { SYS_copy_file_range, "copy_file_range", WRITES, -1, -1 }, { SYS_sendfile, "sendfile", WRITES, -1, -1 },
    { SYS_fsync, "fsync", SYNCS, -1, -1 }, { SYS_fdatasync, "fdatasync", SYNCS, -1, -1 },
    { SYS_syncfs, "syncfs", SYNCS_ALL, -1, -1 }, { SYS_sync, "sync", SYNCS_ALL, -1, -1 },
#ifdef SYS_renameat
    { SYS_renameat, "renameat", NAMES, 1, -1 },
#endif
#ifdef SYS_open
    { SYS_open, "open", OPENS, 0, 1 }, { SYS_creat, "creat", NAMES, 0, -1 }, { SYS_mkdir, "mkdir", NAMES, 0, -1 },
    { SYS_rmdir, "rmdir", NAMES, 0, -1 }, { SYS_link, "link", NAMES, 1, -1 }, { SYS_rename, "rename", NAMES, 0, -1 },
    { SYS_unlink, "unlink", NAMES, 0, -1 }, { SYS_symlink, "symlink", NAMES, 1, -1 }, { SYS_mknod, "mknod", NAMES, 0, -1 },
    { SYS_chmod, "chmod", NAMES, 0, -1 }, { SYS_chown, "chown", NAMES, 0, -1 }, { SYS_lchown, "lchown", NAMES, 0, -1 },
#endif
};

/* Regular files that were written to, with a descriptor of our own. */
static struct file { int fd; dev_t dev; ino_t ino; off_t synced; bool dirty; } files[FILES_MAX];
static unsigned n_files;

static void text_peek(pid_t pid, uint64_t address, char *ret, size_t size)
{
    struct iovec here = { ret, size - 1 }, there = { (void *)(uintptr_t)address, size - 1 };
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

    for (size_t less = 4096 - address % 4096; n < 0 && less < size; less = size) { /* the next page is not there */
        here.iov_len = there.iov_len = less;
        n = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    ret[n < 0 ? 0 : n] = '\0';
}

static void fd_path(pid_t pid, int fd, char *ret, size_t size)
{
    (void)snprintf(ret, size, "/proc/%d/fd/%d", (int)pid, fd);
}

static bool is_regular(pid_t pid, int fd, struct stat *ret)
{
    char path[64];

    fd_path(pid, fd, path, sizeof path);
    return stat(path, ret) == 0 && S_ISREG(ret->st_mode);
}

static void fd_name(pid_t pid, int fd, char *ret, size_t size)
{
    char path[64];

    fd_path(pid, fd, path, sizeof path);
    ssize_t n = readlink(path, ret, size - 1);
    ret[n < 0 ? 0 : n] = '\0';
}

bool change_find(pid_t pid, uint64_t number, const uint64_t *args, struct change *ret)
{
    struct stat st;
    size_t i = 0;

    while (i < sizeof calls / sizeof calls[0] && (uint64_t)calls[i].number != number)
        i++;
    if (i == sizeof calls / sizeof calls[0])
        return false;
    *ret = (struct change){ .call = calls[i].name, .fd = -1, .is_write = calls[i].kind == WRITES,
                            .is_sync = calls[i].kind == SYNCS };
    if (calls[i].kind == OPENS && !(args[calls[i].flags] & (O_CREAT | O_TRUNC)))
        return false;
    if (calls[i].path >= 0) {
        text_peek(pid, args[calls[i].path], ret->what, sizeof ret->what);
        return true;
    }
    ret->fd = (int)args[0];
    if (ret->is_write && !is_regular(pid, ret->fd, &st))
        return false;
    fd_name(pid, ret->fd, ret->what, sizeof ret->what);
    return true;
}

static struct file *file_of(pid_t pid, int fd, const struct stat *st)
{
    char path[64];

    for (unsigned i = 0; i < n_files; i++)
        if (files[i].dev == st->st_dev && files[i].ino == st->st_ino)
            return &files[i];
    fd_path(pid, fd, path, sizeof path);
    int own = n_files < FILES_MAX ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (own < 0)
        return NULL;
    files[n_files] = (struct file){ .fd = own, .dev = st->st_dev, .ino = st->st_ino };
    return &files[n_files++];
}

void change_done(pid_t pid, const struct change *c)
{
    struct stat st;
    struct file *f = (c->is_write || c->is_sync) && is_regular(pid, c->fd, &st) ? file_of(pid, c->fd, &st) : NULL;

    if (!f)
        return;
    f->dirty = c->is_write;
    if (c->is_sync)
        f->synced = st.st_size;
}

void changes_lose(void)
{
    for (unsigned i = 0; i < n_files; i++)
        if (files[i].dirty && ftruncate(files[i].fd, files[i].synced) < 0)
            abort();
}

#if defined __x86_64__
#define OFFSET(name)    offsetof(struct user_regs_struct, name)
#define REGISTER(which) ((which) == CALL_NUMBER ? OFFSET(orig_rax) : OFFSET(rdx))
int call_set(pid_t pid, int which, uint64_t value)
{
    return ptrace(PTRACE_POKEUSER, pid, (void *)REGISTER(which), (void *)(uintptr_t)value) < 0 ? -1 : 0;
}
#else
/* The kill alone keeps the call from being made (ptrace(2)); there is no half of it. */
int call_set(pid_t pid, int which, uint64_t value)
{
    (void)pid;
    (void)value;
    errno = ENOTSUP;
    return which == CALL_NUMBER ? 0 : -1;
}
#endif
