/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/engine_answer.h"
#include "daemon/engine_safety.h"
#include "daemon/log.h"

#include "common/banned.h"

#define INIT_DEADLINE_MS 10000u
#define MAINTENANCE_MS    3000u /* beyond share_deadline */

__attribute__((format(printf, 1, 2))) static char *refusal(const char *format, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return answer_text(json_pack("{s:b, s:s}", "ok", 0, "error", text));
}

static char *request_status(struct request_ctx *r)
{
    return answer_text(json_pack("{s:b, s:o}", "ok", 1, "status", status_json(&r->view, clock_now_ms())));
}

static char *request_explain(struct request_ctx *r)
{
    const struct core *c = &r->driver->core;

    return answer_text(json_pack("{s:b, s:s, s:s, s:s, s:o, s:o}", "ok", 1, "node", r->view.cfg->nodes[r->view.self].name,
        "role", status_role(c->state), "state", core_state_name(c->state),
        "why", status_why_json(&r->view, clock_now_ms()), "safety", safety_json(&r->driver->safety)));
}

static char *request_report(struct request_ctx *r)
{
    if (r->report_lost)
        return refusal("this node had no memory left for its last report; older reports are in %s (as root: "
                       "`understudy report EPOCH`)", r->view.reports_dir);
    if (!r->last_report)
        return refusal("this engine has taken nothing over since it started; older reports are in %s (as root: "
                       "`understudy report EPOCH`)", r->view.reports_dir);
    return answer_text(json_pack("{s:b, s:o}", "ok", 1, "report", json_loads(r->last_report, 0, NULL)));
}

/* What an acknowledgement will be taken for: shown before it is asked for. */
static json_t *acknowledge_meaning(struct request_ctx *r, unsigned node)
{
    const struct facts_peer *p = &r->facts->peer[node];
    uint64_t now = clock_now_ms(), sign = facts_last_sign_ms(r->facts, node);
    json_t *open = json_array();

    for (unsigned i = 0; i < r->facts->share.n_listed; i++)
        if (r->facts->share.open[i].node == node)
            json_array_append_new(open, json_integer((json_int_t)r->facts->share.open[i].n));
    return json_pack("{s:s, s:I, s:o, s:o, s:b}", "node", r->view.cfg->nodes[node].name,
        "claim", (json_int_t)r->driver->core.claim, "open_epochs", open,
        "last_sign_ms_ago", sign ? json_integer((json_int_t)(now - sign)) : json_null(), "heard_ever", p->heard_ever);
}

/* corosync is told not to wait; then the way is that of any takeover, and the node has to be proven off. */
static char *request_boot_alone(struct request_ctx *r, unsigned node, bool check)
{
    const char *name = r->view.cfg->nodes[node].name;
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CANCEL_WAIT };
    struct core_facts now;
    enum core_reason why;

    facts_fill(r->facts, clock_now_ms(), &now);
    why = core_may_boot_alone(&r->driver->core, &now, node);
    if (why != WHY_NONE)
        return refusal("this node can not go on without node %s now (%s): %s %s", name, core_reason_name(why),
                       core_reason_what(why), core_reason_action(why));
    if (check)
        return answer_text(json_pack("{s:b, s:o}", "ok", 1, "meaning", acknowledge_meaning(r, node)));
    log_notice("an operator lets this node go on without node %s", name);
    if (wire_send(WIRE_FD_MEMBERS, &m))
        return refusal("understudy-members did not take the message; try again in a moment");
    return answer_text(json_pack("{s:b, s:s}", "ok", 1, "state", core_state_name(r->driver->core.state)));
}

