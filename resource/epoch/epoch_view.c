/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch_view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/epoch/epoch_file.h"

#include "common/banned.h"

/* A listing is not atomic: what is made while it runs may be in it or not, so that it can show the end of an epoch
 * whose claim it has missed. It is asked again this often before that is believed. */
#define LIST_TRIES 4

struct found { uint64_t n; enum epoch_name which; ino_t ino; };
struct names { struct found *v; size_t n, size; bool maintenance; };

static int names_add(struct names *names, const struct found *f)
{
    if (names->n == names->size) {
        size_t size = names->size ? names->size * 2 : 256;
        struct found *v = realloc(names->v, size * sizeof *v);

        if (!v)
            return -ENOMEM;
        names->v = v;
        names->size = size;
    }
    names->v[names->n++] = *f;
    return 0;
}

static int names_read(DIR *dir, struct epoch_share *s, struct names *ret)
{
    for (;;) {
        struct found f;

        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d)
            return -errno;
        ret->maintenance = ret->maintenance || !strcmp(d->d_name, EPOCH_MAINTENANCE_NAME);
        int rc = epoch_name_parse(d->d_name, &f.n, &f.which);
        if (rc == -ENOENT)
            continue;
        if (rc || ret->n == 3u * EPOCH_VIEW_MAX) {
            s->why = rc ? "epoch-malformed" : "too-many-epochs";
            return 0;
        }
        f.ino = d->d_ino;
        rc = names_add(ret, &f);
        if (rc)
            return rc;
    }
}

static int found_compare(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (int)x->which - (int)y->which;
}

static int names_list(struct epoch_share *s, struct names *ret)
{
    struct statx st;
    /* A descriptor of its own and its attributes from the server: else NFS may answer from what it remembers. */
    int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fresh = fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) == 0;
    DIR *dir = fresh ? fdopendir(fd) : NULL;
    int rc = dir ? 0 : -errno;

    s->call = "listing .understudy";
    ret->n = 0;
    ret->maintenance = false;
    if (!dir && fd >= 0)
        (void)close(fd);
    if (rc)
        return rc;
    rc = names_read(dir, s, ret);
    (void)closedir(dir);
    if (!rc && ret->n > 1)
        qsort(ret->v, ret->n, sizeof *ret->v, found_compare);
    return rc;
}

/* One entry a number, from the sorted names. */
static int entries_build(const struct names *names, struct epoch_view *ret)
{
    struct epoch_entry *e = NULL;

    ret->v = calloc(names->n ? names->n : 1, sizeof *ret->v);
    if (!ret->v)
        return -ENOMEM;
    for (size_t i = 0; i < names->n; i++) {
        const struct found *f = &names->v[i];

        if (!e || e->n != f->n) {
            e = &ret->v[ret->n++];
            e->n = f->n;
        }
        switch (f->which) {
        case EPOCH_NAME_CLAIM: e->claim_ino = f->ino; break;
        case EPOCH_NAME_OWN:   e->own_ino = f->ino; break;
        case EPOCH_NAME_END:   e->end_ino = f->ino; break;
        }
    }
    return 0;
}

/* What was read before and has the same inode is not read again. False: something that was there is not any more. */
static bool entry_inherit(struct epoch_entry *e, const struct epoch_view *old)
{
    const struct epoch_entry *o = epoch_view_find(old, e->n);

    if (!o)
        return true;
    if (!e->claim_ino || (o->own_ino && !e->own_ino) || (o->end_ino && !e->end_ino))
        return false;
    if (o->claim_ino == e->claim_ino) {
        struct epoch_entry now = *e;
        *e = *o;
        e->own_ino = now.own_ino;
        e->end_ino = now.end_ino;
        e->own_read = o->own_read && o->own_ino == now.own_ino;
        e->end_read = o->end_read && o->end_ino == now.end_ino;
    }
    return true;
}

/* 0, -EBADMSG malformed, -ENOENT gone since it was listed, or another -errno. */
static int file_read(const struct epoch_share *s, const struct epoch_entry *e, enum epoch_kind kind, const char *suffix,
                     struct epoch_file *ret)
{
    char name[48], text[EPOCH_FILE_MAX];
    size_t len;

    (void)snprintf(name, sizeof name, "epoch.%" PRIu64 "%s", e->n, suffix);
    int rc = epoch_share_read(s, name, text, sizeof text, &len);
    if (rc)
        return rc;
    rc = kind == EPOCH_CLAIM ? epoch_file_parse_claim(text, len, ret) : epoch_file_parse(text, len, kind, ret);
    return rc || ret->n != e->n ? -EBADMSG : 0;
}

static int entry_read_claim(const struct epoch_share *s, struct epoch_entry *e)
{
    struct epoch_file f;
    int rc = file_read(s, e, EPOCH_CLAIM, "", &f);

    if (rc)
        return rc;
    e->base = f.kind == EPOCH_BASE;
    memcpy(e->node, f.node, sizeof e->node);
    e->boot = f.boot;
    e->run = f.run;
    e->claim_read = true;
    return (e->n == 0 && !e->base) || e->base != !strcmp(e->node, "-") ? -EBADMSG : 0;
}

