/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "cli/check_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/listchild.h"
#include "common/fileio.h"

#include "common/banned.h"

#define MAILMAN_MS   5000u
#define SYSTEMCTL_MS 500u
#define MOUNTS_MAX   (256u * 1024u)
#define MM_CFG_MAX   (64u * 1024u)
#define SYSTEMCTL    "/usr/bin/systemctl"

static unsigned unreadable(const struct config *cfg, FILE *out, int rc, const char *why)
{
    if (rc == -ETIMEDOUT)
        why = "it did not answer in time";
    else if (rc < 0)
        why = strerror(-rc);
    (void)fprintf(out, "%s: warning: %s could not be compared with this file: %.*s; what does not fit would be seen only in a "
                  "takeover; run check-config as root, with user and python of [mailman3] right\n", cfg->path,
                  cfg->list.config, (int)strcspn(why, "\n"), why);
    return 1;
}

static unsigned database_warn(const struct config *cfg, const json_t *mm, FILE *out)
{
    char *text = malloc(MOUNTS_MAX + 1);
    size_t len = 0;
    unsigned n = 0;

    if (text && fileio_read(AT_FDCWD, "/proc/self/mountinfo", text, MOUNTS_MAX, &len, NULL) == 0) {
        text[len] = '\0';
        n = check_database(cfg, mm, text, out);
    }
    free(text);
    return n;
}

static unsigned mailman_warn(const struct config *cfg, unsigned self, const char *libexec, FILE *out)
{
    char python[CONFIG_TEXT_MAX], config[CONFIG_TEXT_MAX], script[1024];
    char *argv[] = { python, script, config, NULL };
    struct listchild child;
    unsigned n;

    (void)snprintf(python, sizeof python, "%s", cfg->list.python);
    (void)snprintf(config, sizeof config, "%s", cfg->list.config);
    (void)snprintf(script, sizeof script, "%s/mailman-conf", libexec);
    int rc = listchild_run(cfg, argv, MAILMAN_MS, &child);
    json_t *mm = rc == 0 ? json_loads(child.out, 0, NULL) : NULL;
    if (json_is_object(mm))
        n = check_mailman(cfg, self, mm, out) + database_warn(cfg, mm, out);
    else
        n = unreadable(cfg, out, rc, rc == 0 ? "its answer makes no sense" : child.err);
    json_decref(mm);
    free(child.out);
    return n;
}

/* Whose programs are not there has another PREFIX than is said. */
static unsigned mailman2_warn(const struct config *cfg, unsigned self, FILE *out)
{
    static char text[MM_CFG_MAX + 1];
    char        path[CONFIG_TEXT_MAX + 32];
    size_t      len = 0;

    (void)snprintf(path, sizeof path, "%s/Mailman/mm_cfg.py", cfg->list.prefix);
    int rc = fileio_read(AT_FDCWD, path, text, MM_CFG_MAX, &len, NULL);
    if (rc == 0) {
        text[len] = '\0';
        return check_mailman2(cfg, self, text, out);
    }
    (void)fprintf(out, "%s: warning: %s: %s; without it Mailman does not start here; install it, or correct prefix in [mailman2]\n",
                  cfg->path, path, strerror(-rc));
    return 1;
}

/* The word of systemctl; nothing is said where there is no systemd. */
static unsigned unit_warn(const struct config *cfg, const char *unit, FILE *out)
{
    char name[CONFIG_NAME_MAX], program[] = SYSTEMCTL, verb[] = "is-enabled";
    char *argv[] = { program, verb, name, NULL };
    struct listchild child;
    unsigned n = 0;

    (void)snprintf(name, sizeof name, "%s", unit);
    int rc = listchild_run(cfg, argv, SYSTEMCTL_MS, &child);
    if (rc >= 0 && child.out) {
        child.out[strcspn(child.out, "\n")] = '\0';
        if (!child.out[0] && strstr(child.err, "No such file or directory"))
            (void)snprintf(child.out, LISTCHILD_OUT_MAX, "not-found"); /* as older versions say it */
        n = check_unit(cfg, unit, child.out, out);
    }
    free(child.out);
    return n;
}

unsigned check_host(const struct config *cfg, unsigned self, const char *libexec, FILE *out)
{
    unsigned n = cfg->list.kind == LIST_MAILMAN3 ? mailman_warn(cfg, self, libexec, out) : mailman2_warn(cfg, self, out);

    n += unit_warn(cfg, cfg->list.kind == LIST_MAILMAN3 ? "mailman3.service" : "mailman.service", out);
    for (unsigned i = 0; i < cfg->n_also_units; i++)
        n += unit_warn(cfg, cfg->also_units[i], out);
    return n;
}
