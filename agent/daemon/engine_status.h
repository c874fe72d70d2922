/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What status and explain show, as JSON: the answer of the IPC and the snapshot below /run are the same. */
#ifndef UNDERSTUDY_ENGINE_STATUS_H
#define UNDERSTUDY_ENGINE_STATUS_H

#include <jansson.h>

#include "daemon/engine_driver.h"
#include "daemon/engine_facts.h"
#include "daemon/engine_report.h"

struct status_view {                 /* all borrowed */
    const struct config *cfg;
    unsigned             self;
    const struct driver *driver;
    const struct facts  *facts;
    const struct report *report;
    uint64_t             started_ms;
    const char          *reports_dir;
    bool                 sandboxed;  /* our system calls are limited */
};

/* New references; NULL only when memory is out. */
json_t *status_json(const struct status_view *v, uint64_t now_ms);
json_t *status_why_json(const struct status_view *v, uint64_t now_ms);  /* the array of guards that block */
/* Writes the snapshot as a whole to `path` (on /run: memory, no disk). 0 or -errno. */
int     status_write(const struct status_view *v, const char *path, uint64_t now_ms);
const char *status_role(enum core_state s);

#endif