/* A tenure is of exactly the run that claimed, an end of the same node, in whichever of its lives. */
static int entry_read_rest(const struct epoch_share *s, struct epoch_entry *e)
{
    struct epoch_file f;

    if (e->base && (e->own_ino || e->end_ino))
        return -EBADMSG;
    if (e->own_ino && !e->own_read) {
        int rc = file_read(s, e, EPOCH_OWN, ".own", &f);
        if (rc)
            return rc;
        if (strcmp(f.node, e->node) || f.boot.hi != e->boot.hi || f.boot.lo != e->boot.lo || f.run != e->run)
            return -EBADMSG;
        e->own_read = true;
    }
    if (e->end_ino && !e->end_read) {
        int rc = file_read(s, e, EPOCH_END, ".end", &f);
        if (rc)
            return rc;
        if (strcmp(f.node, e->node))
            return -EBADMSG;
        e->planned = f.planned;
        e->end_read = true;
    }
    return 0;
}

/* From the highest down to the first base; what is below that is superseded and not looked at. -EAGAIN: the listing
 * has missed something, or something is lost. */
static int entries_read(const struct epoch_share *s, const struct epoch_view *old, struct epoch_view *view)
{
    for (size_t i = view->n; i-- > 0;) {
        struct epoch_entry *e = &view->v[i];
        int rc = 0;

        if (!entry_inherit(e, old) || !e->claim_ino || (i + 1 < view->n && e[1].n != e->n + 1))
            return -EAGAIN;
        bool checked = i + 1 < view->n && e->n && e->n <= old->checked;
        if (!e->claim_read && !checked)
            rc = entry_read_claim(s, e);
        if (!rc && !checked)
            rc = entry_read_rest(s, e);
        if (rc)
            return rc == -ENOENT ? -EAGAIN : rc;
        e->end_read = e->end_read || checked;
        if (e->base || checked) {
            memmove(view->v, e, (view->n - i) * sizeof *e);
            view->n -= i;
            return 0;
        }
    }
    return -EAGAIN;
}

/* A number of ours that is gone is a loss even if all the others are sound. */
static int view_build(struct epoch_share *s, const struct names *names, const struct epoch_view *old,
                      struct epoch_view *ret)
{
    int rc = entries_build(names, ret);

    if (!rc)
        rc = entries_read(s, old, ret);
    if (!rc && epoch_view_highest(ret) < epoch_view_highest(old))
        rc = -EAGAIN;
    if (rc)
        epoch_view_free(ret);
    return rc;
}

/* The engine knows nodes by the configuration; an epoch of anybody else that matters now cannot be judged. */
static bool nodes_known(const struct config *cfg, const struct epoch_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        const struct epoch_entry *e = &view->v[i];
        bool matters = epoch_is_open(e) || (i + 1 == view->n && !e->base);

        if (matters && config_node_by_name(cfg, e->node) < 0)
            return false;
    }
    return true;
}

int epoch_view_update(const struct config *cfg, struct epoch_share *s, struct epoch_view *view)
{
    struct names names = { NULL, 0, 0, false };
    struct epoch_view new = { .checked = view->checked };
    int rc = -EAGAIN;

    for (unsigned i = 0; i < LIST_TRIES && rc == -EAGAIN && !s->why; i++) {
        rc = names_list(s, &names);
        s->call = rc ? s->call : "reading an epoch";
        if (!rc && !s->why)
            rc = view_build(s, &names, view, &new);
    }
    free(names.v);
    if (rc == -EAGAIN)
        s->why = "epoch-lost";
    else if (rc == -EBADMSG)
        s->why = "epoch-malformed";
    else if (rc)
        return rc;
    if (s->why)
        return 0;
    new.maintenance = names.maintenance;
    free(view->v);
    *view = new;
    if (!nodes_known(cfg, view))
        s->why = "unknown-node";
    return 0;
}

int epoch_view_top(struct epoch_share *s, uint64_t *ret)
{
    struct names names = { NULL, 0, 0, false };
    int rc = names_list(s, &names);

    if (!rc && !names.n)
        rc = -ENOENT;
    if (!rc)
        *ret = names.v[names.n - 1].n;
    free(names.v);
    return rc;
}

void epoch_view_free(struct epoch_view *view)
{
    free(view->v);
    view->v = NULL;
    view->n = 0;
}

bool epoch_is_open(const struct epoch_entry *e)
{
    return !e->base && !e->end_read;
}

size_t epoch_view_open(const struct epoch_view *view)
{
    size_t n = 0;

    for (size_t i = 0; i < view->n; i++)
        n += epoch_is_open(&view->v[i]);
    return n;
}

uint64_t epoch_view_highest(const struct epoch_view *view)
{
    return view->n ? view->v[view->n - 1].n : 0;
}

const struct epoch_entry *epoch_view_find(const struct epoch_view *view, uint64_t n)
{
    if (!view->n || n < view->v[0].n || n - view->v[0].n >= view->n)
        return NULL;
    return &view->v[n - view->v[0].n]; /* there is no gap */
}
