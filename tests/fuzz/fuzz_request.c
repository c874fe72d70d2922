/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What anybody may write to the engine's socket. Each request is answered by a JSON object, or kept for later; without rights
 * nothing is asked of the executor. The first byte is whether the caller has them. */
#include <config.h>

#include <jansson.h>

#include "daemon/engine_answer.h"
#include "daemon/engine_request.h"
#include "tests/fuzz/fuzz.h"

#define OWN_UID 4242u

static struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } },
    .control_share = "/srv/control", .beat_interval_ms = 150, .share_deadline_ms = 1000, .share_patience_ms = 5000,
    .claim_patience_ms = 2000, .drain_ms = 700, .stop_timeout_ms = 5000, .permit_timeout_ms = 3000, .max_failures = 3,
    .n_devices = 2, .devices = { { .name = "a-ipmi", .node = 0, .level = 1, .timeout_ms = 900 },
                                 { .name = "b-ipmi", .node = 1, .level = 1, .timeout_ms = 800 } } };
static unsigned n_sent;

/* engine_ipc.c needs a loop; a caller is only kept and answered. */
void ipc_caller_keep(struct ipc_caller *caller) { (void)caller; }
void ipc_reply(struct ipc_caller *caller, const char *text) { (void)caller; (void)text; }

static int count(void *ctx, const struct wire_msg *m)
{
    (void)ctx;
    (void)m;
    n_sent++;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct driver driver;
    static struct facts facts;
    static struct report report;
    const struct id128 boot = { 1, 1 };
    bool may = size > 0 && (data[0] & 1u);

    if (size == 0)
        return 0;
    facts_init(&facts, &cfg, 0, 77, &boot);
    report_init(&report, &cfg, 0);
    driver_init(&driver, &cfg, 0, &facts, &report, 1000);
    driver.send = count;
    n_sent = 0;
    struct request_ctx r = { .driver = &driver, .facts = &facts, .own_uid = OWN_UID,
        .reload = { .path = "/nonexistent", .cfg = &cfg, .driver = &driver },
        .view = { .cfg = &cfg, .driver = &driver, .facts = &facts, .report = &report, .reports_dir = "/nonexistent" } };
    char *text = request_handle(&r, NULL, may ? OWN_UID : OWN_UID + 1, (const char *)data + 1, size - 1);
    if (text) {
        json_t *answer = json_loads(text, 0, NULL);
        PROMISE(json_is_object(answer) && json_object_get(answer, "ok"));
        json_decref(answer);
    }
    PROMISE(may || (text && n_sent == 0));
    answer_free(text);
    return 0;
}
