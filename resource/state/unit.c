/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "resource/state/bounces.h"
#include "resource/state/queue.h"

#include "common/banned.h"

#define QUEUE "queue:"
#define LIST  "list:"
#define BOUNCES "bounces:data"

_Static_assert(sizeof(struct queue_told) + QUEUE_STEMS_MAX <= PASS_DATA_MAX, "an attempt could not tell all of it");

/* Without it the pass goes on: it counts for a warning only. */
static void ledger_tell(int rc, const char *doing)
{
    if (rc)
        (void)state_fail(EXIT_DONE, "%s %s in the queue directory: %s; how often a message was in a runner's hands is counted anew",
                         doing, LEDGER_FILE, strerror(-rc));
}

static int directory_open(const char *path, int *ret_fd)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? state_fail(EXIT_FAILED, "opening %s: %s", path, strerror(errno)) : EXIT_DONE;
}

int units_open(struct units *u, const struct state_ctx *ctx, struct state_totals *totals)
{
    int code;

    *u = (struct units){ .ctx = ctx, .totals = totals, .lists = -1, .locks = -1, .quarantine = -1,
                         .content_until_ms = queue_content_until_ms(ctx) };
    code = directory_open(ctx->cfg->list.queue_dir, &u->queues);
    if (!code && ctx->cfg->list.kind == LIST_MAILMAN21) {
        code = directory_open(ctx->cfg->list.list_dir, &u->lists);
        if (!code)
            code = directory_open(ctx->cfg->list.lock_dir, &u->locks);
    }
    return code;
}

void units_begin(struct units *u)
{
    if (!u->ctx->live)
        ledger_tell(ledger_load(u->queues, &u->ledger), "reading");
}

void units_finish(struct units *u, const struct pass_unit *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].result != PASS_DONE)
            ledger_keep(&u->ledger, v[i].name + (!strncmp(v[i].name, QUEUE, strlen(QUEUE)) ? strlen(QUEUE) : 0));
    if (!u->ctx->live)
        ledger_tell(ledger_save(u->queues, &u->ledger), "writing");
    if (u->lists >= 0)
        state_out_lists(&u->counts);
}

void units_close(struct units *u)
{
    ledger_free(&u->ledger);
    for (unsigned i = 0; i < 3; i++) {
        int fd = i == 0 ? u->queues : i == 1 ? u->lists : u->locks;
        if (fd >= 0)
            (void)close(fd);
    }
}

struct listing { struct pass_unit *v; size_t n, size; const char *kind; };

static int unit_add(void *ctx, const char *name)
{
    struct listing *l = ctx;

    if (l->n == DEFER_UNITS_MAX || strlen(l->kind) + strlen(name) >= DEFER_UNIT_MAX)
        return state_fail(EXIT_FAILED, "more than %u units, or a name that is too long: %s%s", DEFER_UNITS_MAX, l->kind, name);
    if (l->n == l->size) {
        size_t            size = l->size ? l->size * 2 : 64;
        struct pass_unit *v = realloc(l->v, size * sizeof *v);
        if (!v)
            return state_fail(EXIT_FAILED, "no memory for %zu units", size);
        l->v = v;
        l->size = size;
    }
    struct pass_unit *u = &l->v[l->n++];
    *u = (struct pass_unit){ .result = PASS_UNTRIED };
    (void)snprintf(u->name, sizeof u->name, "%s%s", l->kind, name);
    return EXIT_DONE;
}

int units_list(const struct units *u, struct pass_unit **ret, size_t *ret_n)
{
    struct listing l = { .kind = QUEUE };
    int            code = queue_each(u->queues, &u->ctx->cfg->list, unit_add, &l);

    l.kind = LIST;
    if (!code && u->lists >= 0)
        code = queue_names(u->lists, u->ctx->cfg->list.list_dir, unit_add, &l);
    l.kind = BOUNCES;
    if (!code && u->lists >= 0)
        code = unit_add(&l, "");
    *ret = l.v;
    *ret_n = l.n;
    return code;
}

