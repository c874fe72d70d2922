/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a frozen process of Mailman has nothing in its hands, as far as the kernel's own texts tell it (design: Stop
 * at a safe point). Pure. */
#ifndef UNDERSTUDY_SAFEPOINT_H
#define UNDERSTUDY_SAFEPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where a thread is. */
enum safepoint_place {
    SAFEPOINT_BUSY,   /* computing, or in a call within which something may be in its hands */
    SAFEPOINT_SLEEP,  /* in Python's own sleep, not in that of sqlite waiting for a lock */
    SAFEPOINT_LOOP,   /* in its event loop, or waiting for a signal or a child */
    SAFEPOINT_IDLE,   /* waiting for work without a limit, as a pool's thread does; not for the interpreter */
    SAFEPOINT_N
};

/* Of /proc/PID/task/TID/syscall. `before`: what the last look at this thread said; a call that was interrupted by that
 * look goes on as restart_syscall. Anything not understood is BUSY. */
enum safepoint_place safepoint_place(const char *text, enum safepoint_place before);
/* Its system call, -1 when it is in none or the text is not understood. */
long safepoint_call(const char *text);

/* A process waits as a whole: every thread does, and not all of them as idle ones. */
bool safepoint_waits(const enum safepoint_place *places, unsigned n);

/* The calls before which a queue runner is looked at: it sleeps between two looks into its queue, and it takes an entry
 * by renaming it. Only there the last message is committed to the database; right after its .bak is gone it is not. */
bool safepoint_is_mark(long call, const uint64_t args[6]);

/* Does process `pid` hold a lock (POSIX or FLOCK) by `text`, /proc/locks? One that it only waits for does not count,
 * but a text that cannot be understood does. `ret` gets the file as MAJOR:MINOR:INODE. */
bool safepoint_holds_lock(const char *text, pid_t pid, char *ret, size_t size);

/* The place of the runner of `queue` in the order of freezing: mail flows from lower to higher numbers. Out may give to retry
 * and virgin again; what then lies in the queue of a frozen runner waits there. */
unsigned safepoint_rank(const char *queue);
/* These have no queue; whoever is not known has one. */
bool safepoint_has_queue(const char *runner);

#endif
