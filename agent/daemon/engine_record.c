/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_record.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/num.h"

#include "common/banned.h"

static bool key_is_good(const char *key)
{
    if (!islower((unsigned char)*key))
        return false;
    for (; *key; key++)
        if (!islower((unsigned char)*key) && !isdigit((unsigned char)*key) && *key != '_')
            return false;
    return true;
}

static int pair_add(struct record *r, char *token)
{
    char *equals = strchr(token, '=');

    if (!equals || r->n == RECORD_PAIRS_MAX)
        return -EBADMSG;
    *equals = '\0';
    if (!key_is_good(token) || record_value(r, token))
        return -EBADMSG;
    r->pair[r->n].key = token;
    r->pair[r->n++].value = equals + 1;
    return 0;
}

int record_parse(const char *line, size_t len, struct record *ret)
{
    char *at;

    if (len == 0 || len >= sizeof ret->text)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++)
        if (!isprint((unsigned char)line[i]))
            return -EBADMSG;
    memcpy(ret->text, line, len);
    ret->text[len] = '\0';
    ret->word = ret->text;
    ret->n = 0;
    at = strchr(ret->text, ' ');
    if (at)
        *at++ = '\0';
    if (!islower((unsigned char)ret->text[0]))
        return -EBADMSG;
    while (at) {
        char *token = at;
        at = strchr(token, ' ');
        if (at)
            *at++ = '\0';
        int rc = pair_add(ret, token);
        if (rc)
            return rc;
    }
    return 0;
}

const char *record_value(const struct record *r, const char *key)
{
    for (unsigned i = 0; i < r->n; i++)
        if (!strcmp(r->pair[i].key, key))
            return r->pair[i].value;
    return NULL;
}

int record_u64(const struct record *r, const char *key, uint64_t *ret)
{
    const char *v = record_value(r, key);

    if (!v)
        return -ENOENT;
    return num_parse_u64(v, 0, UINT64_MAX, ret) ? -EBADMSG : 0;
}

int record_bool(const struct record *r, const char *key, bool *ret)
{
    const char *v = record_value(r, key);

    if (!v)
        return -ENOENT;
    if (strcmp(v, "0") != 0 && strcmp(v, "1") != 0)
        return -EBADMSG;
    *ret = *v == '1';
    return 0;
}

static void line_end(struct record_lines *l, record_line_fn *fn, void *ctx)
{
    l->buf[l->len] = '\0';
    if (!l->overlong)
        fn(ctx, l->buf, l->len);
    l->len = 0;
    l->overlong = false;
}

void record_lines_feed(struct record_lines *l, const char *data, size_t len, record_line_fn *fn, void *ctx)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n')
            line_end(l, fn, ctx);
        else if (l->len < sizeof l->buf - 1)
            l->buf[l->len++] = data[i];
        else
            l->overlong = true;
    }
}
