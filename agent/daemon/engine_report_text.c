/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report as text: what a person reads the morning after. */
#include <config.h>

#include "daemon/engine_report_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/banned.h"

static const char *node_name(const struct config *cfg, unsigned node)
{
    return node < cfg->n_nodes ? cfg->nodes[node].name : "nobody";
}

static uint64_t first_ms(const struct takeover *t)
{
    for (unsigned i = 0; i < PHASE_N; i++)
        if (t->phase[i].end_ms)
            return t->phase[i].begin_ms;
    return t->active_ms;
}

static void head_write(FILE *out, const struct config *cfg, unsigned self, const struct takeover *t, uint64_t wall)
{
    time_t at = (time_t)wall;
    char day[64] = "";
    struct tm tm;

    if (gmtime_r(&at, &tm))
        (void)strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S UTC", &tm);
    (void)fprintf(out, "%s: node %s is active since %s, epoch %llu, cluster %s\n", t->unplanned ? "Takeover" : "Start",
                  node_name(cfg, self), day, (unsigned long long)t->epoch, cfg->cluster);
    if (t->from < CORE_NODES)
        (void)fprintf(out, "It follows the tenure of node %s.\n", node_name(cfg, t->from));
    if (t->attempts > 1)
        (void)fprintf(out, "Proofs were begun %u times: ring, quorum or claim changed in between.\n", t->attempts);
}

static void phases_write(FILE *out, const struct takeover *t)
{
    uint64_t zero = first_ms(t);

    (void)fprintf(out, "\n  %-12s %9s %9s\n", "phase", "at ms", "took ms");
    for (unsigned i = 0; i < PHASE_N; i++) {
        const struct report_span *p = &t->phase[i];
        if (p->end_ms)
            (void)fprintf(out, "  %-12s %9llu %9llu\n", report_phase_name((enum report_phase)i),
                          (unsigned long long)(p->begin_ms - zero), (unsigned long long)(p->end_ms - p->begin_ms));
    }
    (void)fprintf(out, "  %-12s %9llu\n", "active", (unsigned long long)(t->active_ms - zero));
}

static void evidence_write(FILE *out, const struct config *cfg, unsigned self, const struct takeover *t)
{
    uint64_t zero = first_ms(t);

    (void)fprintf(out, "\nWhy the other nodes were harmless:\n");
    for (unsigned i = 0; i < cfg->n_nodes; i++)
        if (i != self)
            (void)fprintf(out, "  %s: %s\n", cfg->nodes[i].name, core_proof_name(t->proof[i].kind));
    for (unsigned i = 0; i < t->n_fence; i++) {
        const struct report_fence *f = &t->fence[i];
        (void)fprintf(out, "  operation %llu, device %s: %s answered %s, asked at %llu ms, took %llu ms\n",
                      (unsigned long long)f->op_id, f->device < cfg->n_devices ? cfg->devices[f->device].name : "-",
                      core_op_name(f->op), core_result_name(f->result), (unsigned long long)(f->begin_ms - zero),
                      (unsigned long long)(f->end_ms - f->begin_ms));
    }
}

static void recovery_write(FILE *out, const struct takeover *t)
{
    if (!t->recovered) {
        (void)fprintf(out, "\nThe recovery pass gave no summary.\n");
        return;
    }
    (void)fprintf(out, "\nRecovery pass: %llu stale locks cleared; queue: %llu waiting, %llu in work when it stopped (.bak), "
                  "%llu half written, %llu quarantined, %llu shunted, %llu bad.\n",
                  (unsigned long long)t->locks_cleared, (unsigned long long)t->pck, (unsigned long long)t->bak,
                  (unsigned long long)t->tmp, (unsigned long long)t->quarantined, (unsigned long long)t->shunt,
                  (unsigned long long)t->bad);
    (void)fprintf(out, "Messages that may reach their readers twice: at most %llu.\n",
                  (unsigned long long)t->duplicate_bound);
    if (t->deferred)
        (void)fprintf(out, "Put off, and done while the node is active: %llu;", (unsigned long long)t->deferred);
    for (unsigned i = 0; t->deferred && i < t->n_deferred; i++)
        (void)fprintf(out, "%s %s (%s)", i ? "," : "", t->deferred_unit[i].unit, t->deferred_unit[i].reason);
    if (t->deferred)
        (void)fprintf(out, "%s.\n", t->deferred > t->n_deferred ? ", and more" : "");
    if (t->last_chance)
        (void)fprintf(out, "In a runner's hands at a second start in a row: %llu; at a third Mailman parks them in queue bad.\n",
                      (unsigned long long)t->last_chance);
    if (t->parked)
        (void)fprintf(out, "In a runner's hands at a third start in a row: %llu; Mailman has parked them in queue bad.\n",
                      (unsigned long long)t->parked);
}

char *report_text(const struct config *cfg, unsigned self, const struct takeover *t, uint64_t wall)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    head_write(out, cfg, self, t, wall);
    phases_write(out, t);
    evidence_write(out, cfg, self, t);
    recovery_write(out, t);
    report_mail_text(out, t, first_ms(t));
    bool whole = !ferror(out); /* it may have gone without memory in the middle */
    if (fclose(out) == 0 && whole)
        return text;
    free(text);
    return NULL;
}
