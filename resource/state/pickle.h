/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be said of a pickle without loading it: Python code could be in it, so nobody here ever does (reliability L9). */
#ifndef UNDERSTUDY_PICKLE_H
#define UNDERSTUDY_PICKLE_H

#include <sys/stat.h>

/* Finds empty files and nearly all that were cut off: a pickle ends with a full stop. 0 it may be whole, 1 it can not be, or no
 * regular file; or -errno. */
int pickle_judge(int fd, struct stat *ret_st);

enum pickle_shape { PICKLE_ABSENT, PICKLE_BROKEN, PICKLE_WHOLE };

/* The same of a name, which is not followed: a link, a fifo or a socket is BROKEN. `ret_st`: of what was judged, unless it is
 * absent. 0 or -errno. */
int pickle_look(int dirfd, const char *name, enum pickle_shape *ret, struct stat *ret_st);

#endif
