/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:address */
#include <config.h>

#include "resource/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/neighbour.h"
#include "resource/netlink.h"

#include "common/banned.h"

static struct address  address;
static struct netlink *netlink;

static bool subnet_holds(const struct netlink_address *a, const struct ipaddr *ip)
{
    return a->prefix < ipaddr_bits(&a->ip) && ipaddr_subnet_holds(&a->ip, a->prefix, ip);
}

struct place {
    struct netlink_link    link;
    struct neighbour      *near;     /* the hosts on it; NULL where the interface is no Ethernet */
    struct netlink_address want;
    bool                   present;  /* the address is there already */
};

/* Where the address is, on whatever interface. Returns 0, -ENODATA when it is nowhere, or another -errno. */
static int present_find(struct netlink_address *ret)
{
    struct netlink_address v[NETLINK_ADDRESSES_MAX];
    unsigned               n;
    int                    rc = netlink_addresses_list(netlink, address.ip.family, v, NETLINK_ADDRESSES_MAX, &n);

    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < n; i++)
        if (ipaddr_equal(&v[i].ip, &address.ip)) {
            *ret = v[i];
            return 0;
        }
    return -ENODATA;
}

/* The address of this host whose subnet holds the floating one most narrowly, on `ifindex` unless that is 0. */
static int subnet_find(int ifindex, struct netlink_address *ret)
{
    struct netlink_address v[NETLINK_ADDRESSES_MAX], best = { 0 };
    unsigned               n;
    int                    rc = netlink_addresses_list(netlink, address.ip.family, v, NETLINK_ADDRESSES_MAX, &n);

    for (unsigned i = 0; rc == 0 && i < n; i++)
        if ((ifindex == 0 || v[i].ifindex == ifindex) && subnet_holds(&v[i], &address.ip)
            && (best.ifindex == 0 || v[i].prefix > best.prefix))
            best = v[i];
    if (rc != 0)
        return rc;
    if (best.ifindex == 0)
        return -ENODATA;
    *ret = best;
    return 0;
}

static enum ocf_code kernel_failed(const char *what, int rc)
{
    if (rc == -EACCES && address.ip.family == AF_INET6)
        ocf_error("%s %s: IPv6 is switched off on the interface; set its net.ipv6.conf.INTERFACE.disable_ipv6 to 0", what,
                  address.ip_text);
    else
        ocf_error("%s %s: %s", what, address.ip_text, strerror(-rc));
    return rc == -EPERM ? OCF_ERR_PERM : OCF_ERR_GENERIC;
}

static enum ocf_code interface_find(struct place *p)
{
    struct netlink_address near = { 0 };
    int                    rc;

    if (address.interface[0]) {
        rc = netlink_link_get(netlink, address.interface, 0, &p->link);
        if (rc != 0) {
            ocf_error("interface %s: %s; correct parameter interface", address.interface, strerror(-rc));
            return OCF_ERR_ARGS;
        }
    }
    rc = subnet_find(address.interface[0] ? p->link.index : 0, &near);
    if (rc != 0 && rc != -ENODATA)
        return kernel_failed("cannot read the addresses of this node for", rc);
    if (rc == -ENODATA && (!address.interface[0] || address.prefix == 0)) {
        ocf_error("no interface of this node has an address in the subnet of %s; set parameter interface, and the prefix "
                  "in parameter ip", address.ip_text);
        return OCF_ERR_ARGS;
    }
    if (!address.interface[0]) {
        rc = netlink_link_get(netlink, NULL, near.ifindex, &p->link);
        if (rc != 0)
            return kernel_failed("cannot read the interface for", rc);
    }
    p->want.ifindex = p->link.index;
    p->want.ip = address.ip;
    p->want.prefix = address.prefix ? address.prefix : near.prefix;
    return OCF_SUCCESS;
}

static enum ocf_code place_find(struct place *p)
{
    int rc = present_find(&p->want);

    if (rc == -ENODATA)
        return interface_find(p);
    if (rc == 0)
        rc = netlink_link_get(netlink, NULL, p->want.ifindex, &p->link);
    if (rc != 0)
        return kernel_failed("cannot read where this node has", rc);
    p->present = true;
    if (address.interface[0] && strcmp(address.interface, p->link.name) != 0) {
        ocf_error("%s is on interface %s of this node and should be on %s; take it away there", address.ip_text,
                  p->link.name, address.interface);
        return OCF_ERR_GENERIC;
    }
    if (address.prefix != 0 && address.prefix != p->want.prefix) {
        ocf_error("%s is on interface %s with prefix %u and should have %u; take it away there", address.ip_text,
                  p->link.name, p->want.prefix, address.prefix);
        return OCF_ERR_GENERIC;
    }
    return OCF_SUCCESS;
}

