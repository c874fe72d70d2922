/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/frozen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/fileio.h"
#include "common/num.h"

#include "common/banned.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)   /* by PTRACE_O_TRACESYSGOOD */
#define EVENT_STOP   128                /* PTRACE_EVENT_STOP of linux/ptrace.h, which glibc's header excludes */
#define SLICE_MS     20u

static long trace(int request, pid_t tid, uintptr_t data)
{
    return ptrace((enum __ptrace_request)request, tid, NULL, (void *)data);
}

static int thread_add(struct frozen *f, pid_t tid)
{
    if (f->n == FROZEN_THREADS_MAX)
        return -E2BIG;
    if (trace(PTRACE_SEIZE, tid, PTRACE_O_TRACESYSGOOD) != 0)
        return -errno;
    f->t[f->n++] = (struct frozen_thread){ .tid = tid, .place = SAFEPOINT_BUSY };
    return 0;
}

static bool thread_known(const struct frozen *f, pid_t tid)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->t[i].tid == tid)
            return true;
    return false;
}

/* Seizes the threads that are not traced yet. Their number, or -errno; one that has just ended is none. */
static int threads_add(struct frozen *f)
{
    char                 path[64];
    const struct dirent *d;
    int                  added = 0, rc = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)f->pid);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? -ESRCH : -errno;
    while (rc == 0 && (d = readdir(dir))) {
        uint32_t tid;
        if (num_parse_u32(d->d_name, 1, INT32_MAX, &tid) != 0 || thread_known(f, (pid_t)tid))
            continue;
        rc = thread_add(f, (pid_t)tid);
        added += rc == 0;
        rc = rc == -ESRCH ? 0 : rc;
    }
    (void)closedir(dir);
    return rc < 0 ? rc : added;
}

int frozen_begin(struct frozen *f, pid_t pid)
{
    sigset_t child;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL); /* thread_wait() takes it */
    memset(f, 0, sizeof *f);
    f->pid = pid;
    int rc = thread_add(f, pid);
    if (rc == 0)
        rc = threads_add(f);
    return rc < 0 ? rc : 0;
}

static void status_take(struct frozen_thread *t, int status)
{
    int signal_no = WSTOPSIG(status), event = status >> 16;

    t->stopped = true;
    t->stop_signal = event == EVENT_STOP && signal_no != SIGTRAP;
    if (event == 0 && signal_no != SYSCALL_STOP)
        t->signal = signal_no;
}

/* Until the thread stops. 0; -ESRCH when it has ended; -ETIMEDOUT. */
static int thread_wait(struct frozen_thread *t, uint64_t until_ms)
{
    sigset_t child;
    int      status;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    while (!t->stopped) {
        pid_t got = waitpid(t->tid, &status, __WALL | WNOHANG);
        if (got < 0 && errno != EINTR)
            return -ESRCH;
        if (got == t->tid && !WIFSTOPPED(status))
            return -ESRCH;
        if (got == t->tid) {
            status_take(t, status);
            continue;
        }
        uint64_t now_ms = clock_now_ms(), left_ms = now_ms < until_ms ? until_ms - now_ms : 0;
        if (left_ms == 0)
            return -ETIMEDOUT;
        const struct timespec slice = { 0, (long)(left_ms < SLICE_MS ? left_ms : SLICE_MS) * 1000000 };
        (void)sigtimedwait(&child, NULL, &slice);
    }
    return 0;
}

static void thread_go(struct frozen_thread *t, int request)
{
    if (t->stop_signal)
        request = PTRACE_LISTEN;
    t->stopped = false;
    (void)trace(request, t->tid, request == PTRACE_LISTEN ? 0 : (uintptr_t)t->signal); /* -ESRCH is seen by the wait */
    t->signal = 0;
}

static void thread_look(const struct frozen *f, struct frozen_thread *t, char *text, size_t size)
{
    char   path[80];
    size_t len = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/syscall", (long)f->pid, (long)t->tid);
    if (fileio_read(AT_FDCWD, path, text, size - 1, &len, NULL) != 0)
        len = 0;
    text[len] = '\0';
}

/* Stops the threads that are known. Those that have ended drop out; without the main thread there is no process. */
static int threads_stop(struct frozen *f, uint64_t until_ms)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->n; i++)
        if (!f->t[i].stopped)
            (void)trace(PTRACE_INTERRUPT, f->t[i].tid, 0);
    for (unsigned i = 0; i < f->n; i++) {
        int rc = thread_wait(&f->t[i], until_ms);
        if (rc == -ETIMEDOUT)
            return rc;
        if (rc != 0 && i == 0)
            return -ESRCH;
        if (rc != 0)
            f->t[i].tid = 0;
    }
    for (unsigned i = 0; i < f->n; i++)
        if (f->t[i].tid)
            f->t[kept++] = f->t[i];
    f->n = kept;
    return 0;
}

int frozen_stop(struct frozen *f, uint64_t until_ms)
{
    char text[256];
    int  rc;

    do {
        rc = threads_stop(f, until_ms);
        if (rc == 0)
            rc = threads_add(f);
    } while (rc > 0);
    for (unsigned i = 0; rc == 0 && i < f->n; i++) {
        thread_look(f, &f->t[i], text, sizeof text);
        f->t[i].place = f->t[i].stop_signal ? SAFEPOINT_BUSY : safepoint_place(text, f->t[i].place);
    }
    return rc;
}

void frozen_go(struct frozen *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->t[i].stopped)
            thread_go(&f->t[i], PTRACE_CONT);
}

int frozen_step(struct frozen *f, uint64_t until_ms)
{
    struct frozen_thread *t = &f->t[0];

    for (unsigned i = 1; i < f->n; i++) /* the main thread may need what they hold */
        if (f->t[i].stopped)
            thread_go(&f->t[i], PTRACE_CONT);
    for (;;) {
        struct __ptrace_syscall_info info = { 0 };

        thread_go(t, PTRACE_SYSCALL);
        int rc = thread_wait(t, until_ms);
        if (rc != 0)
            return rc;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, (void *)sizeof info, &info) <= 0)
            return -errno;
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        f->call = (long)info.entry.nr;
        for (unsigned i = 0; i < 6; i++)
            f->args[i] = info.entry.args[i];
        return 0;
    }
}

bool frozen_waits(const struct frozen *f, bool main_too)
{
    enum safepoint_place places[FROZEN_THREADS_MAX];

    for (unsigned i = 0; i < f->n; i++)
        places[i] = f->t[i].place;
    if (!main_too)
        places[0] = SAFEPOINT_SLEEP;
    return f->n > 0 && safepoint_waits(places, f->n);
}

pid_t frozen_busy(const struct frozen *f, long *ret_call)
{
    struct frozen_thread t = f->t[0];
    char                 text[256];

    for (unsigned i = 0; i < f->n; i++)
        if (f->t[i].place == SAFEPOINT_BUSY)
            t = f->t[i];
    thread_look(f, &t, text, sizeof text);
    *ret_call = safepoint_call(text);
    return t.tid;
}

int frozen_reap(struct frozen *f, uint64_t until_ms)
{
    int rc = 0;

    while (f->n > 0 && rc != -ETIMEDOUT) { /* the main thread last: it is not given back before the others are */
        struct frozen_thread *t = &f->t[f->n - 1];
        t->stopped = false;
        rc = thread_wait(t, until_ms);
        f->n -= rc == -ESRCH;
    }
    return f->n > 0 ? -ETIMEDOUT : 0;
}
