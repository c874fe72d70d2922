/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/core.h"

#include "common/banned.h"

#define DRAIN_MAX_MS 600000u

enum kind { KIND_NONE, KIND_EPOCH, KIND_STATE, KIND_SHARE, KIND_INTAKE, KIND_ADDRESS, KIND_SERVICE, KIND_FENCE, KIND_POKE,
            KIND_UNITS };

static const struct {
    enum kind     kind;
    enum job_user user;
    bool          share;      /* a change of it may land as long as it is not reaped */
    bool          epoch;      /* takes the number of an epoch */
    const char   *word;       /* command or action */
} table[JOB_N] = {
    [JOB_EPOCH_WATCH]     = { KIND_EPOCH,   JOB_AS_DAEMON, true,  false, "watch" },
    [JOB_EPOCH_CLAIM]     = { KIND_EPOCH,   JOB_AS_DAEMON, true,  true,  "claim" },
    [JOB_EPOCH_OWN]       = { KIND_EPOCH,   JOB_AS_DAEMON, true,  true,  "own" },
    [JOB_EPOCH_END]       = { KIND_EPOCH,   JOB_AS_DAEMON, true,  true,  "end" },
    [JOB_EPOCH_DRAIN]     = { KIND_EPOCH,   JOB_AS_DAEMON, true,  false, "drain" },
    [JOB_EPOCH_INIT]      = { KIND_EPOCH,   JOB_AS_DAEMON, true,  false, "init" },
    [JOB_EPOCH_MAINTAIN]  = { KIND_EPOCH,   JOB_AS_DAEMON, true,  false, "maintain" },
    [JOB_EPOCH_UNMAINTAIN] = { KIND_EPOCH,  JOB_AS_DAEMON, true,  false, "unmaintain" },
    [JOB_STATE_CHECK]     = { KIND_STATE,   JOB_AS_LIST,   true,  false, "check" },
    [JOB_STATE_RECOVER]   = { KIND_STATE,   JOB_AS_LIST,   true,  true,  "recover" },
    [JOB_STATE_RETRY]     = { KIND_STATE,   JOB_AS_LIST,   true,  true,  "retry" },
    [JOB_STATE_SYNC]      = { KIND_STATE,   JOB_AS_LIST,   true,  false, "sync" },
    [JOB_STATE_PROBE]     = { KIND_STATE,   JOB_AS_LIST,   true,  false, "probe" },
    [JOB_SHARE_MOUNT]     = { KIND_SHARE,   JOB_AS_ROOT,   true,  true,  "mount" },
    [JOB_SHARE_UMOUNT]    = { KIND_SHARE,   JOB_AS_ROOT,   true,  false, "umount" },
    [JOB_INTAKE_OPEN]     = { KIND_INTAKE,  JOB_AS_ROOT,   false, false, "open" },
    [JOB_INTAKE_CLOSE]    = { KIND_INTAKE,  JOB_AS_ROOT,   false, false, "close" },
    [JOB_ADDRESS_START]   = { KIND_ADDRESS, JOB_AS_ROOT,   false, false, "start" },
    [JOB_ADDRESS_STOP]    = { KIND_ADDRESS, JOB_AS_ROOT,   false, false, "stop" },
    [JOB_ADDRESS_MONITOR] = { KIND_ADDRESS, JOB_AS_ROOT,   false, false, "monitor" },
    [JOB_SERVICE_START]   = { KIND_SERVICE, JOB_AS_ROOT,   true,  false, "start" },
    [JOB_SERVICE_STOP]    = { KIND_SERVICE, JOB_AS_ROOT,   false, false, "stop" },
    [JOB_SERVICE_MONITOR] = { KIND_SERVICE, JOB_AS_ROOT,   false, false, "monitor" },
    [JOB_SERVICE_RELEASE] = { KIND_SERVICE, JOB_AS_ROOT,   false, false, "release" },
    [JOB_SERVICE_RESUME]  = { KIND_SERVICE, JOB_AS_ROOT,   false, false, "resume" },
    [JOB_FENCE_OFF]       = { KIND_FENCE,   JOB_AS_ROOT,   false, false, "off" },
    [JOB_FENCE_ON]        = { KIND_FENCE,   JOB_AS_ROOT,   false, false, "on" },
    [JOB_FENCE_STATUS]    = { KIND_FENCE,   JOB_AS_ROOT,   false, false, "status" },
    [JOB_POKE]            = { KIND_POKE,    JOB_AS_DAEMON, false, false, "poke" },
    [JOB_UNITS_START]     = { KIND_UNITS,   JOB_AS_ROOT,   false, false, "start" },
    [JOB_UNITS_STOP]      = { KIND_UNITS,   JOB_AS_ROOT,   false, false, "stop" },
};

