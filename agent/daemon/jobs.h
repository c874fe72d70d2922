/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fixed table: which program a job is, as whom it runs, with which arguments and environment. Everything comes
 * from the root-owned configuration or is a number that was checked here; nothing is taken from a child's output. */
#ifndef UNDERSTUDY_JOBS_H
#define UNDERSTUDY_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/wire.h"

#define JOBS_ARGS_MAX     20
#define JOBS_ENV_MAX      32
#define JOBS_TEXT_MAX     16384
#define JOBS_DEADLINE_MAX_MS 3600000u

enum job_user { JOB_AS_ROOT, JOB_AS_DAEMON, JOB_AS_LIST };

struct jobs_context {
    const struct config *cfg;
    const char          *config_path;   /* absolute; handed to our own programs */
    unsigned             self;
    uint64_t             run;
    const char          *libexec_dir, *ocf_dir;
};

struct job_command {
    char         *path;                 /* absolute; all pointers lead into `text` */
    char         *argv[JOBS_ARGS_MAX + 1];
    char         *envp[JOBS_ENV_MAX + 1];
    enum job_user user;
    bool          share;                /* may change a share until it is reaped */
    bool          workers;              /* may leave a descendant behind that hangs */
    bool          fence;                /* gets parameters on its stdin */
    char          text[JOBS_TEXT_MAX];
    size_t        used;
};

/* Checks `run` and builds the command. 0; -EINVAL for anything that is not in the table or out of range. */
int jobs_build(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *ret);

/* May this job change a share? */
bool job_touches_share(enum job j);
/* The list share? An epoch file that lands late is only found and withdrawn. */
bool job_touches_lists(enum job j);

/* The command for the engine or members: our own program with the options that all of them take. `adoptable` is the epoch
 * whose list service the engine may adopt, 0 = none. */
int jobs_build_helper(const struct jobs_context *ctx, const char *program, bool with_run, uint64_t adoptable,
                      struct job_command *ret);

/* Writes "action=...", the parameters and then the lines of `secret` into buf; the length, or -E2BIG. */
int jobs_fence_input(const struct config_device *d, enum job j, const char *secret, size_t secret_len, char *buf,
                     size_t size, size_t *ret_len);

#endif
