/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reboot of this node by the executor: it was active, and its stop cannot be proven (design: Order of a takeover). A note
 * on the local disk says so afterwards, and keeps a node from doing it again and again. */
#include <config.h>

#include "daemon/executor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include "common/bootid.h"
#include "common/fileio.h"
#include "common/num.h"
#include "daemon/log.h"

#include "common/banned.h"

#define NOTE_FILE     "self-fence"
#define NOTE_SIZE     4096
#define NOTE_MS       1000 /* a local disk that hangs does not keep us from it */
#define FENCES_MAX    3u   /* within FENCES_S: then a person has to look */
#define FENCES_S      3600u

bool exec_may_reboot(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };

    return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1u << CAP_SYS_BOOT)) != 0;
}

/* No sync: it could wait for a share. What may be lost with it was never answered for. */
int exec_reboot(void)
{
    (void) reboot(RB_AUTOBOOT);
    return -errno;
}

static uint64_t now_unix_s(void)
{
    return (uint64_t) time(NULL);
}

/* The number after ` KEY=`, or 0. */
static uint64_t number_of(const char *line, const char *key)
{
    char digits[24];
    uint64_t ret = 0;
    const char *p = strstr(line, key);

    if (!p)
        return 0;
    p += strlen(key);
    size_t n = strspn(p, "0123456789");
    if (n >= sizeof digits)
        return 0;
    memcpy(digits, p, n);
    digits[n] = '\0';
    return num_parse_u64(digits, 0, UINT64_MAX, &ret) == 0 ? ret : 0;
}

static unsigned recent(const struct executor *x)
{
    uint64_t now_s = now_unix_s();
    unsigned n = 0;

    for (unsigned i = 0; i < x->n_fenced; i++) /* in the future: the clock was set since; it counts as well */
        n += x->fenced_unix_s[i] + FENCES_S > now_s && x->fenced_unix_s[i] < now_s + FENCES_S;
    return n;
}

static void add(struct executor *x, uint64_t unix_s)
{
    if (x->n_fenced == EXEC_FENCES)
        memmove(x->fenced_unix_s, x->fenced_unix_s + 1, --x->n_fenced * sizeof x->fenced_unix_s[0]);
    x->fenced_unix_s[x->n_fenced++] = unix_s;
}

static void take_line(struct executor *x, const char *line)
{
    const char *why = strstr(line, " why=");
    uint64_t unix_s = number_of(line, " unix=");

    if (unix_s == 0 || !why)
        return;
    add(x, unix_s);
    x->safety.last_unix_s = unix_s;
    x->safety.last_epoch = number_of(line, " epoch=");
    (void) snprintf(x->safety.last_why, sizeof x->safety.last_why, "%s", why + 5);
}

static size_t note_read(const struct executor *x, char *text)
{
    struct stat st;
    size_t len = 0;
    int rc = fileio_read(x->state_fd, NOTE_FILE, text, NOTE_SIZE - 1, &len, &st);

    if (rc == 0 && st.st_uid != x->root.uid)
        rc = -EPERM; /* the directory is the engine's: only a file of ours counts */
    if (rc < 0 && rc != -ENOENT)
        log_warning("%s/%s: %s; earlier reboots by understudyd itself are not known", x->opt->state_dir, NOTE_FILE,
                    strerror(-rc));
    text[rc < 0 ? 0 : len] = '\0';
    return rc < 0 ? 0 : len;
}

bool exec_fence_may(struct executor *x)
{
    enum wire_self_fence s = !x->cfg->self_fence ? SELF_FENCE_OFF : !x->opt->reboot ? SELF_FENCE_UNABLE :
                             recent(x) >= FENCES_MAX ? SELF_FENCE_LIMIT : SELF_FENCE_ON;

    if (x->safety.self_fence != (uint32_t) s || x->safety.n_recent != recent(x))
        exec_safety_changed(x);
    x->safety.self_fence = (uint32_t) s;
    x->safety.n_recent = recent(x);
    return s == SELF_FENCE_ON;
}

void exec_fence_read(struct executor *x)
{
    char text[NOTE_SIZE];

    (void) note_read(x, text);
    for (char *p = text, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
        *nl = '\0';
        take_line(x, p);
    }
    if (x->n_fenced > 0)
        log_notice("self-fence: the last time this node was rebooted by understudyd itself was in epoch %" PRIu64 ": %s",
                   x->safety.last_epoch, x->safety.last_why);
    if (!exec_fence_may(x) && x->safety.self_fence != SELF_FENCE_OFF)
        log_error("self-fence: %s", x->safety.self_fence == SELF_FENCE_UNABLE
                  ? "understudyd may not reboot this node: it has not the capability CAP_SYS_BOOT"
                  : "used up: this node rebooted itself too often within an hour; find out why its stop is not proven");
}

/* In a child. The lines that there are, the oldest left out, and one more. */
static void note_write(const struct executor *x, uint64_t unix_s, const char *why)
{
    static char text[NOTE_SIZE + 512];
    char at[32] = "-", boot[BOOTID_TEXT_SIZE] = "-", *from = text;
    struct id128 id;
    struct tm tm;
    time_t t = (time_t) unix_s;
    size_t len = note_read(x, text);

    for (unsigned lines = x->n_fenced; lines >= EXEC_FENCES && strchr(from, '\n'); lines--)
        from = strchr(from, '\n') + 1;
    if (bootid_read(&id) == 0)
        bootid_format(&id, boot);
    if (gmtime_r(&t, &tm))
        (void) strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int n = snprintf(text + len, sizeof text - len, "self-fence at=%s unix=%" PRIu64 " epoch=%" PRIu64 " boot=%s why=%s\n",
                     at, unix_s, x->epoch, boot, why);
    if (n > 0 && (size_t) n < sizeof text - len)
        (void) fileio_write_durable(x->state_fd, NOTE_FILE, from, strlen(from), 0644);
}

static void note_add(struct executor *x, const char *why)
{
    uint64_t unix_s = now_unix_s();
    pid_t pid = fork();

    if (pid == 0) {
        note_write(x, unix_s, why);
        _exit(0);
    }
    for (int ms = 0; pid > 0 && ms < NOTE_MS && waitpid(pid, NULL, WNOHANG) == 0; ms += 10)
        (void) poll(NULL, 0, 10);
    if (pid > 0)
        (void) kill(pid, SIGKILL);
    add(x, unix_s);
}

void exec_fence(struct executor *x, const char *why)
{
    if (exec_fence_may(x)) {
        log_write(LOG_CRIT, "self-fence: this node was active, and %s; rebooting it now", why);
        note_add(x, why);
        int rc = x->opt->reboot();
        log_error("self-fence: reboot: %s", strerror(-rc));
    } else {
        log_write(LOG_CRIT, "self-fence: this node was active, and %s; it is not rebooted: %s; reboot it by hand", why,
                  x->safety.self_fence == SELF_FENCE_OFF ? "self_fence is off" :
                  x->safety.self_fence == SELF_FENCE_UNABLE ? "not permitted" : "it did so too often within an hour");
    }
    x->active.unproven = true;
    exec_safety_changed(x);
}
