/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of Mailman 2.0: SHA1.db, a marshalled dictionary, is written first, then SHA1.msg, the text; both in place. What a
 * death leaves is half an entry, and so is what a post that is under way has made so far: age tells them apart, and
 * nothing is ever removed (facts: mailman F; one 2.0.x lost messages by removing what it took for an orphan). */
#ifndef UNDERSTUDY_QUEUE20_H
#define UNDERSTUDY_QUEUE20_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE20_GUARD_MS 900000u    /* half an entry that is younger may still become a whole one */
#define QUEUE20_STEM_LEN 40u        /* hexadecimal digits of a SHA-1 */

enum queue20_fault {
    QUEUE20_WHOLE,
    QUEUE20_NO_MESSAGE,     /* .db alone: the post was cut off, whoever posted was told so, or not answered */
    QUEUE20_NO_METADATA,    /* .msg alone: it was delivered, and the second half of its removal was cut off */
    QUEUE20_TORN_METADATA,  /* .db is empty or cut short: the job logs it at each run, and never delivers it */
    QUEUE20_EMPTY_MESSAGE,  /* .msg has no byte */
    QUEUE20_NOT_A_FILE,     /* one of them is a link, a directory or a fifo: Mailman made none */
    QUEUE20_FAULT_N
};

/* As from fstat(2) and the first and last byte of the .db; pure. */
struct queue20_half { bool there, file; uint64_t size, changed_ms; };
struct queue20_entry {
    char                stem[QUEUE20_STEM_LEN + 1];
    struct queue20_half db, msg;
    char                db_first, db_last;
};

enum queue20_fault queue20_judge(const struct queue20_entry *e);
/* Both of its halves have been as they are for longer than the guard. `now_ms`: by the clock of the file server. */
bool queue20_is_old(const struct queue20_entry *e, uint64_t now_ms);
const char *queue20_fault_name(enum queue20_fault f);

/* SHA1.db and SHA1.msg: true, `*ret_msg` says which. Whatever else lies there is none of the queue's. */
bool queue20_name(const char *name, char ret_stem[QUEUE20_STEM_LEN + 1], bool *ret_msg);

struct queue20_counts {
    uint64_t whole;         /* entries that wait */
    uint64_t young;         /* half or faulty, and younger than the guard: looked at again later */
    uint64_t faulty;        /* faulty and old enough; both halves are put aside */
    uint64_t quarantined;   /* of these, entries that were moved */
    uint64_t oldest_ms;     /* age of the oldest whole entry */
};

struct queue20 {
    int      dirfd;         /* of the queue directory */
    bool     change;        /* puts aside; else it is only counted */
    uint64_t epoch;         /* for the names in the quarantine */
    uint64_t now_ms;        /* by the clock of the file server: see queue20_clock() */
    void   (*tell)(void *ctx, const char *stem, enum queue20_fault fault); /* of each faulty entry; may be NULL */
    void    *ctx;
};

/* Looks at every entry once. 0, -errno of the first call that failed: what was counted until then is in `ret`. */
int queue20_treat(const struct queue20 *q, struct queue20_counts *ret);

/* What time it is on the file server: that of a file which is made and removed in `dirfd`. 0 or -errno. */
int queue20_clock(int dirfd, uint64_t *ret_ms);

#endif
