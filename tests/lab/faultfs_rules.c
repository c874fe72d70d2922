/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules in force, and who waits for them to change. */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/inotify.h>

enum { RULES_MAX = 32, TEXT_MAX = 16384 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int dir, root, hits, watch;
    char rules[64], seen[64];
    uint64_t generation;
    size_t n;
    struct rule v[RULES_MAX];
} the = { .lock = PTHREAD_MUTEX_INITIALIZER, .dir = -1, .root = -1, .hits = -1, .watch = -1 };

/* Answers whoever has written the rules: by rename, so that it is never read half. */
static void say_seen(const char *text)
{
    char fresh[80];

    snprintf(fresh, sizeof fresh, "%s.new", the.seen);
    int fd = openat(the.dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0)
        return;
    ssize_t put = write(fd, text, strlen(text));
    (void)close(fd);
    if (put == (ssize_t)strlen(text))
        (void)renameat(the.dir, fresh, the.dir, the.seen);
}

/* The first line is "generation N", then one rule a line. */
static int text_parse(char *text, uint64_t *ret_generation, struct rule *rules, size_t *ret_n, const char **ret_why)
{
    char *line = strsep(&text, "\n");

    *ret_generation = 0;
    *ret_n = 0;
    *ret_why = "the first line is not generation N";
    if (strncmp(line, "generation ", 11) != 0 || !number_parse(line + 11, UINT64_MAX / 16, ret_generation))
        return -EINVAL;
    while ((line = strsep(&text, "\n")) != NULL) {
        if (!*line)
            continue;
        *ret_why = "too many rules";
        if (*ret_n == RULES_MAX || rule_parse(line, &rules[*ret_n], ret_why) < 0)
            return -EINVAL;
        (*ret_n)++;
    }
    return 0;
}

/* A snapshot is taken before the rules count, so that no operation falls between the two. */
static int stale_prepare(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rules[i].kind == KIND_STALE)
            return stale_begin(the.root, rules[i].ms * 1000);
    }
    stale_end();
    return 0;
}

static void load(void)
{
    char text[TEXT_MAX], said[256];
    struct rule rules[RULES_MAX];
    const char *why = "";
    uint64_t generation = 0;
    size_t n = 0;
    int fd = openat(the.dir, the.rules, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    if (got < 0)
        return;
    text[got] = '\0';
    if (text_parse(text, &generation, rules, &n, &why) < 0) {
        snprintf(said, sizeof said, "%llu bad rule %zu: %s\n", (unsigned long long)generation, n + 1, why);
    } else if (stale_prepare(rules, n) < 0) {
        snprintf(said, sizeof said, "%llu bad no snapshot could be taken\n", (unsigned long long)generation);
    } else {
        (void)pthread_mutex_lock(&the.lock);
        memcpy(the.v, rules, n * sizeof *rules);
        the.n = n;
        the.generation++;
        (void)pthread_cond_broadcast(&the.changed);
        (void)pthread_mutex_unlock(&the.lock);
        snprintf(said, sizeof said, "%llu ok\n", (unsigned long long)generation);
    }
    say_seen(said);
}

/* Our own answers come by rename too. */
static bool events_say_rules(const char *events, size_t length)
{
    const struct inotify_event *event;

    for (size_t at = 0; at + sizeof *event <= length; at += sizeof *event + event->len) {
        event = (const void *)(events + at);
        if (event->len > 0 && strcmp(event->name, the.rules) == 0)
            return true;
    }
    return false;
}

static void *watch_main(void *arg)
{
    char events[4096] __attribute__((aligned(8)));
    ssize_t got = 1;

    (void)arg;
    while (got > 0 || errno == EINTR) {
        got = read(the.watch, events, sizeof events);
        if (got > 0 && events_say_rules(events, (size_t)got))
            load();
    }
    return NULL;
}

int rules_open(const char *dir, const char *name, int root)
{
    pthread_condattr_t attributes;
    pthread_t thread;
    char hits[64];

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&the.changed, &attributes);
    snprintf(the.rules, sizeof the.rules, "%s.rules", name);
    snprintf(the.seen, sizeof the.seen, "%s.seen", name);
    snprintf(hits, sizeof hits, "%s.hits", name);
    the.root = root;
    the.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    the.hits = the.dir < 0 ? -1 : openat(the.dir, hits, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    the.watch = inotify_init1(IN_CLOEXEC);
    if (the.dir < 0 || the.hits < 0 || the.watch < 0 || inotify_add_watch(the.watch, dir, IN_MOVED_TO) < 0)
        return -errno;
    load();
    return -pthread_create(&thread, NULL, watch_main, NULL);
}

static bool fits(const struct rule *r, enum op op, const char *path, const char *to)
{
    if (!(r->ops & OP_BIT(op)) || r->left == 0)
        return false;
    return !r->path[0] || (path && fnmatch(r->path, path + 1, 0) == 0) || (to && fnmatch(r->path, to + 1, 0) == 0);
}

static void note_hit(struct rule *r, enum op op, const char *path, const char *to)
{
    char line[1024];

    if (r->hits++ >= HITS_MAX)
        return;
    int length = snprintf(line, sizeof line, "{\"at_ms\":%llu,\"op\":\"%s\",\"kind\":\"%s\",\"path\":\"%.400s\","
                          "\"to\":\"%.400s\"}\n", (unsigned long long)now_ms(), op_name(op), kind_name(r->kind),
                          path ? path + 1 : "?", to ? to + 1 : "");
    if (write(the.hits, line, (size_t)length) != length)
        r->hits--;
}

/* Until the rules change, or `ms` have passed. With the lock held. */
static void wait_changed(uint64_t ms)
{
    struct timespec until;
    uint64_t before = the.generation;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (the.generation == before) {
        if ((ms ? pthread_cond_timedwait(&the.changed, &the.lock, &until) : pthread_cond_wait(&the.changed, &the.lock)) != 0)
            return;
    }
}

struct verdict rules_judge(enum op op, const char *path, const char *to)
{
    struct verdict verdict = { .kind = KIND_NONE };
    bool waited = true;

    (void)pthread_mutex_lock(&the.lock);
    while (waited) {
        struct rule *r = NULL;

        for (size_t i = 0; i < the.n && !r; i++)
            r = fits(&the.v[i], op, path, to) ? &the.v[i] : NULL;
        waited = r && r->kind == KIND_HANG;
        if (!r)
            break;
        r->left -= r->left != UINT64_MAX;
        note_hit(r, op, path, to);
        if (r->kind == KIND_HANG)
            wait_changed(0);
        else if (r->kind == KIND_DELAY && r->ms > 0)
            wait_changed(r->ms);
        else if (r->kind != KIND_DELAY)
            verdict = (struct verdict){ .kind = r->kind == KIND_ERROR ? KIND_NONE : r->kind, .error = -r->error, .ms = r->ms };
    }
    (void)pthread_mutex_unlock(&the.lock);
    return verdict;
}
