/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/engine_ipc.h"

#include "common/banned.h"

#define REST UINT_MAX /* arguments of a command that is run */

struct command { const char *name; unsigned options; unsigned least, most; const char *argument, *about; };

static const struct command commands[] = {
    { "status", 0, 0, 0, "", "what this node is and does, and what it knows of the others" },
    { "explain", CLI_RULES, 0, 0, "[--rules]", "what blocks right now, who says so, and what lifts it; --rules: all rules" },
    { "switchover", CLI_FORCE, 0, 1, "[NODE] [--force]", "move the service to the other node, without losing or repeating mail" },
    { "maintenance", CLI_REASON, 0, 1, "[on [--reason TEXT]|off]",
      "suspend claims, fencing and restarts on all nodes; without a word: is it on?" },
    { "fence", CLI_YES, 1, 2, "DEVICE [off|on] [--yes]", "ask a fence device for the power of its node, or change it" },
    { "reload", 0, 0, 0, "", "take up a changed configuration while everything runs on" },
    { "acknowledge", CLI_YES | CLI_BOOT_ALONE, 1, 1, "NODE [--boot-alone] [--yes]",
      "say that NODE is switched off, because you have seen it" },
    { "clear", 0, 0, 0, "", "let this node act again after a hold, and count its failures anew" },
    { "init", CLI_YES | CLI_RECOVER | CLI_OFF, 0, 0, "[--recover [--off NODE]]",
      "identity and first epoch of a new control share; --recover: go on above lost epochs" },
    { "report", 0, 0, 1, "[EPOCH]", "the report of the takeover with that epoch, or of the last one here" },
    { "gate", CLI_QUIET, 0, REST, "[-- COMMAND ...]",
      "does this node hold the tenure? COMMAND: run it only then; --quiet: no word where it does not" },
    { "locks", 0, 0, 0, "", "the locks on the list share: whose they are, how old, and what would be done with them" },
    { "queue", 0, 0, 0, "", "the list server's queues: how much waits, since when, what was put aside" },
    { "check-config", 0, 0, 1, "[FILE]", "every mistake of the configuration, with its line" },
};

void cli_usage(FILE *out)
{
    (void)fputs("usage: understudy [OPTIONS] COMMAND\n\n", out);
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char left[40];
        (void)snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].argument);
        (void)fprintf(out, "  %-26s %s\n", left, commands[i].about);
    }
    (void)fputs("\n"
        "  --json           the answer as JSON\n"
        "  --config FILE    default " UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf\n"
        "  --rundir DIR     where the engine keeps its snapshot (default " UNDERSTUDY_RUNDIR ")\n"
        "  --statedir DIR   where reports are, in DIR/reports (default " UNDERSTUDY_STATEDIR ")\n"
        "  --gatedir DIR    where understudyd keeps the tenure token (default " UNDERSTUDY_GATEDIR ")\n"
        "  --libexecdir DIR where understudy's other programs are (default " UNDERSTUDY_LIBEXECDIR ")\n"
        "  --service NAME   name of the engine's service (default " IPC_SERVICE_NAME ")\n"
        "  --help, --version\n\n"
        "exit codes: 0 done, 1 refused or failed (stderr says why), 2 wrong usage, 3 the daemon does not answer\n", out);
}

