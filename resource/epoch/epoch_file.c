/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bootid.h"
#include "common/num.h"

#include "common/banned.h"

#define FIRST_LINE "understudy-epoch 1\n"
#define LAST_LINE  "end=1\n"

enum field { F_CLUSTER, F_UUID, F_N, F_NODE, F_BOOT, F_RUN, F_OP, F_PROOFS, F_PLANNED, F_COUNTER, F_SINCE, F_REASON,
             FIELD_N };

static const char *const field_key[FIELD_N] = {
    [F_CLUSTER] = "cluster", [F_UUID] = "uuid", [F_N] = "n", [F_NODE] = "node", [F_BOOT] = "boot", [F_RUN] = "run",
    [F_OP] = "op", [F_PROOFS] = "proofs", [F_PLANNED] = "planned", [F_COUNTER] = "counter",
    [F_SINCE] = "since", [F_REASON] = "reason",
};

#define BIT(f) (1u << F_##f)
#define WRITER (BIT(NODE) | BIT(BOOT) | BIT(RUN) | BIT(OP))

static const struct { const char *name; unsigned fields; } kinds[EPOCH_KIND_N] = {
    [EPOCH_IDENTITY] = { "identity", BIT(CLUSTER) | BIT(UUID) },
    [EPOCH_BASE]     = { "base", BIT(N) | WRITER },
    [EPOCH_CLAIM]    = { "claim", BIT(N) | WRITER },
    [EPOCH_OWN]      = { "own", BIT(N) | WRITER | BIT(PROOFS) },
    [EPOCH_END]      = { "end", BIT(N) | WRITER | BIT(PLANNED) },
    [EPOCH_BEAT]     = { "beat", BIT(NODE) | BIT(BOOT) | BIT(RUN) | BIT(COUNTER) },
    [EPOCH_MAX]      = { "max", BIT(UUID) | BIT(N) },
    [EPOCH_MAINTENANCE] = { "maintenance", WRITER | BIT(SINCE) | BIT(REASON) },
};

