/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON lines by hand: a few fixed keys, and file names of any bytes. */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t audit_now_us(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

const char *audit_kind_name(enum audit_kind kind)
{
    switch (kind) {
    case AUDIT_CLI:
        return "cli";
    case AUDIT_RUNNER:
        return "runner";
    case AUDIT_MASTER:
        return "master";
    case AUDIT_OTHER:
        break;
    }
    return "other";
}

void out_begin(const char *event, uint64_t now_us)
{
    printf("{\"ev\":\"%s\",\"ms\":%" PRIu64 ".%03" PRIu64, event, now_us / 1000U, now_us % 1000U);
}

void out_number(const char *key, int64_t value)
{
    printf(",\"%s\":%" PRId64, key, value);
}

void out_string(const char *key, const char *value, size_t length)
{
    printf(",\"%s\":\"", key);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)value[i];

        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte >= 0x7f)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

void out_text(const char *key, const char *value)
{
    out_string(key, value, strlen(value));
}

void out_end(void)
{
    puts("}");
}

void out_flush(void)
{
    fflush(stdout);
}
