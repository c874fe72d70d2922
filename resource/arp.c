/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/arp.h"

#include <string.h>

#include "common/banned.h"

enum { AT_HTYPE = 0, AT_PTYPE = 2, AT_HLEN = 4, AT_PLEN = 5, AT_OP = 6, AT_SHA = 8, AT_SPA = 14, AT_THA = 18, AT_TPA = 24 };

static const uint8_t fixed[6] = { 0, 1, 8, 0, 6, 4 }; /* Ethernet, IPv4, address sizes */

enum neighbour_verdict arp_frame_judge(const uint8_t *frame, size_t len, const struct ipaddr *ip, const uint8_t own_mac[6],
                                       uint8_t ret_mac[6])
{
    static const uint8_t none[4] = { 0 };

    if (len < ARP_FRAME_SIZE || memcmp(frame, fixed, sizeof fixed) != 0 || frame[AT_OP] != 0
        || (frame[AT_OP + 1] != ARP_REQUEST && frame[AT_OP + 1] != ARP_REPLY)
        || memcmp(frame + AT_SHA, own_mac, 6) == 0)
        return NEIGHBOUR_SILENT;
    memcpy(ret_mac, frame + AT_SHA, 6);
    if (memcmp(frame + AT_SPA, ip->byte, 4) == 0)
        return NEIGHBOUR_TAKEN;
    if (frame[AT_OP + 1] == ARP_REQUEST && memcmp(frame + AT_SPA, none, 4) == 0 && memcmp(frame + AT_TPA, ip->byte, 4) == 0)
        return NEIGHBOUR_CONTENDER;
    return NEIGHBOUR_SILENT;
}

void arp_frame_make(uint8_t ret[ARP_FRAME_SIZE], enum arp_op op, const uint8_t mac[6], const struct ipaddr *ip,
                    bool as_owner)
{
    memset(ret, 0, ARP_FRAME_SIZE);
    memcpy(ret, fixed, sizeof fixed);
    ret[AT_OP + 1] = (uint8_t)op;
    memcpy(ret + AT_SHA, mac, 6);
    if (as_owner)
        memcpy(ret + AT_SPA, ip->byte, 4);
    if (op == ARP_REPLY) /* a gratuitous reply names itself as the target too */
        memcpy(ret + AT_THA, mac, 6);
    memcpy(ret + AT_TPA, ip->byte, 4);
}
