/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One process of Mailman, frozen when it has nothing in its hands.
 *
 * A queue runner is stopped before the call by which it takes its next entry, or in its sleep: then the last entry is
 * gone from the queue and what was done with it is in the database. Any other moment without a .bak would not do: the
 * runner removes the .bak first and commits after, so that a message that was just held for moderation would be nowhere.
 * A runner without a queue is stopped while all its threads wait. */
#include <config.h>

#include "resource/listserver_release.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/sockdiag.h"

#include "common/banned.h"

#define AGAIN_NS    2000000       /* how long it may work before it is looked at again */
#define DESCRIBE_MS 300u          /* for finding out why, when the time is over */
#define LISTING_MS  300u          /* what a listing gets at least: the deadline may be near */
#define STEPS_MAX   100u          /* between two entries there are about 30 calls at most; one that starts makes thousands */
#define START_NS    20000000      /* which it is left to do */
#define LOCKS_MAX   (1u << 20)

static void __attribute__((format(printf, 3, 4))) why_set(struct why *why, const char *word, const char *format, ...)
{
    va_list ap;

    why->word = word;
    va_start(ap, format);
    (void)vsnprintf(why->text, sizeof why->text, format, ap);
    va_end(ap);
}

/* Not by fileio_read(): /proc/locks may be long, and what does not fit must not be taken for nothing. */
static bool locks_held(pid_t pid, struct why *why)
{
    static char text[LOCKS_MAX];
    char        file[64];
    size_t      len = 0;
    ssize_t     got = -1;
    int         fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && len < sizeof text - 1 && (got = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    if (fd >= 0)
        (void)close(fd);
    text[len] = '\0';
    if (got == 0 && !safepoint_holds_lock(text, pid, file, sizeof file))
        return false;
    why_set(why, "lock", "it holds a lock on file %s", got == 0 ? file : "(/proc/locks cannot be read)");
    return true;
}

/* 0 safe, 1 not yet, -ETIMEDOUT. */
static int entry_none(int rc, const struct queuelook_answer *a, const char *queue, const char *word, struct why *why)
{
    if (rc != 0)
        why_set(why, "share", "the share does not answer: listing queue %s takes too long", queue);
    else if (a->rc != 0)
        why_set(why, "share", "queue %s cannot be listed: %s", queue, strerror(-a->rc));
    else if (a->n > 0)
        why_set(why, word, "entry %s/%s has been in its hands for %u.%u s", queue, a->name, a->age_ms / 1000,
                a->age_ms / 100 % 10);
    return rc != 0 ? rc : a->rc != 0 || a->n > 0;
}

static uint64_t listing_until(const struct release *r)
{
    uint64_t least_ms = clock_now_ms() + LISTING_MS;

    return least_ms > r->until_ms ? least_ms : r->until_ms;
}

static int bak_none(struct release *r, const struct listproc *p, uint64_t until_ms, struct why *why)
{
    struct queuelook_answer a;
    const char *queue = listserver_queue(r->m, p->runner);
    int rc = queuelook_bak(&r->look, queue, p->slice, p->count, until_ms, &a);

    return entry_none(rc, &a, queue, "bak", why);
}

/* A list lock of Mailman 2, which the runner holds while it changes a list, or waits for with an entry in its hands. */
static int list_locks_none(struct release *r, pid_t pid, struct why *why)
{
    struct queuelook_answer a;

    if (r->m->service.kind == LIST_MAILMAN3)
        return 0;
    int rc = queuelook_locks(&r->look, r->m->lock_host, pid, listing_until(r), &a);
    if (rc != 0)
        why_set(why, "share", "the share does not answer: listing the locks takes too long");
    else if (a.rc != 0)
        why_set(why, "share", "the locks cannot be listed: %s", strerror(-a.rc));
    else if (a.n > 0)
        why_set(why, "lock", "it has or wants list lock %.80s for %u.%u s", a.name, a.age_ms / 1000, a.age_ms / 100 % 10);
    return rc != 0 ? rc : a.rc != 0 || a.n > 0;
}

/* LMTP writes into these; it answers 250 after the rename. */
static int tmp_none(struct release *r, struct why *why)
{
    static const char *const queues[] = { "in", "command", "bounces" };
    struct queuelook_answer  a;
    int                      rc = 0;

    for (unsigned i = 0; rc == 0 && i < sizeof queues / sizeof queues[0]; i++) {
        rc = queuelook_tmp(&r->look, queues[i], listing_until(r), &a);
        if (rc == 0 && a.rc == -ENOENT && i > 0) /* of a runner that is not configured */
            continue;
        rc = entry_none(rc, &a, queues[i], "tmp", why);
    }
    return rc;
}

/* The kernel resets a session that is closed with something unread, and the peer may then not see its last 250. */
static int unread_none(const struct listserver *m, struct why *why)
{
    unsigned n = 0;
    int      rc = sockdiag_unread(m->intake_port, &n);

    if (rc == 0 && n == 0)
        return 0;
    if (rc != 0)
        why_set(why, "unread", "the kernel does not say what its sessions have received: %s", strerror(-rc));
    else
        why_set(why, "unread", "%u LMTP sessions have sent something that it has not read", n);
    return 1;
}

static int waits(const struct part *part, bool main_too, struct why *why)
{
    long  call;
    pid_t tid;

    if (frozen_waits(&part->frozen, main_too))
        return 0;
    tid = frozen_busy(&part->frozen, &call);
    if (call >= 0)
        why_set(why, "busy", "its thread %ld is at work, in system call %ld", (long)tid, call);
    else
        why_set(why, "busy", "its thread %ld is at work", (long)tid);
    return 1;
}

/* Stopped at the entry of a marked call, or interrupted in its sleep. */
static int queue_judge(struct release *r, struct part *part, bool at_entry, struct why *why)
{
    int rc = frozen_stop(&part->frozen, r->until_ms); /* the other threads as well */

    r->tries++;
    if (rc == 0)
        rc = waits(part, !at_entry, why);
    if (rc == 0)
        rc = locks_held(part->p.pid, why);
    if (rc == 0)
        rc = bak_none(r, &part->p, listing_until(r), why);
    return rc == 0 ? list_locks_none(r, part->p.pid, why) : rc;
}

/* Lets it work at full speed until the entry in its hands is gone, for stopping it at each call is slow. */
static int entry_end(struct release *r, struct part *part, struct why *why)
{
    const char             *queue = listserver_queue(r->m, part->p.runner);
    struct queuelook_answer a;
    int rc = queuelook_bak(&r->look, queue, part->p.slice, part->p.count, listing_until(r), &a);

    if (rc != 0 || a.rc != 0)
        return entry_none(rc, &a, queue, "bak", why);
    if (a.n == 0)
        return 0;
    frozen_go(&part->frozen);
    rc = queuelook_gone(&r->look, queue, a.name, r->until_ms, &a);
    return entry_none(rc, &a, queue, "bak", why);
}

/* Of Mailman 2 a sleep that a signal can end counts too: what it has in its hands is in files alone, .bak and list locks. */
static bool between_entries(const struct release *r, enum safepoint_place place)
{
    return place == SAFEPOINT_SLEEP || (place == SAFEPOINT_LOOP && r->m->service.kind != LIST_MAILMAN3);
}

/* From call to call to the next mark. 0 it is frozen there; 1 not yet. */
static int mark_find(struct release *r, struct part *part, struct why *why)
{
    struct frozen *f = &part->frozen;
    int            rc = frozen_stop(f, r->until_ms);

    if (rc != 0 || between_entries(r, f->t[0].place))
        return rc == 0 ? queue_judge(r, part, false, why) : rc;
    rc = 1;
    for (unsigned i = 0; rc == 1 && i < STEPS_MAX && clock_now_ms() < r->until_ms; i++) {
        rc = frozen_step(f, r->until_ms);
        if (rc == 0)
            rc = safepoint_is_mark(f->call, f->args) ? queue_judge(r, part, true, why) : 1;
    }
    return rc;
}

static int queue_runner_freeze(struct release *r, struct part *part, struct why *why)
{
    const struct timespec start = { 0, START_NS };
    int                   rc;

    do {
        if (clock_now_ms() >= r->until_ms)
            return -ETIMEDOUT;
        rc = frozen_stop(&part->frozen, r->until_ms);
        if (rc == 0)
            rc = entry_end(r, part, why);
        if (rc == 0)
            rc = mark_find(r, part, why);
        if (rc == 1 && part->frozen.t[0].stopped) {
            frozen_go(&part->frozen);
            (void)nanosleep(&start, NULL);
        }
    } while (rc == 1);
    return rc;
}

static int other_judge(struct release *r, struct part *part, struct why *why)
{
    bool lmtp = !strcmp(part->p.runner, "lmtp");
    int  rc = waits(part, true, why);

    r->tries++;
    if (rc == 0)
        rc = locks_held(part->p.pid, why);
    if (rc == 0 && lmtp)
        rc = unread_none(r->m, why);
    return rc == 0 && lmtp ? tmp_none(r, why) : rc;
}

static int other_freeze(struct release *r, struct part *part, struct why *why)
{
    const struct timespec again = { 0, AGAIN_NS };
    int                   rc;

    for (;;) {
        rc = frozen_stop(&part->frozen, r->until_ms);
        if (rc == 0)
            rc = other_judge(r, part, why);
        if (rc != 1)
            return rc;
        if (clock_now_ms() >= r->until_ms)
            return -ETIMEDOUT;
        frozen_go(&part->frozen);
        (void)nanosleep(&again, NULL);
    }
}

/* It did not even stop, or never came by: what it is at can still be said. */
static void describe(struct release *r, struct part *part, struct why *why)
{
    uint64_t until_ms = clock_now_ms() + DESCRIBE_MS;
    struct why bak = { 0 };
    bool       queue = part->p.kind == LISTPROC_RUNNER && safepoint_has_queue(part->p.runner);

    if (why->word && !strcmp(why->word, "share"))
        return;
    if (queue && bak_none(r, &part->p, until_ms, &bak) != 0)
        *why = bak;
    if (!why->word)
        (void)waits(part, true, why);
    if (!why->word)
        why_set(why, "busy", "it did not come to a safe point in time");
}

int listserver_freeze(struct release *r, struct part *part, struct why *why)
{
    int rc;

    *why = (struct why){ 0 };
    if (part->p.kind == LISTPROC_MASTER) {
        rc = frozen_stop(&part->frozen, r->until_ms);
        r->tries++;
    } else if (safepoint_has_queue(part->p.runner)) {
        rc = queue_runner_freeze(r, part, why);
    } else {
        rc = other_freeze(r, part, why);
    }
    part->safe = rc == 0;
    if (rc == -ETIMEDOUT)
        describe(r, part, why);
    return rc;
}
