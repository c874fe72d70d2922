/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which processes of the list service live here, from /proc alone: no share is touched, no lock is believed
 * (design: "Monitors and the proof of a stop need /proc only"). Used by the engine and by the resource agents. */
#ifndef UNDERSTUDY_LISTPROC_H
#define UNDERSTUDY_LISTPROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"

#define LISTPROC_MAX         64  /* most processes that are told apart; more is still "yes" */
#define LISTPROC_CMDLINE_MAX 4096
#define LISTPROC_NAME_MAX    64

enum listproc_kind {
    LISTPROC_MASTER,    /* .../master -C CONFIG; of 2.1 .../mailmanctl start, also the one that still forks it */
    LISTPROC_RUNNER,    /* .../runner -C CONFIG --runner=NAME:SLICE:COUNT, and what it forks; of 2.1 .../qrunner
                           --runner=NAME:SLICE:COUNT; of 2.0 .../cron/qrunner */
    LISTPROC_COMMAND,   /* .../mailman -C CONFIG: start, digests and the like; it takes locks and opens the database. Of 2.x any
                           program of PREFIX's: mail/mailman post, cron/disabled, bin/add_members */
    LISTPROC_ZOMBIE,    /* dead, not reaped; was a child of a matched process, or of nobody that we know */
    LISTPROC_KIND_N
};

struct listproc {
    pid_t              pid, ppid;
    enum listproc_kind kind;
    char               state;            /* as in /proc/PID/stat: R S D T Z ... */
    uint64_t           start_ticks;      /* field 22 of /proc/PID/stat: with pid, an identity */
    char               runner[LISTPROC_NAME_MAX]; /* LISTPROC_RUNNER: letters, digits, _ and -, others as ?; else "" */
    unsigned           slice, count;     /* LISTPROC_RUNNER */
};

struct listproc_list {
    unsigned        n;                   /* entries in v */
    unsigned        n_alive;             /* masters, runners and commands that are not zombies, also beyond v's end */
    bool            complete;            /* every process that could matter was read: n_alive == 0 proves "none" */
    struct listproc v[LISTPROC_MAX];
};

/* Whose processes are looked for. The path is borrowed. */
struct listproc_service {
    enum config_list_kind kind;
    const char           *path;          /* 3: its configuration; 2: PREFIX */
};

/* That of the configuration. */
struct listproc_service listproc_service_of(const struct config_listserver *list);

/* Judges one command line (`len` bytes as /proc/PID/cmdline gives them, NUL between arguments). A program of Mailman 3
 * without -C counts too: cron's jobs run so. Mailman 2's master and runners count wherever they are, since PREFIX may have
 * other names; its other programs by PREFIX, in whatever argument it stands: what is about to start one counts, but for
 * the gate.
 * Returns true and fills kind, runner, slice and count of `ret`; else `ret` is untouched. */
bool listproc_match(const char *cmdline, size_t len, const struct listproc_service *service, struct listproc *ret);

/* Scans `proc` (normally "/proc") for processes of `uid` (effective or real). Returns 0; -errno when the directory
 * cannot be read; -EACCES when it hides the processes of others (hidepid): then nothing can be proven from it.
 * `ret` is written only on 0. May block for as long as the kernel blocks on /proc/PID/cmdline. */
int listproc_scan(const char *proc, uid_t uid, const struct listproc_service *service, struct listproc_list *ret);

/* Is `uid` the real or effective user of the process whose /proc/PID is open as `dirfd`? 1, 0, or -errno. */
int listproc_uid_is(int dirfd, uid_t uid);

/* Split out for tests. A text like /proc/PID/stat, in which the name of the process is its own choice: fills state, ppid and
 * start_ticks of `ret`; false when it is none, and then they mean nothing. */
bool listproc_stat_parse(const char *text, struct listproc *ret);
/* A text like /proc/PID/status, in which the kernel has escaped the line ends of the name. */
bool listproc_status_uid_is(const char *status, uid_t uid);

#endif
