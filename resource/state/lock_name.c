/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/num.h"

#include "common/banned.h"

#define PID_MAX       4194304u /* the kernel's own limit */
#define DIGITS_MAX    39u      /* of 128 bits */
#define MASTER_21     "master-qrunner"

struct piece { const char *p; size_t len; };

enum lock_grammar lock_grammar_of(enum config_list_kind kind)
{
    switch (kind) {
    case LIST_MAILMAN21: return LOCK_MAILMAN_21;
    case LIST_MAILMAN20: return LOCK_MAILMAN_20;
    case LIST_MAILMAN3:
    case LIST_KIND_N: break;
    }
    return LOCK_MAILMAN_3;
}

void lock_names_of(const struct config *cfg, enum lock_grammar grammar, struct lock_names *ret)
{
    ret->grammar = grammar;
    ret->n = cfg->n_nodes;
    for (unsigned i = 0; i < cfg->n_nodes; i++)
        ret->hosts[i] = grammar == LOCK_MAILMAN_3 ? cfg->nodes[i].fqdn : cfg->nodes[i].hostname;
}

int lock_names_node(const struct lock_names *names, const char *host)
{
    for (unsigned i = 0; host[0] && i < names->n; i++)
        if (!strcasecmp(names->hosts[i], host))
            return (int)i;
    return -ENOENT;
}

const char *lock_name_master(enum lock_grammar grammar)
{
    if (grammar == LOCK_MAILMAN_21)
        return MASTER_21;
    return grammar == LOCK_MAILMAN_20 ? "qrunner.lock" : "master.lck";
}

/* Cuts the part after the last separator off `s`. */
static bool last_take(struct piece *s, char separator, struct piece *ret)
{
    const char *at = s->len ? memrchr(s->p, separator, s->len) : NULL;

    if (!at)
        return false;
    ret->p = at + 1;
    ret->len = s->len - (size_t)(at + 1 - s->p);
    s->len = (size_t)(at - s->p);
    return true;
}

