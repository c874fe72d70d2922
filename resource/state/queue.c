/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queues: entries are counted and, if they can only do harm, put aside. What is in them is never read but for the
 * last byte of a pickle, and .bak is Mailman's to recover (reliability L9). */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "resource/state/queue.h"
#include "resource/state/pickle.h"
#include "resource/state/quarantine.h"
#include "resource/state/queue20.h"
#include "resource/state/queue_name.h"
#include "resource/state/state.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

/* Looking into each of 100,000 entries takes longer than the whole of a takeover may. Mailman itself puts a truncated
 * pickle aside; what kills it is a name. So in a recovery the last bytes are looked at for this long, .bak always. */
#define CONTENT_BUDGET_MS 60u

struct queue {
    const struct queue_how *how;
    const struct state_ctx *ctx;
    const char             *name;
    int                     fd;
    struct queue_stems     *stems;                  /* NULL: nobody asks for them */
    uint64_t                now_ms;                 /* by the clock that the names are made with */
    struct queue_told      *told;
};

static int quarantine_get(struct queue *q)
{
    int *fd = q->how->quarantine;

    if (*fd < 0)
        *fd = quarantine_open(q->how->top);
    return *fd;
}

static int entry_put_aside(struct queue *q, const char *name, const struct stat *judged)
{
    char prefix[LOCK_NAME_MAX + 1];
    int rc;

    q->told->c.faulty++;
    if (!q->ctx->change)
        return EXIT_DONE;
    rc = quarantine_get(q);
    size_t len = strlen(q->name);
    memcpy(prefix, q->name, len);
    memcpy(prefix + len, ".", 2);
    if (rc >= 0)
        rc = quarantine_move(q->fd, name, rc, q->ctx->epoch, prefix, judged);
    if (rc == -ENOENT)
        return EXIT_DONE;
    if (rc)
        return state_fail(EXIT_FAILED, "putting %s/%s aside: %s", q->name, name, strerror(-rc));
    q->told->c.quarantined++;
    return EXIT_DONE;
}

