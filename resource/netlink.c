/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "common/banned.h"

struct netlink {
    struct mnl_socket *socket;
    unsigned           port, seq;
    char               buf[8192];   /* MNL_SOCKET_BUFFER_SIZE is at most this */
};

struct list {
    struct netlink_address *v;
    unsigned                max, n;
    bool                    full;
};

int netlink_open(struct netlink **ret)
{
    struct netlink *n = calloc(1, sizeof *n);
    int rc;

    if (!n)
        return -ENOMEM;
    n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        rc = -errno;
        netlink_close(n);
        return rc;
    }
    n->port = mnl_socket_get_portid(n->socket);
    n->seq = 1;
    *ret = n;
    return 0;
}

void netlink_close(struct netlink *n)
{
    if (!n)
        return;
    if (n->socket)
        (void)mnl_socket_close(n->socket);
    free(n);
}

/* Sends the request in `h` and gives every part of the answer to `part`. 0 or -errno, the kernel's own included. */
static int request_run(struct netlink *n, struct nlmsghdr *h, mnl_cb_t part, void *data)
{
    int rc;

    h->nlmsg_seq = ++n->seq;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return -errno;
    do {
        ssize_t got = mnl_socket_recvfrom(n->socket, n->buf, sizeof n->buf);
        if (got < 0)
            return -errno;
        rc = mnl_cb_run(n->buf, (size_t)got, n->seq, n->port, part, data);
    } while (rc > MNL_CB_STOP);
    return rc < 0 ? -errno : 0;
}

static int local_attribute(const struct nlattr *a, void *data)
{
    if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_payload_len(a) == sizeof(struct in_addr))
        *(const struct nlattr **)data = a;
    return MNL_CB_OK;
}

static int address_part(const struct nlmsghdr *h, void *data)
{
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr    *found = NULL;
    struct list            *l = data;

    (void)mnl_attr_parse(h, sizeof *m, local_attribute, &found);
    if (!found || m->ifa_family != AF_INET)
        return MNL_CB_OK;
    if (l->n == l->max) {
        l->full = true;
        return MNL_CB_OK;
    }
    l->v[l->n].ifindex = (int)m->ifa_index;
    l->v[l->n].prefix = m->ifa_prefixlen;
    memcpy(&l->v[l->n++].ip, mnl_attr_get_payload(found), sizeof(struct in_addr));
    return MNL_CB_OK;
}

int netlink_addresses_list(struct netlink *n, struct netlink_address *ret, unsigned max, unsigned *ret_n)
{
    char              buf[512];
    struct list       l = { ret, max, 0, false };
    struct nlmsghdr  *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    h->nlmsg_type = RTM_GETADDR;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    m->ifa_family = AF_INET;
    int rc = request_run(n, h, address_part, &l);
    if (rc != 0)
        return rc;
    if (l.full)
        return -ENOSPC;
    *ret_n = l.n;
    return 0;
}

static int link_attribute(const struct nlattr *a, void *data)
{
    struct netlink_link *l = data;
    size_t               len = mnl_attr_get_payload_len(a);

    if (mnl_attr_get_type(a) == IFLA_IFNAME && len <= sizeof l->name)
        memcpy(l->name, mnl_attr_get_str(a), len);
    if (mnl_attr_get_type(a) == IFLA_ADDRESS && len == sizeof l->mac) {
        memcpy(l->mac, mnl_attr_get_payload(a), len);
        l->ethernet = true;
    }
    return MNL_CB_OK;
}

static int link_part(const struct nlmsghdr *h, void *data)
{
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
    struct netlink_link    *l = data;

    l->index = m->ifi_index;
    l->up = (m->ifi_flags & IFF_UP) && (m->ifi_flags & IFF_LOWER_UP);
    l->loopback = (m->ifi_flags & IFF_LOOPBACK) != 0;
    (void)mnl_attr_parse(h, sizeof *m, link_attribute, l);
    l->ethernet = l->ethernet && m->ifi_type == ARPHRD_ETHER && !(m->ifi_flags & IFF_NOARP);
    return MNL_CB_OK;
}

int netlink_link_get(struct netlink *n, const char *name, int index, struct netlink_link *ret)
{
    char                buf[512];
    struct netlink_link l = { 0 };
    struct nlmsghdr    *h = mnl_nlmsg_put_header(buf);
    struct ifinfomsg   *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    h->nlmsg_type = RTM_GETLINK;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    m->ifi_family = AF_UNSPEC;
    m->ifi_index = name ? 0 : index;
    if (name)
        mnl_attr_put_strz(h, IFLA_IFNAME, name);
    int rc = request_run(n, h, link_part, &l);
    if (rc != 0)
        return rc;
    l.name[sizeof l.name - 1] = '\0';
    *ret = l;
    return 0;
}

static int address_change(struct netlink *n, uint16_t type, uint16_t flags, const struct netlink_address *a)
{
    char              buf[512];
    uint32_t          mask = a->prefix ? ~0u << (32 - a->prefix) : 0;
    struct nlmsghdr  *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    m->ifa_family = AF_INET;
    m->ifa_prefixlen = (uint8_t)a->prefix;
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    m->ifa_index = (uint32_t)a->ifindex;
    mnl_attr_put_u32(h, IFA_LOCAL, a->ip.s_addr);
    mnl_attr_put_u32(h, IFA_ADDRESS, a->ip.s_addr);
    if (type == RTM_NEWADDR && a->prefix < 31)
        mnl_attr_put_u32(h, IFA_BROADCAST, a->ip.s_addr | htonl(~mask));
    return request_run(n, h, NULL, NULL);
}

int netlink_address_add(struct netlink *n, const struct netlink_address *a)
{
    return address_change(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, a);
}

int netlink_address_delete(struct netlink *n, const struct netlink_address *a)
{
    return address_change(n, RTM_DELADDR, 0, a);
}
