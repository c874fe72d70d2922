/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's interfaces and IPv4 addresses, by rtnetlink. All calls are answered by the kernel at once. */
#ifndef UNDERSTUDY_NETLINK_H
#define UNDERSTUDY_NETLINK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define NETLINK_ADDRESSES_MAX 256

struct netlink;                 /* one socket */

struct netlink_address {
    int            ifindex;
    struct in_addr ip;
    unsigned       prefix;
};

struct netlink_link {
    int      index;
    char     name[IF_NAMESIZE];
    bool     up;                /* administratively, and it has a carrier */
    bool     loopback;
    bool     ethernet;          /* speaks ARP, and `mac` is valid */
    uint8_t  mac[6];
};

int  netlink_open(struct netlink **ret);   /* 0 or -errno; give it back by netlink_close() */
void netlink_close(struct netlink *n);     /* takes NULL */

/* All IPv4 addresses of this host. 0, -errno, -ENOSPC when there are more than `max`. */
int netlink_addresses_list(struct netlink *n, struct netlink_address *ret, unsigned max, unsigned *ret_n);
/* By name, or by index when `name` is NULL. 0, -ENODEV, -errno. */
int netlink_link_get(struct netlink *n, const char *name, int index, struct netlink_link *ret);
/* 0 or the kernel's -errno: -EEXIST when it is there already, -EADDRNOTAVAIL when there is none to delete. */
int netlink_address_add(struct netlink *n, const struct netlink_address *a);
int netlink_address_delete(struct netlink *n, const struct netlink_address *a);

#endif