bool job_touches_share(enum job j)
{
    return (unsigned) j < JOB_N && table[j].share;
}

bool job_touches_lists(enum job j)
{
    return job_touches_share(j) && table[j].kind != KIND_EPOCH;
}

/* As understudy-epoch reads them. */
static const char *proof_word(unsigned proof)
{
    static const char *const words[PROOF_N] = {
        [PROOF_NONE] = "none", [PROOF_NOT_NEEDED] = "not-needed", [PROOF_OFF] = "off", [PROOF_ENDED] = "ended",
        [PROOF_REBOOTED] = "rebooted", [PROOF_DENIED] = "denied", [PROOF_ACKNOWLEDGED] = "acknowledged",
    };

    return proof < PROOF_N ? words[proof] : NULL;
}

__attribute__((format(printf, 2, 3)))
static char *text_add(struct job_command *c, const char *format, ...)
{
    char *start = c->text + c->used;
    size_t room = sizeof c->text - c->used;
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(start, room, format, ap);
    va_end(ap);
    if (n < 0 || (size_t) n >= room)
        return NULL; /* cannot happen with a configuration within its limits; arg_add and env_add refuse it */
    c->used += (size_t) n + 1;
    return start;
}

static int list_add(char **list, unsigned max, char *text)
{
    unsigned n = 0;

    while (list[n])
        n++;
    if (!text || n >= max)
        return -E2BIG;
    list[n] = text;
    return 0;
}

#define ARG(c, ...) (rc = rc < 0 ? rc : list_add((c)->argv, JOBS_ARGS_MAX, text_add((c), __VA_ARGS__)))
#define ENV(c, ...) (rc = rc < 0 ? rc : list_add((c)->envp, JOBS_ENV_MAX, text_add((c), __VA_ARGS__)))

