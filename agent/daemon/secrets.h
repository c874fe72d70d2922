/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What fence devices need and nobody may see: read once from files with safe modes, kept out of core dumps, and
 * wiped from whatever a fence program prints (reliability S4). */
#ifndef UNDERSTUDY_SECRETS_H
#define UNDERSTUDY_SECRETS_H

#include <stdio.h>
#include <sys/types.h>

#include "common/config.h"

#define SECRETS_FILE_MAX 3072u

struct secret {
    size_t len;
    char   text[SECRETS_FILE_MAX + 2]; /* key=value lines, terminated */
};

struct secrets {
    struct secret device[CONFIG_DEVICES_MAX];
};

/* Maps the memory and reads every secret_file; password_files are only looked at. Each mistake is a line in `errors`.
 * 0 or -errno. The caller gives it back to secrets_free(). */
int secrets_read(const struct config *cfg, uid_t owner, struct secrets **ret, FILE *errors);
void secrets_free(struct secrets *s);

/* Replaces every value of `s` that stands in text[len] by asterisks, in place. */
void secrets_scrub(const struct secret *s, char *text, size_t len);

#endif
