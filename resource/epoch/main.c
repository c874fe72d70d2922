/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-epoch: claims, tenures and ends on the control share. See understudy-epoch(8). */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/exitcodes.h"
#include "common/num.h"
#include "common/sandbox.h"
#include "resource/epoch/epoch.h"

#include "common/banned.h"

struct options {
    const char *config, *node, *state_dir, *proof, *reason, *command, *argument;
    uint64_t    run, op, n;
    uint32_t    duration_ms;
    bool        json, planned, unplanned, recover;
};

static const char usage_text[] =
    "usage: understudy-epoch [--config FILE] [--node NAME] [--run HEX16] [--op N] [--state-dir DIR] COMMAND\n"
    "  read [--json]               one listing of the epochs\n"
    "  watch                       a listing and a beat every beat_interval\n"
    "  claim N                     bid for epoch N, the highest + 1\n"
    "  own N --proof NODE=PROOF,.. take up the tenure of epoch N, which this run has claimed\n"
    "  end N --planned|--unplanned release or withdraw epoch N of this node\n"
    "  maintain [--reason TEXT]    suspend claims, fencing and restarts\n"
    "  unmaintain                  let them go on\n"
    "  drain --duration MS         wait while the share answers\n"
    "  init [--recover [--above N]] make the first identity and epoch, or go on above lost ones\n"
    "exit: 0 done or won, 1 failed, 2 usage, 3 lost, 4 wrong share, 5 share behind this node\n";

static int option_take(struct options *o, int c)
{
    int rc = 0;

    switch (c) {
    case 'c': o->config = optarg; break;
    case 'n': o->node = optarg; break;
    case 's': o->state_dir = optarg; break;
    case 'p': o->proof = optarg; break;
    case 'm': o->reason = optarg; break;
    case 'j': o->json = true; break;
    case 'P': o->planned = true; break;
    case 'U': o->unplanned = true; break;
    case 'R': o->recover = true; break;
    case 'r': rc = num_parse_hex64(optarg, &o->run); break;
    case 'o': rc = num_parse_u64(optarg, 0, UINT64_MAX - 1, &o->op); break;
    case 'a': rc = num_parse_u64(optarg, 0, UINT64_MAX - 2, &o->n); break;
    case 'd': rc = num_parse_u32(optarg, 1, 86400000u, &o->duration_ms); break;
    case 'h':
        (void)fputs(usage_text, stdout);
        return 1;
    default: /* getopt_long has said what it is */
        return -EINVAL;
    }
    if (rc)
        (void)epoch_fail(EXIT_USAGE, "'%s' is not a number of the right form", optarg);
    return rc;
}

static int options_parse(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' },
        { "run", required_argument, NULL, 'r' }, { "op", required_argument, NULL, 'o' },
        { "state-dir", required_argument, NULL, 's' }, { "json", no_argument, NULL, 'j' },
        { "proof", required_argument, NULL, 'p' }, { "planned", no_argument, NULL, 'P' },
        { "unplanned", no_argument, NULL, 'U' }, { "duration", required_argument, NULL, 'd' },
        { "recover", no_argument, NULL, 'R' }, { "above", required_argument, NULL, 'a' },
        { "reason", required_argument, NULL, 'm' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        int rc = option_take(ret, c);
        if (rc)
            return rc;
    }
    ret->command = optind < argc ? argv[optind] : NULL;
    ret->argument = optind + 1 < argc ? argv[optind + 1] : NULL;
    return ret->command && argc - optind <= 2 ? 0 : -EINVAL;
}

static int context_make(const struct options *o, const struct config *cfg, struct epoch_ctx *ret)
{
    int self = o->node ? config_node_by_name(cfg, o->node) : config_self(cfg), rc;

    if (self < 0)
        return epoch_fail(EXIT_USAGE, "%s names no node '%s': add it there, or say which one this is with --node", o->config,
                          o->node ? o->node : "of this host name");
    *ret = (struct epoch_ctx){ .cfg = cfg, .node = cfg->nodes[self].name, .run = o->run, .op = o->op,
                               .state_dir = o->state_dir };
    rc = bootid_read(&ret->boot);
    return rc ? epoch_fail_call("reading the boot id", rc) : EXIT_DONE;
}

static int command_run(const struct epoch_ctx *ctx, const struct options *o)
{
    const char *cmd = o->command;
    uint64_t n = 0;
    bool numbered = !strcmp(cmd, "claim") || !strcmp(cmd, "own") || !strcmp(cmd, "end");

    if (numbered != (o->argument != NULL) || (numbered && num_parse_u64(o->argument, 1, UINT64_MAX - 2, &n)))
        return epoch_fail(EXIT_USAGE, "%s: %s", cmd, numbered ? "needs the number of an epoch" : "takes no argument");
    if (!strcmp(cmd, "read"))
        return epoch_cmd_read(ctx, o->json);
    if (!strcmp(cmd, "watch"))
        return epoch_cmd_watch(ctx);
    if (!strcmp(cmd, "claim"))
        return epoch_cmd_claim(ctx, n);
    if (!strcmp(cmd, "own"))
        return epoch_cmd_own(ctx, n, o->proof ? o->proof : "");
    if (!strcmp(cmd, "end"))
        return o->planned != o->unplanned ? epoch_cmd_end(ctx, n, o->planned)
            : epoch_fail(EXIT_USAGE, "end: say either --planned or --unplanned");
    if (!strcmp(cmd, "maintain"))
        return epoch_cmd_maintain(ctx, o->reason ? o->reason : "");
    if (!strcmp(cmd, "unmaintain"))
        return epoch_cmd_unmaintain(ctx);
    if (!strcmp(cmd, "drain"))
        return o->duration_ms ? epoch_cmd_drain(ctx, o->duration_ms) : epoch_fail(EXIT_USAGE, "drain: needs --duration");
    if (!strcmp(cmd, "init"))
        return epoch_cmd_init(ctx, o->recover, o->n);
    return epoch_fail(EXIT_USAGE, "there is no command '%s'; see --help", cmd);
}

int main(int argc, char **argv)
{
    struct options o = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf", .state_dir = UNDERSTUDY_STATEDIR };
    static struct config cfg;
    struct epoch_ctx ctx;
    int rc = options_parse(argc, argv, &o), code;

    if (rc > 0)
        return EXIT_DONE;
    if (rc < 0) {
        (void)fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    if (config_read_trusted(o.config, &cfg, stderr))
        return EXIT_USAGE;
    code = context_make(&o, &cfg, &ctx);
    if (geteuid() == 0 || o.run == 0)
        epoch_share_find_user();
    if (!code && geteuid() == 0 && (rc = epoch_share_become_owner(&cfg)) != 0)
        code = epoch_fail_call("becoming the owner of .understudy", rc);
    rc = code ? 0 : sandbox_enter(SANDBOX_EPOCH);
    if (rc < 0 && rc != -ENOSYS) /* engine and members tell of a kernel without it */
        code = epoch_fail_call("giving up system calls", rc);
    if (!code)
        code = command_run(&ctx, &o);
    /* What could not be said has not been answered. */
    return fflush(stdout) && !code ? epoch_fail_call("writing the answer", -errno) : code;
}
