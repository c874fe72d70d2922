/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include <string.h>

#include "cli/cli.h"
#include "common/exitcodes.h"

#include "common/banned.h"

static int command_run(const struct cli *c)
{
    static const struct { const char *name; int (*run)(const struct cli *); } table[] = {
        { "status", cmd_status }, { "explain", cmd_explain }, { "acknowledge", cmd_acknowledge }, { "clear", cmd_clear },
        { "init", cmd_init }, { "report", cmd_report },
        { "switchover", cmd_switchover }, { "maintenance", cmd_maintenance }, { "fence", cmd_fence },
        { "reload", cmd_reload }, { "check-config", cmd_check_config },
        { "gate", cmd_gate },
        { "locks", cmd_locks }, { "queue", cmd_queue },
    };

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].name, c->command))
            return table[i].run(c);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct cli c;
    int rc;

    if (cli_parse(argc, argv, &c, stderr))
        return EXIT_USAGE;
    if (c.help) {
        cli_usage(stdout);
        return EXIT_DONE;
    }
    if (c.version) {
        (void)puts("understudy " PACKAGE_VERSION);
        return EXIT_DONE;
    }
    if (!c.command) {
        cli_usage(stderr);
        return EXIT_USAGE;
    }
    rc = command_run(&c);
    if (fflush(stdout) == 0)
        return rc;
    (void)fputs("understudy: the answer could not be written out\n", stderr);
    return EXIT_FAILED;
}
