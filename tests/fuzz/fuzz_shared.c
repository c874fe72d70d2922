/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the list user may put into the lock directory and the queues: names and texts of files. */
#include <config.h>

#include <errno.h>

#include "resource/state/lock_name.h"
#include "resource/state/queue_name.h"
#include "tests/fuzz/fuzz.h"

/* Hosts that are parts of each other. */
static const struct lock_names names_of[LOCK_GRAMMAR_N] = {
    [LOCK_MAILMAN_3] = { LOCK_MAILMAN_3, 2, { "a.lab.test", "b.lab.test" } },
    [LOCK_MAILMAN_21] = { LOCK_MAILMAN_21, 4, { "b", "b.12", "a.b", "7" } },
    [LOCK_MAILMAN_20] = { LOCK_MAILMAN_20, 4, { "b", "b.12", "a.b", "7" } },
};

static void lock_try(const struct lock_names *names, const char *text, size_t len)
{
    struct lock_claim c, again;
    char name[LOCK_NAME_MAX];

    if (lock_claim_parse(names, text, len, NULL, &c) == 0) {
        PROMISE(c.pid > 0 && c.host[0] && c.lock[0]);
        PROMISE(!strchr(c.lock, '/') && !strchr(c.host, '/'));
        /* Who knows the lock reads the same; or that it cannot be told. */
        int rc = lock_claim_parse(names, text, len, c.lock, &again);
        PROMISE(rc == -ENOTUNIQ || (rc == 0 && again.pid == c.pid && !strcmp(again.host, c.host)));
    }
    if (lock_text_parse(names, text, len, NULL, &c, name) != 0)
        return;
    PROMISE(c.pid > 0 && c.host[0] && c.lock[0]);
    PROMISE(name[0] && !strchr(name, '/') && strcmp(name, "..") != 0 && lock_name_is_claim(names, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(data, size, 255);
    struct queue_name q;

    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++)
        lock_try(&names_of[g], (const char *)data, size);
    if (!name)
        return 0;
    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++)
        (void)lock_name_is_claim(&names_of[g], name);
    queue_name_parse(name, &q);
    for (unsigned slices = 1; slices <= 16; slices *= 2)
        PROMISE(queue_name_slice(&q, slices) < slices);
    if (q.kind == QUEUE_PCK || q.kind == QUEUE_BAK)
        PROMISE(size > 45 && !strchr(name, '/') && strchr(name, '+'));
    free(name);
    return 0;
}
