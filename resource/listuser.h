/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming the list user: for its programs by a child with a clean environment, for looking into its directories by
 * the file system uid, so that root never acts in a directory that the list user can write (reliability S1). */
#ifndef UNDERSTUDY_LISTUSER_H
#define UNDERSTUDY_LISTUSER_H

#include <stdbool.h>
#include <sys/types.h>

struct listuser {
    char  name[64];
    uid_t uid;
    gid_t gid;
};

struct listuser_io {
    int  in, out, err;      /* the child's 0, 1, 2; -1 = /dev/null; borrowed */
    bool session;           /* in a session of its own: it outlives us */
};

/* 0; -ENOENT no such user; -EPERM it is root, as which no list server runs. */
int listuser_find(const char *name, struct listuser *ret);

/* Starts argv as the list user. 0 and the child's pid (the caller reaps it), or -errno, also that of the exec. */
int listuser_spawn(const struct listuser *u, char *const argv[], const struct listuser_io *io, pid_t *ret_pid);

/* The calling process becomes the list user for good, with its groups. 0 or -errno; then end it. */
int listuser_become(const struct listuser *u);

/* From now on files are opened with the list user's rights; signals and everything else stay ours. 0 or -EPERM. */
int  listuser_files_enter(const struct listuser *u);
void listuser_files_leave(void);

#endif
