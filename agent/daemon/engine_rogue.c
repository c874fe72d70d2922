/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list service that somebody else has started on a node without the tenure: rule 503 stops it, this names it. */
#include <config.h>

#include "daemon/engine.h"

#include <stdio.h>
#include <string.h>

#include "common/banned.h"

static size_t process_add(char *buf, size_t size, size_t used, const struct listproc *p)
{
    const char *comma = used ? ", " : "";
    int n = 0;

    switch (p->kind) {
    case LISTPROC_MASTER:
        n = snprintf(buf + used, size - used, "%smaster pid %ld", comma, (long)p->pid);
        break;
    case LISTPROC_RUNNER:
        n = snprintf(buf + used, size - used, "%srunner %s pid %ld", comma, p->runner, (long)p->pid);
        break;
    case LISTPROC_COMMAND:
        n = snprintf(buf + used, size - used, "%scommand mailman pid %ld", comma, (long)p->pid);
        break;
    case LISTPROC_ZOMBIE:
    case LISTPROC_KIND_N:
        break;
    }
    if (n < 0 || (size_t)n >= size - used) {
        buf[used] = '\0'; /* no half a name */
        return used;
    }
    return used + (size_t)n;
}

void engine_rogue_look(struct engine *e, const struct listproc_list *seen, uint64_t now_ms)
{
    const struct core *c = &e->driver.core;
    char who[DRIVER_DETAIL_MAX / 2] = "", text[DRIVER_DETAIL_MAX];
    size_t used = 0;

    /* Elsewhere they are our own, or a stop is under way already. */
    if ((c->state != ST_PASSIVE && c->state != ST_HOLD) || c->stop_unproven)
        return;
    for (unsigned i = 0; i < seen->n; i++)
        used = process_add(who, sizeof who, used, &seen->v[i]);
    (void)snprintf(text, sizeof text, "%u started here without the tenure (%s); %s being stopped", seen->n_alive, who,
                   seen->n_alive == 1 ? "it is" : "they are");
    driver_alert(&e->driver, WHY_SERVICE_HERE, e->self, text, now_ms);
}
