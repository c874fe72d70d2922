/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/bounces.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/exitcodes.h"

#include "common/banned.h"

#define RUNNER "BounceRunner"

static bool alive(void *data, pid_t pid)
{
    return state_pid_alive(data, pid);
}

enum pass_result bounces_treat(const struct state_ctx *ctx, struct bounces21_result *ret, int *ret_error)
{
    struct bounces21 b = { .epoch = ctx->epoch, .change = ctx->change, .alive = alive, .ctx = (void *)(uintptr_t)ctx };
    int rc = ctx->live ? state_runner(ctx, RUNNER, &b.runner) : 0;

    *ret = (struct bounces21_result){ 0 };
    b.datafd = open(ctx->cfg->list.data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b.datafd < 0 && errno == ENOENT)
        return PASS_DONE; /* Mailman makes it */
    if (!rc)
        rc = b.datafd < 0 ? -errno : bounces21_hand_over(&b, ret);
    if (b.datafd >= 0)
        (void)close(b.datafd);
    if (rc && rc != -ESTALE)
        (void)state_fail(EXIT_DONE, "the bounces in %s: %s", ctx->cfg->list.data_dir, strerror(-rc));
    *ret_error = rc && rc != -ESTALE ? -rc : 0;
    return rc == -ESTALE || (!rc && ret->left > 0) ? PASS_BUSY : rc ? PASS_FAILED : PASS_DONE;
}

void bounces_tell(const struct bounces21_result *r)
{
    if (r->handed)
        (void)state_fail(EXIT_DONE, "bounces that a dead runner had seen were given to the " RUNNER " that works here");
    if (r->broken)
        (void)state_fail(EXIT_DONE, "%u files of bounces were cut off, and would have stopped the " RUNNER ": put aside, some "
                         "bounces are not counted", r->broken);
}
