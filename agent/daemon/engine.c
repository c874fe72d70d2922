/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-engine: the process that decides. It wires facts, core, executor, members and the command line around
 * one libqb loop; it touches no share and never blocks (design: Programs and processes). */
#include <config.h>

#include "daemon/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <qb/qbdefs.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "common/exitcodes.h"
#include "common/num.h"
#include "common/sandbox.h"
#include "daemon/engine_answer.h"
#include "daemon/log.h"

#include "common/banned.h"

static void usage(FILE *out)
{
    (void)fputs("usage: understudy-engine --run HEX16 [--config FILE] [--node NAME]\n"
                "Started by understudyd, with the executor on descriptor 3 and members on 4; of no use otherwise.\n"
                "  --rundir DIR    where status.json is written\n"
                "  --statedir DIR  where reports are kept, in DIR/reports\n"
                "  --ipc NAME      name of the service that the command line asks\n"
                "  --adoptable N   epoch whose list service runs here and may be adopted under maintenance\n"
    "  --verbose       log also why nothing was done\n", out);
}

static int options_read(struct engine *e, int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "run", required_argument, NULL, 'r' },
        { "node", required_argument, NULL, 'n' }, { "rundir", required_argument, NULL, 'd' },
        { "statedir", required_argument, NULL, 's' }, { "ipc", required_argument, NULL, 'i' },
        { "adoptable", required_argument, NULL, 'a' },
        { "verbose", no_argument, NULL, 'v' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'c': e->opt.config = optarg; break;
        case 'n': e->opt.node = optarg; break;
        case 'd': e->opt.rundir = optarg; break;
        case 's': e->opt.statedir = optarg; break;
        case 'i': e->opt.ipc = optarg; break;
        case 'v': e->opt.verbose = true; break;
        case 'a':
            if (num_parse_u64(optarg, 1, UINT64_MAX - 2, &e->opt.adoptable) == 0)
                break;
            (void)fprintf(stderr, "understudy-engine: --adoptable %s: not the number of an epoch\n", optarg);
            return -EINVAL;
        case 'h': usage(stdout); exit(EXIT_DONE);
        case 'r':
            if (num_parse_hex64(optarg, &e->run) == 0)
                break;
            (void)fprintf(stderr, "understudy-engine: --run %s: not 16 hexadecimal digits\n", optarg);
            return -EINVAL;
        default:
            usage(stderr);
            return -EINVAL;
        }
    }
    if (optind == argc && e->run != 0)
        return 0;
    usage(stderr);
    return -EINVAL;
}

static int identity_read(struct engine *e)
{
    struct passwd *list;
    int rc = config_read(e->opt.config, &e->cfg, stderr), self;

    if (rc)
        return rc;
    self = e->opt.node ? config_node_by_name(&e->cfg, e->opt.node) : config_self(&e->cfg);
    if (self < 0) {
        log_error("%s: this host is none of the configured nodes: its hostname must be that of a [node] section",
                  e->opt.config);
        return self;
    }
    e->self = (unsigned)self;
    rc = bootid_read(&e->boot);
    if (rc) {
        log_error("the kernel's boot id cannot be read: %s", strerror(-rc));
        return rc;
    }
    list = getpwnam(e->cfg.list.user);
    if (!list) {
        log_error("user %s, under which the list service runs, does not exist: create it, or correct [mailman3] user",
                  e->cfg.list.user);
        return -ENOENT;
    }
    e->list_uid = list->pw_uid;
    return 0;
}

static int32_t on_signal(int32_t number, void *data)
{
    struct engine *e = data;

    log_notice("signal %d: ending; the executor stops what runs here", (int)number);
    qb_loop_stop(e->loop);
    return 0;
}

static int timer_make(int first_ms, int every_ms)
{
    struct itimerspec t = { .it_value = { first_ms / 1000, (long)(first_ms % 1000) * 1000000 },
                            .it_interval = { every_ms / 1000, (long)(every_ms % 1000) * 1000000 } };
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd < 0 || timerfd_settime(fd, 0, &t, NULL) == 0)
        return fd < 0 ? -errno : fd;
    int rc = -errno;
    (void)close(fd);
    return rc;
}

