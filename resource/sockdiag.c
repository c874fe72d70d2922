/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "resource/netlink.h"

#include "common/banned.h"

struct count {
    uint16_t port;
    unsigned unread;
};

static int session_part(const struct nlmsghdr *h, void *data)
{
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
    struct count               *c = data;

    if (mnl_nlmsg_get_payload_len(h) < sizeof *m || ntohs(m->id.idiag_sport) != c->port)
        return MNL_CB_OK;
    uint32_t end = m->idiag_state == TCP_CLOSE_WAIT; /* the peer's FIN is counted like a byte */
    c->unread += m->idiag_rqueue > end;
    return MNL_CB_OK;
}

int sockdiag_parse(const void *buf, size_t len, unsigned seq, unsigned portid, uint16_t port, unsigned *sessions)
{
    struct count c = { port, *sessions };

    if (!netlink_is_sound(buf, len)) {
        errno = EBADMSG;
        return MNL_CB_ERROR;
    }
    int rc = mnl_cb_run(buf, len, seq, portid, session_part, &c);
    *sessions = c.unread;
    return rc;
}

static int family_count(struct mnl_socket *s, uint8_t family, uint16_t port, unsigned *sessions)
{
    char                     buf[8192];
    struct nlmsghdr         *h = mnl_nlmsg_put_header(buf);
    struct inet_diag_req_v2 *r = mnl_nlmsg_put_extra_header(h, sizeof *r);
    int                      rc;

    h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = family;
    r->sdiag_family = family;
    r->sdiag_protocol = IPPROTO_TCP;
    r->idiag_states = 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2;
    r->id.idiag_sport = htons(port);
    if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
        return -errno;
    do {
        ssize_t got = mnl_socket_recvfrom(s, buf, sizeof buf);
        if (got < 0)
            return -errno;
        rc = sockdiag_parse(buf, (size_t)got, family, mnl_socket_get_portid(s), port, sessions);
    } while (rc > MNL_CB_STOP);
    return rc < 0 ? -errno : 0;
}

int sockdiag_unread(uint16_t port, unsigned *ret_sessions)
{
    unsigned           n = 0;
    struct mnl_socket *s = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    int                rc = s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0 ? 0 : -errno;

    if (rc == 0)
        rc = family_count(s, AF_INET, port, &n);
    if (rc == 0)
        rc = family_count(s, AF_INET6, port, &n);
    if (s)
        (void)mnl_socket_close(s);
    if (rc == 0)
        *ret_sessions = n;
    return rc;
}
