/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reports of `understudy-epoch watch`: strict and bounded. A report counts as a whole or not at all: one bad
 * record and it is as if the share had not answered (design: malformed answers never move towards active). */
#ifndef UNDERSTUDY_ENGINE_PARSE_H
#define UNDERSTUDY_ENGINE_PARSE_H

#include "common/config.h"
#include "common/token.h"
#include "core/core.h"
#include "daemon/engine_record.h"

#define WATCH_WORD_MAX 48

struct watch_beat {
    bool           seen;
    struct core_id boot;
    uint64_t       run, counter;
};

enum watch_maintenance { MAINTENANCE_OFF, MAINTENANCE_ON, MAINTENANCE_MALFORMED };

struct watch_report {
    enum core_share   share;
    char              why[WATCH_WORD_MAX];
    char              uuid[WATCH_WORD_MAX];
    uint64_t          highest, local_max;
    uint64_t          listed_ms;              /* CLOCK_BOOTTIME before the listing began */
    unsigned          write_errno;            /* of the last try to write the beat; 0 = written, or not tried */
    struct core_epoch last;                   /* node is CORE_NODE_NONE when init made it */
    struct core_epoch before;                 /* the one below it; n = 0 and not ended: there is none */
    unsigned          n_open;                 /* all un-ended ones; open[] holds at most CORE_EPOCHS */
    unsigned          n_listed;
    struct core_epoch open[CORE_EPOCHS];
    struct watch_beat beat[CORE_NODES];
    enum watch_maintenance maintenance;       /* malformed: there is something, it suspends claims and permits nothing */
    char              maintenance_node[WATCH_WORD_MAX * 2], maintenance_since[WATCH_WORD_MAX]; /* "-" unless it is on */
    char              maintenance_reason[TOKEN_TEXT_MAX + 1];
};

enum watch_line { WATCH_MORE, WATCH_REPORT, WATCH_BAD, WATCH_TEXT };

struct watch_parser {
    const struct config *cfg;   /* borrowed */
    struct watch_report  r;     /* complete after WATCH_REPORT, until the next line */
    bool                 share_seen, last_seen, before_seen, maintenance_seen, bad, ended;
    char                 bad_line[RECORD_LINE_MAX]; /* the first record that was refused */
};

void watch_parser_init(struct watch_parser *p, const struct config *cfg);
/* One line without its newline. WATCH_REPORT: p->r is a whole report. WATCH_BAD: one has ended that must not be used.
 * WATCH_TEXT: not a record, but a sentence for people. */
enum watch_line watch_parser_line(struct watch_parser *p, const char *line, size_t len);

#endif
