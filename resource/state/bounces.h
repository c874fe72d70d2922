/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounces of dead runners of Mailman 2.1, as a unit of the recovery pass: put off until a BounceRunner works here and has none
 * of its own left. */
#ifndef UNDERSTUDY_BOUNCES_H
#define UNDERSTUDY_BOUNCES_H

#include "resource/state/bounces21.h"
#include "resource/state/pass.h"
#include "resource/state/state.h"

/* PASS_DONE: none is left; PASS_BUSY: they have to wait; PASS_FAILED and ret_error. */
enum pass_result bounces_treat(const struct state_ctx *ctx, struct bounces21_result *ret, int *ret_error);

/* Says what became of them, if anything did. */
void bounces_tell(const struct bounces21_result *r);

#endif
