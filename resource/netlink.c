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

struct address_parts {
    const struct nlattr *local, *address;
    uint32_t             flags;
};

bool netlink_is_sound(const void *buf, size_t len)
{
    struct nlmsghdr h;

    for (const char *at = buf; len >= sizeof h; at += NLMSG_ALIGN(h.nlmsg_len), len -= NLMSG_ALIGN(h.nlmsg_len)) {
        memcpy(&h, at, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > len)
            return false;
        if (NLMSG_ALIGN(h.nlmsg_len) > len)
            break;
    }
    return true;
}

static int parts_run(const void *buf, size_t len, unsigned seq, unsigned portid, mnl_cb_t part, void *data)
{
    if (netlink_is_sound(buf, len))
        return mnl_cb_run(buf, len, seq, portid, part, data);
    errno = EBADMSG;
    return MNL_CB_ERROR;
}

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
        rc = parts_run(n->buf, (size_t)got, n->seq, n->port, part, data);
    } while (rc > MNL_CB_STOP);
    return rc < 0 ? -errno : 0;
}

static int address_attribute(const struct nlattr *a, void *data)
{
    struct address_parts *p = data;

    if (mnl_attr_get_type(a) == IFA_LOCAL)
        p->local = a;
    if (mnl_attr_get_type(a) == IFA_ADDRESS)
        p->address = a;
    if (mnl_attr_get_type(a) == IFA_FLAGS && mnl_attr_get_payload_len(a) == sizeof p->flags)
        p->flags |= mnl_attr_get_u32(a);
    return MNL_CB_OK;
}

static int address_part(const struct nlmsghdr *h, void *data)
{
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    struct address_parts    p = { 0 };
    struct list            *l = data;
    struct ipaddr           ip = { 0 };

    if (mnl_nlmsg_get_payload_len(h) < sizeof *m || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
        return MNL_CB_OK;
    p.flags = m->ifa_flags;
    ip.family = m->ifa_family;
    (void)mnl_attr_parse(h, sizeof *m, address_attribute, &p);
    /* IPv6 has no local part unless there is a peer. */
    const struct nlattr *found = p.local || ip.family == AF_INET ? p.local : p.address;
    if (!found || mnl_attr_get_payload_len(found) != ipaddr_size(&ip) || m->ifa_prefixlen > ipaddr_bits(&ip))
        return MNL_CB_OK;
    if (l->n == l->max) {
        l->full = true;
        return MNL_CB_OK;
    }
    memcpy(ip.byte, mnl_attr_get_payload(found), ipaddr_size(&ip));
    l->v[l->n++] = (struct netlink_address){ .ifindex = (int)m->ifa_index, .ip = ip, .prefix = m->ifa_prefixlen,
        .tentative = ip.family == AF_INET6 && (p.flags & IFA_F_TENTATIVE) && !(p.flags & IFA_F_OPTIMISTIC),
        .duplicate = ip.family == AF_INET6 && (p.flags & IFA_F_DADFAILED) };
    return MNL_CB_OK;
}

int netlink_addresses_parse(const void *buf, size_t len, struct netlink_address *ret, unsigned max, unsigned *ret_n)
{
    struct list l = { ret, max, 0, false };
    int         rc = parts_run(buf, len, 0, 0, address_part, &l);

    *ret_n = l.n;
    return rc < 0 ? -errno : l.full ? -ENOSPC : 0;
}

int netlink_addresses_list(struct netlink *n, uint8_t family, struct netlink_address *ret, unsigned max, unsigned *ret_n)
{
    char              buf[512];
    struct list       l = { ret, max, 0, false };
    struct nlmsghdr  *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    h->nlmsg_type = RTM_GETADDR;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    m->ifa_family = family;
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

    if (mnl_attr_get_type(a) == IFLA_IFNAME && len <= sizeof l->name) {
        memset(l->name, 0, sizeof l->name);
        memcpy(l->name, mnl_attr_get_str(a), len);
    }
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

    if (mnl_nlmsg_get_payload_len(h) < sizeof *m)
        return MNL_CB_OK;
    l->index = m->ifi_index;
    l->up = (m->ifi_flags & IFF_UP) && (m->ifi_flags & IFF_LOWER_UP);
    l->loopback = (m->ifi_flags & IFF_LOOPBACK) != 0;
    (void)mnl_attr_parse(h, sizeof *m, link_attribute, l);
    l->ethernet = l->ethernet && m->ifi_type == ARPHRD_ETHER && !(m->ifi_flags & IFF_NOARP);
    return MNL_CB_OK;
}

int netlink_link_parse(const void *buf, size_t len, struct netlink_link *ret)
{
    struct netlink_link l = { 0 };
    int                 rc = parts_run(buf, len, 0, 0, link_part, &l);

    l.name[sizeof l.name - 1] = '\0';
    *ret = l;
    return rc < 0 ? -errno : 0;
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

static void broadcast_put(struct nlmsghdr *h, const struct netlink_address *a)
{
    uint32_t ip, mask = a->prefix ? htonl(~0u << (32 - a->prefix)) : 0;

    memcpy(&ip, a->ip.byte, sizeof ip);
    if (a->prefix < 31)
        mnl_attr_put_u32(h, IFA_BROADCAST, ip | ~mask);
}

static void forever_deprecated_put(struct nlmsghdr *h)
{
    const struct ifa_cacheinfo times = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };

    mnl_attr_put(h, IFA_CACHEINFO, sizeof times, &times);
}

static int address_change(struct netlink *n, uint16_t type, uint16_t flags, const struct netlink_address *a)
{
    char              buf[512];
    struct nlmsghdr  *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    m->ifa_family = a->ip.family;
    m->ifa_prefixlen = (uint8_t)a->prefix;
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    m->ifa_index = (uint32_t)a->ifindex;
    mnl_attr_put(h, IFA_LOCAL, ipaddr_size(&a->ip), a->ip.byte);
    mnl_attr_put(h, IFA_ADDRESS, ipaddr_size(&a->ip), a->ip.byte);
    if (type == RTM_NEWADDR && a->ip.family == AF_INET)
        broadcast_put(h, a);
    if (type == RTM_NEWADDR && a->ip.family == AF_INET6) {
        m->ifa_flags = IFA_F_NODAD;
        forever_deprecated_put(h);
    }
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
