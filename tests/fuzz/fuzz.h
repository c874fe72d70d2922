/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a target is: one parser, called with bytes of anybody's making. It may not crash, and what it takes has to be what it
 * promises. Linked with libFuzzer, or with replay.c, which feeds it the files of a folder. */
#ifndef UNDERSTUDY_FUZZ_H
#define UNDERSTUDY_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it holds in any build. */
#define PROMISE(what) \
    do { \
        if (!(what)) { \
            (void)fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #what); \
            abort(); \
        } \
    } while (0)

/* The input as a terminated text; NULL when it has a zero byte or is longer than `max`. The caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size, size_t max)
{
    if (size > max || memchr(data, 0, size))
        return NULL;
    char *text = malloc(size + 1);
    PROMISE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