/* As %d writes it: digits, and no zero before another one. */
static bool number_ok(struct piece s)
{
    if (s.len == 0 || s.len > DIGITS_MAX || (s.p[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool pid_ok(struct piece s, pid_t *ret)
{
    char text[DIGITS_MAX + 1];
    uint32_t value;

    if (!number_ok(s))
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    if (num_parse_u32(text, 1, PID_MAX, &value))
        return false;
    *ret = (pid_t)value;
    return true;
}

static bool host_ok(struct piece s)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:";

    for (size_t i = 0; i < s.len; i++)
        if (!s.p[i] || !strchr(chars, s.p[i]))
            return false;
    return s.len > 0 && s.len < CONFIG_TEXT_MAX;
}

static bool lock_ok(struct piece s)
{
    return s.len > 0 && s.len < LOCK_NAME_MAX && !memchr(s.p, '/', s.len) && !memchr(s.p, '\0', s.len);
}

static int claim_fill(struct piece lock, struct piece host, pid_t pid, struct lock_claim *ret)
{
    if (!lock_ok(lock) || !host_ok(host))
        return -EBADMSG;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->lock, lock.p, lock.len);
    memcpy(ret->host, host.p, host.len);
    ret->pid = pid;
    return 0;
}

static int parse_3(struct piece s, const char *lock, struct lock_claim *ret)
{
    struct piece random, pid, host;
    struct lock_claim c;
    pid_t value;

    if (!last_take(&s, '|', &random) || !last_take(&s, '|', &pid) || !last_take(&s, '|', &host) || memchr(s.p, '|', s.len)
        || !number_ok(random) || !pid_ok(pid, &value) || claim_fill(s, host, value, &c) || (lock && strcmp(c.lock, lock)))
        return -EBADMSG;
    *ret = c;
    return 0;
}

/* What a name of Mailman 2 may mean: readings of configured hosts, and the first one of another. */
struct readings { struct lock_claim known, unknown; unsigned n_known; bool differ, has_unknown; };

static void reading_add(const struct lock_names *names, struct piece lock, struct piece host, pid_t pid, struct readings *r)
{
    struct lock_claim c;

    if (claim_fill(lock, host, pid, &c))
        return;
    if (lock_names_node(names, c.host) < 0) {
        if (!r->has_unknown)
            r->unknown = c;
        r->has_unknown = true;
        return;
    }
    if (r->n_known++ && (strcasecmp(c.host, r->known.host) || c.pid != r->known.pid))
        r->differ = true;
    r->known = c;
}

/* `s` is LOCK.HOST, of a lock that is known: nothing is left open. */
static void lock_split(const struct lock_names *names, struct piece s, const char *lock, pid_t pid, struct readings *r)
{
    size_t len = strlen(lock);

    if (s.len > len + 1 && !memcmp(s.p, lock, len) && s.p[len] == '.')
        reading_add(names, (struct piece){ s.p, len }, (struct piece){ s.p + len + 1, s.len - len - 1 }, pid, r);
}

/* The same of any lock: each host that it can end with, and for another host's its last label. */
static void host_split(const struct lock_names *names, struct piece s, pid_t pid, struct readings *r)
{
    struct piece host;

    for (unsigned i = 0; i < names->n; i++) {
        size_t n = strlen(names->hosts[i]);
        if (n && s.len > n + 1 && s.p[s.len - n - 1] == '.' && !strncasecmp(s.p + s.len - n, names->hosts[i], n))
            reading_add(names, (struct piece){ s.p, s.len - n - 1 }, (struct piece){ s.p + s.len - n, n }, pid, r);
    }
    if (last_take(&s, '.', &host))
        reading_add(names, s, host, pid, r);
}

static void readings_find(const struct lock_names *names, struct piece s, const char *lock, struct readings *r)
{
    bool master = names->grammar == LOCK_MAILMAN_21 && (!lock || !strcmp(lock, MASTER_21));
    struct piece last, pid;
    pid_t value;

    if (!last_take(&s, '.', &last))
        return;
    if (master && pid_ok(last, &value)) /* mailmanctl's master lock has no counter once it was handed on */
        lock_split(names, s, MASTER_21, value, r);
    if (!number_ok(last) || !last_take(&s, '.', &pid) || !pid_ok(pid, &value))
        return;
    if (lock)
        lock_split(names, s, lock, value, r);
    else if (master)
        lock_split(names, s, MASTER_21, value, r);
    if (!lock)
        host_split(names, s, value, r);
}

static int parse_2(const struct lock_names *names, struct piece s, const char *lock, struct lock_claim *ret)
{
    struct readings r = { .n_known = 0 };

    readings_find(names, s, lock, &r);
    if (r.differ)
        return -ENOTUNIQ;
    if (!r.n_known && !r.has_unknown)
        return -EBADMSG;
    *ret = r.n_known ? r.known : r.unknown;
    return 0;
}

int lock_claim_parse(const struct lock_names *names, const char *name, size_t len, const char *lock, struct lock_claim *ret)
{
    struct piece s = { name, len };

    if (len >= LOCK_NAME_MAX)
        return -EBADMSG;
    return names->grammar == LOCK_MAILMAN_3 ? parse_3(s, lock, ret) : parse_2(names, s, lock, ret);
}

bool lock_name_is_claim(const struct lock_names *names, const char *name)
{
    struct lock_claim c;

    if (names->grammar == LOCK_MAILMAN_3)
        return strchr(name, '|') != NULL;
    return lock_claim_parse(names, name, strlen(name), NULL, &c) != -EBADMSG;
}

int lock_text_parse(const struct lock_names *names, const char *text, size_t len, const char *lock, struct lock_claim *ret,
                    char ret_name[LOCK_NAME_MAX])
{
    const char *slash = memrchr(text, '/', len);
    const char *name = slash ? slash + 1 : text;
    size_t name_len = (size_t)(text + len - name);
    int rc = slash && text[0] == '/' ? lock_claim_parse(names, name, name_len, lock, ret) : -EBADMSG;

    if (rc)
        return rc;
    memcpy(ret_name, name, name_len);
    ret_name[name_len] = '\0';
    return 0;
}

/* 128 bits in decimal, as %d would write them. */
static void decimal_write(const uint32_t random[4], char ret[DIGITS_MAX + 1])
{
    uint32_t v[4] = { random[0], random[1], random[2], random[3] };
    char reversed[DIGITS_MAX];
    size_t n = 0;

    do {
        uint64_t rest = 0;
        for (unsigned i = 0; i < 4; i++) {
            rest = rest << 32 | v[i];
            v[i] = (uint32_t)(rest / 10u);
            rest %= 10u;
        }
        reversed[n++] = (char)('0' + rest);
    } while (v[0] | v[1] | v[2] | v[3]);
    for (size_t i = 0; i < n; i++)
        ret[i] = reversed[n - 1 - i];
    ret[n] = '\0';
}

int lock_claim_name(const struct lock_names *names, const char *lock, const char *host, pid_t pid, const uint32_t random[4],
                    char ret[LOCK_NAME_MAX])
{
    char number[DIGITS_MAX + 1], separator = names->grammar == LOCK_MAILMAN_3 ? '|' : '.';
    struct lock_claim c;

    decimal_write(random, number);
    int n = snprintf(ret, LOCK_NAME_MAX, "%s%c%s%c%d%c%s", lock, separator, host, separator, (int)pid, separator, number);
    if (n < 0 || n >= LOCK_NAME_MAX)
        return -ENAMETOOLONG;
    if (lock[0] == '.' || lock_claim_parse(names, ret, (size_t)n, NULL, &c) || strcmp(c.lock, lock) || strcmp(c.host, host)
        || c.pid != pid)
        return -EINVAL;
    return 0;
}
