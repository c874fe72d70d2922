/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/bootid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/fileio.h"
#include "common/num.h"

#include "common/banned.h"

int bootid_read(struct id128 *ret)
{
    char text[64];
    size_t len;
    int rc = fileio_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof text - 1, &len, NULL);

    if (rc < 0)
        return rc;
    if (len != BOOTID_TEXT_SIZE || text[len - 1] != '\n')
        return -EBADMSG;
    text[len - 1] = '\0';
    return bootid_parse(text, ret) < 0 ? -EBADMSG : 0;
}

void bootid_format(const struct id128 *id, char ret[BOOTID_TEXT_SIZE])
{
    (void) snprintf(ret, BOOTID_TEXT_SIZE, "%08" PRIx32 "-%04" PRIx32 "-%04" PRIx32 "-%04" PRIx32 "-%012" PRIx64,
                    (uint32_t) (id->hi >> 32), (uint32_t) (id->hi >> 16 & 0xffff), (uint32_t) (id->hi & 0xffff),
                    (uint32_t) (id->lo >> 48), id->lo & UINT64_C(0xffffffffffff));
}

int bootid_parse(const char *text, struct id128 *ret)
{
    char hex[33];
    unsigned n = 0;
    struct id128 id;

    if (strnlen(text, BOOTID_TEXT_SIZE) != BOOTID_TEXT_SIZE - 1)
        return -EINVAL;
    for (unsigned i = 0; i < BOOTID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash != (text[i] == '-'))
            return -EINVAL;
        if (!dash)
            hex[n++] = text[i];
    }
    hex[n] = '\0';
    if (num_parse_hex64(hex + 16, &id.lo) < 0)
        return -EINVAL;
    hex[16] = '\0';
    if (num_parse_hex64(hex, &id.hi) < 0 || !bootid_known(&id))
        return -EINVAL;
    *ret = id;
    return 0;
}

bool bootid_equal(const struct id128 *a, const struct id128 *b)
{
    return a->hi == b->hi && a->lo == b->lo;
}

bool bootid_known(const struct id128 *id)
{
    return id->hi != 0 || id->lo != 0;
}
