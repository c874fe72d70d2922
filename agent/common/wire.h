/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What passes between the processes of one node: SOCK_SEQPACKET, one fixed struct a message, both ends of the
 * same build (design: Programs and processes). A message of another size or version ends the connection. */
#ifndef UNDERSTUDY_WIRE_H
#define UNDERSTUDY_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/cpgmsg.h"
#include "common/token.h"

#define WIRE_VERSION      1u
#define WIRE_OUTPUT_MAX   4096u /* of a child's output, a message */
#define WIRE_FD_EXECUTOR  3     /* in the engine */
#define WIRE_FD_MEMBERS   4     /* in the engine; in members its end is 3 */

/* The executor's whole vocabulary: there is no other way to start a process. */
enum job {
    JOB_NONE,
    JOB_EPOCH_WATCH,   /* runs on: beats and reports every interval, one WIRE_OUTPUT a report */
    JOB_EPOCH_CLAIM, JOB_EPOCH_OWN, JOB_EPOCH_END, JOB_EPOCH_DRAIN, JOB_EPOCH_INIT,
    JOB_EPOCH_MAINTAIN, JOB_EPOCH_UNMAINTAIN, /* make and remove the file `maintenance` beside the epochs */
    JOB_STATE_CHECK, JOB_STATE_RECOVER,
    JOB_STATE_SYNC,    /* what the list service wrote is on the server when this has succeeded */
    JOB_STATE_RETRY,   /* once more what recover has put off; the list service runs */
    JOB_STATE_PROBE,   /* the list share would store a message when this has succeeded */
    JOB_SHARE_MOUNT, JOB_SHARE_UMOUNT, /* the list share, with list_mount = with-service */
    JOB_INTAKE_OPEN, JOB_INTAKE_CLOSE,
    JOB_ADDRESS_START, JOB_ADDRESS_STOP, JOB_ADDRESS_MONITOR,
    JOB_SERVICE_START, JOB_SERVICE_STOP, JOB_SERVICE_MONITOR,
    JOB_SERVICE_RELEASE, /* stop at a safe point, or go on serving as if nothing had been asked */
    JOB_SERVICE_RESUME,  /* let a release that was cut off go on serving */
    JOB_FENCE_OFF, JOB_FENCE_ON, JOB_FENCE_STATUS,
    JOB_POKE,            /* tells the MX hosts to retry now; touches nothing here */
    JOB_UNITS_START, JOB_UNITS_STOP, /* systemd units that go with the list service */
    JOB_N
};

enum wire_kind {
    WIRE_PERMIT,       /* engine -> executor: may be active until `permit.until_ms`; 0 withdraws it */
    WIRE_RUN,          /* engine -> executor */
    WIRE_CANCEL,       /* engine -> executor: kill the child of op_id */
    WIRE_ADOPT,        /* engine -> executor: this run goes on with the tenure of `epoch`, which the executor has offered */
    WIRE_RELOAD,       /* engine -> executor: read the configuration again */
    WIRE_CANCEL_WAIT,  /* engine -> members: corosync need not wait for all nodes any more (cancel_wait_for_all) */
    WIRE_RELOADED,     /* executor -> engine: status 0, or -errno and nothing was changed */
    WIRE_OUTPUT,       /* executor -> engine: output of a running child, cut at line ends */
    WIRE_DONE,         /* executor -> engine: the child is reaped (or was never started) */
    WIRE_LATE,         /* executor -> engine: deadline passed, killed, not reaped yet; WIRE_DONE follows when it is */
    WIRE_MEMBERS,      /* members -> engine: the cluster as it is now, at least every 100 ms */
    WIRE_CPG_IN,       /* members -> engine */
    WIRE_CPG_OUT,      /* engine -> members */
    WIRE_NUDGE,        /* engine -> executor: the watch of op_id is to look at once */
    WIRE_SAFETY,       /* executor -> engine: watchdog and reboot, at its start and at each change; to be shown only */
    WIRE_KIND_N
};

