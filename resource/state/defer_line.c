/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "1 UNIT FIRST TRIES NEXT REASON", the unit's odd bytes as %XX: a name can hold anything but a slash. */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "resource/state/defer.h"

#include "common/banned.h"

#define WORDS 6u

static const char *const reasons[DEFER_REASON_N] = { "untried", "locked", "busy", "failed", "stuck" };

const char *defer_reason_name(enum defer_reason r) { return (unsigned)r < DEFER_REASON_N ? reasons[r] : "?"; }

static bool is_plain(unsigned char c) { return c > ' ' && c < 0x7f && c != '%'; }

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Each name has one spelling: what is plain is never coded. */
static int unit_decode(const char *text, char ret[DEFER_UNIT_MAX])
{
    size_t n = 0;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '%') {
            int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
            if (low < 0 || is_plain((unsigned char)(high << 4 | low)) || (high | low) == 0)
                return -EBADMSG;
            c = (unsigned char)(high << 4 | low);
            text += 2;
        } else if (!is_plain(c)) {
            return -EBADMSG;
        }
        if (n == DEFER_UNIT_MAX - 1)
            return -EBADMSG;
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    return n > 0 ? 0 : -EBADMSG;
}

static int words_split(const char *line, size_t len, char *copy, size_t size, char *ret[WORDS])
{
    unsigned n = 0;

    if (len >= size || memchr(line, '\0', len))
        return -EBADMSG;
    memcpy(copy, line, len);
    copy[len] = '\0';
    for (char *at = copy; at; n++) {
        char *space = strchr(at, ' ');
        if (n == WORDS || *at == '\0' || *at == ' ')
            return -EBADMSG;
        ret[n] = at;
        if (space)
            *space = '\0';
        at = space ? space + 1 : NULL;
    }
    return n == WORDS ? 0 : -EBADMSG;
}

static int reason_parse(const char *text, enum defer_reason *ret)
{
    for (unsigned i = 0; i < DEFER_REASON_N; i++)
        if (!strcmp(text, reasons[i])) {
            *ret = (enum defer_reason)i;
            return 0;
        }
    return -EBADMSG;
}

int defer_line_parse(const char *line, size_t len, struct defer_unit *ret)
{
    char              copy[DEFER_LINE_MAX], *word[WORDS];
    struct defer_unit u = { .name = "" };

    if (words_split(line, len, copy, sizeof copy, word) != 0 || strcmp(word[0], "1") != 0
        || unit_decode(word[1], u.name) != 0 || num_parse_u64(word[2], 0, INT64_MAX, &u.first_ms) != 0
        || num_parse_u32(word[3], 0, UINT32_MAX, &u.tries) != 0 || num_parse_u64(word[4], 0, INT64_MAX, &u.next_ms) != 0
        || reason_parse(word[5], &u.reason) != 0)
        return -EBADMSG;
    *ret = u;
    return 0;
}

size_t defer_line_write(const struct defer_unit *u, char ret[DEFER_LINE_MAX])
{
    size_t n = 2;

    memcpy(ret, "1 ", n);
    for (const char *at = u->name; *at; at++) {
        unsigned char c = (unsigned char)*at;
        n += (size_t)snprintf(ret + n, 4, is_plain(c) ? "%c" : "%%%02X", c);
    }
    return n + (size_t)snprintf(ret + n, DEFER_LINE_MAX - n, " %" PRIu64 " %" PRIu32 " %" PRIu64 " %s", u->first_ms, u->tries,
                                u->next_ms, defer_reason_name(u->reason));
}
