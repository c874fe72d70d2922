/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One queue directory: its entries are counted and, if they can only do harm, put aside. */
#ifndef UNDERSTUDY_QUEUE_H
#define UNDERSTUDY_QUEUE_H

#include <stddef.h>

#include "resource/state/ledger.h"
#include "resource/state/state.h"
#include "resource/state/state_out.h"

#define QUEUE_SLICES_MAX 1024u

/* What is known of one queue afterwards. */
struct queue_told {
    struct queue_counts c;
    bool                there;      /* else it is no directory, or gone */
    bool                unseen;     /* what a runner had in its hands leaves no sign: one message may come twice */
    unsigned            slices;     /* so many of `s` are valid; 0: a shelf (shunt, bad) */
    struct slice_counts s[QUEUE_SLICES_MAX];
};

/* The names of its .bak without that end, each with its terminator: what a start of the list server is about to put back. More
 * than fit are more than runners have in their hands, and are left out. */
#define QUEUE_STEMS_MAX 8192u
struct queue_stems { size_t len; char text[QUEUE_STEMS_MAX]; };

#define QUEUE_TOLD_SIZE(t) (offsetof(struct queue_told, s) + (t)->slices * sizeof (t)->s[0])

struct queue_how {
    const struct state_ctx *ctx;
    int                     top;            /* the directory of all queues, borrowed */
    int                    *quarantine;     /* -1, and opened when it is first needed; the caller closes it */
    uint64_t                content_until_ms; /* until then the last bytes are looked at; 0 = no limit */
};

/* `name` below the queue directory; what is not a directory is passed over. `ret_stems` may be NULL. With ctx->live the list
 * server runs: then .tmp and .bak are its own. EXIT_DONE or EXIT_FAILED. */
int queue_treat(const struct queue_how *how, const char *name, struct queue_told *ret, struct queue_stems *ret_stems);

/* Counts them in the ledger, and warns of those that Mailman is going to park in `bad`. */
void queue_note(struct ledger *ledger, const char *name, const char *stems, size_t len, struct queue_counts *c);
/* Adds it to the totals and prints it. */
void queue_tell(const char *name, const struct queue_told *t, struct state_totals *totals);

/* When looking into waiting entries has to end, by CLOCK_BOOTTIME: a recovery has no time for all of them. */
uint64_t queue_content_until_ms(const struct state_ctx *ctx);

/* Mailman 2.0 has one queue, and its entries lie in the queue directory itself: this is the name that it has here. */
#define QUEUE20_NAME "qfiles"

/* Calls `take` with the name of each queue. Other than 0 ends it. EXIT_DONE, what `take` returned, or EXIT_FAILED. */
int queue_each(int top, const struct config_listserver *list, int (*take)(void *ctx, const char *name), void *ctx);

/* The same of any directory: calls `take` with the name of each entry; names with a leading dot are ours. */
int queue_names(int top, const char *path, int (*take)(void *ctx, const char *name), void *ctx);

#endif
