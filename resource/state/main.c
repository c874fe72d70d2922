/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-state: what a dead node left behind on the list share. See understudy-state(8). */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "common/num.h"
#include "common/sandbox.h"
#include "resource/state/state.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

struct options {
    const char *config, *node, *harmless, *command, *defer;
    uint64_t    epoch;
    bool        json, epoch_given, no_stuck;
};

static const char usage_text[] =
    "usage: understudy-state [--config FILE] [--node NAME] [--json] [--defer DIR] COMMAND\n"
    "  check                          locks, queues and what is put off, read only\n"
    "  locks | queue                  each alone, read only\n"
    "  recover --epoch N [--harmless NODE,...]   clear locks of harmless and dead owners, put aside what would kill a runner\n"
    "  retry --epoch N [--no-stuck]   once more what recover has put off and is due; the list server may run\n"
    "  release --epoch N              clear the locks of this node's own dead processes\n"
    "  sync [--epoch N]               write out to the server; with --epoch after a release\n"
    "  probe                          can a message be stored? writes a small file and removes it\n"
    "exit: 0 ok, 1 failed, 2 usage, 3 refused: a lock of a live or unknown owner, or a list process here, 4 no space\n";

static int options_parse(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' },
        { "harmless", required_argument, NULL, 'H' }, { "epoch", required_argument, NULL, 'e' },
        { "json", no_argument, NULL, 'j' }, { "defer", required_argument, NULL, 'd' },
        { "no-stuck", no_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'c': ret->config = optarg; break;
        case 'n': ret->node = optarg; break;
        case 'H': ret->harmless = optarg; break;
        case 'j': ret->json = true; break;
        case 'd': ret->defer = optarg; break;
        case 's': ret->no_stuck = true; break;
        case 'e':
            if (num_parse_u64(optarg, 0, UINT64_MAX - 1, &ret->epoch))
                return -EINVAL;
            ret->epoch_given = true;
            break;
        case 'h':
            (void)fputs(usage_text, stdout);
            return 1;
        default: /* getopt_long has said what it is */
            return -EINVAL;
        }
    }
    ret->command = optind < argc ? argv[optind] : NULL;
    return ret->command && argc - optind == 1 ? 0 : -EINVAL;
}

/* NODE,NODE as bits. For our own it says nothing: its locks are judged by its processes. */
static int harmless_parse(const struct state_ctx *ctx, const char *text, uint32_t *ret)
{
    uint32_t bits = 0;

    while (text && *text) {
        size_t len = strcspn(text, ",");
        unsigned i = 0;

        while (i < ctx->cfg->n_nodes
               && (strlen(ctx->cfg->nodes[i].name) != len || memcmp(ctx->cfg->nodes[i].name, text, len)))
            i++;
        if (i == ctx->cfg->n_nodes)
            return state_fail(EXIT_USAGE, "--harmless: there is no node '%.*s' in the configuration", (int)len, text);
        bits |= UINT32_C(1) << i;
        text += len;
        text += *text == ',';
    }
    *ret = bits;
    return EXIT_DONE;
}

/* Root never works in a directory that the list user can write: it becomes the list user for good. */
static int user_become(const struct config *cfg, uid_t *ret)
{
    const struct passwd *pw = getpwnam(cfg->list.user);

    if (!pw || pw->pw_uid == 0)
        return state_fail(EXIT_USAGE, "the list user '%s' does not exist or is root: correct user in [%s]",
                          cfg->list.user, cfg->service);
    if (geteuid() == 0
        && (initgroups(pw->pw_name, pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0
            || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0))
        return state_fail(EXIT_FAILED, "becoming user %s: %s", pw->pw_name, strerror(errno));
    if (geteuid() != pw->pw_uid)
        return state_fail(EXIT_USAGE, "run it as user %s, or as root", pw->pw_name);
    *ret = pw->pw_uid;
    return EXIT_DONE;
}

/* Nothing is touched while a runner could have it in its hands. */
static int quiet_check(const struct state_ctx *ctx)
{
    int alive = state_service_alive(ctx);

    if (alive > 0)
        return state_fail(EXIT_REFUSED, "a process of the list server runs on this node: stop it first");
    if (alive < 0)
        return state_fail(EXIT_FAILED, "whether the list server runs here cannot be read from /proc: %s", strerror(-alive));
    return EXIT_DONE;
}

/* What a command does, in this order. */
struct work { bool quiet, probe, locks, queue, recover, retry, deferred, sync, tell_probe; };

static int work_find(const struct options *o, struct work *ret)
{
    static const struct { const char *command; bool epoch; struct work work; } table[] = {
        { "check", false, { .locks = true, .queue = true, .deferred = true } },
        { "locks", false, { .locks = true } },
        { "queue", false, { .queue = true } },
        { "recover", true, { .quiet = true, .probe = true, .locks = true, .recover = true } },
        { "retry", true, { .retry = true } },
        { "release", true, { .quiet = true, .locks = true } },
        { "sync", true, { .quiet = true, .locks = true, .sync = true } },
        { "sync", false, { .sync = true } },
        { "probe", false, { .tell_probe = true } },
    };
    const char *found = NULL;

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].command, o->command) != 0)
            continue;
        found = table[i].command;
        *ret = table[i].work;
        if (table[i].epoch == o->epoch_given && !(o->harmless && !ret->recover) && !(o->no_stuck && !ret->retry))
            return EXIT_DONE;
    }
    if (!found)
        return state_fail(EXIT_USAGE, "there is no command '%s'; see --help", o->command);
    return state_fail(EXIT_USAGE, "%s: %s", o->command, !o->epoch_given ? "needs --epoch" :
                      "--epoch is for what changes something, --harmless for recover, --no-stuck for retry");
}

