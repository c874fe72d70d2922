/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's boot id: which life of a machine something belongs to. */
#ifndef UNDERSTUDY_BOOTID_H
#define UNDERSTUDY_BOOTID_H

#include <stdbool.h>

#include "common/cpgmsg.h" /* struct id128 */

#define BOOTID_TEXT_SIZE 37 /* 36 characters and the terminator */

/* Reads /proc/sys/kernel/random/boot_id. 0, or -errno; -EBADMSG when it is not a UUID. */
int bootid_read(struct id128 *ret);
void bootid_format(const struct id128 *id, char ret[BOOTID_TEXT_SIZE]);
/* The 36 character form, either case. -EINVAL for anything else, and for all zeroes. */
int bootid_parse(const char *text, struct id128 *ret);
bool bootid_equal(const struct id128 *a, const struct id128 *b);
bool bootid_known(const struct id128 *id); /* not all zeroes */

#endif
