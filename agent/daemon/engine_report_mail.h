/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of a report that is known only after the node is active; see engine_report_mail.c. */
#ifndef UNDERSTUDY_ENGINE_REPORT_MAIL_H
#define UNDERSTUDY_ENGINE_REPORT_MAIL_H

#include <stdio.h>

#include <jansson.h>

#include "daemon/engine_report.h"

/* A record that understudy-poke has printed. */
void report_poke(struct report *r, const struct record *rec, uint64_t now_ms);
/* An operation of the engine's own is over. */
void report_beside(struct report *r, const struct op *op, enum core_result result, uint64_t now_ms);

/* `zero_ms` is what the report's times count from. The caller owns the values. */
json_t *report_mail_json(const struct takeover *t, uint64_t zero_ms);
json_t *report_units_json(const struct takeover *t);
void    report_mail_text(FILE *out, const struct takeover *t, uint64_t zero_ms);

#endif
