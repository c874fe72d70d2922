/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table as text, for the golden test and for people. */
#include "core/private.h"

struct text { char *at; size_t left; };

static void put(struct text *t, const char *s)
{
    while (*s && t->left > 0) {
        *t->at++ = *s++;
        t->left--;
    }
}

static void put_number(struct text *t, unsigned v)
{
    char digits[12];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    put(t, digits + at);
}

static void put_states(struct text *t, uint32_t set)
{
    const char *sep = "";
    for (unsigned s = 0; s < ST_N; s++) {
        if (!(set & CORE_BIT(s)))
            continue;
        put(t, sep);
        put(t, core_state_name((enum core_state)s));
        sep = ",";
    }
}

static void put_events(struct text *t, uint32_t set)
{
    static const char *const names[EV_N] = {
        [EV_LOOK] = "look", [EV_DONE] = "done", [EV_ACKNOWLEDGE] = "acknowledge", [EV_CLEAR] = "clear", [EV_GAP] = "gap",
        [EV_RELEASE] = "release",
    };
    const char *sep = "";
    for (unsigned e = 0; e < EV_N; e++) {
        if (!(set & CORE_BIT(e)))
            continue;
        put(t, sep);
        put(t, names[e]);
        sep = ",";
    }
}

static void put_rule(struct text *t, const struct core_rule *r)
{
    put_number(t, (unsigned)r->id);
    put(t, " in ");
    put_states(t, r->in);
    put(t, " on ");
    put_events(t, r->on);
    put(t, " if ");
    put(t, r->guard_name);
    put(t, " do");
    for (unsigned i = 0; i < CORE_RULE_EFFECTS && r->effect[i].fn; i++) {
        put(t, " ");
        put(t, r->effect[i].name);
    }
    put(t, r->effect[0].fn ? " then " : " nothing then ");
    put(t, r->next == ST_SAME ? "stay" : core_state_name(r->next));
    put(t, ": ");
    put(t, r->why);
    put(t, "\n");
}

size_t core_dump(char *buf, size_t size)
{
    if (size == 0)
        return 0;
    struct text t = { .at = buf, .left = size - 1 };
    for (unsigned i = 0; i < core_n_rules; i++)
        put_rule(&t, &core_rules[i]);
    *t.at = '\0';
    return (size_t)(t.at - buf);
}

static const struct core_rule *rule_by_id(int id)
{
    for (unsigned i = 0; i < core_n_rules; i++)
        if (core_rules[i].id == id)
            return &core_rules[i];
    return NULL;
}

bool core_rule_exists(int id) { return rule_by_id(id) != NULL; }

const char *core_rule_why(int id)
{
    const struct core_rule *r = rule_by_id(id);
    return r ? r->why : "?";
}

unsigned core_rule_ids(int *ret, unsigned max)
{
    unsigned n = 0;
    for (; n < core_n_rules && n < max; n++)
        ret[n] = core_rules[n].id;
    return n;
}
