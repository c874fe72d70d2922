/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-intake: opens and closes intake by hand or for the executor. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "common/num.h"
#include "resource/intake.h"
#include "resource/listuser.h"

#include "common/banned.h"

static int usage(FILE *out)
{
    (void)fprintf(out, "usage: understudy-intake open|close|status --port PORT [--user NAME]\n");
    return EXIT_USAGE;
}

static int failed(const char *command, uint32_t port, int rc)
{
    if (rc == -EREMOTEIO)
        (void)fprintf(stderr, "understudy-intake: could not %s intake on port %u: nft refused, see the line above; run "
                      "it as root on a kernel with nf_tables\n", command, port);
    else
        (void)fprintf(stderr, "understudy-intake: could not %s intake on port %u: %s; is /usr/sbin/nft (package "
                      "nftables) there?\n", command, port, strerror(-rc));
    return EXIT_FAILED;
}

struct request {
    uint32_t        port;
    struct listuser own;
};

/* EXIT_DONE, or the code to exit with; -1 after --help. */
static int options_read(int argc, char **argv, struct request *ret)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' }, { "user", required_argument, NULL, 'u' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout), -1;
        if (c != 'p' && c != 'u')
            return usage(stderr);
        if (c == 'p' && num_parse_u32(optarg, 1, 65535, &ret->port) != 0) {
            (void)fprintf(stderr, "understudy-intake: --port is \"%s\"; give a number from 1 to 65535\n", optarg);
            return EXIT_USAGE;
        }
        if (c == 'u' && listuser_find(optarg, &ret->own) != 0) {
            (void)fprintf(stderr, "understudy-intake: --user is \"%s\"; give the unprivileged user of the list server\n",
                          optarg);
            return EXIT_USAGE;
        }
    }
    return argc - optind == 1 && ret->port != 0 ? EXIT_DONE : usage(stderr);
}

int main(int argc, char **argv)
{
    struct request r = { .own = { .uid = INTAKE_NO_UID } };
    bool           closed = false;
    int            rc = options_read(argc, argv, &r);

    if (rc != EXIT_DONE)
        return rc < 0 ? EXIT_DONE : rc;
    const char *command = argv[optind];
    if (!strcmp(command, "close"))
        rc = intake_close((uint16_t)r.port, r.own.uid);
    else if (!strcmp(command, "open"))
        rc = intake_open((uint16_t)r.port);
    else if (!strcmp(command, "status"))
        rc = intake_status((uint16_t)r.port, &closed);
    else
        return usage(stderr);
    if (rc != 0)
        return failed(command, r.port, rc);
    closed = closed || !strcmp(command, "close");
    (void)printf("intake state=%s port=%u\n", closed ? "closed" : "open", r.port);
    return EXIT_DONE;
}
