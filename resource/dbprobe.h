/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The child that proves the database writable: mailman-db-probe --serve, run as the list user. Started early, so that
 * the interpreter is up when the first answer is needed. */
#ifndef UNDERSTUDY_DBPROBE_H
#define UNDERSTUDY_DBPROBE_H

#include <stddef.h>
#include <stdint.h>

#include "resource/listuser.h"

#define DBPROBE_WHY_MAX 256

struct dbprobe {
    pid_t pid;
    int   to, from;
};

/* 0 or -errno. The caller ends it by dbprobe_end(). */
int dbprobe_start(const struct listuser *u, const char *python, const char *script, const char *config,
                  struct dbprobe *ret);
/* One try. 0 writable; -EAGAIN not, `why` says what the database said; -ETIMEDOUT no answer until `until_ms` on
 * CLOCK_BOOTTIME; -EPIPE the child ended. `why` is always a text of printable characters. */
int dbprobe_ask(const struct dbprobe *p, uint64_t until_ms, char why[DBPROBE_WHY_MAX]);
/* Kills and reaps it, waiting a second at most: a process that hangs on a share does not die. 0 or -EBUSY. */
int dbprobe_end(struct dbprobe *p);

#endif
