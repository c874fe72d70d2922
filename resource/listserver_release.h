/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the release action share. */
#ifndef UNDERSTUDY_LISTSERVER_RELEASE_H
#define UNDERSTUDY_LISTSERVER_RELEASE_H

#include "resource/frozen.h"
#include "resource/listserver.h"
#include "resource/openfiles.h"
#include "resource/queuelook.h"

/* Why no safe point was reached: a word for programs, and half a sentence for people. */
struct why {
    const char *word;
    char        text[192];
};

/* A process of Mailman that takes part in the release. */
struct part {
    struct listproc p;
    struct frozen   frozen;
    bool            safe;    /* frozen with nothing in its hands */
};

struct release {
    const struct listserver  *m;
    struct queuelook        look;
    unsigned                n_devices;
    struct openfiles_device devices[QUEUELOOK_DIRS]; /* of the queues, the locks and the lists */
    pid_t                   parent;       /* the agent, which waits for us who hold the service */
    uint64_t                begin_ms, until_ms;   /* CLOCK_BOOTTIME */
    unsigned                tries;        /* looks at a frozen process */
    unsigned                n;
    struct part             v[LISTPROC_MAX];      /* in the order of freezing */
};

/* Freezes it at a safe point. 0; -ETIMEDOUT, with `why`; -ESRCH when it has died. */
int listserver_freeze(struct release *r, struct part *part, struct why *why);

#endif
