/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/queue_name.h"

#include <stdbool.h>
#include <string.h>

#include "common/banned.h"

#define HASH_LEN 40

static const char digits[] = "0123456789";

/* The fraction's first three digits; a time in e-notation is only recognised, not understood. */
static uint64_t time_of(const char *whole, size_t whole_len, const char *fraction, size_t fraction_len)
{
    uint64_t ms = 0;

    for (size_t i = 0; i < whole_len && i < 15; i++)
        ms = ms * 10u + (uint64_t)(whole[i] - '0');
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10u + (i < fraction_len ? (uint64_t)(fraction[i] - '0') : 0);
    return ms;
}

/* [0-9]+\.[0-9]+(e[-+]?[0-9]+)? ; returns what follows, or NULL. */
static const char *number_skip(const char *p, uint64_t *ret_ms)
{
    size_t whole = strspn(p, digits), fraction = p[whole] == '.' ? strspn(p + whole + 1, digits) : 0;

    if (!whole || !fraction)
        return NULL;
    *ret_ms = time_of(p, whole, p + whole + 1, fraction);
    p += whole + 1 + fraction;
    if (*p == 'e') {
        p += 1 + (p[1] == '-' || p[1] == '+');
        size_t n = strspn(p, digits);
        if (!n)
            return NULL;
        p += n;
        *ret_ms = 0;
    }
    return p;
}

static bool hash_take(const char *p, uint32_t *ret)
{
    uint32_t v = 0;

    if (strspn(p, "0123456789abcdef") != HASH_LEN)
        return false;
    for (unsigned i = 0; i < 8; i++)
        v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10);
    *ret = v;
    return true;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);

    return n >= s && !strcmp(name + n - s, suffix);
}

void queue_name_parse(const char *name, struct queue_name *ret)
{
    bool pck = ends_with(name, ".pck"), bak = ends_with(name, ".bak");

    memset(ret, 0, sizeof *ret);
    ret->kind = ends_with(name, ".tmp") ? QUEUE_TMP : QUEUE_OTHER;
    if (name[0] == '.')
        ret->kind = QUEUE_OTHER; /* what an NFS client keeps of an open file */
    else if (pck || bak) {
        const char *p = number_skip(name, &ret->time_ms);
        bool well = p && *p == '+' && hash_take(p + 1, &ret->hash) && p[1 + HASH_LEN] == '.'
            && strlen(p + 1 + HASH_LEN) == 4;
        ret->kind = !well ? QUEUE_ILL : pck ? QUEUE_PCK : QUEUE_BAK;
    }
}

unsigned queue_name_slice(const struct queue_name *n, unsigned slices)
{
    return (unsigned)((uint64_t)n->hash * slices >> 32);
}