static char *request_acknowledge(struct request_ctx *r, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "node"));
    int node = name ? config_node_by_name(r->view.cfg, name) : -1;
    struct core_facts now;
    enum core_reason why;

    if (node < 0 || (unsigned)node == r->view.self)
        return refusal("acknowledge needs the name of another configured node; \"%s\" is none", name ? name : "");
    if (json_is_true(json_object_get(request, "boot_alone")))
        return request_boot_alone(r, (unsigned)node, json_is_true(json_object_get(request, "check")));
    facts_fill(r->facts, clock_now_ms(), &now);
    why = core_may_acknowledge(&r->driver->core, &now, (unsigned)node);
    if (why != WHY_NONE)
        return refusal("node %s cannot be acknowledged now (%s): %s %s", name, core_reason_name(why),
                       core_reason_what(why), core_reason_action(why));
    if (json_is_true(json_object_get(request, "check")))
        return answer_text(json_pack("{s:b, s:o}", "ok", 1, "meaning", acknowledge_meaning(r, (unsigned)node)));
    log_notice("an operator says that node %s is switched off", name);
    if (!driver_acknowledge(r->driver, (unsigned)node, clock_now_ms()))
        return refusal("the acknowledgement of node %s was not taken: the situation has changed. Look at "
                       "`understudy explain` and try again", name);
    return answer_text(json_pack("{s:b, s:s}", "ok", 1, "state", core_state_name(r->driver->core.state)));
}

static char *request_clear(struct request_ctx *r)
{
    enum core_state before = r->driver->core.state;

    if (driver_clear(r->driver, clock_now_ms()))
        return answer_text(json_pack("{s:b, s:s, s:s}", "ok", 1, "was", core_state_name(before), "state",
                                core_state_name(r->driver->core.state)));
    if (before != ST_HOLD)
        return refusal("there is nothing to clear: this node is not held and has counted no failure, its state is %s",
                       core_state_name(before));
    return refusal("the hold cannot be cleared yet. `understudy explain` says what is in the way");
}

/* What stands in the way of making identity and epoch.0, NULL = nothing: both must be sure that nobody serves. */
static const char *init_obstacle(struct request_ctx *r, const struct core_facts *now, unsigned *ret_node)
{
    *ret_node = r->view.self;
    if (!now->members_fresh || !now->quorate)
        return "corosync does not answer, or this node is not in a quorate ring. Start corosync on all nodes first";
    if (now->service_here != TRI_NO)
        return "list processes run here, or it is not known whether they do. Stop the list service first";
    if (r->driver->core.claim || r->driver->core.state == ST_ACTIVE)
        return "this node has a claim or is active, so there are epochs already";
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++) {
        const struct core_peer *p = &now->peer[i];
        if (i == r->view.self)
            continue;
        *ret_node = i;
        if (!p->in_ring || !p->heard)
            return "it is not here: understudyd must run on every node for this. Start it there";
        if (!p->no_service || !p->no_share_child || !p->no_end_pending)
            return "list processes or a hanging helper are still there. Stop the list service on it";
        if (p->digest_differs)
            return "its configuration differs from ours. Make them equal and restart understudyd there";
    }
    return NULL;
}

bool request_job_runs(const struct request_ctx *r, const char *what)
{
    for (unsigned i = 0; i < REQUEST_JOBS; i++)
        if (r->job[i].op_id && !strcmp(r->job[i].what, what))
            return true;
    return false;
}

bool request_job_add(struct request_ctx *r, uint64_t op_id, struct ipc_caller *caller, const char *what)
{
    for (unsigned i = 0; i < REQUEST_JOBS; i++) {
        if (r->job[i].op_id)
            continue;
        r->job[i] = (struct request_job){ .op_id = op_id, .caller = caller, .what = what };
        return true;
    }
    return false;
}

/* Starts a job and answers its caller when it ends: NULL, or the refusal. */
static char *job_ask(struct request_ctx *r, struct wire_run *run, const char *what, struct ipc_caller *caller)
{
    struct op *op;

    if (request_job_runs(r, what))
        return refusal("%s is under way already: wait for it", what);
    op = driver_run_own(r->driver, run, clock_now_ms());
    if (!op)
        return refusal("the executor did not take the job. Is understudyd all right? See its log");
    if (!request_job_add(r, op->id, caller, what))
        return refusal("too many wait for answers already; the job was started all the same");
    ipc_caller_keep(caller);
    return NULL;
}

