/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read and watch: the engine's eyes on the share. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "common/fileio.h"

#include "common/banned.h"

#define REPORT_MAX 4096u       /* a report is one write, and one message of the executor */
#define JSON_MAX   (1u << 20)

static int look_code(const struct epoch_look *look)
{
    return look->share.why ? EXIT_SHARE_WRONG : look->behind ? EXIT_BEHIND : EXIT_DONE;
}

int epoch_cmd_read(const struct epoch_ctx *ctx, bool json)
{
    struct epoch_look look = EPOCH_LOOK_INIT;
    size_t size = json ? JSON_MAX : REPORT_MAX;
    char *buf = malloc(size);
    int rc = buf ? epoch_look(ctx, false, &look) : -ENOMEM, code;

    if (rc) {
        code = epoch_fail_call(buf ? look.share.call : "read", rc);
    } else {
        size_t len = json ? epoch_print_json(ctx, &look, buf, size) : epoch_print(ctx, &look, buf, size);
        code = fileio_write_all(STDOUT_FILENO, buf, len) ? EXIT_FAILED : look_code(&look);
    }
    epoch_look_free(&look);
    free(buf);
    return code;
}

/* Always a new file: nothing is written into what somebody has left there, a fifo or a second link of another file. */
static int beat_open(const struct epoch_share *s, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(s->fd, name, flags, 0644);

    if (fd < 0 && errno == EEXIST && unlinkat(s->fd, name, 0) == 0)
        fd = openat(s->fd, name, flags, 0644);
    return fd < 0 ? -errno : fd;
}

/* Renamed over, not synced: it is worth nothing a second later. A name of its own for each run, so that an older
 * process of ours which still hangs cannot mix its bytes with these. */
static int beat_write(const struct epoch_ctx *ctx, const struct epoch_share *s, uint64_t counter)
{
    struct epoch_file f = epoch_file_of(ctx, EPOCH_BEAT, 0);
    char tmp[CONFIG_NAME_MAX + 32], name[CONFIG_NAME_MAX + 8], text[EPOCH_FILE_MAX];

    f.counter = counter;
    (void)snprintf(name, sizeof name, "beat.%s", ctx->node);
    (void)snprintf(tmp, sizeof tmp, ".beat.%s.%016" PRIx64, ctx->node, ctx->run);
    size_t len = epoch_file_format(&f, text);
    int fd = beat_open(s, tmp);
    if (fd < 0)
        return fd;
    int rc = fileio_write_all(fd, text, len);
    if (close(fd) < 0 && !rc)
        rc = -errno;
    if (!rc && renameat(s->fd, tmp, s->fd, name) < 0)
        rc = -errno;
    return rc;
}

struct watch {
    const struct epoch_ctx *ctx;
    struct epoch_look       look;
    uint64_t                counter, checked;
    bool                    cleaned;
    int                     look_rc, beat_rc;  /* so that a failure is told once, not seven times a second */
};

static void watch_say(int *last_rc, const char *call, int rc)
{
    if (rc && rc != *last_rc)
        (void)epoch_fail_call(call, rc);
    *last_rc = rc;
}

static int report_write(const struct watch *w)
{
    char buf[REPORT_MAX];
    size_t len = epoch_print(w->ctx, &w->look, buf, sizeof buf - 48);

    /* The time is that of before the listing: what is newer than it may be missing. The error is of the last beat. */
    len += (size_t)snprintf(buf + len, sizeof buf - len, "end at_ms=%" PRIu64, w->look.at_ms);
    if (w->beat_rc)
        len += (size_t)snprintf(buf + len, sizeof buf - len, " write_errno=%d", -w->beat_rc);
    len += (size_t)snprintf(buf + len, sizeof buf - len, "\n");
    return fileio_write_all(STDOUT_FILENO, buf, len);
}

/* For the commands that are in a hurry: how far everything is read and has ended. */
static void checked_note(struct watch *w)
{
    const struct epoch_view *view = &w->look.view;
    uint64_t n = w->checked;

    for (size_t i = 0; i < view->n && !epoch_is_open(&view->v[i]); i++)
        n = view->v[i].n;
    if (n != w->checked && epoch_local_check(w->ctx->state_dir, n, &w->look.share.uuid) == 0)
        w->checked = n;
}

/* No answer, no report: the engine sees the last one grow old. Returns false when nobody reads us any more. */
static bool watch_once(struct watch *w)
{
    int rc = epoch_look(w->ctx, true, &w->look);

    watch_say(&w->look_rc, w->look.share.call, rc);
    if (rc)
        return true;
    if (report_write(w))
        return false;
    if (w->look.share.why || w->look.behind)
        return true;
    if (!w->cleaned)
        epoch_clean(w->ctx, &w->look.share);
    w->cleaned = true;
    checked_note(w);
    w->counter++;
    watch_say(&w->beat_rc, "writing the beat", beat_write(w->ctx, &w->look.share, w->counter));
    return true;
}

/* Until `next`, or until SIGUSR1 asks for a look at once; one that came during a look counts too. */
static void watch_wait(const sigset_t *nudge, uint64_t next)
{
    uint64_t now;

    while ((now = clock_now_ms()) < next) {
        struct timespec t = { (time_t)((next - now) / 1000), (long)((next - now) % 1000) * 1000000 };
        if (sigtimedwait(nudge, NULL, &t) == SIGUSR1)
            return;
    }
}

int epoch_cmd_watch(const struct epoch_ctx *ctx)
{
    struct watch w = { .ctx = ctx, .look = EPOCH_LOOK_INIT };
    uint64_t next = clock_now_ms();
    sigset_t nudge;

    (void)sigemptyset(&nudge);
    (void)sigaddset(&nudge, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &nudge, NULL);
    while (watch_once(&w)) {
        uint64_t now = clock_now_ms();
        /* After a look that took longer than an interval the next one is due now, but only one. */
        if (next <= now)
            next = next + ctx->cfg->beat_interval_ms > now ? next + ctx->cfg->beat_interval_ms : now;
        watch_wait(&nudge, next);
    }
    epoch_look_free(&w.look);
    return EXIT_FAILED;
}
