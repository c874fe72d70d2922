/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory for targets whose parser reads files; in memory, where that can be had. */
#ifndef UNDERSTUDY_FUZZ_DIR_H
#define UNDERSTUDY_FUZZ_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static char fuzz_dir_path[64];

static inline void fuzz_dir_remove(void)
{
    (void)rmdir(fuzz_dir_path);
}

/* Made once, gone with the program if the target leaves nothing in it. */
static inline int fuzz_dir(void)
{
    static int fd = -1;

    if (fd < 0) {
        (void)snprintf(fuzz_dir_path, sizeof fuzz_dir_path, "%s/understudy-fuzz.XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        PROMISE(mkdtemp(fuzz_dir_path));
        fd = open(fuzz_dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        PROMISE(fd >= 0 && atexit(fuzz_dir_remove) == 0);
    }
    return fd;
}

static inline void fuzz_dir_put(int dir, const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    PROMISE(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

/* Whatever lies there goes; a directory too, with the files in it. */
static inline void fuzz_dir_clear(int dir)
{
    DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (unlinkat(dir, e->d_name, 0) == 0)
            continue;
        int sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub >= 0) {
            fuzz_dir_clear(sub);
            (void)close(sub);
        }
        (void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
    }
    if (d)
        (void)closedir(d);
}

#endif
