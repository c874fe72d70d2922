/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/stagger.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/banned.h"

#define START_CPU_MS    800u  /* what a runner computes until it is past the locks */
#define GAP_MAX_MS      400u  /* of computing between two runners */
#define GAP_MIN_MS      150u
#define PATIENCE        8u    /* so many gaps of real time at most: the last one may sleep */
#define YOUNG_MS        250u  /* since the last look: an older one may hold a lock already */

void stagger_begin(struct stagger *s, const struct listserver *m, pid_t master, uint64_t now_ms)
{
    long     cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t gap_ms = START_CPU_MS / (cpus > 1 ? (uint32_t)cpus : 1);

    memset(s, 0, sizeof *s);
    s->m = m;
    s->last_ms = now_ms;
    s->gap_ms = gap_ms > GAP_MAX_MS ? GAP_MAX_MS : gap_ms < GAP_MIN_MS ? GAP_MIN_MS : gap_ms;
    for (unsigned i = 0; i < m->n_runners; i++)
        if (!strcmp(m->runners[i].name, "lmtp"))
            s->master = master;
}

/* Reads a file of /proc as text. Returns its length, 0 when it cannot be read. */
static size_t proc_read(const char *path, char *buf, size_t size)
{
    int     fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, buf, size - 1) : 0;

    if (fd >= 0)
        (void)close(fd);
    buf[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* Which expected runner the process is, or -1; also before its exec, when it still looks like the master. */
static int runner_index(const struct stagger *s, pid_t pid, struct listproc *ret)
{
    char   path[64], text[LISTPROC_CMDLINE_MAX];

    (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    size_t len = proc_read(path, text, sizeof text);
    if (len == 0 || !listproc_match(text, len, &s->m->service, ret) || ret->kind != LISTPROC_RUNNER)
        return -1;
    for (unsigned i = 0; i < s->m->n_runners; i++)
        if (!strcmp(s->m->runners[i].name, ret->runner) && s->m->runners[i].slice == ret->slice)
            return (int)i;
    return -1;
}

/* Processor time that the process has used, in milliseconds. */
static uint64_t cpu_ms(pid_t pid)
{
    struct timespec used;
    clockid_t       clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return UINT64_MAX; /* gone: not to be waited for */
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static void turn_begin(struct stagger *s, pid_t pid, uint64_t now_ms)
{
    s->turn = pid;
    s->turn_cpu_ms = cpu_ms(pid);
    s->turn_ms = now_ms;
}

/* Has the last one that may run got ahead far enough? By its processor time, which means the same on a busy machine. */
static bool turn_over(const struct stagger *s, uint64_t now_ms)
{
    uint64_t used_ms = cpu_ms(s->turn);

    return used_ms == UINT64_MAX || used_ms >= s->turn_cpu_ms + s->gap_ms || now_ms >= s->turn_ms + PATIENCE * s->gap_ms;
}

/* The pid is safe to signal: it is a child of our child, which reaps nobody before its first signal. */
static void child_look(struct stagger *s, pid_t pid, uint64_t now_ms)
{
    struct listproc p = { 0 };
    int             i = runner_index(s, pid, &p);

    if (i < 0 || s->runner[i].seen)
        return;
    s->runner[i].seen = true;
    s->runner[i].pid = pid;
    if (!strcmp(p.runner, "lmtp"))
        turn_begin(s, pid, now_ms);
    else if (now_ms < s->last_ms + YOUNG_MS && kill(pid, SIGSTOP) == 0) {
        s->runner[i].held = true;
        s->n_held++;
    }
}

pid_t stagger_child_next(const char **at)
{
    while (**at) {
        uint64_t pid = 0;
        size_t   n = 0;
        for (; (*at)[n] >= '0' && (*at)[n] <= '9'; n++)
            pid = n < 10 ? pid * 10 + (uint64_t)((*at)[n] - '0') : 0;
        char after = (*at)[n];
        *at += n + (after != '\0');
        if (after == ' ' && pid > 0 && pid <= INT32_MAX)
            return (pid_t)pid;
    }
    return 0;
}

static void children_look(struct stagger *s, uint64_t now_ms)
{
    char  path[64], text[4096];
    pid_t pid;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)s->master, (long)s->master);
    if (proc_read(path, text, sizeof text) == 0)
        return;
    for (const char *at = text; (pid = stagger_child_next(&at)) > 0;)
        child_look(s, pid, now_ms);
}

static void runner_continue(struct stagger *s, unsigned i)
{
    s->runner[i].held = false;
    s->n_held--;
    (void)kill(s->runner[i].pid, SIGCONT);
}

void stagger_step(struct stagger *s, uint64_t now_ms)
{
    unsigned i = 0;

    if (s->master == 0)
        return;
    children_look(s, now_ms);
    s->last_ms = now_ms;
    if (s->n_held == 0 || (s->turn != 0 && !turn_over(s, now_ms)))
        return;
    if (s->turn == 0) { /* the LMTP runner goes first, and is forked within a moment */
        turn_begin(s, s->master, now_ms);
        return;
    }
    while (!s->runner[i].held)
        i++;
    runner_continue(s, i);
    turn_begin(s, s->runner[i].pid, now_ms);
}

void stagger_end(struct stagger *s)
{
    for (unsigned i = 0; s->master != 0 && i < s->m->n_runners; i++)
        if (s->runner[i].held)
            runner_continue(s, i);
    s->master = 0;
}
