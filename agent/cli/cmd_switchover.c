/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy switchover: asks the active node for a planned release, shows how far it comes, and waits until another
 * node is active. */
#include <config.h>

#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "common/clock.h"
#include "common/exitcodes.h"

#include "common/banned.h"

#define ASK_MS        5000
#define POLL_NS       100000000
#define SUCCESSOR_MS  180000u  /* until another node is active: its own start of the list service is in it */
#define SILENT_MS     15000u   /* the engine may be busy, not gone */

struct view {
    json_t     *answer;        /* of the last request; owned */
    size_t      shown;         /* phases */
    const char *successor;     /* borrowed from `answer` */
};

static const char *result_of(const struct view *v) { return text_of(json_object_get(v->answer, "release"), "result"); }

static void phases_show(const struct cli *c, struct view *v)
{
    const json_t *list = json_object_get(json_object_get(v->answer, "release"), "phases");

    for (; v->shown < json_array_size(list); v->shown++) {
        const json_t *p = json_array_get(list, v->shown);
        if (!c->json)
            (void)printf("  %-12s %6lld ms\n", text_of(p, "name"), (long long)json_integer_value(json_object_get(p, "took_ms")));
    }
    (void)fflush(stdout);
}

static void successor_find(struct view *v)
{
    const json_t *list = json_object_get(v->answer, "nodes"), *node;
    const char *self = text_of(json_object_get(v->answer, "release"), "node");
    size_t i;

    v->successor = NULL;
    json_array_foreach(list, i, node)
        if (strcmp(text_of(node, "name"), self) != 0 && !strcmp(text_of(node, "state"), "active"))
            v->successor = text_of(node, "name");
}

/* One look. 0, or the exit code when the engine has not answered for long, or only that it can not. */
static int look(const struct cli *c, struct view *v, uint64_t *silent_since_ms)
{
    json_t *o = NULL;
    int rc = cli_ask_quietly(c, json_pack("{s:s}", "cmd", "release"), ASK_MS, &o);
    uint64_t now_ms = clock_now_ms();

    if (rc == 0 && json_is_true(json_object_get(o, "ok"))) {
        json_decref(v->answer);
        v->answer = o;
        *silent_since_ms = now_ms;
        phases_show(c, v);
        successor_find(v);
        return EXIT_DONE;
    }
    if (now_ms >= *silent_since_ms + SILENT_MS)
        rc = rc ? cli_no_answer(c, rc) : cli_refused(c, o);
    else
        rc = EXIT_DONE;
    json_decref(o);
    return rc;
}

/* Until the release is over, and if it was one, until somebody else is active. */
static int wait_over(const struct cli *c, struct view *v)
{
    const struct timespec pause = { 0, POLL_NS };
    uint64_t silent_ms = clock_now_ms(), until_ms = silent_ms + SUCCESSOR_MS;
    int rc = EXIT_DONE;

    for (;; (void)nanosleep(&pause, NULL)) {
        rc = look(c, v, &silent_ms);
        if (rc)
            return rc;
        if (!v->answer || !strcmp(result_of(v), "running"))
            continue;
        if (!strcmp(result_of(v), "refused") || v->successor || clock_now_ms() >= until_ms)
            return EXIT_DONE;
    }
}

static int verdict(const struct cli *c, const struct view *v)
{
    const json_t *r = json_object_get(v->answer, "release");
    const char *result = result_of(v), *said = text_of(r, "said");
    bool moved = v->successor != NULL;

    if (c->json) {
        (void)cli_print_json(v->answer);
        return moved ? EXIT_DONE : EXIT_FAILED;
    }
    if (moved)
        (void)printf("Node %s is active; node %s is passive. %s\n", v->successor, text_of(r, "node"),
                     !strcmp(result, "released") ? "Nothing was lost or repeated." :
                     "It was not a planned stop: a message in the hands of a runner may be repeated.");
    if (strcmp(result, "released") != 0) {
        (void)fprintf(stderr, "understudy: %s (%s)", !strcmp(result, "refused") ? "refused, the service runs on as before"
                      : "the release did not go as planned", text_of(r, "why"));
        if (said[0] && strcmp(said, "-") != 0)
            (void)fputs(": ", stderr), text_print(stderr, said);
        (void)fputc('\n', stderr);
    }
    if (!moved && strcmp(result, "refused") != 0)
        (void)fputs("understudy: no other node has become active yet; see `understudy explain` on them\n", stderr);
    return moved ? EXIT_DONE : EXIT_FAILED;
}

int cmd_switchover(const struct cli *c)
{
    json_t *o = NULL, *request = json_pack("{s:s, s:b}", "cmd", "switchover", "force", (int)c->force);
    struct view v = { 0 };
    int rc;

    if (c->n_arguments)
        json_object_set_new(request, "node", json_string(c->argument[0]));
    rc = cli_ask(c, request, ASK_MS, &o);
    json_decref(o);
    if (rc)
        return rc;
    rc = wait_over(c, &v);
    if (rc == EXIT_DONE)
        rc = verdict(c, &v);
    json_decref(v.answer);
    return rc;
}