static int work_do(const struct state_ctx *ctx, const struct options *o, const struct work *w, struct state_totals *totals)
{
    int code = EXIT_DONE;

    if (w->locks)
        code = state_locks(ctx, totals);
    if (!code && w->queue)
        code = state_queue(ctx, totals);
    if (!code && w->recover)
        code = state_recover(ctx, o->defer, totals);
    if (!code && w->retry)
        code = state_retry(ctx, o->defer, o->no_stuck, totals);
    if (w->deferred) {
        int told = state_deferred(o->defer, totals);
        code = code ? code : told;
    }
    if (!code && w->sync)
        code = state_sync(ctx);
    if (!code && w->tell_probe)
        code = state_probe(ctx, true);
    return code;
}

static int command_run(struct state_ctx *ctx, const struct options *o, const struct work *w)
{
    struct state_totals totals = { 0 };
    int code = EXIT_DONE;

    ctx->change = w->quiet || w->retry;
    ctx->live = w->retry;
    ctx->epoch = o->epoch;
    ctx->own_only = w->quiet && !w->recover;
    if (w->recover)
        state_recover_prepare(ctx);
    if (w->quiet)
        code = quiet_check(ctx);
    if (code) {
        state_recover_discard();
        return code;
    }
    if (w->probe) /* what cannot put anything aside changes nothing */
        code = state_probe(ctx, false);
    state_out_begin(o->json);
    if (!code)
        code = work_do(ctx, o, w, &totals);
    state_recover_discard();
    state_out_end(&totals);
    return fflush(stdout) ? EXIT_FAILED : code;
}

/* Of a kernel without it engine and members tell. */
static int sandbox_begin(const struct work *w)
{
    int rc = sandbox_enter(w->recover || w->retry ? SANDBOX_PASS : w->tell_probe ? SANDBOX_RECOVER : SANDBOX_STATE);

    return rc && rc != -ENOSYS ? state_fail(EXIT_FAILED, "giving up system calls: %s", strerror(-rc)) : EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct options o = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf", .defer = UNDERSTUDY_DEFERDIR };
    static struct config cfg;
    struct state_ctx ctx = { .cfg = &cfg, .proc = "/proc" };
    int rc = options_parse(argc, argv, &o), self;
    struct work work = { 0 };

    if (rc > 0)
        return EXIT_DONE;
    if (rc < 0) {
        (void)fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    rc = config_read(o.config, &cfg, stderr);
    if (rc && rc != -EINVAL)
        (void)state_fail(EXIT_USAGE, "%s: %s", o.config, strerror(-rc));
    if (rc)
        return EXIT_USAGE;
    self = o.node ? config_node_by_name(&cfg, o.node) : config_self(&cfg);
    if (self < 0)
        return state_fail(EXIT_USAGE, "%s names no node '%s': add it there, or say which one this is with --node", o.config,
                          o.node ? o.node : "of this host name");
    ctx.self = (unsigned)self;
    ctx.grammar = lock_grammar_of(cfg.list.kind);
    rc = work_find(&o, &work);
    if (!rc)
        rc = user_become(&cfg, &ctx.uid);
    if (!rc)
        rc = sandbox_begin(&work);
    if (!rc)
        rc = harmless_parse(&ctx, o.harmless, &ctx.harmless);
    return rc ? rc : command_run(&ctx, &o, &work);
}
