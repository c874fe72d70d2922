/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/arp.h"
#include "resource/nd.h"
#include "resource/ndp.h"

#include "common/banned.h"

#define PROBES    3u      /* spread over the time that is listened: one lost frame must not hide a duplicate */
#define FRAME_MAX 1500

struct neighbour {
    struct netlink_link link;
    struct ipaddr       ip;
    int                 packets;     /* a packet socket, opened when it is needed; -1 */
    int                 group;       /* IPv6: its membership of the group that owners of the address listen to; -1 */
    struct ndp_sender  *advertiser;  /* IPv6, opened when it is needed */
};

int neighbour_open(const struct netlink_link *link, const struct ipaddr *ip, struct neighbour **ret)
{
    struct neighbour *n = calloc(1, sizeof *n);

    if (!n)
        return -ENOMEM;
    *n = (struct neighbour){ .link = *link, .ip = *ip, .packets = -1, .group = -1 };
    *ret = n;
    return 0;
}

void neighbour_close(struct neighbour *n)
{
    if (!n)
        return;
    if (n->packets >= 0)
        (void)close(n->packets);
    if (n->group >= 0)
        (void)close(n->group);
    ndp_sender_close(n->advertiser);
    free(n);
}

/* Without it the interface, and a switch that knows who listens to what, would keep another host's probes from us. */
static int group_join(struct neighbour *n)
{
    struct ipv6_mreq m = { .ipv6mr_interface = (unsigned)n->link.index };
    int              fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    nd_solicited_group(&n->ip, m.ipv6mr_multiaddr.s6_addr);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m) != 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    n->group = fd;
    return 0;
}

/* Solicitations and advertisements only: the host's other traffic must not fill the socket's queue. */
static int filter_set(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ND_AT_NEXT), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ND_AT_TYPE), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 135, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 0, 1), BPF_STMT(BPF_RET | BPF_K, FRAME_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { sizeof code / sizeof code[0], code };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

static uint16_t protocol(const struct neighbour *n)
{
    return htons(n->ip.family == AF_INET ? ETH_P_ARP : ETH_P_IPV6);
}

static int packets_open(struct neighbour *n)
{
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = protocol(n), .sll_ifindex = n->link.index };
    int rc = 0;

    if (n->packets >= 0)
        return 0;
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* protocol 0: nothing before bind */
    if (fd < 0)
        return -errno;
    if (n->ip.family == AF_INET6)
        rc = filter_set(fd);
    if (rc == 0 && bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        rc = -errno;
    if (rc == 0 && n->ip.family == AF_INET6)
        rc = group_join(n);
    if (rc != 0)
        (void)close(fd);
    else
        n->packets = fd;
    return rc;
}

static int frame_send(const struct neighbour *n, const uint8_t mac[6], const uint8_t *frame, size_t len)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = protocol(n), .sll_ifindex = n->link.index,
                              .sll_halen = 6 };

    memcpy(to.sll_addr, mac, 6);
    ssize_t sent = sendto(n->packets, frame, len, 0, (struct sockaddr *)&to, sizeof to);
    return sent == (ssize_t)len ? 0 : sent < 0 ? -errno : -EIO;
}

static int arp_send(const struct neighbour *n, enum arp_op op, bool as_owner)
{
    static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t              frame[ARP_FRAME_SIZE];

    arp_frame_make(frame, op, n->link.mac, &n->ip, as_owner);
    return frame_send(n, everybody, frame, sizeof frame);
}

static int probe_send(const struct neighbour *n)
{
    uint8_t packet[ND_PROBE_SIZE], group[16], mac[6];

    if (n->ip.family == AF_INET)
        return arp_send(n, ARP_REQUEST, false);
    nd_probe_make(packet, &n->ip);
    nd_solicited_group(&n->ip, group);
    nd_group_mac(group, mac);
    return frame_send(n, mac, packet, sizeof packet);
}

/* Listens until `until_ms`, or until somebody shows that he has the address. */
static int answers_listen(const struct neighbour *n, uint64_t until_ms, struct neighbour_finding *f)
{
    uint8_t            frame[FRAME_MAX];
    struct sockaddr_ll from;

    for (;;) {
        socklen_t     size = sizeof from;
        struct pollfd p = { .fd = n->packets, .events = POLLIN };
        uint64_t      now_ms = clock_now_ms();
        if (now_ms >= until_ms)
            return 0;
        if (poll(&p, 1, clock_poll_ms(now_ms, until_ms)) < 0 && errno != EINTR)
            return -errno;
        ssize_t got = recvfrom(n->packets, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING)
            continue;
        f->verdict = n->ip.family == AF_INET
                   ? arp_frame_judge(frame, (size_t)got, &n->ip, n->link.mac, f->mac)
                   : nd_packet_judge(frame, (size_t)got, from.sll_addr, &n->ip, n->link.mac, f->mac);
        if (f->verdict != NEIGHBOUR_SILENT)
            return 0;
    }
}

int neighbour_probe(struct neighbour *n, uint32_t dad_ms, struct neighbour_finding *ret)
{
    struct neighbour_finding f = { .verdict = NEIGHBOUR_SILENT };
    uint64_t                 start_ms = clock_now_ms();
    int                      rc = packets_open(n);

    for (unsigned i = 0; rc == 0 && i < PROBES && f.verdict == NEIGHBOUR_SILENT; i++) {
        rc = probe_send(n);
        /* Each probe has its share of the time. */
        if (rc == 0)
            rc = answers_listen(n, start_ms + (uint64_t)dad_ms * (i + 1) / PROBES, &f);
    }
    if (rc == 0)
        *ret = f;
    return rc;
}

int neighbour_announce(struct neighbour *n)
{
    int rc;

    if (n->ip.family == AF_INET) {
        rc = packets_open(n);
        if (rc != 0)
            return rc;
        rc = arp_send(n, ARP_REQUEST, true);
        int rc2 = arp_send(n, ARP_REPLY, true);
        return rc != 0 ? rc : rc2;
    }
    rc = n->advertiser ? 0 : ndp_sender_open(&n->advertiser);
    return rc == 0 ? ndp_advertise(n->advertiser, &n->link, &n->ip) : rc;
}
