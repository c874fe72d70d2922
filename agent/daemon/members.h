/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-members: what corosync says, with the time at which it last answered. A process of its own, since a call
 * to a corosync that is stopped blocks for ever; while one does, nothing is sent and the engine sees the age grow. */
#ifndef UNDERSTUDY_MEMBERS_H
#define UNDERSTUDY_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

/* What an adapter's call came to. */
enum members_result { MEMBERS_OK, MEMBERS_TRY_AGAIN, MEMBERS_REFUSED, MEMBERS_LOST };

/* What the adapters tell; each is called from within their _dispatch(). */
struct members_sink {
    void (*ring)(void *closure, uint64_t ring);                              /* CPG, of the whole cluster */
    void (*group)(void *closure, const uint32_t *nodes, unsigned n);         /* CPG, who is in the group */
    void (*message)(void *closure, uint32_t node, const void *data, size_t len);
    void (*quorum)(void *closure, bool quorate, uint64_t ring);              /* ring 0 = being worked out */
    void *closure;
};

/* members_cpg.c (libcpg) */
struct members_cpg;
enum members_result members_cpg_open(const struct members_sink *sink, struct members_cpg **ret);
void members_cpg_close(struct members_cpg *c);                               /* takes NULL */
int  members_cpg_fd(const struct members_cpg *c);
enum members_result members_cpg_dispatch(struct members_cpg *c);
enum members_result members_cpg_probe(struct members_cpg *c);                /* a round trip */
enum members_result members_cpg_send(struct members_cpg *c, const void *data, size_t len);

/* members_quorum.c (libvotequorum) */
struct members_quorum;
enum members_result members_quorum_open(const struct members_sink *sink, struct members_quorum **ret);
void members_quorum_close(struct members_quorum *q);
int  members_quorum_fd(const struct members_quorum *q);
enum members_result members_quorum_dispatch(struct members_quorum *q);
enum members_result members_quorum_probe(struct members_quorum *q, bool *ret_quorate);

/* members_cmap.c (libcmap): does corosync encrypt and authenticate? And in how many ms does it notice that a member is gone, its
 * token and consensus as they are in use (corosync.conf(5)); 0 = it does not say. */
enum members_result members_cmap_read(bool *ret_encrypted, uint32_t *ret_detect_ms);
/* A ring of this node alone may become quorate though the others were not seen yet (votequorum(5), wait_for_all). */
enum members_result members_wait_cancel(void);

#endif
