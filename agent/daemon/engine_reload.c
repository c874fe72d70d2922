/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine_answer.h"
#include "daemon/log.h"

#include "common/banned.h"

static char *said(bool ok, const char *key, const char *text)
{
    (void)answer_lost();
    return answer_text(json_pack("{s:b, s:s}", "ok", (int)ok, key, text));
}

/* Reads the file into r->next. 0, or -errno and every mistake of the file in one text, which the caller frees; NULL = none. */
static int file_read(struct reload *r, char **ret_mistakes)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int rc = out ? config_read(r->path, &r->next, out) : -ENOMEM;

    if (out)
        (void)fclose(out);
    if (rc && text && text[0]) {
        *ret_mistakes = text;
        return rc;
    }
    free(text);
    *ret_mistakes = NULL;
    return rc;
}

char *reload_ask(struct reload *r, struct ipc_caller *caller)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RELOAD };
    char *wrong, *ret, text[512];
    const char *key;
    int rc;

    if (r->caller)
        return said(false, "error", "a reload is under way already: wait for it");
    rc = file_read(r, &wrong);
    if (rc) {
        (void)snprintf(text, sizeof text, "nothing was taken up: %s cannot be read: %s", r->path, strerror(-rc));
        ret = said(false, "error", wrong ? wrong : text);
        free(wrong);
        return ret;
    }
    key = config_reload_obstacle(r->cfg, &r->next);
    if (key) {
        (void)snprintf(text, sizeof text, "nothing was taken up: %s has changed, and it can not change while understudyd runs. "
                       "Put it back, or, with the file equal on all nodes, switch maintenance on and restart understudyd", key);
        return said(false, "error", text);
    }
    if (r->driver->send(r->driver->send_ctx, &m))
        return said(false, "error", "the executor did not take the message; try again in a moment");
    r->caller = caller;
    ipc_caller_keep(caller);
    return NULL;
}

void reload_done(struct reload *r, int32_t status)
{
    struct core_config cc;
    char *text;

    if (!r->caller)
        return;
    if (status == 0) {
        *r->cfg = r->next;
        driver_config(r->cfg, r->self, &cc);
        core_reconfigure(&r->driver->core, &cc);
        log_notice("the configuration was taken up anew");
        text = said(true, "said", "taken up");
    } else {
        text = said(false, "error", status == -EBUSY ? "a fence program is at work; try again when it has ended"
                    : "the executor refuses the file; its log says why (owner, mode, or a secret that can not be read)");
    }
    ipc_reply(r->caller, text);
    answer_free(text);
    r->caller = NULL;
}
