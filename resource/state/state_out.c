/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/state_out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "resource/state/lists.h"

#include "common/banned.h"

static struct { bool json, arrays_closed; unsigned locks, queues, slices; } out; /* lists: lines only, see state_out_list() */

int state_fail(int code, const char *format, ...)
{
    va_list ap;
    char text[1024];

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    (void)fprintf(stderr, "understudy-state: %s\n", text);
    return code;
}

/* File names are anybody's bytes: %XX for what could end a value or a line, or mean something in JSON. `ret` has three times the
 * room of the longest one. */
static const char *name_text(const char *name, char *ret)
{
    size_t n = 0;

    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        bool plain = c > ' ' && c < 0x7f && c != '%' && c != '"' && c != '\\';
        n += (size_t)snprintf(ret + n, 4, plain ? "%c" : "%%%02X", c);
    }
    ret[n] = '\0';
    return ret;
}

void state_out_begin(bool json)
{
    out.json = json;
    out.locks = out.queues = out.slices = 0;
    out.arrays_closed = false;
    if (json)
        (void)fputs("{\"locks\": [", stdout);
}

/* Since it was taken or last renewed: its mtime is when it expires, which says nothing here. */
static uint64_t lock_age_ms(const struct stat *st)
{
    struct timespec now;

    if (st->st_nlink == 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0;
    int64_t age = ((int64_t)now.tv_sec - st->st_ctim.tv_sec) * 1000 + (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
    return age > 0 ? (uint64_t)age : 0; /* the file server's clock may be ahead of ours */
}

void state_out_lock(const struct lock_file *f, const char *action)
{
    char name[LOCK_NAME_MAX * 3];
    const char *host = f->fault == LOCK_SOUND ? f->owner.host : "-";
    int pid = f->fault == LOCK_SOUND ? (int)f->owner.pid : 0;

    if (out.json)
        (void)printf("%s\n  {\"name\": \"%s\", \"host\": \"%s\", \"pid\": %d, \"action\": \"%s\", \"why\": \"%s\", "
                     "\"age_ms\": %" PRIu64 "}", out.locks ? "," : "", name_text(f->name, name), host, pid, action, f->why,
                     lock_age_ms(&f->st));
    else
        (void)printf("lock name=%s host=%s pid=%d action=%s why=%s age_ms=%" PRIu64 "\n", name_text(f->name, name), host, pid,
                     action, f->why, lock_age_ms(&f->st));
    out.locks++;
}

/* Of the queue before. */
static void slices_close(void)
{
    if (out.json && out.queues)
        (void)fputs("]}", stdout);
    out.slices = 0;
}

void state_out_queue(const char *name, const struct queue_counts *c)
{
    char text[LOCK_NAME_MAX * 3];

    (void)name_text(name, text);
    slices_close();
    if (out.json)
        (void)printf("%s\n  {\"name\": \"%s\", \"pck\": %" PRIu64 ", \"bak\": %" PRIu64 ", \"tmp\": %" PRIu64
                     ", \"faulty\": %" PRIu64 ", \"quarantined\": %" PRIu64 ", \"unchecked\": %" PRIu64
                     ", \"held\": %" PRIu64 ", \"oldest_ms\": %" PRIu64 ", \"slices\": [",
                     out.queues ? "," : "],\n \"queues\": [", text,
                     c->pck, c->bak, c->tmp, c->faulty, c->quarantined, c->unchecked, c->held, c->oldest_ms);
    else
        (void)printf("queue name=%s pck=%" PRIu64 " bak=%" PRIu64 " tmp=%" PRIu64 " faulty=%" PRIu64 " quarantined=%" PRIu64
                     " unchecked=%" PRIu64 " held=%" PRIu64 " oldest_ms=%" PRIu64 "\n", text, c->pck, c->bak, c->tmp,
                     c->faulty, c->quarantined, c->unchecked, c->held, c->oldest_ms);
    out.queues++;
}

void state_out_slice(const char *queue, unsigned slice, unsigned slices, const struct slice_counts *c)
{
    char text[LOCK_NAME_MAX * 3];

    if (out.json)
        (void)printf("%s{\"slice\": %u, \"pck\": %" PRIu64 ", \"bak\": %" PRIu64 ", \"oldest_ms\": %" PRIu64
                     ", \"bak_ms\": %" PRIu64 "}", out.slices ? ", " : "", slice, c->pck, c->bak, c->oldest_ms, c->bak_ms);
    else
        (void)printf("slice queue=%s slice=%u slices=%u pck=%" PRIu64 " bak=%" PRIu64 " oldest_ms=%" PRIu64 " bak_ms=%" PRIu64
                     "\n", name_text(queue, text), slice, slices, c->pck, c->bak, c->oldest_ms, c->bak_ms);
    out.slices++;
}

/* Lists come between queues, in the order in which they are done: as JSON they are counted only, and named on stderr. */
void state_out_list(const char *name, const char *result)
{
    char text[LOCK_NAME_MAX * 3];

    if (!out.json)
        (void)printf("list name=%s result=%s\n", name_text(name, text), result);
}

static const char *arrays_end(void)
{
    if (out.arrays_closed)
        return "";
    slices_close();
    out.arrays_closed = true;
    return out.queues ? "]" : "],\n \"queues\": []";
}

void state_out_synced(unsigned file_systems, uint64_t took_ms)
{
    if (out.json)
        (void)printf("%s,\n \"synced\": {\"file_systems\": %u, \"took_ms\": %" PRIu64 "}", arrays_end(), file_systems, took_ms);
    else
        (void)printf("synced file_systems=%u took_ms=%" PRIu64 "\n", file_systems, took_ms);
}

/* -1 = without a limit. */
static int64_t number_of(uint64_t n) { return n > INT64_MAX ? -1 : (int64_t)n; }

void state_out_room(const struct state_room *room, uint64_t took_ms)
{
    int64_t bytes = number_of(room->free_bytes), files = number_of(room->free_files);

    if (out.json)
        (void)printf("%s,\n \"room\": {\"free_bytes\": %" PRId64 ", \"free_files\": %" PRId64 ", \"took_ms\": %" PRIu64 "}",
                     arrays_end(), bytes, files, took_ms);
    else
        (void)printf("room free_bytes=%" PRId64 " free_files=%" PRId64 " took_ms=%" PRIu64 "\n", bytes, files, took_ms);
}

void state_out_lists(const struct list_counts *c)
{
    if (out.json)
        (void)printf("%s,\n \"lists\": {", arrays_end());
    else
        (void)printf("lists");
    for (unsigned r = 0; r < LIST21_RESULT_N; r++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s", list21_result_name((enum list21_result)r));
        for (char *dash = key; (dash = strchr(dash, '-')); )
            *dash = '_';
        (void)printf(out.json ? "%s\"%s\": %" PRIu64 : "%s%s=%" PRIu64, !out.json ? " " : r ? ", " : "", key, c->n[r]);
    }
    (void)fputs(out.json ? "}" : "\n", stdout);
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void unit_out(const struct defer_unit *u, bool first, uint64_t now_ms)
{
    char name[DEFER_UNIT_MAX * 3];
    uint64_t age_ms = now_ms > u->first_ms ? now_ms - u->first_ms : 0;
    uint64_t next_ms = defer_is_due(u, now_ms) ? 0 : u->next_ms - now_ms;

    if (out.json)
        (void)printf("%s\n  {\"unit\": \"%s\", \"reason\": \"%s\", \"tries\": %" PRIu32 ", \"age_ms\": %" PRIu64
                     ", \"next_in_ms\": %" PRIu64 "}", first ? "" : ",", name_text(u->name, name),
                     defer_reason_name(u->reason), u->tries, age_ms, next_ms);
    else
        (void)printf("deferred unit=%s reason=%s tries=%" PRIu32 " age_ms=%" PRIu64 " next_in_ms=%" PRIu64 "\n",
                     name_text(u->name, name), defer_reason_name(u->reason), u->tries, age_ms, next_ms);
}

static int by_age(const void *a, const void *b)
{
    const struct defer_unit *const *x = a, *const *y = b;

    return ((*x)->first_ms > (*y)->first_ms) - ((*x)->first_ms < (*y)->first_ms);
}

void state_out_deferred(const struct defer *d, size_t max, const struct deferred_told *t)
{
    const struct defer_unit **sorted = calloc(d->n ? d->n : 1, sizeof *sorted);
    uint64_t now_ms = wall_ms(), next_ms = defer_next_ms(d, now_ms), oldest_ms = 0;
    uint32_t tries = 0;

    for (size_t i = 0; i < d->n; i++) {
        tries = d->v[i].tries > tries ? d->v[i].tries : tries;
        oldest_ms = now_ms > d->v[i].first_ms + oldest_ms ? now_ms - d->v[i].first_ms : oldest_ms;
        if (sorted)
            sorted[i] = &d->v[i];
    }
    if (sorted)
        qsort(sorted, d->n, sizeof *sorted, by_age);
    if (out.json)
        (void)printf("%s,\n \"deferred\": [", arrays_end());
    for (size_t i = 0; i < d->n && i < max; i++)
        unit_out(sorted ? sorted[i] : &d->v[i], i == 0, now_ms);
    free(sorted);
    if (out.json)
        (void)printf("],\n \"defer\": {\"epoch\": %" PRIu64 ", \"units\": %zu, \"oldest_ms\": %" PRIu64 ", \"tries\": %" PRIu32
                     ", \"next_in_ms\": %" PRIu64 ", \"dropped\": %u, \"unreaped\": %u}", d->epoch, d->n, oldest_ms, tries,
                     d->n ? next_ms - now_ms : 0, t->dropped, t->unreaped);
    else
        (void)printf("defer epoch=%" PRIu64 " units=%zu oldest_ms=%" PRIu64 " tries=%" PRIu32 " next_in_ms=%" PRIu64
                     " dropped=%u unreaped=%u\n", d->epoch, d->n, oldest_ms, tries, d->n ? next_ms - now_ms : 0, t->dropped,
                     t->unreaped);
}

void state_out_end(const struct state_totals *t)
{
    if (out.json)
        (void)printf("%s,\n \"summary\": {\"locks_cleared\": %u, \"locks_kept\": %u, \"locks_refused\": %u, \"bak\": %" PRIu64
                     ", \"pck\": %" PRIu64 ", \"tmp\": %" PRIu64 ", \"faulty\": %" PRIu64 ", \"quarantined\": %" PRIu64
                     ", \"unchecked\": %" PRIu64 ", \"shunt\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"last_chance\": %" PRIu64
                     ", \"parked\": %" PRIu64 ", \"duplicate_bound\": %u, \"deferred\": %" PRIu64 "}}\n",
                     arrays_end(), t->locks_cleared, t->locks_kept,
                     t->locks_refused, t->bak, t->pck, t->tmp, t->faulty, t->quarantined, t->unchecked, t->shunt, t->bad,
                     t->last_chance, t->parked, t->duplicate_bound, t->deferred);
    else
        (void)printf("summary locks_cleared=%u locks_kept=%u locks_refused=%u bak=%" PRIu64 " pck=%" PRIu64 " tmp=%" PRIu64
                     " faulty=%" PRIu64 " quarantined=%" PRIu64 " unchecked=%" PRIu64 " shunt=%" PRIu64 " bad=%" PRIu64
                     " last_chance=%" PRIu64 " parked=%" PRIu64 " duplicate_bound=%u deferred=%" PRIu64 "\n",
                     t->locks_cleared, t->locks_kept, t->locks_refused, t->bak, t->pck, t->tmp, t->faulty,
                     t->quarantined, t->unchecked, t->shunt, t->bad, t->last_chance, t->parked, t->duplicate_bound, t->deferred);
}

const char *state_out_action(const char *why)
{
    static const struct { const char *why, *action; } table[] = {
        { "process-alive", "stop the list server on this node first" },
        { "unknown-host", "no node of the configuration has that fqdn: correct it, or remove the lock by hand once that host "
          "is known not to run the list server" },
        { "owner-not-proven-harmless", "stop the list server on that node, or fence it" },
        { "not-a-regular-file", "Mailman did not make this: look at it, then remove it by hand" },
        { "foreign-owner", "Mailman did not make this: look at it, then remove it by hand" },
    };

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].why, why))
            return table[i].action;
    return "whose it is cannot be read: it is cleared once all other nodes are proven harmless and no list process runs here";
}
