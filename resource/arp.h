/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ARP on one interface: asking whether somebody has an address (RFC 5227), and telling everybody that we have it. */
#ifndef UNDERSTUDY_ARP_H
#define UNDERSTUDY_ARP_H

#include <netinet/in.h>
#include <stdint.h>

#include "resource/netlink.h"

#define ARP_FRAME_SIZE 28

enum arp_verdict {
    ARP_SILENT,      /* says nothing about the address */
    ARP_TAKEN,       /* the sender has it */
    ARP_CONTENDER,   /* the sender is probing for it as well: a conflict by RFC 5227 2.1.1 */
};

struct arp_finding {
    enum arp_verdict verdict;
    uint8_t          mac[6];     /* whose, unless ARP_SILENT */
};

/* A socket for ARP on `link`. 0 or -errno. The caller closes it, late: closing one takes the kernel 10 to 20 ms, which
 * is why the same one serves for the probe and for the announcements. */
int arp_open(const struct netlink_link *link, int *ret_fd);

/* Sends probes and listens for `dad_ms`. 0 with the finding, or -errno. */
int arp_probe(int fd, const struct netlink_link *link, struct in_addr ip, uint32_t dad_ms, struct arp_finding *ret);

/* One gratuitous request and one gratuitous reply, for those that believe only the one or the other. 0 or -errno. */
int arp_announce(int fd, const struct netlink_link *link, struct in_addr ip);

/* Judges one frame (without the Ethernet header) that came in. Split out for tests. */
enum arp_verdict arp_frame_judge(const uint8_t *frame, size_t len, struct in_addr ip, const uint8_t own_mac[6],
                                 uint8_t ret_mac[6]);

#endif
