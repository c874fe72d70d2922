/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameters of ocf:understudy:mailman2, read and checked. */
#include <config.h>

#include "resource/mailman2.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/banned.h"

static enum ocf_code generation_read(struct listserver *m)
{
    const char *text = ocf_param_text(m->about, "generation");

    m->service.kind = strcmp(text, "2.0") == 0 ? LIST_MAILMAN20 : LIST_MAILMAN21;
    m->restarts = m->service.kind == LIST_MAILMAN21;
    if (strcmp(text, "2.1") == 0 || strcmp(text, "2.0") == 0)
        return OCF_SUCCESS;
    ocf_error("parameter generation is \"%s\"; locks, queues and programs differ between them; give 2.1 or 2.0", text);
    return OCF_ERR_CONFIGURED;
}

enum ocf_code mailman2_params_read(struct listserver *ret)
{
    struct listserver *m = ret;
    uint32_t           port;

    *m = (struct listserver){ .about = &mailman2_about, .protocol = "SMTP",
                              .lock_host_is = "the configured host name and that of this node" };
    enum ocf_code rc = generation_read(m);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "prefix", &m->prefix);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "list_dir", &m->list_dir);
    if (rc == OCF_SUCCESS && ocf_param_text(m->about, "python"))
        rc = ocf_param_path(m->about, "python", &m->python);
    const char *unused;
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "state_file", &unused);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(m->about, "intake_port", 1, 65535, &port);
    if (rc == OCF_SUCCESS)
        rc = listserver_params_read(m);
    if (rc != OCF_SUCCESS)
        return rc;
    m->service.path = m->prefix;
    m->intake_port = (uint16_t)port;
    m->intake_host = ocf_param_text(m->about, "intake_host");
    (void)snprintf(m->program, sizeof m->program, "%s/%s", m->prefix,
                   m->service.kind == LIST_MAILMAN20 ? "cron/qrunner" : "bin/mailmanctl");
    return gethostname(m->lock_host, sizeof m->lock_host - 1) == 0 ? OCF_SUCCESS : OCF_ERR_GENERIC;
}

enum ocf_code mailman2_host_check(const struct listserver *m)
{
    const struct listserver_file need[] = {
        { "prefix", m->program, R_OK }, { "python", m->python ? m->python : m->program, m->python ? X_OK : R_OK },
    };

    return listserver_files_check(need, sizeof need / sizeof need[0]);
}
