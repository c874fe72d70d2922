/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/ipaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "common/num.h"

#include "common/banned.h"

size_t ipaddr_size(const struct ipaddr *a)
{
    return a->family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

unsigned ipaddr_bits(const struct ipaddr *a)
{
    return (unsigned)ipaddr_size(a) * 8;
}

int ipaddr_parse(const char *text, struct ipaddr *ret)
{
    struct ipaddr a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

    if (inet_pton(a.family, text, a.byte) != 1)
        return -EINVAL;
    *ret = a;
    return 0;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
    return a->family == b->family && memcmp(a->byte, b->byte, ipaddr_size(a)) == 0;
}

bool ipaddr_subnet_holds(const struct ipaddr *a, unsigned prefix, const struct ipaddr *b)
{
    unsigned whole = prefix / 8, rest = prefix % 8;

    if (a->family != b->family || prefix > ipaddr_bits(a) || memcmp(a->byte, b->byte, whole) != 0)
        return false;
    return rest == 0 || ((a->byte[whole] ^ b->byte[whole]) >> (8 - rest)) == 0;
}

void ipaddr_text(const struct ipaddr *a, char ret[IPADDR_TEXT_MAX])
{
    (void)inet_ntop(a->family, a->byte, ret, IPADDR_TEXT_MAX);
}

/* No host has the address whose bits after the prefix are all 0. */
static bool is_subnet_anycast(const struct ipaddr *a, unsigned prefix)
{
    struct ipaddr low = *a;

    if (prefix > 126)
        return false;
    memset(low.byte + (prefix + 7) / 8, 0, sizeof low.byte - (prefix + 7) / 8);
    if (prefix % 8)
        low.byte[prefix / 8] = (uint8_t)(low.byte[prefix / 8] & 0xff << (8 - prefix % 8));
    return ipaddr_equal(a, &low);
}

static enum ipaddr_fault fault_of(const struct ipaddr *a, unsigned prefix)
{
    static const uint8_t zero[16], one[16] = { [15] = 1 }, mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (a->family == AF_INET)
        return a->byte[0] == 0 || a->byte[0] == 127 || a->byte[0] >= 224 ? IPADDR_NO_HOST : IPADDR_GOOD;
    if (memcmp(a->byte, zero, 16) == 0)
        return IPADDR_UNSPECIFIED;
    if (memcmp(a->byte, one, 16) == 0)
        return IPADDR_LOOPBACK;
    if (memcmp(a->byte, mapped, 12) == 0 || memcmp(a->byte, zero, 12) == 0)
        return IPADDR_MAPPED;
    if (a->byte[0] == 0xff)
        return IPADDR_MULTICAST;
    if (a->byte[0] == 0xfe && (a->byte[1] & 0xc0) == 0x80)
        return IPADDR_LINK_LOCAL;
    return is_subnet_anycast(a, prefix) ? IPADDR_ANYCAST : IPADDR_GOOD;
}

/* The part of `text` before its '/'; NULL when that is no address for its length alone. */
static const char *address_part(const char *text, char buf[IPADDR_CIDR_MAX])
{
    size_t len = strcspn(text, "/");

    if (len >= IPADDR_CIDR_MAX)
        return NULL;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return buf;
}

enum ipaddr_fault ipaddr_host_parse(const char *text, struct ipaddr *ret, unsigned *ret_prefix)
{
    char          buf[IPADDR_CIDR_MAX];
    const char   *address = address_part(text, buf), *slash = strchr(text, '/');
    uint32_t      prefix = 0;
    struct ipaddr a;

    if (!address || ipaddr_parse(address, &a) != 0)
        return IPADDR_MALFORMED;
    if (slash && num_parse_u32(slash + 1, 1, ipaddr_bits(&a), &prefix) != 0)
        return IPADDR_MALFORMED;
    enum ipaddr_fault fault = fault_of(&a, prefix);
    if (fault == IPADDR_GOOD) {
        *ret = a;
        *ret_prefix = prefix;
    }
    return fault;
}

bool ipaddr_same(const char *a, const char *b)
{
    char          buf[2][IPADDR_CIDR_MAX];
    const char   *text[2] = { address_part(a, buf[0]), address_part(b, buf[1]) };
    struct ipaddr ip[2];

    if (!text[0] || !text[1])
        return false;
    if (ipaddr_parse(text[0], &ip[0]) != 0 || ipaddr_parse(text[1], &ip[1]) != 0)
        return strcmp(text[0], text[1]) == 0;
    return ipaddr_equal(&ip[0], &ip[1]);
}

const char *ipaddr_fault_text(enum ipaddr_fault fault)
{
    switch (fault) {
    case IPADDR_GOOD: break;
    case IPADDR_MALFORMED: return "it is no address, or its prefix is not from 1 to 32 (IPv4) or 128 (IPv6)";
    case IPADDR_NO_HOST: return "it is no IPv4 address of a host";
    case IPADDR_UNSPECIFIED: return "it is the unspecified address, which means that there is none";
    case IPADDR_LOOPBACK: return "it is the loopback address, which every host has and no other one reaches";
    case IPADDR_MULTICAST: return "it is a multicast address (ff00::/8), which many hosts have at a time";
    case IPADDR_LINK_LOCAL:
        return "it is link-local (fe80::/10): such an address holds on one link and together with an interface's name only, "
               "and neither MX hosts nor mailman.cfg could write that";
    case IPADDR_MAPPED: return "it is an IPv4 address in the notation of IPv6, which no interface takes; write it as IPv4";
    case IPADDR_ANYCAST:
        return "it is the anycast address of all routers of its subnet (RFC 4291 2.6.1), since no bit after the prefix is set";
    }
    return "it is good";
}
