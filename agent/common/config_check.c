/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contradictions between keys, and warnings. */
#include <config.h>

#include "common/config_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/ipaddr.h"

#include "common/banned.h"

static void check_nodes(const struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    char section[CONFIG_NAME_MAX + 8];

    for (unsigned i = 0; i < c->n_nodes; i++) {
        (void) snprintf(section, sizeof section, "node %s", c->nodes[i].name);
        for (unsigned k = 0; k < i; k++) {
            const struct config_node *a = &c->nodes[k], *b = &c->nodes[i];
            if (a->id == b->id && b->id != 0)
                config_mistake(m, config_source_line(s, section, "id"), "nodes %s and %s have the same id %" PRIu32
                               "; corosync tells them apart by it; take the nodeid of corosync.conf", a->name, b->name,
                               b->id);
            if (strcmp(a->hostname, b->hostname) == 0 && b->hostname[0])
                config_mistake(m, config_source_line(s, section, "hostname"), "nodes %s and %s have the same hostname "
                               "'%s'; a node finds itself by it; correct one", a->name, b->name, b->hostname);
            if (strcmp(a->fqdn, b->fqdn) == 0 && b->fqdn[0])
                config_mistake(m, config_source_line(s, section, "fqdn"), "nodes %s and %s have the same fqdn '%s'; "
                               "the owner of a lock is known by it; correct one", a->name, b->name, b->fqdn);
        }
    }
}

static void check_order(const struct config_source *s, struct config_mistakes *m, const char *less, uint32_t less_ms,
                        const char *more, uint32_t more_ms, const char *why)
{
    if (less_ms != 0 && more_ms != 0 && less_ms >= more_ms)
        config_mistake(m, config_source_line(s, "cluster", less),
                       "%s (%" PRIu32 "ms) is not below %s (%" PRIu32 "ms); %s; change one of them", less, less_ms, more,
                       more_ms, why);
}

static void check_times(const struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    uint32_t worst = 0;

    check_order(s, m, "beat_interval", c->beat_interval_ms, "share_deadline", c->share_deadline_ms,
                "the share is asked once an interval");
    check_order(s, m, "share_deadline", c->share_deadline_ms, "share_patience", c->share_patience_ms,
                "patience begins when the deadline has passed");
    check_order(s, m, "monitor_interval", c->monitor_interval_ms, "failure_window", c->failure_window_ms,
                "failures could never add up");
    for (unsigned i = 0; i < c->n_devices; i++)
        if (c->devices[i].timeout_ms > worst)
            worst = c->devices[i].timeout_ms;
    if (worst != 0)
        worst += c->power_wait_ms;
    if (c->claim_patience_ms != 0 && c->claim_patience_ms < worst)
        config_mistake(m, config_source_line(s, "cluster", "claim_patience"),
                       "claim_patience (%" PRIu32 "ms) is below the worst fence time (%" PRIu32 "ms, the largest timeout "
                       "plus power_wait); a node could claim while it is being fenced; raise it",
                       c->claim_patience_ms, worst);
}

/* Is `path` the directory `top`, or below it? */
static bool path_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    while (n > 1 && top[n - 1] == '/')
        n--;
    return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void check_list_share(struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    const struct config_listserver *mm = &c->list;
    unsigned line = config_source_line(s, "cluster", "list_share");

    c->list_with_service = strcmp(c->list_mount, "with-service") == 0;
    if (!c->list_with_service && c->list_mount[0] && strcmp(c->list_mount, "always") != 0)
        config_mistake(m, config_source_line(s, "cluster", "list_mount"),
                       "list_mount '%s' is not known; it says when the list share is mounted; use always or with-service",
                       c->list_mount);
    if (c->list_with_service && !c->list_share[0])
        config_mistake(m, config_source_line(s, "cluster", "list_mount"),
                       "list_mount is with-service and there is no list_share; it is not known what to mount; "
                       "set list_share to the mount point of the list share");
    if (!c->list_share[0])
        return;
    if (path_below(c->control_share, c->list_share))
        config_mistake(m, line, "list_share %s holds the control share; the epochs have to be there while the list share "
                       "is not; use two mounts", c->list_share);
    if ((mm->lock_dir[0] && !path_below(mm->lock_dir, c->list_share)) ||
        (mm->queue_dir[0] && !path_below(mm->queue_dir, c->list_share)) ||
        (mm->list_dir[0] && !path_below(mm->list_dir, c->list_share)))
        config_mistake(m, line, "%s is not below list_share %s; another share would be mounted than the list server works on; "
                       "correct one of them", mm->list_dir[0] ? "lock_dir, queue_dir or list_dir" : "lock_dir or queue_dir",
                       c->list_share);
}

