/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stop of the involuntary kind: SIGKILL, because Mailman's own graceful stop can shunt a message and a runner that
 * hangs makes it wait for ever. The proof is in /proc; the share is not touched. */
#include <config.h>

#include "resource/listserver_kill.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/intake.h"

#include "common/banned.h"

#define PAUSE_NS 5000000
#define QUIET    2      /* scans in a row that find nothing */

static enum ocf_code stop_failed(const struct listproc_list *l, int rc)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].kind != LISTPROC_ZOMBIE)
            ocf_record("left pid=%ld state=%c runner=%s", (long)l->v[i].pid, l->v[i].state,
                       l->v[i].runner[0] ? l->v[i].runner : "-");
    if (rc != 0)
        ocf_error("cannot prove that Mailman has stopped: %s; fence this node before another one starts it",
                  strerror(-rc));
    else
        ocf_error("%u processes of Mailman do not die by SIGKILL, most likely they hang on the share; fence this node "
                  "before another one starts Mailman", l->n_alive);
    return OCF_ERR_GENERIC;
}

enum ocf_code listserver_stop(const struct listserver *m)
{
    const struct timespec pause = { 0, PAUSE_NS };
    uint64_t              until_ms = clock_now_ms() + m->stop_timeout_ms, again_ms = 0;
    struct listproc_list  l = { 0 };
    unsigned              quiet = 0;
    int                   rc;

    /* Without it nothing is lost: what is not acknowledged stays with the sender. So a failure is no reason to
     * leave the runners alive. */
    if (intake_close(m->intake_port, INTAKE_NO_UID) != 0)
        ocf_record("intake state=unknown port=%u", m->intake_port);
    do {
        rc = listproc_scan("/proc", m->user.uid, &m->service, &l);
        quiet = rc == 0 && l.complete && l.n_alive == 0 ? quiet + 1 : 0;
        if (rc == 0 && l.n_alive > 0 && clock_now_ms() >= again_ms) {
            rc = listserver_signal(m, &l, LISTSERVER_KILL);
            again_ms = clock_now_ms() + 200;
        }
        if (quiet < QUIET)
            (void)nanosleep(&pause, NULL);
    } while (quiet < QUIET && clock_now_ms() < until_ms);
    if (quiet < QUIET)
        return stop_failed(&l, rc != 0 ? rc : l.n_alive == 0 ? -EAGAIN : 0);
    for (unsigned i = 0; i < l.n; i++)
        if (l.v[i].kind == LISTPROC_ZOMBIE)
            ocf_record("zombie pid=%ld", (long)l.v[i].pid);
    listserver_pid_file_remove(m);
    ocf_phase("stop");
    return OCF_SUCCESS;
}
