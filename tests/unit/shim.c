/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded by tests only: what a network file system can do to a program, by SHIM in the environment. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shim_is(const char *what)
{
    const char *shim = getenv("SHIM");

    return shim && !strcmp(shim, what);
}

/* Somebody else on the share: a process of its own, made before the program gives up its system calls. */
static int to_other[2] = { -1, -1 }, from_other[2] = { -1, -1 };

/* The request is still on its way when the answer is given up; the server has looked its source up already. */
static void other_links_late(const char *dir, const char *oldpath, const char *newpath)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int held = linkat(fd, oldpath, fd, ".held", 0);

    (void)!write(from_other[1], "", 1);
    (void)poll(NULL, 0, 400);
    if (held == 0)
        (void)linkat(fd, ".held", fd, newpath, 0);
    (void)unlinkat(fd, ".held", 0);
    (void)close(fd);
}

/* Somebody else takes the name between the judgement and the rename. */
static void other_takes(const char *dir, const char *name)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = -1;
    struct stat st;

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(fd, name, 0) == 0)
        file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file >= 0) {
        (void)!fchown(file, st.st_uid, st.st_gid);
        (void)!write(file, "another's", 9);
        (void)close(file);
    }
    (void)close(fd);
    (void)!write(from_other[1], "", 1);
}

static void other_run(void)
{
    char  text[PIPE_BUF + 1];
    ssize_t n;

    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("SHIM");
    for (int i = 0; i < 3; i++) /* who waits for the end of the program's output must not wait for us */
        (void)close(i);
    (void)!open("/dev/null", O_RDWR);
    (void)!(dup(0) + dup(0));
    (void)close(to_other[1]);
    while ((n = read(to_other[0], text, PIPE_BUF)) > 0) {
        char *a, *b, *c = NULL;
        text[n] = '\0';
        a = text + 1;
        b = strchr(a, '\n');
        if (b)
            *b++ = '\0';
        if (b)
            c = strchr(b, '\n');
        if (c)
            *c++ = '\0';
        if (text[0] == 'L') {
            other_links_late(a, b, c);
        } else if (text[0] == 'T') {
            other_takes(a, b);
        } else {
            (void)!system(a);
            (void)!write(from_other[1], "", 1);
        }
    }
    _exit(0);
}

__attribute__((constructor)) static void other_start(void)
{
    if (!shim_is("link-late") && !shim_is("rename-swap") && !getenv("SHIM_AFTER") && !getenv("SHIM_COMMAND")
        && !getenv("SHIM_RENAME") && !getenv("SHIM_RENAMED"))
        return;
    if (pipe2(to_other, O_CLOEXEC) != 0 || pipe2(from_other, O_CLOEXEC) != 0)
        abort();
    if (fork() == 0)
        other_run();
}

/* `dir` < 0: `a` is a command of the shell. Returns when it is done. */
static void other_do(char kind, int dir, const char *a, const char *b)
{
    char fd[64], path[PATH_MAX] = "", text[PIPE_BUF];
    int  n;

    (void)snprintf(fd, sizeof fd, "/proc/self/fd/%d", dir);
    if (dir >= 0 && readlink(fd, path, sizeof path - 1) < 0)
        abort();
    n = dir >= 0 ? snprintf(text, sizeof text, "%c%s\n%s\n%s", kind, path, a, b) : snprintf(text, sizeof text, "%c%s", kind, a);
    if (n >= (int)sizeof text || write(to_other[1], text, (size_t)n) != n || read(from_other[0], text, 1) != 1)
        abort();
}

typedef int link_fn(int, const char *, int, const char *, int);

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
        other_do('L', olddir, oldpath, newpath);
        errno = EIO;
        return -1;
    }
    return real(olddir, oldpath, newdir, newpath, flags);
}

/* SHIM_RENAME runs at the first one: after the file that is moved was judged. SHIM_RENAMED runs after it. */
int renameat(int olddir, const char *oldpath, int newdir, const char *newpath)
{
    int (*real)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

    const char *before = getenv("SHIM_RENAME"), *after = getenv("SHIM_RENAMED");
    static int calls;
    int first = !calls++;

    if (before && first)
        other_do('C', -1, before, "");
    if (shim_is("rename-swap") && !strchr(oldpath, '|'))
        other_do('T', olddir, oldpath, "");
    if (first && shim_is("rename-stale")) { /* not done, and said in the words that we have for another's file */
        errno = ESTALE;
        return -1;
    }
    if (first && shim_is("rename-lies"))
        return 0;
    if (shim_is("rename-done-enoent")) {
        (void)real(olddir, oldpath, newdir, newpath);
        errno = ENOENT;
        return -1;
    }
    int rc = real(olddir, oldpath, newdir, newpath), saved = errno;
    if (after && first)
        other_do('C', -1, after, "");
    errno = saved;
    return rc;
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

    if (command && !strncmp(name, ".new.", 5))
        other_do('C', -1, command, "");
    return real(dir, name, flags);
}

/* Somebody else gets in between: SHIM_COMMAND runs at the second fsync, which is the one after our link. */
/* A file that its server does not answer for: SHIM_HANG. */
int openat(int dir, const char *name, int flags, ...)
{
    int       (*next)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
    const char *hang = getenv("SHIM_HANG");
    mode_t      mode = 0;
    va_list     ap;

    va_start(ap, flags);
    if (flags & O_CREAT)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    while (hang && !strcmp(name, hang))
        (void)poll(NULL, 0, -1);
    return next(dir, name, flags, mode);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    const char *command = getenv("SHIM_COMMAND");
    static int calls;

    if (command && ++calls == 2)
        other_do('C', -1, command, "");
    return real(fd);
}
