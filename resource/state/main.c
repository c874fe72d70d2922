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
    const char *config, *node, *harmless, *command;
    uint64_t    epoch;
    bool        json, epoch_given;
};

static const char usage_text[] =
    "usage: understudy-state [--config FILE] [--node NAME] [--json] COMMAND\n"
    "  check                          locks and queues, read only\n"
    "  locks | queue                  each alone, read only\n"
    "  recover --epoch N [--harmless NODE,...]   clear locks of harmless and dead owners, put aside what would kill a runner\n"
    "  release --epoch N              clear the locks of this node's own dead processes\n"
    "  sync [--epoch N]               write out to the server; with --epoch after a release\n"
    "  probe                          can a message be stored? writes a small file and removes it\n"
    "exit: 0 ok, 1 failed, 2 usage, 3 refused: a lock of a live or unknown owner, or a list process here, 4 no space\n";

static int options_parse(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' },
        { "harmless", required_argument, NULL, 'H' }, { "epoch", required_argument, NULL, 'e' },
        { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'c': ret->config = optarg; break;
        case 'n': ret->node = optarg; break;
        case 'H': ret->harmless = optarg; break;
        case 'j': ret->json = true; break;
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

static int command_run(struct state_ctx *ctx, const struct options *o)
{
    struct state_totals totals = { 0 };
    bool recover = !strcmp(o->command, "recover"), release = !strcmp(o->command, "release");
    bool sync = !strcmp(o->command, "sync"), probe = !strcmp(o->command, "probe");
    bool check = !strcmp(o->command, "check");
    release = release || (sync && o->epoch_given);
    bool locks = recover || release || check || !strcmp(o->command, "locks");
    bool queue = recover || check || !strcmp(o->command, "queue");
    int code = EXIT_DONE;

    if (!locks && !queue && !sync && !probe)
        return state_fail(EXIT_USAGE, "there is no command '%s'; see --help", o->command);
    if ((recover || release) != o->epoch_given || (o->harmless && !recover))
        return state_fail(EXIT_USAGE, "%s: %s", o->command, recover || release ? "needs --epoch" :
                          "--epoch and --harmless are for recover");
    ctx->change = recover || release;
    ctx->epoch = o->epoch;
    ctx->own_only = release;
    if (ctx->change)
        code = quiet_check(ctx);
    if (code)
        return code;
    if (recover) /* what cannot put anything aside changes nothing */
        code = state_probe(ctx, false);
    state_out_begin(o->json);
    if (!code && locks)
        code = state_locks(ctx, &totals);
    if (!code && queue)
        code = state_queue(ctx, &totals);
    if (!code && sync)
        code = state_sync(ctx);
    if (!code && probe)
        code = state_probe(ctx, true);
    state_out_end(&totals);
    return fflush(stdout) ? EXIT_FAILED : code;
}

/* Of a kernel without it engine and members tell. */
static int sandbox_begin(bool makes_files)
{
    int rc = sandbox_enter(makes_files ? SANDBOX_RECOVER : SANDBOX_STATE);

    return rc && rc != -ENOSYS ? state_fail(EXIT_FAILED, "giving up system calls: %s", strerror(-rc)) : EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct options o = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf" };
    static struct config cfg;
    struct state_ctx ctx = { .cfg = &cfg, .proc = "/proc" };
    int rc = options_parse(argc, argv, &o), self;

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
    rc = user_become(&cfg, &ctx.uid);
    if (!rc)
        rc = sandbox_begin(!strcmp(o.command, "recover") || !strcmp(o.command, "probe"));
    if (!rc)
        rc = harmless_parse(&ctx, o.harmless, &ctx.harmless);
    return rc ? rc : command_run(&ctx, &o);
}
