/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration that has changed is taken up while everything runs on, or refused as a whole. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

#include "common/banned.h"

static bool fence_runs(const struct executor *x)
{
    for (unsigned i = 0; i < EXEC_CHILDREN; i++)
        if (x->child[i].pid != 0 && x->child[i].secret)
            return true;
    return false;
}

/* 0, or -errno after the reason was logged: -EBUSY while a fence program may still read what would be replaced. */
static int take_up(struct executor *x)
{
    static struct config next; /* large */
    struct secrets *secrets = NULL;
    const char *key = NULL;
    int rc = fence_runs(x) ? -EBUSY : config_read_owned(x->opt->config_path, x->root.uid, &next, stderr);

    if (rc == 0 && (key = config_reload_obstacle(x->cfg, &next)) != NULL)
        rc = -EPERM;
    if (rc == 0)
        rc = secrets_read(&next, x->root.uid, &secrets, stderr);
    if (rc < 0) {
        log_error("%s is not taken up: %s%s%s", x->opt->config_path, strerror(-rc), key ? ": " : "", key ? key : "");
        return rc;
    }
    secrets_free(x->secrets);
    x->secrets = secrets;
    *x->cfg = next;
    log_notice("%s is taken up", x->opt->config_path);
    return 0;
}

void exec_reload(struct executor *x)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RELOADED };

    m.u.status = take_up(x);
    if (x->engine_fd >= 0)
        (void) wire_send(x->engine_fd, &m); /* lost: the engine says that it does not know, and a person asks again */
}
