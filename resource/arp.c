/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/arp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#include "common/banned.h"

#define PROBES  3u      /* spread over the time that is listened: one lost frame must not hide a duplicate */

enum { OP_REQUEST = 1, OP_REPLY = 2 };
enum { AT_HTYPE = 0, AT_PTYPE = 2, AT_HLEN = 4, AT_PLEN = 5, AT_OP = 6, AT_SHA = 8, AT_SPA = 14, AT_THA = 18, AT_TPA = 24 };

static const uint8_t fixed[6] = { 0, 1, 8, 0, 6, 4 }; /* Ethernet, IPv4, address sizes */

enum arp_verdict arp_frame_judge(const uint8_t *frame, size_t len, struct in_addr ip, const uint8_t own_mac[6],
                                 uint8_t ret_mac[6])
{
    static const uint8_t none[4] = { 0 };

    if (len < ARP_FRAME_SIZE || memcmp(frame, fixed, sizeof fixed) != 0 || frame[AT_OP] != 0
        || (frame[AT_OP + 1] != OP_REQUEST && frame[AT_OP + 1] != OP_REPLY)
        || memcmp(frame + AT_SHA, own_mac, 6) == 0)
        return ARP_SILENT;
    memcpy(ret_mac, frame + AT_SHA, 6);
    if (memcmp(frame + AT_SPA, &ip, 4) == 0)
        return ARP_TAKEN;
    if (frame[AT_OP + 1] == OP_REQUEST && memcmp(frame + AT_SPA, none, 4) == 0 && memcmp(frame + AT_TPA, &ip, 4) == 0)
        return ARP_CONTENDER;
    return ARP_SILENT;
}

int arp_open(const struct netlink_link *link, int *ret_fd)
{
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = link->index };
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* protocol 0: nothing before bind */

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int frame_send(int fd, const struct netlink_link *link, uint8_t op, struct in_addr sender, struct in_addr target)
{
    uint8_t            frame[ARP_FRAME_SIZE] = { 0 };
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = link->index,
                              .sll_halen = 6 };

    memset(to.sll_addr, 0xff, 6);
    memcpy(frame, fixed, sizeof fixed);
    frame[AT_OP + 1] = op;
    memcpy(frame + AT_SHA, link->mac, 6);
    memcpy(frame + AT_SPA, &sender, 4);
    if (op == OP_REPLY) /* a gratuitous reply names itself as the target too */
        memcpy(frame + AT_THA, link->mac, 6);
    memcpy(frame + AT_TPA, &target, 4);
    ssize_t sent = sendto(fd, frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to);
    return sent == (ssize_t)sizeof frame ? 0 : sent < 0 ? -errno : -EIO;
}

/* Listens until `until_ms`, or until somebody shows that he has the address. */
static int socket_listen(int fd, const struct netlink_link *link, struct in_addr ip, uint64_t until_ms,
                         struct arp_finding *f)
{
    uint8_t            frame[128];
    struct sockaddr_ll from;

    for (;;) {
        socklen_t     size = sizeof from;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t      now_ms = clock_now_ms();
        if (now_ms >= until_ms)
            return 0;
        if (poll(&p, 1, clock_poll_ms(now_ms, until_ms)) < 0 && errno != EINTR)
            return -errno;
        ssize_t got = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING)
            continue;
        f->verdict = arp_frame_judge(frame, (size_t)got, ip, link->mac, f->mac);
        if (f->verdict != ARP_SILENT)
            return 0;
    }
}

int arp_probe(int fd, const struct netlink_link *link, struct in_addr ip, uint32_t dad_ms, struct arp_finding *ret)
{
    const struct in_addr nobody = { 0 };
    struct arp_finding   f = { .verdict = ARP_SILENT };
    uint64_t             start_ms = clock_now_ms();
    int                  rc = 0;

    for (unsigned i = 0; rc == 0 && i < PROBES && f.verdict == ARP_SILENT; i++) {
        rc = frame_send(fd, link, OP_REQUEST, nobody, ip);
        /* Each probe has its share of the time. */
        if (rc == 0)
            rc = socket_listen(fd, link, ip, start_ms + (uint64_t)dad_ms * (i + 1) / PROBES, &f);
    }
    if (rc == 0)
        *ret = f;
    return rc;
}

int arp_announce(int fd, const struct netlink_link *link, struct in_addr ip)
{
    int rc = frame_send(fd, link, OP_REQUEST, ip, ip);
    int rc2 = frame_send(fd, link, OP_REPLY, ip, ip);

    return rc != 0 ? rc : rc2;
}
