/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines that children print: a word, then key=value pairs separated by single spaces. */
#ifndef UNDERSTUDY_ENGINE_RECORD_H
#define UNDERSTUDY_ENGINE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_LINE_MAX  512
#define RECORD_PAIRS_MAX 16

struct record {
    char        text[RECORD_LINE_MAX];  /* the line, cut up; word and pairs point into it */
    const char *word;
    unsigned    n;
    struct { const char *key, *value; } pair[RECORD_PAIRS_MAX];
};

/* -EBADMSG unless the whole line follows the grammar and no key stands twice; `ret` is then undefined. */
int         record_parse(const char *line, size_t len, struct record *ret);
const char *record_value(const struct record *r, const char *key); /* NULL when it is not there */
/* -ENOENT when the key is not there, -EBADMSG when the value is not a plain decimal number (0 or 1 for bool). */
int record_u64(const struct record *r, const char *key, uint64_t *ret);
int record_bool(const struct record *r, const char *key, bool *ret);

/* Cuts a stream into lines. A line longer than the buffer is dropped whole. */
struct record_lines { char buf[RECORD_LINE_MAX]; size_t len; bool overlong; };
typedef void record_line_fn(void *ctx, const char *line, size_t len); /* line is terminated too */
void record_lines_feed(struct record_lines *l, const char *data, size_t len, record_line_fn *fn, void *ctx);

#endif
