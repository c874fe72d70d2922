/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for a Mailman that was started, without Python and without believing what was not seen. */
#include <config.h>

#include "resource/listserver_start.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/lmtp.h"

#include "common/banned.h"

#define STEP_NS     10000000   /* between looks while it starts */
#define SCAN_MS     150        /* between scans of /proc: they cost more than a look at the port */
#define DEAD_TIMES  2          /* scans in a row that see a dead runner */
#define GREETING_MS 250
#define SETTLE_MS   2000       /* from the greeting to everything else being right */

void listserver_said_last(int fd, char *ret, size_t size)
{
    static char text[LISTSERVER_SAID_MAX + 1];
    ssize_t     got = pread(fd, text, LISTSERVER_SAID_MAX, 0);
    size_t      len = got > 0 ? strnlen(text, (size_t)got) : 0;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    len = strnlen(line, size - 1);
    memcpy(ret, line, len);
    ret[len] = '\0';
    for (char *c = ret; *c; c++)
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
}

static enum ocf_code master_died(const struct start *s)
{
    struct masterlock lock;
    char              said[256];

    listserver_said_last(s->said, said, sizeof said);
    if (listserver_lock_read(s->m, &lock) == OCF_SUCCESS && lock.state == MASTERLOCK_HELD)
        ocf_error("Mailman's master ended while starting; the master lock is held by %s, process %ld; it said: %s",
                  lock.host, (long)lock.pid, said[0] ? said : "nothing");
    else
        ocf_error("Mailman's master ended while starting and said: %s; see Mailman's log", said[0] ? said : "nothing");
    return OCF_ERR_GENERIC;
}

/* Only runners that we hold back ourselves are missing. */
static bool is_held(const struct start *s, const struct listserver_view *v)
{
    return v->n_masters == 1 && v->n_missing == v->n_stopped && v->n_stopped <= s->stagger.n_held;
}

/* Is everything as it should be apart from the greeting? -EAGAIN = not yet, with nothing said unless `complain`. */
static int all_right(const struct start *s, bool complain)
{
    const struct listserver *m = s->m;
    struct listserver_view   v;
    struct masterlock      lock;
    int                    rc = listserver_look(m, &v);

    if (rc != 0 || !(listserver_view_complete(&v) || is_held(s, &v))) {
        if (complain && rc == 0)
            listserver_view_complain(m, &v);
        else if (complain)
            ocf_error("cannot read Mailman's processes in /proc: %s", strerror(-rc));
        return -EAGAIN;
    }
    if (listserver_lock_read(m, &lock) != OCF_SUCCESS)
        return -EIO;
    if (lock.state == MASTERLOCK_HELD && lock.pid == v.master && !strcmp(lock.host, m->lock_host))
        return 0;
    if (complain && lock.state == MASTERLOCK_HELD)
        ocf_error("Mailman runs here as process %ld of %s but its master lock names process %ld of %s; make %s agree",
                  (long)v.master, m->lock_host, (long)lock.pid, lock.host, m->lock_host_is);
    else if (complain)
        ocf_error("Mailman runs here but there is no good master lock in %s; correct parameter lock_dir", m->lock_dir);
    return -EAGAIN;
}

/* A runner that has died will not come back: no need to wait for the deadline. */
static bool runner_died(const struct listserver *m, unsigned *times)
{
    struct listserver_view v;

    if (listserver_look(m, &v) != 0)
        return false;
    *times = v.n_masters == 1 && v.n_zombies > 0 && v.n_missing > 0 ? *times + 1 : 0;
    if (*times < DEAD_TIMES)
        return false;
    listserver_view_complain(m, &v);
    return true;
}

static enum ocf_code never_greeted(const struct listserver *m, int greeting)
{
    struct listserver_view v;

    if (listserver_look(m, &v) == 0 && !listserver_view_complete(&v))
        listserver_view_complain(m, &v);
    else
        ocf_error("%s at %s port %u has not greeted in time: %s; see %s, or give start_timeout_ms more",
                  m->protocol, m->intake_host, m->intake_port, strerror(-greeting),
                  m->service.kind == LIST_MAILMAN3 ? "Mailman's log" : "whether this host's MTA listens there");
    return OCF_ERR_GENERIC;
}

enum ocf_code listserver_service_wait(struct start *s)
{
    const struct timespec step = { 0, STEP_NS };
    uint64_t              scan_ms = 0, settle_ms = 0, now_ms;
    unsigned              dead = 0;
    int                   greeting = -ETIMEDOUT;

    for (;; (void)nanosleep(&step, NULL)) {
        if (s->child > 0 && waitpid(s->child, NULL, WNOHANG) == s->child)
            return master_died(s);
        now_ms = clock_now_ms();
        if (now_ms >= s->until_ms)
            return never_greeted(s->m, greeting);
        stagger_step(&s->stagger, now_ms);
        if (greeting != 0)
            greeting = lmtp_probe_greeting(s->m->intake_host, s->m->intake_port, GREETING_MS);
        if (greeting == 0) {
            settle_ms = settle_ms ? settle_ms : now_ms + SETTLE_MS;
            int rc = all_right(s, now_ms >= settle_ms);
            if (rc == 0)
                break;
            if (rc != -EAGAIN || now_ms >= settle_ms)
                return OCF_ERR_GENERIC;
        } else if (now_ms >= scan_ms) {
            scan_ms = now_ms + SCAN_MS;
            if (runner_died(s->m, &dead))
                return OCF_ERR_GENERIC;
        }
    }
    ocf_phase("lmtp");
    return OCF_SUCCESS;
}

enum ocf_code listserver_runners_wait(struct start *s)
{
    const struct timespec step = { 0, STEP_NS };
    uint64_t              now_ms = clock_now_ms(), until_ms;

    while (s->stagger.n_held > 0 && now_ms < s->until_ms) {
        (void)nanosleep(&step, NULL);
        now_ms = clock_now_ms();
        stagger_step(&s->stagger, now_ms);
    }
    stagger_end(&s->stagger);
    until_ms = now_ms + SETTLE_MS;
    while (all_right(s, now_ms >= until_ms) != 0) {
        if (now_ms >= until_ms)
            return OCF_ERR_GENERIC;
        (void)nanosleep(&step, NULL);
        now_ms = clock_now_ms();
    }
    return OCF_SUCCESS;
}
