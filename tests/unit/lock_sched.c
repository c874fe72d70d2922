/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "tests/unit/lock_sched.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHOICES_MAX 512
#define NOBODY      (-1)

static struct {
    const struct sched *s;
    pthread_mutex_t     lock;
    pthread_cond_t      turn_changed[SCHED_MAX + 1]; /* the last is the scheduler's */
    int                 turn;                        /* who runs; NOBODY = the scheduler */
    bool                done[SCHED_MAX];
    unsigned            faults_left;
    struct { unsigned n, taken; } choices[CHOICES_MAX];
    unsigned            n_choices, at;
    char                path[CHOICES_MAX + 1];
} w = { .lock = PTHREAD_MUTEX_INITIALIZER, .turn = NOBODY };

static __thread int self = NOBODY, right_fd = -1, looked_fd = -1;

/* Which of `n` ways this run takes here. Each run goes on where the one before it stopped. */
static unsigned choose(unsigned n)
{
    if (n < 2)
        return 0;
    if (w.at == CHOICES_MAX)
        abort();
    if (w.at == w.n_choices) {
        w.choices[w.at].n = n;
        w.choices[w.at].taken = 0;
        w.n_choices++;
    }
    if (w.choices[w.at].n != n) /* the world is not the same in each run */
        abort();
    w.path[w.at] = (char)('0' + w.choices[w.at].taken);
    w.path[w.at + 1] = '\0';
    return w.choices[w.at++].taken;
}

static bool next_run(void)
{
    while (w.n_choices && w.choices[w.n_choices - 1].taken + 1 == w.choices[w.n_choices - 1].n)
        w.n_choices--;
    if (w.n_choices)
        w.choices[w.n_choices - 1].taken++;
    return w.n_choices > 0;
}

const char *sched_path(void)
{
    return w.path;
}

static void turn_give(int to)
{
    w.turn = to;
    (void)pthread_cond_signal(&w.turn_changed[to == NOBODY ? SCHED_MAX : to]);
}

static void turn_wait(int me)
{
    while (w.turn != me)
        (void)pthread_cond_wait(&w.turn_changed[me == NOBODY ? SCHED_MAX : me], &w.lock);
}

void sched_step(void)
{
    if (self == NOBODY)
        return;
    turn_give(NOBODY);
    turn_wait(self);
}

/* 0 = as it is; 1 = done, but the reply says no; 2 = not done. */
static unsigned fate(void)
{
    if (self == NOBODY || !w.faults_left)
        return 0;
    unsigned what = choose(3);
    w.faults_left -= what != 0;
    return what;
}

static void *body_run(void *arg)
{
    (void)pthread_mutex_lock(&w.lock);
    self = (int)(intptr_t)arg;
    turn_wait(self);
    w.s->body[self]((unsigned)self);
    w.done[self] = true;
    turn_give(NOBODY);
    (void)pthread_mutex_unlock(&w.lock);
    return NULL;
}

/* The one that goes on, if it can, is the first choice. */
static int who_runs(int last, int *switches)
{
    int who[SCHED_MAX];
    unsigned n = 0;

    if (last != NOBODY && !w.done[last])
        who[n++] = last;
    bool bound = n && *switches == 0;
    for (int i = 0; i < (int)w.s->n && !bound; i++)
        if (i != last && !w.done[i])
            who[n++] = i;
    if (!n)
        return NOBODY;
    int next = who[choose(n)];
    if (last != NOBODY && !w.done[last] && next != last && *switches > 0)
        (*switches)--;
    return next;
}

