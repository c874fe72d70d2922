/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys, their types, limits and presets: understudy.conf(5) as a table. */
#include <config.h>

#include "common/config_private.h"

#include <string.h>
#include <strings.h>

#include "common/banned.h"

#define MEMBER(type, m) offsetof(struct type, m), sizeof ((struct type *) 0)->m
#define SECONDS(n) ((n) * 1000u)
#define MINUTES(n) SECONDS((n) * 60u)

static const struct config_field cluster_fields[] = {
    { "name",             CT_NAME,     MEMBER(config, cluster), 0, 0, NULL },
    { "service",          CT_NAME,     MEMBER(config, service), 0, 0, "mailman3" },
    { "control_share",    CT_PATH,     MEMBER(config, control_share), 0, 0, NULL },
    { "control_fstype",   CT_NAME,     MEMBER(config, control_fstype), 0, 0, "" },
    { "control_source",   CT_TEXT,     MEMBER(config, control_source), 0, 0, "" },
    { "list_share",       CT_PATH,     MEMBER(config, list_share), 0, 0, "" },
    { "list_mount",       CT_NAME,     MEMBER(config, list_mount), 0, 0, "always" },
    { "list_reserve",     CT_SIZE,     MEMBER(config, list_reserve_mib), 0, 16 * 1024 * 1024, "64M" },
    { "beat_interval",    CT_DURATION, MEMBER(config, beat_interval_ms), 50, SECONDS(5), "150ms" },
    { "share_deadline",   CT_DURATION, MEMBER(config, share_deadline_ms), 200, MINUTES(1), "2s" },
    { "share_patience",   CT_DURATION, MEMBER(config, share_patience_ms), SECONDS(1), MINUTES(10), "30s" },
    { "claim_patience",   CT_DURATION, MEMBER(config, claim_patience_ms), SECONDS(1), MINUTES(10), "20s" },
    { "drain",            CT_DURATION, MEMBER(config, drain_ms), 1, MINUTES(10), "5s" },
    { "power_wait",       CT_DURATION, MEMBER(config, power_wait_ms), 1, MINUTES(1), "500ms" },
    { "start_timeout",    CT_DURATION, MEMBER(config, start_timeout_ms), SECONDS(1), MINUTES(30), "60s" },
    { "stop_timeout",     CT_DURATION, MEMBER(config, stop_timeout_ms), SECONDS(1), MINUTES(10), "20s" },
    { "release_timeout",  CT_DURATION, MEMBER(config, release_timeout_ms), 100, MINUTES(10), "10s" },
    { "monitor_interval", CT_DURATION, MEMBER(config, monitor_interval_ms), 100, MINUTES(10), "2s" },
    { "permit_timeout",   CT_DURATION, MEMBER(config, permit_timeout_ms), 500, MINUTES(1), "3s" },
    { "failure_window",   CT_DURATION, MEMBER(config, failure_window_ms), SECONDS(1), MINUTES(60 * 24), "10m" },
    { "max_failures",     CT_U32,      MEMBER(config, max_failures), 1, 8, "4" },
    { "max_restarts",     CT_U32,      MEMBER(config, max_restarts), 0, 7, "2" },
    { "after_fence",      CT_BOOL,     MEMBER(config, after_fence_on), 0, 0, "on" },
    { "watchdog",         CT_PATH,     MEMBER(config, watchdog), 0, 0, "" },
    { "watchdog_timeout", CT_DURATION, MEMBER(config, watchdog_timeout_ms), SECONDS(2), MINUTES(5), "10s" },
    { "self_fence",       CT_BOOL,     MEMBER(config, self_fence), 0, 0, "on" },
    { "insecure_cluster", CT_BOOL,     MEMBER(config, insecure_cluster), 0, 0, "no" },
    { "also_units",       CT_TEXT,     MEMBER(config, also_units_text), 0, 0, "" },
};

static const struct config_field address_fields[] = {
    { "ip",        CT_CIDR,     MEMBER(config, address_ip), 0, 0, NULL },
    { "interface", CT_NAME,     MEMBER(config, address_interface), 0, 0, "" },
    { "dad",       CT_DURATION, MEMBER(config, dad_ms), 1, SECONDS(5), "40ms" },
};