void request_job_done(struct request_ctx *r, uint64_t op_id, int32_t status, bool late, const char *said)
{
    char *text;

    (void)answer_lost();
    for (unsigned i = 0; i < REQUEST_JOBS; i++) {
        struct request_job j = r->job[i];
        if (j.op_id != op_id || op_id == 0)
            continue;
        r->job[i] = (struct request_job){ 0 };
        if (status == 0 && !late)
            text = answer_text(json_pack("{s:b, s:i, s:s}", "ok", 1, "exit", 0, "said", said));
        else
            text = answer_text(json_pack("{s:b, s:i, s:b, s:s, s:o}", "ok", 0, "exit", (int)status, "late", late, "said", said,
                "error", json_sprintf("%s: %s, exit %d: %s", j.what, late ? "not done in time" : "failed", (int)status,
                                      said[0] ? said : "it said nothing; see the log")));
        ipc_reply(j.caller, text);
        answer_free(text);
    }
}

static char *request_init(struct request_ctx *r, json_t *request, struct ipc_caller *caller)
{
    struct wire_run run = { .job = JOB_EPOCH_INIT, .deadline_ms = INIT_DEADLINE_MS };
    struct core_facts now;
    const char *obstacle;
    unsigned node;

    if (json_is_true(json_object_get(request, "recover")))
        return recover_request(r, request, caller, clock_now_ms());
    facts_fill(r->facts, clock_now_ms(), &now);
    obstacle = init_obstacle(r, &now, &node);
    if (obstacle)
        return refusal("init refused because of node %s: %s", r->view.cfg->nodes[node].name, obstacle);
    if (now.share == SHARE_OK)
        return refusal("init refused: %s has an identity and epochs already", r->view.cfg->control_share);
    if (r->recover.running)
        return refusal("an init is under way already");
    if (json_is_true(json_object_get(request, "check")))
        return answer_text(json_pack("{s:b}", "ok", 1));
    return job_ask(r, &run, "init", caller);
}

static char *request_maintenance(struct request_ctx *r, json_t *request, struct ipc_caller *caller)
{
    bool on = json_is_true(json_object_get(request, "on"));
    const char *reason = json_string_value(json_object_get(request, "reason"));
    struct wire_run run = { .job = on ? JOB_EPOCH_MAINTAIN : JOB_EPOCH_UNMAINTAIN,
                            .deadline_ms = r->view.cfg->share_deadline_ms + MAINTENANCE_MS };

    if (on && reason && strlen(reason) > TOKEN_TEXT_MAX)
        return refusal("a reason has at most %u characters, this one has %zu", TOKEN_TEXT_MAX, strlen(reason));
    if (on && reason)
        (void)snprintf(run.reason, sizeof run.reason, "%s", reason);
    log_notice("an operator switches maintenance %s", on ? "on" : "off");
    return job_ask(r, &run, on ? "maintenance on" : "maintenance off", caller);
}

/* One question to one fence device, asked by a person; what follows from it is the core's to see. */
static char *request_fence(struct request_ctx *r, json_t *request, struct ipc_caller *caller)
{
    const char *name = json_string_value(json_object_get(request, "device"));
    const char *action = json_string_value(json_object_get(request, "action"));
    struct wire_run run = { .job = JOB_NONE };

    for (unsigned i = 0; name && i < r->view.cfg->n_devices; i++)
        if (!strcmp(r->view.cfg->devices[i].name, name))
            run = (struct wire_run){ .job = JOB_FENCE_STATUS, .device = i,
                                     .deadline_ms = r->view.cfg->devices[i].timeout_ms };
    if (run.job == JOB_NONE)
        return refusal("\"%s\" is no configured fence device; `understudy status` lists them", name ? name : "");
    if (r->view.cfg->devices[run.device].node == r->view.self)
        return refusal("device %s fences this very node; run it on another node", name);
    if (r->driver->core.fence.target != CORE_NODE_NONE)
        return refusal("this node is fencing node %s by itself right now; see `understudy explain`",
                       r->view.cfg->nodes[r->driver->core.fence.target].name);
    if (action && !strcmp(action, "off"))
        run.job = JOB_FENCE_OFF;
    else if (action && !strcmp(action, "on"))
        run.job = JOB_FENCE_ON;
    else if (!action || strcmp(action, "status") != 0)
        return refusal("fence knows off, on and status");
    log_notice("an operator asks fence device %s: %s", name, action);
    return job_ask(r, &run, "fence", caller);
}

