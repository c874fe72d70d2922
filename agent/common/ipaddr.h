/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An IP address of either version, and which of them can be a floating one. */
#ifndef UNDERSTUDY_IPADDR_H
#define UNDERSTUDY_IPADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPADDR_TEXT_MAX INET6_ADDRSTRLEN
#define IPADDR_CIDR_MAX (INET6_ADDRSTRLEN + 4)

struct ipaddr {
    uint8_t family;      /* AF_INET or AF_INET6 */
    uint8_t byte[16];    /* as on the wire; the first 4 of IPv4, the others are 0 */
};

/* Why a text names no address that a host can have and others can reach. */
enum ipaddr_fault {
    IPADDR_GOOD,
    IPADDR_MALFORMED,    /* no address, or no prefix of its IP version */
    IPADDR_NO_HOST,      /* IPv4: 0/8, 127/8, 224/4 and above */
    IPADDR_UNSPECIFIED,  /* from here on IPv6 only */
    IPADDR_LOOPBACK,
    IPADDR_MULTICAST,
    IPADDR_LINK_LOCAL,
    IPADDR_MAPPED,       /* an IPv4 address in the notation of IPv6 */
    IPADDR_ANYCAST,      /* that of all routers of the subnet, RFC 4291 2.6.1; only with a prefix below 127 */
};

/* "ADDRESS" of either version, whatever it stands for. 0 or -EINVAL. */
int ipaddr_parse(const char *text, struct ipaddr *ret);
/* "ADDRESS/PREFIX" or "ADDRESS" (ret_prefix 0) of a host. The outputs are written only for IPADDR_GOOD. */
enum ipaddr_fault ipaddr_host_parse(const char *text, struct ipaddr *ret, unsigned *ret_prefix);
/* The fault for a person, as "it is ...". */
const char *ipaddr_fault_text(enum ipaddr_fault fault);

size_t   ipaddr_size(const struct ipaddr *a);   /* bytes of it that count */
unsigned ipaddr_bits(const struct ipaddr *a);   /* 32 or 128 */
bool     ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b);
/* Is `b` in the subnet that `a` has with `prefix`? */
bool     ipaddr_subnet_holds(const struct ipaddr *a, unsigned prefix, const struct ipaddr *b);
void     ipaddr_text(const struct ipaddr *a, char ret[IPADDR_TEXT_MAX]);
/* Do both texts, each up to its '/', name the same address? Of IPv6 many texts do. Texts that are no addresses are
 * compared as they are. */
bool     ipaddr_same(const char *a, const char *b);

#endif
