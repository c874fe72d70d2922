/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:mailman2, inside. */
#ifndef UNDERSTUDY_MAILMAN2_H
#define UNDERSTUDY_MAILMAN2_H

#include "resource/listserver.h"

extern const struct ocf_about          mailman2_about;
extern const char                      mailman2_metadata[];
extern const struct listserver_starter mailman21_starter;

/* Parameters from the environment. OCF_SUCCESS, or a code with the sentence printed. */
enum ocf_code mailman2_params_read(struct listserver *ret);
/* What the host must have. The same. */
enum ocf_code mailman2_host_check(const struct listserver *m);

/* Generation 2.0, which has no master: cron's qrunner may work while the gate is open, and that it may is what the service
 * is. The state of the resource is a file on this node; the gate itself is the daemon's. */
enum ocf_code mailman20_start(struct listserver *m);
enum ocf_code mailman20_stop(const struct listserver *m);
enum ocf_code mailman20_monitor(const struct listserver *m, unsigned level);
enum ocf_code mailman20_release(const struct listserver *m);
enum ocf_code mailman20_resume(const struct listserver *m);

#endif
