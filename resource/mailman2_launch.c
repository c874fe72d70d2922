/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How Mailman 2.1 comes up: by `mailmanctl start`, never with -s, which took living locks before 2.1.16. It answers 0 also
 * when it refuses (facts E), so its answer only says that it has ended: what it says on stderr is kept for people. */
#include <config.h>

#include "resource/mailman2.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "resource/listserver_start.h"

#include "common/banned.h"

#define STEP_NS 5000000

/* Until mailmanctl has ended; the master that it has forked goes on. 0 or -ETIMEDOUT. */
static int control_wait(const struct start *s, pid_t child)
{
    const struct timespec step = { 0, STEP_NS };

    while (waitpid(child, NULL, WNOHANG) != child) {
        if (clock_now_ms() >= s->until_ms)
            return -ETIMEDOUT;
        (void)nanosleep(&step, NULL);
    }
    return 0;
}

static enum ocf_code refused(const struct start *s)
{
    struct masterlock lock;
    char              said[256];

    listserver_said_last(s->said, said, sizeof said);
    if (listserver_lock_read(s->m, &lock) == OCF_SUCCESS && lock.state == MASTERLOCK_HELD)
        ocf_error("mailmanctl started no master; the master lock is held by %s, process %ld; it said: %s", lock.host,
                  (long)lock.pid, said[0] ? said : "nothing");
    else
        ocf_error("mailmanctl started no master and said: %s; see Mailman's log error", said[0] ? said : "nothing");
    return OCF_ERR_GENERIC;
}

static enum ocf_code launch(struct start *s)
{
    struct listserver     *m = s->m;
    struct listserver_view v;
    char *const with[] = { (char *)(uintptr_t)m->python, m->program, (char[]){ "-q" }, (char[]){ "start" }, NULL };
    char *const *argv = m->python ? with : with + 1;
    pid_t        child;

    s->said = listserver_said_make();
    const struct listuser_io io = { .in = -1, .out = -1, .err = s->said, .session = true };
    int rc = s->said < 0 ? -errno : listuser_spawn(&m->user, argv, &io, &child);
    if (rc != 0) {
        ocf_error("cannot start %s as user %s: %s; correct parameters prefix, python, user", m->program, m->user.name,
                  strerror(-rc));
        return OCF_ERR_GENERIC;
    }
    ocf_phase("start");
    if (control_wait(s, child) != 0) {
        ocf_error("%s start (process %ld) does not come to an end; most likely it hangs on the share", m->program, (long)child);
        return OCF_ERR_GENERIC;
    }
    rc = listserver_look(m, &v);
    if (rc == 0 && v.n_masters == 0)
        return refused(s);
    return OCF_SUCCESS;
}

const struct listserver_starter mailman21_starter = { .launch = launch };
