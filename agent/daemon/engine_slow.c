/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_slow.h"

#include <stdio.h>

#include "common/banned.h"

#define USUAL_MS       3000u /* each takes less than half of that where the share answers */
#define USUAL_START_MS 6000u /* a list server loads an interpreter for each runner */

struct step { enum core_op op; const char *name, *then, *look; };

#define UNDONE "what was begun is undone: list service and address are stopped, and the epoch is ended as soon as no child is " \
    "left on a share, so that a node can try again"

static const struct step steps[] = {
    { OP_DRAIN, "drain", "the proofs are dropped, the claim is kept, and this node begins again with the proofs",
      "Look at the NFS server of the control share and the network to it: the drain counts only while that answers." },
    { OP_OWN, "own", "the claim is withdrawn by an end, and a node can claim anew",
      "Look at the NFS server of the control share and the network to it." },
    { OP_RECOVER, "recover", UNDONE ". While it hangs on the share it can not be killed: then nothing goes on here until the NFS "
      "server answers, or this node reboots",
      "Look at the list share on this node: does its NFS server answer, and the network to it? The kernel's log says \"not "
      "responding\" of one that does not, and nothing else is needed once it does. If it does, the queue may be very long: wait." },
    { OP_ADDRESS_START, "address", UNDONE,
      "Look at the interface of the floating address on this node (`ip address`) and at its switch." },
    { OP_SERVICE_START, "start", UNDONE,
      "Look at the list server's log, and at what it needs to start: the list share, its database, memory and processor time." },
};

static const struct step *step_of(const struct core *c)
{
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (c->pending.op == steps[i].op)
            return &steps[i];
    return NULL;
}

static uint64_t usual_ms(const struct driver *d, enum core_op op)
{
    uint64_t by_design = op == OP_DRAIN ? d->cfg->drain_ms : op == OP_ADDRESS_START ? d->cfg->dad_ms : 0;

    return by_design + (op == OP_SERVICE_START ? USUAL_START_MS : USUAL_MS);
}

bool explain_slow(const struct driver *d, uint64_t now_ms, struct explain *ret, uint64_t *ret_ms)
{
    const struct step *step = step_of(&d->core);
    const struct op *op = NULL;

    for (unsigned i = 0; step && i < OPS_MAX; i++)
        if (d->ops.v[i].id != 0 && d->ops.v[i].id == d->core.pending.id)
            op = &d->ops.v[i];
    if (!op || now_ms < op->start_ms + usual_ms(d, step->op))
        return false;
    uint64_t end_ms = op->start_ms + op->deadline_ms;
    *ret_ms = now_ms - op->start_ms;
    *ret = (struct explain){ .source = "the executor", .age_ms = UINT64_MAX };
    (void)snprintf(ret->detail, sizeof ret->detail, "step %s (%s) of epoch %llu has been at work for %llu ms; it has %llu ms. At "
                   "its deadline, %llu ms from now, it is killed, and %s%s%s", step->name, job_name(op->job),
                   (unsigned long long)d->core.claim, (unsigned long long)*ret_ms, (unsigned long long)op->deadline_ms,
                   (unsigned long long)(end_ms > now_ms ? end_ms - now_ms : 0), step->then, op->text[0] ? ". It says: " : "",
                   op->text);
    (void)snprintf(ret->action, sizeof ret->action, "%s", step->look);
    return true;
}
