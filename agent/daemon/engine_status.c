/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bootid.h"
#include "common/fileio.h"
#include "daemon/engine_answer.h"
#include "daemon/engine_defer.h"
#include "daemon/engine_explain.h"
#include "daemon/engine_safety.h"

#include "common/banned.h"

const char *status_role(enum core_state s)
{
    switch (s) {
    case ST_ACTIVE:
    case ST_RESTARTING:
    case ST_ADOPTING:
        return "active";
    case ST_RELEASING:
        return "releasing";
    case ST_PASSIVE:
        return "passive";
    case ST_STARTING:
        return "starting";
    case ST_CLAIMING:
    case ST_PROOF:
    case ST_DRAIN:
    case ST_OWNING:
    case ST_RECOVER:
    case ST_ADDRESS:
    case ST_SERVICE:
        return "taking-over";
    case ST_STOPPING:
    case ST_ENDING:
        return "stopping";
    case ST_HOLD:
        return "held";
    case ST_N:
        break;
    }
    return "unknown";
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* Age of something that happened at `at_ms`; null when it has not. */
static json_t *age(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms == 0 ? json_null() : number(now_ms > at_ms ? now_ms - at_ms : 0);
}

static void put(json_t *o, const char *key, json_t *v)
{
    (void)json_object_set_new(o, key, v);
}

static void put_boot(json_t *o, const char *key, const struct id128 *id)
{
    char text[BOOTID_TEXT_SIZE];

    if (!bootid_known(id)) {
        put(o, key, json_null());
        return;
    }
    bootid_format(id, text);
    put(o, key, json_string(text));
}

static void put_run(json_t *o, const char *key, uint64_t run)
{
    char text[17];

    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)run);
    put(o, key, json_string(text));
}

static const char *node_name(const struct status_view *v, unsigned node)
{
    return node < v->cfg->n_nodes ? v->cfg->nodes[node].name : "-";
}

static json_t *epoch_json(const struct status_view *v, const struct core_epoch *e)
{
    json_t *o = json_object();

    put(o, "n", number(e->n));
    put(o, "node", json_string(e->n ? node_name(v, e->node) : "-"));
    put(o, "owned", json_boolean(e->owned));
    put(o, "ended", json_boolean(e->ended));
    return o;
}

static json_t *share_json(const struct status_view *v, const struct core_facts *now, uint64_t now_ms)
{
    static const char *const names[] = { [SHARE_UNKNOWN] = "unknown", [SHARE_OK] = "ok", [SHARE_WRONG] = "wrong",
                                         [SHARE_BEHIND] = "behind" };
    const struct facts *f = v->facts;
    json_t *o = json_object(), *open = json_array();

    put(o, "path", json_string(v->cfg->control_share));
    put(o, "state", json_string(names[now->share]));
    put(o, "why", json_string(f->share_ever ? f->share.why : "no-answer-yet"));
    put(o, "age_ms", age(f->share_ms, now_ms));
    put(o, "uuid", json_string(f->share_ever ? f->share.uuid : "-"));
    put(o, "highest", number(now->highest));
    put(o, "local_max", number(now->local_max));
    put(o, "last", epoch_json(v, &now->last));
    for (unsigned i = 0; i < f->share.n_listed; i++)
        json_array_append_new(open, epoch_json(v, &f->share.open[i]));
    put(o, "open", open);
    return o;
}

static json_t *maintenance_json(const struct facts *f)
{
    static const char *const names[] = { [MAINTENANCE_OFF] = "off", [MAINTENANCE_ON] = "on",
                                         [MAINTENANCE_MALFORMED] = "malformed" };
    const struct watch_report *r = &f->share;
    json_t *o = json_object();

    put(o, "state", json_string(f->share_ever && r->share != SHARE_WRONG ? names[r->maintenance] : "unknown"));
    put(o, "node", json_string(r->maintenance == MAINTENANCE_ON ? r->maintenance_node : "-"));
    put(o, "since", json_string(r->maintenance == MAINTENANCE_ON ? r->maintenance_since : "-"));
    put(o, "reason", json_string(r->maintenance_reason));
    return o;
}

static json_t *ignored_json(const struct ignored *i, uint64_t now_ms)
{
    json_t *o = json_object();

    for (unsigned k = 0; k < IGNORED_N; k++)
        put(o, ignored_name((enum ignored_kind)k), number(i->n[k]));
    put(o, "last", i->last_ms ? json_string(ignored_text(i->last)) : json_null());
    put(o, "last_age_ms", age(i->last_ms, now_ms));
    return o;
}

