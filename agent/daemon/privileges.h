/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of root's capabilities the executor keeps, and which a child that runs as root is left (reliability S1, S10). The
 * unprivileged children have none and can gain none. */
#ifndef UNDERSTUDY_PRIVILEGES_H
#define UNDERSTUDY_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"

/* Sets of capabilities, as bits by their numbers in linux/capability.h. */
uint64_t privileges_of_job(enum job j);      /* of one that runs as root */
uint64_t privileges_of_executor(bool mounts); /* all that it or a job may need; mounts: list_mount = with-service */

/* For this thread, and what it starts, for good: nothing outside of `keep` can be had again, also not by exec of a set-user-ID
 * program. What is permitted stays effective only if the executor itself uses it. 0 or -errno; without CAP_SETPCAP
 * nothing changes, and that is no error. */
int privileges_keep(uint64_t keep);
/* The bounding set alone, in the same way. */
int privileges_bound(uint64_t keep);

#endif
