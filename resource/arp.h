/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ARP frames, without the Ethernet header: asking whether somebody has an IPv4 address (RFC 5227), and telling everybody
 * that we have it. */
#ifndef UNDERSTUDY_ARP_H
#define UNDERSTUDY_ARP_H

#include <stddef.h>
#include <stdint.h>

#include "resource/neighbour.h"

#define ARP_FRAME_SIZE 28

enum arp_op { ARP_REQUEST = 1, ARP_REPLY = 2 };

/* A frame about `ip`: from nobody (a probe), or from `mac` as its owner. */
void arp_frame_make(uint8_t ret[ARP_FRAME_SIZE], enum arp_op op, const uint8_t mac[6], const struct ipaddr *ip,
                    bool as_owner);

/* Judges one frame that came in. `ret_mac` is whose it is, unless NEIGHBOUR_SILENT. */
enum neighbour_verdict arp_frame_judge(const uint8_t *frame, size_t len, const struct ipaddr *ip, const uint8_t own_mac[6],
                                       uint8_t ret_mac[6]);

#endif
