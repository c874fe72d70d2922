/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemons' log: to stderr, or to syslog when stderr goes nowhere. Written by a thread, so that a reader that hangs never
 * holds a loop: what is too much for it is dropped and counted. After log_open() no message needs memory, so that a program
 * without any can still say so. notice = a state changed; info = why nothing did; error = a person must act. */
#ifndef UNDERSTUDY_LOG_H
#define UNDERSTUDY_LOG_H

#include <syslog.h>

/* `program` = who speaks; what is less urgent than `least_priority` is not logged. Before it, and after log_close(), nothing is. */
void log_open(const char *program, int least_priority);
void log_close(void);
__attribute__((format(printf, 2, 3))) void log_write(int priority, const char *format, ...);

#define log_error(...)   log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)

#endif
