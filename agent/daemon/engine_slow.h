/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A step on the way to active that takes longer than it usually does: which, since when, until when, and what comes then. It blocks
 * nothing, but until its deadline nothing else would say why the node does not serve yet. */
#ifndef UNDERSTUDY_ENGINE_SLOW_H
#define UNDERSTUDY_ENGINE_SLOW_H

#include "daemon/engine_explain.h"

/* False: no step is at work, or not for so long. `ret_ms`: for how long it has been at work. */
bool explain_slow(const struct driver *d, uint64_t now_ms, struct explain *ret, uint64_t *ret_ms);

#endif
