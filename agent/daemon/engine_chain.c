/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_chain.h"

#include "common/banned.h"

#define CHAIN_JOBS 2

/* A release has synced the list share before it asks for the address: so the share can go with that here too. */
static const struct chain {
    enum core_op op;
    enum job     job[CHAIN_JOBS];
} chains[] = {
    { OP_RECOVER,      { JOB_SHARE_MOUNT,  JOB_STATE_RECOVER } },
    { OP_ADDRESS_STOP, { JOB_ADDRESS_STOP, JOB_SHARE_UMOUNT } },
};

static const struct chain *chain_find(const struct config *cfg, enum core_op op)
{
    for (unsigned i = 0; cfg->list_with_service && i < sizeof chains / sizeof chains[0]; i++)
        if (chains[i].op == op)
            return &chains[i];
    return NULL;
}

enum job chain_first(const struct config *cfg, enum core_op op, enum job alone)
{
    const struct chain *c = chain_find(cfg, op);

    return c ? c->job[0] : alone;
}

enum job chain_next(const struct config *cfg, enum core_op op, enum job done)
{
    const struct chain *c = chain_find(cfg, op);

    for (unsigned i = 0; c && i + 1 < CHAIN_JOBS; i++)
        if (c->job[i] == done)
            return c->job[i + 1];
    return JOB_NONE;
}
