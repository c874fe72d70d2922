/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One list of Mailman 2.1: its configuration is checked, and restored if need be, under the list's own lock, which is taken at
 * once or not at all. */
#ifndef UNDERSTUDY_LISTS_H
#define UNDERSTUDY_LISTS_H

#include "resource/state/list21.h"
#include "resource/state/pass.h"
#include "resource/state/state.h"

struct list_counts { uint64_t n[LIST21_RESULT_N]; };

/* `lists`, `locks`: the two directories, open. PASS_DONE and `ret`; PASS_LOCKED: somebody else has its lock; PASS_BUSY: it changed
 * meanwhile, or the lock was broken; PASS_FAILED and ret_error. A directory with no configuration at all is no list: PASS_DONE and
 * LIST21_SOUND. */
enum pass_result list_treat(const struct state_ctx *ctx, int lists, int locks, const char *name, enum list21_result *ret,
                            int *ret_error);

/* Counts it, and says what a person has to look at. */
void list_tell(const char *name, enum list21_result r, struct list_counts *counts);

#endif
