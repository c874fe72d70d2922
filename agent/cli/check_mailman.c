/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mailman's own configuration against ours. */
#include <config.h>

#include "cli/check_host.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "common/ipaddr.h"

#include "common/banned.h"

__attribute__((format(printf, 3, 4)))
static unsigned warn(const struct config *cfg, FILE *out, const char *format, ...)
{
    char text[1536];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (char *p = text; *p; p++) /* parts of it are from files of others */
        if (iscntrl((unsigned char)*p))
            *p = '?';
    (void)fprintf(out, "%s: warning: %s\n", cfg->path, text);
    return 1;
}

static const char *text_at(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));

    return v ? v : "";
}

static bool is_loopback(const char *host)
{
    return !host[0] || !strcasecmp(host, "localhost") || !strncasecmp(host, "localhost.", 10) || !strncmp(host, "127.", 4)
        || !strcmp(host, "::1") || !strcmp(host, "[::1]");
}

static unsigned check_smtp(const struct config *cfg, unsigned self, const json_t *mm, FILE *out)
{
    const char *host = text_at(mm, "smtp_host");
    const struct config_node *n = &cfg->nodes[self];

    if (!is_loopback(host) && strcasecmp(host, n->fqdn) != 0 && strcasecmp(host, n->hostname) != 0)
        return 0;
    return warn(cfg, out, "smtp_host in %s is '%s', this host; mail that was handed to a mail server here dies with its "
                "disk, though the list server thinks it sent; let it hand mail to a host that is not a node",
                cfg->list.config, host);
}

static unsigned check_lmtp(const struct config *cfg, const json_t *mm, FILE *out)
{
    const char *host = text_at(mm, "lmtp_host");
    int ip = (int)strcspn(cfg->address_ip, "/");
    json_int_t port = json_integer_value(json_object_get(mm, "lmtp_port"));
    unsigned n = 0;

    if (!ipaddr_same(host, cfg->list.intake_host) || port != cfg->list.intake_port)
        n += warn(cfg, out, "LMTP listens on %s:%lld by %s, but on %s:%u by lmtp_host and lmtp_port here; the start would "
                  "wait for a greeting that never comes; make them the same", host, (long long)port,
                  cfg->list.config, cfg->list.intake_host, (unsigned)cfg->list.intake_port);
    if (!ipaddr_same(host, cfg->address_ip))
        n += warn(cfg, out, "lmtp_host in %s is '%s', not the floating address; the MX hosts would not follow a takeover; "
                  "set it to %.*s", cfg->list.config, host, ip, cfg->address_ip);
    return n;
}

static unsigned check_path(const struct config *cfg, const json_t *mm, const char *key, const char *ours, FILE *out)
{
    const char *theirs = text_at(mm, key);

    if (!strcmp(theirs, ours))
        return 0;
    return warn(cfg, out, "%s is %s by %s, but %s here; %s; make them the same", key, theirs, cfg->list.config, ours,
                !strcmp(key, "pid_file") ? "the master would not be found by it"
                                         : "the recovery pass would look at the wrong directory");
}

static unsigned check_fqdn(const struct config *cfg, unsigned self, const json_t *mm, FILE *out)
{
    const char *says = text_at(mm, "fqdn");

    if (!strcasecmp(says, cfg->nodes[self].fqdn))
        return 0;
    return warn(cfg, out, "fqdn of node %s is '%s', but Python's socket.getfqdn() says '%s' on this host; Mailman writes that "
                "into its locks, and whose they are would not be known%s; put the full name first after this host's own "
                "address in /etc/hosts, or correct fqdn", cfg->nodes[self].name, cfg->nodes[self].fqdn, says,
                is_loopback(says) ? " (the other node may say the same)" : "");
}

static const struct config_runner *runner_find(const struct config *cfg, const char *name)
{
    for (unsigned i = 0; i < cfg->list.n_runners; i++)
        if (!strcmp(cfg->list.runners[i].name, name))
            return &cfg->list.runners[i];
    return NULL;
}

