/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/banned.h"

static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '%' && c != '"' && c != '\\';
}

int token_encode(const char *text, char ret[TOKEN_SIZE])
{
    size_t at = 0;

    if (strlen(text) > TOKEN_TEXT_MAX)
        return -E2BIG;
    for (; *text; text++) {
        char c = *text < ' ' || *text > '~' ? '?' : *text;
        if (is_plain(c))
            ret[at++] = c;
        else
            at += (size_t)snprintf(ret + at, TOKEN_SIZE - at, "%%%02X", (unsigned)c);
    }
    if (at == 0)
        ret[at++] = '-';
    ret[at] = '\0';
    return 0;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int token_decode(const char *token, char ret[TOKEN_TEXT_MAX + 1])
{
    char text[TOKEN_TEXT_MAX + 1];
    size_t at = 0;

    if (!*token)
        return -EBADMSG;
    for (const char *p = strcmp(token, "-") ? token : ""; *p; p++) {
        char c = *p;
        if (c == '%') {
            int high = digit_of(p[1]), low = high < 0 ? -1 : digit_of(p[2]);
            c = (char)(low < 0 ? 0 : high << 4 | low);
            if (c < ' ' || c > '~' || is_plain(c))
                return -EBADMSG;
            p += 2;
        } else if (!is_plain(c)) {
            return -EBADMSG;
        }
        if (at == TOKEN_TEXT_MAX)
            return -EBADMSG;
        text[at++] = c;
    }
    memcpy(ret, text, at);
    ret[at] = '\0';
    return 0;
}
