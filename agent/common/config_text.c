/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is it a text at all, and what a misspelt word was meant to be. */
#include <config.h>

#include "common/config_private.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/banned.h"

#define WORD_MAX 32u /* no key is longer */

/* Bytes of the UTF-8 character at `p`; 0 = it is none. Surrogates and too long forms are left to libini_config. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
        : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

int config_text_check(const char *text, size_t len, struct config_mistakes *m)
{
    const unsigned char *p = (const unsigned char *) text;
    unsigned line = 1;

    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_len(p + i, len - i);
        if (n == 0)
            config_mistake(m, line, "has the byte 0x%02x, which is not UTF-8; nobody could say what was meant; save the file "
                           "as UTF-8", (unsigned) p[i]);
        else if (p[i] == '\0')
            config_mistake(m, line, "has a zero byte in it; it is not a text file; correct it");
        if (n == 0 || p[i] == '\0')
            return -EINVAL;
        line += p[i] == '\n';
    }
    return 0;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* How many letters to add, drop, change or swap with the next one. */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return WORD_MAX;
    for (unsigned i = 0; i <= na; i++)
        d[i][0] = i;
    for (unsigned k = 0; k <= nb; k++)
        d[0][k] = k;
    for (unsigned i = 1; i <= na; i++) {
        for (unsigned k = 1; k <= nb; k++) {
            int x = tolower((unsigned char) a[i - 1]), y = tolower((unsigned char) b[k - 1]);
            d[i][k] = least(d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + (x != y));
            if (i > 1 && k > 1 && x != y && x == tolower((unsigned char) b[k - 2])
                && tolower((unsigned char) a[i - 2]) == y)
                d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1, d[i][k]);
        }
    }
    return d[na][nb];
}

const char *config_key_nearest(const struct config_section *s, const char *key)
{
    const char *found = NULL;
    unsigned best = 3, d;

    for (unsigned i = 0; i < s->n_fields; i++) {
        d = distance(key, s->fields[i].key);
        if (d < best && d < strlen(s->fields[i].key)) {
            best = d;
            found = s->fields[i].key;
        }
    }
    return s->more[0] && distance(key, s->more) < best ? s->more : found;
}
