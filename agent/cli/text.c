/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#include "common/banned.h"

#define COLUMNS 100u

void text_print(FILE *out, const char *text)
{
    for (; *text; text++)
        (void)fputc(iscntrl((unsigned char)*text) ? '?' : *text, out);
}

static bool is_tame(const char *text)
{
    while (*text && !iscntrl((unsigned char)*text))
        text++;
    return !*text;
}

static void string_tame(json_t *o)
{
    char *copy = is_tame(json_string_value(o)) ? NULL : strdup(json_string_value(o));

    for (char *p = copy; p && *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
    if (copy)
        (void)json_string_set_nocheck(o, copy);
    free(copy);
}

void text_tame(json_t *o)
{
    const char *key;
    json_t *v;
    size_t i;

    if (json_is_string(o))
        string_tame(o);
    json_array_foreach(o, i, v)
        text_tame(v);
    json_object_foreach(o, key, v)
        text_tame(v);
}

const char *text_of(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));

    return v ? v : "-";
}

const char *text_age(const json_t *ms, char buf[TEXT_AGE_MAX])
{
    double v = json_number_value(ms);

    if (!json_is_number(ms))
        return "never";
    if (v < 1000)
        (void)snprintf(buf, TEXT_AGE_MAX, "%.0f ms", v);
    else if (v < 120000)
        (void)snprintf(buf, TEXT_AGE_MAX, "%.1f s", v / 1000);
    else if (v < 7200000)
        (void)snprintf(buf, TEXT_AGE_MAX, "%.0f min", v / 60000);
    else if (v < 172800000)
        (void)snprintf(buf, TEXT_AGE_MAX, "%.1f h", v / 3600000);
    else
        (void)snprintf(buf, TEXT_AGE_MAX, "%.1f days", v / 86400000);
    return buf;
}

static void print_last(FILE *out, const json_t *fence)
{
    (void)fprintf(out, "it rebooted itself at %s, in epoch %lld: ", text_of(fence, "last_at"),
                  (long long)json_integer_value(json_object_get(fence, "last_epoch")));
    text_print(out, text_of(fence, "last_why"));
}

static const char *fence_state(const json_t *fence)
{
    const char *state = text_of(fence, "state");

    return strcmp(state, "unable") == 0 ? "UNABLE: understudyd has not the capability CAP_SYS_BOOT; " :
           strcmp(state, "limit") == 0 ? "USED UP: this node rebooted itself too often within an hour; find out why its stop is "
                                         "not proven; " :
           strcmp(state, "off") == 0 ? "off; " : "";
}

void text_safety(FILE *out, const json_t *o, bool all)
{
    const json_t *watchdog = json_object_get(o, "watchdog"), *fence = json_object_get(o, "self_fence");
    const char *state = text_of(watchdog, "state");
    bool last = json_is_string(json_object_get(fence, "last_at")), unproven = json_is_true(json_object_get(fence, "stop_unproven"));

    if (all || strcmp(state, "absent") == 0 || strcmp(state, "busy") == 0 || strcmp(state, "failed") == 0) {
        (void)fprintf(out, "%-10s %s: ", "watchdog", state);
        text_print(out, text_of(watchdog, "says"));
        (void)fputc('\n', out);
    }
    if (!unproven && !(all && last) && !fence_state(fence)[0])
        return;
    (void)fprintf(out, "%-10s %s%s", "self-fence", fence_state(fence),
                  unproven ? "A STOP IS NOT PROVEN and this node is not rebooted: reboot it by hand; " : "");
    if (last)
        print_last(out, fence);
    (void)fputc('\n', out);
}

void text_wrap(FILE *out, unsigned indent, const char *text)
{
    unsigned column = 0;

    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > COLUMNS - indent) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fprintf(out, "%*s", column == 0 ? (int)indent : 1, "");
        for (size_t i = 0; i < len; i++)
            (void)fputc(iscntrl((unsigned char)text[i]) ? '?' : text[i], out);
        column += (unsigned)len + (column > 0);
        text += len;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}
