/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "common/exitcodes.h"

#include "common/banned.h"

int epoch_fail(int code, const char *format, ...)
{
    va_list ap;
    char text[1024];

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    (void)fprintf(stderr, "understudy-epoch: %s\n", text);
    return code;
}

int epoch_fail_call(const char *call, int rc)
{
    return epoch_fail(EXIT_FAILED, "%s: %s", call, strerror(-rc));
}

static int local_check(const struct epoch_ctx *ctx, struct epoch_look *look)
{
    int rc = epoch_local_read(ctx->state_dir, &look->local);

    look->share.call = "reading the local epoch.max";
    if (rc == -EBADMSG)
        look->share.why = "local-max";
    else if (rc)
        return rc;
    else if (bootid_known(&look->local.uuid) && bootid_known(&look->share.uuid)
             && !bootid_equal(&look->local.uuid, &look->share.uuid))
        look->share.why = "other-identity";
    return 0;
}

static int share_look(const struct epoch_ctx *ctx, struct epoch_look *look)
{
    struct epoch_share *s = &look->share;
    int rc = epoch_share_open(ctx->cfg, s);

    if (!rc && !s->why)
        rc = epoch_share_identify(ctx->cfg, s);
    if (!rc && !s->why)
        rc = local_check(ctx, look);
    if (!rc && !s->why && look->quick)
        look->view.checked = epoch_local_checked(ctx->state_dir, &s->uuid);
    if (!rc && !s->why)
        rc = epoch_view_update(ctx->cfg, s, &look->view);
    return rc;
}

/* The listing that found it has answered, so whatever is wrong now is wrong with this file. Gone since then: the next
 * look says so. */
static void maintenance_look(struct epoch_look *look)
{
    char text[EPOCH_FILE_MAX];
    size_t len;

    look->maintenance = look->view.maintenance ? EPOCH_MAINTENANCE_MALFORMED : EPOCH_MAINTENANCE_OFF;
    if (look->view.maintenance
        && epoch_share_read(&look->share, EPOCH_MAINTENANCE_NAME, text, sizeof text, &len) == 0
        && epoch_file_parse(text, len, EPOCH_MAINTENANCE, &look->maintained) == 0)
        look->maintenance = EPOCH_MAINTENANCE_ON;
}

int epoch_look(const struct epoch_ctx *ctx, bool raise, struct epoch_look *look)
{
    uint64_t highest;

    epoch_share_close(&look->share);
    look->behind = false;
    look->at_ms = clock_now_ms();
    int rc = share_look(ctx, look);
    if (rc || look->share.why)
        return rc;
    maintenance_look(look);
    highest = epoch_view_highest(&look->view);
    look->behind = highest < look->local.max;
    if (!raise || (highest <= look->local.max && bootid_known(&look->local.uuid)))
        return 0;
    look->share.call = "writing the local epoch.max";
    return epoch_local_raise(ctx->state_dir, highest, &look->share.uuid, &look->local);
}

void epoch_look_free(struct epoch_look *look)
{
    epoch_share_close(&look->share);
    epoch_view_free(&look->view);
}

int epoch_look_sound(const struct epoch_ctx *ctx, struct epoch_look *look)
{
    int rc = epoch_look(ctx, true, look);

    if (rc)
        return epoch_fail_call(look->share.call, rc);
    if (look->share.why)
        return epoch_fail(EXIT_SHARE_WRONG, "the control share %s is not the right one (%s): %s", ctx->cfg->control_share,
                          look->share.why, epoch_why_action(look->share.why));
    if (look->behind)
        return epoch_fail(EXIT_BEHIND, "the highest epoch on %s is %" PRIu64 ", but this node has seen %" PRIu64
                          ": %s", ctx->cfg->control_share, epoch_view_highest(&look->view), look->local.max,
                          epoch_why_action("behind"));
    if (look->share.owner != geteuid())
        return epoch_fail(EXIT_FAILED, ".understudy belongs to user %u and this is user %u: run it as user %s",
                          look->share.owner, geteuid(), UNDERSTUDY_USER);
    return EXIT_DONE;
}

struct epoch_file epoch_file_of(const struct epoch_ctx *ctx, enum epoch_kind kind, uint64_t n)
{
    struct epoch_file f = { .kind = kind, .n = n, .boot = ctx->boot, .run = ctx->run, .op = ctx->op };

    (void)snprintf(f.node, sizeof f.node, "%s", ctx->node);
    return f;
}

bool epoch_is_ours(const struct epoch_ctx *ctx, const struct epoch_entry *e)
{
    return !e->base && !strcmp(e->node, ctx->node) && bootid_equal(&e->boot, &ctx->boot) && e->run == ctx->run;
}
