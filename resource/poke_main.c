/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-poke: after a takeover, run by the executor as user understudy, or by hand. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/exitcodes.h"
#include "resource/poke.h"

#include "common/banned.h"

static int usage(FILE *out)
{
    (void)fputs("usage: understudy-poke [--config FILE] [--node NAME]\n"
                "exit: 0 every MX host took the request, 1 not every one (stderr says which), 2 usage\n", out);
    return EXIT_USAGE;
}

struct options { const char *config, *node; };

/* 0, 1 after --help, or -EINVAL. */
static int options_read(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };

    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'c': ret->config = optarg; break;
        case 'n': ret->node = optarg; break;
        case 'h': (void)usage(stdout); return 1;
        default: return -EINVAL; /* getopt_long has said what it is */
        }
    }
    return optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    struct options o = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf" };
    static struct config cfg;
    int rc = options_read(argc, argv, &o), self;

    if (rc)
        return rc > 0 ? EXIT_DONE : usage(stderr);
    if (config_read(o.config, &cfg, stderr))
        return EXIT_USAGE;
    self = o.node ? config_node_by_name(&cfg, o.node) : config_self(&cfg);
    if (self < 0) {
        (void)fprintf(stderr, "understudy-poke: %s names no node '%s': say which one this is with --node\n", o.config,
                      o.node ? o.node : "of this host name");
        return EXIT_USAGE;
    }
    if (cfg.mail.n_mx == 0) {
        (void)fputs("understudy-poke: [mail] names no MX host: add mx and domains, or let them retry by themselves\n",
                    stderr);
        return EXIT_DONE;
    }
    rc = poke_all(&cfg.mail, cfg.nodes[self].fqdn, clock_now_ms() + cfg.mail.poke_timeout_ms);
    if (rc < 0)
        (void)fprintf(stderr, "understudy-poke: %s\n", strerror(-rc));
    return fflush(stdout) != 0 || rc ? EXIT_FAILED : EXIT_DONE;
}
