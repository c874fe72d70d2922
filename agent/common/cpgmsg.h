/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nodes tell each other over CPG: one message, sent after each ring change and every CPGMSG_EVERY_MS after.
 * Versioned and bounded; encoded field by field, little endian (reliability S5). */
#ifndef UNDERSTUDY_CPGMSG_H
#define UNDERSTUDY_CPGMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

#define CPGMSG_VERSION  1u
#define CPGMSG_SIZE_MAX 512u
#define CPGMSG_EVERY_MS 300u
#define CPG_GROUP_NAME  "understudy"

struct id128 { uint64_t hi, lo; };     /* a boot id; all zero = not known */

enum cpgmsg_flag {
    CPGMSG_NO_LIST_PROCESS = 1 << 0,   /* proven from /proc */
    CPGMSG_NO_SHARE_CHILD  = 1 << 1,   /* no unreaped child that may still change a share */
    CPGMSG_NO_END_PENDING  = 1 << 2,   /* no end of an epoch issued and not read back */
    CPGMSG_HELD            = 1 << 3,   /* will not claim until an operator clears it */
    CPGMSG_READY           = 1 << 4,   /* passive, and nothing but the active node keeps it from claiming */
    CPGMSG_RELEASING       = 1 << 5,   /* stopped for a planned release, for good */
};

struct cpgmsg {
    uint64_t             cluster;      /* hash of the cluster's name */
    uint32_t             node;         /* node id; must equal the CPG sender */
    struct id128         boot;
    uint64_t             run;          /* of this engine */
    uint64_t             ring;         /* the CPG ring that it was sent in */
    uint64_t             epoch;        /* highest seen */
    uint64_t             seq;          /* rises by one a message within a run */
    uint32_t             flags;        /* enum cpgmsg_flag */
    uint32_t             state;        /* enum core_state, for status only */
    struct config_digest digest;
};

/* Writes `m` into buf[CPGMSG_SIZE_MAX]; returns its length. */
size_t cpgmsg_encode(const struct cpgmsg *m, uint8_t *buf);
/* Returns 0; -EPROTONOSUPPORT for another version; -EBADMSG for a wrong size, magic or count. `ret` untouched unless 0. */
int cpgmsg_decode(const uint8_t *buf, size_t len, struct cpgmsg *ret);
uint64_t cpgmsg_cluster_hash(const char *name);

#endif
