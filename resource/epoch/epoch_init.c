/* SPDX-License-Identifier: GPL-2.0-or-later */
/* init: the first identity and epoch.0; with --recover, numbers that go on above everything that was ever seen. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/exitcodes.h"

#include "common/banned.h"

/* .understudy is made by whoever sets the share up; here only if our rights allow it. */
static int dir_make(const struct epoch_ctx *ctx)
{
    int top = open(ctx->cfg->control_share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = top < 0 || mkdirat(top, ".understudy", 0755) < 0 || fsync(top) < 0 ? -errno : 0;

    if (top >= 0)
        (void)close(top);
    return rc;
}

static int share_open(const struct epoch_ctx *ctx, struct epoch_share *s)
{
    int rc = epoch_share_open(ctx->cfg, s);

    if (!rc && s->why && !strcmp(s->why, "missing") && (rc = dir_make(ctx)) != 0)
        return epoch_fail(EXIT_FAILED, "%s has no directory .understudy and it cannot be made: %s; make it for user %s, "
                          "mode 0755", ctx->cfg->control_share, strerror(-rc), UNDERSTUDY_USER);
    if (!rc && s->why && !strcmp(s->why, "missing"))
        rc = epoch_share_open(ctx->cfg, s);
    if (rc)
        return epoch_fail_call(s->call ? s->call : "opening the control share", rc);
    if (s->why)
        return epoch_fail(EXIT_SHARE_WRONG, "the control share %s is not the right one (%s): %s", ctx->cfg->control_share,
                          s->why, epoch_why_action(s->why));
    if (s->owner != geteuid())
        return epoch_fail(EXIT_FAILED, ".understudy belongs to user %u and this is user %u: run it as user %s", s->owner,
                          geteuid(), UNDERSTUDY_USER);
    return EXIT_DONE;
}

static int uuid_make(struct id128 *ret)
{
    if (getrandom(ret, sizeof *ret, 0) != (ssize_t)sizeof *ret)
        return epoch_fail(EXIT_FAILED, "no random numbers from the kernel");
    ret->hi = (ret->hi & ~UINT64_C(0xf000)) | UINT64_C(0x4000);              /* version 4 */
    ret->lo = (ret->lo & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;          /* variant 1 */
    return EXIT_DONE;
}

/* A damaged identity is moved aside, never overwritten. */
static int identity_set_aside(const struct epoch_share *s)
{
    char name[64];
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return epoch_fail(EXIT_FAILED, "no random numbers from the kernel");
    (void)snprintf(name, sizeof name, "identity.damaged.%016" PRIx64, random);
    if (renameat(s->fd, "identity", s->fd, name) < 0)
        return epoch_fail_call("moving the damaged identity aside", -errno);
    return EXIT_DONE;
}

static int identity_make(const struct epoch_ctx *ctx, const struct epoch_share *s, const struct id128 *uuid)
{
    struct epoch_file f = { .kind = EPOCH_IDENTITY, .uuid = *uuid };
    const char *call;

    (void)snprintf(f.cluster, sizeof f.cluster, "%s", ctx->cfg->cluster);
    int rc = epoch_make(ctx, s, "identity", &f, &call);
    if (rc == -EEXIST)
        return epoch_fail(EXIT_LOST, "an identity was made at the same moment by another node; look again");
    return rc ? epoch_fail_call(call, rc) : EXIT_DONE;
}

static int base_make(const struct epoch_ctx *ctx, const struct epoch_share *s, uint64_t n)
{
    struct epoch_file f = epoch_file_of(ctx, EPOCH_BASE, n);
    const char *call;
    char name[48];

    (void)snprintf(f.node, sizeof f.node, "-");
    (void)snprintf(name, sizeof name, "epoch.%" PRIu64, n);
    int rc = epoch_make(ctx, s, name, &f, &call);
    if (rc == -EEXIST)
        return epoch_fail(EXIT_LOST, "%s exists already and is not ours", name);
    return rc ? epoch_fail_call(call, rc) : EXIT_DONE;
}

static int done(const struct epoch_ctx *ctx, uint64_t n)
{
    struct epoch_look look = EPOCH_LOOK_INIT;
    int code = epoch_look_sound(ctx, &look);
    char uuid[BOOTID_TEXT_SIZE];

    bootid_format(&look.share.uuid, uuid);
    if (!code)
        (void)printf("init n=%" PRIu64 " uuid=%s\n", n, uuid);
    epoch_look_free(&look);
    return code;
}

/* epoch.0 first, identity last: what is half made has no identity, and init may be run again. */
static int init_new(const struct epoch_ctx *ctx, struct epoch_share *s, const struct epoch_local *local)
{
    struct epoch_view view = { .n = 0 };
    struct id128 uuid;
    uint64_t top;
    int rc, code;

    if (local->max || bootid_known(&local->uuid))
        return epoch_fail(EXIT_FAILED, "this node has seen epochs up to %" PRIu64 ", so this share is not its first: mount "
                          "the right one, or run init --recover", local->max);
    s->why = NULL;
    rc = epoch_view_top(s, &top);
    if (rc && rc != -ENOENT)
        return epoch_fail_call(s->call, rc);
    bool empty = rc == -ENOENT && !s->why;
    rc = empty ? 0 : epoch_view_update(ctx->cfg, s, &view);
    bool half = !empty && !rc && !s->why && top == 0;
    epoch_view_free(&view);
    s->why = NULL;
    if (!empty && !half)
        return epoch_fail(EXIT_FAILED, "there are epochs on %s but no identity: restore it, or run init --recover",
                          ctx->cfg->control_share);
    code = half ? EXIT_DONE : base_make(ctx, s, 0);
    if (!code)
        code = uuid_make(&uuid);
    if (!code)
        code = identity_make(ctx, s, &uuid);
    return code ? code : done(ctx, 0);
}

/* Above everything that this share, this node and (recover_n) any other node has seen. A new identity keeps the old
 * id where it is known, so that the other nodes know the share again. */
static int init_recover(const struct epoch_ctx *ctx, struct epoch_share *s, const struct epoch_local *local,
                        uint64_t recover_n)
{
    bool damaged = s->why && !strcmp(s->why, "identity-malformed"), missing = s->why && !strcmp(s->why, "no-identity");
    uint64_t n = recover_n > local->max ? recover_n : local->max, top = 0;
    struct id128 uuid = local->uuid;
    bool fresh = false;
    int code = EXIT_DONE, rc;

    if (s->why && !damaged && !missing)
        return epoch_fail(EXIT_SHARE_WRONG, "this is not the share of this cluster (%s): %s", s->why,
                          epoch_why_action(s->why));
    if (!s->why && bootid_known(&uuid) && !bootid_equal(&uuid, &s->uuid))
        return epoch_fail(EXIT_SHARE_WRONG, "this is not the share that this node has used: %s",
                          epoch_why_action("other-identity"));
    s->why = NULL;
    rc = epoch_view_top(s, &top);
    if (rc && rc != -ENOENT)
        return epoch_fail_call(s->call, rc);
    if (s->why)
        return epoch_fail(EXIT_SHARE_WRONG, "%s: %s", s->why, epoch_why_action(s->why));
    n = (top > n ? top : n) + 1;
    code = base_make(ctx, s, n);
    if (!code && (damaged || missing)) {
        fresh = !bootid_known(&uuid);
        if (fresh)
            code = uuid_make(&uuid);
        if (!code && damaged)
            code = identity_set_aside(s);
        if (!code)
            code = identity_make(ctx, s, &uuid);
    }
    if (!code)
        code = done(ctx, n);
    if (!code && fresh)
        (void)epoch_fail(EXIT_DONE, "this node did not know the identity that was lost, so it made a new one: a node that did "
                         "know it will say other-identity until its local epoch.max is removed");
    return code;
}

int epoch_cmd_init(const struct epoch_ctx *ctx, bool recover, uint64_t recover_n)
{
    struct epoch_share s = { .fd = -1 };
    struct epoch_local local = { 0 };
    int code = share_open(ctx, &s), rc = 0;

    if (!code)
        rc = epoch_share_identify(ctx->cfg, &s);
    if (!code && !rc) {
        s.call = "reading the local epoch.max";
        rc = epoch_local_read(ctx->state_dir, &local);
    }
    if (!code && rc == -EBADMSG)
        code = epoch_fail(EXIT_FAILED, "the local epoch.max cannot be read: %s", epoch_why_action("local-max"));
    else if (!code && rc)
        code = epoch_fail_call(s.call, rc);
    if (!code && recover)
        code = init_recover(ctx, &s, &local, recover_n);
    else if (!code && (!s.why || strcmp(s.why, "no-identity")))
        code = epoch_fail(EXIT_FAILED, "%s has an identity already%s%s; nothing was changed", ctx->cfg->control_share,
                          s.why ? ", and " : "", s.why ? epoch_why_action(s.why) : "");
    else if (!code)
        code = init_new(ctx, &s, &local);
    epoch_share_close(&s);
    return code;
}
