/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that is frozen by tracing it: its threads stop where we want them to, and the kernel lets them go on by
 * itself when the process that traces ends, however it ends: there is no other way to let go, and it works at once also
 * for a thread that hangs in the kernel. What is frozen has no stop signal pending. */
#ifndef UNDERSTUDY_FROZEN_H
#define UNDERSTUDY_FROZEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "resource/safepoint.h"

#define FROZEN_THREADS_MAX 64

struct frozen_thread {
    pid_t                tid;
    bool                 stopped;
    bool                 stop_signal;   /* stopped by somebody's SIGSTOP, and stays so */
    int                  signal;        /* came while it was traced: to be delivered when it goes on */
    enum safepoint_place place;
};

struct frozen {
    pid_t                pid;           /* 0 = nothing is held */
    unsigned             n;
    struct frozen_thread t[FROZEN_THREADS_MAX];   /* the first one is the main thread */
    long                 call;          /* after frozen_step(): what the main thread is about to do */
    uint64_t             args[6];
};

/* Begins to trace; it runs on. 0; -EPERM when another one traces it; -ESRCH; -E2BIG too many threads. */
int  frozen_begin(struct frozen *f, pid_t pid);
/* Stops every thread, also those made meanwhile, and fills `place`. 0; -ETIMEDOUT; -ESRCH when the process is gone. */
int  frozen_stop(struct frozen *f, uint64_t until_ms);
/* Lets all stopped threads run, still traced. */
void frozen_go(struct frozen *f);
/* The main thread, stopped, runs to the entry of its next system call, which is not done yet. As frozen_stop(). */
int  frozen_step(struct frozen *f, uint64_t until_ms);
/* Every thread waits, the main thread apart when it is at the entry of a call. */
bool frozen_waits(const struct frozen *f, bool main_too);
/* A thread that does not wait, or the main thread; *ret_call its system call, -1 = none. */
pid_t frozen_busy(const struct frozen *f, long *ret_call);
/* After a SIGKILL: until every thread of it is dead, and with it what it could still write. 0 or -ETIMEDOUT. */
int frozen_reap(struct frozen *f, uint64_t until_ms);

#endif