static char *request_switchover(struct request_ctx *r, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "node"));
    bool force = json_is_true(json_object_get(request, "force"));
    unsigned node = CORE_NODE_NONE, about = 0;
    struct core_facts now;
    enum core_reason why;

    if (name) {
        int i = config_node_by_name(r->view.cfg, name);
        if (i < 0)
            return refusal("there is no node \"%s\" in the configuration", name);
        node = (unsigned)i;
    }
    facts_fill(r->facts, clock_now_ms(), &now);
    why = core_may_release(&r->driver->core, &now, node, &about);
    if (why != WHY_NONE)
        return refusal("no switchover now (%s, node %s): %s %s", core_reason_name(why), r->view.cfg->nodes[about].name,
                       core_reason_what(why), core_reason_action(why));
    log_notice("an operator moves the service%s%s%s", name ? " to node " : "", name ? name : "", force ? ", by force" : "");
    if (!driver_release(r->driver, node, force, clock_now_ms()))
        return refusal("the switchover was not taken: the situation has changed. Look at `understudy explain` and try again");
    return answer_text(json_pack("{s:b, s:I}", "ok", 1, "number", (json_int_t)r->driver->release.number));
}

/* How far it has come, and what the other nodes say of themselves meanwhile. */
static char *request_release(struct request_ctx *r)
{
    json_t *nodes = json_array();

    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++) {
        const struct facts_peer *p = &r->facts->peer[i];
        bool self = i == r->view.self;
        enum core_state s = self ? r->driver->core.state : (enum core_state)p->msg.state;
        json_array_append_new(nodes, json_pack("{s:s, s:s}", "name", r->view.cfg->nodes[i].name, "state",
            self || p->heard_ever ? core_state_name(s) : "unknown"));
    }
    return answer_text(json_pack("{s:b, s:o, s:o}", "ok", 1, "release",
        release_json(&r->driver->release, r->view.cfg->nodes[r->view.self].name, clock_now_ms()), "nodes", nodes));
}

static char *request_act(struct request_ctx *r, const char *cmd, json_t *request, struct ipc_caller *caller, uid_t uid)
{
    if (uid != 0 && uid != r->own_uid)
        return refusal("only root and user %s may do this; you are uid %u", UNDERSTUDY_USER, (unsigned)uid);
    if (!strcmp(cmd, "acknowledge"))
        return request_acknowledge(r, request);
    if (!strcmp(cmd, "clear"))
        return request_clear(r);
    if (!strcmp(cmd, "init"))
        return request_init(r, request, caller);
    if (!strcmp(cmd, "switchover"))
        return request_switchover(r, request);
    if (!strcmp(cmd, "maintenance"))
        return request_maintenance(r, request, caller);
    if (!strcmp(cmd, "fence"))
        return request_fence(r, request, caller);
    if (!strcmp(cmd, "reload"))
        return reload_ask(&r->reload, caller);
    return refusal("unknown command \"%s\": is the command line of another version?", cmd);
}

char *request_handle(void *ctx, struct ipc_caller *caller, uid_t uid, const char *text, size_t len)
{
    struct request_ctx *r = ctx;
    json_error_t error;
    (void)answer_lost();
    json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    char *out;

    if (!request && answer_lost())
        out = answer_text(NULL);
    else if (!cmd)
        out = refusal("the request is no JSON object with a command");
    else if (!strcmp(cmd, "status"))
        out = request_status(r);
    else if (!strcmp(cmd, "explain"))
        out = request_explain(r);
    else if (!strcmp(cmd, "report"))
        out = request_report(r);
    else if (!strcmp(cmd, "release"))
        out = request_release(r);
    else
        out = request_act(r, cmd, request, caller, uid);
    json_decref(request);
    return out;
}
