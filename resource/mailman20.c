/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mailman 2.0 has no master: cron starts its qrunner each minute, and that may go beyond the gate while understudyd holds the
 * tenure and the service is up (facts F). So nothing is launched here, and nothing has to live: what the actions see to is that
 * no qrunner works where it must not, that no lock stops the queue for ten hours, and intake. */
#include <config.h>

#include "resource/mailman2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "common/fileio.h"
#include "common/tenure.h"
#include "resource/lmtp.h"
#include "resource/listserver_start.h"
#include "resource/openfiles.h"
#include "resource/queuelook.h"

#include "common/banned.h"

#define GREETING_MS 5000u
#define PAUSE_NS    5000000
#define QUIET       10       /* looks in a row that find nobody */
#define OPEN_MAX    1

static const char *state_file(const struct listserver *m)
{
    return ocf_param_text(m->about, "state_file");
}

/* Root's own, as the directory of the token: nobody else can say that the service is up. */
static int state_write(const struct listserver *m)
{
    static const char text[] = "started\n";
    char              path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s", state_file(m));
    const char *dir = dirname(path);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return -errno;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    struct stat st;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        rc = -EPERM;
    (void)close(fd);
    return rc == 0 ? fileio_write_replace(AT_FDCWD, state_file(m), text, sizeof text - 1, 0644) : rc;
}

static bool state_there(const struct listserver *m)
{
    struct stat st;

    return lstat(state_file(m), &st) == 0 && S_ISREG(st.st_mode);
}

static int state_remove(const struct listserver *m)
{
    return unlink(state_file(m)) == 0 || errno == ENOENT ? 0 : -errno;
}

/* Why the gate is closed as far as this node alone knows, or NULL. The control share is asked by the gate itself. */
static const char *gate_closed(const struct listserver *m)
{
    static const char *const words[TENURE_FAULT_N] = {
        [TENURE_MISSING] = "there is no tenure token", [TENURE_UNREADABLE] = "the tenure token cannot be read",
        [TENURE_UNSAFE] = "somebody else than root could have made the tenure token",
        [TENURE_MALFORMED] = "the tenure token cannot be understood", [TENURE_OTHER_CLUSTER] = "of another cluster",
        [TENURE_OTHER_BOOT] = "the tenure token is of another boot", [TENURE_EXPIRED] = "the tenure token has expired",
    };
    struct tenure     t;
    struct id128      boot;
    enum tenure_fault fault = tenure_read(ocf_param_text(m->about, "gate_dir"), 0, &t);

    if (fault == TENURE_SOUND)
        fault = bootid_read(&boot) != 0 ? TENURE_UNREADABLE : tenure_check(&t, t.cluster, &boot, clock_now_ms());
    return words[fault];
}

