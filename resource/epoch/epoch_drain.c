/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The drain: what a dead node had in the network lands or dies. Only time in which the share answered us counts. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "common/fileio.h"

#include "common/banned.h"

#define PROBE_EVERY_MS 1000u
#define PROBE_GAP_MS   1500u

/* A file is made, forced to the server and removed: nothing of it can be answered from a cache. */
static int probe_once(const struct epoch_ctx *ctx, const struct epoch_share *s, unsigned k)
{
    char name[CONFIG_NAME_MAX + 64];

    (void)snprintf(name, sizeof name, ".probe.%s.%016" PRIx64 ".%" PRIu64 ".%u", ctx->node, ctx->run, ctx->op, k);
    int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int rc = fileio_write_all(fd, "probe\n", 6);
    if (!rc && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && !rc)
        rc = -errno;
    if (unlinkat(s->fd, name, 0) < 0 && !rc)
        rc = -errno;
    return rc;
}

static int drain_run(const struct epoch_ctx *ctx, const struct epoch_share *s, uint32_t duration_ms)
{
    uint64_t since = 0, answered = 0; /* since: of the first answer in an unbroken row of them */

    for (unsigned k = 1;; k++) {
        uint64_t asked = clock_now_ms();
        int rc = probe_once(ctx, s, k);
        uint64_t now = clock_now_ms();

        if (rc)
            return epoch_fail_call("drain probe", rc);
        (void)printf("probe n=%u took_ms=%" PRIu64 "\n", k, now - asked);
        if (k == 1) {
            since = now;
        } else if (now - answered > PROBE_GAP_MS) {
            since = now;
            (void)printf("probe restart=1\n");
        }
        (void)fflush(stdout);
        answered = now;
        if (now - since >= duration_ms)
            return EXIT_DONE;
        uint64_t next = now + PROBE_EVERY_MS < since + duration_ms ? now + PROBE_EVERY_MS : since + duration_ms;
        while ((now = clock_now_ms()) < next)
            (void)poll(NULL, 0, clock_poll_ms(now, next));
    }
}

int epoch_cmd_drain(const struct epoch_ctx *ctx, uint32_t duration_ms)
{
    struct epoch_look look = EPOCH_LOOK_INIT_QUICK;
    int code = epoch_look_sound(ctx, &look);

    if (!code)
        code = drain_run(ctx, &look.share, duration_ms);
    epoch_look_free(&look);
    return code;
}
