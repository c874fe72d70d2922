/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "config_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const struct row rows[] = {
    { "cluster", "name", "lists", "others", "name", false },
    { "cluster", "service", "mailman3", NULL, "service", false },
    { "cluster", "control_share", "/srv/control", "/srv/c2", "control_share", false },
    { "cluster", "control_fstype", "nfs4", "ext4", "", false },
    { "cluster", "control_source", "s:/control", "t:/control", "", false },
    { "cluster", "list_share", "/srv/lists", "/srv/lists/", "", false },
    { "cluster", "list_mount", "always", "with-service", "", false },
    { "cluster", "list_reserve", "64M", "1G", "", true },
    { "cluster", "beat_interval", "150ms", "151ms", "beat_interval", false },
    { "cluster", "share_deadline", "2s", "2.5s", "share_deadline", false },
    { "cluster", "share_patience", "30s", "31s", "share_patience", false },
    { "cluster", "claim_patience", "20s", "21s", "claim_patience", false },
    { "cluster", "drain", "5s", "5001ms", "drain", false },
    { "cluster", "power_wait", "500ms", "501ms", "power_wait", false },
    { "cluster", "start_timeout", "60s", "61s", "", true },
    { "cluster", "stop_timeout", "20s", "21s", "stop_timeout", false },
    { "cluster", "release_timeout", "10s", "11s", "", true },
    { "cluster", "monitor_interval", "2s", "3s", "", true },
    { "cluster", "permit_timeout", "3s", "3100ms", "permit_timeout", false },
    { "cluster", "failure_window", "10m", "11m", "", true },
    { "cluster", "max_failures", "4", "5", "", true },
    { "cluster", "max_restarts", "2", "1", "", true },
    { "cluster", "after_fence", "on", "off", "", true },
    { "cluster", "watchdog", "/dev/watchdog", "/dev/watchdog1", "", false },
    { "cluster", "watchdog_timeout", "10s", "11s", "", false },
    { "cluster", "self_fence", "on", "off", "", false },
    { "cluster", "insecure_cluster", "no", "yes", "insecure_cluster", false },
    { "cluster", "also_units", "web.service", "w.service", "", false },
    { "address", "ip", "192.0.2.100/24", "192.0.2.101/24", "ip", false },
    { "address", "interface", "eth0", "eth1", "", false },
    { "address", "dad", "200ms", "201ms", "", true },
    { "mailman3", "user", "list", "lister", "user", false },
    { "mailman3", "config", "/etc/mailman.cfg", "/etc/m.cfg", "config", false },
    { "mailman3", "mailman", "/usr/bin/mailman", "/usr/bin/m", "", false },
    { "mailman3", "python", "/usr/bin/python3", "/usr/bin/p", "", false },
    { "mailman3", "lock_dir", "/srv/lists/locks", "/srv/lists/l", "lock_dir", false },
    { "mailman3", "queue_dir", "/srv/lists/queue", "/srv/lists/q", "queue_dir", false },
    { "mailman3", "pid_file", "/run/m.pid", "/run/n.pid", "", false },
    { "mailman3", "runners", "in out:2 lmtp", "in out:4 lmtp", "runners", false },
    { "mailman3", "lmtp_host", "192.0.2.100", "192.0.2.9", "lmtp_host", false },
    { "mailman3", "lmtp_port", "8024", "8025", "", false },
    { "mailman2", "generation", "2.1", NULL, "generation", false },
    { "mailman2", "user", "list", "lister", "user", false },
    { "mailman2", "prefix", "/usr/lib/mailman", "/usr/m", "prefix", false },
    { "mailman2", "var_prefix", "/srv/lists", "/srv/lists/m", "", false },
    { "mailman2", "python", "/usr/bin/python2", "/usr/bin/p", "", false },
    { "mailman2", "lock_dir", "/srv/lists/locks", "/srv/lists/l", "lock_dir", false },
    { "mailman2", "queue_dir", "/srv/lists/qfiles", "/srv/lists/q", "queue_dir", false },
    { "mailman2", "list_dir", "/srv/lists/lists", "/srv/lists/ll", "list_dir", false },
    { "mailman2", "data_dir", "/srv/lists/data", "/srv/lists/d", "", false },
    { "mailman2", "runners", "IncomingRunner OutgoingRunner:2", "IncomingRunner", "runners", false },
    { "mailman2", "intake_port", "25", "26", "", false },
    { "mail", "mx", "mx1 mx2:26", "mx1", "", true },
    { "mail", "domains", "lists.example.org", "l.example.org", "", true },
    { "mail", "poke_timeout", "5s", "6s", "", true },
    { "node a", "id", "1", "7", "nodes", false },
    { "node a", "hostname", "a", "aa", "nodes", false },
    { "node a", "fqdn", "a.example.org", "aa.example.org", "nodes", false },
    { "fence f", "level", "1", "2", "fence", false },
    { "fence f", "agent", "fence_x", "/usr/sbin/fence_y", "fence", false },
    { "fence f", "secret_file", "/etc/s", "/etc/t", "", true },
    { "fence f", "password_file", "/etc/p", "/etc/q", "", true },
    { "fence f", "timeout", "15s", "16s", "", true },
};