static void run_once(void)
{
    pthread_t threads[SCHED_MAX];
    int switches = w.s->switches, who = NOBODY;

    w.at = 0;
    w.path[0] = '\0';
    w.faults_left = w.s->faults;
    memset(w.done, 0, sizeof w.done);
    w.s->begin();
    for (unsigned i = 0; i < w.s->n; i++)
        if (pthread_create(&threads[i], NULL, body_run, (void *)(intptr_t)i) != 0)
            abort();
    while ((who = who_runs(who, &switches)) != NOBODY) {
        turn_give(who);
        turn_wait(NOBODY);
        w.s->check();
    }
    (void)pthread_mutex_unlock(&w.lock);
    for (unsigned i = 0; i < w.s->n; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_lock(&w.lock);
    w.s->end();
}

unsigned long sched_explore(const struct sched *s)
{
    unsigned long runs = 0;

    for (unsigned i = 0; i <= SCHED_MAX; i++)
        (void)pthread_cond_init(&w.turn_changed[i], NULL);
    w.s = s;
    w.n_choices = 0;
    (void)pthread_mutex_lock(&w.lock);
    do
        run_once();
    while (++runs && next_run());
    (void)pthread_mutex_unlock(&w.lock);
    return runs;
}

/* In the place of the C library's. */
pid_t __real_getpid(void);
pid_t __wrap_getpid(void);
int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstatat(int dir, const char *name, struct stat *st, int flags);
int __wrap_fstatat(int dir, const char *name, struct stat *st, int flags);
int __real_linkat(int olddir, const char *old, int newdir, const char *new, int flags);
int __wrap_linkat(int olddir, const char *old, int newdir, const char *new, int flags);
int __real_renameat(int olddir, const char *old, int newdir, const char *new);
int __wrap_renameat(int olddir, const char *old, int newdir, const char *new);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_fsync(int fd);
int __real_flock(int fd, int what);
int __wrap_flock(int fd, int what);
int __real_close(int fd);
int __wrap_close(int fd);

pid_t __wrap_getpid(void)
{
    return self == NOBODY ? __real_getpid() : w.s->pid[self];
}

static bool is_looked_at(const char *name)
{
    return w.s && w.s->looked_at && !strcmp(name, w.s->looked_at);
}

/* How many links it has is another's business, too. */
int __wrap_fstat(int fd, struct stat *st)
{
    if (fd == looked_fd && fd >= 0) {
        looked_fd = -1;
        sched_step();
    }
    return __real_fstat(fd, st);
}

static bool look_fails(void)
{
    if (self == NOBODY || !w.s->looks_fail || !w.faults_left || !choose(2))
        return false;
    w.faults_left--;
    errno = EIO;
    return true;
}

int __wrap_openat(int dir, const char *name, int flags, ...)
{
    va_list ap;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    if (((flags & O_CREAT) && !w.s->shared_only) || w.s->every_call || is_looked_at(name))
        sched_step();
    if (!(flags & O_CREAT) && look_fails())
        return -1;
    int fd = __real_openat(dir, name, flags, mode);
    if (self != NOBODY && is_looked_at(name))
        looked_fd = fd;
    return fd;
}

int __wrap_fstatat(int dir, const char *name, struct stat *st, int flags)
{
    if (w.s->every_call || is_looked_at(name))
        sched_step();
    if (look_fails())
        return -1;
    return __real_fstatat(dir, name, st, flags);
}

static int answer(unsigned what, int rc, int lost, int refused)
{
    if (what)
        errno = what == 1 ? lost : refused;
    return what ? -1 : rc;
}

int __wrap_linkat(int olddir, const char *old, int newdir, const char *new, int flags)
{
    sched_step();
    unsigned what = fate();
    return answer(what, what == 2 ? -1 : __real_linkat(olddir, old, newdir, new, flags), EEXIST, EIO);
}

int __wrap_renameat(int olddir, const char *old, int newdir, const char *new)
{
    sched_step();
    unsigned what = fate();
    return answer(what, what == 2 ? -1 : __real_renameat(olddir, old, newdir, new), ENOENT, EIO);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    if (!w.s->shared_only)
        sched_step();
    unsigned what = fate();
    return answer(what, what == 2 ? -1 : __real_unlinkat(dir, name, flags), ENOENT, EIO);
}

/* Nothing here survives the program, and no order depends on it. */
int __wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

int __wrap_flock(int fd, int what)
{
    sched_step();
    right_fd = fd;
    return __real_flock(fd, what);
}

/* Closing gives the right away. */
int __wrap_close(int fd)
{
    if (fd == right_fd && fd >= 0) {
        sched_step();
        right_fd = -1;
    }
    return __real_close(fd);
}
