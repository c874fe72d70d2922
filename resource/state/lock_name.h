/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Mailman 3 (flufl.lock) writes: the lock NAME and the claim file NAME|FQDN|PID|RANDOM are two links of one file,
 * whose text is the path of the claim file. Pure: names and texts only (reliability L6). */
#ifndef UNDERSTUDY_LOCK_NAME_H
#define UNDERSTUDY_LOCK_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"

#define LOCK_NAME_MAX 256 /* NAME_MAX and the terminator */

struct lock_claim {
    char  lock[LOCK_NAME_MAX];   /* name of the lock that it is for */
    char  host[CONFIG_TEXT_MAX]; /* as written; compare with the configured nodes only */
    pid_t pid;
};

bool lock_name_is_claim(const char *name);

/* 0, or -EBADMSG; `ret` is untouched unless 0 is returned. */
int lock_claim_parse(const char *name, size_t len, struct lock_claim *ret);

/* The text of a lock or a claim file: a path, whose last component must be a claim file's name. Nothing else of the
 * path is used, and the name only to be compared. 0 or -EBADMSG. */
int lock_text_parse(const char *text, size_t len, struct lock_claim *ret, char ret_name[LOCK_NAME_MAX]);

#endif