static enum pass_result queue_attempt(struct units *u, const char *name, struct pass_answer *ret)
{
    static struct queue_stems stems; /* large */
    struct queue_told        *told = (struct queue_told *)(void *)ret->data;
    struct queue_how          how = { .ctx = u->ctx, .top = u->queues, .quarantine = &u->quarantine,
                                      .content_until_ms = u->content_until_ms };

    if (queue_treat(&how, name, told, u->ctx->live ? NULL : &stems) != EXIT_DONE)
        return PASS_FAILED; /* it has said why */
    ret->len = (uint32_t)QUEUE_TOLD_SIZE(told);
    if (!u->ctx->live) {
        memcpy(ret->data + ret->len, stems.text, stems.len);
        ret->len += (uint32_t)stems.len;
    }
    return PASS_DONE;
}

static enum pass_result list_attempt(struct units *u, const char *name, struct pass_answer *ret)
{
    enum list21_result found;
    enum pass_result   r = u->lists < 0 ? PASS_DONE /* of another list server, as it was configured then */
                         : list_treat(u->ctx, u->lists, u->locks, name, &found, &ret->error);

    if (u->lists >= 0 && r == PASS_DONE) {
        memcpy(ret->data, &found, sizeof found);
        ret->len = sizeof found;
    }
    return r;
}

/* The file that it may come from is the list user's own. */
static bool is_name(const char *unit)
{
    const char *colon = strchr(unit, ':');

    return colon && colon[1] && colon[1] != '.' && !strchr(colon, '/');
}

static enum pass_result bounces_attempt(struct units *u, struct pass_answer *ret)
{
    struct bounces21_result found = { 0 };
    enum pass_result r = u->lists < 0 ? PASS_DONE : bounces_treat(u->ctx, &found, &ret->error);

    memcpy(ret->data, &found, sizeof found);
    ret->len = sizeof found;
    return r;
}

enum pass_result unit_attempt(void *units, const char *unit, struct pass_answer *ret)
{
    if (is_name(unit) && !strncmp(unit, QUEUE, strlen(QUEUE)))
        return queue_attempt(units, unit + strlen(QUEUE), ret);
    if (is_name(unit) && !strncmp(unit, LIST, strlen(LIST)))
        return list_attempt(units, unit + strlen(LIST), ret);
    if (!strcmp(unit, BOUNCES))
        return bounces_attempt(units, ret);
    ret->error = EINVAL;
    return PASS_FAILED;
}

static void list_told(struct units *u, const struct pass_unit *unit, const void *data, size_t len)
{
    enum list21_result found;

    if (len != sizeof found)
        return;
    memcpy(&found, data, sizeof found);
    if ((unsigned)found < LIST21_RESULT_N)
        list_tell(unit->name + strlen(LIST), found, &u->counts);
}

static void bounces_told(const void *data, size_t len)
{
    struct bounces21_result found;

    if (len != sizeof found)
        return;
    memcpy(&found, data, sizeof found);
    bounces_tell(&found);
}

static void queue_told(struct units *u, const struct pass_unit *unit, const void *data, size_t len)
{
    static struct queue_told told; /* large */
    const char              *name = unit->name + strlen(QUEUE), *end = (const char *)data + len;
    size_t                   size;

    if (len < offsetof(struct queue_told, s))
        return;
    memcpy(&told, data, offsetof(struct queue_told, s));
    size = told.slices <= QUEUE_SLICES_MAX ? QUEUE_TOLD_SIZE(&told) : SIZE_MAX;
    if (len < size || (len > size && end[-1] != '\0'))
        return;
    memcpy(&told, data, size);
    queue_note(&u->ledger, name, (const char *)data + size, len - size, &told.c);
    queue_tell(name, &told, u->totals);
}

void unit_told(void *units, const struct pass_unit *unit, const void *data, size_t len)
{
    if (!strncmp(unit->name, LIST, strlen(LIST)))
        list_told(units, unit, data, len);
    else if (!strcmp(unit->name, BOUNCES))
        bounces_told(data, len);
    else
        queue_told(units, unit, data, len);
}
