/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudyd: reads the configuration and the secrets, and becomes the executor. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "daemon/executor.h"
#include "daemon/log.h"
#include "daemon/privileges.h"

#include "common/banned.h"

#define PRIORITY (-10) /* nice(2): what stands between an outage and its end goes before what the node computes besides */

struct arguments {
    const char *config, *node;
    bool        foreground, check;
};

static void usage(FILE *out)
{
    (void) fprintf(out, "usage: understudyd [--config FILE] [--node NAME] [--foreground] [--check]\n"
                   "  --config FILE   configuration; default " UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf\n"
                   "  --node NAME     which node this is; default: the one with this hostname\n"
                   "  --foreground    log to stderr instead of syslog\n"
                   "  --check         read configuration and secrets, name every mistake, start nothing\n");
}

/* 0, or the exit status + 1. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "node", required_argument, NULL, 'n' },
        { "foreground", no_argument, NULL, 'f' }, { "check", no_argument, NULL, 'k' },
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 },
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "c:n:fh", options, NULL)) != -1) {
        switch (opt) {
        case 'c': ret->config = optarg; break;
        case 'n': ret->node = optarg; break;
        case 'f': ret->foreground = true; break;
        case 'k': ret->check = true; break;
        case 'h': usage(stdout); return EXIT_DONE + 1;
        case 'V': (void) puts("understudyd " PACKAGE_VERSION); return EXIT_DONE + 1;
        default: usage(stderr); return EXIT_USAGE + 1;
        }
    }
    if (optind < argc) {
        usage(stderr);
        return EXIT_USAGE + 1;
    }
    return 0;
}

/* Before the first thread: the log's writer must not be the one that a signal ends. */
static void block_signals(void)
{
    sigset_t all;

    (void) sigfillset(&all);
    (void) sigprocmask(SIG_BLOCK, &all, NULL);
}

static int to_background(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int rc = dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ? -errno : 0;
    if (fd > STDERR_FILENO)
        (void) close(fd);
    return rc;
}

/* Takes `secrets`. */
static int run(const struct arguments *a, const char *path, struct config *cfg, struct secrets *secrets)
{
    static struct executor x; /* large, and there is only one */
    const struct exec_options opt = {
        .config_path = path, .node = a->node, .user = UNDERSTUDY_USER, .libexec_dir = UNDERSTUDY_LIBEXECDIR,
        .ocf_dir = UNDERSTUDY_OCFDIR, .run_dir = UNDERSTUDY_RUNDIR, .gate_dir = UNDERSTUDY_GATEDIR,
        .state_dir = UNDERSTUDY_STATEDIR, .defer_dir = UNDERSTUDY_DEFERDIR,
        .reboot = exec_may_reboot() ? exec_reboot : NULL,
    };
    int rc = a->foreground ? 0 : to_background();

    block_signals();
    int priority = setpriority(PRIO_PROCESS, 0, PRIORITY) < 0 ? -errno : 0; /* before the log's thread, which inherits it */
    int kept = privileges_keep(privileges_of_executor(cfg->list_with_service)); /* after that, and also before that thread */
    log_open("understudyd", LOG_INFO);
    if (priority < 0)
        log_info("runs with normal priority: %s", strerror(-priority));
    if (kept < 0)
        log_error("capabilities that are not needed cannot be given up: %s", strerror(-kept));
    rc = rc == 0 ? kept : rc;
    if (rc == 0)
        rc = executor_init(&x, &opt, cfg, secrets);
    if (rc < 0)
        log_error("not started: %s", strerror(-rc));
    rc = rc < 0 ? EXIT_FAILED : executor_run(&x);
    secrets_free(x.secrets ? x.secrets : secrets);
    log_close();
    return rc;
}

int main(int argc, char **argv)
{
    struct arguments a = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf" };
    static struct config cfg;
    struct secrets *secrets = NULL;
    int rc = parse_arguments(argc, argv, &a);

    if (rc != 0)
        return rc - 1;
    if (geteuid() != 0) {
        (void) fprintf(stderr, "understudyd: has to be started by root; it starts programs as several users; use sudo\n");
        return EXIT_USAGE;
    }
    (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* secrets: no core dumps, no ptrace */
    char *path = realpath(a.config, NULL);
    rc = config_read_owned(a.config, 0, &cfg, stderr);
    if (rc == 0)
        rc = secrets_read(&cfg, 0, &secrets, stderr);
    if (rc == 0 && a.check) {
        (void) config_warn(&cfg, stderr);
        (void) printf("%s: good\n", path);
    }
    if (rc < 0)
        rc = EXIT_USAGE;
    else if (!a.check)
        rc = run(&a, path, &cfg, secrets);
    else
        secrets_free(secrets);
    free(path);
    return rc;
}
