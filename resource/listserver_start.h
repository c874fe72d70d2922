/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the start action share. */
#ifndef UNDERSTUDY_LISTSERVER_START_H
#define UNDERSTUDY_LISTSERVER_START_H

#include "resource/listserver.h"
#include "resource/masterlock.h"
#include "resource/stagger.h"

#define LISTSERVER_SAID_MAX 65536 /* what the master and the runners may write to stderr, for ever */

struct start {
    struct listserver               *m;
    const struct listserver_starter *starter;
    pid_t            child;      /* the master, when it is our child; else 0 */
    int              said;       /* its stderr, a file in memory; -1 when we did not start it */
    struct stagger   stagger;
    uint64_t         until_ms;   /* CLOCK_BOOTTIME */
};

/* Reads the master lock with the list user's rights. OCF_SUCCESS, or a code with the sentence printed. */
enum ocf_code listserver_lock_read(const struct listserver *m, struct masterlock *ret);

/* No start where there is a lock already. The same. */
enum ocf_code listserver_lock_refuses(const struct listserver *m);

/* A file in memory for what the list server says while it starts. -1 when there is none to be had. */
int listserver_said_make(void);
/* The last line of it, which says most, as a traceback does. */
void listserver_said_last(int fd, char *ret, size_t size);

/* Waits until the lock names us, the master and every runner live, and intake greets. Runners that are still held back
 * count as alive. The same. */
enum ocf_code listserver_service_wait(struct start *s);

/* Lets the runners that are held back go, one after the other, and waits until all is as it should be. The same. */
enum ocf_code listserver_runners_wait(struct start *s);

#endif
