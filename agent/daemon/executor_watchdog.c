/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog: a second line, no proof. It is petted where a permit arrives and where a step of a stop is proven, by
 * nothing else, so that no loop that only turns keeps an active node alive. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/watchdog.h>

#include "daemon/log.h"

#include "common/banned.h"

#define ARMED_FILE "watchdog"
#define PET_MS     500u /* permits come more often */

__attribute__((format(printf, 4, 5)))
static void say(struct executor *x, int priority, enum wire_watchdog state, const char *format, ...)
{
    char *text = x->safety.watchdog_says;
    va_list ap;

    va_start(ap, format);
    (void) vsnprintf(text, sizeof x->safety.watchdog_says, format, ap);
    va_end(ap);
    x->safety.watchdog = (uint32_t) state;
    log_write(priority, "watchdog: %s: %s", wire_watchdog_name(state), text);
    exec_safety_changed(x);
}

static void say_unused(struct executor *x, int priority)
{
    struct stat st;

    if (!x->cfg->watchdog[0])
        say(x, priority, WATCHDOG_OFF, "none is configured; see [cluster] watchdog");
    else if (stat(x->cfg->watchdog, &st) < 0)
        say(x, LOG_WARNING, WATCHDOG_ABSENT, "%.100s: %s; this node would be active without one; load its driver",
            x->cfg->watchdog, strerror(errno));
    else
        say(x, priority, WATCHDOG_OFF, "%.100s is armed while this node is active", x->cfg->watchdog);
}

/* Closes it so that it runs on only where the driver does not stop it. */
static void let_go(struct executor *x)
{
    (void) !write(x->watchdog.fd, "V", 1);
    (void) close(x->watchdog.fd);
    x->watchdog.fd = -1;
    (void) exec_mark(x, ARMED_FILE, false);
}

/* Opening it was arming it: a way back is tried, and one that cannot be had means petting it from now on. */
static void failed(struct executor *x, const char *what)
{
    int off = WDIOS_DISABLECARD;

    if (ioctl(x->watchdog.fd, WDIOC_SETOPTIONS, &off) < 0 && errno == EBUSY)
        x->watchdog.locked = true;
    else
        let_go(x);
    say(x, LOG_ERR, WATCHDOG_FAILED, "%.80s: %s; this node is active without it", x->cfg->watchdog, what);
}

static void set_up(struct executor *x)
{
    struct watchdog_info info = { .options = 0 };
    const int want = (int) (x->cfg->watchdog_timeout_ms / 1000);
    int set = want, got = 0;
    char what[64];
    struct stat st;

    if (fstat(x->watchdog.fd, &st) == 0 && S_ISREG(st.st_mode)) {
        (void) close(x->watchdog.fd); /* nothing may be written into it */
        x->watchdog.fd = -1;
        say(x, LOG_ERR, WATCHDOG_FAILED, "%.100s is a file; this node is active without a watchdog", x->cfg->watchdog);
    } else if (ioctl(x->watchdog.fd, WDIOC_GETSUPPORT, &info) < 0) {
        failed(x, "it does not answer as a watchdog does");
    } else if (!(info.options & WDIOF_SETTIMEOUT) || ioctl(x->watchdog.fd, WDIOC_SETTIMEOUT, &set) < 0 ||
               ioctl(x->watchdog.fd, WDIOC_GETTIMEOUT, &got) < 0) {
        failed(x, "its timeout cannot be set");
    } else if (got != want) {
        (void) snprintf(what, sizeof what, "its timeout is %d s, and not %d s", got, want);
        failed(x, what);
    } else if (ioctl(x->watchdog.fd, WDIOC_KEEPALIVE, 0) < 0) {
        failed(x, "it cannot be petted");
    } else {
        say(x, LOG_NOTICE, WATCHDOG_ARMED, "%.100s resets this node %d s after the last permit%s", x->cfg->watchdog, got,
            info.options & WDIOF_MAGICCLOSE ? "" : "; not when understudyd dies: its driver has no magic close");
    }
}

