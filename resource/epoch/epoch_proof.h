/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The proofs that a tenure rests on, as the engine hands them over: NODE=PROOF,NODE=PROOF. */
#ifndef UNDERSTUDY_EPOCH_PROOF_H
#define UNDERSTUDY_EPOCH_PROOF_H

#include <stdbool.h>

#include "common/config.h"

struct epoch_proofs {
    const struct config *cfg;                     /* borrowed */
    const char          *proof[CONFIG_NODES_MAX]; /* a constant word a node, NULL = none was given */
};

/* Every configured node but `self` needs a word other than none. EXIT_DONE, or EXIT_USAGE after a sentence on stderr. */
int epoch_proofs_parse(const struct config *cfg, const char *self, const char *text, struct epoch_proofs *ret);

/* Does the proof for `node` allow a tenure although an epoch of that node has not ended? "not-needed" does not, and
 * neither does "ended", which is then plainly untrue. */
bool        epoch_proof_covers(const struct epoch_proofs *p, const char *node);
const char *epoch_proof_text(const struct epoch_proofs *p, const char *node);

#endif
