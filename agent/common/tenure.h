/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenure token: the executor's word, on this node's /run, that this node may be active until a moment on its own
 * clock (design: The gate). It lies in a directory of root's own: in the engine's, whoever may write there could put
 * an old one back. Believed only together with epoch.N.own on the control share. */
#ifndef UNDERSTUDY_TENURE_H
#define UNDERSTUDY_TENURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/cpgmsg.h"

#define TENURE_NAME      "tenure"
#define TENURE_TEXT_MAX  512
#define TENURE_AHEAD_MAX_MS 60000u /* no permit lasts longer (permit_timeout) */

struct tenure {
    char         cluster[CONFIG_NAME_MAX];
    char         node[CONFIG_NAME_MAX];
    uint64_t     epoch;
    struct id128 boot;
    uint64_t     run;
    uint64_t     until_ms;          /* CLOCK_BOOTTIME */
};

enum tenure_fault {
    TENURE_SOUND,
    TENURE_MISSING,                 /* no token, or no directory for one: this node is not active */
    TENURE_UNREADABLE,              /* a system call failed */
    TENURE_UNSAFE,                  /* somebody else than `owner` could have made it, or it is no regular file */
    TENURE_MALFORMED,
    TENURE_OTHER_CLUSTER, TENURE_OTHER_BOOT, TENURE_EXPIRED,
    TENURE_FAULT_N
};

/* Writes the text of `t`; its length, or 0 when a name has a character that it may not have. */
size_t tenure_format(const struct tenure *t, char buf[TENURE_TEXT_MAX]);
/* Takes exactly what tenure_format() writes. 0 or -EBADMSG; `ret` is untouched unless 0. */
int tenure_parse(const char *text, size_t len, struct tenure *ret);

/* Reads DIR/tenure. Directory and file have to belong to `owner` (root, except in tests) and be writable by nobody
 * else; neither may be a symbolic link. `ret` is complete only when TENURE_SOUND is returned. */
enum tenure_fault tenure_read(const char *dir, uid_t owner, struct tenure *ret);
/* Is it of this cluster and this boot, and does it still hold at `now_ms`? */
enum tenure_fault tenure_check(const struct tenure *t, const char *cluster, const struct id128 *boot, uint64_t now_ms);

#endif
