/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/ocf.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"

#include "common/banned.h"

static struct {
    const char *agent;
    const char *action;
} said_by = { "agent", "?" };

void ocf_error(const char *format, ...)
{
    const char *prefix = getenv("OCF_EXIT_REASON_PREFIX"); /* Pacemaker shows such a line in its status */
    char        text[1024];
    va_list     ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (prefix && *prefix)
        (void)fprintf(stderr, "%s%s\n", prefix, text);
    else
        (void)fprintf(stderr, "%s %s: %s\n", said_by.agent, said_by.action, text);
}

void ocf_record(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)vprintf(format, ap);
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout);
}

void ocf_phase(const char *name)
{
    ocf_record("phase name=%s at_ms=%llu", name, (unsigned long long)clock_now_ms());
}

const char *ocf_param_text(const struct ocf_about *about, const char *name)
{
    char        key[64];
    const char *value;

    (void)snprintf(key, sizeof key, "OCF_RESKEY_%s", name);
    value = getenv(key);
    if (value && *value)
        return value;
    for (unsigned i = 0; i < about->n_params; i++)
        if (!strcmp(about->params[i].name, name))
            return about->params[i].preset;
    return NULL;
}

enum ocf_code ocf_param_number(const struct ocf_about *about, const char *name, uint32_t min, uint32_t max,
                               uint32_t *ret)
{
    const char *text = ocf_param_text(about, name);

    if (text && num_parse_u32(text, min, max, ret) == 0)
        return OCF_SUCCESS;
    ocf_error("parameter %s is \"%s\", which is no whole number from %lu to %lu; correct it", name, text ? text : "",
              (unsigned long)min, (unsigned long)max);
    return OCF_ERR_CONFIGURED;
}

enum ocf_code ocf_param_path(const struct ocf_about *about, const char *name, const char **ret)
{
    const char *text = ocf_param_text(about, name);

    if (text && text[0] == '/' && !strstr(text, "/../") && strlen(text) < 256) {
        *ret = text;
        return OCF_SUCCESS;
    }
    ocf_error("parameter %s is \"%s\", which is no absolute path; give the full path", name, text ? text : "");
    return OCF_ERR_CONFIGURED;
}

static enum ocf_code api_check(const struct ocf_agent *a)
{
    const char *major = getenv("OCF_RA_VERSION_MAJOR");

    if (major && *major && strcmp(major, "1") != 0) {
        ocf_error("the cluster speaks version %s of the OCF agent API and this agent speaks version 1; use an agent "
                  "made for that cluster", major);
        return OCF_ERR_GENERIC;
    }
    for (unsigned i = 0; i < a->about->n_params; i++) {
        const struct ocf_param *p = &a->about->params[i];
        if (p->required && !ocf_param_text(a->about, p->name)) {
            ocf_error("parameter %s is missing; set it (%s)", p->name, p->shortdesc);
            return OCF_ERR_CONFIGURED;
        }
    }
    return OCF_SUCCESS;
}

static unsigned check_level(void)
{
    const char *text = getenv("OCF_CHECK_LEVEL");
    uint32_t    level;

    /* An unknown level is done as the next lower one. */
    return text && num_parse_u32(text, 0, UINT32_MAX, &level) == 0 ? level : 0;
}

static enum ocf_code action_run(const struct ocf_agent *a, const char *action)
{
    enum ocf_code rc = api_check(a);

    if (rc == OCF_SUCCESS)
        rc = a->validate(!strcmp(action, "validate-all") ? check_level() : 0);
    if (rc != OCF_SUCCESS || !strcmp(action, "validate-all"))
        return rc;
    if (!strcmp(action, "monitor"))
        return a->monitor(check_level());
    if (geteuid() != 0) {
        ocf_error("this needs root; run it as root");
        return OCF_ERR_PERM;
    }
    if (!strcmp(action, "start"))
        return a->start();
    if (!strcmp(action, "release"))
        return a->release();
    return !strcmp(action, "resume") ? a->resume() : a->stop();
}

static bool action_known(const struct ocf_agent *a, const char *action)
{
    static const char *const known[] = { "start", "stop", "monitor", "validate-all" };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(action, known[i]))
            return true;
    return (a->release && !strcmp(action, "release")) || (a->resume && !strcmp(action, "resume"));
}

int ocf_main(int argc, char **argv, const struct ocf_agent *agent)
{
    const char *action = argc > 1 ? argv[1] : ""; /* the API: further arguments are ignored */

    said_by.agent = agent->about->name;
    said_by.action = action;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!strcmp(action, "meta-data"))
        return fputs(agent->metadata, stdout) < 0 || fflush(stdout) != 0 ? OCF_ERR_GENERIC : OCF_SUCCESS;
    if (action_known(agent, action))
        return (int)action_run(agent, action);
    (void)fprintf(stderr, "usage: %s start|stop|monitor|meta-data|validate-all%s%s\n"
                  "Parameters come from the environment as OCF_RESKEY_NAME; see ocf_understudy_%s(7).\n",
                  agent->about->name, agent->release ? "|release" : "", agent->resume ? "|resume" : "",
                  agent->about->name);
    return OCF_ERR_UNIMPLEMENTED;
}
