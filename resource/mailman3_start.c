/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start. Intake is closed before anything else and opens last; in between nothing is believed that was not seen.
 *
 * `mailman start` judges the master lock, forks and execs `master -C CONFIG`; as it answers 0 before the master has
 * done anything, and costs a second of Python, the same is done here: the same judgement (any lock refuses; without it
 * the master would break one that has expired), then the same master, never with --force. The postfix maps that
 * `mailman start` writes besides lie on the share and change with the lists only. */
#include <config.h>

#include "resource/mailman3_start.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/intake.h"

#include "common/banned.h"

#define DATABASE_MS   5000       /* longest single answer */
#define DATABASE_NS   100000000  /* between tries */

enum ocf_code mailman3_lock_read(const struct mailman3 *m, struct masterlock *ret)
{
    int rc = listuser_files_enter(&m->user);

    if (rc == 0)
        rc = masterlock_read(m->lock_dir, ret);
    listuser_files_leave();
    if (rc == 0 || rc == -ENOENT) {
        if (rc == -ENOENT) /* Mailman makes the directory at its first start */
            *ret = (struct masterlock){ .state = MASTERLOCK_NONE };
        return OCF_SUCCESS;
    }
    ocf_error("cannot read the master lock in %s as user %s: %s; is the share mounted, and parameter lock_dir right?",
              m->lock_dir, m->user.name, strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code lock_refuses(const struct mailman3 *m)
{
    struct masterlock lock;
    enum ocf_code     rc = mailman3_lock_read(m, &lock);

    if (rc != OCF_SUCCESS || lock.state == MASTERLOCK_NONE)
        return rc;
    ocf_record("lock name=master.lck host=%s pid=%ld", lock.state == MASTERLOCK_HELD ? lock.host : "-", (long)lock.pid);
    if (lock.state == MASTERLOCK_MALFORMED)
        ocf_error("%s/master.lck is there and does not say whose it is; make sure that no other node runs Mailman, then "
                  "let understudy-state recover quarantine it", m->lock_dir);
    else if (!strcmp(lock.host, m->fqdn))
        ocf_error("%s/master.lck is this node's own, of process %ld, which is not a running Mailman; let understudy-state "
                  "recover quarantine it", m->lock_dir, (long)lock.pid);
    else
        ocf_error("%s/master.lck belongs to %s, process %ld; only with a proof that %s is harmless may it go, by "
                  "understudy-state recover", m->lock_dir, lock.host, (long)lock.pid, lock.host);
    return OCF_ERR_GENERIC;
}

static enum ocf_code pid_dir_make(const struct mailman3 *m)
{
    char  path[PATH_MAX];
    char *dir;
    int   rc = 0;

    (void)snprintf(path, sizeof path, "%s", m->pid_file);
    dir = dirname(path);
    if (mkdir(dir, 0755) == 0) {
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = fd < 0 || fchown(fd, m->user.uid, m->user.gid) != 0 ? -errno : 0;
        if (fd >= 0)
            (void)close(fd);
    } else if (errno != EEXIST) {
        rc = -errno;
    }
    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("cannot make %s for Mailman's pid file: %s; make it, owned by %s", dir, strerror(-rc), m->user.name);
    return OCF_ERR_GENERIC;
}

/* Tries until the database takes a write: a dead client's locks may live on until its lease ends. Starting Mailman
 * earlier would shunt what is queued. */
static enum ocf_code database_prove(struct start *s)
{
    const struct timespec pause = { 0, DATABASE_NS };
    char                  why[DBPROBE_WHY_MAX], last[DBPROBE_WHY_MAX] = "";
    unsigned              tries = 0;
    int                   rc;

    do {
        uint64_t now_ms = clock_now_ms(), limit_ms = now_ms + DATABASE_MS;
        rc = dbprobe_ask(&s->db, limit_ms < s->until_ms ? limit_ms : s->until_ms, why);
        if (rc == 0) {
            ocf_record("database state=writable tries=%u", tries + 1);
            return OCF_SUCCESS;
        }
        if (why[0]) /* a last try that the deadline cuts off gives no reason */
            memcpy(last, why, sizeof last);
        if (tries++ == 0)
            ocf_record("database state=waiting");
        stagger_end(&s->stagger); /* this may take long */
        (void)nanosleep(&pause, NULL);
    } while (rc == -EAGAIN && clock_now_ms() < s->until_ms);
    if (rc == -ETIMEDOUT && !last[0])
        ocf_error("the database does not answer; intake stays closed; see whether the share or the database server hangs");
    else
        ocf_error("the database is not writable: %s; intake stays closed; find out who holds it or why it refuses",
                  last[0] ? last : strerror(-rc));
    return OCF_ERR_GENERIC;
}

/* Bounded for ever, though the runners inherit it: no write goes beyond the sealed size. */
static int said_make(void)
{
    int fd = memfd_create("mailman-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, MAILMAN3_SAID_MAX) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static enum ocf_code master_start(struct start *s)
{
    struct mailman3 *m = s->m;
    char  program[PATH_MAX], path[PATH_MAX], *resolved = realpath(m->mailman, NULL);

    (void)snprintf(path, sizeof path, "%s", resolved ? resolved : m->mailman);
    free(resolved);
    if (snprintf(program, sizeof program, "%s/master", dirname(path)) >= (int)sizeof program
        || access(program, R_OK) != 0) {
        ocf_error("%s: %s; parameter mailman must name the program that has master beside it", program, strerror(errno));
        return OCF_ERR_INSTALLED;
    }
    char *const argv[] = { (char *)(uintptr_t)m->python, program, (char[]){ "-C" }, m->config, NULL };
    s->said = said_make();
    const struct listuser_io io = { .in = -1, .out = -1, .err = s->said, .session = true };
    int rc = s->said < 0 ? -errno : listuser_spawn(&m->user, argv, &io, &s->child);
    if (rc == 0) {
        stagger_begin(&s->stagger, m, s->child, clock_now_ms());
        ocf_phase("start");
        return OCF_SUCCESS;
    }
    ocf_error("cannot start %s %s as user %s: %s; correct parameters python, mailman, user", m->python, program,
              m->user.name, strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code fresh_start(struct start *s)
{
    enum ocf_code rc = lock_refuses(s->m);

    if (rc == OCF_SUCCESS)
        rc = pid_dir_make(s->m);
    if (rc == OCF_SUCCESS)
        rc = database_prove(s);
    if (rc != OCF_SUCCESS)
        return rc;
    ocf_phase("database");
    return master_start(s);
}

static enum ocf_code intake_set(const struct mailman3 *m, bool closed)
{
    int rc = closed ? intake_close(m->lmtp_port, m->user.uid) : intake_open(m->lmtp_port);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("cannot %s intake on port %u: %s; is nftables installed and allowed here?", closed ? "close" : "open",
              m->lmtp_port, rc == -EREMOTEIO ? "nft refused" : strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code start_steps(struct start *s, bool running)
{
    enum ocf_code rc = OCF_SUCCESS;

    if (!running)
        rc = fresh_start(s);
    if (rc == OCF_SUCCESS)
        rc = mailman3_service_wait(s);
    if (rc == OCF_SUCCESS)
        rc = database_prove(s);
    if (rc == OCF_SUCCESS)
        rc = intake_set(s->m, false);
    if (rc != OCF_SUCCESS)
        return rc;
    ocf_phase("intake");
    return mailman3_runners_wait(s);
}

/* Intake is closed, unless everything runs already: what is whole goes on serving while it is checked. */
static enum ocf_code ground_prepare(struct mailman3 *m, bool *ret_running)
{
    struct mailman3_view v;
    int                  rc = mailman3_look(m, &v);

    *ret_running = rc == 0 && mailman3_view_complete(&v);
    if (*ret_running)
        return OCF_SUCCESS;
    enum ocf_code code = intake_set(m, true);
    if (code != OCF_SUCCESS)
        return code;
    ocf_phase("closed");
    if (rc == 0 && v.n_alive == 0)
        return OCF_SUCCESS;
    if (rc == 0)
        mailman3_view_complain(m, &v);
    else
        ocf_error("cannot tell what runs here: /proc: %s", strerror(-rc));
    return OCF_ERR_GENERIC;
}

enum ocf_code mailman3_start(struct mailman3 *m)
{
    struct start s = { .m = m, .said = -1 };
    bool         running = false;
    int          rc;

    s.until_ms = clock_now_ms() + m->start_timeout_ms - m->start_timeout_ms / 20; /* some for saying what is wrong */
    /* It does nothing until it is asked; meanwhile its interpreter comes up. */
    rc = dbprobe_start(&m->user, m->python, m->db_probe, m->config, &s.db);
    enum ocf_code code = ground_prepare(m, &running);
    if (rc != 0 && code == OCF_SUCCESS) {
        ocf_error("cannot start %s %s: %s", m->python, m->db_probe, strerror(-rc));
        code = OCF_ERR_GENERIC;
    }
    if (code == OCF_SUCCESS)
        code = start_steps(&s, running);
    stagger_end(&s.stagger);
    if (rc == 0 && dbprobe_end(&s.db) != 0)
        ocf_record("unreaped pid=%ld", (long)s.db.pid);
    if (code != OCF_SUCCESS)
        (void)intake_set(m, true);
    if (s.said >= 0)
        (void)close(s.said);
    return code;
}
