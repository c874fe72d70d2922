/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What anybody on the link may send while an address is asked for, and the texts of addresses. */
#include <config.h>

#include "common/ipaddr.h"
#include "resource/arp.h"
#include "resource/nd.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 9 };

static void frames_try(const uint8_t *data, size_t size)
{
    struct ipaddr          v4 = { AF_INET, { 10, 9, 0, 100 } };
    struct ipaddr          v6 = { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [14] = 1 } };
    uint8_t                mac[6];
    enum neighbour_verdict v = arp_frame_judge(data, size, &v4, own, mac);

    PROMISE(v == NEIGHBOUR_SILENT || (size >= ARP_FRAME_SIZE && memcmp(mac, own, 6) != 0));
    PROMISE(nd_packet_judge(data, size, own, &v6, own, mac) == NEIGHBOUR_SILENT);
    v = nd_packet_judge(data, size, other, &v6, own, mac);
    /* Of this link only, and about this address or from it. */
    PROMISE(v == NEIGHBOUR_SILENT || (size >= ND_PROBE_SIZE && data[ND_AT_HOPS] == 255));
    PROMISE(v == NEIGHBOUR_SILENT || memcmp(data + 48, v6.byte, 16) == 0 || memcmp(data + 8, v6.byte, 16) == 0);
    PROMISE(v != NEIGHBOUR_CONTENDER || memcmp(mac, other, 6) == 0);
}

static void text_try(const char *text)
{
    struct ipaddr     a, b;
    unsigned          prefix;
    char              again[IPADDR_TEXT_MAX];
    enum ipaddr_fault fault = ipaddr_host_parse(text, &a, &prefix);

    PROMISE(strlen(ipaddr_fault_text(fault)) > 0);
    if (fault != IPADDR_GOOD)
        return;
    PROMISE(prefix <= ipaddr_bits(&a));
    ipaddr_text(&a, again);
    PROMISE(ipaddr_parse(again, &b) == 0 && ipaddr_equal(&a, &b) && ipaddr_same(text, again));
    PROMISE(ipaddr_subnet_holds(&a, prefix, &b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size, 200);

    frames_try(data, size);
    if (text)
        text_try(text);
    free(text);
    return 0;
}
