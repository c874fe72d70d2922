/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The harness of the OCF agents (Resource Agent API 1.1): parameters only from OCF_RESKEY_*, one action a run,
 * a defined exit code always, one sentence when something is wrong. */
#ifndef UNDERSTUDY_OCF_H
#define UNDERSTUDY_OCF_H

#include <stdbool.h>
#include <stdint.h>

enum ocf_code {
    OCF_SUCCESS           = 0,
    OCF_ERR_GENERIC       = 1,
    OCF_ERR_ARGS          = 2,  /* wrong on this host */
    OCF_ERR_UNIMPLEMENTED = 3,
    OCF_ERR_PERM          = 4,
    OCF_ERR_INSTALLED     = 5,
    OCF_ERR_CONFIGURED    = 6,  /* wrong everywhere */
    OCF_NOT_RUNNING       = 7,  /* monitor only: certainly stopped */
};

enum ocf_type { OCF_STRING, OCF_INTEGER };

struct ocf_param {
    const char   *name;
    enum ocf_type type;
    bool          required;
    const char   *preset;     /* the default; NULL = none */
    const char   *shortdesc;
    const char   *longdesc;
};

struct ocf_action {
    const char *name;
    const char *timeout;
    const char *interval;     /* NULL unless monitor */
    const char *depth;        /* NULL unless monitor */
};

/* What the metadata says; shared by the agent and by the program that writes the metadata at build time. */
struct ocf_about {
    const char              *name;
    const char              *shortdesc;
    const char              *longdesc;
    const struct ocf_param  *params;
    unsigned                 n_params;
    const struct ocf_action *actions;
    unsigned                 n_actions;
};

struct ocf_agent {
    const struct ocf_about *about;
    const char             *metadata;
    /* Reads and checks the parameters; level 0 looks at nothing of the host, level 10 does. Called before every
     * other action with level 0. */
    enum ocf_code (*validate)(unsigned level);
    enum ocf_code (*start)(void);
    enum ocf_code (*stop)(void);
    enum ocf_code (*monitor)(unsigned level);
    /* Beyond the API; NULL = this agent has no such action. */
    enum ocf_code (*release)(void);
    enum ocf_code (*resume)(void);
};

/* Runs the action argv[1] names and returns the exit code of the process. */
int ocf_main(int argc, char **argv, const struct ocf_agent *agent);

/* The parameter's value, else its default, else NULL. An empty value counts as not given. */
const char *ocf_param_text(const struct ocf_about *about, const char *name);
/* The same for a decimal number within [min, max]. OCF_SUCCESS, or OCF_ERR_CONFIGURED with the sentence printed. */
enum ocf_code ocf_param_number(const struct ocf_about *about, const char *name, uint32_t min, uint32_t max,
                               uint32_t *ret);
/* The same for an absolute path without ".." in it. */
enum ocf_code ocf_param_path(const struct ocf_about *about, const char *name, const char **ret);

/* One sentence for people, to stderr: what, why, what to do next. */
void ocf_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line record, to stdout at once. */
void ocf_record(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "phase name=NAME at_ms=NOW", NOW on CLOCK_BOOTTIME. */
void ocf_phase(const char *name);

#endif
