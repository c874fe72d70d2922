/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The recovery pass: every unit has its one attempt, and what could not be done is put off durably and tried again while the node
 * is active (facts: cyrus §4, R). */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "common/sandbox.h"
#include "resource/state/state_out.h"
#include "resource/state/unit.h"

#include "common/banned.h"

#define WORKERS       8u
#define BUDGET_MAX_MS 45000u    /* below the deadline of the whole, also where start_timeout is long */
#define TURN_MS       500u      /* for those of an earlier pass to be gone */
#define UNITS_SHOWN   32u       /* to the engine; `check` shows all */

struct recovery {
    const struct state_ctx *ctx;
    const char             *path;       /* of the directory with the defer file */
    int                     dir;        /* open and locked, or -errno */
    struct units            units;
    struct defer            old, now;   /* as found; as left behind */
    struct pass_unit       *v;
    size_t                  n;
    struct pass_outcome     outcome;
    struct deferred_told    told;
};

static struct pass_early early;

static uint32_t chance(void)
{
    uint32_t n = 200; /* neither more nor less */

    (void)!getrandom(&n, sizeof n, GRND_NONBLOCK);
    return n;
}

/* One pass of this node at a time: the lock is the kernel's, of the directory. A worker of one that was killed dies a moment after
 * it, and has the lock until then if it had not come to its own part yet. */
static int dir_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return -errno;
    for (unsigned ms = 0; ms < TURN_MS && (rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0) == -EWOULDBLOCK; ms += 10)
        (void)poll(NULL, 0, 10);
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc == -EWOULDBLOCK ? -EBUSY : rc;
}

/* A worker that hangs outlives us: it must not keep the next pass from its turn. */
static int worker_enter(void *ctx)
{
    struct recovery *r = ctx;
    int              rc;

    if (r->dir >= 0)
        (void)close(r->dir);
    rc = sandbox_enter(SANDBOX_WORKER);
    return rc == -ENOSYS ? 0 : rc;
}

/* A worker that was there early has nothing open. */
static enum pass_result attempt(void *ctx, const char *unit, struct pass_answer *ret)
{
    struct recovery *r = ctx;

    if (r->units.queues < 0 && units_open(&r->units, r->ctx, NULL) != EXIT_DONE)
        return PASS_FAILED;
    return unit_attempt(&r->units, unit, ret);
}

static void told(void *ctx, const struct pass_unit *unit, const void *data, size_t len)
{
    struct recovery *r = ctx;

    unit_told(&r->units, unit, data, len);
}

static struct pass pass_of(struct recovery *r)
{
    uint32_t half_ms = r->ctx->cfg->start_timeout_ms / 2, budget_ms = half_ms < BUDGET_MAX_MS ? half_ms : BUDGET_MAX_MS;

    return (struct pass){ .attempt = attempt, .told = told, .enter = worker_enter, .ctx = r, .workers = WORKERS,
                          .unit_ms = budget_ms / 2, .budget_ms = budget_ms };
}

static int units_try(struct recovery *r)
{
    const struct pass p = pass_of(r);
    int               rc = pass_run(&p, r->v, r->n, &early, &r->outcome);

    return rc ? state_fail(EXIT_FAILED, "no worker could be started: %s", strerror(-rc)) : EXIT_DONE;
}

/* A unit's own trouble is put off; that of all of them is the share's. */
static int outcome_code(const struct recovery *r)
{
    size_t done = 0, failed = 0;

    for (size_t i = 0; i < r->n; i++) {
        done += r->v[i].result == PASS_DONE;
        failed += r->v[i].result == PASS_FAILED || r->v[i].result == PASS_STUCK;
    }
    if (!r->outcome.given_up && (failed == 0 || done > 0))
        return EXIT_DONE;
    return state_fail(EXIT_FAILED, "%zu of %zu units failed or hung and %zu were done: it is the list share, see to the file "
                      "server", failed, r->n, done);
}

static int unit_note(struct recovery *r, const struct pass_unit *u, uint64_t now_ms)
{
    const struct defer_unit *before = defer_find(&r->old, u->name);
    int                      rc = 0;

    if (u->result == PASS_DONE) {
        defer_drop(&r->now, u->name);
        return 0;
    }
    if (before)
        rc = defer_keep(&r->now, before);
    return rc ? rc : defer_put(&r->now, u->name, pass_defer_reason(u->result), now_ms, chance());
}

static int units_note(struct recovery *r)
{
    uint64_t now_ms = state_wall_clock_ms();
    int      rc = 0;

    for (size_t i = 0; !rc && i < r->n; i++)
        rc = unit_note(r, &r->v[i], now_ms);
    r->now.epoch = r->ctx->epoch;
    /* Without anything to say, and without a file, nothing is written: that takes its time. */
    if (!rc && (r->now.n > 0 || r->old.n > 0 || r->old.torn > 0 || r->old.epoch != 0))
        rc = r->dir < 0 ? r->dir : defer_save(r->dir, &r->now);
    return rc ? state_fail(EXIT_FAILED, "%zu units have to be put off, and that cannot be kept in %s: %s", r->now.n, r->path,
                           strerror(-rc)) : EXIT_DONE;
}

static int old_load(struct recovery *r)
{
    int rc = r->dir < 0 ? r->dir : defer_load(r->dir, geteuid(), &r->old);

    if (rc == -EBUSY)
        return state_fail(EXIT_REFUSED, "another recovery pass of this node is at work");
    if (rc && rc != -ENOENT)
        (void)state_fail(EXIT_DONE, "reading what was put off in %s: %s", r->path, strerror(-rc));
    if (rc && rc != -ENOENT)
        r->old.torn++; /* what it named is not known */
    return EXIT_DONE;
}

