/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has a file of a file system open for writing, from /proc alone: the file system itself is not touched. */
#ifndef UNDERSTUDY_OPENFILES_H
#define UNDERSTUDY_OPENFILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPENFILES_NAME_MAX 256

struct openfiles_device {
    uint32_t major, minor;
};

struct openfile {
    pid_t pid;
    int   fd;
    char  name[OPENFILES_NAME_MAX];    /* as the kernel shows it; anybody's bytes */
};

/* The file system that descriptor `fd` of process `pid` is on, as /proc/PID/mountinfo numbers it: not always what stat
 * says. 0, or -errno of /proc; -ENOENT when the descriptor or its mount is gone. */
int openfiles_device(pid_t pid, int fd, uint32_t *ret_major, uint32_t *ret_minor);

/* Every descriptor for writing on one of the file systems, of processes of `uid` other than the `n_skip` ones. Fills up
 * to `max`; *ret_n is how many there are. 0, or -errno of /proc; -EAGAIN when some process could not be read. */
int openfiles_find(uid_t uid, const struct openfiles_device *devices, unsigned n_devices, const pid_t *skip,
                   unsigned n_skip, struct openfile *ret, unsigned max, unsigned *ret_n);

/* "flags:\t0100001" of an fdinfo text says: can be written. Split out for tests, like the next. */
bool openfiles_flags_write(const char *fdinfo);
/* The line of mount `id` in a mountinfo text. */
bool openfiles_mount_find(const char *mountinfo, uint64_t id, uint32_t *ret_major, uint32_t *ret_minor);

#endif
