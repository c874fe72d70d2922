/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known right now, as levels, for core_step(): gathered from members, CPG messages, the watch's reports and
 * /proc. Everything is judged by its age on our own clock; what is old is unknown (design: The core). */
#ifndef UNDERSTUDY_ENGINE_FACTS_H
#define UNDERSTUDY_ENGINE_FACTS_H

#include "common/config.h"
#include "common/cpgmsg.h"
#include "common/wire.h"
#include "core/core.h"
#include "daemon/engine_ignored.h"
#include "daemon/engine_parse.h"

#define FACTS_MEMBERS_FRESH_MS 2000u /* corosync has answered within this time */
#define FACTS_SETTLE_MS        1000u /* CPG and votequorum tell of a new ring within this time of each other, or corosync finds
                                      * that a member of it is gone and forms the next one: detect_ms besides */
#define FACTS_DETECT_MAX_MS    60000u
#define FACTS_SCAN_FRESH_MS    5000u /* /proc has been read within this time */
#define FACTS_BEATS            3u    /* beat intervals, and message intervals, after which silence is silence */
#define FACTS_IGNORED_MS       10000u /* how long an ignored message stays up for everybody to see */
#define FACTS_PAST             8u    /* earlier runs of a node that are remembered */
#define FACTS_DEAD_SIGN_MS     5000u /* how long a dead node's sign stays up for everybody to see */

struct facts_peer {
    bool           heard_ever;
    struct cpgmsg  msg;             /* the freshest message */
    uint64_t       msg_ms;          /* when it came; 0 = none that counts */
    bool           beat_ever;
    struct watch_beat beat;
    uint64_t       beat_change_ms;  /* when it last changed (or was first seen) */
    unsigned       beat_same;       /* reports in a row since then, of those that count */
    uint64_t       beat_listed_ms;  /* listing of the last report that counted */
    struct core_id dead;            /* the boot id that the core has proven dead */
    uint64_t       dead_since_ms;   /* when it did */
    bool           dead_based;      /* its beat has been listed since: any change from there on is life */
    uint64_t       dead_sign_ms;    /* when it last spoke or beat; 0 = never */
    uint64_t       left_ms;         /* when it was first missing from the ring; 0 = it is in it */
    uint64_t       past[FACTS_PAST]; /* its earlier runs, the last ones; 0 = none */
    unsigned       n_past;
    struct ignored ignored;
};

struct facts {
    const struct config *cfg;       /* borrowed */
    unsigned             self;
    uint64_t             adoptable;       /* epoch that the executor offers to this run; 0 = none */
    uint64_t             run;
    struct id128         boot;
    uint64_t             cluster;
    struct config_digest digest;

    struct wire_members  members;
    bool                 members_ever;
    uint64_t             ring_ms;        /* when the present CPG ring was first reported */
    uint64_t             unsettled_ms;   /* since when CPG and votequorum tell of different rings; 0 = they agree */
    bool                 verdict;        /* what votequorum last said of a ring; while it counts votes it names none */
    uint64_t             quorum_ms;      /* when votequorum first agreed on it and said quorate; 0 = not yet */
    struct facts_peer    peer[CORE_NODES];
    struct ignored       strangers;      /* messages of node ids that are not configured */

    bool                 share_ever;
    struct watch_report  share;
    uint64_t             share_ms;       /* when the last whole report's listing was made, as far as we know */

    enum core_tri        scan;
    uint64_t             scan_ms;        /* when the last scan began; 0 = none that counts */
    unsigned             scan_round;     /* scans of an earlier round are not taken */
    uint64_t             highest_ever;   /* highest epoch that this run has seen, on the share or as local maximum */

    unsigned             unreaped, unreaped_fence; /* kept by the driver, and so is the next */
    bool                 lists_refuse;
};

void facts_init(struct facts *f, const struct config *cfg, unsigned self, uint64_t run, const struct id128 *boot);

/* Returns true when the ring, quorum or membership differs from before: a reason to tell the others at once. */
bool facts_members(struct facts *f, const struct wire_members *m, uint64_t now_ms);
/* 0; -EPROTONOSUPPORT, -EBADMSG for a message that cannot be read; -EXDEV for one of another cluster; -EACCES when the
 * sender is not whom it says, or unknown, or has said that this run is of another boot; -EALREADY when it repeats an older
 * one, -ESTALE when it is of an earlier run of its node. Unless 0 nothing is taken from it, but that a boot which was proven
 * dead has spoken. */
int facts_cpg(struct facts *f, const struct wire_cpg *in, uint64_t now_ms);
/* Where what was not taken from this sender is counted. */
struct ignored *facts_ignored(struct facts *f, uint32_t sender);
/* Why messages of the node were ignored just now, or NULL. */
const char *facts_ignored_why(const struct facts *f, unsigned node, uint64_t now_ms);
void facts_share(struct facts *f, const struct watch_report *r, uint64_t now_ms);
/* `round` is f->scan_round as it was when the scan began. */
void facts_scan(struct facts *f, enum core_tri service_here, uint64_t began_ms, unsigned round);
/* The list service is being started or stopped: what a scan that began before this says is not true any more. */
void facts_scan_forget(struct facts *f);
/* The boot ids that the core has proven dead; call before facts_fill(). */
void facts_dead(struct facts *f, const struct core_id dead[CORE_NODES], uint64_t now_ms);

void facts_fill(const struct facts *f, uint64_t now_ms, struct core_facts *ret);
/* Our own message. `seq` rises by one a message; `end_running`: a child that writes an end is not reaped. */
void facts_message(const struct facts *f, uint64_t now_ms, const struct core *c, bool end_running, uint64_t seq,
                   struct cpgmsg *ret);
/* Maintenance is on, and the share has said so within its deadline. */
bool facts_maintenance(const struct facts *f, uint64_t now_ms);
/* Name of the first safety key that differs from the node's, or NULL. */
const char *facts_digest_difference(const struct facts *f, unsigned node);
bool facts_in_ring(const struct facts *f, unsigned node);
/* The last sign of life of a node, beat or message; 0 = none seen. */
uint64_t facts_last_sign_ms(const struct facts *f, unsigned node);

#endif
