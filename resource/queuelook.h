/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child that looks into the queues as the list user, so that root touches no share and a share that hangs keeps only
 * the child. Each answer is bounded by a time; after one that did not come in time the child is of no more use. */
#ifndef UNDERSTUDY_QUEUELOOK_H
#define UNDERSTUDY_QUEUELOOK_H

#include <stdint.h>
#include <sys/types.h>

#include "resource/listuser.h"

#define QUEUELOOK_NAME_MAX 256
#define QUEUELOOK_DIRS     3

struct queuelook {
    int   fd;        /* -1 = none, or no more to be asked */
    pid_t child;     /* 0 = none, or reaped */
};

struct queuelook_answer {
    int      rc;                          /* 0 or -errno of the look */
    uint32_t n;                           /* entries found */
    uint32_t age_ms;                      /* of the first one, since it was renamed or made */
    char     name[QUEUELOOK_NAME_MAX];    /* the first one's; "" = none */
    uint32_t major[QUEUELOOK_DIRS], minor[QUEUELOOK_DIRS]; /* of the file systems, queuelook_devices() only */
};

/* 0 or -errno; the paths are borrowed until queuelook_end(). `list_dir`: NULL = there is none. */
int queuelook_begin(struct queuelook *q, const struct listuser *u, const char *queue_dir, const char *lock_dir,
                    const char *list_dir);
/* Entries of `queue` that a runner of this slice has in its hands: .bak. 0 (see `rc` of the answer), or -ETIMEDOUT. */
int queuelook_bak(struct queuelook *q, const char *queue, unsigned slice, unsigned count, uint64_t until_ms,
                  struct queuelook_answer *ret);
/* Waits until entry `name` of `queue` is there no more: the answer's `n` is 0, or 1 when the time is over. */
int queuelook_gone(struct queuelook *q, const char *queue, const char *name, uint64_t until_ms,
                   struct queuelook_answer *ret);
/* Entries of `queue` that are being written: .tmp. One that is older than a minute was left behind long ago. */
int queuelook_tmp(struct queuelook *q, const char *queue, uint64_t until_ms, struct queuelook_answer *ret);
/* Claim files NAME.HOST.PID.COUNTER of Mailman 2 in the lock directory: locks that process `pid` of this host has, or waits for. */
int queuelook_locks(struct queuelook *q, const char *host, pid_t pid, uint64_t until_ms, struct queuelook_answer *ret);
/* Which file systems queues (0), locks (1) and lists (2) are on, as /proc/self/mountinfo numbers them; `n`: how many of these. */
int queuelook_devices(struct queuelook *q, uint64_t until_ms, struct queuelook_answer *ret);
/* Kills the child. 0 or -EBUSY: it hangs on the share and is not reaped; it only reads. */
int queuelook_end(struct queuelook *q);

#endif
