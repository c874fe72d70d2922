/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/bootid.h"
#include "common/num.h"

#include "common/banned.h"

static void parser_reset(struct watch_parser *p)
{
    memset(&p->r, 0, sizeof p->r);
    p->share_seen = p->last_seen = p->before_seen = p->maintenance_seen = p->bad = p->ended = false;
    p->bad_line[0] = '\0';
}

void watch_parser_init(struct watch_parser *p, const struct config *cfg)
{
    p->cfg = cfg;
    parser_reset(p);
}

static int node_get(const struct config *cfg, const struct record *r, uint8_t *ret)
{
    const char *v = record_value(r, "node");
    int i = v ? config_node_by_name(cfg, v) : -ENOENT;

    if (i < 0 || i >= CORE_NODES)
        return -EBADMSG;
    *ret = (uint8_t)i;
    return 0;
}

static int boot_get(const struct record *r, struct core_id *ret)
{
    const char *v = record_value(r, "boot");
    struct id128 id;

    if (!v || bootid_parse(v, &id))
        return -EBADMSG;
    *ret = (struct core_id){ id.hi, id.lo };
    return 0;
}

static int run_get(const struct record *r, uint64_t *ret)
{
    const char *v = record_value(r, "run");

    return v && num_parse_hex64(v, ret) == 0 ? 0 : -EBADMSG;
}

static int word_copy(const char *v, char *ret, size_t size)
{
    if (!v || strlen(v) >= size)
        return -EBADMSG;
    memcpy(ret, v, strlen(v) + 1);
    return 0;
}

static int share_record(struct watch_parser *p, const struct record *r)
{
    const char *state = record_value(r, "state"), *why = record_value(r, "why"), *uuid = record_value(r, "uuid");
    uint64_t open = 0;

    if (p->share_seen || !state)
        return -EBADMSG;
    p->share_seen = true;
    if (!strcmp(state, "ok"))
        p->r.share = SHARE_OK;
    else if (!strcmp(state, "wrong"))
        p->r.share = SHARE_WRONG;
    else if (!strcmp(state, "behind"))
        p->r.share = SHARE_BEHIND;
    else
        return -EBADMSG;
    if (word_copy(why ? why : "-", p->r.why, sizeof p->r.why) || word_copy(uuid ? uuid : "-", p->r.uuid, sizeof p->r.uuid))
        return -EBADMSG;
    int rc = record_u64(r, "highest", &p->r.highest) || record_u64(r, "local_max", &p->r.local_max)
        || record_u64(r, "open", &open) || open > 1000000;
    if (p->r.share == SHARE_WRONG)
        return 0; /* there may be nothing to count */
    if (rc)
        return -EBADMSG;
    p->r.n_open = (unsigned)open;
    return 0;
}

/* An epoch that init made is of no node: nobody ever ran under it. */
static int epoch_get(const struct config *cfg, const struct record *r, struct core_epoch *ret)
{
    const char *node = record_value(r, "node");

    if (record_u64(r, "n", &ret->n) || record_bool(r, "owned", &ret->owned))
        return -EBADMSG;
    if (node && !strcmp(node, "-")) {
        ret->node = CORE_NODE_NONE;
        return 0;
    }
    return ret->n == 0 || node_get(cfg, r, &ret->node) || boot_get(r, &ret->boot) || run_get(r, &ret->run) ? -EBADMSG : 0;
}

/* An epoch of which is told, ended or not: the highest one, or the one before it. */
static int told_record(struct watch_parser *p, const struct record *r, struct core_epoch *e, bool *seen)
{
    if (*seen || epoch_get(p->cfg, r, e))
        return -EBADMSG;
    *seen = true;
    return record_bool(r, "ended", &e->ended) || record_bool(r, "planned", &e->planned) ? -EBADMSG : 0;
}

static int open_record(struct watch_parser *p, const struct record *r)
{
    struct core_epoch e = { 0 };

    if (p->r.n_listed == CORE_EPOCHS || epoch_get(p->cfg, r, &e))
        return -EBADMSG;
    if (p->r.n_listed > 0 && p->r.open[p->r.n_listed - 1].n >= e.n)
        return -EBADMSG;
    p->r.open[p->r.n_listed++] = e;
    return 0;
}

static int beat_record(struct watch_parser *p, const struct record *r)
{
    struct watch_beat b = { .seen = true };
    uint8_t node;

    if (node_get(p->cfg, r, &node) || boot_get(r, &b.boot) || run_get(r, &b.run) || record_u64(r, "counter", &b.counter))
        return -EBADMSG;
    if (p->r.beat[node].seen)
        return -EBADMSG;
    p->r.beat[node] = b;
    return 0;
}