/* The watchdog is petted when a permit arrives: from the last one on, the permit has to run out and the stop be done. */
static void check_watchdog(const struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    uint32_t least = c->permit_timeout_ms + CONFIG_STOP_NEEDS_MS;
    unsigned line = config_source_line(s, "cluster", "watchdog_timeout");

    if (!c->watchdog[0] || c->permit_timeout_ms == 0)
        return;
    if (c->watchdog_timeout_ms % 1000 != 0)
        config_mistake(m, line, "watchdog_timeout (%" PRIu32 "ms) is not in whole seconds; the kernel's watchdogs count "
                       "in them; round it up", c->watchdog_timeout_ms);
    if (c->watchdog_timeout_ms <= least)
        config_mistake(m, line, "watchdog_timeout (%" PRIu32 "ms) is not above %" PRIu32 "ms, which is permit_timeout (%"
                       PRIu32 "ms) plus the %ums that a stop needs; the watchdog would bite a node that stops properly; "
                       "raise it", c->watchdog_timeout_ms, least, c->permit_timeout_ms, CONFIG_STOP_NEEDS_MS);
}

static void check_mail(const struct config_source *s, struct config_mistakes *m)
{
    unsigned line = 0;
    bool mx = config_source_value(s, "mail", "mx", &line) != NULL;
    bool domains = config_source_value(s, "mail", "domains", &line) != NULL;

    if (mx != domains)
        config_mistake(m, line, "[mail] has %s; the MX hosts are told for which domains they are to retry; add %s or remove "
                       "both", mx ? "'mx' but no 'domains'" : "'domains' but no 'mx'", mx ? "'domains'" : "'mx'");
}

void config_check(struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    struct config_listserver *mm = &c->list;
    const char *section = config_section_list(c)->name;

    check_nodes(c, s, m);
    check_times(c, s, m);
    check_list_share(c, s, m);
    check_watchdog(c, s, m);
    if (c->service[0] && strcmp(c->service, section) != 0)
        config_mistake(m, config_source_line(s, "cluster", "service"),
                       "service '%s' is not known; an agent of that name is needed; use mailman3 or mailman2", c->service);
    if (strlen(c->address_interface) > 15)
        config_mistake(m, config_source_line(s, "address", "interface"),
                       "interface '%s' is too long; Linux allows 15 characters; correct it", c->address_interface);
    if (strcmp(mm->user, "root") == 0)
        config_mistake(m, config_source_line(s, section, "user"),
                       "the list server's user is root; its directories are written by the list server; use its own");
    if (mm->lock_dir[0] && strcmp(mm->lock_dir, mm->queue_dir) == 0)
        config_mistake(m, config_source_line(s, section, "queue_dir"),
                       "lock_dir and queue_dir are the same; each is checked by its own rules; correct one");
    check_mail(s, m);
    if (!mm->intake_host[0])
        (void) snprintf(mm->intake_host, sizeof mm->intake_host, "%.*s", (int) strcspn(c->address_ip, "/"), c->address_ip);
}

/* A line to a person about something that works, but not as they may think. */
static unsigned warn(const struct config *c, FILE *out, const char *what)
{
    (void) fprintf(out, "%s: warning: %s\n", c->path, what);
    return 1;
}

/* Looked at, never opened: to open a watchdog is to arm it. */
static unsigned warn_watchdog(const struct config *c, FILE *out)
{
    struct stat st;
    int rc;

    if (!c->watchdog[0])
        return warn(c, out, "no watchdog is configured; if understudyd itself is stopped while active, only fencing by "
                    "another node ends what runs here; set watchdog = /dev/watchdog");
    rc = stat(c->watchdog, &st) < 0 ? errno : S_ISCHR(st.st_mode) ? 0 : ENOTTY;
    if (rc == 0)
        return 0;
    (void) fprintf(out, "%s: warning: watchdog %s: %s; this node would be active without one; load its driver, or softdog\n",
                   c->path, c->watchdog, rc == ENOTTY ? "it is no device" : strerror(rc));
    return 1;
}

unsigned config_warn(const struct config *c, FILE *out)
{
    const struct config_listserver *mm = &c->list;
    unsigned n = 0;

    if (!ipaddr_same(mm->intake_host, c->address_ip))
        n += warn(c, out, "lmtp_host is not the floating address; the MX hosts would not follow a takeover; "
                  "let LMTP listen on the floating address");
    if (c->insecure_cluster)
        n += warn(c, out, "insecure_cluster is on; anybody on the cluster network can speak as a node; "
                  "set crypto_cipher and crypto_hash in corosync.conf and remove it");
    n += warn_watchdog(c, out);
    if (!c->self_fence)
        n += warn(c, out, "self_fence is off; a node whose stop cannot be proven goes on until another node fences it; "
                  "set self_fence = on");
    if (c->n_nodes == 1)
        n += warn(c, out, "there is only one node; nobody can take over from it; add another");
    for (unsigned i = 0; i < c->n_nodes; i++) {
        bool found = false;
        for (unsigned d = 0; d < c->n_devices; d++)
            found = found || c->devices[d].node == i;
        if (!found) {
            (void) fprintf(out, "%s: warning: node %s has no fence device; without one only a person can say that it "
                           "is off; add a section [fence NAME]\n", c->path, c->nodes[i].name);
            n++;
        }
    }
    return n;
}
