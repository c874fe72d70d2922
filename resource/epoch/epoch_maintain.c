/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maintain, unmaintain: the file beside the epochs that suspends claims, fencing and restarts, never the stop on a lost
 * epoch (design: Being active is a duty). Made like an epoch, but it may go away again. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/exitcodes.h"

#include "common/banned.h"

static int file_fill(const struct epoch_ctx *ctx, const char *reason, struct epoch_file *ret)
{
    time_t now = time(NULL);
    struct tm tm;

    *ret = epoch_file_of(ctx, EPOCH_MAINTENANCE, 0);
    if (token_encode(reason, ret->reason))
        return epoch_fail(EXIT_USAGE, "--reason: at most %u characters", TOKEN_TEXT_MAX);
    if (!gmtime_r(&now, &tm) || strftime(ret->since, sizeof ret->since, "%Y-%m-%dT%H:%M:%SZ", &tm) != sizeof ret->since - 1)
        return epoch_fail(EXIT_FAILED, "the wall clock shows no year of four digits: set it, then try again");
    return EXIT_DONE;
}

static int said(const struct epoch_look *look)
{
    char text[512];

    (void)epoch_print_maintenance(look, text, sizeof text);
    return fputs(text, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
}

int epoch_cmd_maintain(const struct epoch_ctx *ctx, const char *reason)
{
    struct epoch_look look = EPOCH_LOOK_INIT;
    struct epoch_file f;
    const char *call;
    int code = file_fill(ctx, reason, &f);

    if (!code)
        code = epoch_look_sound(ctx, &look);
    if (!code && look.maintenance == EPOCH_MAINTENANCE_OFF) {
        int rc = epoch_make(ctx, &look.share, EPOCH_MAINTENANCE_NAME, &f, &call);
        code = rc && rc != -EEXIST ? epoch_fail_call(call, rc) : EXIT_DONE;
        if (!code)
            code = epoch_look_sound(ctx, &look);
        if (!code && look.maintenance == EPOCH_MAINTENANCE_OFF)
            code = epoch_fail(EXIT_FAILED, "maintenance is off in a second listing: somebody ended it at this moment");
    }
    /* Nobody adopts under it, so who wants to restart a daemon must not be told that all is well. */
    if (!code && look.maintenance == EPOCH_MAINTENANCE_MALFORMED)
        code = epoch_fail(EXIT_FAILED, "the file maintenance is there but malformed: it suspends claims and permits no "
                          "adoption. Run unmaintain, then maintain again");
    if (!code)
        code = said(&look);
    epoch_look_free(&look);
    return code;
}

int epoch_cmd_unmaintain(const struct epoch_ctx *ctx)
{
    struct epoch_look look = EPOCH_LOOK_INIT;
    int code = epoch_look_sound(ctx, &look), rc = 0;

    if (!code) {
        /* Also when it is gone already: whoever removed it may have died before the fsync. Only the look counts. */
        rc = unlinkat(look.share.fd, EPOCH_MAINTENANCE_NAME, 0) < 0 ? -errno : 0;
        if (fsync(look.share.fd) < 0)
            code = epoch_fail_call("fsync of .understudy", -errno);
    }
    if (!code)
        code = epoch_look_sound(ctx, &look);
    if (!code && look.maintenance != EPOCH_MAINTENANCE_OFF && rc && rc != -ENOENT)
        code = epoch_fail_call("removing the file maintenance", rc);
    else if (!code && look.maintenance != EPOCH_MAINTENANCE_OFF)
        code = epoch_fail(EXIT_FAILED, "maintenance is on in a second listing: somebody began it anew at this moment; look "
                          "who and why, with understudy-epoch read");
    if (!code)
        code = said(&look);
    epoch_look_free(&look);
    return code;
}
