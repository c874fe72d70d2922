/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's interfaces and IP addresses, by rtnetlink. All calls are answered by the kernel at once. */
#ifndef UNDERSTUDY_NETLINK_H
#define UNDERSTUDY_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipaddr.h"

#define NETLINK_ADDRESSES_MAX 256

struct netlink;                 /* one socket */

struct netlink_address {
    int           ifindex;
    struct ipaddr ip;
    unsigned      prefix;
    bool          tentative;    /* IPv6: the kernel is still asking whether another host has it, and does not use it */
    bool          duplicate;    /* IPv6: the kernel found that another host has it, and does not use it */
};

struct netlink_link {
    int      index;
    char     name[IF_NAMESIZE];
    bool     up;                /* administratively, and it has a carrier */
    bool     loopback;
    bool     ethernet;          /* speaks ARP and neighbour discovery, and `mac` is valid */
    uint8_t  mac[6];
};

int  netlink_open(struct netlink **ret);   /* 0 or -errno; give it back by netlink_close() */
void netlink_close(struct netlink *n);     /* takes NULL */

/* All addresses of this host of `family` (AF_INET, AF_INET6). 0, -errno, -ENOSPC when there are more than `max`. */
int netlink_addresses_list(struct netlink *n, uint8_t family, struct netlink_address *ret, unsigned max, unsigned *ret_n);
/* By name, or by index when `name` is NULL. 0, -ENODEV, -errno. */
int netlink_link_get(struct netlink *n, const char *name, int index, struct netlink_link *ret);
/* 0 or the kernel's -errno: -EEXIST when it is there already, -EADDRNOTAVAIL when there is none to delete, -EACCES when IPv6
 * is switched off on the interface. An IPv6 address is added without the kernel's own duplicate check, which takes a second
 * and is the caller's, and as deprecated, so that what this host sends by itself does not come from it (an IPv4 address that
 * is not the first of its subnet is not taken for that either). */
int netlink_address_add(struct netlink *n, const struct netlink_address *a);
int netlink_address_delete(struct netlink *n, const struct netlink_address *a);

/* Every part of the datagram is within it. libmnl takes a length beyond INT_MAX for a negative one. */
bool netlink_is_sound(const void *buf, size_t len);

/* Split out for tests: one datagram of the kernel's answer, to whatever request. 0, -ENOSPC, or the -errno in it. */
int netlink_addresses_parse(const void *buf, size_t len, struct netlink_address *ret, unsigned max, unsigned *ret_n);
int netlink_link_parse(const void *buf, size_t len, struct netlink_link *ret);

#endif
