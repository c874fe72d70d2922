/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list server, as its agents see it: ocf:understudy:mailman3 and ocf:understudy:mailman2 are two sets of parameters and two ways
 * to launch one; what is seen, stopped, released and resumed is the same. */
#ifndef UNDERSTUDY_LISTSERVER_H
#define UNDERSTUDY_LISTSERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/listproc.h"
#include "resource/listuser.h"
#include "resource/ocf.h"

#define LISTSERVER_RUNNERS_MAX 64  /* processes, slices counted one by one */

struct listserver_runner {
    char     name[LISTPROC_NAME_MAX];
    char     queue[LISTPROC_NAME_MAX];   /* its directory below queue_dir */
    unsigned slice, count;
};

struct listserver {
    const struct ocf_about *about;
    struct listproc_service service;      /* its kind, and what its processes are known by */
    struct listuser        user;          /* uid 0 until listserver_user_need() */
    const char            *user_name;
    char                   config[PATH_MAX];  /* 3: resolved, as Mailman passes it on to its runners */
    char                   program[PATH_MAX]; /* 2: PREFIX/bin/mailmanctl */
    const char            *mailman, *db_probe;      /* 3 */
    const char            *python;                  /* 2: NULL = as the program's first line says */
    const char            *prefix, *list_dir;       /* 2 */
    const char            *lock_dir, *queue_dir, *defer_dir;
    const char            *pid_file;      /* 3, on this node; NULL = what is there is on the share and not to be trusted */
    char                   lock_host[256];          /* this node's name in its locks */
    const char            *lock_host_is;  /* where that comes from, for people */
    const char            *protocol;      /* what intake speaks, for people */
    const char            *intake_host;
    uint16_t               intake_port;
    bool                   restarts;      /* its master starts a runner again that died */
    uint32_t               start_timeout_ms, stop_timeout_ms, release_timeout_ms;
    unsigned               n_runners;
    struct listserver_runner runners[LISTSERVER_RUNNERS_MAX];
};

/* What runs here of what should run, from /proc alone. */
struct listserver_view {
    struct listproc_list list;
    unsigned             n_masters;
    pid_t                master;              /* valid when n_masters == 1 */
    unsigned             n_missing;           /* expected runners that do not work */
    unsigned             n_stopped;           /* of the missing: there, but stopped by a signal */
    unsigned             n_zombies;           /* dead children of the master: that of Mailman 3 does not reap them */
    unsigned             n_alive;             /* masters and runners; not the commands of an operator or of cron */
    bool                 missing[LISTSERVER_RUNNERS_MAX];
};

/* The parameters that every agent of a list server has; `about`, service and restarts are set. OCF_SUCCESS, or a code with
 * the sentence printed. */
enum ocf_code listserver_params_read(struct listserver *m);
/* Each has to be there and to be usable as `mode` (of access) says: else OCF_ERR_INSTALLED with the sentence printed. */
struct listserver_file { const char *param, *path; int mode; };
enum ocf_code listserver_files_check(const struct listserver_file *need, unsigned n);
/* Looks the list user up. OCF_ERR_INSTALLED with the sentence printed when there is none. */
enum ocf_code listserver_user_need(struct listserver *m);
/* "in pipeline out:4" into single processes. 0, -EINVAL, -ENOSPC; `ret_n` is the number. */
int listserver_runners_parse(enum config_list_kind kind, const char *text, struct listserver_runner *ret, unsigned max,
                             unsigned *ret_n);
/* The queue of a runner, its own name when it is not known. Borrows from `m` or `name`. */
const char *listserver_queue(const struct listserver *m, const char *name);

/* 0, or -errno of /proc; -EAGAIN when some process could not be read. */
int  listserver_look(const struct listserver *m, struct listserver_view *ret);
/* Compares a scan with what is expected. Split out for tests. */
void listserver_view_judge(const struct listserver *m, struct listserver_view *v);
bool listserver_view_complete(const struct listserver_view *v);
/* A record for each runner that is not as it should be, and one sentence. */
void listserver_view_complain(const struct listserver *m, const struct listserver_view *v);

/* How one kind of list server comes up. */
struct start;
struct listserver_starter {
    /* Before anything else, so that it may come up meanwhile; NULL = nothing. 0 or -errno, with the sentence printed. */
    int (*begin)(struct start *s);
    /* May the list server work on its data? Asked before it is launched and before intake opens; NULL = always. */
    enum ocf_code (*prove)(struct start *s);
    /* Nothing of it runs, no lock stands in its way. `child`, `said` and `stagger` of the start are its own. */
    enum ocf_code (*launch)(struct start *s);
    void (*end)(struct start *s);   /* whenever begin() was called; NULL = nothing */
};

enum ocf_code listserver_start(struct listserver *m, const struct listserver_starter *starter);
enum ocf_code listserver_stop(const struct listserver *m);
/* A planned stop at a safe point, where no message is in anyone's hands; if that is not reached in time, everything goes
 * on. The last record says which: released, or refused with state=serving, stopped or unknown. */
enum ocf_code listserver_release(const struct listserver *m);
/* After a release that was cut off: lets everything go on, looks whether it is whole, opens intake. Idempotent. */
enum ocf_code listserver_resume(const struct listserver *m);
enum ocf_code listserver_monitor(const struct listserver *m, unsigned level);
/* Opens or closes it, with the sentence printed when that fails. */
enum ocf_code listserver_intake(const struct listserver *m, bool closed);

#endif
