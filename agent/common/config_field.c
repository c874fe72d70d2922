/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One value at a time: text to typed member, with the sentence for a person when it does not fit. */
#include <config.h>

#include "common/config_private.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "common/ipaddr.h"
#include "common/num.h"

#include "common/banned.h"

void config_mistake(struct config_mistakes *m, unsigned line, const char *format, ...)
{
    va_list ap;

    m->n++;
    if (!m->out)
        return;
    if (line)
        (void) fprintf(m->out, "%s:%u: ", m->path, line);
    else
        (void) fprintf(m->out, "%s: ", m->path);
    va_start(ap, format);
    (void) vfprintf(m->out, format, ap);
    va_end(ap);
    (void) fputc('\n', m->out);
}

bool config_name_ok(const char *text)
{
    if (!isalnum((unsigned char) text[0]))
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char) *text) && !strchr("._-", *text))
            return false;
    return true;
}

int config_word_next(const char **p, char *buf, size_t size)
{
    *p += strspn(*p, " \t");
    size_t n = strcspn(*p, " \t");
    if (n >= size)
        return -1;
    memcpy(buf, *p, n);
    buf[n] = '\0';
    *p += n;
    return (int) n;
}

/* Absolute, and the same path to whoever reads it: no "..", no blanks or control characters. */
static bool path_ok(const char *text)
{
    size_t len = strlen(text);

    if (text[0] != '/' || strstr(text, "/../") || (len >= 3 && strcmp(text + len - 3, "/..") == 0))
        return false;
    for (; *text; text++)
        if (!isgraph((unsigned char) *text))
            return false;
    return true;
}

bool config_plain_ok(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char) *text))
            return false;
    return true;
}

/* What the address agent would refuse is refused here: a takeover is the wrong moment to learn of it. */
static int cidr_check(const char *text, const char **ret_want)
{
    struct ipaddr ip;
    unsigned prefix = 0;
    enum ipaddr_fault fault = ipaddr_host_parse(text, &ip, &prefix);

    *ret_want = "the IPv4 or IPv6 address of a host with its prefix, as 192.0.2.10/24 or 2001:db8::10/64";
    if (fault == IPADDR_GOOD)
        return prefix ? 0 : -EINVAL;
    if (fault == IPADDR_MALFORMED || fault == IPADDR_NO_HOST)
        return -EINVAL;
    *ret_want = ipaddr_fault_text(fault);
    return -EADDRNOTAVAIL;
}

static bool host_ok(const char *text)
{
    struct ipaddr ip;

    return config_name_ok(text) || ipaddr_parse(text, &ip) == 0;
}

static int bool_parse(const char *text, bool *ret)
{
    static const char *const yes[] = { "yes", "on", "true" }, *const no[] = { "no", "off", "false" };

    for (unsigned i = 0; i < 3; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_text(const struct config_field *f, char *dst, const char *text, const char **ret_want)
{
    bool ok = true;
    int rc = 0;

    switch (f->type) {
    case CT_NAME:  ok = config_name_ok(text); *ret_want = "a name of letters, digits, '.', '_' and '-'"; break;
    case CT_PATH:  ok = path_ok(text); *ret_want = "an absolute path without blanks"; break;
    case CT_AGENT: ok = text[0] == '/' ? path_ok(text) : config_name_ok(text);
                   *ret_want = "the name of a program in /usr/sbin, or an absolute path"; break;
    case CT_CIDR:  rc = cidr_check(text, ret_want); break;
    case CT_HOST:  ok = host_ok(text); *ret_want = "the name or the address of a host, IPv6 without brackets"; break;
    case CT_TEXT: case CT_DURATION: case CT_SIZE: case CT_U32: case CT_U16: case CT_BOOL:
                   ok = config_plain_ok(text); *ret_want = "plain text"; break;
    }
    size_t len = strlen(text);
    if (!ok)
        rc = -EINVAL;
    if (rc != 0)
        return rc;
    if (len >= f->size)
        return -E2BIG;
    memcpy(dst, text, len + 1);
    return 0;
}

static int set_number(const struct config_field *f, char *dst, const char *text, const char **ret_want)
{
    uint32_t v;
    int rc;

    *ret_want = f->type == CT_DURATION ? "a time with its unit, as 150ms, 2s or 5m"
        : f->type == CT_SIZE ? "a size with its unit, as 64M, 2G or 1T" : "a whole number";
    rc = f->type == CT_DURATION ? num_parse_duration_ms(text, f->min, f->max, &v)
        : f->type == CT_SIZE ? num_parse_size_mib(text, f->min, f->max, &v) : num_parse_u32(text, f->min, f->max, &v);
    if (rc == 0 && f->type == CT_U16) {
        uint16_t v16 = (uint16_t) v;
        memcpy(dst, &v16, sizeof v16);
    } else if (rc == 0) {
        memcpy(dst, &v, sizeof v);
    }
    return rc;
}

static int set_any(const struct config_field *f, char *dst, const char *text, const char **ret_want)
{
    bool b;

    switch (f->type) {
    case CT_NAME: case CT_TEXT: case CT_PATH: case CT_AGENT: case CT_CIDR: case CT_HOST:
        return set_text(f, dst, text, ret_want);
    case CT_DURATION: case CT_SIZE: case CT_U32: case CT_U16:
        return set_number(f, dst, text, ret_want);
    case CT_BOOL:
        *ret_want = "yes or no";
        if (bool_parse(text, &b) < 0)
            return -EINVAL;
        memcpy(dst, &b, sizeof b);
        return 0;
    }
    return -EINVAL;
}

int config_field_set(const struct config_field *f, void *base, const char *text, unsigned line,
                     struct config_mistakes *m)
{
    const char *want = "";
    int rc = text[0] ? set_any(f, (char *) base + f->offset, text, &want) : -ENODATA;

    if (rc == 0)
        return 0;
    if (rc == -ENODATA)
        config_mistake(m, line, "'%s' has no value; an empty value is never a choice; write one or remove the line",
                       f->key);
    else if (rc == -E2BIG)
        config_mistake(m, line, "'%s' is too long; at most %zu characters are kept; shorten it", f->key, f->size - 1);
    else if (rc == -ERANGE && f->type == CT_DURATION)
        config_mistake(m, line, "'%s = %s' is out of range; outside of it the cluster cannot work; "
                       "choose %" PRIu32 "ms to %" PRIu32 "ms", f->key, text, f->min, f->max);
    else if (rc == -ERANGE && f->type == CT_SIZE)
        config_mistake(m, line, "'%s = %s' is out of range; no file system is that large; choose %" PRIu32 "M to %"
                       PRIu32 "M", f->key, text, f->min, f->max);
    else if (rc == -ERANGE)
        config_mistake(m, line, "'%s = %s' is out of range; outside of it the cluster cannot work; "
                       "choose %" PRIu32 " to %" PRIu32, f->key, text, f->min, f->max);
    else if (rc == -EADDRNOTAVAIL)
        config_mistake(m, line, "'%s = %s' cannot be a floating address; %s; choose another one", f->key, text, want);
    else
        config_mistake(m, line, "'%s = %s' cannot be read; it has to be %s; correct it", f->key, text, want);
    return -EINVAL;
}