static enum ocf_code link_check(const struct netlink_link *l)
{
    if (!l->up)
        ocf_error("interface %s is down or has no carrier, so that nobody would reach %s", l->name, address.ip_text);
    return l->up ? OCF_SUCCESS : OCF_ERR_GENERIC;
}

/* The kernel keeps an IPv6 address that it still asks for, or that its own duplicate check has found elsewhere, and does not
 * use it: who added it by hand gets such a one, ours are never asked for by the kernel. */
static enum ocf_code use_check(const struct netlink_address *a, const struct netlink_link *l)
{
    if (a->duplicate)
        ocf_error("%s is on interface %s, but this node's kernel found it on another host and does not use it (dadfailed); "
                  "find out who has it, then start again", address.ip_text, l->name);
    else if (a->tentative)
        ocf_error("%s is on interface %s, but this node's kernel still asks whether another host has it and does not use it "
                  "(tentative); find out who added it beside this agent", address.ip_text, l->name);
    return a->duplicate || a->tentative ? OCF_ERR_GENERIC : OCF_SUCCESS;
}

/* Also of an address that is here already: whoever left it here did not ask for this start. One that only probes for it
 * is then no matter, since this node's kernel answers him. */
static enum ocf_code duplicate_check(const struct place *p)
{
    bool                     in_use = p->present && !p->want.tentative && !p->want.duplicate;
    struct neighbour_finding f;
    int                      rc = neighbour_probe(p->near, address.dad_ms, &f);

    if (rc != 0)
        return kernel_failed("cannot ask the other hosts on the link for", rc);
    if (f.verdict == NEIGHBOUR_SILENT || (in_use && f.verdict == NEIGHBOUR_CONTENDER))
        return OCF_SUCCESS;
    ocf_record("duplicate ip=%s mac=%02x:%02x:%02x:%02x:%02x:%02x kind=%s", address.ip_text, f.mac[0], f.mac[1], f.mac[2],
               f.mac[3], f.mac[4], f.mac[5], f.verdict == NEIGHBOUR_TAKEN ? "taken" : "contender");
    ocf_error("another host, with MAC address %02x:%02x:%02x:%02x:%02x:%02x on interface %s, %s %s; find out who it is "
              "before anything else", f.mac[0], f.mac[1], f.mac[2], f.mac[3], f.mac[4], f.mac[5], p->link.name,
              f.verdict == NEIGHBOUR_TAKEN ? "has" : "is about to take", address.ip_text);
    return OCF_ERR_GENERIC;
}

/* A switch may drop the first frames of a port that just came up, and a neighbour may be busy: the announcement is
 * repeated by a child of its own, which stops when the address has gone. */
static void announce_later(const struct place *p)
{
    static const struct timespec pauses[] = { { 0, 500000000 }, { 1, 500000000 } };
    struct netlink_address       now;
    pid_t                        pid = fork();

    if (pid != 0)
        return;
    netlink_close(netlink);
    (void)setsid();
    /* Who reads our output waits for its end. */
    if (close_range(0, 2, 0) != 0 || chdir("/") != 0 || netlink_open(&netlink) != 0)
        _exit(1);
    for (unsigned i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pauses[i], NULL);
        if (present_find(&now) != 0 || now.ifindex != p->link.index)
            break;
        (void)neighbour_announce(p->near);
    }
    _exit(0);
}

static enum ocf_code announce(const struct place *p)
{
    int rc;

    if (!p->near)
        return OCF_SUCCESS;
    rc = neighbour_announce(p->near);
    announce_later(p);
    return rc == 0 ? OCF_SUCCESS : kernel_failed("cannot announce", rc);
}

static enum ocf_code address_have(const struct place *p)
{
    struct netlink_address there;
    bool                   usable = !p->want.tentative && !p->want.duplicate;
    int                    rc = 0;

    /* Nobody else has it, so that what the kernel still asks, or found before, is settled. */
    if (p->present && !usable)
        rc = netlink_address_delete(netlink, &p->want);
    if (rc != 0 && rc != -EADDRNOTAVAIL)
        return kernel_failed("cannot add anew", rc);
    rc = p->present && usable ? 0 : netlink_address_add(netlink, &p->want);
    if (rc != 0 && rc != -EEXIST)
        return kernel_failed("cannot add", rc);
    rc = present_find(&there);
    if (rc != 0 || there.ifindex != p->link.index)
        return kernel_failed("the kernel took but does not show", rc != 0 ? rc : -ENODEV);
    ocf_record("address ip=%s prefix=%u interface=%s", address.ip_text, there.prefix, p->link.name);
    ocf_phase("address");
    return announce(p);
}

