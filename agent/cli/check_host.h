/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What check-config finds on this host that no configuration file shows alone. */
#ifndef UNDERSTUDY_CHECK_HOST_H
#define UNDERSTUDY_CHECK_HOST_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "common/config.h"

/* Warnings, a line each: what; why; what to do. This host is node `self`; our helper programs are in `libexec`. Each
 * program that is asked has its deadline: 3 s in all where nothing hangs. Returns their number. */
unsigned check_host(const struct config *cfg, unsigned self, const char *libexec, FILE *out);

/* The same for Mailman 2, of the text of its mm_cfg.py. */
unsigned check_mailman2(const struct config *cfg, unsigned self, const char *mm_cfg, FILE *out);
/* The parts. `mm` is what the program mailman-conf prints; `mountinfo` the text of /proc/self/mountinfo; `state` the word
 * of systemctl is-enabled. */
unsigned check_mailman(const struct config *cfg, unsigned self, const json_t *mm, FILE *out);
unsigned check_database(const struct config *cfg, const json_t *mm, const char *mountinfo, FILE *out);
unsigned check_unit(const struct config *cfg, const char *unit, const char *state, FILE *out);

#endif
