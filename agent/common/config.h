/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: one INI file, the same on all nodes (design: What the operator sees).
 * Read once by each process; secrets are not in it, only the names of the files that hold them. */
#ifndef UNDERSTUDY_CONFIG_H
#define UNDERSTUDY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CONFIG_NODES_MAX   4
#define CONFIG_DEVICES_MAX 8
#define CONFIG_PARAMS_MAX  24
#define CONFIG_RUNNERS_MAX 24
#define CONFIG_NAME_MAX    64
#define CONFIG_TEXT_MAX    256
#define CONFIG_SAFETY_KEYS_MAX 24
#define CONFIG_STOP_NEEDS_MS 5000u /* SIGKILL to all, the proof in /proc, the address down: with room for a busy node */
#define CONFIG_MX_MAX      8
#define CONFIG_DOMAINS_MAX 16
#define CONFIG_UNITS_MAX   8

struct config_node {
    char     name[CONFIG_NAME_MAX];      /* section [node NAME] */
    char     hostname[CONFIG_NAME_MAX];  /* as gethostname() says it on that node */
    char     fqdn[CONFIG_TEXT_MAX];      /* as Mailman writes it into its locks there */
    uint32_t id;                         /* corosync nodeid, > 0 */
};

struct config_param {
    char key[CONFIG_NAME_MAX];
    char value[CONFIG_TEXT_MAX];
};

struct config_device {
    char                name[CONFIG_NAME_MAX];   /* section [fence NAME] */
    unsigned            node;                    /* index into nodes[]: the node that it fences */
    unsigned            level;                   /* 1 is tried first */
    char                agent[CONFIG_TEXT_MAX];  /* absolute path, or a name found in /usr/sbin */
    char                secret_file[CONFIG_TEXT_MAX]; /* key=value lines; root-owned, mode 0600; "" = none */
    char                password_file[CONFIG_TEXT_MAX]; /* for agents whose helper reads the password itself; "" = none */
    uint32_t            timeout_ms;
    struct config_param params[CONFIG_PARAMS_MAX]; /* from keys param_NAME = VALUE */
    unsigned            n_params;
};

struct config_runner {
    char     name[CONFIG_NAME_MAX];
    char     queue[CONFIG_NAME_MAX];     /* its directory below queue_dir; "" = it works on none that is known */
    unsigned slices;                     /* power of 2 */
};

enum config_list_kind { LIST_MAILMAN3, LIST_MAILMAN21, LIST_MAILMAN20, LIST_KIND_N };

/* The list server, of section [mailman3] or [mailman2]. What its kind does not have is "". */
struct config_listserver {
    enum config_list_kind kind;          /* by `service` of [cluster] and `generation` of [mailman2] */
    char                 user[CONFIG_NAME_MAX];
    char                 config[CONFIG_TEXT_MAX];     /* 3: mailman.cfg */
    char                 mailman[CONFIG_TEXT_MAX];    /* 3: the program */
    char                 python[CONFIG_TEXT_MAX];     /* 2: "" = by the first line of its programs */
    char                 generation[CONFIG_NAME_MAX]; /* 2: "2.1" or "2.0" */
    char                 prefix[CONFIG_TEXT_MAX], var_prefix[CONFIG_TEXT_MAX]; /* 2: PREFIX and VAR_PREFIX of its mm_cfg.py */
    char                 lock_dir[CONFIG_TEXT_MAX];
    char                 queue_dir[CONFIG_TEXT_MAX];
    char                 list_dir[CONFIG_TEXT_MAX], data_dir[CONFIG_TEXT_MAX]; /* 2 */
    char                 pid_file[CONFIG_TEXT_MAX];   /* 3 */
    struct config_runner runners[CONFIG_RUNNERS_MAX];
    unsigned             n_runners;
    char                 runners_text[CONFIG_TEXT_MAX]; /* the key as written, for OCF_RESKEY_runners */
    char                 intake_host[CONFIG_TEXT_MAX]; /* where mail comes in: 3: LMTP; 2: SMTP on the floating address */
    uint16_t             intake_port;
};

struct config_mx {
    char     host[CONFIG_TEXT_MAX];      /* a name or an address, without brackets */
    uint16_t port;
};

/* MX hosts in front of the list server, which are told to retry after a takeover. */
struct config_mail {
    char             mx_text[CONFIG_TEXT_MAX], domains_text[CONFIG_TEXT_MAX]; /* the keys as written */
    struct config_mx mx[CONFIG_MX_MAX];
    unsigned         n_mx;
    char             domains[CONFIG_DOMAINS_MAX][CONFIG_TEXT_MAX];
    unsigned         n_domains;
    uint32_t         poke_timeout_ms;
};

