/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_recover.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine_answer.h"
#include "daemon/engine_request.h"
#include "daemon/log.h"

#include "common/banned.h"

#define INIT_DEADLINE_MS 10000u
#define TEXT_MAX         1024u

static char *refused(const char *why)
{
    return answer_text(json_pack("{s:b, s:s++}", "ok", 0, "error", "init --recover refused: ", why, ""));
}

__attribute__((format(printf, 2, 3))) static bool because(char why[TEXT_MAX], const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(why, TEXT_MAX, format, ap);
    va_end(ap);
    return false;
}

/* The highest number that anybody has seen, as far as we know. */
static uint64_t above_all(const struct request_ctx *r)
{
    const struct facts *f = r->facts;
    uint64_t top[] = { f->highest_ever, f->share.highest, f->share.local_max, r->driver->core.claim }, n = 0;

    for (unsigned i = 0; i < sizeof top / sizeof top[0]; i++)
        n = top[i] > n ? top[i] : n;
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++)
        if (f->peer[i].heard_ever && f->peer[i].msg.epoch > n)
            n = f->peer[i].msg.epoch;
    return n;
}

static bool self_may(const struct request_ctx *r, const struct core_facts *now, char why[TEXT_MAX])
{
    const struct core *c = &r->driver->core;
    bool stopped = c->state == ST_PASSIVE || c->state == ST_ENDING || (c->state == ST_HOLD && !c->stop_unproven);

    if (!now->members_fresh || now->ring == 0)
        return because(why, "corosync does not answer here, so nobody can say which nodes are there. Start it");
    if (!stopped || now->service_here != TRI_NO)
        return because(why, "this node is in state %s%s. Stop the list service here first, or wait until it has stopped",
                       core_state_name(c->state), now->service_here != TRI_NO
                       ? ", and list processes run here, or it is not known whether they do" : "");
    if (now->unreaped || now->unreaped_fence || ops_running(&r->driver->ops, JOB_EPOCH_END))
        return because(why, "a helper of this node still hangs or works on the share. Wait until it is gone, or restart this node");
    return true;
}

/* Lost epochs, a share behind, or more open ones than are looked at; a sound share has nothing to recover. */
static bool share_needs(const struct request_ctx *r, const struct core_facts *now, char why[TEXT_MAX])
{
    if (now->share == SHARE_UNKNOWN)
        return because(why, "the control share %s does not answer. See to the file server", r->view.cfg->control_share);
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++)
        if (i != r->view.self && now->peer[i].heard && now->peer[i].highest > now->highest)
            return true;
    if (now->share != SHARE_OK || now->highest < now->local_max || now->n_open > CORE_EPOCHS)
        return true;
    return because(why, "there is nothing to recover: %s has its identity and all epochs that anybody has seen",
                   r->view.cfg->control_share);
}

static const char *member_fault(const struct core_peer *p)
{
    if (!p->heard)
        return "is in the ring and does not speak. Start understudyd there";
    if (p->digest_differs)
        return "has another configuration. Make them equal and restart understudyd there";
    if (!p->no_service)
        return "may have list processes. Stop the list service there";
    if (!p->no_share_child)
        return "has a helper that hangs on a share. Wait until it is gone, or switch the node off";
    if (!p->no_end_pending)
        return "has an end to write. Run init --recover there instead; if that one is refused because of this node, restart "
               "understudyd there";
    return NULL;
}

static bool has_device(const struct config *cfg, unsigned node)
{
    for (unsigned d = 0; d < cfg->n_devices; d++)
        if (cfg->devices[d].node == node)
            return true;
    return false;
}

static bool peer_judge(struct request_ctx *r, unsigned i, const struct core_peer *p, char why[TEXT_MAX])
{
    const char *name = r->view.cfg->nodes[i].name, *fault = p->in_ring ? member_fault(p) : NULL;
    struct recover *rec = &r->recover;

    if (rec->off & 1u << i) {
        if (p->in_ring || p->heard || p->beat_moves || facts_last_sign_ms(r->facts, i) > rec->asked_ms)
            return because(why, "node %s is said to be off, and shows that it is not: it is in the ring, speaks or beats. Stop "
                           "it, or leave out --off %s", name, name);
        rec->how[i] = RECOVER_WORD;
    } else if (p->in_ring) {
        if (fault)
            return because(why, "node %s %s", name, fault);
        rec->how[i] = RECOVER_CLEAN;
    } else if (has_device(r->view.cfg, i)) {
        rec->how[i] = RECOVER_STATUS;
    } else {
        return because(why, "node %s is away and no fence device says that it is off. Start understudyd there; or switch it off, "
                       "look that it is off, and add --off %s", name, name);
    }
    return true;
}

static bool judge(struct request_ctx *r, uint64_t now_ms, char why[TEXT_MAX])
{
    struct core_facts now;

    facts_fill(r->facts, now_ms, &now);
    if (!self_may(r, &now, why) || !share_needs(r, &now, why))
        return false;
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++)
        if (i != r->view.self && !peer_judge(r, i, &now.peer[i], why))
            return false;
    return true;
}

static void end_refused(struct request_ctx *r, const char *why)
{
    (void)answer_lost();
    char *text = refused(why);

    r->recover.running = false;
    ipc_reply(r->recover.caller, text);
    answer_free(text);
}