static int begin(struct job_command *c, const char *dir, const char *program)
{
    int rc = 0;

    memset(c, 0, offsetof(struct job_command, text));
    c->used = 0;
    c->path = dir[0] ? text_add(c, "%s/%s", dir, program) : text_add(c, "%s", program);
    if (!c->path)
        return -E2BIG;
    ARG(c, "%s", program);
    ENV(c, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    ENV(c, "LANG=C.UTF-8");
    return rc;
}

/* The options that every program of ours takes. */
static int add_options(const struct jobs_context *ctx, struct job_command *c)
{
    int rc = 0;

    ARG(c, "--config");
    ARG(c, "%s", ctx->config_path);
    ARG(c, "--node");
    ARG(c, "%s", ctx->cfg->nodes[ctx->self].name);
    return rc;
}

int jobs_build_helper(const struct jobs_context *ctx, const char *program, bool with_run, uint64_t adoptable,
                      struct job_command *ret)
{
    int rc = begin(ret, ctx->libexec_dir, program);

    if (rc == 0)
        rc = add_options(ctx, ret);
    if (with_run) {
        ARG(ret, "--run");
        ARG(ret, "%016" PRIx64, ctx->run);
    }
    if (adoptable) {
        ARG(ret, "--adoptable");
        ARG(ret, "%" PRIu64, adoptable);
    }
    ret->user = JOB_AS_DAEMON;
    return rc;
}

/* NAME=WORD,... for each node that has a proof, or NAME,... for each bit. */
static int add_nodes(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    char list[CONFIG_NODES_MAX * (CONFIG_NAME_MAX + 16)];
    size_t n = 0;
    bool own = run->job == JOB_EPOCH_OWN;
    int rc = 0;

    list[0] = '\0';
    for (unsigned i = 0; i < ctx->cfg->n_nodes; i++) {
        const char *name = ctx->cfg->nodes[i].name, *comma = n ? "," : "";
        if (own && run->proof[i] != PROOF_NONE)
            n += (size_t) snprintf(list + n, sizeof list - n, "%s%s=%s", comma, name, proof_word(run->proof[i]));
        else if (!own && (run->harmless >> i & 1u))
            n += (size_t) snprintf(list + n, sizeof list - n, "%s%s", comma, name);
    }
    if (n > 0) {
        ARG(c, own ? "--proof" : "--harmless");
        ARG(c, "%s", list);
    }
    return rc;
}

static int build_epoch(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin(c, ctx->libexec_dir, "understudy-epoch");

    if (rc == 0)
        rc = add_options(ctx, c);
    ARG(c, "--run");
    ARG(c, "%016" PRIx64, ctx->run);
    ARG(c, "--op");
    ARG(c, "%" PRIu64, run->op_id);
    ARG(c, "%s", table[run->job].word);
    if (table[run->job].epoch)
        ARG(c, "%" PRIu64, run->epoch);
    if (run->job == JOB_EPOCH_OWN && rc == 0)
        rc = add_nodes(ctx, run, c);
    if (run->job == JOB_EPOCH_END)
        ARG(c, "%s", run->planned ? "--planned" : "--unplanned");
    if (run->job == JOB_EPOCH_INIT && run->epoch != 0) {
        ARG(c, "--recover");
        ARG(c, "--above");
        ARG(c, "%" PRIu64, run->epoch - 1);
    }
    if (run->job == JOB_EPOCH_DRAIN) {
        ARG(c, "--duration");
        ARG(c, "%" PRIu32, run->duration_ms);
    }
    if (run->reason[0]) {
        ARG(c, "--reason");
        ARG(c, "%s", run->reason);
    }
    return rc;
}

static int build_state(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin(c, ctx->libexec_dir, "understudy-state");

    if (rc == 0)
        rc = add_options(ctx, c);
    ARG(c, "%s", table[run->job].word);
    if (run->job == JOB_STATE_RECOVER && rc == 0)
        rc = add_nodes(ctx, run, c);
    if (run->job == JOB_STATE_RETRY && run->no_stuck)
        ARG(c, "--no-stuck");
    if (table[run->job].epoch || (run->job == JOB_STATE_SYNC && run->epoch != 0)) {
        ARG(c, "--epoch");
        ARG(c, "%" PRIu64, run->epoch);
    }
    return rc;
}

/* The mount point is the root-owned configuration's: what the list user can write is not looked at. */
static int build_share(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin(c, ctx->libexec_dir, "understudy-share");

    ARG(c, "%s", table[run->job].word);
    ARG(c, "%s", ctx->cfg->list_share);
    return rc;
}

static int build_intake(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin(c, ctx->libexec_dir, "understudy-intake");

    ARG(c, "%s", table[run->job].word);
    ARG(c, "--port");
    ARG(c, "%u", (unsigned) ctx->cfg->list.intake_port);
    return rc;
}

/* The directory of agents is ROOT/resource.d/understudy. */
static int begin_ocf(const struct jobs_context *ctx, const struct wire_run *run, const char *type,
                     struct job_command *c)
{
    int rc = begin(c, ctx->ocf_dir, type);
    const char *tail = strstr(ctx->ocf_dir, "/resource.d/");
    int root = tail ? (int) (tail - ctx->ocf_dir) : (int) strlen(ctx->ocf_dir);

    ARG(c, "%s", table[run->job].word);
    ENV(c, "OCF_ROOT=%.*s", root, ctx->ocf_dir);
    ENV(c, "OCF_RA_VERSION_MAJOR=1");
    ENV(c, "OCF_RA_VERSION_MINOR=1");
    ENV(c, "OCF_RESOURCE_PROVIDER=understudy");
    ENV(c, "OCF_RESOURCE_TYPE=%s", type);
    ENV(c, "OCF_RESOURCE_INSTANCE=understudy-%s", type);
    return rc;
}

/* When the others say themselves that they have nothing, the duplicate address check is there for strangers alone. */
#define PLANNED_DAD_PART 4u

static int build_address(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin_ocf(ctx, run, "address", c);
    uint32_t dad_ms = ctx->cfg->dad_ms / (run->planned ? PLANNED_DAD_PART : 1u);

    ENV(c, "OCF_RESKEY_ip=%s", ctx->cfg->address_ip);
    if (ctx->cfg->address_interface[0])
        ENV(c, "OCF_RESKEY_interface=%s", ctx->cfg->address_interface);
    ENV(c, "OCF_RESKEY_dad_ms=%" PRIu32, dad_ms > 0 ? dad_ms : 1);
    return rc;
}

static int build_service(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    const struct config_listserver *m = &ctx->cfg->list;
    const char *intake = m->kind == LIST_MAILMAN3 ? "lmtp" : "intake";
    int rc = begin_ocf(ctx, run, ctx->cfg->service, c);

    ENV(c, "OCF_RESKEY_user=%s", m->user);
    ENV(c, "OCF_RESKEY_python=%s", m->python);
    ENV(c, "OCF_RESKEY_lock_dir=%s", m->lock_dir);
    ENV(c, "OCF_RESKEY_queue_dir=%s", m->queue_dir);
    ENV(c, "OCF_RESKEY_runners=%s", m->runners_text);
    ENV(c, "OCF_RESKEY_%s_host=%s", intake, m->intake_host);
    ENV(c, "OCF_RESKEY_%s_port=%u", intake, (unsigned) m->intake_port);
    if (m->kind == LIST_MAILMAN3) {
        ENV(c, "OCF_RESKEY_config=%s", m->config);
        ENV(c, "OCF_RESKEY_mailman=%s", m->mailman);
        ENV(c, "OCF_RESKEY_pid_file=%s", m->pid_file);
        ENV(c, "OCF_RESKEY_fqdn=%s", ctx->cfg->nodes[ctx->self].fqdn);
    } else {
        ENV(c, "OCF_RESKEY_generation=%s", m->generation);
        ENV(c, "OCF_RESKEY_prefix=%s", m->prefix);
        ENV(c, "OCF_RESKEY_list_dir=%s", m->list_dir);
    }
    ENV(c, "OCF_RESKEY_start_timeout_ms=%" PRIu32, ctx->cfg->start_timeout_ms);
    ENV(c, "OCF_RESKEY_release_timeout_ms=%" PRIu32, ctx->cfg->release_timeout_ms);
    return rc;
}

static int build_fence(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    const struct config_device *d = &ctx->cfg->devices[run->device];
    int rc = begin(c, d->agent[0] == '/' ? "" : "/usr/sbin", d->agent);

    if (d->password_file[0]) /* a name, not the password: for a helper that the agent starts */
        ENV(c, "UNDERSTUDY_PASSWORD_FILE=%s", d->password_file);
    return rc;
}

static int build_units(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *c)
{
    int rc = begin(c, "/usr/bin", "systemctl");

    ARG(c, "--no-ask-password");
    ARG(c, "%s", table[run->job].word);
    ARG(c, "--");
    for (unsigned i = 0; i < ctx->cfg->n_also_units; i++)
        ARG(c, "%s", ctx->cfg->also_units[i]);
    return rc;
}

static bool fields_ok(const struct jobs_context *ctx, const struct wire_run *run)
{
    enum kind kind = table[run->job].kind;

    if (run->op_id == 0 || run->deadline_ms > JOBS_DEADLINE_MAX_MS)
        return false;
    if ((run->deadline_ms == 0) != (run->job == JOB_EPOCH_WATCH))
        return false;
    if (table[run->job].epoch && run->epoch == 0)
        return false;
    if (run->planned > 1 || run->no_stuck > 1 || run->harmless >> ctx->cfg->n_nodes != 0)
        return false;
    if (kind == KIND_SHARE && !ctx->cfg->list_with_service)
        return false;
    if (kind == KIND_FENCE && run->device >= ctx->cfg->n_devices)
        return false;
    if ((kind == KIND_UNITS && ctx->cfg->n_also_units == 0) || (kind == KIND_POKE && ctx->cfg->mail.n_mx == 0))
        return false;
    if (run->job == JOB_EPOCH_DRAIN && (run->duration_ms == 0 || run->duration_ms > DRAIN_MAX_MS))
        return false;
    for (unsigned i = 0; i < CONFIG_NODES_MAX; i++)
        if (!proof_word(run->proof[i]))
            return false;
    return memchr(run->reason, '\0', sizeof run->reason) && (!run->reason[0] || run->job == JOB_EPOCH_MAINTAIN);
}

int jobs_build(const struct jobs_context *ctx, const struct wire_run *run, struct job_command *ret)
{
    int rc = -EINVAL;

    if (run->job >= JOB_N || table[run->job].kind == KIND_NONE || !fields_ok(ctx, run))
        return -EINVAL;
    switch (table[run->job].kind) {
    case KIND_NONE: break;
    case KIND_EPOCH: rc = build_epoch(ctx, run, ret); break;
    case KIND_STATE: rc = build_state(ctx, run, ret); break;
    case KIND_SHARE: rc = build_share(ctx, run, ret); break;
    case KIND_INTAKE: rc = build_intake(ctx, run, ret); break;
    case KIND_ADDRESS: rc = build_address(ctx, run, ret); break;
    case KIND_SERVICE: rc = build_service(ctx, run, ret); break;
    case KIND_FENCE: rc = build_fence(ctx, run, ret); break;
    case KIND_POKE: rc = jobs_build_helper(ctx, "understudy-poke", false, 0, ret); break;
    case KIND_UNITS: rc = build_units(ctx, run, ret); break;
    }
    ret->user = table[run->job].user;
    ret->share = table[run->job].share;
    ret->workers = run->job == JOB_STATE_RECOVER || run->job == JOB_STATE_RETRY;
    ret->fence = table[run->job].kind == KIND_FENCE;
    return rc;
}

int jobs_fence_input(const struct config_device *d, enum job j, const char *secret, size_t secret_len, char *buf,
                     size_t size, size_t *ret_len)
{
    size_t len = 0;
    int n = snprintf(buf, size, "action=%s\n", table[j].word);

    for (unsigned i = 0; n >= 0 && (len += (size_t) n) < size && i < d->n_params; i++)
        n = snprintf(buf + len, size - len, "%s=%s\n", d->params[i].key, d->params[i].value);
    if (n < 0 || len >= size || secret_len > size - len)
        return -E2BIG;
    memcpy(buf + len, secret, secret_len);
    *ret_len = len + secret_len;
    return 0;
}