static bool text_ok(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static const char *field_text(const struct epoch_file *f, enum field field, char buf[CONFIG_NAME_MAX])
{
    switch (field) {
    case F_CLUSTER: return f->cluster;
    case F_NODE:    return f->node;
    case F_PROOFS:  return f->proofs;
    case F_SINCE:   return f->since;
    case F_REASON:  return f->reason;
    case F_UUID:    bootid_format(&f->uuid, buf); break;
    case F_BOOT:    bootid_format(&f->boot, buf); break;
    case F_N:       (void)snprintf(buf, CONFIG_NAME_MAX, "%" PRIu64, f->n); break;
    case F_RUN:     (void)snprintf(buf, CONFIG_NAME_MAX, "%016" PRIx64, f->run); break;
    case F_OP:      (void)snprintf(buf, CONFIG_NAME_MAX, "%" PRIu64, f->op); break;
    case F_PLANNED: (void)snprintf(buf, CONFIG_NAME_MAX, "%d", f->planned); break;
    case F_COUNTER: (void)snprintf(buf, CONFIG_NAME_MAX, "%" PRIu64, f->counter); break;
    case FIELD_N:   break;
    }
    return buf;
}

size_t epoch_file_format(const struct epoch_file *f, char buf[EPOCH_FILE_MAX])
{
    char value[CONFIG_NAME_MAX] = "";
    int at = snprintf(buf, EPOCH_FILE_MAX, FIRST_LINE "kind=%s\n", kinds[f->kind].name);

    for (unsigned i = 0; i < FIELD_N; i++) {
        if (!(kinds[f->kind].fields & 1u << i))
            continue;
        const char *text = field_text(f, (enum field)i, value);
        if (!text_ok(text))
            return 0;
        /* All fields at their longest are far below EPOCH_FILE_MAX. */
        at += snprintf(buf + at, EPOCH_FILE_MAX - (size_t)at, "%s=%s\n", field_key[i], text);
    }
    at += snprintf(buf + at, EPOCH_FILE_MAX - (size_t)at, LAST_LINE);
    return (size_t)at;
}

static int text_take(const char *value, char *ret, size_t size)
{
    size_t len = strlen(value);

    if (!text_ok(value) || len >= size)
        return -EBADMSG;
    memcpy(ret, value, len + 1);
    return 0;
}

/* NNNN-NN-NNTNN:NN:NNZ; whether there is such a day is nobody's concern. */
static int time_take(const char *value, char ret[EPOCH_TIME_SIZE])
{
    static const char form[EPOCH_TIME_SIZE] = "0000-00-00T00:00:00Z";

    for (unsigned i = 0; i < EPOCH_TIME_SIZE; i++)
        if (form[i] == '0' ? value[i] < '0' || value[i] > '9' : value[i] != form[i])
            return -EBADMSG;
    memcpy(ret, value, EPOCH_TIME_SIZE);
    return 0;
}

static int reason_take(const char *value, char ret[TOKEN_SIZE])
{
    char text[TOKEN_TEXT_MAX + 1];

    return token_decode(value, text) ? -EBADMSG : text_take(value, ret, TOKEN_SIZE);
}

static int field_take(struct epoch_file *f, enum field field, const char *value)
{
    uint64_t flag = 0;
    int rc = -EBADMSG;

    switch (field) {
    case F_CLUSTER: rc = text_take(value, f->cluster, sizeof f->cluster); break;
    case F_NODE:    rc = text_take(value, f->node, sizeof f->node); break;
    case F_PROOFS:  rc = text_take(value, f->proofs, sizeof f->proofs); break;
    case F_UUID:    rc = bootid_parse(value, &f->uuid); break;
    case F_BOOT:    rc = bootid_parse(value, &f->boot); break;
    case F_N:       rc = num_parse_u64(value, 0, UINT64_MAX - 1, &f->n); break;
    case F_RUN:     rc = num_parse_hex64(value, &f->run); break;
    case F_OP:      rc = num_parse_u64(value, 0, UINT64_MAX - 1, &f->op); break;
    case F_COUNTER: rc = num_parse_u64(value, 0, UINT64_MAX - 1, &f->counter); break;
    case F_SINCE:   rc = time_take(value, f->since); break;
    case F_REASON:  rc = reason_take(value, f->reason); break;
    case F_PLANNED:
        rc = num_parse_u64(value, 0, 1, &flag);
        f->planned = flag != 0;
        break;
    case FIELD_N:   break;
    }
    return rc ? -EBADMSG : 0;
}

/* Steps over `text` if it comes next. */
static int literal_skip(const char **p, const char *stop, const char *text)
{
    size_t len = strlen(text);

    if ((size_t)(stop - *p) < len || memcmp(*p, text, len))
        return -EBADMSG;
    *p += len;
    return 0;
}

/* The rest of the line, which must have an end, as a text of its own. */
static int line_take(const char **p, const char *stop, char ret[CONFIG_TEXT_MAX])
{
    const char *nl = memchr(*p, '\n', (size_t)(stop - *p));
    size_t len = nl ? (size_t)(nl - *p) : 0;

    if (!nl || len >= CONFIG_TEXT_MAX || memchr(*p, '\0', len))
        return -EBADMSG;
    memcpy(ret, *p, len);
    ret[len] = '\0';
    *p = nl + 1;
    return 0;
}

int epoch_file_parse(const char *text, size_t len, enum epoch_kind kind, struct epoch_file *ret)
{
    const char *p = text, *stop = text + len;
    struct epoch_file f = { .kind = kind };
    char value[CONFIG_TEXT_MAX];

    if (literal_skip(&p, stop, FIRST_LINE) || literal_skip(&p, stop, "kind=") || line_take(&p, stop, value)
        || strcmp(value, kinds[kind].name))
        return -EBADMSG;
    for (unsigned i = 0; i < FIELD_N; i++) {
        if (!(kinds[kind].fields & 1u << i))
            continue;
        if (literal_skip(&p, stop, field_key[i]) || literal_skip(&p, stop, "=") || line_take(&p, stop, value)
            || field_take(&f, (enum field)i, value))
            return -EBADMSG;
    }
    if (literal_skip(&p, stop, LAST_LINE) || p != stop)
        return -EBADMSG;
    *ret = f;
    return 0;
}

int epoch_file_parse_claim(const char *text, size_t len, struct epoch_file *ret)
{
    return epoch_file_parse(text, len, EPOCH_CLAIM, ret) ? epoch_file_parse(text, len, EPOCH_BASE, ret) : 0;
}

int epoch_name_parse(const char *name, uint64_t *ret_n, enum epoch_name *ret_which)
{
    static const char *const suffix[] = { [EPOCH_NAME_CLAIM] = "", [EPOCH_NAME_OWN] = ".own", [EPOCH_NAME_END] = ".end" };
    char number[24];
    uint64_t n;

    if (strncmp(name, "epoch.", 6))
        return -ENOENT;
    name += 6;
    size_t len = strspn(name, "0123456789");
    if (len == 0 || len >= sizeof number || (len > 1 && name[0] == '0'))
        return -EBADMSG;
    memcpy(number, name, len);
    number[len] = '\0';
    if (num_parse_u64(number, 0, UINT64_MAX - 1, &n))
        return -EBADMSG;
    for (unsigned i = 0; i < sizeof suffix / sizeof suffix[0]; i++)
        if (!strcmp(name + len, suffix[i])) {
            *ret_n = n;
            *ret_which = (enum epoch_name)i;
            return 0;
        }
    return -EBADMSG;
}
