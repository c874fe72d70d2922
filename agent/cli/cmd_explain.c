/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy explain: every guard that blocks right now, the fact, where it came from, the action that lifts it. */
#include <config.h>

#include <string.h>

#include "cli/cli.h"
#include "common/exitcodes.h"
#include "core/core.h"

#include "common/banned.h"

#define ASK_MS 3000

static int print_rules_json(void)
{
    int ids[512];
    unsigned n = core_rule_ids(ids, sizeof ids / sizeof ids[0]);
    json_t *list = json_array();
    int rc;

    for (unsigned i = 0; i < n && i < sizeof ids / sizeof ids[0]; i++)
        json_array_append_new(list, json_pack("{s:i, s:s}", "rule", ids[i], "why", core_rule_why(ids[i])));
    rc = cli_print_json(list);
    json_decref(list);
    return rc;
}

static int print_rules(const struct cli *c)
{
    static char text[65536];
    size_t len;

    if (c->json)
        return print_rules_json();
    len = core_dump(text, sizeof text);
    return fwrite(text, 1, len, stdout) == len ? EXIT_DONE : EXIT_FAILED;
}

static void print_guard(size_t number, const json_t *o)
{
    char age[TEXT_AGE_MAX];

    (void)printf("\n%zu. %s", number, text_of(o, "reason"));
    if (strcmp(text_of(o, "node"), "-") != 0)
        (void)printf(", node %s", text_of(o, "node"));
    (void)printf(" (says %s", text_of(o, "source"));
    if (json_is_number(json_object_get(o, "age_ms")))
        (void)printf(", %s ago", text_age(json_object_get(o, "age_ms"), age));
    (void)puts(")");
    text_wrap(stdout, 3, text_of(o, "what"));
    if (text_of(o, "detail")[0])
        text_wrap(stdout, 3, text_of(o, "detail"));
    (void)fputs("   What to do:\n", stdout);
    text_wrap(stdout, 3, text_of(o, "action"));
}

void explain_print(const json_t *o)
{
    const json_t *why = json_object_get(o, "why"), *guard;
    size_t i;

    (void)printf("Node %s is %s, state %s. ", text_of(o, "node"), text_of(o, "role"), text_of(o, "state"));
    if (json_array_size(why) == 0)
        (void)puts("Nothing blocks it.");
    else
        (void)printf("%zu thing%s in the way:\n", json_array_size(why), json_array_size(why) == 1 ? " stands" : "s stand");
    json_array_foreach(why, i, guard)
        print_guard(i + 1, guard);
    text_safety(stdout, json_object_get(o, "safety"), false);
}

int cmd_explain(const struct cli *c)
{
    json_t *o = NULL;
    int rc;

    if (c->rules)
        return print_rules(c);
    rc = cli_ask(c, json_pack("{s:s}", "cmd", "explain"), ASK_MS, &o);
    if (rc)
        return rc;
    if (c->json)
        rc = cli_print_json(o);
    else
        explain_print(o);
    json_decref(o);
    return rc;
}
