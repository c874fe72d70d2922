/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The auditor's eye: which process of which host changed what on the shares, in the kernel's own order.
 *
 * One fanotify group watches both shares, so that "before the takeover's own" is the order of one queue and not a
 * comparison of clocks. Hosts are told apart by fork events (a child belongs to its parent's host), so that a process
 * that lived for a millisecond is known too.
 */
#ifndef TESTS_LAB_AUDIT_H
#define TESTS_LAB_AUDIT_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { AUDIT_OUTER = 0, AUDIT_UNKNOWN = -1 };   /* process of no host; process that could not be told */

enum audit_kind { AUDIT_OTHER, AUDIT_CLI, AUDIT_RUNNER, AUDIT_MASTER };

/* audit_out.c: one JSON object a line on stdout, flushed by out_flush(). */
uint64_t audit_now_us(void);                    /* CLOCK_BOOTTIME */
const char *audit_kind_name(enum audit_kind kind);
void out_begin(const char *event, uint64_t now_us);
void out_number(const char *key, int64_t value);
void out_string(const char *key, const char *value, size_t length);
void out_text(const char *key, const char *value);
void out_end(void);
void out_flush(void);

/* audit_proc.c: processes and the hosts (process id namespaces) that they live in. */
struct procs;
/* use_connector false: hosts are read from /proc when an event comes; what has gone by then is AUDIT_UNKNOWN. */
int procs_open(struct procs **ret, bool use_connector);
void procs_close(struct procs *procs);
bool procs_has_connector(const struct procs *procs);
int procs_connector_fd(const struct procs *procs);      /* -1: none */
int procs_exit_fd(const struct procs *procs);           /* epoll of the list processes' pidfds */
void procs_drain_events(struct procs *procs);           /* every fork, exec and exit that the kernel has queued by now */
void procs_drain_exits(struct procs *procs);
/* pidfd: of the event, or -1. It makes a look into /proc safe from reuse of the number. */
int procs_find_instance(struct procs *procs, pid_t pid, int pidfd);
enum audit_kind procs_find_kind(struct procs *procs, pid_t pid);

/* audit_ns.c: instances, that is pid namespaces over their life time (inode numbers are used again). */
struct instances;
int instances_open(struct instances **ret);
void instances_close(struct instances *all);
int instances_find(struct instances *all, pid_t pid);   /* by /proc/PID/ns/pid; AUDIT_UNKNOWN when it has gone */
void instances_note_exit(struct instances *all, pid_t pid);
int instances_count(const struct instances *all);
pid_t instances_init(const struct instances *all, int number);
bool audit_pid_innermost(pid_t pid, pid_t *ret);        /* last NSpid of /proc/PID/status */

/* audit_fs.c: the fanotify group. */
struct shares;
int shares_open(struct shares **ret, const char *list, const char *control, bool want_pidfd);
void shares_close(struct shares *shares);
int shares_fd(const struct shares *shares);
const char *shares_mode(const struct shares *shares);   /* "filesystem" or "directory" */
/* Reads one batch, then lets procs catch up, then writes the batch out. False: nothing was there. */
bool shares_drain(struct shares *shares, struct procs *procs);
uint64_t shares_count(const struct shares *shares);

#endif
