/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded by tests only: the allocation number MALLOC_FAILS fails, and with "+" behind it each one after it too. Without
 * MALLOC_FAILS nothing fails; the number of allocations goes to the descriptor MALLOC_COUNT when the program ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static unsigned long count, fails_at;
static int           fails_on;

__attribute__((constructor)) static void shim_start(void)
{
    const char *spec = getenv("MALLOC_FAILS");

    if (!spec)
        return;
    fails_on = strchr(spec, '+') != NULL;
    fails_at = strtoul(spec, NULL, 10);
    count = 0;
}

__attribute__((destructor)) static void shim_end(void)
{
    const char *to = getenv("MALLOC_COUNT");
    char        text[32];
    int         n = snprintf(text, sizeof text, "%lu\n", count);

    if (to && write((int)strtol(to, NULL, 10), text, (size_t)n) != n)
        abort();
}

static int may(void)
{
    count++;
    if (fails_at == 0 || count < fails_at || (count > fails_at && !fails_on))
        return 1;
    errno = ENOMEM;
    return 0;
}

void *malloc(size_t size) { return may() ? __libc_malloc(size) : NULL; }
void *calloc(size_t n, size_t size) { return may() ? __libc_calloc(n, size) : NULL; }
void *realloc(void *old, size_t size) { return may() ? __libc_realloc(old, size) : NULL; }
