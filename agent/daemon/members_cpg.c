/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/members.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <corosync/cpg.h>

#include "common/banned.h"

struct members_cpg {
    cpg_handle_t        handle;
    int                 fd;
    bool                joined;
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

static struct members_cpg *of_handle(cpg_handle_t handle)
{
    void *p = NULL;

    return cpg_context_get(handle, &p) == CS_OK ? p : NULL;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg,
                       size_t len)
{
    struct members_cpg *c = of_handle(handle);

    (void) group;
    (void) pid;
    if (c)
        c->sink.message(c->sink.closure, node, msg, len);
}

static void on_group(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *member, size_t n_member,
                     const struct cpg_address *left, size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
    struct members_cpg *c = of_handle(handle);
    uint32_t node[CONFIG_NODES_MAX];
    unsigned n = 0;

    (void) group;
    (void) left;
    (void) n_left;
    (void) joined;
    (void) n_joined;
    for (size_t i = 0; i < n_member; i++) {
        bool known = false;
        for (unsigned k = 0; k < n; k++)
            known = known || node[k] == member[i].nodeid; /* two processes of one node */
        if (!known && n < CONFIG_NODES_MAX)
            node[n++] = member[i].nodeid;
    }
    if (c)
        c->sink.group(c->sink.closure, node, n);
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t n_member, const uint32_t *member)
{
    struct members_cpg *c = of_handle(handle);

    (void) n_member;
    (void) member;
    if (c)
        c->sink.ring(c->sink.closure, ring.seq);
}

static enum members_result join(struct members_cpg *c)
{
    struct cpg_name name = { .length = sizeof CPG_GROUP_NAME - 1 };

    memcpy(name.value, CPG_GROUP_NAME, sizeof CPG_GROUP_NAME - 1);
    enum members_result r = result_of(cpg_join(c->handle, &name));
    c->joined = r == MEMBERS_OK;
    return r;
}

enum members_result members_cpg_open(const struct members_sink *sink, struct members_cpg **ret)
{
    cpg_model_v1_data_t model = { .model = CPG_MODEL_V1, .cpg_deliver_fn = on_deliver, .cpg_confchg_fn = on_group,
                                  .cpg_totem_confchg_fn = on_ring, .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF };
    struct members_cpg *c = calloc(1, sizeof *c);
    enum members_result r;

    if (!c)
        return MEMBERS_TRY_AGAIN;
    c->sink = *sink;
    r = result_of(cpg_model_initialize(&c->handle, CPG_MODEL_V1, (cpg_model_data_t *) &model, c));
    if (r != MEMBERS_OK) {
        free(c);
        return r;
    }
    r = result_of(cpg_fd_get(c->handle, &c->fd));
    if (r == MEMBERS_OK)
        r = join(c);
    if (r == MEMBERS_OK || r == MEMBERS_TRY_AGAIN) { /* joined later: see _probe() */
        *ret = c;
        return MEMBERS_OK;
    }
    members_cpg_close(c);
    return r;
}

void members_cpg_close(struct members_cpg *c)
{
    if (!c)
        return;
    (void) cpg_finalize(c->handle);
    free(c);
}

int members_cpg_fd(const struct members_cpg *c)
{
    return c->fd;
}

enum members_result members_cpg_dispatch(struct members_cpg *c)
{
    enum members_result r = result_of(cpg_dispatch(c->handle, CS_DISPATCH_ALL));

    return r == MEMBERS_TRY_AGAIN ? MEMBERS_OK : r;
}

enum members_result members_cpg_probe(struct members_cpg *c)
{
    unsigned id;
    enum members_result r = result_of(cpg_local_get(c->handle, &id));

    if (r == MEMBERS_OK && !c->joined)
        r = join(c);
    return r;
}

enum members_result members_cpg_send(struct members_cpg *c, const void *data, size_t len)
{
    struct iovec v = { .iov_len = len };

    if (!c->joined)
        return MEMBERS_TRY_AGAIN;
    memcpy(&v.iov_base, &data, sizeof data); /* the library does not write through it, whatever its type says */
    return result_of(cpg_mcast_joined(c->handle, CPG_TYPE_AGREED, &v, 1));
}
