/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the lock without which the list server does not run (facts: two hard links of one file, whose text is the longer name:
 * 3: LOCK_DIR/master.lck|FQDN|PID|RANDOM; 2.1: LOCK_DIR/master-qrunner.HOST.PID; 2.0: LOCK_DIR/qrunner.lock.HOST.PID).
 * Read only: clearing one is the work of understudy-state, and needs a proof. */
#ifndef UNDERSTUDY_MASTERLOCK_H
#define UNDERSTUDY_MASTERLOCK_H

#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"

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

/* Its name in the lock directory. */
const char *masterlock_name(enum config_list_kind kind);

/* Reads it with the rights that the process has now. 0 or -errno of the directory or the read. */
int masterlock_read(const char *lock_dir, enum config_list_kind kind, struct masterlock *ret);

/* Judges the lock's text. Split out for tests. */
void masterlock_parse(enum config_list_kind kind, const char *text, size_t len, struct masterlock *ret);

#endif
