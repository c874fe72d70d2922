/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy init: identity and epoch.0 on a new control share; or, with --recover, numbers above
 * lost ones. The engine checks that nobody serves anywhere and has
 * the files made; the directory for them, in the share's root, needs root and is made here, in a child with a deadline. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/config.h"
#include "common/exitcodes.h"

#include "common/banned.h"

#define ASK_MS       3000
#define INIT_MS     15000
#define RECOVER_MS  120000 /* each fence device is asked twice */
#define DIRECTORY_MS 5000
#define EPOCH_DIR    ".understudy"

enum directory_result { DIRECTORY_DONE, DIRECTORY_NOT_MOUNTED = 10, DIRECTORY_NO_USER, DIRECTORY_FAILED };

/* In the child. Never on the bare mount point: epochs on the local disk would be seen by this node alone. */
static int directory_make(const char *share)
{
    struct passwd *user = getpwnam(UNDERSTUDY_USER);
    struct statx st;
    int fd = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir;

    if (!user)
        return DIRECTORY_NO_USER;
    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) != 0)
        return DIRECTORY_FAILED;
    if ((st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return DIRECTORY_NOT_MOUNTED;
    if (mkdirat(fd, EPOCH_DIR, 0755) != 0)
        return errno == EEXIST ? DIRECTORY_DONE : DIRECTORY_FAILED; /* what is there is judged by understudy-epoch */
    dir = openat(fd, EPOCH_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || fchown(dir, user->pw_uid, user->pw_gid) != 0 || fsync(dir) != 0 || fsync(fd) != 0)
        return DIRECTORY_FAILED;
    return DIRECTORY_DONE;
}

/* Waits for the child until its deadline; -ETIMEDOUT when the share hangs: then nobody waits for it any more. */
static int child_wait(pid_t pid)
{
    struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    int status, rc;

    if (p.fd < 0)
        return -errno;
    do
        rc = poll(&p, 1, DIRECTORY_MS);
    while (rc < 0 && errno == EINTR);
    (void)close(p.fd);
    if (rc <= 0) {
        (void)kill(pid, SIGKILL);
        return -ETIMEDOUT;
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -ECHILD;
    return WEXITSTATUS(status);
}

static int directory_ensure(const char *share)
{
    pid_t pid = fork();
    int rc;

    if (pid == 0)
        _exit(directory_make(share));
    rc = pid < 0 ? -errno : child_wait(pid);
    if (rc == DIRECTORY_DONE)
        return EXIT_DONE;
    if (rc == -ETIMEDOUT)
        (void)fprintf(stderr, "understudy: %s does not answer. See to the file server, then run init again\n", share);
    else if (rc == DIRECTORY_NOT_MOUNTED)
        (void)fprintf(stderr, "understudy: nothing is mounted on %s. Mount the control share there, then run init again\n", share);
    else if (rc == DIRECTORY_NO_USER)
        (void)fputs("understudy: user " UNDERSTUDY_USER " does not exist. Create it as a system user, then run init again\n",
                    stderr);
    else
        (void)fprintf(stderr, "understudy: %s/%s cannot be made. Make it by hand: it must belong to user %s, mode 0755\n",
                      share, EPOCH_DIR, UNDERSTUDY_USER);
    return EXIT_FAILED;
}

static json_t *request_make(const struct cli *c, bool check)
{
    json_t *off = json_array();

    for (unsigned i = 0; i < c->n_off; i++)
        json_array_append_new(off, json_string(c->off[i]));
    return json_pack("{s:s, s:b, s:b, s:o}", "cmd", "init", "recover", c->recover, "check", check, "off", off);
}

static void print_plan(const struct cli *c, const char *share, const json_t *plan)
{
    char age[TEXT_AGE_MAX];
    const json_t *o;
    size_t i;

    (void)printf("Epochs on %s will go on at %lld or above. Every lower one is void then, whoever holds it.\n", share,
                 (long long)json_integer_value(json_object_get(plan, "next")));
    json_array_foreach(json_object_get(plan, "nodes"), i, o) {
        const char *how = text_of(o, "how");
        (void)printf("Node %s: ", text_of(o, "node"));
        if (!strcmp(how, "clean"))
            (void)puts("it is here and says that nothing of the list service runs on it");
        else if (!strcmp(how, "status"))
            (void)puts("it is away; its fence device will be asked, twice, whether it is off");
        else
            (void)printf("on your word that it is switched off; its last sign was seen %s ago\n",
                         text_age(json_object_get(o, "last_sign_ms_ago"), age));
    }
    if (c->n_off)
        (void)puts("A node that still runs works on the same queue as the next active one, and mail is lost or sent twice.\n"
                   "A ping that fails, a screen that is dark, a timeout: none of these is seeing it switched off.");
}

static int recover_confirm(const struct cli *c, const char *share, const json_t *plan)
{
    if (c->yes)
        return EXIT_DONE;
    print_plan(c, share, plan);
    for (unsigned i = 0; i < c->n_off; i++)
        if (!cli_confirmed(c->off[i])) {
            (void)fputs("understudy: not confirmed, nothing was done\n", stderr);
            return EXIT_FAILED;
        }
    return EXIT_DONE;
}

int cmd_init(const struct cli *c)
{
    static struct config cfg;
    json_t *o = NULL;
    int rc;

    if (config_read_trusted(c->config, &cfg, stderr))
        return EXIT_USAGE;
    rc = cli_ask(c, request_make(c, true), ASK_MS, &o);
    if (!rc && c->recover)
        rc = recover_confirm(c, cfg.control_share, o);
    json_decref(o);
    if (rc)
        return rc;
    rc = geteuid() == 0 ? directory_ensure(cfg.control_share) : 0;
    if (rc)
        return rc;
    rc = cli_ask(c, request_make(c, false), c->recover ? RECOVER_MS : INIT_MS, &o);
    if (rc)
        return rc;
    if (c->json)
        rc = cli_print_json(o);
    else
        (void)printf("%s is %s. The nodes may claim now: see understudy status\n", cfg.control_share,
                     c->recover ? "recovered" : "initialised");
    json_decref(o);
    return rc;
}