const unsigned n_rows = sizeof rows / sizeof rows[0];

/* Keys that are no member of a struct, and what is needed beside the rows. */
static const struct { const char *section, *text; } rest[] = {
    { "cluster", "nodes = a b\n" }, { "fence f", "node = a\nparam_ip = 1\n" },
};
static const char node_b[] = "[node b]\nid = 2\nhostname = b\nfqdn = b.example.org\n";

const struct config_section *const sections[] = {
    &config_section_cluster, &config_section_address, &config_section_mailman3, &config_section_mailman2,
    &config_section_mail, &config_section_node, &config_section_fence,
};

const unsigned n_sections = sizeof sections / sizeof sections[0];
char text[16384];

const struct config_section *section_of(const struct row *r)
{
    for (unsigned i = 0; i < n_sections; i++) {
        size_t n = strlen(sections[i]->name);
        if (strncmp(r->section, sections[i]->name, n) == 0 && strchr(" ", r->section[n]) != NULL)
            return sections[i];
    }
    fail_msg("[%s] of a row is no section of the product", r->section);
    return NULL;
}

const struct config_field *field_of(const struct row *r)
{
    const struct config_field *f = config_field_find(section_of(r), r->key);

    if (!f)
        fail_msg("%s in [%s] has a row here and is no key of the product", r->key, r->section);
    return f;
}

unsigned build(const struct row *changed, const char *line)
{
    const char *service = changed && strcmp(changed->section, "mailman2") == 0 ? "mailman2" : "mailman3";
    unsigned found = 0;
    size_t at = 0;

#define ADD(...) (at += (size_t) snprintf(text + at, sizeof text - at, __VA_ARGS__))
    for (unsigned i = 0; i < n_rows; i++) {
        if (strncmp(rows[i].section, "mailman", 7) == 0 && strcmp(rows[i].section, service) != 0)
            continue; /* of two list servers there is one */
        if (i == 0 || strcmp(rows[i].section, rows[i - 1].section) != 0) {
            ADD("[%s]\n", rows[i].section);
            for (unsigned k = 0; k < sizeof rest / sizeof rest[0]; k++)
                if (strcmp(rest[k].section, rows[i].section) == 0)
                    ADD("%s", rest[k].text);
        }
        if (&rows[i] == changed) {
            found = 1;
            for (const char *p = text; *p; p++)
                found += *p == '\n';
        }
        if (&rows[i] == changed && line)
            ADD("%s", line);
        else
            ADD("%s = %s\n", rows[i].key, strcmp(rows[i].key, "service") == 0 ? service : rows[i].good);
    }
    ADD("%s", node_b);
    assert_true(at < sizeof text);
    return found;
}
