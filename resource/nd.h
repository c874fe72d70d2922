/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Neighbour discovery packets from the IPv6 header on, as a packet socket has them (RFC 4861, RFC 4862 5.4): the duplicate
 * address check asks from the unspecified address, which no other kind of socket sends from. */
#ifndef UNDERSTUDY_ND_H
#define UNDERSTUDY_ND_H

#include <stddef.h>
#include <stdint.h>

#include "resource/neighbour.h"

#define ND_PROBE_SIZE 64   /* IPv6 header and a solicitation without options */

enum { ND_AT_NEXT = 6, ND_AT_HOPS = 7, ND_AT_TYPE = 40 };   /* bytes that a socket filter looks at */

/* The group that owners of `ip` listen to. */
void nd_solicited_group(const struct ipaddr *ip, uint8_t ret[16]);
/* The Ethernet address of an IPv6 multicast group. */
void nd_group_mac(const uint8_t group[16], uint8_t ret[6]);

/* A neighbour solicitation for `ip` from the unspecified address. */
void nd_probe_make(uint8_t ret[ND_PROBE_SIZE], const struct ipaddr *ip);

/* Judges one packet that came in from the Ethernet address `from`. What RFC 4861 7.1 tells a host to drop is silent, and so
 * is what we sent ourselves. `ret_mac` is the target's address where the packet has one, else `from`. */
enum neighbour_verdict nd_packet_judge(const uint8_t *packet, size_t len, const uint8_t from[6], const struct ipaddr *ip,
                                       const uint8_t own_mac[6], uint8_t ret_mac[6]);

#endif
