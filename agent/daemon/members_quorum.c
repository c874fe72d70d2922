/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/members.h"

#include <stdlib.h>

#include <corosync/votequorum.h>

#include "common/banned.h"

struct members_quorum {
    votequorum_handle_t handle;
    int                 fd;
    uint64_t            ring;    /* of the latest node list */
    struct members_sink sink;
};

static enum members_result result_of(cs_error_t rc)
{
    if (rc == CS_OK)
        return MEMBERS_OK;
    if (rc == CS_ERR_TRY_AGAIN)
        return MEMBERS_TRY_AGAIN;
    return rc == CS_ERR_ACCESS ? MEMBERS_REFUSED : MEMBERS_LOST;
}

static struct members_quorum *of_handle(votequorum_handle_t handle)
{
    void *p = NULL;

    return votequorum_context_get(handle, &p) == CS_OK ? p : NULL;
}

/* Comes at the beginning of a new ring, when the votes have not been counted yet: until they have, what was said of
 * quorum belongs to the ring before. */
static void on_nodes(votequorum_handle_t handle, uint64_t context, votequorum_ring_id_t ring, uint32_t n, uint32_t node[])
{
    struct members_quorum *q = of_handle(handle);

    (void) context;
    (void) n;
    (void) node;
    if (!q)
        return;
    if (q->ring != ring.seq)
        q->sink.quorum(q->sink.closure, false, 0);
    q->ring = ring.seq;
}

static void on_quorum(votequorum_handle_t handle, uint64_t context, uint32_t quorate, uint32_t n, votequorum_node_t node[])
{
    struct members_quorum *q = of_handle(handle);

    (void) context;
    (void) n;
    (void) node;
    if (q)
        q->sink.quorum(q->sink.closure, quorate != 0, q->ring);
}

enum members_result members_quorum_open(const struct members_sink *sink, struct members_quorum **ret)
{
    votequorum_callbacks_t callbacks = { .votequorum_quorum_notify_fn = on_quorum,
                                         .votequorum_nodelist_notify_fn = on_nodes };
    struct members_quorum *q = calloc(1, sizeof *q);
    enum members_result r;

    if (!q)
        return MEMBERS_TRY_AGAIN;
    q->sink = *sink;
    r = result_of(votequorum_initialize(&q->handle, &callbacks));
    if (r != MEMBERS_OK) {
        free(q);
        return r;
    }
    r = result_of(votequorum_context_set(q->handle, q));
    if (r == MEMBERS_OK)
        r = result_of(votequorum_fd_get(q->handle, &q->fd));
    if (r == MEMBERS_OK)
        r = result_of(votequorum_trackstart(q->handle, 0, CS_TRACK_CURRENT | CS_TRACK_CHANGES));
    if (r == MEMBERS_OK)
        *ret = q;
    else
        members_quorum_close(q);
    return r;
}

void members_quorum_close(struct members_quorum *q)
{
    if (!q)
        return;
    (void) votequorum_finalize(q->handle);
    free(q);
}

int members_quorum_fd(const struct members_quorum *q)
{
    return q->fd;
}

enum members_result members_quorum_dispatch(struct members_quorum *q)
{
    enum members_result r = result_of(votequorum_dispatch(q->handle, CS_DISPATCH_ALL));

    return r == MEMBERS_TRY_AGAIN ? MEMBERS_OK : r;
}

enum members_result members_quorum_probe(struct members_quorum *q, bool *ret_quorate)
{
    struct votequorum_info info;
    enum members_result r = result_of(votequorum_getinfo(q->handle, 0, &info)); /* 0 = this node */

    if (r == MEMBERS_OK)
        *ret_quorate = (info.flags & VOTEQUORUM_INFO_QUORATE) != 0;
    return r;
}
