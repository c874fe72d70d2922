/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy acknowledge, understudy clear: a person's word. */
#include <config.h>

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/clock.h"
#include "common/exitcodes.h"

#include "common/banned.h"

#define ASK_MS   5000
#define ALONE_MS 300000u /* until this node is active: fencing, drain and the start of the list service are in it */

static void print_meaning(const json_t *m)
{
    const char *node = text_of(m, "node");
    const json_t *open = json_object_get(m, "open_epochs"), *e;
    char age[TEXT_AGE_MAX];
    size_t i;

    (void)printf("This will be taken for: \"I have seen that node %s is switched off, and it stays off until I switch it on.\"\n"
                 "It stands in for a fence device that does not answer: this node will then take over, with epoch %lld,\n"
                 "clear the locks of node %s and work on its queue. If node %s still runs, both work on the same queue and\n"
                 "mail is lost or sent twice. A ping that fails, a screen that is dark, a timeout: none of these is seeing it.\n",
                 node, (long long)json_integer_value(json_object_get(m, "claim")), node, node);
    (void)printf("Last sign of node %s: ", node);
    if (json_is_number(json_object_get(m, "last_sign_ms_ago")))
        (void)printf("%s ago", text_age(json_object_get(m, "last_sign_ms_ago"), age));
    else
        (void)printf("none since the engine of this node was started");
    (void)printf("; its epochs that have not ended:");
    json_array_foreach(open, i, e)
        (void)printf(" %lld", (long long)json_integer_value(e));
    (void)puts(json_array_size(open) ? "" : " none");
}

bool cli_confirmed(const char *node)
{
    char word[128];

    (void)printf("Type the name of the node to go on: ");
    (void)fflush(stdout);
    if (!fgets(word, sizeof word, stdin))
        return false;
    word[strcspn(word, "\n")] = '\0';
    return strcmp(word, node) == 0;
}

static int finish(const struct cli *c, json_t *o, const char *done)
{
    int rc = EXIT_DONE;

    if (c->json)
        rc = cli_print_json(o);
    else
        (void)printf("%s State now: %s.\n", done, text_of(o, "state"));
    json_decref(o);
    return rc;
}

static bool blocked_by(const json_t *status, const char *reason, const char *node)
{
    const json_t *list = json_object_get(status, "why"), *why;
    size_t i;

    json_array_foreach(list, i, why)
        if (!strcmp(text_of(why, "reason"), reason) && !strcmp(text_of(why, "node"), node))
            return true;
    return false;
}

/* The word of the person who was asked stands in as soon as, and only when, no fence device can prove it. */
static void word_stand_in(const struct cli *c, const json_t *status, const char *node)
{
    json_t *o = NULL;

    if (!blocked_by(status, "fence-failed", node) && !blocked_by(status, "no-device", node))
        return;
    if (cli_ask_quietly(c, json_pack("{s:s, s:s}", "cmd", "acknowledge", "node", node), ASK_MS, &o) == 0
        && json_is_true(json_object_get(o, "ok")) && !c->json)
        (void)printf("No fence device can prove that node %s is off: your word is taken.\n", node);
    json_decref(o);
}

/* Until this node is active. Each step is the daemon's; what blocks is in `explain` meanwhile. */
static int alone_wait(const struct cli *c, const char *node)
{
    const struct timespec pause = { 0, 200000000 };
    uint64_t until_ms = clock_now_ms() + ALONE_MS;
    char last[64] = "";

    while (clock_now_ms() < until_ms) {
        json_t *o = NULL;
        int rc = cli_ask_quietly(c, json_pack("{s:s}", "cmd", "status"), ASK_MS, &o);
        const json_t *s = json_object_get(o, "status");
        bool done = rc == 0 && !strcmp(text_of(s, "state"), "active");
        if (rc == 0 && strcmp(last, text_of(s, "state")) != 0 && !c->json) {
            (void)snprintf(last, sizeof last, "%s", text_of(s, "state"));
            (void)printf("  %s\n", last);
            (void)fflush(stdout);
        }
        if (rc == 0)
            word_stand_in(c, s, node);
        json_decref(o);
        if (done)
            return EXIT_DONE;
        (void)nanosleep(&pause, NULL);
    }
    (void)fputs("understudy: this node is not active yet; `understudy explain` says what it waits for\n", stderr);
    return EXIT_FAILED;
}

static int boot_alone(const struct cli *c, const char *node)
{
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s, s:s, s:b}", "cmd", "acknowledge", "node", node, "boot_alone", 1), ASK_MS, &o);

    json_decref(o);
    rc = rc ? rc : alone_wait(c, node);
    if (rc == EXIT_DONE)
        (void)puts(c->json ? "{\"ok\": true, \"state\": \"active\"}" : "This node is active, alone.");
    return rc;
}

int cmd_acknowledge(const struct cli *c)
{
    const char *node = c->argument[0];
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s, s:s, s:b, s:b}", "cmd", "acknowledge", "node", node, "check", 1, "boot_alone",
                                  (int)c->boot_alone), ASK_MS, &o);

    if (rc)
        return rc;
    if (!c->yes) {
        print_meaning(json_object_get(o, "meaning"));
        if (!cli_confirmed(node)) {
            (void)fputs("understudy: not confirmed, nothing was done\n", stderr);
            json_decref(o);
            return EXIT_FAILED;
        }
    }
    json_decref(o);
    if (c->boot_alone)
        return boot_alone(c, node);
    rc = cli_ask(c, json_pack("{s:s, s:s}", "cmd", "acknowledge", "node", node), ASK_MS, &o);
    return rc ? rc : finish(c, o, "Acknowledged.");
}

int cmd_clear(const struct cli *c)
{
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s}", "cmd", "clear"), ASK_MS, &o);

    if (rc)
        return rc;
    return finish(c, o, !strcmp(text_of(o, "was"), "hold") ? "Cleared: this node acts again."
                                                          : "Cleared: failures are counted anew.");
}
