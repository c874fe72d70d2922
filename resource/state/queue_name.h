/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of queue entries: SECONDS.FRACTION+SHA1.pck and .bak (facts: any other .pck kills the runner that lists it).
 * Pure. */
#ifndef UNDERSTUDY_QUEUE_NAME_H
#define UNDERSTUDY_QUEUE_NAME_H

#include <stdint.h>

enum queue_kind {
    QUEUE_PCK,      /* waits */
    QUEUE_BAK,      /* was in a runner's hands */
    QUEUE_TMP,      /* being written: never acknowledged */
    QUEUE_ILL,      /* ends like an entry and is none */
    QUEUE_OTHER,    /* Mailman does not look at it either */
};

struct queue_name {
    enum queue_kind kind;
    uint64_t        time_ms;    /* since 1970, by the clock of who wrote it; PCK and BAK */
    uint32_t        hash;       /* first 32 bits of the hash, which choose the slice */
};

void queue_name_parse(const char *name, struct queue_name *ret);

/* The slice of 0..slices-1 whose runner handles it; slices is a power of 2. */
unsigned queue_name_slice(const struct queue_name *n, unsigned slices);

#endif
