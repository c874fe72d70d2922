/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files, whole: bounded reads, durable writes. Names are relative to a directory's descriptor
 * (or AT_FDCWD), and the last component is never followed if it is a link. */
#ifndef UNDERSTUDY_FILEIO_H
#define UNDERSTUDY_FILEIO_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Reads a regular file of at most `size` bytes into `buf`, not terminated. `ret_st` may be NULL; it describes the
 * very file that was read. 0 or -errno; -EFBIG when it is longer, -ENOTSUP when it is not a regular file. */
int fileio_read(int dirfd, const char *name, char *buf, size_t size, size_t *ret_len, struct stat *ret_st);
/* What such an error of a file means, for a person. */
const char *fileio_why(int rc);

/* Replaces `name` as a whole: NAME.new, fsync, rename, fsync of the directory. Readers see the old or the new
 * content. 0 or -errno; on failure `name` has its old content, or (failed last fsync) the new one. */
int fileio_write_durable(int dirfd, const char *name, const char *data, size_t len, mode_t mode);

/* The same without fsync: for /run and for snapshots that may be lost with the machine. */
int fileio_write_replace(int dirfd, const char *name, const char *data, size_t len, mode_t mode);

/* Writes all of it, going on after EINTR and short writes. 0 or -errno. */
int fileio_write_all(int fd, const char *data, size_t len);

#endif
