/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One operation of the core as several jobs of the executor, one after the other: with list_mount = with-service the
 * list share is mounted before the recovery pass and taken down after the address. The core knows of one operation with
 * one deadline; the first job that does not succeed is its answer. Pure. */
#ifndef UNDERSTUDY_ENGINE_CHAIN_H
#define UNDERSTUDY_ENGINE_CHAIN_H

#include "common/config.h"
#include "common/wire.h"
#include "core/core.h"

/* With which job `op` begins; `alone` is the one that it is without a chain. */
enum job chain_first(const struct config *cfg, enum core_op op, enum job alone);
/* The job that follows `done` once that has succeeded; JOB_NONE = the operation is over. */
enum job chain_next(const struct config *cfg, enum core_op op, enum job done);

#endif
