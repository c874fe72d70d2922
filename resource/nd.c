/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/nd.h"

#include <string.h>

#include "common/banned.h"

enum { AT_LENGTH = 4, AT_SOURCE = 8, AT_GROUP = 24, AT_CODE = 41, AT_SUM = 42, AT_FLAGS = 44, AT_TARGET = 48, AT_OPTIONS = 64 };
enum { NEXT_ICMPV6 = 58, HOPS_ON_LINK = 255, SOLICITATION = 135, ADVERTISEMENT = 136, OPTION_SOURCE = 1, OPTION_TARGET = 2 };

#define SOLICITED 0x40 /* of the flags of an advertisement */

static const uint8_t nobody[16];

void nd_solicited_group(const struct ipaddr *ip, uint8_t ret[16])
{
    static const uint8_t prefix[13] = { 0xff, 0x02, [11] = 1, [12] = 0xff };

    memcpy(ret, prefix, sizeof prefix);
    memcpy(ret + 13, ip->byte + 13, 3);
}

void nd_group_mac(const uint8_t group[16], uint8_t ret[6])
{
    ret[0] = ret[1] = 0x33;
    memcpy(ret + 2, group + 12, 4);
}

static uint32_t sum_add(uint32_t sum, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    return sum;
}

/* RFC 4443 2.3, over the message and what it has of the IPv6 header. 0 when a checksum in it is right. */
static uint16_t checksum(const uint8_t *packet, size_t payload)
{
    uint32_t sum = sum_add(0, packet + AT_SOURCE, 32) + (uint32_t)payload + NEXT_ICMPV6;

    sum = sum_add(sum, packet + ND_AT_TYPE, payload);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void nd_probe_make(uint8_t ret[ND_PROBE_SIZE], const struct ipaddr *ip)
{
    memset(ret, 0, ND_PROBE_SIZE);
    ret[0] = 0x60;
    ret[AT_LENGTH + 1] = ND_PROBE_SIZE - ND_AT_TYPE;
    ret[ND_AT_NEXT] = NEXT_ICMPV6;
    ret[ND_AT_HOPS] = HOPS_ON_LINK;
    nd_solicited_group(ip, ret + AT_GROUP);
    ret[ND_AT_TYPE] = SOLICITATION;
    memcpy(ret + AT_TARGET, ip->byte, 16);
    uint16_t sum = checksum(ret, ND_PROBE_SIZE - ND_AT_TYPE);
    ret[AT_SUM] = (uint8_t)(sum >> 8);
    ret[AT_SUM + 1] = (uint8_t)sum;
}

/* The options from AT_OPTIONS to `end`. -1 when one is cut off or has no length; else 0, with the Ethernet address of the
 * last one of `type` in ret_mac if there is one. */
static int options_read(const uint8_t *packet, size_t end, uint8_t type, uint8_t ret_mac[6], bool *ret_found)
{
    *ret_found = false;
    for (size_t at = AT_OPTIONS; at < end;) {
        size_t size = end - at >= 2 ? packet[at + 1] * 8u : 0;
        if (size == 0 || size > end - at)
            return -1;
        if (packet[at] == type && size == 8) {
            memcpy(ret_mac, packet + at + 2, 6);
            *ret_found = true;
        }
        at += size;
    }
    return 0;
}

/* The end of a solicitation or advertisement that a host may believe; 0 when it is none. */
static size_t packet_end(const uint8_t *packet, size_t len)
{
    if (len < AT_OPTIONS || packet[0] >> 4 != 6 || packet[ND_AT_NEXT] != NEXT_ICMPV6 || packet[ND_AT_HOPS] != HOPS_ON_LINK)
        return 0;
    size_t payload = (size_t)packet[AT_LENGTH] << 8 | packet[AT_LENGTH + 1];
    if (payload < AT_OPTIONS - ND_AT_TYPE || payload > len - ND_AT_TYPE || checksum(packet, payload) != 0)
        return 0;
    return packet[AT_CODE] == 0 ? ND_AT_TYPE + payload : 0;
}

static enum neighbour_verdict advertisement_judge(const uint8_t *packet, size_t end, const struct ipaddr *ip,
                                                  uint8_t ret_mac[6])
{
    bool found;

    if ((packet[AT_GROUP] == 0xff && (packet[AT_FLAGS] & SOLICITED)) || memcmp(packet + AT_TARGET, ip->byte, 16) != 0
        || options_read(packet, end, OPTION_TARGET, ret_mac, &found) != 0)
        return NEIGHBOUR_SILENT;
    return NEIGHBOUR_TAKEN;
}

/* Asked by whoever has the address: it is taken; asked from nobody for it: another duplicate address check. */
static enum neighbour_verdict solicitation_judge(const uint8_t *packet, size_t end, const struct ipaddr *ip,
                                                 uint8_t ret_mac[6])
{
    uint8_t group[16];
    bool    found, from_nobody = memcmp(packet + AT_SOURCE, nobody, 16) == 0;

    if (options_read(packet, end, OPTION_SOURCE, ret_mac, &found) != 0)
        return NEIGHBOUR_SILENT;
    if (memcmp(packet + AT_SOURCE, ip->byte, 16) == 0)
        return NEIGHBOUR_TAKEN;
    nd_solicited_group(ip, group);
    if (from_nobody && !found && memcmp(packet + AT_GROUP, group, 16) == 0 && memcmp(packet + AT_TARGET, ip->byte, 16) == 0)
        return NEIGHBOUR_CONTENDER;
    return NEIGHBOUR_SILENT;
}

enum neighbour_verdict nd_packet_judge(const uint8_t *packet, size_t len, const uint8_t from[6], const struct ipaddr *ip,
                                       const uint8_t own_mac[6], uint8_t ret_mac[6])
{
    size_t end = packet_end(packet, len);

    if (end == 0 || memcmp(from, own_mac, 6) == 0)
        return NEIGHBOUR_SILENT;
    memcpy(ret_mac, from, 6);
    if (packet[ND_AT_TYPE] == ADVERTISEMENT)
        return advertisement_judge(packet, end, ip, ret_mac);
    return packet[ND_AT_TYPE] == SOLICITATION ? solicitation_judge(packet, end, ip, ret_mac) : NEIGHBOUR_SILENT;
}
