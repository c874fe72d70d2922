/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:address, inside: one IP address that is on exactly one node. */
#ifndef UNDERSTUDY_ADDRESS_H
#define UNDERSTUDY_ADDRESS_H

#include <net/if.h>
#include <stdint.h>

#include "common/ipaddr.h"
#include "resource/ocf.h"

struct address {
    struct ipaddr ip;
    char          ip_text[IPADDR_TEXT_MAX];
    unsigned      prefix;                 /* 0 = that of the interface's own subnet */
    char          interface[IF_NAMESIZE]; /* "" = found by subnet */
    uint32_t      dad_ms;
};

extern const struct ocf_about address_about;
extern const char             address_metadata[];

#endif
