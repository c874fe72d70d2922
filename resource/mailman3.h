/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:mailman3, inside. */
#ifndef UNDERSTUDY_MAILMAN3_H
#define UNDERSTUDY_MAILMAN3_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/listproc.h"
#include "resource/listuser.h"
#include "resource/ocf.h"

#define MAILMAN3_RUNNERS_MAX 64  /* processes, slices counted one by one */

struct mailman3_runner {
    char     name[LISTPROC_NAME_MAX];
    unsigned slice, count;
};

struct mailman3 {
    struct listuser        user;          /* uid 0 until mailman3_user_need() */
    const char            *user_name;
    char                   config[PATH_MAX];  /* resolved, as Mailman passes it on to its runners */
    const char            *mailman, *python, *db_probe;
    const char            *lock_dir, *queue_dir, *pid_file, *defer_dir;
    char                   fqdn[256];
    const char            *lmtp_host;
    uint16_t               lmtp_port;
    uint32_t               start_timeout_ms, stop_timeout_ms, release_timeout_ms;
    unsigned               n_runners;
    struct mailman3_runner runners[MAILMAN3_RUNNERS_MAX];
};

/* What runs here of what should run, from /proc alone. */
struct mailman3_view {
    struct listproc_list list;
    unsigned             n_masters;
    pid_t                master;              /* valid when n_masters == 1 */
    unsigned             n_missing;           /* expected runners that do not work */
    unsigned             n_stopped;           /* of the missing: there, but stopped by a signal */
    unsigned             n_zombies;           /* dead children of the master: it does not reap them */
    unsigned             n_alive;             /* masters and runners; not the commands of an operator or of cron */
    bool                 missing[MAILMAN3_RUNNERS_MAX];
};

extern const struct ocf_about mailman3_about;
extern const char             mailman3_metadata[];

/* Parameters from the environment. OCF_SUCCESS, or a code with the sentence printed. */
enum ocf_code mailman3_params_read(struct mailman3 *ret);
/* What the host must have: user, files, programs. The same. */
enum ocf_code mailman3_host_check(const struct mailman3 *m);
/* Looks the list user up. OCF_ERR_INSTALLED with the sentence printed when there is none. */
enum ocf_code mailman3_user_need(struct mailman3 *m);
/* "in pipeline out:4" into single processes. 0, -EINVAL, -ENOSPC; `ret_n` is the number. */
int mailman3_runners_parse(const char *text, struct mailman3_runner *ret, unsigned max, unsigned *ret_n);

/* 0, or -errno of /proc; -EAGAIN when some process could not be read. */
int  mailman3_look(const struct mailman3 *m, struct mailman3_view *ret);
/* Compares a scan with what is expected. Split out for tests. */
void mailman3_view_judge(const struct mailman3 *m, struct mailman3_view *v);
bool mailman3_view_complete(const struct mailman3_view *v);
/* A record for each runner that is not as it should be, and one sentence. */
void mailman3_view_complain(const struct mailman3 *m, const struct mailman3_view *v);

enum ocf_code mailman3_start(struct mailman3 *m);
enum ocf_code mailman3_stop(const struct mailman3 *m);
/* A planned stop at a safe point, where no message is in anyone's hands; if that is not reached in time, everything goes
 * on. The last record says which: released, or refused with state=serving, stopped or unknown. */
enum ocf_code mailman3_release(const struct mailman3 *m);
/* After a release that was cut off: lets everything go on, looks whether it is whole, opens intake. Idempotent. */
enum ocf_code mailman3_resume(const struct mailman3 *m);
enum ocf_code mailman3_monitor(const struct mailman3 *m, unsigned level);

#endif