/* Everything once more, since time has passed, and then the files are made. */
static void finish(struct request_ctx *r, uint64_t now_ms)
{
    struct wire_run run = { .job = JOB_EPOCH_INIT, .deadline_ms = INIT_DEADLINE_MS, .epoch = above_all(r) + 1 };
    enum recover_how before[CORE_NODES];
    char why[TEXT_MAX];
    struct op *op;

    memcpy(before, r->recover.how, sizeof before);
    if (!judge(r, now_ms, why)) {
        end_refused(r, why);
        return;
    }
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++)
        if (r->recover.how[i] == RECOVER_STATUS && before[i] != RECOVER_STATUS) {
            end_refused(r, "a node went away meanwhile. Try again");
            return;
        }
    op = driver_run_own(r->driver, &run, now_ms);
    if (!op) {
        end_refused(r, "the executor did not take the job. Is understudyd all right? See its log");
        return;
    }
    log_notice("init --recover: epochs go on above %llu", (unsigned long long)(run.epoch - 1));
    r->recover.running = false;
    if (!request_job_add(r, op->id, r->recover.caller, "init"))
        end_refused(r, "too many wait for answers already; it was started all the same: see the log");
}

/* Of the first level of a node that needs it: all devices of one level count together. */
static bool device_asked(const struct request_ctx *r, unsigned device)
{
    const struct config *cfg = r->view.cfg;
    unsigned node = cfg->devices[device].node, first = device;

    while (first > 0 && cfg->devices[first - 1].node == node)
        first--;
    return r->recover.how[node] == RECOVER_STATUS && cfg->devices[device].level == cfg->devices[first].level;
}

void recover_tick(struct request_ctx *r, uint64_t now_ms)
{
    struct recover *rec = &r->recover;
    const struct config *cfg = r->view.cfg;
    struct wire_run run = { .job = JOB_FENCE_STATUS };
    struct op *op;

    if (rec->running && rec->op) {
        op = ops_find(&r->driver->ops, rec->op);
        if (op && op->late) /* hangs: it may never be reaped */
            recover_done(r, rec->op, now_ms);
        return;
    }
    if (!rec->running || now_ms < rec->next_ms || ops_running(&r->driver->ops, JOB_FENCE_STATUS))
        return;
    while (rec->device < cfg->n_devices && !device_asked(r, rec->device))
        rec->device++;
    if (rec->device == cfg->n_devices) {
        rec->device = 0;
        rec->next_ms = now_ms + cfg->power_wait_ms;
        if (++rec->pass == 2)
            finish(r, now_ms);
        return;
    }
    run.device = rec->device;
    run.deadline_ms = cfg->devices[rec->device].timeout_ms;
    op = driver_run_own(r->driver, &run, now_ms);
    if (op)
        rec->op = op->id;
    else
        end_refused(r, "the executor did not take the question to a fence device. Is understudyd all right? See its log");
}

void recover_done(struct request_ctx *r, uint64_t op_id, uint64_t now_ms)
{
    struct recover *rec = &r->recover;
    const struct driver_fence *f = &r->driver->fence[rec->device];
    const struct config_device *d = &r->view.cfg->devices[rec->device];
    const char *name;
    char why[TEXT_MAX];

    if (!rec->running || !rec->op || rec->op != op_id)
        return;
    rec->op = 0;
    if (f->result == RES_OFF) {
        rec->device++;
        recover_tick(r, now_ms);
        return;
    }
    name = r->view.cfg->nodes[d->node].name;
    (void)because(why, "node %s is away and not proven off: its fence device %s answered %s%s%s. Switch it off; if the device "
                  "cannot say so, look at the node and add --off %s", name, d->name, core_result_name(f->result),
                  f->text[0] ? ": " : "", f->text, name);
    end_refused(r, why);
}

static bool off_take(struct request_ctx *r, json_t *list, char why[TEXT_MAX])
{
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o) {
        const char *name = json_string_value(o);
        int node = name ? config_node_by_name(r->view.cfg, name) : -1;
        if (node < 0 || (unsigned)node == r->view.self)
            return because(why, "--off needs the name of another configured node; \"%s\" is none", name ? name : "");
        r->recover.off |= 1u << node;
    }
    return true;
}

static json_t *plan(const struct request_ctx *r, uint64_t now_ms)
{
    static const char *const how[] = { "", "clean", "status", "word" };
    json_t *list = json_array();

    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++) {
        uint64_t sign = facts_last_sign_ms(r->facts, i);
        if (i != r->view.self)
            json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "node", r->view.cfg->nodes[i].name, "how",
                how[r->recover.how[i]], "last_sign_ms_ago", sign ? json_integer((json_int_t)(now_ms - sign)) : json_null()));
    }
    return list;
}

char *recover_request(struct request_ctx *r, json_t *request, struct ipc_caller *caller, uint64_t now_ms)
{
    struct recover *rec = &r->recover;
    bool status = false;
    char why[TEXT_MAX];

    if (rec->running || request_job_runs(r, "init"))
        return refused("an init is under way already");
    *rec = (struct recover){ .caller = caller, .asked_ms = now_ms };
    if (!off_take(r, json_object_get(request, "off"), why) || !judge(r, now_ms, why))
        return refused(why);
    if (json_is_true(json_object_get(request, "check")))
        return answer_text(json_pack("{s:b, s:I, s:o}", "ok", 1, "next", (json_int_t)above_all(r) + 1, "nodes", plan(r, now_ms)));
    for (unsigned i = 0; i < r->view.cfg->n_nodes; i++) {
        status = status || rec->how[i] == RECOVER_STATUS;
        if (rec->how[i] == RECOVER_WORD)
            log_notice("an operator says that node %s is switched off, for init --recover", r->view.cfg->nodes[i].name);
    }
    rec->running = true;
    ipc_caller_keep(caller);
    if (status)
        recover_tick(r, now_ms);
    else
        finish(r, now_ms);
    return NULL;
}