static json_t *cluster_json(const struct status_view *v, const struct core_facts *now, uint64_t now_ms)
{
    const struct wire_members *m = &v->facts->members;
    json_t *o = json_object();

    put(o, "ring", number(now->ring));
    put(o, "quorum_ring", number(m->quorum_ring));
    put(o, "quorate", json_boolean(now->quorate));
    put(o, "fresh", json_boolean(now->members_fresh));
    put(o, "age_ms", v->facts->members_ever ? age(m->sampled_ms, now_ms) : json_null());
    put(o, "formed_ms_ago", now->ring ? age(v->facts->ring_ms, now_ms) : json_null());
    put(o, "encrypted", json_boolean(m->encrypted));
    put(o, "insecure_cluster", json_boolean(v->cfg->insecure_cluster));
    put(o, "strangers", ignored_json(&v->facts->strangers, now_ms));
    return o;
}

static void peer_put(const struct status_view *v, json_t *o, unsigned i, const struct core_peer *p, uint64_t now_ms)
{
    const struct facts_peer *fp = &v->facts->peer[i];
    const char *key = facts_digest_difference(v->facts, i), *ignored = facts_ignored_why(v->facts, i, now_ms);

    put(o, "in_ring", json_boolean(p->in_ring));
    put(o, "heard", json_boolean(p->heard));
    put(o, "message_age_ms", age(fp->msg_ms, now_ms));
    put(o, "beat_age_ms", age(fp->beat_change_ms, now_ms));
    put(o, "beat_moves", json_boolean(p->beat_moves));
    put(o, "state", fp->heard_ever ? json_string(core_state_name((enum core_state)fp->msg.state)) : json_null());
    put(o, "no_service", json_boolean(p->no_service));
    put(o, "no_share_child", json_boolean(p->no_share_child));
    put(o, "no_end_pending", json_boolean(p->no_end_pending));
    put(o, "held", json_boolean(p->held));
    put(o, "ignored", ignored_json(&fp->ignored, now_ms));
    put(o, "ignored_why", ignored ? json_string(ignored) : json_null());
    put(o, "config_differs_in", key ? json_string(key) : json_null());
    put(o, "highest", number(p->highest));
    put_boot(o, "boot", &fp->msg.boot);
    put(o, "proof", json_string(core_proof_name(v->driver->core.proof[i].kind)));
}

