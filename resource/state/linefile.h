/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small file of lines in a directory that others may write too: read as far as it is ours, and replaced as a whole. */
#ifndef UNDERSTUDY_LINEFILE_H
#define UNDERSTUDY_LINEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* A line, without its end; a last one without an end was torn off while it was written, and is not `whole`. Other than 0 ends the
 * reading. */
typedef int linefile_take(void *ctx, const char *line, size_t len, bool whole);
/* Writes all lines; an error of the stream is seen by the caller. */
typedef void linefile_write(const void *ctx, FILE *f);

/* Calls `take` with each line. 0, also when there is no such file; -EUCLEAN: what has that name is no
 * regular file of `owner`, or larger than `max` bytes, and nothing was taken; what `take` returned; or another -errno. */
int linefile_read(int dirfd, const char *name, uid_t owner, off_t max, linefile_take *take, void *ctx);

/* A temporary file .NAME.new, fsync, rename, fsync of the directory:
 * the old file or the new one is there at any moment. 0 or -errno, and the old one stands. */
int linefile_replace(int dirfd, const char *name, linefile_write *write, const void *ctx);
/* There is nothing to say any more. 0 or -errno. */
int linefile_remove(int dirfd, const char *name);

#endif
