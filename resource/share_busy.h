/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is mounted where, and which processes stand in the way of taking it down. From /proc alone: no path below the
 * mount point is looked up. */
#ifndef UNDERSTUDY_SHARE_BUSY_H
#define UNDERSTUDY_SHARE_BUSY_H

#include <stdbool.h>
#include <stdio.h>

#define SHARE_FSTYPE_MAX 64
#define SHARE_BUSY_MAX   16  /* processes that are named */
#define SHARE_BUSY_PATH  256 /* bytes of a path that are shown: a longer line would be no record */

/* Is something mounted exactly on `point`, by a text like /proc/self/mountinfo? 0, -EBADMSG, or -errno.
 * `ret_fstype` (of the topmost one) may be NULL; it is untouched when nothing is mounted. */
int share_mounted(FILE *mountinfo, const char *point, bool *ret_mounted, char ret_fstype[SHARE_FSTYPE_MAX]);

/* One record a process that has its working directory, its root, its program or an open file at or below `point`:
 * "busy pid=N uid=N comm=NAME by=cwd|root|exe|fd path=PATH". Ends with "busy-more n=N" when there are more. */
void share_busy_print(const char *point, FILE *out);

/* One such line. The name and the path are anybody's bytes, and are made words in place. Split out for tests. */
void share_busy_record(FILE *out, const char *pid, unsigned uid, char *comm, const char *by, char *path);

#endif
