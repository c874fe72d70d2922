/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table as an artefact: its dump is compared with a kept one, so that a change of policy is a diff to be read; its
 * moves are compared with those declared apart; every pair of state and event has a rule or stands in the list below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/private.h"

static unsigned tests, failures;

static void result(bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, what);
    failures += !ok;
}

static void numbers_rise(void)
{
    bool ok = core_n_rules > 0;
    for (unsigned i = 0; i < core_n_rules; i++) {
        const struct core_rule *r = &core_rules[i];
        ok &= i == 0 || r->id > core_rules[i - 1].id;
        ok &= r->why && strlen(r->why) > 10 && r->guard && r->in != 0 && r->on != 0;
        ok &= core_rule_exists(r->id) && core_rule_why(r->id) == r->why;
    }
    result(ok && !core_rule_exists(1) && strcmp(core_rule_why(1), "?") == 0, "numbers rise, and every rule says why");
}

static void moves_agree(void)
{
    uint32_t moves[ST_N] = { 0 };
    bool ok = true;
    for (unsigned i = 0; i < core_n_rules; i++)
        for (unsigned s = 0; s < ST_N; s++)
            if ((core_rules[i].in & CORE_BIT(s)) && core_rules[i].next != ST_SAME)
                moves[s] |= CORE_BIT(core_rules[i].next);
    for (unsigned s = 0; s < ST_N; s++) {
        if (moves[s] == core_legal_moves[s])
            continue;
        ok = false;
        printf("# %s: rules %x, declared %x\n", core_state_name((enum core_state)s), moves[s], core_legal_moves[s]);
    }
    result(ok, "the legal moves are those of the rules, no more and no fewer");
}

/* Nothing is to be done in these, and why. */
static const struct { uint32_t in; enum core_event_kind event; const char *why; } ignored[] = {
#define S(name) CORE_BIT(ST_##name)
    { S(STARTING) | S(PASSIVE) | S(CLAIMING) | S(DRAIN) | S(OWNING) | S(RECOVER) | S(ADDRESS) | S(SERVICE) | S(ACTIVE)
      | S(RELEASING) | S(RESTARTING) | S(ADOPTING) | S(STOPPING) | S(ENDING) | S(HOLD), EV_ACKNOWLEDGE,
      "a person's word is taken only while a proof is asked for" },
    { S(STARTING) | S(CLAIMING) | S(PROOF) | S(DRAIN) | S(OWNING) | S(RECOVER) | S(ADDRESS) | S(SERVICE)
      | S(RELEASING) | S(RESTARTING) | S(ADOPTING) | S(STOPPING) | S(ENDING), EV_CLEAR,
      "nothing is held; failures are cleared at rest" },
    { S(STARTING) | S(PASSIVE) | S(CLAIMING) | S(PROOF) | S(DRAIN) | S(OWNING) | S(RECOVER) | S(ADDRESS) | S(SERVICE)
      | S(RELEASING) | S(RESTARTING) | S(ADOPTING) | S(STOPPING) | S(ENDING) | S(HOLD), EV_RELEASE,
      "only who is active, and at rest, has something to release" },
    { S(STARTING) | S(PASSIVE) | S(HOLD), EV_DONE, "no operation is waited for: a stale answer" },
#undef S
};

static void every_pair(void)
{
    bool ok = true;
    for (unsigned s = 0; s < ST_N; s++) {
        for (unsigned e = 0; e < EV_N; e++) {
            bool has = false, skip = false;
            for (unsigned i = 0; i < core_n_rules; i++)
                has |= (core_rules[i].in & CORE_BIT(s)) && (core_rules[i].on & CORE_BIT(e));
            for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
                skip |= (ignored[i].in & CORE_BIT(s)) && (unsigned)ignored[i].event == e;
            if (has != skip)
                continue;
            ok = false;
            printf("# %s, event %u: %s\n", core_state_name((enum core_state)s), e,
                   has ? "has a rule and stands in the list" : "neither a rule nor in the list");
        }
    }
    result(ok, "every pair of state and event has a rule or is ignored for a written reason");
}

static void names_are_whole(void)
{
    bool ok = true;
    for (unsigned i = 0; i < ST_N; i++)
        ok &= strcmp(core_state_name((enum core_state)i), "?") != 0;
    for (unsigned i = 0; i < OP_N; i++)
        ok &= strcmp(core_op_name((enum core_op)i), "?") != 0;
    for (unsigned i = 0; i < RES_N; i++)
        ok &= strcmp(core_result_name((enum core_result)i), "?") != 0;
    for (unsigned i = 0; i < PROOF_N; i++)
        ok &= strcmp(core_proof_name((enum core_proof)i), "?") != 0;
    for (unsigned i = 0; i < WHY_N; i++) {
        enum core_reason r = (enum core_reason)i;
        ok &= strcmp(core_reason_name(r), "?") != 0 && strlen(core_reason_what(r)) > 10 && strlen(core_reason_action(r)) > 5;
        for (unsigned j = 0; j < i; j++)
            ok &= strcmp(core_reason_name(r), core_reason_name((enum core_reason)j)) != 0;
    }
    ok &= strcmp(core_state_name(ST_N), "?") == 0 && strcmp(core_reason_name(WHY_N), "?") == 0;
    result(ok, "every state, operation, result, proof and reason has a name; every reason a way out");
}

static char *read_all(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void golden(const char *dump)
{
    char path[1024];
    const char *source = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/tests/conformance/rules.golden", source ? source : ".");
    const char *kept = read_all(path);
    bool same = kept && strcmp(kept, dump) == 0;
    if (!same)
        printf("# read the difference; if it is meant: ./core_table_test --dump >tests/conformance/rules.golden\n");
    result(same, "the table is the one in rules.golden");
}

static void short_buffer(void)
{
    char small[50];
    size_t n = core_dump(small, sizeof small);
    result(n == sizeof small - 1 && small[n] == '\0' && core_dump(small, 0) == 0, "a dump never writes beyond its buffer");
}

int main(int argc, char **argv)
{
    static char dump[65536];
    size_t n = core_dump(dump, sizeof dump);
    if (argc > 1 && strcmp(argv[1], "--dump") == 0)
        return fwrite(dump, 1, n, stdout) != n;
    numbers_rise();
    moves_agree();
    every_pair();
    names_are_whole();
    golden(dump);
    short_buffer();
    printf("1..%u\n", tests);
    return failures != 0;
}
