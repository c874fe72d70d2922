/* SPDX-License-Identifier: GPL-2.0-or-later */
/* claim, own, end: the three changes of the protocol (design: Epochs). */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "resource/epoch/epoch_proof.h"

#include "common/banned.h"

static int fail_higher(uint64_t n, const struct epoch_look *look)
{
    const struct epoch_entry *e = epoch_view_find(&look->view, epoch_view_highest(&look->view));

    return epoch_fail(EXIT_LOST, "epoch %" PRIu64 " is lost: the highest is %" PRIu64 ", of node %s", n, e->n, e->node);
}

int epoch_cmd_claim(const struct epoch_ctx *ctx, uint64_t n)
{
    struct epoch_look look = EPOCH_LOOK_INIT_QUICK;
    struct epoch_file f = epoch_file_of(ctx, EPOCH_CLAIM, n);
    char name[48];
    const char *call;
    int code = epoch_look_sound(ctx, &look);

    (void)snprintf(name, sizeof name, "epoch.%" PRIu64, n);
    if (!code && epoch_view_highest(&look.view) >= n)
        code = fail_higher(n, &look);
    else if (!code && epoch_view_highest(&look.view) + 1 != n)
        code = epoch_fail(EXIT_USAGE, "epoch %" PRIu64 " cannot be claimed: the next one is %" PRIu64, n,
                          epoch_view_highest(&look.view) + 1);
    if (!code && look.maintenance != EPOCH_MAINTENANCE_OFF)
        code = epoch_fail(EXIT_FAILED, "maintenance is on, so nothing is claimed: understudy-epoch read says since when and "
                          "why, unmaintain ends it");
    if (!code) {
        int rc = epoch_make(ctx, &look.share, name, &f, &call);
        if (rc == -EEXIST)
            code = epoch_fail(EXIT_LOST, "epoch %" PRIu64 " is lost: another claim was first", n);
        else if (rc)
            code = epoch_fail_call(call, rc);
    }
    /* Again: a higher number voids ours. This look also writes the local maximum, before the claim can be used. */
    if (!code)
        code = epoch_look_sound(ctx, &look);
    if (!code && epoch_view_highest(&look.view) != n)
        code = fail_higher(n, &look);
    if (!code && !epoch_is_ours(ctx, epoch_view_find(&look.view, n)))
        code = epoch_fail(EXIT_LOST, "epoch %" PRIu64 " is lost: it is not ours in a second listing", n);
    epoch_look_free(&look);
    if (!code)
        (void)printf("claim n=%" PRIu64 " won=1\n", n);
    return code;
}

/* Ours, the highest and un-ended: what a tenure needs before and after it is written. */
static int own_allowed(const struct epoch_ctx *ctx, const struct epoch_look *look, uint64_t n)
{
    const struct epoch_entry *e = epoch_view_find(&look->view, n);

    if (epoch_view_highest(&look->view) > n)
        return fail_higher(n, look);
    if (!e)
        return epoch_fail(EXIT_LOST, "there is no epoch %" PRIu64 "; the highest is %" PRIu64, n,
                          epoch_view_highest(&look->view));
    if (!epoch_is_ours(ctx, e))
        return epoch_fail(EXIT_LOST, "epoch %" PRIu64 " is of node %s run %016" PRIx64 ", not of this node's present run",
                          n, e->node, e->run);
    if (!epoch_is_open(e))
        return epoch_fail(EXIT_LOST, "epoch %" PRIu64 " has ended; claim a new one", n);
    return EXIT_DONE;
}

/* The last guard before a tenure: whoever may still be at work under a lower number must have been proven harmless. */
static int own_proven(const struct epoch_look *look, uint64_t n, const struct epoch_proofs *proofs)
{
    for (size_t i = 0; i < look->view.n; i++) {
        const struct epoch_entry *e = &look->view.v[i];

        if (e->n < n && epoch_is_open(e) && !epoch_proof_covers(proofs, e->node))
            return epoch_fail(EXIT_FAILED, "epoch %" PRIu64 " of node %s has not ended and its proof is '%s': no tenure",
                              e->n, e->node, epoch_proof_text(proofs, e->node));
    }
    return EXIT_DONE;
}

