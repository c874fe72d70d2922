/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock directory as a whole: everything is judged before anything is changed; then locks go first, claim files
 * after, so that a kill in between leaves only what the next run clears. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "resource/state/lock.h"
#include "resource/state/quarantine.h"
#include "resource/state/state.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

#define NAMES_MAX 16384u

struct locks { char (*v)[LOCK_NAME_MAX]; size_t n, size; };

static int names_add(struct locks *l, const char *name)
{
    if (l->n == NAMES_MAX || strlen(name) >= LOCK_NAME_MAX)
        return -E2BIG;
    if (l->n == l->size) {
        size_t size = l->size ? l->size * 2 : 64;
        char (*v)[LOCK_NAME_MAX] = realloc(l->v, size * sizeof *v);

        if (!v)
            return -ENOMEM;
        l->v = v;
        l->size = size;
    }
    memcpy(l->v[l->n++], name, strlen(name) + 1);
    return 0;
}

/* Names with a leading dot are never Mailman's: the quarantine, and what an NFS client keeps of an open file. */
static int names_list(int dirfd, struct locks *ret)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (!rc && (errno = 0, d = readdir(dir)))
        if (d->d_name[0] != '.')
            rc = names_add(ret, d->d_name);
    if (!rc && errno)
        rc = -errno;
    (void)closedir(dir);
    return rc;
}

static int lock_compare(const void *a, const void *b, void *names)
{
    int x = lock_name_is_claim(names, a), y = lock_name_is_claim(names, b);

    return x != y ? x - y : strcmp(a, b);
}

/* Only an odd lock asks whether a list process is here, which takes a look at every process. */
struct circumstances { struct lock_circumstances lock; bool service_known; };

static void circumstances_fill(const struct state_ctx *ctx, struct circumstances *ret)
{
    uint32_t others = (UINT32_C(1) << ctx->cfg->n_nodes) - 1u;

    others &= ~(UINT32_C(1) << ctx->self);
    *ret = (struct circumstances){ .lock = { .ctx = ctx, .service_here = true } };
    ret->lock.all_others_harmless = (ctx->harmless & others) == others;
}

static int lock_look(struct circumstances *c, int dirfd, const char *name, struct lock_file *ret, int *ret_fd)
{
    const struct state_ctx *ctx = c->lock.ctx;
    struct lock_names names;

    lock_names_of(ctx->cfg, ctx->grammar, &names);
    int rc = lock_file_read(dirfd, name, ctx->uid, &names, ret, ret_fd);
    if (!rc && ret->fault != LOCK_SOUND && !c->service_known) {
        c->lock.service_here = state_service_alive(ctx) != 0;
        c->service_known = true;
    }
    if (!rc)
        lock_file_judge(&c->lock, ret);
    return rc;
}

/* Nothing is touched while any file says that the list server must not start here. */
static int refusals_find(struct circumstances *c, int dirfd, const struct locks *l,
                         struct state_totals *totals)
{
    struct lock_file f;
    int fd, code = EXIT_DONE;

    for (size_t i = 0; i < l->n; i++) {
        int rc = lock_look(c, dirfd, l->v[i], &f, &fd);

        if (rc == -ENOENT)
            continue;
        if (rc)
            return state_fail(EXIT_FAILED, "reading %s: %s", l->v[i], strerror(-rc));
        if (fd >= 0)
            (void)close(fd);
        if (f.verdict != LOCK_REFUSE)
            continue;
        totals->locks_refused++;
        state_out_lock(&f, "refused");
        code = state_fail(EXIT_REFUSED, "%s of host %s, process %d is not cleared (%s): %s", f.name,
                          f.fault == LOCK_SOUND ? f.owner.host : "unknown", f.fault == LOCK_SOUND ? (int)f.owner.pid : 0,
                          f.why, state_out_action(f.why));
    }
    return code;
}

static int lock_clear(const struct state_ctx *ctx, int dirfd, int quarantine, const struct lock_file *f)
{
    int rc = quarantine_move(dirfd, f->name, quarantine, ctx->epoch, "", &f->st);

    if (rc == -ESTALE)
        return state_fail(EXIT_FAILED, "%s was replaced while it was being cleared: somebody still makes locks; it was put "
                          "back and nothing more was done", f->name);
    return rc && rc != -ENOENT ? state_fail(EXIT_FAILED, "clearing %s: %s", f->name, strerror(-rc)) : EXIT_DONE;
}

/* Judged once more, on the very descriptor that is held while the file is moved. */
static int lock_treat(struct circumstances *c, int dirfd, int quarantine, const char *name,
                      struct state_totals *totals)
{
    struct lock_file f;
    int fd, code = EXIT_DONE, rc = lock_look(c, dirfd, name, &f, &fd);

    if (rc == -ENOENT)
        return EXIT_DONE;
    if (rc)
        return state_fail(EXIT_FAILED, "reading %s: %s", name, strerror(-rc));
    const struct state_ctx *ctx = c->lock.ctx;
    if (ctx->change && f.verdict == LOCK_CLEAR)
        code = lock_clear(ctx, dirfd, quarantine, &f);
    else if (ctx->change && f.verdict == LOCK_REFUSE)
        code = state_fail(EXIT_REFUSED, "%s has come up meanwhile (%s): %s", f.name, f.why, state_out_action(f.why));
    bool cleared = ctx->change && f.verdict == LOCK_CLEAR && !code;
    totals->locks_cleared += cleared;
    totals->locks_kept += !cleared;
    state_out_lock(&f, cleared ? "cleared" : "kept");
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static int locks_treat(const struct state_ctx *ctx, int dirfd, struct locks *l, struct state_totals *totals)
{
    struct circumstances c;
    struct lock_names names;
    int quarantine = -1, right, code = EXIT_DONE;

    lock_names_of(ctx->cfg, ctx->grammar, &names);
    qsort_r(l->v, l->n, sizeof *l->v, lock_compare, &names);
    circumstances_fill(ctx, &c);
    if (ctx->change) {
        code = refusals_find(&c, dirfd, l, totals);
        if (!code && (quarantine = quarantine_open(dirfd)) < 0)
            code = state_fail(EXIT_FAILED, "opening the quarantine in %s: %s", ctx->cfg->list.lock_dir,
                              strerror(-quarantine));
        if (!code && (right = quarantine_right(quarantine)) < 0)
            code = state_fail(EXIT_FAILED, "clearing locks in %s: %s", ctx->cfg->list.lock_dir, right == -EBUSY ?
                              "another process of this node is at it" : strerror(-right));
    }
    for (size_t i = 0; !code && i < l->n; i++)
        code = lock_treat(&c, dirfd, quarantine, l->v[i], totals);
    if (quarantine >= 0)
        (void)close(quarantine);
    return code;
}

int state_locks(const struct state_ctx *ctx, struct state_totals *totals)
{
    struct locks l = { NULL, 0, 0 };
    int dirfd = open(ctx->cfg->list.lock_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), code = EXIT_DONE;
    int rc = dirfd < 0 ? -errno : names_list(dirfd, &l);

    if (rc)
        code = state_fail(EXIT_FAILED, "listing %s: %s", ctx->cfg->list.lock_dir, strerror(-rc));
    else if (l.n)
        code = locks_treat(ctx, dirfd, &l, totals);
    free(l.v);
    if (dirfd >= 0)
        (void)close(dirfd);
    return code;
}