struct wire_run {
    uint64_t op_id;                    /* unique within the engine's run */
    uint32_t job;                      /* enum job */
    uint32_t deadline_ms;              /* from its start; 0 only for JOB_EPOCH_WATCH */
    uint64_t epoch;                    /* JOB_EPOCH_*, JOB_STATE_RECOVER and _RETRY, JOB_SHARE_MOUNT. JOB_EPOCH_INIT: 0 = a new
                                        * share, else recover, with a number of at least this */
    uint32_t planned;                  /* JOB_EPOCH_END, JOB_ADDRESS_START: as in struct core_action */
    uint32_t no_stuck;                 /* JOB_STATE_RETRY: 1 = a worker of what hung still hangs, leave those units alone */
    uint32_t harmless;                 /* JOB_STATE_RECOVER: bit i = node i is proven harmless */
    uint32_t device;                   /* JOB_FENCE_*: index into config.devices */
    uint32_t duration_ms;              /* JOB_EPOCH_DRAIN */
    uint8_t  proof[CONFIG_NODES_MAX];  /* JOB_EPOCH_OWN: enum core_proof a node */
    char     reason[TOKEN_TEXT_MAX + 1]; /* JOB_EPOCH_MAINTAIN: what the person said, or empty */
};

struct wire_done {
    uint64_t op_id;
    uint32_t job;
    int32_t  status;                   /* exit status 0..255, or -signal, or -1000-errno when it could not be started */
    uint32_t late;                     /* killed at its deadline */
    uint32_t unreaped;                 /* killed share children that are still not reaped after this one, or what a pass has
                                        * left hanging behind its answer. A message with op_id 0 says only this: some are
                                        * left from an engine before, or gone now */
    uint64_t started_ms, ended_ms;     /* CLOCK_BOOTTIME */
};

struct wire_output {
    uint64_t op_id;
    uint32_t job;
    uint32_t len;
    uint64_t read_ms;                  /* CLOCK_BOOTTIME, when the executor read it: it may have waited in the socket */
    char     text[WIRE_OUTPUT_MAX];    /* stdout and stderr of the child, interleaved; not terminated */
};

struct wire_members {
    uint64_t sampled_ms;               /* CLOCK_BOOTTIME, when corosync last answered */
    uint32_t connected;                /* to cpg and votequorum both */
    uint32_t quorate;
    uint32_t encrypted;                /* cmap: crypto_cipher and crypto_hash are not "none" */
    uint32_t n_members;                /* of the CPG group */
    uint64_t cpg_ring, quorum_ring;    /* sequence numbers; equal = one view; 0 = none yet */
    uint32_t member[CONFIG_NODES_MAX]; /* node ids */
    uint32_t detect_ms;                /* cmap: corosync notices in it that a member is gone; 0 = not known */
    uint32_t unused;
};

struct wire_cpg {
    uint32_t sender;                   /* node id as corosync says it (WIRE_CPG_IN) */
    uint32_t len;
    uint8_t  data[CPGMSG_SIZE_MAX];
};

enum wire_watchdog { WATCHDOG_UNKNOWN, WATCHDOG_OFF, WATCHDOG_ARMED, WATCHDOG_ABSENT, WATCHDOG_BUSY, WATCHDOG_FAILED };
enum wire_self_fence { SELF_FENCE_UNKNOWN, SELF_FENCE_OFF, SELF_FENCE_ON, SELF_FENCE_UNABLE, SELF_FENCE_LIMIT };

struct wire_safety {
    uint32_t watchdog;                 /* enum wire_watchdog */
    uint32_t self_fence;               /* enum wire_self_fence */
    uint32_t n_recent;                 /* reboots of this node by itself within the last hour */
    uint32_t stop_unproven;            /* something may still run here, and the executor may not reboot */
    uint64_t last_unix_s, last_epoch;  /* of the last one; 0 = none is known */
    char     watchdog_says[192];       /* a sentence; terminated, like the next */
    char     last_why[96];
};

struct wire_msg {
    uint32_t version;
    uint32_t kind;                     /* enum wire_kind */
    union {
        struct {
            uint64_t        until_ms;
            uint32_t        maintenance; /* 1: it is on, and the share has just said so */
        } permit;                      /* WIRE_PERMIT */
        uint64_t            op_id;     /* WIRE_CANCEL, WIRE_LATE, WIRE_NUDGE */
        uint64_t            epoch;     /* WIRE_ADOPT */
        int32_t             status;    /* WIRE_RELOADED */
        struct wire_run     run;
        struct wire_done    done;
        struct wire_output  output;
        struct wire_members members;
        struct wire_cpg     cpg;
        struct wire_safety  safety;
    } u;
};

/* Sends or receives one message on a seqpacket socket without blocking. Returns 0, -EAGAIN, -EPIPE when the other
 * end is gone, -EPROTO for a message of another size, version or kind. */
int wire_send(int fd, const struct wire_msg *m);
int wire_recv(int fd, struct wire_msg *ret);

const char *job_name(enum job j);
const char *wire_watchdog_name(enum wire_watchdog w);
const char *wire_self_fence_name(enum wire_self_fence s);

#endif
