/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operation does to its host or to a device, and what the answer is. */
#include "world.h"

static void device_set(struct world *w, unsigned d, bool on)
{
    w->device[d].on = on;
    host_power(w, w->p.cfg.device[d].node);
}

/* A device may take its time: it answers now and acts later, perhaps when nobody wants it any more. */
static void fence_effect(struct world *w, const struct sim_child *c)
{
    unsigned d = c->act.device;
    bool on = c->act.op == OP_FENCE_ON;
    if (c->act.op == OP_FENCE_STATUS || w->device[d].dead_until > w->now || c->result == RES_FAILED
        || w->device[d].lies_until > w->now)
        return;
    if (w->frozen_until > w->now)
        world_push(w, w->frozen_until + rng_range(&w->rng, 0, 50), WE_DEVICE, 0, 0, d * 2 + on);
    else if (w->device[d].late_until > w->now || rng_chance(&w->rng, w->p.p_fence_acts_late))
        world_push(w, w->now + rng_range(&w->rng, 100, 6000), WE_DEVICE, 0, 0, d * 2 + on);
    else
        device_set(w, d, on);
}

static void service_stop(struct world *w, unsigned h)
{
    if (w->host[h].stop_broken_until <= w->now)
        host_stop_service(w, h);
}

static void service_start(struct world *w, unsigned h)
{
    struct sim_host *x = &w->host[h];
    x->running = true;
    x->rogue = false;
    x->whole = x->start_broken_until <= w->now;
    x->intake = x->whole;
    x->frozen = x->released = false;
    world_trace(w, h, "list service runs%s", x->whole ? "" : ", but not whole");
}

/* All or nothing: what reaches no safe point is let go on by the agent itself, but for intake, and then it says no. */
static void service_release(struct world *w, unsigned h, const struct sim_child *c)
{
    struct sim_host *x = &w->host[h];
    x->intake = false;
    if (c->result != RES_OK || x->unsafe_until > w->now || !x->running || !x->whole)
        return;
    host_stop_service(w, h);
    x->released = true;
    world_trace(w, h, "released at a safe point");
}

void child_effect(struct world *w, unsigned h, struct sim_child *c)
{
    struct sim_host *x = &w->host[h];
    switch (c->act.op) {
    case OP_SERVICE_START:
        service_start(w, h);
        break;
    case OP_SERVICE_STOP:
        service_stop(w, h);
        break;
    case OP_SERVICE_RELEASE:
        service_release(w, h, c);
        break;
    case OP_SERVICE_RESUME:
        x->frozen = false;
        x->intake = x->running && x->whole;
        break;
    case OP_SYNC:
        x->writes += c->result == RES_OK;
        break;
    case OP_ADDRESS_START:
        if (c->result == RES_OK)
            c->result = w->foreign_address_until > w->now ? RES_DUPLICATE : RES_OK;
        x->address = c->result == RES_OK;
        break;
    case OP_ADDRESS_STOP:
        x->address = false;
        break;
    case OP_INTAKE_OPEN: case OP_INTAKE_CLOSE:
        x->intake = c->act.op == OP_INTAKE_OPEN;
        break;
    case OP_FENCE_OFF: case OP_FENCE_ON: case OP_FENCE_STATUS:
        fence_effect(w, c);
        break;
    case OP_NONE: case OP_CLAIM: case OP_OWN: case OP_END: case OP_DRAIN: case OP_RECOVER: case OP_SERVICE_MONITOR:
    case OP_N:
        break;
    }
}

static enum core_result if_ok(bool ok) { return ok ? RES_OK : RES_FAILED; }

enum core_result child_result(struct world *w, unsigned h, struct sim_child *c)
{
    const struct sim_host *x = &w->host[h];
    bool dead = (c->act.op == OP_FENCE_OFF || c->act.op == OP_FENCE_STATUS || c->act.op == OP_FENCE_ON)
        && (w->device[c->act.device].dead_until > w->now || w->frozen_until > w->now);
    if (c->result != RES_OK || dead)
        return c->result == RES_OK ? RES_FAILED : c->result;
    switch (c->act.op) {
    case OP_CLAIM: case OP_OWN: case OP_END:
        return if_ok(share_done(w, h, &c->act, x->engine.run));
    case OP_SERVICE_START:
        return if_ok(x->running && x->whole);
    case OP_SERVICE_RELEASE:
        return if_ok(x->released);
    case OP_SERVICE_RESUME:
        return if_ok(x->running && x->whole && x->intake);
    case OP_SERVICE_STOP:
        return if_ok(!x->running && !x->rogue && x->stop_broken_until <= w->now);
    case OP_SERVICE_MONITOR:
        return if_ok(x->running && x->whole && !x->frozen);
    case OP_RECOVER:
        return x->lists_full_until > w->now ? RES_FULL : if_ok(x->recover_broken_until <= w->now);
    case OP_INTAKE_OPEN: case OP_INTAKE_CLOSE:
        return if_ok(x->intake_broken_until <= w->now);
    case OP_FENCE_STATUS:
        return w->device[c->act.device].on ? RES_ON : RES_OFF;
    case OP_NONE: case OP_DRAIN: case OP_SYNC: case OP_ADDRESS_START: case OP_ADDRESS_STOP: case OP_FENCE_OFF: case OP_FENCE_ON:
    case OP_N:
        break;
    }
    return RES_OK;
}
