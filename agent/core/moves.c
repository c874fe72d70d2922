/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Legal successors of each state, declared apart from the rules: two descriptions that must agree. */
#include "core/private.h"

#define TO(name) CORE_BIT(ST_##name)

const uint32_t core_legal_moves[ST_N] = {
    [ST_STARTING] = TO(STOPPING) | TO(PASSIVE) | TO(HOLD) | TO(ADOPTING),
    [ST_PASSIVE]  = TO(STARTING) | TO(CLAIMING) | TO(PROOF) | TO(ENDING),
    [ST_CLAIMING] = TO(PASSIVE) | TO(PROOF),
    [ST_PROOF]    = TO(PASSIVE) | TO(ENDING) | TO(DRAIN) | TO(OWNING),
    [ST_DRAIN]    = TO(PASSIVE) | TO(ENDING) | TO(OWNING),
    [ST_OWNING]   = TO(ENDING) | TO(RECOVER),
    [ST_RECOVER]  = TO(STOPPING) | TO(ADDRESS),
    [ST_ADDRESS]  = TO(STOPPING) | TO(SERVICE),
    [ST_SERVICE]  = TO(STOPPING) | TO(ACTIVE),
    [ST_ACTIVE]   = TO(STOPPING) | TO(RELEASING) | TO(RESTARTING),
    [ST_RELEASING] = TO(ACTIVE) | TO(ENDING) | TO(STOPPING),
    [ST_RESTARTING] = TO(RECOVER) | TO(STOPPING),
    [ST_ADOPTING] = TO(ACTIVE) | TO(STOPPING),
    [ST_STOPPING] = TO(STARTING) | TO(ENDING) | TO(HOLD),
    [ST_ENDING]   = TO(STOPPING) | TO(PASSIVE) | TO(HOLD),
    [ST_HOLD]     = TO(STARTING) | TO(STOPPING) | TO(ENDING),
};
