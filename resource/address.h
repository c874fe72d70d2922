/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:address, inside: one IPv4 address that is on exactly one node. */
#ifndef UNDERSTUDY_ADDRESS_H
#define UNDERSTUDY_ADDRESS_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "resource/ocf.h"

#define ADDRESS_TEXT_MAX 32
#define ADDRESS_MAC_MAX  18

struct address {
    struct in_addr ip;
    char           ip_text[ADDRESS_TEXT_MAX];
    unsigned       prefix;               /* 0 = that of the interface's own subnet */
    char           interface[IF_NAMESIZE]; /* "" = found by subnet */
    uint32_t       dad_ms;
};

extern const struct ocf_about address_about;
extern const char             address_metadata[];

/* "10.0.0.1/24" or "10.0.0.1" (ret_prefix 0). 0 or -EINVAL. */
int address_parse(const char *text, struct in_addr *ret, unsigned *ret_prefix);

#endif
