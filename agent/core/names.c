/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Enum to text. Names are stable: reports, status and scripts rest on them. */
#include "core/private.h"

static const char *const state_names[ST_N] = {
    [ST_STARTING] = "starting", [ST_PASSIVE] = "passive", [ST_CLAIMING] = "claiming", [ST_PROOF] = "proof",
    [ST_DRAIN] = "drain", [ST_OWNING] = "owning", [ST_RECOVER] = "recover", [ST_ADDRESS] = "address",
    [ST_SERVICE] = "service", [ST_ACTIVE] = "active", [ST_RELEASING] = "releasing",
    [ST_RESTARTING] = "restarting", [ST_ADOPTING] = "adopting", [ST_STOPPING] = "stopping", [ST_ENDING] = "ending",
    [ST_HOLD] = "hold",
};

static const char *const op_names[OP_N] = {
    [OP_NONE] = "none", [OP_CLAIM] = "claim", [OP_OWN] = "own", [OP_END] = "end", [OP_DRAIN] = "drain",
    [OP_RECOVER] = "recover", [OP_ADDRESS_START] = "address-start", [OP_ADDRESS_STOP] = "address-stop",
    [OP_SERVICE_START] = "service-start", [OP_SERVICE_STOP] = "service-stop",
    [OP_SERVICE_MONITOR] = "service-monitor", [OP_SERVICE_RELEASE] = "service-release",
    [OP_SERVICE_RESUME] = "service-resume", [OP_SYNC] = "sync",
    [OP_INTAKE_CLOSE] = "intake-close", [OP_INTAKE_OPEN] = "intake-open",
    [OP_FENCE_OFF] = "fence-off", [OP_FENCE_STATUS] = "fence-status", [OP_FENCE_ON] = "fence-on",
};

static const char *const result_names[RES_N] = {
    [RES_OK] = "ok", [RES_FAILED] = "failed", [RES_LATE] = "late", [RES_ON] = "on", [RES_OFF] = "off",
    [RES_DUPLICATE] = "duplicate", [RES_FULL] = "full",
};

static const char *const proof_names[PROOF_N] = {
    [PROOF_NONE] = "none", [PROOF_NOT_NEEDED] = "not-needed", [PROOF_OFF] = "off", [PROOF_ENDED] = "ended",
    [PROOF_REBOOTED] = "rebooted", [PROOF_DENIED] = "denied", [PROOF_ACKNOWLEDGED] = "acknowledged",
};

static const char *pick(const char *const *names, unsigned n, unsigned i) { return i < n && names[i] ? names[i] : "?"; }

const char *core_state_name(enum core_state s) { return pick(state_names, ST_N, s); }
const char *core_op_name(enum core_op o) { return pick(op_names, OP_N, o); }
const char *core_result_name(enum core_result r) { return pick(result_names, RES_N, r); }
const char *core_proof_name(enum core_proof p) { return pick(proof_names, PROOF_N, p); }
