/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How Mailman 3 comes up. `mailman start` judges the master lock, forks and execs `master -C CONFIG`; as it answers 0 before
 * the master has done anything, and costs a second of Python, the same is done here: the same judgement (any lock refuses;
 * without it the master would break one that has expired), then the same master, never with --force. The postfix maps that
 * `mailman start` writes besides lie on the share and change with the lists only. */
#include <config.h>

#include "resource/mailman3.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/dbprobe.h"
#include "resource/listserver_start.h"

#include "common/banned.h"

#define DATABASE_MS   5000       /* longest single answer */
#define DATABASE_NS   100000000  /* between tries */

static struct dbprobe probe;

/* It does nothing until it is asked; meanwhile its interpreter comes up. */
static int probe_begin(struct start *s)
{
    int rc = dbprobe_start(&s->m->user, s->m->python, s->m->db_probe, s->m->config, &probe);

    if (rc != 0)
        ocf_error("cannot start %s %s: %s", s->m->python, s->m->db_probe, strerror(-rc));
    return rc;
}

static void probe_end(struct start *s)
{
    (void)s;
    if (dbprobe_end(&probe) != 0)
        ocf_record("unreaped pid=%ld", (long)probe.pid);
}

static enum ocf_code pid_dir_make(const struct listserver *m)
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
        rc = dbprobe_ask(&probe, limit_ms < s->until_ms ? limit_ms : s->until_ms, why);
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

static enum ocf_code master_start(struct start *s)
{
    struct listserver *m = s->m;
    char  program[PATH_MAX], path[PATH_MAX], *resolved = realpath(m->mailman, NULL);

    (void)snprintf(path, sizeof path, "%s", resolved ? resolved : m->mailman);
    free(resolved);
    if (snprintf(program, sizeof program, "%s/master", dirname(path)) >= (int)sizeof program
        || access(program, R_OK) != 0) {
        ocf_error("%s: %s; parameter mailman must name the program that has master beside it", program, strerror(errno));
        return OCF_ERR_INSTALLED;
    }
    char *const argv[] = { (char *)(uintptr_t)m->python, program, (char[]){ "-C" }, m->config, NULL };
    s->said = listserver_said_make();
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

static enum ocf_code launch(struct start *s)
{
    enum ocf_code rc = pid_dir_make(s->m);

    return rc == OCF_SUCCESS ? master_start(s) : rc;
}

const struct listserver_starter mailman3_starter = {
    .begin = probe_begin, .prove = database_prove, .launch = launch, .end = probe_end,
};
