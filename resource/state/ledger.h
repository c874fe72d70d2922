/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often each message that a runner had in its hands has been put back by a start of the list server. Mailman counts too,
 * inside the pickle, and parks a message in `bad` the third time (facts: mailman C, _bak_count): three takeovers during one long
 * delivery are enough. So it is counted here, by names alone, and told before. */
#ifndef UNDERSTUDY_LEDGER_H
#define UNDERSTUDY_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_FILE  ".understudy-ledger"
#define LEDGER_LIMIT 3u          /* Mailman parks it instead of putting it back */
#define LEDGER_MAX   4096u       /* more than runners have in their hands at a time; those beyond are not counted */
#define LEDGER_NAME  256u

struct ledger_entry {
    char     queue[64], stem[LEDGER_NAME];   /* stem: the name without .bak */
    uint32_t starts;                         /* with it as a .bak, this one included */
    bool     seen;                           /* in this pass */
};

/* Sorted by queue and stem. */
struct ledger {
    struct ledger_entry *v;         /* owned; ledger_free() */
    size_t               n, size;
    bool                 there;     /* something was read: there is a file */
    uint32_t             unread;    /* lines that could not be read: their counts begin anew */
};

/* 0, also without a file; -EUCLEAN: it is no file of ours; or another -errno. `ret` is to be freed in any case. */
int  ledger_load(int queuefd, struct ledger *ret);
/* A .bak lies there and the list server is about to be started. Returns how often that is so by now; 0: it could not be noted. */
uint32_t ledger_note(struct ledger *l, const char *queue, const char *stem);
/* That queue could not be looked at: what is known of it is not forgotten. */
void ledger_keep(struct ledger *l, const char *queue);
/* What was not noted since the load is forgotten: it was delivered, or put away. 0 or -errno. */
int  ledger_save(int queuefd, struct ledger *l);
void ledger_free(struct ledger *l);

#endif
