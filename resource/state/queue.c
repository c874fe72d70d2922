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
#include "resource/state/ledger.h"
#include "resource/state/pickle.h"
#include "resource/state/quarantine.h"
#include "resource/state/queue_name.h"
#include "resource/state/state.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

/* Looking into each of 100,000 entries takes longer than the whole of a takeover may. Mailman itself puts a truncated
 * pickle aside; what kills it is a name. So in a recovery the last bytes are looked at for this long, .bak always. */
#define CONTENT_BUDGET_MS 60u
#define SLICES_MAX        1024u

struct queue {
    const struct state_ctx *ctx;
    const char             *name;
    int                     fd, top, *quarantine;   /* of this queue, of all, opened when first needed */
    struct ledger          *ledger;                 /* NULL: only looked at */
    uint64_t                content_until_ms;       /* 0 = no limit */
    uint64_t                now_ms;                 /* by the clock that the names are made with */
    struct queue_counts     c;
    unsigned                slices;
    struct slice_counts     s[SLICES_MAX];
};

static int quarantine_get(struct queue *q)
{
    if (*q->quarantine < 0)
        *q->quarantine = quarantine_open(q->top);
    return *q->quarantine;
}

static int entry_put_aside(struct queue *q, const char *name, const struct stat *judged)
{
    char prefix[LOCK_NAME_MAX + 1];
    int rc;

    q->c.faulty++;
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
    q->c.quarantined++;
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
        q->c.unchecked++;
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
    struct slice_counts *s = &q->s[queue_name_slice(n, q->slices)];
    bool bak = n->kind == QUEUE_BAK;

    q->c.pck += !bak;
    q->c.bak += bak;
    s->pck += !bak;
    s->bak += bak;
    q->c.oldest_ms = age_max(q, n->time_ms, q->c.oldest_ms);
    s->oldest_ms = age_max(q, n->time_ms, s->oldest_ms);
    s->bak_ms = bak ? age_max(q, taken_ms, s->bak_ms) : s->bak_ms;
}

/* A start with it in a runner's hands, by the name without .bak. */
static void entry_note(struct queue *q, const char *name)
{
    char     stem[LOCK_NAME_MAX];
    size_t   len = strlen(name) - strlen(".bak");
    uint32_t starts;

    if (len >= sizeof stem)
        return;
    memcpy(stem, name, len);
    stem[len] = '\0';
    starts = ledger_note(q->ledger, q->name, stem);
    q->c.last_chance += starts == LEDGER_LIMIT - 1;
    q->c.parked += starts >= LEDGER_LIMIT;
    if (starts >= LEDGER_LIMIT - 1)
        (void)state_fail(EXIT_DONE, "%s/%s was in a runner's hands at %u starts: %s", q->name, name, starts,
                         starts >= LEDGER_LIMIT ? "Mailman parks it in queue bad now; look at it there" :
                         "at one more Mailman parks it in queue bad; do not move the service before it is delivered");
}

static int entry_treat(struct queue *q, const char *name)
{
    struct queue_name n;

    queue_name_parse(name, &n);
    if (n.kind == QUEUE_OTHER)
        return EXIT_DONE;
    q->c.tmp += n.kind == QUEUE_TMP;
    if (n.kind == QUEUE_TMP || n.kind == QUEUE_ILL)
        return entry_put_aside(q, name, NULL);
    uint64_t faulty = q->c.faulty, taken_ms = 0;
    bool late = n.kind == QUEUE_PCK && q->content_until_ms && clock_now_ms() >= q->content_until_ms;
    int code = late ? EXIT_DONE : content_check(q, name, &taken_ms);
    q->c.unchecked += late;
    if (code || q->c.faulty != faulty)
        return code;
    entry_count(q, &n, taken_ms);
    if (n.kind == QUEUE_BAK && q->ledger)
        entry_note(q, name);
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
            q->c.held += d->d_name[0] != '.';
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
    for (unsigned i = 0; i < cfg->list.n_runners; i++)
        if (!strcmp(cfg->list.runners[i].queue, queue)) {
            unsigned n = cfg->list.runners[i].slices;
            return n && n <= SLICES_MAX ? n : 1;
        }
    return 1;
}

static void totals_add(const struct queue *q, struct state_totals *t)
{
    t->pck += q->c.pck;
    t->bak += q->c.bak;
    t->tmp += q->c.tmp;
    t->faulty += q->c.faulty;
    t->quarantined += q->c.quarantined;
    t->unchecked += q->c.unchecked;
    t->last_chance += q->c.last_chance;
    t->parked += q->c.parked;
    t->shunt += strcmp(q->name, "shunt") ? 0 : q->c.held;
    t->bad += strcmp(q->name, "bad") ? 0 : q->c.held;
    for (unsigned i = 0; i < q->slices; i++)
        t->duplicate_bound += q->s[i].bak > 0;
}

static uint64_t wall_clock_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* `name` below the queue directory; what is not a directory is passed over. */
static int queue_treat(const struct state_ctx *ctx, int top, int *quarantine, struct ledger *ledger, uint64_t until_ms,
                       const char *name, struct state_totals *totals)
{
    static struct queue q; /* large */

    q = (struct queue){ .ctx = ctx, .name = name, .top = top, .quarantine = quarantine, .ledger = ledger,
                       .content_until_ms = until_ms,
                       .now_ms = wall_clock_ms(), .slices = slices_of(ctx->cfg, name) };

    q.fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (q.fd < 0 && (errno == ENOTDIR || errno == ELOOP || errno == ENOENT))
        return EXIT_DONE;
    if (q.fd < 0)
        return state_fail(EXIT_FAILED, "opening queue %s: %s", name, strerror(errno));
    int code = queue_read(&q);
    (void)close(q.fd);
    totals_add(&q, totals);
    state_out_queue(name, &q.c);
    for (unsigned i = 0; !is_shelf(name) && i < q.slices; i++)
        state_out_slice(name, i, q.slices, &q.s[i]);
    return code;
}

/* Without it the pass goes on: it counts for a warning only. */
static void ledger_tell(int rc, const char *doing)
{
    if (rc)
        (void)state_fail(EXIT_DONE, "%s %s in the queue directory: %s; how often a message was in a runner's hands is counted anew",
                         doing, LEDGER_FILE, strerror(-rc));
}

int state_queue(const struct state_ctx *ctx, struct state_totals *totals)
{
    const char *path = ctx->cfg->list.queue_dir;
    uint64_t until_ms = ctx->change ? clock_now_ms() + CONTENT_BUDGET_MS : 0;
    int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), quarantine = -1, code = EXIT_DONE;
    DIR *dir = top < 0 ? NULL : fdopendir(top);
    const struct dirent *d;
    struct ledger ledger = { 0 };

    if (!dir)
        return state_fail(EXIT_FAILED, "opening %s: %s", path, strerror(errno));
    if (ctx->change)
        ledger_tell(ledger_load(top, &ledger), "reading");
    while (!code && (errno = 0, d = readdir(dir)))
        if (d->d_name[0] != '.')
            code = queue_treat(ctx, top, &quarantine, ctx->change ? &ledger : NULL, until_ms, d->d_name, totals);
    if (!code && errno)
        code = state_fail(EXIT_FAILED, "listing %s: %s", path, strerror(errno));
    if (!code && ctx->change)
        ledger_tell(ledger_save(top, &ledger), "writing");
    ledger_free(&ledger);
    if (quarantine >= 0)
        (void)close(quarantine);
    (void)closedir(dir);
    return code;
}