static int content_check(struct queue *q, const char *name, uint64_t *ret_changed_ms)
{
    struct stat st = { 0 };
    int fd = openat(q->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return EXIT_DONE;
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) /* a symbolic link or a socket: Mailman made none */
        return entry_put_aside(q, name, NULL);
    if (fd < 0 && errno == EACCES) { /* somebody else's: Mailman will see that it cannot read it; the others must not wait */
        q->told->c.unchecked++;
        return EXIT_DONE;
    }
    int rc = fd < 0 ? -errno : pickle_judge(fd, &st), code = EXIT_DONE;
    if (rc < 0)
        code = state_fail(EXIT_FAILED, "reading %s/%s: %s", q->name, name, strerror(-rc));
    else if (rc)
        code = entry_put_aside(q, name, &st);
    *ret_changed_ms = (uint64_t)st.st_ctim.tv_sec * 1000u + (uint64_t)st.st_ctim.tv_nsec / 1000000u;
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static uint64_t age_max(const struct queue *q, uint64_t since_ms, uint64_t oldest_ms)
{
    uint64_t age_ms = since_ms && q->now_ms > since_ms ? q->now_ms - since_ms : 0;

    return age_ms > oldest_ms ? age_ms : oldest_ms;
}

/* `taken_ms`: when a runner made it a .bak, by the server's clock. */
static void entry_count(struct queue *q, const struct queue_name *n, uint64_t taken_ms)
{
    struct slice_counts *s = &q->told->s[queue_name_slice(n, q->told->slices)];
    bool bak = n->kind == QUEUE_BAK;

    q->told->c.pck += !bak;
    q->told->c.bak += bak;
    s->pck += !bak;
    s->bak += bak;
    q->told->c.oldest_ms = age_max(q, n->time_ms, q->told->c.oldest_ms);
    s->oldest_ms = age_max(q, n->time_ms, s->oldest_ms);
    s->bak_ms = bak ? age_max(q, taken_ms, s->bak_ms) : s->bak_ms;
}

/* By the name without .bak. */
static void stem_add(struct queue *q, const char *name)
{
    size_t len = strlen(name) - strlen(".bak");

    if (!q->stems || len >= LEDGER_NAME || q->stems->len + len + 1 > sizeof q->stems->text)
        return;
    memcpy(q->stems->text + q->stems->len, name, len);
    q->stems->len += len + 1;
    q->stems->text[q->stems->len - 1] = '\0';
}

static int entry_treat(struct queue *q, const char *name)
{
    struct queue_name n;

    queue_name_parse(name, &n);
    if (n.kind == QUEUE_OTHER)
        return EXIT_DONE;
    q->told->c.tmp += n.kind == QUEUE_TMP;
    if (q->ctx->live && n.kind == QUEUE_TMP)
        return EXIT_DONE; /* a runner may be writing it */
    if (n.kind == QUEUE_TMP || n.kind == QUEUE_ILL)
        return entry_put_aside(q, name, NULL);
    uint64_t faulty = q->told->c.faulty, taken_ms = 0;
    if (q->ctx->live && n.kind == QUEUE_BAK) { /* in its hands now: an .bak of before its start it has put back itself */
        entry_count(q, &n, 0);
        return EXIT_DONE;
    }
    uint64_t until_ms = q->how->content_until_ms;
    bool late = n.kind == QUEUE_PCK && until_ms && clock_now_ms() >= until_ms;
    int code = late ? EXIT_DONE : content_check(q, name, &taken_ms);
    q->told->c.unchecked += late;
    if (code || q->told->c.faulty != faulty)
        return code;
    entry_count(q, &n, taken_ms);
    if (n.kind == QUEUE_BAK)
        stem_add(q, name);
    return EXIT_DONE;
}

static bool is_shelf(const char *queue)
{
    return !strcmp(queue, "shunt") || !strcmp(queue, "bad");
}

static int queue_read(struct queue *q)
{
    int fd = openat(q->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = EXIT_DONE;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    if (!dir) {
        int rc = errno;
        if (fd >= 0)
            (void)close(fd);
        return state_fail(EXIT_FAILED, "listing queue %s: %s", q->name, strerror(rc));
    }
    while (!code && (errno = 0, d = readdir(dir))) {
        if (is_shelf(q->name))
            q->told->c.held += d->d_name[0] != '.';
        else
            code = entry_treat(q, d->d_name);
    }
    if (!code && errno)
        code = state_fail(EXIT_FAILED, "listing queue %s: %s", q->name, strerror(errno));
    (void)closedir(dir);
    return code;
}

static unsigned slices_of(const struct config *cfg, const char *queue)
{
    if (is_shelf(queue))
        return 0;
    for (unsigned i = 0; i < cfg->list.n_runners; i++)
        if (!strcmp(cfg->list.runners[i].queue, queue)) {
            unsigned n = cfg->list.runners[i].slices;
            return n && n <= QUEUE_SLICES_MAX ? n : 1;
        }
    return 1;
}

uint64_t state_wall_clock_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

void queue_note(struct ledger *ledger, const char *name, const char *stems, size_t len, struct queue_counts *c)
{
    for (const char *stem = stems, *end = stems + len; stem < end; stem += strlen(stem) + 1) {
        uint32_t starts = ledger_note(ledger, name, stem);
        c->last_chance += starts == LEDGER_LIMIT - 1;
        c->parked += starts >= LEDGER_LIMIT;
        if (starts >= LEDGER_LIMIT - 1)
            (void)state_fail(EXIT_DONE, "%s/%s.bak was in a runner's hands at %u starts: %s", name, stem, starts,
                             starts >= LEDGER_LIMIT ? "Mailman parks it in queue bad now; look at it there" :
                             "at one more Mailman parks it in queue bad; do not move the service before it is delivered");
    }
}

static void tell20(void *ctx, const char *stem, enum queue20_fault fault)
{
    static const char *const actions[QUEUE20_FAULT_N] = {
        [QUEUE20_NO_MESSAGE] = "its post was cut off: whoever sent it got no answer, and sends it again",
        [QUEUE20_NO_METADATA] = "it was delivered, or its other half was removed by hand",
        [QUEUE20_TORN_METADATA] = "it was accepted and is not delivered: post its text once more, from the quarantine",
        [QUEUE20_EMPTY_MESSAGE] = "its post was cut off: whoever sent it got no answer, and sends it again",
        [QUEUE20_NOT_A_FILE] = "Mailman did not make it: look at it",
    };

    (void)ctx;
    (void)state_fail(EXIT_DONE, "%s/%s.db and .msg (%s): %s", QUEUE20_NAME, stem, queue20_fault_name(fault),
                     actions[fault] ? actions[fault] : "");
}

/* While the list service runs its job may just be making or removing one: nothing is moved then. */
static int treat20(const struct queue_how *how, struct queue_told *ret)
{
    struct queue20 q = { .dirfd = how->top, .change = how->ctx->change && !how->ctx->live, .epoch = how->ctx->epoch,
                         .tell = tell20 };
    struct queue20_counts c = { 0 };
    int rc = how->ctx->change ? queue20_clock(how->top, &q.now_ms) : 0;

    if (!how->ctx->change) /* read only: by our own clock, for a look */
        q.now_ms = state_wall_clock_ms();
    if (!rc)
        rc = queue20_treat(&q, &c);
    ret->there = ret->unseen = true;
    ret->slices = 1;
    ret->c = (struct queue_counts){ .pck = c.whole, .faulty = c.faulty, .quarantined = c.quarantined, .unchecked = c.young,
                                    .oldest_ms = c.oldest_ms };
    ret->s[0] = (struct slice_counts){ .pck = c.whole, .oldest_ms = c.oldest_ms };
    return rc ? state_fail(EXIT_FAILED, "queue %s: %s", how->ctx->cfg->list.queue_dir, strerror(-rc)) : EXIT_DONE;
}

int queue_treat(const struct queue_how *how, const char *name, struct queue_told *ret, struct queue_stems *ret_stems)
{
    struct queue q = { .how = how, .ctx = how->ctx, .name = name, .stems = ret_stems,
                       .now_ms = state_wall_clock_ms(), .told = ret };

    if (ret_stems)
        ret_stems->len = 0;
    memset(ret, 0, offsetof(struct queue_told, s));
    if (how->ctx->cfg->list.kind == LIST_MAILMAN20)
        return treat20(how, ret);
    q.fd = openat(how->top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (q.fd < 0 && (errno == ENOTDIR || errno == ELOOP || errno == ENOENT))
        return EXIT_DONE;
    if (q.fd < 0)
        return state_fail(EXIT_FAILED, "opening queue %s: %s", name, strerror(errno));
    ret->there = true;
    ret->slices = slices_of(how->ctx->cfg, name);
    memset(ret->s, 0, ret->slices * sizeof ret->s[0]);
    int code = queue_read(&q);
    (void)close(q.fd);
    return code;
}

void queue_tell(const char *name, const struct queue_told *t, struct state_totals *totals)
{
    if (!t->there)
        return;
    totals->pck += t->c.pck;
    totals->bak += t->c.bak;
    totals->tmp += t->c.tmp;
    totals->faulty += t->c.faulty;
    totals->quarantined += t->c.quarantined;
    totals->unchecked += t->c.unchecked;
    totals->last_chance += t->c.last_chance;
    totals->parked += t->c.parked;
    totals->shunt += strcmp(name, "shunt") ? 0 : t->c.held;
    totals->bad += strcmp(name, "bad") ? 0 : t->c.held;
    totals->duplicate_bound += t->unseen && t->c.pck > 0;
    state_out_queue(name, &t->c);
    for (unsigned i = 0; i < t->slices; i++) {
        totals->duplicate_bound += t->s[i].bak > 0;
        state_out_slice(name, i, t->slices, &t->s[i]);
    }
}

uint64_t queue_content_until_ms(const struct state_ctx *ctx)
{
    return ctx->change ? clock_now_ms() + CONTENT_BUDGET_MS : 0;
}

int queue_names(int top, const char *path, int (*take)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = EXIT_DONE;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    if (!dir) {
        int rc = errno;
        if (fd >= 0)
            (void)close(fd);
        return state_fail(EXIT_FAILED, "listing %s: %s", path, strerror(rc));
    }
    while (!code && (errno = 0, d = readdir(dir)))
        if (d->d_name[0] != '.')
            code = take(ctx, d->d_name);
    if (!code && errno)
        code = state_fail(EXIT_FAILED, "listing %s: %s", path, strerror(errno));
    (void)closedir(dir);
    return code;
}

int queue_each(int top, const struct config_listserver *list, int (*take)(void *ctx, const char *name), void *ctx)
{
    return list->kind == LIST_MAILMAN20 ? take(ctx, QUEUE20_NAME) : queue_names(top, list->queue_dir, take, ctx);
}

struct looking { struct queue_how how; struct state_totals *totals; };

static int look(void *ctx, const char *name)
{
    static struct queue_told told; /* large */
    struct looking *l = ctx;
    int code = queue_treat(&l->how, name, &told, NULL);

    queue_tell(name, &told, l->totals);
    return code;
}

int state_queue(const struct state_ctx *ctx, struct state_totals *totals)
{
    const char *path = ctx->cfg->list.queue_dir;
    int quarantine = -1, code;
    struct looking l = { .how = { .ctx = ctx, .top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .quarantine = &quarantine },
                         .totals = totals };

    if (l.how.top < 0)
        return state_fail(EXIT_FAILED, "opening %s: %s", path, strerror(errno));
    code = queue_each(l.how.top, &ctx->cfg->list, look, &l);
    (void)close(l.how.top);
    return code;
}
