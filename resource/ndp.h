/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unsolicited neighbour advertisements (RFC 4861 7.2.6), sent by libndp. It cannot ask from the unspecified address, nor tell
 * from which Ethernet address an answer came: the duplicate address check is nd.h. */
#ifndef UNDERSTUDY_NDP_H
#define UNDERSTUDY_NDP_H

#include "resource/netlink.h"

struct ndp_sender;                      /* one raw ICMPv6 socket */

int  ndp_sender_open(struct ndp_sender **ret);   /* 0 or -errno; give it back by ndp_sender_close() */
void ndp_sender_close(struct ndp_sender *s);     /* takes NULL */

/* Tells all nodes on `link`, overriding what they have, that `ip` is at its Ethernet address. The kernel chooses the source
 * address, the link-local one if there is one. 0 or -errno. */
int ndp_advertise(struct ndp_sender *s, const struct netlink_link *link, const struct ipaddr *ip);

#endif