struct config {
    char                   path[CONFIG_TEXT_MAX];
    char                   cluster[CONFIG_NAME_MAX];
    char                   service[CONFIG_NAME_MAX];      /* "mailman3" or "mailman2": the agent, and the list server's section */
    char                   control_share[CONFIG_TEXT_MAX];  /* mount point; epochs are in its .understudy */
    char                   control_fstype[CONFIG_NAME_MAX]; /* "" = not checked */
    char                   control_source[CONFIG_TEXT_MAX]; /* "" = not checked */
    char                   list_share[CONFIG_TEXT_MAX];     /* mount point of the list share; "" = not told */
    char                   list_mount[CONFIG_NAME_MAX];     /* always, with-service */
    uint32_t list_reserve_mib;             /* intake closes when the list share has less left; 0 = it is not looked at */
    bool     list_with_service;            /* mounted before recover, taken down with the address */
    uint32_t beat_interval_ms, share_deadline_ms, share_patience_ms, claim_patience_ms;
    uint32_t drain_ms, power_wait_ms, start_timeout_ms, stop_timeout_ms;
    uint32_t release_timeout_ms;           /* until every runner has to be at a safe point */
    uint32_t monitor_interval_ms, permit_timeout_ms, failure_window_ms;
    uint32_t max_failures, max_restarts;
    bool     after_fence_on;
    char     watchdog[CONFIG_TEXT_MAX];    /* device; "" = none */
    uint32_t watchdog_timeout_ms;          /* whole seconds */
    bool     self_fence;                   /* the executor reboots this node when a stop cannot be proven */
    bool     insecure_cluster;             /* run although corosync does not encrypt */
    char     address_ip[CONFIG_TEXT_MAX];  /* ADDRESS/PREFIX */
    char     address_interface[CONFIG_NAME_MAX]; /* "" = found by subnet */
    uint32_t dad_ms;                       /* duplicate address check, how long to listen */
    struct config_node     nodes[CONFIG_NODES_MAX];      /* in the order of the key `nodes`: first claims first */
    unsigned               n_nodes;
    struct config_device   devices[CONFIG_DEVICES_MAX];  /* sorted by node, level, order in the file */
    unsigned               n_devices;
    struct config_listserver list;
    struct config_mail     mail;
    char                   also_units_text[CONFIG_TEXT_MAX]; /* the key as written */
    char                   also_units[CONFIG_UNITS_MAX][CONFIG_NAME_MAX]; /* systemd units that go with the list service */
    unsigned               n_also_units;
};

/* One digest a safety key (cluster, service, control_share, nodes, drain, ...), so that a difference
 * between two nodes can be named (design: digest over the safety keys compared at join). */
struct config_digest {
    unsigned n;
    uint32_t value[CONFIG_SAFETY_KEYS_MAX];
};

/* Reads PATH. Returns 0, or -errno with every mistake found written to `errors` as "file:line: what, why,
 * what to do" lines (-EINVAL for bad content). `ret` is complete only on 0. The caller owns `ret`; no memory
 * is kept. Defaults are those of understudy.conf(5). */
int config_read(const char *path, struct config *ret, FILE *errors);
/* The same for who acts on it with more rights: -EPERM unless the file belongs to `owner` and nobody else can write it. */
int config_read_owned(const char *path, uid_t owner, struct config *ret, FILE *errors);
/* For programs that anybody may run: root trusts only a file that is root's, others have no rights to lend. */
int config_read_trusted(const char *path, struct config *ret, FILE *errors);

/* Warnings that do not stop anything (loopback smtp_host and the like); returns their number. */
unsigned config_warn(const struct config *c, FILE *out);

/* What keeps `next` from being taken up by a daemon that runs with `running`: the first key that differs and must not
 * change under way (design: a difference in a safety key blocks claims). NULL = nothing. */
const char *config_reload_obstacle(const struct config *running, const struct config *next);

/* The directory below queue_dir that a runner works on; "" = none that is known. Borrows `name`, or is static. */
const char *config_runner_queue(enum config_list_kind kind, const char *name);

/* Index of the node whose hostname is gethostname(), or -ENOENT. */
int config_self(const struct config *c);
int config_node_by_name(const struct config *c, const char *name); /* index or -ENOENT */
int config_node_by_id(const struct config *c, uint32_t id);        /* index or -ENOENT */

void        config_digest(const struct config *c, struct config_digest *ret);
const char *config_digest_key(unsigned i); /* name of the i-th safety key, or NULL */

#endif
