/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy init --recover: numbers go on above lost epochs, with a proof for every other node (design: Epochs). The
 * lower epochs are void then, so each of the others must be a clean member, or off: by its fence device's status, asked
 * twice power_wait apart, or by the word of a person. */
#ifndef UNDERSTUDY_ENGINE_RECOVER_H
#define UNDERSTUDY_ENGINE_RECOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "daemon/engine_ipc.h"

struct request_ctx;

enum recover_how { RECOVER_SELF, RECOVER_CLEAN, RECOVER_STATUS, RECOVER_WORD };

struct recover {
    bool               running;
    struct ipc_caller *caller;           /* kept */
    unsigned           off;              /* bit i: a person says that node i is off */
    enum recover_how   how[CORE_NODES];
    uint64_t           asked_ms, next_ms;
    uint64_t           op;               /* JOB_FENCE_STATUS under way; 0 = none */
    unsigned           device, pass;
};

/* {"recover": true, "off": [NODE...], "check": bool}. The answer, of answer_text(), or NULL: it comes later. */
char *recover_request(struct request_ctx *r, json_t *request, struct ipc_caller *caller, uint64_t now_ms);
/* An operation has ended; call after the driver has heard of it. */
void recover_done(struct request_ctx *r, uint64_t op_id, uint64_t now_ms);
void recover_tick(struct request_ctx *r, uint64_t now_ms);

#endif
