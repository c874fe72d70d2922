/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the list user may put into the lock directory and the queues: names and texts of files. */
#include <config.h>

#include "resource/state/lock_name.h"
#include "resource/state/queue_name.h"
#include "tests/fuzz/fuzz.h"

static void lock_try(const char *text, size_t len)
{
    struct lock_claim c;
    char name[LOCK_NAME_MAX];

    if (lock_claim_parse(text, len, &c) == 0) {
        PROMISE(c.pid > 0 && c.host[0] && c.lock[0]);
        PROMISE(!strchr(c.lock, '/') && !strchr(c.host, '/'));
    }
    if (lock_text_parse(text, len, &c, name) != 0)
        return;
    PROMISE(c.pid > 0 && c.host[0] && c.lock[0]);
    PROMISE(name[0] && !strchr(name, '/') && strcmp(name, "..") != 0 && lock_name_is_claim(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(data, size, 255);
    struct queue_name q;

    lock_try((const char *)data, size);
    if (!name)
        return 0;
    (void)lock_name_is_claim(name);
    queue_name_parse(name, &q);
    for (unsigned slices = 1; slices <= 16; slices *= 2)
        PROMISE(queue_name_slice(&q, slices) < slices);
    if (q.kind == QUEUE_PCK || q.kind == QUEUE_BAK)
        PROMISE(size > 45 && !strchr(name, '/') && strchr(name, '+'));
    free(name);
    return 0;
}
