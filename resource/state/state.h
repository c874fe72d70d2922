/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of understudy-state share. It runs as the list user and touches nothing but the lock directory
 * and the queue directory; each command returns an enum exit_code. */
#ifndef UNDERSTUDY_STATE_H
#define UNDERSTUDY_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "resource/state/lock_name.h"

struct state_ctx {
    const struct config *cfg;           /* borrowed */
    unsigned             self;          /* index of our node */
    enum lock_grammar    grammar;       /* of the list server's locks */
    uint32_t             harmless;      /* bit i: node i is proven harmless */
    uint64_t             epoch;         /* for the names in the quarantine */
    bool                 change;        /* recover: what can be cleared is cleared */
    bool                 live;          /* retry: the list server runs, what it may have in its hands is not touched */
    bool                 own_only;      /* release: nothing but what this node's own dead processes have left */
    uid_t                uid;           /* of the list user: ours */
    const char          *proc;          /* "/proc" */
};

/* What is left where queue and locks are; the smaller of two. UINT64_MAX: it has no limit. */
struct state_room { uint64_t free_bytes, free_files; };

struct state_totals {
    unsigned locks_cleared, locks_kept, locks_refused;
    uint64_t pck, bak, tmp, faulty, quarantined, unchecked, shunt, bad;
    uint64_t last_chance, parked;   /* .bak entries that the next start, or this one, parks in bad: see ledger.h */
    unsigned duplicate_bound;           /* runners that had a message in their hands */
    uint64_t deferred;                  /* units that the pass has put off */
};

/* Lock directory. EXIT_DONE; EXIT_REFUSED before anything was changed; EXIT_FAILED. */
int state_locks(const struct state_ctx *ctx, struct state_totals *totals);
/* Queue directory, by names, sizes and last bytes. EXIT_DONE or EXIT_FAILED. */
int state_queue(const struct state_ctx *ctx, struct state_totals *totals);

/* The pass at a takeover, after the locks: one attempt at each unit (a queue, a list) within half of start_timeout, each in a
 * worker. What could not be done is put off in the file of `defer_dir` (defer.h) before this returns, so that the list server
 * may be started beside it. EXIT_DONE, also with units that are put off; EXIT_FAILED: the share as a whole does not work, or what
 * is put off could not be kept. */
int state_recover(const struct state_ctx *ctx, const char *defer_dir, struct state_totals *totals);
/* Its first worker is started now, to be ready when it is needed, if it is. */
void state_recover_prepare(const struct state_ctx *ctx);
void state_recover_discard(void);
/* Once more what is put off and due, while the list server runs (ctx->live). Units that hung are left alone with `no_stuck`.
 * The same; EXIT_REFUSED: another pass runs, or the file is of another tenure. */
int state_retry(const struct state_ctx *ctx, const char *defer_dir, bool no_stuck, struct state_totals *totals);
/* What is put off, read only. EXIT_DONE or EXIT_FAILED. */
int state_deferred(const char *defer_dir, struct state_totals *totals);

/* What was written to the file systems of queue and locks is on the server when this is done. EXIT_DONE or EXIT_FAILED. */
int state_sync(const struct state_ctx *ctx);

/* Does a live process of the list user (and not ourselves) have that pid here? In doubt: yes. */
bool state_pid_alive(const struct state_ctx *ctx, pid_t pid);
/* The process that works here as runner `name`, of several slices one; 0 = none. 0, or -errno when it cannot be known. */
int  state_runner(const struct state_ctx *ctx, const char *name, pid_t *ret);
/* Does any process of the list service live here? 1, 0, or -errno when it cannot be known. */
int  state_service_alive(const struct state_ctx *ctx);

/* Can the list server store a message? A small file is written, synced and removed where the queue and the locks are, and
 * the reserve of the configuration has to be free there. Leaves nothing behind. `tell`: what is left is printed.
 * EXIT_DONE; EXIT_FULL: no space, inode or quota, or less than the reserve; EXIT_FAILED. */
int state_probe(const struct state_ctx *ctx, bool tell);

/* Milliseconds since 1970: the clock of the names of queue entries, and of what outlives a boot. */
uint64_t state_wall_clock_ms(void);

/* One sentence on stderr; returns `code`. */
int state_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
