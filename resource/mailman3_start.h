/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the start action share. */
#ifndef UNDERSTUDY_MAILMAN3_START_H
#define UNDERSTUDY_MAILMAN3_START_H

#include "resource/dbprobe.h"
#include "resource/mailman3.h"
#include "resource/masterlock.h"
#include "resource/stagger.h"

#define MAILMAN3_SAID_MAX 65536 /* what the master and the runners may write to stderr, for ever */

struct start {
    struct mailman3 *m;
    struct dbprobe   db;
    pid_t            child;      /* the master, when we started it; else 0 */
    int              said;       /* its stderr, a file in memory; -1 when we did not start it */
    struct stagger   stagger;
    uint64_t         until_ms;   /* CLOCK_BOOTTIME */
};

/* Reads the master lock with the list user's rights. OCF_SUCCESS, or a code with the sentence printed. */
enum ocf_code mailman3_lock_read(const struct mailman3 *m, struct masterlock *ret);

/* Waits until the lock names us, the master and every runner live, and LMTP greets. Runners that are still held back
 * count as alive. The same. */
enum ocf_code mailman3_service_wait(struct start *s);

/* Lets the runners that are held back go, one after the other, and waits until all is as it should be. The same. */
enum ocf_code mailman3_runners_wait(struct start *s);

#endif