static const struct config_field mailman3_fields[] = {
    { "user",      CT_NAME, MEMBER(config_listserver, user), 0, 0, "list" },
    { "config",    CT_PATH, MEMBER(config_listserver, config), 0, 0, "/etc/mailman3/mailman.cfg" },
    { "mailman",   CT_PATH, MEMBER(config_listserver, mailman), 0, 0, "/usr/lib/mailman3/bin/mailman" },
    { "python",    CT_PATH, MEMBER(config_listserver, python), 0, 0, "/usr/bin/python3" },
    { "lock_dir",  CT_PATH, MEMBER(config_listserver, lock_dir), 0, 0, NULL },
    { "queue_dir", CT_PATH, MEMBER(config_listserver, queue_dir), 0, 0, NULL },
    { "pid_file",  CT_PATH, MEMBER(config_listserver, pid_file), 0, 0, "/run/mailman3/master.pid" },
    { "runners",   CT_TEXT, MEMBER(config_listserver, runners_text), 0, 0, NULL },
    { "lmtp_host", CT_HOST, MEMBER(config_listserver, intake_host), 0, 0, "" },
    { "lmtp_port", CT_U16,  MEMBER(config_listserver, intake_port), 1, 65535, "8024" },
};

static const struct config_field mailman2_fields[] = {
    { "generation",  CT_NAME, MEMBER(config_listserver, generation), 0, 0, "2.1" },
    { "user",        CT_NAME, MEMBER(config_listserver, user), 0, 0, "list" },
    { "prefix",      CT_PATH, MEMBER(config_listserver, prefix), 0, 0, "/usr/lib/mailman" },
    { "var_prefix",  CT_PATH, MEMBER(config_listserver, var_prefix), 0, 0, "/var/lib/mailman" },
    { "python",      CT_PATH, MEMBER(config_listserver, python), 0, 0, "" },
    { "lock_dir",    CT_PATH, MEMBER(config_listserver, lock_dir), 0, 0, "" },
    { "queue_dir",   CT_PATH, MEMBER(config_listserver, queue_dir), 0, 0, "" },
    { "list_dir",    CT_PATH, MEMBER(config_listserver, list_dir), 0, 0, "" },
    { "data_dir",    CT_PATH, MEMBER(config_listserver, data_dir), 0, 0, "" },
    { "runners",     CT_TEXT, MEMBER(config_listserver, runners_text), 0, 0, "" },
    { "intake_port", CT_U16,  MEMBER(config_listserver, intake_port), 1, 65535, "25" },
};

static const struct config_field mail_fields[] = {
    { "mx",           CT_TEXT,     MEMBER(config_mail, mx_text), 0, 0, "" },
    { "domains",      CT_TEXT,     MEMBER(config_mail, domains_text), 0, 0, "" },
    { "poke_timeout", CT_DURATION, MEMBER(config_mail, poke_timeout_ms), 500, MINUTES(1), "5s" },
};

static const struct config_field node_fields[] = {
    { "id",       CT_U32,  MEMBER(config_node, id), 1, UINT32_MAX, NULL },
    { "hostname", CT_NAME, MEMBER(config_node, hostname), 0, 0, NULL },
    { "fqdn",     CT_NAME, MEMBER(config_node, fqdn), 0, 0, NULL },
};

static const struct config_field fence_fields[] = {
    { "level",         CT_U32,      MEMBER(config_device, level), 1, 8, "1" },
    { "agent",         CT_AGENT,    MEMBER(config_device, agent), 0, 0, NULL },
    { "secret_file",   CT_PATH,     MEMBER(config_device, secret_file), 0, 0, "" },
    { "password_file", CT_PATH,     MEMBER(config_device, password_file), 0, 0, "" },
    { "timeout",       CT_DURATION, MEMBER(config_device, timeout_ms), SECONDS(1), MINUTES(10), "15s" },
};

#define SECTION(n, f, more) { n, f, sizeof (f) / sizeof (f)[0], more }
const struct config_section config_section_cluster = SECTION("cluster", cluster_fields, "nodes");
const struct config_section config_section_address = SECTION("address", address_fields, "");
const struct config_section config_section_mailman3 = SECTION("mailman3", mailman3_fields, "");
const struct config_section config_section_mailman2 = SECTION("mailman2", mailman2_fields, "");
const struct config_section config_section_mail = SECTION("mail", mail_fields, "");
const struct config_section config_section_node = SECTION("node", node_fields, "");
const struct config_section config_section_fence = SECTION("fence", fence_fields, "node");

const struct config_section *config_section_list(const struct config *c)
{
    return strcmp(c->service, config_section_mailman2.name) == 0 ? &config_section_mailman2 : &config_section_mailman3;
}

const struct config_field *config_field_find(const struct config_section *s, const char *key)
{
    for (unsigned i = 0; i < s->n_fields; i++)
        if (strcasecmp(s->fields[i].key, key) == 0)
            return &s->fields[i];
    return NULL;
}

void config_section_preset(const struct config_section *s, void *base)
{
    struct config_mistakes none = { .path = "preset", .out = NULL };

    for (unsigned i = 0; i < s->n_fields; i++)
        if (s->fields[i].preset && s->fields[i].preset[0])
            (void) config_field_set(&s->fields[i], base, s->fields[i].preset, 0, &none);
}
