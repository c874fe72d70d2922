/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What belongs to a takeover, but is known only after the node is active: what the MX hosts answered, and whether the
 * units that go with the list service have started. The report is written again with each. */
#include <config.h>

#include "daemon/engine_report_mail.h"

#include <string.h>

#include "common/banned.h"

static void text_take(char *dst, size_t size, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    len = len < size ? len : size - 1;
    if (len > 0)
        memcpy(dst, text, len);
    dst[len] = '\0';
}

void report_poke(struct report *r, const struct record *rec, uint64_t now_ms)
{
    struct takeover *t = &r->last;
    struct report_poke *p = &t->poke[t->n_poke];
    uint64_t code = 0;

    if (!r->any || strcmp(rec->word, "poke") != 0 || t->n_poke == REPORT_POKES_MAX)
        return;
    (void)record_u64(rec, "code", &code); /* none: it did not come to an answer, and 0 says so */
    p->code = code <= 999 ? (unsigned)code : 0;
    p->took_ms = 0;
    (void)record_u64(rec, "took_ms", &p->took_ms);
    p->at_ms = now_ms;
    text_take(p->mx, sizeof p->mx, record_value(rec, "mx"));
    text_take(p->domain, sizeof p->domain, record_value(rec, "domain"));
    t->n_poke++;
}

void report_beside(struct report *r, const struct op *op, enum core_result result, uint64_t now_ms)
{
    if (!r->any || r->open || op->cancelled || (op->job != JOB_POKE && op->job != JOB_UNITS_START))
        return;
    if (op->job == JOB_UNITS_START) {
        r->last.units_asked = true;
        r->last.units = result;
        r->last.units_ms = now_ms - op->start_ms;
    }
    r->ready = true;
}

json_t *report_mail_json(const struct takeover *t, uint64_t zero_ms)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < t->n_poke; i++) {
        const struct report_poke *p = &t->poke[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:I, s:I}", "mx", p->mx, "domain", p->domain,
            "code", (int)p->code, "at_ms", (json_int_t)(p->at_ms > zero_ms ? p->at_ms - zero_ms : 0),
            "took_ms", (json_int_t)p->took_ms));
    }
    return list;
}

json_t *report_units_json(const struct takeover *t)
{
    if (!t->units_asked)
        return json_null();
    return json_pack("{s:s, s:I}", "answer", core_result_name(t->units), "took_ms", (json_int_t)t->units_ms);
}

void report_mail_text(FILE *out, const struct takeover *t, uint64_t zero_ms)
{
    if (t->n_poke > 0)
        (void)fprintf(out, "\nMX hosts, told to retry now:\n");
    for (unsigned i = 0; i < t->n_poke; i++) {
        const struct report_poke *p = &t->poke[i];
        unsigned long long at = p->at_ms > zero_ms ? p->at_ms - zero_ms : 0;
        if (p->code)
            (void)fprintf(out, "  %s, domain %s: answered %u at %llu ms, took %llu ms\n", p->mx, p->domain, p->code, at,
                          (unsigned long long)p->took_ms);
        else
            (void)fprintf(out, "  %s, domain %s: no answer at %llu ms, gave up after %llu ms; its mail comes when it "
                          "retries by itself\n", p->mx, p->domain, at, (unsigned long long)p->took_ms);
    }
    if (t->units_asked)
        (void)fprintf(out, "\nUnits that go with the list service: start %s after %llu ms%s.\n",
                      core_result_name(t->units), (unsigned long long)t->units_ms,
                      t->units == RES_OK ? "" : "; see systemctl status");
}