static enum ocf_code start(void)
{
    struct place  p = { 0 };
    enum ocf_code rc = place_find(&p);
    int           error;

    if (rc == OCF_SUCCESS)
        rc = link_check(&p.link);
    if (rc != OCF_SUCCESS)
        return rc;
    if (p.link.ethernet) {
        error = neighbour_open(&p.link, &address.ip, &p.near);
        rc = error == 0 ? duplicate_check(&p) : kernel_failed("cannot ask the other hosts on the link for", error);
    }
    if (rc == OCF_SUCCESS) {
        ocf_phase("dad");
        rc = address_have(&p);
    }
    neighbour_close(p.near);
    return rc;
}

static enum ocf_code stop(void)
{
    struct netlink_address there;
    int                    rc;

    /* As often as it is found, but not for ever: somebody may add it again and again. */
    for (unsigned i = 0; i < 8; i++) {
        rc = present_find(&there);
        if (rc == -ENODATA) {
            ocf_phase("stop");
            return OCF_SUCCESS;
        }
        if (rc != 0)
            return kernel_failed("cannot tell whether this node has", rc);
        rc = netlink_address_delete(netlink, &there);
        if (rc != 0 && rc != -EADDRNOTAVAIL)
            return kernel_failed("cannot take away", rc);
    }
    ocf_error("%s comes back whenever it is taken away; find out who else adds it to this node", address.ip_text);
    return OCF_ERR_GENERIC;
}

/* A neighbour or a switch that went wrong while a split or a dead link lasted learns by this where the address is. */
static void announce_again(const struct place *p)
{
    struct neighbour *near = NULL;
    int               rc = neighbour_open(&p->link, &address.ip, &near);

    if (rc == 0)
        rc = neighbour_announce(near);
    neighbour_close(near);
    if (rc != 0)
        ocf_error("%s is here, but cannot be announced again: %s", address.ip_text, strerror(-rc));
}

static enum ocf_code monitor(unsigned level)
{
    struct place p = { 0 };
    int          rc = present_find(&p.want);

    (void)level;
    if (rc == -ENODATA)
        return OCF_NOT_RUNNING;
    if (rc != 0)
        return kernel_failed("cannot tell whether this node has", rc);
    enum ocf_code code = place_find(&p);
    if (code == OCF_SUCCESS)
        code = link_check(&p.link);
    if (code == OCF_SUCCESS)
        code = use_check(&p.want, &p.link);
    if (code == OCF_SUCCESS && p.link.ethernet)
        announce_again(&p);
    return code;
}

static enum ocf_code validate(unsigned level)
{
    const char   *ip = ocf_param_text(&address_about, "ip"), *interface = ocf_param_text(&address_about, "interface");
    enum ocf_code rc = ocf_param_number(&address_about, "dad_ms", 1, 10000, &address.dad_ms);
    struct place  p = { 0 };

    if (rc != OCF_SUCCESS)
        return rc;
    enum ipaddr_fault fault = ipaddr_host_parse(ip, &address.ip, &address.prefix);
    if (fault != IPADDR_GOOD) {
        ocf_error("parameter ip is \"%s\": %s; give the address of a host as ADDRESS/PREFIX", ip, ipaddr_fault_text(fault));
        return OCF_ERR_CONFIGURED;
    }
    ipaddr_text(&address.ip, address.ip_text);
    if (interface && strlen(interface) >= sizeof address.interface) {
        ocf_error("parameter interface is \"%s\", which is no name of an interface", interface);
        return OCF_ERR_CONFIGURED;
    }
    (void)snprintf(address.interface, sizeof address.interface, "%s", interface ? interface : "");
    int error = netlink_open(&netlink);
    if (error != 0)
        return kernel_failed("cannot open a netlink socket for", error);
    return level >= 10 ? place_find(&p) : OCF_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct ocf_agent agent = {
        .about = &address_about, .metadata = address_metadata,
        .validate = validate, .start = start, .stop = stop, .monitor = monitor,
    };
    int rc = ocf_main(argc, argv, &agent);

    netlink_close(netlink);
    return rc;
}
