/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engine asks the executor for, which is root: a request that is taken is a command of the fixed table, whatever
 * else stands in the message. */
#include <config.h>

#include "daemon/jobs.h"
#include "tests/fuzz/fuzz.h"

#define LIBEXEC "/usr/libexec/understudy"
#define OCF     "/usr/lib/ocf/resource.d/understudy"

static const struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } },
    .service = "mailman3", .address_ip = "192.0.2.9", .list_share = "/srv/lists", .list_with_service = true, .dad_ms = 40,
    .n_devices = 1, .devices = { { .agent = "/usr/sbin/fence_ipmilan" } } };

static const char *const programs[] = { LIBEXEC "/understudy-epoch", LIBEXEC "/understudy-state", LIBEXEC "/understudy-share",
    LIBEXEC "/understudy-intake", OCF "/address", OCF "/mailman3", "/usr/sbin/fence_ipmilan" };

static bool in_table(const char *path)
{
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        if (!strcmp(path, programs[i]))
            return true;
    return false;
}

static void list_is_sound(const struct job_command *c, char *const *list, unsigned max)
{
    unsigned n = 0;

    for (; list[n]; n++) {
        PROMISE(n < max && list[n] >= c->text && list[n] < c->text + sizeof c->text);
        PROMISE(memchr(list[n], '\0', (size_t)(c->text + sizeof c->text - list[n])));
    }
    PROMISE(n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct jobs_context ctx = { .cfg = &cfg, .config_path = "/etc/understudy/understudy.conf", .run = 7,
                                             .libexec_dir = LIBEXEC, .ocf_dir = OCF };
    static struct job_command c;
    struct wire_run run = { .job = JOB_NONE };

    memcpy(&run, data, size < sizeof run ? size : sizeof run);
    if (jobs_build(&ctx, &run, &c) != 0)
        return 0;
    PROMISE(run.job < JOB_N && run.deadline_ms <= JOBS_DEADLINE_MAX_MS && run.op_id != 0);
    PROMISE(in_table(c.path));
    PROMISE((c.user == JOB_AS_DAEMON) == !strcmp(c.path, LIBEXEC "/understudy-epoch"));
    PROMISE((c.user == JOB_AS_LIST) == !strcmp(c.path, LIBEXEC "/understudy-state"));
    PROMISE(c.fence == !strcmp(c.path, "/usr/sbin/fence_ipmilan"));
    list_is_sound(&c, c.argv, JOBS_ARGS_MAX);
    list_is_sound(&c, c.envp, JOBS_ENV_MAX);
    return 0;
}
