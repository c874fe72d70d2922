/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading Mailman 3's master lock (facts: two hard links of one file, whose text is LOCK_DIR/master.lck|FQDN|PID|RANDOM).
 * Read only: clearing one is the work of understudy-state, and needs a proof. */
#ifndef UNDERSTUDY_MASTERLOCK_H
#define UNDERSTUDY_MASTERLOCK_H

#include <stddef.h>
#include <sys/types.h>

enum masterlock_state {
    MASTERLOCK_NONE,
    MASTERLOCK_HELD,       /* host and pid say by whom; whether that process lives is another question */
    MASTERLOCK_MALFORMED,  /* empty, torn, oversized, no regular file */
};

struct masterlock {
    enum masterlock_state state;
    char                  host[256];
    pid_t                 pid;
    unsigned              links;   /* 2 when the claim file is beside it */
};

/* Reads LOCK_DIR/master.lck with the rights that the process has now. 0 or -errno of the directory or the read. */
int masterlock_read(const char *lock_dir, struct masterlock *ret);

/* Judges the lock's text. Split out for tests. */
void masterlock_parse(const char *text, size_t len, struct masterlock *ret);

#endif