/* Every unit has had its attempt: what only an earlier pass knows of is no unit any more, or was another tenure's. */
static void old_drop(struct recovery *r, bool same_tenure)
{
    for (size_t i = 0; same_tenure && i < r->n; i++)
        defer_drop(&r->old, r->v[i].name);
    r->told.dropped = (unsigned)r->old.n + r->old.torn;
    if (r->told.dropped)
        (void)state_fail(EXIT_DONE, "%u units that an earlier pass (epoch %llu) had put off are forgotten: this one tried all "
                         "there are", r->told.dropped, (unsigned long long)r->old.epoch);
}

static struct recovery early_recovery;

void state_recover_prepare(const struct state_ctx *ctx)
{
    early_recovery = (struct recovery){ .ctx = ctx, .dir = -1, .units = { .queues = -1, .lists = -1, .locks = -1 } };
    const struct pass p = pass_of(&early_recovery);
    (void)pass_prepare(&p, &early);
}

void state_recover_discard(void) { pass_discard(&early); }

static void recovery_begin(struct recovery *r, const struct state_ctx *ctx, const char *defer_dir)
{
    *r = (struct recovery){ .ctx = ctx, .path = defer_dir, .dir = dir_open(defer_dir),
                             .units = { .queues = -1, .lists = -1, .locks = -1 } };
}

static void recovery_end(struct recovery *r, struct state_totals *totals)
{
    r->told.unreaped = r->outcome.unreaped;
    totals->deferred = r->now.n;
    state_out_deferred(&r->now, UNITS_SHOWN, &r->told);
    free(r->v);
    defer_free(&r->old);
    defer_free(&r->now);
    units_close(&r->units);
    if (r->dir >= 0)
        (void)close(r->dir);
}

int state_recover(const struct state_ctx *ctx, const char *defer_dir, struct state_totals *totals)
{
    struct recovery r;
    bool            same;
    int             code, kept;

    recovery_begin(&r, ctx, defer_dir);
    code = old_load(&r);
    same = r.old.epoch == ctx->epoch;
    if (!code)
        code = units_open(&r.units, ctx, totals);
    if (!code)
        units_begin(&r.units);
    if (!code)
        code = units_list(&r.units, &r.v, &r.n);
    if (!code)
        code = units_try(&r);
    if (!code) {
        units_finish(&r.units, r.v, r.n);
        struct defer none = { 0 }, old = r.old;
        code = outcome_code(&r);
        if (!same) /* its ages and tries are another tenure's */
            r.old = none, r.old.epoch = old.epoch, r.old.torn = old.torn;
        kept = units_note(&r);
        code = kept ? kept : code;
        r.old = old;
        if (!kept)
            old_drop(&r, same);
    }
    recovery_end(&r, totals);
    return code;
}

/* What is due; everything, if what is put off is not known any more. */
static int due_list(struct recovery *r, bool no_stuck)
{
    uint64_t now_ms = state_wall_clock_ms();

    if (r->old.torn > 0) {
        (void)state_fail(EXIT_DONE, "%u entries of what was put off cannot be read: every unit is tried again", r->old.torn);
        return units_list(&r->units, &r->v, &r->n);
    }
    r->v = calloc(r->old.n ? r->old.n : 1, sizeof *r->v);
    if (!r->v)
        return state_fail(EXIT_FAILED, "no memory for %zu units", r->old.n);
    for (size_t i = 0; i < r->old.n; i++) {
        const struct defer_unit *u = &r->old.v[i];
        if (!defer_is_due(u, now_ms) || (no_stuck && u->reason == DEFER_STUCK))
            continue;
        memcpy(r->v[r->n++].name, u->name, strlen(u->name) + 1);
    }
    return EXIT_DONE;
}

static int retry(struct recovery *r, bool no_stuck, struct state_totals *totals)
{
    int code = units_open(&r->units, r->ctx, totals), rc = 0;

    for (size_t i = 0; i < r->old.n && !rc; i++)
        rc = defer_keep(&r->now, &r->old.v[i]);
    if (rc)
        return state_fail(EXIT_FAILED, "no memory for %zu units", r->old.n);
    r->now.epoch = r->ctx->epoch;
    if (!code)
        code = due_list(r, no_stuck);
    if (!code && r->n > 0)
        code = units_try(r);
    if (!code && r->n > 0)
        units_finish(&r->units, r->v, r->n);
    if (!code && (r->n > 0 || r->old.torn > 0))
        code = units_note(r);
    return code;
}

int state_retry(const struct state_ctx *ctx, const char *defer_dir, bool no_stuck, struct state_totals *totals)
{
    struct recovery r;
    int             code;

    recovery_begin(&r, ctx, defer_dir);
    code = old_load(&r);
    if (!code && r.old.n > 0 && r.old.epoch != ctx->epoch)
        code = state_fail(EXIT_REFUSED, "what is put off in %s is of epoch %llu: the next pass over everything drops it", r.path,
                          (unsigned long long)r.old.epoch);
    if (!code)
        code = retry(&r, no_stuck, totals);
    if (code == EXIT_REFUSED)
        r.now.epoch = 0;
    recovery_end(&r, totals);
    return code;
}

int state_deferred(const char *defer_dir, struct state_totals *totals)
{
    const struct deferred_told none = { 0 };
    struct defer               d = { 0 };
    int                        dir = open(defer_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int                        rc = dir < 0 ? -errno : defer_load(dir, geteuid(), &d);

    totals->deferred = d.n;
    if (!rc || rc == -ENOENT)
        state_out_deferred(&d, SIZE_MAX, &none);
    defer_free(&d);
    if (dir >= 0)
        (void)close(dir);
    return rc && rc != -ENOENT ? state_fail(EXIT_FAILED, "reading what is put off in %s: %s", defer_dir, strerror(-rc)) : EXIT_DONE;
}