static int loop_add(struct engine *e, enum qb_loop_priority p, int fd, qb_loop_poll_dispatch_fn fn)
{
    if (fd < 0)
        return fd;
    return qb_loop_poll_add(e->loop, p, fd, POLLIN, e, fn);
}

static int loop_setup(struct engine *e)
{
    int rc;

    e->loop = qb_loop_create();
    if (!e->loop)
        return -ENOMEM;
    e->tick_fd = timer_make(1, ENGINE_TICK_MS);
    e->wake_fd = timer_make(0, 0);
    rc = worker_start(&e->scanner);
    rc = rc ? rc : worker_start(&e->writer);
    rc = rc ? rc : loop_add(e, QB_LOOP_HIGH, WIRE_FD_MEMBERS, engine_on_members);
    rc = rc ? rc : loop_add(e, QB_LOOP_HIGH, WIRE_FD_EXECUTOR, engine_on_executor);
    rc = rc ? rc : loop_add(e, QB_LOOP_MED, e->tick_fd, engine_on_tick);
    rc = rc ? rc : loop_add(e, QB_LOOP_MED, e->wake_fd, engine_on_wake);
    rc = rc ? rc : loop_add(e, QB_LOOP_MED, worker_fd(&e->scanner), engine_on_scanner);
    rc = rc ? rc : loop_add(e, QB_LOOP_MED, worker_fd(&e->writer), engine_on_writer);
    rc = rc ? rc : qb_loop_signal_add(e->loop, QB_LOOP_HIGH, SIGTERM, e, on_signal, NULL);
    return rc ? rc : qb_loop_signal_add(e->loop, QB_LOOP_HIGH, SIGINT, e, on_signal, NULL);
}

static int engine_setup(struct engine *e)
{
    uint64_t now = clock_now_ms();
    int rc = identity_read(e);

    if (rc)
        return rc;
    answer_watch();
    engine_parts_init(e, now);
    rc = loop_setup(e);
    if (rc) {
        log_error("the loop cannot be set up: %s", strerror(-rc));
        return rc;
    }
    rc = ipc_start(e->loop, e->opt.ipc, request_handle, &e->request);
    if (rc)
        log_error("service \"%s\" cannot be opened: %s. Is another engine running?", e->opt.ipc, strerror(-rc));
    return rc;
}

/* After everything is open that is opened once. */
static int sandbox_begin(struct engine *e)
{
    int rc = sandbox_enter(SANDBOX_ENGINE);

    e->request.view.sandboxed = rc == 0;
    if (rc == -ENOSYS)
        log_warning("system calls are not limited: this build or this kernel has no seccomp");
    else if (rc)
        log_error("system calls cannot be limited: %s", strerror(-rc));
    return rc == -ENOSYS ? 0 : rc;
}

int main(int argc, char **argv)
{
    static struct engine e = { .opt = { .config = UNDERSTUDY_SYSCONFDIR "/understudy/understudy.conf",
        .rundir = UNDERSTUDY_RUNDIR, .statedir = UNDERSTUDY_STATEDIR, .ipc = IPC_SERVICE_NAME } };

    if (options_read(&e, argc, argv))
        return EXIT_USAGE;
    (void)umask(022);
    (void)signal(SIGPIPE, SIG_IGN);
    log_open("understudy-engine", e.opt.verbose ? LOG_INFO : LOG_NOTICE);
    if (engine_setup(&e) || sandbox_begin(&e)) {
        log_close();
        return EXIT_FAILED;
    }
    log_notice("node %s of cluster %s, run %016llx", e.cfg.nodes[e.self].name, e.cfg.cluster, (unsigned long long)e.run);
    qb_loop_run(e.loop);
    ipc_stop();
    log_close();
    return e.driver.gone ? EXIT_FAILED : EXIT_DONE;
}
