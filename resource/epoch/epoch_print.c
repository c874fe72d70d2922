/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look as line records for the engine, and as JSON for people and scripts. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/bootid.h"

#include "common/banned.h"

#define OPEN_PRINTED_MAX 8u

struct out { char *buf; size_t size, len; };

static void out_add(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void out_add(struct out *o, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(o->buf + o->len, o->size - o->len, format, ap);
    va_end(ap);
    if (n > 0)
        o->len += (size_t)n < o->size - o->len ? (size_t)n : o->size - o->len - 1;
}

static const char *state_word(const struct epoch_look *look)
{
    return look->share.why ? "wrong" : look->behind ? "behind" : "ok";
}

static const char *why_word(const struct epoch_look *look)
{
    return look->share.why ? look->share.why : look->behind ? "epoch-lost" : "-";
}

static const char *id_text(const struct id128 *id, char buf[BOOTID_TEXT_SIZE])
{
    if (!bootid_known(id))
        return "-";
    bootid_format(id, buf);
    return buf;
}

/* A beat that cannot be read is no sign of life, and no reason to distrust the share: it is not synced. */
static bool beat_read(const struct epoch_look *look, const char *node, struct epoch_file *ret)
{
    char name[CONFIG_NAME_MAX + 8], text[EPOCH_FILE_MAX];
    size_t len;

    (void)snprintf(name, sizeof name, "beat.%s", node);
    return epoch_share_read(&look->share, name, text, sizeof text, &len) == 0
        && epoch_file_parse(text, len, EPOCH_BEAT, ret) == 0 && !strcmp(ret->node, node);
}

static bool entry_planned(const struct epoch_entry *e)
{
    return e->base ? e->n == 0 : e->planned;
}

static void entry_add(struct out *o, const char *word, const struct epoch_entry *e)
{
    char boot[BOOTID_TEXT_SIZE];

    bootid_format(&e->boot, boot);
    out_add(o, "%s n=%" PRIu64 " node=%s boot=%s run=%016" PRIx64 " owned=%d", word, e->n, e->node, boot, e->run,
            e->own_read);
}

/* Nobody ran before epoch.0; a base above it is no release: what was in the network then has to be waited for. */
static void told_add(struct out *o, const char *word, const struct epoch_entry *e)
{
    entry_add(o, word, e);
    out_add(o, " ended=%d planned=%d\n", !epoch_is_open(e), entry_planned(e));
}

static void epochs_add(struct out *o, const struct epoch_view *view)
{
    unsigned printed = 0;

    told_add(o, "last", &view->v[view->n - 1]);
    if (view->n > 1)
        told_add(o, "before", &view->v[view->n - 2]);
    for (size_t i = 0; i < view->n && printed < OPEN_PRINTED_MAX; i++) {
        if (!epoch_is_open(&view->v[i]))
            continue;
        entry_add(o, "open", &view->v[i]);
        out_add(o, "\n");
        printed++;
    }
}

static void maintenance_add(struct out *o, const struct epoch_look *look)
{
    const struct epoch_file *f = &look->maintained;

    if (look->maintenance == EPOCH_MAINTENANCE_ON)
        out_add(o, "maintenance state=on node=%s since=%s reason=%s\n", f->node, f->since, f->reason);
    else
        out_add(o, "maintenance state=%s node=- since=- reason=-\n",
                look->maintenance == EPOCH_MAINTENANCE_OFF ? "off" : "malformed");
}

size_t epoch_print_maintenance(const struct epoch_look *look, char *buf, size_t size)
{
    struct out o = { buf, size, 0 };

    maintenance_add(&o, look);
    return o.len;
}

size_t epoch_print(const struct epoch_ctx *ctx, const struct epoch_look *look, char *buf, size_t size)
{
    struct out o = { buf, size, 0 };
    struct epoch_file f;
    char id[BOOTID_TEXT_SIZE];

    out_add(&o, "share state=%s why=%s highest=%" PRIu64 " local_max=%" PRIu64 " open=%zu uuid=%s\n", state_word(look),
            why_word(look), epoch_view_highest(&look->view), look->local.max, epoch_view_open(&look->view),
            id_text(&look->share.uuid, id));
    if (look->share.why)
        return o.len;
    epochs_add(&o, &look->view);
    maintenance_add(&o, look);
    for (unsigned i = 0; i < ctx->cfg->n_nodes; i++)
        if (beat_read(look, ctx->cfg->nodes[i].name, &f)) {
            bootid_format(&f.boot, id);
            out_add(&o, "beat node=%s boot=%s run=%016" PRIx64 " counter=%" PRIu64 "\n", f.node, id, f.run, f.counter);
        }
    return o.len;
}

static void entry_add_json(struct out *o, const struct epoch_entry *e)
{
    char boot[BOOTID_TEXT_SIZE];

    bootid_format(&e->boot, boot);
    out_add(o, "{\"n\": %" PRIu64 ", \"node\": \"%s\", \"boot\": \"%s\", \"run\": \"%016" PRIx64
            "\", \"owned\": %s, \"ended\": %s, \"planned\": %s}", e->n, e->node, boot, e->run, e->own_read ? "true" : "false",
            epoch_is_open(e) ? "false" : "true", entry_planned(e) ? "true" : "false");
}

/* A word of a file, as a JSON string: reason has been decoded, names have printable characters only. */
static void string_add_json(struct out *o, const char *key, const char *text)
{
    out_add(o, "\"%s\": \"", key);
    for (; *text; text++)
        out_add(o, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    out_add(o, "\"");
}

static void maintenance_add_json(struct out *o, const struct epoch_look *look)
{
    bool on = look->maintenance == EPOCH_MAINTENANCE_ON;
    char reason[TOKEN_TEXT_MAX + 1] = "";

    if (on)
        (void)token_decode(look->maintained.reason, reason);
    out_add(o, ",\n \"maintenance\": {\"state\": \"%s\", ",
            on ? "on" : look->maintenance == EPOCH_MAINTENANCE_OFF ? "off" : "malformed");
    string_add_json(o, "node", on ? look->maintained.node : "-");
    out_add(o, ", \"since\": \"%s\", ", on ? look->maintained.since : "-");
    string_add_json(o, "reason", reason);
    out_add(o, "}");
}

/* No other text in here needs escaping: names and ids have been checked character by character, words are our own. */
size_t epoch_print_json(const struct epoch_ctx *ctx, const struct epoch_look *look, char *buf, size_t size)
{
    const struct epoch_view *view = &look->view;
    struct out o = { buf, size, 0 };
    struct epoch_file f;
    char id[BOOTID_TEXT_SIZE];
    const char *comma = "";

    out_add(&o, "{\"state\": \"%s\", \"why\": \"%s\", \"action\": \"%s\", \"highest\": %" PRIu64 ", \"local_max\": %" PRIu64
            ", \"uuid\": \"%s\",\n \"epochs\": [", state_word(look), why_word(look), epoch_why_action(why_word(look)),
            epoch_view_highest(view), look->local.max, id_text(&look->share.uuid, id));
    for (size_t i = 0; !look->share.why && i < view->n; i++) {
        if (!epoch_is_open(&view->v[i]) && i + 1 != view->n)
            continue;
        out_add(&o, "%s\n  ", comma);
        entry_add_json(&o, &view->v[i]);
        comma = ",";
    }
    out_add(&o, "],\n \"beats\": [");
    comma = "";
    for (unsigned i = 0; !look->share.why && i < ctx->cfg->n_nodes; i++)
        if (beat_read(look, ctx->cfg->nodes[i].name, &f)) {
            bootid_format(&f.boot, id);
            out_add(&o, "%s\n  {\"node\": \"%s\", \"boot\": \"%s\", \"run\": \"%016" PRIx64 "\", \"counter\": %" PRIu64 "}",
                    comma, f.node, id, f.run, f.counter);
            comma = ",";
        }
    out_add(&o, "]");
    if (!look->share.why)
        maintenance_add_json(&o, look);
    out_add(&o, "}\n");
    return o.len;
}

const char *epoch_why_action(const char *why)
{
    static const struct { const char *why, *action; } table[] = {
        { "-", "nothing to do" },
        { "missing", "mount it, or make it with understudy init" },
        { "not-mounted", "mount it; control_share must name the mount point itself" },
        { "mounted-over", "unmount what lies over .understudy" },
        { "fstype", "mount the file system that control_fstype names, or correct it" },
        { "source", "mount what control_source names, or correct it" },
        { "owner", "give .understudy to user " UNDERSTUDY_USER },
        { "mode", "let only the owner write to .understudy and to the directory above it" },
        { "no-identity", "run understudy init if this share is new; else mount the right one" },
        { "identity-malformed", "restore the file identity, or run understudy init --recover" },
        { "other-cluster", "mount the share of this cluster, or correct the name in the configuration" },
        { "other-identity", "mount the share that this node has used so far, or remove its local epoch.max" },
        { "epoch-malformed", "look for odd epoch files in .understudy, then run understudy init --recover" },
        { "epoch-lost", "epoch files are missing: restore them, or run understudy init --recover" },
        { "unknown-node", "a node that the configuration does not name holds an epoch: add it, or end its epoch" },
        { "too-many-epochs", "run understudy init --recover" },
        { "local-max", "the local epoch.max is damaged: compare with the other nodes, then restore or remove it" },
        { "behind", "mount the right share, or run understudy init --recover" },
    };

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].why, why))
            return table[i].action;
    return "";
}