static unsigned check_runners(const struct config *cfg, const json_t *mm, FILE *out)
{
    json_t *theirs = json_object_get(mm, "runners"), *instances;
    const char *name, *file = cfg->list.config;
    unsigned n = 0;

    json_object_foreach(theirs, name, instances) {
        const struct config_runner *r = runner_find(cfg, name);
        if (!r)
            n += warn(cfg, out, "runner %s is started by %s, but is not in runners here; nobody would notice its death; add "
                      "it, or set start: no in [runner.%s]", name, file, name);
        else if (json_integer_value(instances) != (json_int_t)r->slices)
            n += warn(cfg, out, "runner %s has %lld instances by %s, but %u slices here; a missing slice would not be "
                      "noticed, or waited for for ever; make them the same", name,
                      (long long)json_integer_value(instances), file, r->slices);
    }
    for (unsigned i = 0; i < cfg->list.n_runners; i++)
        if (!json_object_get(theirs, cfg->list.runners[i].name))
            n += warn(cfg, out, "runner %s is in runners here, but %s does not start it; the start would wait for it and fail; "
                      "remove it, or set start: yes in [runner.%s]", cfg->list.runners[i].name, file,
                      cfg->list.runners[i].name);
    if (!json_object_get(theirs, "retry"))
        n += warn(cfg, out, "%s starts no retry runner; mail that its relay puts off would wait for ever; set start: yes in "
                  "[runner.retry] and add retry to runners here", file);
    return n;
}

unsigned check_mailman(const struct config *cfg, unsigned self, const json_t *mm, FILE *out)
{
    unsigned n = check_smtp(cfg, self, mm, out) + check_lmtp(cfg, mm, out);

    n += check_path(cfg, mm, "pid_file", cfg->list.pid_file, out);
    n += check_path(cfg, mm, "lock_dir", cfg->list.lock_dir, out);
    n += check_path(cfg, mm, "queue_dir", cfg->list.queue_dir, out);
    return n + check_runners(cfg, mm, out) + check_fqdn(cfg, self, mm, out);
}

/* "... 5th field: mount point ... - TYPE SOURCE ...": the type of the mount with the longest point that holds `path`. */
static void mount_type(const char *mountinfo, const char *path, char *ret, size_t size)
{
    size_t best = 0;

    ret[0] = '\0';
    for (const char *line = mountinfo; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        const char *p = line, *tail = memmem(line, len, " - ", 3);
        for (unsigned i = 0; i < 4 && p && p < line + len; i++)
            p = memchr(p, ' ', (size_t)(line + len - p)) ? (const char *)memchr(p, ' ', (size_t)(line + len - p)) + 1 : NULL;
        if (!p || !tail || p >= tail)
            continue;
        size_t n = strcspn(p, " "), type = strcspn(tail + 3, " \n");
        bool holds = n == 1 || (!strncmp(p, path, n) && (path[n] == '/' || path[n] == '\0'));
        if (!holds || n < best || type >= size)
            continue;
        best = n;
        memcpy(ret, tail + 3, type);
        ret[type] = '\0';
    }
}

unsigned check_database(const struct config *cfg, const json_t *mm, const char *mountinfo, FILE *out)
{
    const json_t *db = json_object_get(mm, "database");
    const char *path = text_at(db, "path");
    char type[32];

    if (strcmp(text_at(db, "kind"), "sqlite") != 0 || path[0] != '/')
        return 0;
    mount_type(mountinfo, path, type, sizeof type);
    if (strncmp(type, "nfs", 3) != 0)
        return 0;
    return warn(cfg, out, "the list server's database is sqlite on NFS (%s); a dead node's locks on it stay until its lease at "
                "the server ends, and a takeover waits that long; use PostgreSQL on a host that is not a node, or shorten "
                "the lease at the NFS server", path);
}

unsigned check_unit(const struct config *cfg, const char *unit, const char *state, FILE *out)
{
    /* the list server itself, not what goes with it */
    bool three = !strcmp(unit, "mailman3.service"), ours = three || !strcmp(unit, "mailman.service");

    if (ours && strcmp(state, "masked") != 0 && strcmp(state, "masked-runtime") != 0 && strcmp(state, "not-found") != 0
        && state[0])
        return warn(cfg, out, "%s is %s, not masked; it runs '%s', which %s, and then two nodes work on one queue; "
                    "systemctl mask %s", unit, state, three ? "mailman start --force" : "mailmanctl -s start",
                    three ? "takes a living node's lock" : "also starts on a node that has no tenure", unit);
    if (!ours && !strncmp(state, "enabled", 7))
        return warn(cfg, out, "%s of also_units is enabled; systemd starts it also on a passive node; systemctl disable %s",
                    unit, unit);
    if (!ours && !strcmp(state, "not-found"))
        return warn(cfg, out, "%s of also_units is not there; it would not be started after a takeover; install it, or "
                    "remove it from also_units", unit);
    return 0;
}
