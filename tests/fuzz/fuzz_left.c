/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What dead processes of Mailman 2 have left: the files of a list's configuration, of which at least one stays whole if one was;
 * names of half-made saves, of bounces and of entries of the queue of 2.0. */
#include <config.h>

#include <inttypes.h>

#include "resource/state/bounces21.h"
#include "resource/state/list21.h"
#include "resource/state/pickle.h"
#include "resource/state/queue20.h"
#include "tests/fuzz/fuzz_dir.h"

#define NAMES 4u
static const char *const names[NAMES] = { "config.pck", "config.pck.last", "config.pck.safety", "config.pck.tmp.b.lab.test.77" };

static bool is_dead(void *ctx, const char *host, long pid)
{
    (void)ctx;
    PROMISE(host[0] && !strchr(host, '/') && pid > 0);
    return true;
}

static enum pickle_shape shape_of(int dir, const char *name)
{
    enum pickle_shape shape;
    struct stat st;

    PROMISE(pickle_look(dir, name, &shape, &st) == 0);
    return shape;
}

/* Each line of the input is one file, "-" for none, the first of config.pck; of the rest nothing is looked at. */
static void list_make(int dir, const uint8_t *data, size_t size)
{
    for (unsigned i = 0; i < NAMES && size > 0; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;

        if (!(len == 1 && data[0] == '-'))
            fuzz_dir_put(dir, names[i], data, len);
        data += len + (end != NULL);
        size -= len + (end != NULL);
    }
}

static void list_try(int dir, const uint8_t *data, size_t size)
{
    struct list21_look look = { .listfd = dir, .epoch = 7, .change = false, .is_dead = is_dead };
    enum list21_result would, did, again;
    bool had = false;

    list_make(dir, data, size);
    for (unsigned i = 0; i < 3; i++)
        had = had || shape_of(dir, names[i]) == PICKLE_WHOLE;
    PROMISE(list21_check(&look, &would) == 0);
    look.change = true;
    PROMISE(list21_check(&look, &did) == 0);
    PROMISE(did == would && (did == LIST21_GONE) == !had);
    PROMISE(!had || shape_of(dir, names[0]) == PICKLE_WHOLE);
    PROMISE(shape_of(dir, names[3]) == PICKLE_ABSENT);
    do { /* what is restored is tidied at the next look */
        PROMISE(list21_check(&look, &again) == 0);
    } while (again == LIST21_TIDIED);
    PROMISE(again == (had ? LIST21_SOUND : LIST21_GONE));
    fuzz_dir_clear(dir);
}

static void names_try(const char *name)
{
    char host[256], made[600], stem[QUEUE20_STEM_LEN + 1];
    bool msg;
    long pid;
    pid_t runner;

    if (list21_half_parse(name, host, sizeof host, &pid)) {
        PROMISE(host[0] && pid > 0 && strlen(host) < sizeof host);
        (void)snprintf(made, sizeof made, "config.pck.tmp.%s.%ld", host, pid);
        PROMISE(!strncmp(made, name, strlen("config.pck.tmp.") + strlen(host) + 1));
    }
    if (bounces21_name(name, &runner)) {
        (void)snprintf(made, sizeof made, "bounce-events-%05d.pck", (int)runner);
        PROMISE(runner > 0 && !strcmp(made, name));
    }
    if (queue20_name(name, stem, &msg)) {
        (void)snprintf(made, sizeof made, "%s.%s", stem, msg ? "msg" : "db");
        PROMISE(strlen(stem) == QUEUE20_STEM_LEN && !strcmp(made, name));
    }
}

/* The input as one entry: both halves are there if each has a byte, the metadata first. */
static void entry_try(const uint8_t *data, size_t size)
{
    struct queue20_entry e = { .db = { .there = size > 0, .file = true, .size = size / 2 },
                               .msg = { .there = size > 1, .file = true, .size = size - size / 2 } };

    if (size > 1) {
        e.db_first = (char)data[0];
        e.db_last = (char)data[size / 2 - 1];
    }
    enum queue20_fault f = queue20_judge(&e);
    PROMISE(f < QUEUE20_FAULT_N && strcmp(queue20_fault_name(f), "unknown") != 0);
    PROMISE(f != QUEUE20_WHOLE || (size > 3 && data[0] == '{'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(data, size, 255);

    if (name)
        names_try(name);
    free(name);
    entry_try(data, size);
    list_try(fuzz_dir(), data, size);
    return 0;
}
