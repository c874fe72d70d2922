/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resume: what a release has left, when it was refused or cut off, goes on serving. From /proc alone. */
#include <config.h>

#include "resource/listserver_kill.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "resource/intake.h"

#include "common/banned.h"

#define PAUSE_NS 10000000
#define WHOLE_MS 3000u    /* a signal takes a moment to work on a busy machine */

static int whole_wait(const struct listserver *m, struct listserver_view *v)
{
    const struct timespec pause = { 0, PAUSE_NS };
    uint64_t              until_ms = clock_now_ms() + WHOLE_MS;
    int                   rc = listserver_look(m, v);

    if (rc == 0) /* also to those that seem to run: one of their threads, or the master, may be stopped */
        rc = listserver_signal(m, &v->list, LISTSERVER_CONTINUE);
    while (rc == 0 && !listserver_view_complete(v) && v->n_stopped > 0 && clock_now_ms() < until_ms) {
        (void)nanosleep(&pause, NULL);
        rc = listserver_look(m, v);
    }
    return rc;
}

enum ocf_code listserver_resume(const struct listserver *m)
{
    struct listserver_view v;
    int                  rc = whole_wait(m, &v);

    if (rc != 0)
        ocf_error("cannot tell what runs here: /proc: %s; intake stays closed", strerror(-rc));
    else if (v.n_alive == 0)
        ocf_error("nothing of Mailman runs here, so there is nothing to resume; start it (action start)");
    else if (!listserver_view_complete(&v))
        listserver_view_complain(m, &v);
    else if ((rc = intake_open(m->intake_port)) != 0)
        ocf_error("Mailman runs, but intake on port %u cannot be opened: %s; is nftables installed and allowed here?",
                  m->intake_port, rc == -EREMOTEIO ? "nft refused" : strerror(-rc));
    else {
        ocf_phase("resumed");
        ocf_record("service state=serving");
        return OCF_SUCCESS;
    }
    ocf_record("service state=%s", rc == 0 && v.n_alive == 0 ? "stopped" : "unknown");
    return OCF_ERR_GENERIC;
}
