/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the control share say the same as the tenure token? Asked in a child, which may hang for as long as the share. */
#ifndef UNDERSTUDY_GATE_LOOK_H
#define UNDERSTUDY_GATE_LOOK_H

#include "common/config.h"
#include "common/tenure.h"

enum gate_look {
    LOOK_OURS,           /* epoch.N.own is of the token's node, boot and run, has no end, and N is the highest */
    LOOK_SILENT,         /* no answer within share_deadline */
    LOOK_ERROR,          /* `call` failed with `error` */
    LOOK_WRONG,          /* not the right share: `word` says why */
    LOOK_NO_OWN,         /* there is no such tenure, or it is of another node, boot or run */
    LOOK_ENDED,
    LOOK_HIGHER,         /* epoch `highest` exists */
    LOOK_NO_USER,        /* root does not touch a share, and there is no user to become */
    LOOK_N
};

struct gate_answer {
    enum gate_look result;
    int            error;
    uint64_t       highest;
    char           call[64], word[32];
};

/* Returns after cfg->share_deadline_ms at the latest; a child that hangs then is left behind, killed. */
void gate_look(const struct config *cfg, const struct tenure *t, struct gate_answer *ret);

#endif
