/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/safepoint.h"

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/banned.h"

struct call {
    long     number;
    uint64_t args[6];
};

/* "0x1f", at most 16 digits; returns what follows, or NULL. */
static const char *hex_take(const char *p, uint64_t *ret)
{
    uint64_t v = 0;
    size_t   n = 0;

    if (p[0] != '0' || p[1] != 'x')
        return NULL;
    for (p += 2; n <= 16; n++, p++) {
        if (*p >= '0' && *p <= '9')
            v = v << 4 | (uint64_t)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            v = v << 4 | (uint64_t)(*p - 'a' + 10);
        else
            break;
    }
    *ret = v;
    return n >= 1 && n <= 16 ? p : NULL;
}

static const char *decimal_take(const char *p, uint64_t *ret)
{
    uint64_t v = 0;
    size_t   n = 0;

    for (; *p >= '0' && *p <= '9' && n <= 18; n++, p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *ret = v;
    return n >= 1 && n <= 18 ? p : NULL;
}

/* "NR 0xARG0 ... 0xARG5 0xSP 0xPC"; "-1 ..." and "running" are no call. */
static bool call_parse(const char *text, struct call *ret)
{
    uint64_t    number;
    const char *p = decimal_take(text, &number);

    if (!p || number > 100000)
        return false;
    ret->number = (long)number;
    for (unsigned i = 0; i < 6; i++)
        if (*p != ' ' || !(p = hex_take(p + 1, &ret->args[i])))
            return false;
    return true;
}

/* Python sleeps until a time of the monotonic clock, or before 3.11 by a select of nothing. sqlite, which waits so for a
 * lock that it needs to commit, sleeps for a while by the real time clock. */
static bool is_python_sleep(long call, const uint64_t args[6])
{
    if (call == SYS_clock_nanosleep)
        return args[0] == CLOCK_MONOTONIC && args[1] == TIMER_ABSTIME;
#ifdef SYS_select
    if (call == SYS_select)
        return args[0] == 0;
#endif
    return call == SYS_pselect6 && args[0] == 0;
}

static bool is_event_loop(long call)
{
    static const long calls[] = {
        SYS_epoll_pwait, SYS_pselect6, SYS_wait4, SYS_waitid, SYS_rt_sigtimedwait,
#ifdef SYS_epoll_pwait2
        SYS_epoll_pwait2,
#endif
#ifdef SYS_epoll_wait
        SYS_epoll_wait, SYS_select, SYS_pause,
#endif
    };

    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i] == call)
            return true;
    return false;
}

/* A semaphore without a limit of time. The wait for the interpreter, in the middle of whatever it was, has one. */
static bool is_idle(const struct call *c)
{
    return c->number == SYS_futex && ((int)c->args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && c->args[3] == 0;
}

enum safepoint_place safepoint_place(const char *text, enum safepoint_place before)
{
    struct call c;

    if (!call_parse(text, &c))
        return SAFEPOINT_BUSY;
    if (c.number == SYS_restart_syscall)
        return before;
    if (is_python_sleep(c.number, c.args))
        return SAFEPOINT_SLEEP;
    if (is_event_loop(c.number))
        return SAFEPOINT_LOOP;
    return is_idle(&c) ? SAFEPOINT_IDLE : SAFEPOINT_BUSY;
}

long safepoint_call(const char *text)
{
    struct call c;

    return call_parse(text, &c) ? c.number : -1;
}

bool safepoint_waits(const enum safepoint_place *places, unsigned n)
{
    unsigned awake = 0;

    for (unsigned i = 0; i < n; i++) {
        if (places[i] == SAFEPOINT_BUSY)
            return false;
        awake += places[i] != SAFEPOINT_IDLE;
    }
    return awake > 0;
}

bool safepoint_is_mark(long call, const uint64_t args[6])
{
#ifdef SYS_rename
    if (call == SYS_rename)
        return true;
#endif
#ifdef SYS_renameat
    if (call == SYS_renameat)
        return true;
#endif
    return call == SYS_renameat2 || is_python_sleep(call, args);
}

/* The n-th word of a line, counted from 0; its length in `ret_len`. */
static const char *word_get(const char *line, unsigned n, size_t *ret_len)
{
    for (;; n--) {
        line += strspn(line, " ");
        *ret_len = strcspn(line, " \n");
        if (n == 0 || *ret_len == 0)
            return line;
        line += *ret_len;
    }
}

static bool word_is(const char *line, unsigned n, const char *text)
{
    size_t      len;
    const char *word = word_get(line, n, &len);

    return len == strlen(text) && memcmp(word, text, len) == 0;
}

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:1234 0 EOF", with "->" before the type for one that waits. */
static bool line_holds(const char *line, pid_t pid, char *ret, size_t size)
{
    size_t      len;
    uint64_t    owner;
    const char *word;

    if (word_is(line, 1, "->"))
        return false;
    if (!word_is(line, 1, "POSIX") && !word_is(line, 1, "FLOCK"))
        return false;
    word = word_get(line, 4, &len);
    if (len == 2 && !memcmp(word, "-1", 2))
        return false;
    if (decimal_take(word, &owner) == word + len && owner != (uint64_t)pid)
        return false;
    word = word_get(line, 5, &len);
    (void)snprintf(ret, size, "%.*s", (int)len, word);
    return true;
}

bool safepoint_holds_lock(const char *text, pid_t pid, char *ret, size_t size)
{
    for (const char *line = text; *line; line += *line == '\n') {
        if (line_holds(line, pid, ret, size))
            return true;
        line += strcspn(line, "\n");
    }
    return false;
}

unsigned safepoint_rank(const char *queue)
{
    static const char *const order[] = { "lmtp", "rest", "nntp", "task", "in", "command", "commands", "pipeline", "bounces",
                                         "archive", "news", "digest", NULL, "virgin", "retry", "out" };
    const unsigned n = sizeof order / sizeof order[0];
    unsigned unknown = n;

    for (unsigned i = 0; i < n; i++) {
        if (order[i] && !strcmp(order[i], queue))
            return i;
        unknown = order[i] ? unknown : i;
    }
    return unknown;
}

bool safepoint_has_queue(const char *runner)
{
    return strcmp(runner, "lmtp") && strcmp(runner, "rest") && strcmp(runner, "task");
}
