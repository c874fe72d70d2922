/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/ndp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ndp.h>
#include <netinet/icmp6.h>

#include "common/banned.h"

#define OPTION_SIZE 8u /* a link-layer address of Ethernet with its type and length */

struct ndp_sender {
    struct ndp *ndp;
};

int ndp_sender_open(struct ndp_sender **ret)
{
    struct ndp_sender *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    int rc = ndp_open(&s->ndp);
    if (rc != 0) {
        free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void ndp_sender_close(struct ndp_sender *s)
{
    if (!s)
        return;
    ndp_close(s->ndp);
    free(s);
}

int ndp_advertise(struct ndp_sender *s, const struct netlink_link *link, const struct ipaddr *ip)
{
    struct in6_addr target;
    struct ndp_msg *m;
    int             rc = ndp_msg_new(&m, NDP_MSG_NA);

    if (rc != 0)
        return rc;
    memcpy(&target, ip->byte, sizeof target);
    ndp_msg_ifindex_set(m, (uint32_t)link->index);
    ndp_msg_target_set(m, &target);
    uint8_t *option = ndp_msg_payload_opts(m);
    option[0] = ND_OPT_TARGET_LINKADDR;
    option[1] = OPTION_SIZE / 8;
    memcpy(option + 2, link->mac, sizeof link->mac);
    ndp_msg_payload_len_set(m, ndp_msg_payload_len(m) + OPTION_SIZE);
    rc = ndp_msg_send_with_flags(s->ndp, m, ND_OPT_NA_UNSOL);
    ndp_msg_destroy(m);
    return rc;
}