int epoch_cmd_own(const struct epoch_ctx *ctx, uint64_t n, const char *text)
{
    struct epoch_look look = EPOCH_LOOK_INIT_QUICK;
    struct epoch_file f = epoch_file_of(ctx, EPOCH_OWN, n);
    struct epoch_proofs proofs;
    const char *call;
    char name[48];
    int code = epoch_proofs_parse(ctx->cfg, ctx->node, text, &proofs);

    if (code)
        return code;
    (void)snprintf(f.proofs, sizeof f.proofs, "%s", *text ? text : "-"); /* a cluster of one node has none */
    (void)snprintf(name, sizeof name, "epoch.%" PRIu64 ".own", n);
    code = epoch_look_sound(ctx, &look);
    if (!code)
        code = own_allowed(ctx, &look, n);
    if (!code)
        code = own_proven(&look, n, &proofs);
    if (!code) {
        int rc = epoch_make(ctx, &look.share, name, &f, &call);
        /* There already: from an earlier try of this very run; the look that follows reads and judges it. */
        code = rc && rc != -EEXIST ? epoch_fail_call(call, rc) : EXIT_DONE;
    }
    if (!code)
        code = epoch_look_sound(ctx, &look);
    if (!code)
        code = own_allowed(ctx, &look, n);
    if (!code && !epoch_view_find(&look.view, n)->own_read)
        code = epoch_fail(EXIT_FAILED, "%s is not there in a second listing", name);
    epoch_look_free(&look);
    if (!code)
        (void)printf("own n=%" PRIu64 "\n", n);
    return code;
}

/* Below a base, which init --recover has made with a proof for every node: nobody can run under that number again, so
 * that a node which still owes its end owes it no longer. */
static bool superseded(const struct epoch_view *view, uint64_t n)
{
    return view->n && view->v[0].base && n < view->v[0].n;
}

/* What watch has checked has ended already: only then is more read than what is open. */
static int end_look(const struct epoch_ctx *ctx, struct epoch_look *look, uint64_t n)
{
    int code = epoch_look_sound(ctx, look);

    if (code || n > look->view.checked)
        return code;
    epoch_view_free(&look->view);
    look->view.checked = 0;
    look->quick = false;
    return epoch_look_sound(ctx, look);
}

int epoch_cmd_end(const struct epoch_ctx *ctx, uint64_t n, bool planned)
{
    struct epoch_look look = EPOCH_LOOK_INIT_QUICK;
    struct epoch_file f = epoch_file_of(ctx, EPOCH_END, n);
    const struct epoch_entry *e;
    const char *call;
    char name[48];
    int code = end_look(ctx, &look, n);

    f.planned = planned;
    (void)snprintf(name, sizeof name, "epoch.%" PRIu64 ".end", n);
    e = code ? NULL : epoch_view_find(&look.view, n);
    if (!code && superseded(&look.view, n)) {
        (void)printf("end n=%" PRIu64 " planned=0 superseded=1\n", n);
        epoch_look_free(&look);
        return EXIT_DONE;
    }
    if (!code && !e)
        code = epoch_fail(EXIT_FAILED, "epoch %" PRIu64 " does not exist: the highest is %" PRIu64, n,
                          epoch_view_highest(&look.view));
    if (!code && strcmp(e->node, ctx->node))
        code = epoch_fail(EXIT_LOST, "epoch %" PRIu64 " is of node %s: a node ends only its own", n, e->node);
    if (!code && epoch_is_open(e)) {
        int rc = epoch_make(ctx, &look.share, name, &f, &call);
        code = rc && rc != -EEXIST ? epoch_fail_call(call, rc) : EXIT_DONE;
        if (!code)
            code = epoch_look_sound(ctx, &look);
        e = code ? NULL : epoch_view_find(&look.view, n);
        if (!code && (!e || epoch_is_open(e)))
            code = epoch_fail(EXIT_FAILED, "%s is not there in a second listing", name);
    }
    if (!code)
        (void)printf("end n=%" PRIu64 " planned=%d\n", n, e->planned);
    epoch_look_free(&look);
    return code;
}