void exec_watchdog_arm(struct executor *x, uint64_t now_ms)
{
    struct exec_watchdog *w = &x->watchdog;

    if (w->tried || !x->cfg->watchdog[0])
        return;
    w->tried = true;
    w->petted_ms = now_ms;
    if (w->fd >= 0) { /* one that cannot be disarmed is open still */
        set_up(x);
        return;
    }
    w->fd = open(x->cfg->watchdog, O_WRONLY | O_CLOEXEC | O_NONBLOCK); /* no fifo that was put there may hold us */
    if (w->fd >= 0) {
        (void) exec_mark(x, ARMED_FILE, true);
        set_up(x);
    } else if (errno == EBUSY) {
        say(x, LOG_ERR, WATCHDOG_BUSY, "%.80s is held by another program (systemd's RuntimeWatchdogSec, watchdog, sbd?); "
            "this node is active without it", x->cfg->watchdog);
    } else {
        say(x, LOG_ERR, errno == ENOENT || errno == ENODEV || errno == ENXIO ? WATCHDOG_ABSENT : WATCHDOG_FAILED,
            "%.80s: %s; this node is active without it", x->cfg->watchdog, strerror(errno));
    }
}

static void pet(struct executor *x, uint64_t now_ms)
{
    if (x->watchdog.fd < 0 || now_ms < x->watchdog.petted_ms + PET_MS)
        return;
    x->watchdog.petted_ms = now_ms;
    if (ioctl(x->watchdog.fd, WDIOC_KEEPALIVE, 0) < 0 && x->safety.watchdog == WATCHDOG_ARMED)
        say(x, LOG_ERR, WATCHDOG_FAILED, "%.100s can no longer be petted: %s", x->cfg->watchdog, strerror(errno));
}

void exec_watchdog_pet(struct executor *x, uint64_t now_ms)
{
    pet(x, now_ms);
}

void exec_watchdog_disarm(struct executor *x, uint64_t now_ms)
{
    struct exec_watchdog *w = &x->watchdog;
    int off = WDIOS_DISABLECARD;

    w->tried = false;
    if (w->fd < 0) {
        if (x->safety.watchdog != WATCHDOG_UNKNOWN)
            say_unused(x, LOG_INFO);
        return;
    }
    /* EBUSY is the driver's word that nothing stops it; others do not know the call, and go by the magic close alone. */
    w->locked = ioctl(w->fd, WDIOC_SETOPTIONS, &off) < 0 && errno == EBUSY;
    if (!w->locked) {
        let_go(x);
        say_unused(x, LOG_NOTICE);
        return;
    }
    pet(x, now_ms);
    say(x, LOG_WARNING, WATCHDOG_ARMED, "%.60s cannot be disarmed (nowayout): it is petted while nothing runs here, and resets "
        "this node when understudyd ends and no other one starts", x->cfg->watchdog);
}

void exec_watchdog_leave(struct executor *x)
{
    if (x->watchdog.fd >= 0 && !x->watchdog.locked)
        let_go(x);
}

void exec_watchdog_init(struct executor *x, uint64_t now_ms)
{
    x->watchdog.fd = -1;
    if (x->cfg->watchdog[0] && exec_marked(x, ARMED_FILE)) {
        exec_watchdog_arm(x, now_ms);
        if (!x->active.running)
            exec_watchdog_disarm(x, now_ms);
    } else {
        say_unused(x, LOG_INFO);
    }
}

void exec_watchdog_tick(struct executor *x, uint64_t now_ms)
{
    if (x->watchdog.locked && !x->active.running)
        pet(x, now_ms);
}

uint64_t exec_watchdog_next(const struct executor *x)
{
    return x->watchdog.fd >= 0 && x->watchdog.locked && !x->active.running ? x->watchdog.petted_ms + PET_MS : UINT64_MAX;
}
