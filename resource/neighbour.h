/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hosts on one link, asked whether they have an address, and told that we have it: by ARP (IPv4) or by neighbour
 * discovery (IPv6). */
#ifndef UNDERSTUDY_NEIGHBOUR_H
#define UNDERSTUDY_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipaddr.h"
#include "resource/netlink.h"

enum neighbour_verdict {
    NEIGHBOUR_SILENT,      /* says nothing about the address */
    NEIGHBOUR_TAKEN,       /* the sender has it */
    NEIGHBOUR_CONTENDER,   /* the sender is probing for it as well: a conflict by RFC 5227 2.1.1 and RFC 4862 5.4.3 */
};

struct neighbour_finding {
    enum neighbour_verdict verdict;
    uint8_t                mac[6];     /* whose, unless NEIGHBOUR_SILENT */
};

struct neighbour;

/* For `ip` on `link`, which is Ethernet. 0 or -errno. Give it back by neighbour_close(), late: to close a packet socket takes
 * the kernel 10 to 20 ms, which is why the same one serves for the probe and for the announcements. */
int  neighbour_open(const struct netlink_link *link, const struct ipaddr *ip, struct neighbour **ret);
void neighbour_close(struct neighbour *n);  /* takes NULL */

/* Sends probes and listens for `dad_ms`. 0 with the finding, or -errno. */
int neighbour_probe(struct neighbour *n, uint32_t dad_ms, struct neighbour_finding *ret);

/* IPv4: one gratuitous request and one gratuitous reply, for those that believe only the one or the other. IPv6: one
 * unsolicited advertisement to all nodes, which overrides what they have. 0 or -errno. */
int neighbour_announce(struct neighbour *n);

#endif