static enum ocf_code look_failed(int rc)
{
    ocf_error("cannot tell what runs here: /proc: %s", rc == -EAGAIN ? "a process could not be read" : strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code greets(const struct listserver *m)
{
    int rc = lmtp_probe_greeting(m->intake_host, m->intake_port, GREETING_MS);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("SMTP at %s port %u does not greet: %s; see whether this host's MTA runs and listens there", m->intake_host,
              m->intake_port, strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code nobody_here(const struct listserver *m)
{
    struct listserver_view v;
    int                    rc = listserver_look(m, &v);

    if (rc != 0)
        return look_failed(rc);
    if (v.list.n_alive == 0)
        return OCF_SUCCESS;
    ocf_error("a process of Mailman (%ld) runs here although its service is not started; stop it (action stop), and let cron ask "
              "the gate (understudy-gate-setup)", (long)v.list.v[0].pid);
    return OCF_ERR_GENERIC;
}

enum ocf_code mailman20_start(struct listserver *m)
{
    enum ocf_code code = OCF_SUCCESS;

    if (!state_there(m)) {
        code = listserver_intake(m, true);
        ocf_phase("closed");
        if (code == OCF_SUCCESS)
            code = nobody_here(m);
        if (code == OCF_SUCCESS)
            code = listserver_lock_refuses(m);
    }
    ocf_phase("start");
    if (code == OCF_SUCCESS)
        code = greets(m);
    ocf_phase("lmtp");
    int rc = code == OCF_SUCCESS ? state_write(m) : 0;
    if (rc != 0) {
        ocf_error("cannot write %s: %s; make its directory, owned by root", state_file(m), strerror(-rc));
        code = OCF_ERR_GENERIC;
    }
    if (code == OCF_SUCCESS)
        code = listserver_intake(m, false);
    if (code != OCF_SUCCESS)
        (void)listserver_intake(m, true);
    ocf_phase("intake");
    return code;
}

enum ocf_code mailman20_stop(const struct listserver *m)
{
    int           rc = state_remove(m);
    enum ocf_code code = listserver_stop(m);

    if (rc != 0)
        ocf_error("cannot remove %s: %s; the service would be taken for started", state_file(m), strerror(-rc));
    return rc != 0 ? OCF_ERR_GENERIC : code;
}

enum ocf_code mailman20_monitor(const struct listserver *m, unsigned level)
{
    struct listserver_view v;
    int                    rc = listserver_look(m, &v);
    const char            *closed;

    if (rc != 0)
        return look_failed(rc);
    if (!state_there(m))
        return v.n_alive == 0 ? OCF_NOT_RUNNING : nobody_here(m);
    closed = gate_closed(m);
    if (closed) {
        ocf_error("Mailman's qrunner may not work here: %s; without it cron's job is sent away; see understudyd", closed);
        return OCF_ERR_GENERIC;
    }
    return level >= 10 ? greets(m) : OCF_SUCCESS;
}

/* Nobody of the list user's works, and nobody has a file of the share open for writing. 1 = somebody does; -errno. */
static int anybody(const struct listserver *m, const struct openfiles_device *devices, unsigned n_devices, char *why, size_t size)
{
    struct listserver_view v;
    struct openfile        found[OPEN_MAX];
    unsigned               n = 0;
    int                    rc = listserver_look(m, &v);

    if (rc == 0)
        rc = openfiles_find(m->user.uid, devices, n_devices, NULL, 0, found, OPEN_MAX, &n);
    if (rc == 0 && v.list.n_alive > 0)
        (void)snprintf(why, size, "process %ld of Mailman (%s) is at work", (long)v.list.v[0].pid,
                       v.list.v[0].runner[0] ? v.list.v[0].runner : "a command");
    else if (rc == 0 && n > 0)
        (void)snprintf(why, size, "process %ld of user %s has a file on the share open for writing", (long)found[0].pid,
                       m->user.name);
    else if (rc != 0)
        (void)snprintf(why, size, "/proc does not tell who works here: %s", strerror(-rc));
    return rc != 0 ? rc : v.list.n_alive > 0 || n > 0;
}

static int devices_find(const struct listserver *m, struct openfiles_device *ret, unsigned *ret_n)
{
    struct queuelook        q;
    struct queuelook_answer a = { 0 };
    int                     rc = queuelook_begin(&q, &m->user, m->queue_dir, m->lock_dir, m->list_dir);

    if (rc == 0)
        rc = queuelook_devices(&q, clock_now_ms() + m->release_timeout_ms, &a);
    rc = rc == 0 ? a.rc : rc;
    *ret_n = a.n < QUEUELOOK_DIRS ? a.n : QUEUELOOK_DIRS;
    for (unsigned i = 0; rc == 0 && i < *ret_n; i++)
        ret[i] = (struct openfiles_device){ a.major[i], a.minor[i] };
    (void)queuelook_end(&q);
    return rc;
}

/* The gate is closed by then: understudyd takes the token away before it asks for a release. What is at work is waited for. */
enum ocf_code mailman20_release(const struct listserver *m)
{
    const struct timespec   pause = { 0, PAUSE_NS };
    uint64_t                begin_ms = clock_now_ms(), until_ms = begin_ms + m->release_timeout_ms;
    struct openfiles_device devices[QUEUELOOK_DIRS];
    unsigned                n_devices = 0, quiet = 0;
    char                    why[192] = "the share does not answer";

    if (!state_there(m)) {
        ocf_error("Mailman is not started here, so there is nothing to release");
        ocf_record("service state=unknown");
        return OCF_ERR_GENERIC;
    }
    int rc = devices_find(m, devices, &n_devices);
    if (rc == 0 && listserver_intake(m, true) != OCF_SUCCESS)
        rc = -EIO;
    ocf_phase("closed");
    while (rc == 0 && quiet < QUIET && clock_now_ms() < until_ms) {
        quiet = anybody(m, devices, n_devices, why, sizeof why) == 0 ? quiet + 1 : 0;
        (void)nanosleep(&pause, NULL);
    }
    if (rc == 0 && quiet == QUIET && (rc = state_remove(m)) == 0) {
        ocf_phase("released");
        ocf_record("released runners=0 tries=0 took_ms=%llu", (unsigned long long)(clock_now_ms() - begin_ms));
        return OCF_SUCCESS;
    }
    ocf_record("refused runner=qrunner slice=0 pid=0 why=busy");
    ocf_error("Mailman did not come to rest in time: %s; nothing was stopped: wait and try again, or use `understudy switchover "
              "--force`, which may repeat a message", why);
    (void)mailman20_resume(m);
    return OCF_ERR_GENERIC;
}

enum ocf_code mailman20_resume(const struct listserver *m)
{
    bool there = state_there(m);

    if (!there)
        ocf_error("Mailman is not started here, so there is nothing to resume; start it (action start)");
    if (there && listserver_intake(m, false) == OCF_SUCCESS) {
        ocf_phase("resumed");
        ocf_record("service state=serving");
        return OCF_SUCCESS;
    }
    ocf_record("service state=%s", there ? "unknown" : "stopped");
    return OCF_ERR_GENERIC;
}
