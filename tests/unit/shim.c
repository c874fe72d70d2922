/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded by tests only: what a network file system can do to a program, by SHIM in the environment. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shim_is(const char *what)
{
    const char *shim = getenv("SHIM");

    return shim && !strcmp(shim, what);
}

typedef int link_fn(int, const char *, int, const char *, int);

/* The request is still on its way when the answer is given up; the server has looked its source up already. */
static void link_late(link_fn *real, int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
    if (fork() == 0) {
        int held = real(olddir, oldpath, olddir, ".held", flags);

        (void)close(1);
        (void)close(2);
        (void)poll(NULL, 0, 400);
        if (held == 0)
            (void)real(olddir, ".held", newdir, newpath, flags);
        (void)unlinkat(olddir, ".held", 0);
        _exit(0);
    }
    (void)poll(NULL, 0, 50);
}

int linkat(int olddir, const char *oldpath, int newdir, const char *newpath, int flags)
{
    link_fn *real = (link_fn *)dlsym(RTLD_NEXT, "linkat");

    if (shim_is("link-done-eexist")) { /* done, the reply lost, the repetition refused */
        (void)real(olddir, oldpath, newdir, newpath, flags);
        errno = EEXIST;
        return -1;
    }
    if (shim_is("link-done-eio")) {
        (void)real(olddir, oldpath, newdir, newpath, flags);
        errno = EIO;
        return -1;
    }
    if (shim_is("link-lies")) /* "success" and nothing is there: old BSD clients did so */
        return 0;
    if (shim_is("link-none-eexist")) {
        errno = EEXIST;
        return -1;
    }
    if (shim_is("link-late")) {
        link_late(real, olddir, oldpath, newdir, newpath, flags);
        errno = EIO;
        return -1;
    }
    return real(olddir, oldpath, newdir, newpath, flags);
}

int renameat(int olddir, const char *oldpath, int newdir, const char *newpath)
{
    int (*real)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

    if (shim_is("rename-swap") && !strchr(oldpath, '|') && unlinkat(olddir, oldpath, 0) == 0) {
        /* Somebody else takes the name between the judgement and the rename. */
        int fd = openat(olddir, oldpath, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd >= 0) {
            (void)!write(fd, "another's", 9);
            (void)close(fd);
        }
    }
    if (shim_is("rename-done-enoent")) {
        (void)real(olddir, oldpath, newdir, newpath);
        errno = ENOENT;
        return -1;
    }
    return real(olddir, oldpath, newdir, newpath);
}

/* The first listing of a directory never comes back, or late. */
DIR *fdopendir(int fd)
{
    DIR *(*real)(int) = (DIR *(*)(int))dlsym(RTLD_NEXT, "fdopendir");

    while (shim_is("share-hangs"))
        (void)poll(NULL, 0, 1000);
    if (shim_is("share-slow"))
        (void)poll(NULL, 0, 600);
    return real(fd);
}

/* A listing is not atomic: what is made while it runs may be missing from it, and what is made later be in it. */
struct dirent *readdir(DIR *dir)
{
    struct dirent *(*real)(DIR *) = (struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir");
    static int missed;
    struct dirent *d = real(dir);

    if (d && shim_is("list-misses") && !strcmp(d->d_name, "epoch.1") && !missed++)
        d = real(dir);
    return d;
}

/* SHIM_AFTER runs when a unique file is removed: after its link was looked at. */
int unlinkat(int dir, const char *name, int flags)
{
    int (*real)(int, const char *, int) = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
    const char *command = getenv("SHIM_AFTER");

    if (command && !strncmp(name, ".new.", 5)) {
        (void)unsetenv("LD_PRELOAD");
        (void)!system(command);
    }
    return real(dir, name, flags);
}

/* Somebody else gets in between: SHIM_COMMAND runs at the second fsync, which is the one after our link. */
int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    const char *command = getenv("SHIM_COMMAND");
    static int calls;

    if (command && ++calls == 2) {
        (void)unsetenv("LD_PRELOAD");
        (void)!system(command);
    }
    return real(fd);
}