static int maintenance_record(struct watch_parser *p, const struct record *r)
{
    static const char *const states[] = { [MAINTENANCE_OFF] = "off", [MAINTENANCE_ON] = "on",
                                          [MAINTENANCE_MALFORMED] = "malformed" };
    const char *state = record_value(r, "state"), *reason = record_value(r, "reason");
    unsigned i = 0;

    while (state && i <= MAINTENANCE_MALFORMED && strcmp(state, states[i]) != 0)
        i++;
    if (p->maintenance_seen || !state || i > MAINTENANCE_MALFORMED)
        return -EBADMSG;
    p->maintenance_seen = true;
    p->r.maintenance = (enum watch_maintenance)i;
    return word_copy(record_value(r, "node"), p->r.maintenance_node, sizeof p->r.maintenance_node)
        || word_copy(record_value(r, "since"), p->r.maintenance_since, sizeof p->r.maintenance_since)
        || !reason || token_decode(reason, p->r.maintenance_reason) ? -EBADMSG : 0;
}

/* It is below the highest, and among the open ones just when it has not ended. */
static bool before_agrees(const struct watch_report *r)
{
    bool open = false;

    for (unsigned i = 0; i < r->n_listed; i++)
        open = open || (r->open[i].n == r->before.n && r->open[i].node == r->before.node);
    return r->before.n < r->last.n && (r->n_open > CORE_EPOCHS || open != r->before.ended);
}

/* The records of one report must agree with one another: half a listing is not a listing. */
static bool report_is_whole(const struct watch_parser *p)
{
    const struct watch_report *r = &p->r;
    const struct core_epoch *top = r->n_listed ? &r->open[r->n_listed - 1] : NULL;
    unsigned expected = r->n_open < CORE_EPOCHS ? r->n_open : CORE_EPOCHS;

    if (!p->share_seen)
        return false;
    if (r->share == SHARE_WRONG)
        return true; /* nothing else in it is used */
    if (!p->last_seen || !p->maintenance_seen || r->last.n != r->highest || r->n_listed != expected)
        return false;
    if ((top && top->n > r->highest) || (p->before_seen && !before_agrees(r)))
        return false;
    if (r->share == SHARE_OK && r->local_max > r->highest)
        return false;
    if (r->n_open <= CORE_EPOCHS && !r->last.ended)
        return top && top->n == r->last.n && top->node == r->last.node;
    return !(r->last.ended && top && top->n == r->last.n);
}

static bool end_take(struct watch_parser *p, const struct record *r)
{
    uint64_t number = 0;

    if (record_u64(r, "at_ms", &p->r.listed_ms) || p->r.listed_ms == 0)
        return false;
    if (!record_value(r, "write_errno"))
        return true;
    if (record_u64(r, "write_errno", &number) || number == 0 || number > 4095)
        return false;
    p->r.write_errno = (unsigned)number;
    return true;
}

/* `r` is not looked at when the report is bad already. */
static enum watch_line end_record(struct watch_parser *p, const struct record *r)
{
    bool dated = !p->bad && end_take(p, r);

    p->ended = true;
    if (!p->bad && dated && report_is_whole(p))
        return WATCH_REPORT;
    if (!p->bad_line[0])
        (void)snprintf(p->bad_line, sizeof p->bad_line, "%s",
                       dated ? "end: the records do not agree with one another"
                       : "end: without the time of the listing, or with no sound errno");
    return WATCH_BAD;
}

static bool is_record_word(const char *line, size_t len)
{
    static const char *const words[] = { "share", "last", "before", "open", "maintenance", "beat", "end" };

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if (len >= n && !memcmp(line, words[i], n) && (len == n || line[n] == ' '))
            return true;
    }
    return false;
}

static int record_take(struct watch_parser *p, const struct record *r)
{
    if (!strcmp(r->word, "share"))
        return share_record(p, r);
    if (!strcmp(r->word, "last"))
        return told_record(p, r, &p->r.last, &p->last_seen);
    if (!strcmp(r->word, "before"))
        return told_record(p, r, &p->r.before, &p->before_seen);
    if (!strcmp(r->word, "open"))
        return open_record(p, r);
    if (!strcmp(r->word, "maintenance"))
        return maintenance_record(p, r);
    return beat_record(p, r);
}

enum watch_line watch_parser_line(struct watch_parser *p, const char *line, size_t len)
{
    struct record r;
    int rc;

    if (!is_record_word(line, len))
        return WATCH_TEXT;
    if (p->ended) /* this line begins a new report */
        parser_reset(p);
    bool end = len >= 3 && !memcmp(line, "end", 3);
    rc = record_parse(line, len, &r);
    if (!rc && !end)
        rc = record_take(p, &r);
    if (rc && !p->bad_line[0])
        (void)snprintf(p->bad_line, sizeof p->bad_line, "%.*s", (int)len, line);
    p->bad = p->bad || rc;
    return end ? end_record(p, &r) : WATCH_MORE;
}
