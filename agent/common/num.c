/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/num.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/banned.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits from *p on; returns how many, 0 = none. *ret saturates at UINT64_MAX. */
static unsigned digits(const char **p, uint64_t *ret)
{
    unsigned n = 0;
    uint64_t v = 0;

    for (; is_digit(**p); (*p)++, n++) {
        uint64_t d = (uint64_t) (**p - '0');
        v = v > (UINT64_MAX - d) / 10u ? UINT64_MAX : v * 10u + d;
    }
    *ret = v;
    return n;
}

int num_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v;

    if (digits(&text, &v) == 0 || *text != '\0')
        return -EINVAL;
    if (v < min || v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

int num_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint64_t v;
    int rc = num_parse_u64(text, min, max, &v);

    if (rc == 0)
        *ret = (uint32_t) v;
    return rc;
}

int num_parse_hex64(const char *text, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 16; i++) {
        char c = text[i];
        unsigned d;

        if (is_digit(c))
            d = (unsigned) (c - '0');
        else if (c >= 'a' && c <= 'f')
            d = (unsigned) (c - 'a') + 10u;
        else if (c >= 'A' && c <= 'F')
            d = (unsigned) (c - 'A') + 10u;
        else
            return -EINVAL;
        v = v << 4 | d;
    }
    if (text[16] != '\0')
        return -EINVAL;
    *ret = v;
    return 0;
}

int num_parse_size_mib(const char *text, uint32_t min_mib, uint32_t max_mib, uint32_t *ret_mib)
{
    static const char units[] = "MGT"; /* each 1024 times the one before */
    uint64_t v;

    if (digits(&text, &v) == 0 || !text[0] || text[1] || !strchr(units, text[0]))
        return -EINVAL;
    if (v > UINT32_MAX)
        return -ERANGE;
    v <<= 10u * (unsigned) (strchr(units, text[0]) - units);
    if (v < min_mib || v > max_mib)
        return -ERANGE;
    *ret_mib = (uint32_t) v;
    return 0;
}

static uint64_t unit_ms(const char *unit)
{
    static const struct { const char *name; uint64_t ms; } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
    };

    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ms;
    return 0;
}

int num_parse_duration_ms(const char *text, uint32_t min_ms, uint32_t max_ms, uint32_t *ret_ms)
{
    uint64_t whole, part = 0, scale = 1;

    if (digits(&text, &whole) == 0)
        return -EINVAL;
    if (*text == '.') {
        text++;
        unsigned n = digits(&text, &part);
        if (n == 0 || n > 3)
            return -EINVAL;
        while (n--)
            scale *= 10u;
    }
    uint64_t unit = unit_ms(text);
    if (unit == 0)
        return -EINVAL;
    if (whole > UINT32_MAX || part * unit % scale != 0)
        return whole > UINT32_MAX ? -ERANGE : -EINVAL;
    uint64_t ms = whole * unit + part * unit / scale;
    if (ms < min_ms || ms > max_ms)
        return -ERANGE;
    *ret_ms = (uint32_t) ms;
    return 0;
}