static const struct command *command_find(const char *name)
{
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

/* Of the lowest bit. */
static const char *option_name(unsigned given)
{
    static const char *const names[] = { "--yes", "--rules", "--force", "--boot-alone", "--quiet", "--recover", "--off",
                                         "--reason" };
    unsigned i = (unsigned)__builtin_ctz(given);

    return i < sizeof names / sizeof names[0] ? names[i] : "such option";
}

static int words_take(int argc, char **argv, int first, struct cli *c, FILE *errors)
{
    const struct command *cmd;

    if (first == argc)
        return 0;
    c->command = argv[first++];
    cmd = command_find(c->command);
    if (!cmd) {
        (void)fprintf(errors, "understudy: there is no command \"%s\"; understudy --help lists them\n", c->command);
        return -EINVAL;
    }
    if (cmd->most == REST) {
        c->rest = first < argc ? argv + first : NULL;
        first = argc;
    }
    for (; first < argc && c->n_arguments < CLI_ARGUMENTS_MAX; first++)
        c->argument[c->n_arguments++] = argv[first];
    if (first < argc || c->n_arguments < cmd->least || c->n_arguments > cmd->most) {
        (void)fprintf(errors, "understudy: usage: understudy %s %s\n", cmd->name, cmd->argument);
        return -EINVAL;
    }
    if (c->given & ~cmd->options) {
        (void)fprintf(errors, "understudy: %s takes no %s\n", cmd->name, option_name(c->given & ~cmd->options));
        return -EINVAL;
    }
    if ((c->given & CLI_OFF) && !c->recover) {
        (void)fprintf(errors, "understudy: --off goes with init --recover only\n");
        return -EINVAL;
    }
    if (c->reason && (!c->n_arguments || strcmp(c->argument[0], "on") != 0)) {
        (void)fprintf(errors, "understudy: --reason goes with maintenance on only\n");
        return -EINVAL;
    }
    return 0;
}

static int option_take(struct cli *c, int opt)
{
    switch (opt) {
    case 'c': c->config = optarg; break;
    case 's': c->service = optarg; break;
    case 'd': c->rundir = optarg; break;
    case 't': c->statedir = optarg; break;
    case 'l': c->libexecdir = optarg; break;
    case 'j': c->json = true; break;
    case 'y': c->yes = true; c->given |= CLI_YES; break;
    case 'f': c->force = true; c->given |= CLI_FORCE; break;
    case 'b': c->boot_alone = true; c->given |= CLI_BOOT_ALONE; break;
    case 'R': c->recover = true; c->given |= CLI_RECOVER; break;
    case 'o':
        if (c->n_off == CLI_OFF_MAX)
            return -EINVAL;
        c->off[c->n_off++] = optarg;
        c->given |= CLI_OFF;
        break;
    case 'm': c->reason = optarg; c->given |= CLI_REASON; break;
    case 'r': c->rules = true; c->given |= CLI_RULES; break;
    case 'q': c->quiet = true; c->given |= CLI_QUIET; break;
    case 'g': c->gatedir = optarg; break;
    case 'h': c->help = true; break;
    case 'V': c->version = true; break;
    default: return -EINVAL;
    }
    return 0;
}

int cli_parse(int argc, char **argv, struct cli *ret, FILE *errors)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "service", required_argument, NULL, 's' },
        { "rundir", required_argument, NULL, 'd' }, { "statedir", required_argument, NULL, 't' },
        { "libexecdir", required_argument, NULL, 'l' },
        { "json", no_argument, NULL, 'j' }, { "yes", no_argument, NULL, 'y' }, { "rules", no_argument, NULL, 'r' },
        { "force", no_argument, NULL, 'f' }, { "boot-alone", no_argument, NULL, 'b' },
        { "quiet", no_argument, NULL, 'q' }, { "gatedir", required_argument, NULL, 'g' },
        { "recover", no_argument, NULL, 'R' }, { "off", required_argument, NULL, 'o' },
        { "reason", required_argument, NULL, 'm' },
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 },
    };
    struct cli c = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf", .service = IPC_SERVICE_NAME,
        .rundir = UNDERSTUDY_RUNDIR, .statedir = UNDERSTUDY_STATEDIR, .gatedir = UNDERSTUDY_GATEDIR,
        .libexecdir = UNDERSTUDY_LIBEXECDIR };
    int opt, rc;

    optind = 0; /* glibc: begin anew, also after an earlier parse */
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option_take(&c, opt) == 0)
            continue;
        (void)fprintf(errors, "understudy: option %s is not known or lacks its value; see understudy --help\n",
                      argv[optind > 0 && optind <= argc ? optind - 1 : 0]);
        return -EINVAL;
    }
    rc = words_take(argc, argv, optind, &c, errors);
    if (rc)
        return rc;
    *ret = c;
    return 0;
}
