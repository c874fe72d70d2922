/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system calls that a program of ours may still make once it is set up: all others end it at once with SIGSYS, and
 * the kernel's log names the call (reliability S10). One list for each program, by libseccomp. */
#ifndef UNDERSTUDY_SANDBOX_H
#define UNDERSTUDY_SANDBOX_H

enum sandbox_profile {
    SANDBOX_ENGINE,   /* files of its own, Unix sockets, what libqb's IPC needs */
    SANDBOX_MEMBERS,  /* corosync's Unix sockets and its ring buffers, which it makes itself: no new files */
    SANDBOX_EPOCH,    /* makes, links and removes files; no sockets */
    SANDBOX_STATE,    /* moves names; opens nothing for writing; no sockets */
    SANDBOX_RECOVER,  /* the same, and makes new files: the probe of the share, the ledger */
    SANDBOX_PASS,     /* the same, and has workers: forks, speaks with them, kills them */
    SANDBOX_WORKER,   /* within SANDBOX_PASS: takes away again what that has more than SANDBOX_RECOVER */
    SANDBOX_N
};

/* For good, and for all threads. 0; -ENOSYS = not there, in this build or in this kernel, and nothing has changed: the
 * caller says so and goes on; any other -errno = failed: the caller ends. */
int sandbox_enter(enum sandbox_profile profile);

#endif