static json_t *nodes_json(const struct status_view *v, const struct core_facts *now, uint64_t now_ms)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < v->cfg->n_nodes; i++) {
        json_t *o = json_object();
        put(o, "name", json_string(v->cfg->nodes[i].name));
        put(o, "id", number(v->cfg->nodes[i].id));
        put(o, "self", json_boolean(i == v->self));
        if (i == v->self) {
            put(o, "in_ring", json_boolean(facts_in_ring(v->facts, i)));
            put_boot(o, "boot", &v->facts->boot);
        } else {
            peer_put(v, o, i, &now->peer[i], now_ms);
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *fencing_json(const struct status_view *v, uint64_t now_ms)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < v->cfg->n_devices && i < CORE_DEVICES; i++) {
        const struct config_device *c = &v->cfg->devices[i];
        const struct driver_fence *f = &v->driver->fence[i];
        json_t *o = json_object();
        put(o, "device", json_string(c->name));
        put(o, "node", json_string(node_name(v, c->node)));
        put(o, "level", number(c->level));
        put(o, "agent", json_string(c->agent));
        put(o, "running_ms", age(f->running_since_ms, now_ms));
        if (f->job != JOB_NONE) {
            put(o, "last_action", json_string(job_name(f->job)));
            put(o, "last_answer", json_string(core_result_name(f->result)));
            put(o, "last_exit", json_integer(f->status));
            put(o, "last_age_ms", age(f->at_ms, now_ms));
            put(o, "last_took_ms", number(f->took_ms));
            put(o, "last_text", json_string(f->text));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *alerts_json(const struct status_view *v, uint64_t now_ms)
{
    const struct driver *d = v->driver;
    unsigned n = d->n_alerts < DRIVER_ALERTS ? d->n_alerts : DRIVER_ALERTS;
    json_t *list = json_array();

    for (unsigned i = 0; i < n; i++) {
        const struct driver_alert *a = &d->alert[(d->n_alerts - 1 - i) % DRIVER_ALERTS];
        json_t *o = json_object();
        put(o, "reason", json_string(core_reason_name(a->reason)));
        put(o, "what", json_string(core_reason_what(a->reason)));
        put(o, "detail", json_string(a->detail));
        put(o, "node", json_string(node_name(v, a->node)));
        put(o, "age_ms", age(a->at_ms, now_ms));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *takeover_json(const struct status_view *v, uint64_t now_ms)
{
    const struct takeover *t = &v->report->last;
    char path[512];
    json_t *o;

    if (!v->report->any)
        return json_null();
    o = json_object();
    put(o, "epoch", number(t->epoch));
    put(o, "kind", json_string(t->unplanned ? "takeover" : "start"));
    put(o, "from", json_string(t->from < v->cfg->n_nodes ? node_name(v, t->from) : "-"));
    put(o, "age_ms", age(t->active_ms, now_ms));
    (void)snprintf(path, sizeof path, "%s/takeover-%llu.txt", v->reports_dir, (unsigned long long)t->epoch);
    put(o, "report", json_string(path));
    return o;
}

static json_t *pending_json(const struct core *c, uint64_t now_ms)
{
    json_t *o;

    if (c->pending.op == OP_NONE)
        return json_null();
    o = json_object();
    put(o, "operation", json_string(core_op_name(c->pending.op)));
    put(o, "id", number(c->pending.id));
    put(o, "deadline_in_ms", number(c->pending.deadline_ms > now_ms ? c->pending.deadline_ms - now_ms : 0));
    return o;
}

static json_t *rule_json(const struct driver *d, uint64_t now_ms)
{
    json_t *o;

    if (!d->last_rule)
        return json_null();
    o = json_object();
    put(o, "number", json_integer(d->last_rule));
    put(o, "why", json_string(core_rule_why(d->last_rule)));
    put(o, "from", json_string(core_state_name(d->last_rule_from)));
    put(o, "age_ms", age(d->last_rule_ms, now_ms));
    return o;
}

static void put_wall(json_t *o, const char *key, time_t at)
{
    char text[32];
    struct tm tm;

    if (gmtime_r(&at, &tm) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        put(o, key, json_string(text));
}

static void put_identity(const struct status_view *v, json_t *o, uint64_t now_ms)
{
    put(o, "version", json_integer(1));
    put(o, "understudy", json_string(PACKAGE_VERSION));
    put(o, "cluster", json_string(v->cfg->cluster));
    put(o, "service", json_string(v->cfg->service));
    put(o, "node", json_string(node_name(v, v->self)));
    put_boot(o, "boot", &v->facts->boot);
    put_run(o, "run", v->facts->run);
    put_wall(o, "written_at", time(NULL));
    put(o, "boottime_ms", number(now_ms));
    put(o, "up_ms", age(v->started_ms, now_ms));
}

json_t *status_json(const struct status_view *v, uint64_t now_ms)
{
    static const char *const tri[] = { [TRI_UNKNOWN] = "unknown", [TRI_NO] = "no", [TRI_YES] = "yes" };
    const struct core *c = &v->driver->core;
    struct core_facts now;
    json_t *o = json_object();

    facts_fill(v->facts, now_ms, &now);
    put_identity(v, o, now_ms);
    put(o, "role", json_string(status_role(c->state)));
    put(o, "state", json_string(core_state_name(c->state)));
    put(o, "state_age_ms", number(now_ms > c->since_ms ? now_ms - c->since_ms : 0));
    put(o, "state_since_boottime_ms", number(c->since_ms));
    put(o, "claim", number(c->claim));
    put(o, "owned", json_boolean(c->owned));
    put(o, "permit", json_boolean(v->driver->permit));
    put(o, "last_stop_reason", c->last_reason == WHY_NONE ? json_null() : json_string(core_reason_name(c->last_reason)));
    put(o, "why", status_why_json(v, now_ms));
    put(o, "pending", pending_json(c, now_ms));
    put(o, "corosync", cluster_json(v, &now, now_ms));
    put(o, "share", share_json(v, &now, now_ms));
    put(o, "maintenance", maintenance_json(v->facts));
    put(o, "nodes", nodes_json(v, &now, now_ms));
    put(o, "fencing", fencing_json(v, now_ms));
    put(o, "list_process_here", json_string(tri[now.service_here]));
    put(o, "address_trouble", v->driver->address.bad ? json_string(v->driver->address.text) : json_null());
    put(o, "deferred", defer_json(&v->driver->defer, now_ms));
    put(o, "unreaped", number(now.unreaped));
    put(o, "unreaped_fence", number(now.unreaped_fence));
    (void)json_object_update_new(o, safety_json(&v->driver->safety));
    put(o, "sandbox", json_boolean(v->sandboxed));
    put(o, "failures", number(c->failures));
    put(o, "alerts", alerts_json(v, now_ms));
    put(o, "last_rule", rule_json(v->driver, now_ms));
    put(o, "last_takeover", takeover_json(v, now_ms));
    put(o, "last_release", v->driver->release.number
        ? release_json(&v->driver->release, node_name(v, v->self), now_ms) : json_null());
    return o;
}

int status_write(const struct status_view *v, const char *path, uint64_t now_ms)
{
    (void)answer_lost();
    char *text = answer_whole(status_json(v, now_ms), JSON_INDENT(1));
    int rc = text ? fileio_write_replace(AT_FDCWD, path, text, strlen(text), 0644) : -ENOMEM;

    free(text);
    return rc;
}
