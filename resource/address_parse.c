/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "common/num.h"

#include "common/banned.h"

int address_parse(const char *text, struct in_addr *ret, unsigned *ret_prefix)
{
    char           copy[ADDRESS_TEXT_MAX];
    uint32_t       prefix = 0;
    struct in_addr ip;

    if (!memccpy(copy, text, '\0', sizeof copy))
        return -EINVAL;
    char *slash = strchr(copy, '/');
    if (slash) {
        *slash = '\0';
        if (num_parse_u32(slash + 1, 1, 32, &prefix) != 0)
            return -EINVAL;
    }
    if (inet_pton(AF_INET, copy, &ip) != 1)
        return -EINVAL;
    uint32_t first = ntohl(ip.s_addr) >> 24;
    if (first == 0 || first == 127 || first >= 224)
        return -EINVAL;
    *ret = ip;
    *ret_prefix = prefix;
    return 0;
}
