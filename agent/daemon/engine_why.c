/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What blocks this node: the guards of the core, and what the core does not ask for. */
#include <config.h>

#include "daemon/engine_status.h"

#include <string.h>

#include "daemon/engine_explain.h"
#include "daemon/engine_slow.h"

#include "common/banned.h"

struct words { const char *reason, *what, *node; };

static void why_add(json_t *list, const struct words *w, uint64_t value, const struct explain *e)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "reason", w->reason, "what", w->what, "node", w->node, "value",
                          (json_int_t)value, "source", e->source, "detail", e->detail, "action", e->action);

    (void)json_object_set_new(o, "age_ms", e->age_ms == UINT64_MAX ? json_null() : json_integer((json_int_t)e->age_ms));
    (void)json_array_append_new(list, o);
}

static const char *node_name(const struct status_view *v, unsigned node)
{
    return node < v->cfg->n_nodes ? v->cfg->nodes[node].name : "?";
}

json_t *status_why_json(const struct status_view *v, uint64_t now_ms)
{
    struct core_why why[CORE_REASONS];
    struct core_facts now;
    json_t *list = json_array();
    struct explain e;
    uint64_t slow_ms;
    unsigned n;

    facts_fill(v->facts, now_ms, &now);
    n = core_explain(&v->driver->core, &now, why);
    for (unsigned i = 0; i < n && i < CORE_REASONS; i++) {
        explain_why(v->driver, &why[i], now_ms, &e);
        why_add(list, &(struct words){ core_reason_name(why[i].reason), core_reason_what(why[i].reason),
                                       node_name(v, why[i].node) }, why[i].value, &e);
    }
    /* A share that answers and takes nothing blocks each claim, tenure and end, and the core sees it only by their failing. */
    if (now.share == SHARE_OK && explain_unwritable(v->driver, now_ms, &e))
        why_add(list, &(struct words){ "share-unwritable", "The control share can be read, but this node can not write to it.",
                                       node_name(v, v->self) }, v->facts->share.write_errno, &e);
    if (explain_claim_failed(v->driver, now_ms, &e))
        why_add(list, &(struct words){ "claim-failed", "Nothing stands against a claim of this node, and each try fails.",
                                       node_name(v, v->self) }, v->driver->claims.n, &e);
    if (explain_start_refused(v->driver, now_ms, &e))
        why_add(list, &(struct words){ "start-refused", "This node can not start the programs that it needs.",
                                       node_name(v, v->self) }, v->driver->starts.n, &e);
    if (explain_slow(v->driver, now_ms, &e, &slow_ms))
        why_add(list, &(struct words){ "step-slow", "A step on the way to active takes longer than it usually does.",
                                       node_name(v, v->self) }, slow_ms, &e);
    return list;
}
