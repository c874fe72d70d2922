/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded by tests only: the allocation number MALLOC_FAILS fails, and with "+" behind it each one after it too. Without
 * MALLOC_FAILS nothing fails; the number of allocations goes to the descriptor MALLOC_COUNT when the program ends. For a program
 * that runs on, a test says the same at any time in the file MALLOC_CONTROL, of the size of a struct control, which it has mapped
 * as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
    uint64_t count;    /* of this process and, by the same file, of others */
    uint64_t fails_at; /* this number fails; 0 = none */
    uint64_t fails_on; /* and all that follow */
    uint64_t pid;      /* only in this process, whose own forks are others; 0 = in each */
    uint64_t failed;   /* so many have */
};

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static unsigned long count, fails_at;
static int           fails_on;
static struct control *control;

__attribute__((constructor)) static void shim_start(void)
{
    const char *spec = getenv("MALLOC_FAILS"), *path = getenv("MALLOC_CONTROL");
    int         fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
            abort();
        control = at;
        (void)close(fd);
    }
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

static int control_may(void)
{
    uint64_t n, at;

    if (control->pid && control->pid != (uint64_t)getpid())
        return 1;
    n = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    at = __atomic_load_n(&control->fails_at, __ATOMIC_SEQ_CST);
    if (at == 0 || n < at || (n > at && !control->fails_on))
        return 1;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return 0;
}

static int may(void)
{
    if (control)
        return control_may();
    count++;
    if (fails_at == 0 || count < fails_at || (count > fails_at && !fails_on))
        return 1;
    errno = ENOMEM;
    return 0;
}

void *malloc(size_t size) { return may() ? __libc_malloc(size) : NULL; }
void *calloc(size_t n, size_t size) { return may() ? __libc_calloc(n, size) : NULL; }
void *realloc(void *old, size_t size) { return may() ? __libc_realloc(old, size) : NULL; }
