/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy status: from the engine, or, for who may not ask it, from its snapshot. */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/clock.h"
#include "common/exitcodes.h"
#include "common/fileio.h"

#include "common/banned.h"

#define ASK_MS          3000
#define SNAPSHOT_OLD_MS 5000u
#define SNAPSHOT_MAX    (256u * 1024u)
#define ALERTS_SHOWN    3

static bool flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static void line(const char *label)
{
    (void)printf("%-10s ", label);
}

static void print_head(const json_t *s)
{
    char age[TEXT_AGE_MAX];
    const char *role = text_of(s, "role");
    json_int_t claim = json_integer_value(json_object_get(s, "claim"));

    (void)printf("Node %s of cluster %s is ", text_of(s, "node"), text_of(s, "cluster"));
    for (; *role; role++)
        (void)putchar(toupper((unsigned char)*role));
    (void)printf(" (state %s for %s", text_of(s, "state"), text_age(json_object_get(s, "state_age_ms"), age));
    if (claim)
        (void)printf(", epoch %lld %s", (long long)claim, flag(s, "owned") ? "owned" : "claimed");
    (void)puts(")");
}

static void print_corosync(const json_t *s)
{
    const json_t *c = json_object_get(s, "corosync");
    char age[TEXT_AGE_MAX];

    line("corosync");
    if (!flag(c, "fresh"))
        (void)printf("DOES NOT ANSWER, last answer %s ago, ", text_age(json_object_get(c, "age_ms"), age));
    (void)printf("ring %lld, %s%s%s\n", (long long)json_integer_value(json_object_get(c, "ring")),
                 flag(c, "quorate") ? "quorate" : "NOT QUORATE", flag(c, "encrypted") ? "" : ", NOT ENCRYPTED",
                 flag(c, "insecure_cluster") ? ", INSECURE_CLUSTER IS ON" : "");
    if (json_is_string(json_object_get(json_object_get(c, "strangers"), "last")))
        (void)printf("%-10s messages of unknown nodes are ignored, the last %s ago: %s\n", "",
                     text_age(json_object_get(json_object_get(c, "strangers"), "last_age_ms"), age),
                     text_of(json_object_get(c, "strangers"), "last"));
}

static void print_share(const json_t *s)
{
    const json_t *sh = json_object_get(s, "share");
    char age[TEXT_AGE_MAX];

    line("share");
    (void)printf("%s %s%s%s, last answer %s ago, highest epoch %lld\n", text_of(sh, "path"), text_of(sh, "state"),
                 strcmp(text_of(sh, "why"), "-") != 0 ? ": " : "", strcmp(text_of(sh, "why"), "-") != 0 ? text_of(sh, "why") : "",
                 text_age(json_object_get(sh, "age_ms"), age), (long long)json_integer_value(json_object_get(sh, "highest")));
}

static void print_maintenance(const json_t *s)
{
    const json_t *m = json_object_get(s, "maintenance");
    const char *state = text_of(m, "state"), *reason = text_of(m, "reason");

    if (strcmp(state, "on") != 0 && strcmp(state, "malformed") != 0)
        return;
    line("MAINTENANCE");
    if (!strcmp(state, "on"))
        (void)printf("since %s, from node %s%s", text_of(m, "since"), text_of(m, "node"), reason[0] ? ": " : "");
    else
        (void)printf("its file cannot be read: claims are suspended, and nothing is adopted at a restart");
    text_print(stdout, reason);
    (void)putchar('\n');
}

static void print_node(const json_t *n)
{
    char said[TEXT_AGE_MAX], beat[TEXT_AGE_MAX];

    line("node");
    (void)printf("%s: ", text_of(n, "name"));
    if (flag(n, "self")) {
        (void)printf("this one, %s\n", flag(n, "in_ring") ? "in the ring" : "not in the ring");
        return;
    }
    (void)printf("%s, ", flag(n, "in_ring") ? "in the ring" : "NOT in the ring");
    if (flag(n, "heard"))
        (void)printf("%s", text_of(n, "state"));
    else
        (void)printf("not heard (last message %s ago)", text_age(json_object_get(n, "message_age_ms"), said));
    if (!flag(n, "beat_moves"))
        (void)printf(", no beat (last %s ago)", text_age(json_object_get(n, "beat_age_ms"), beat));
    if (flag(n, "heard") && !(flag(n, "no_share_child") && flag(n, "no_end_pending")))
        (void)printf(", dirty");
    if (flag(n, "held"))
        (void)printf(", HELD");
    if (json_is_string(json_object_get(n, "ignored_why")))
        (void)printf(", MESSAGES OF IT ARE IGNORED: %s", text_of(n, "ignored_why"));
    if (json_is_string(json_object_get(n, "config_differs_in")))
        (void)printf(", ITS CONFIGURATION DIFFERS in %s", text_of(n, "config_differs_in"));
    (void)putchar('\n');
}

static void print_fencing(const json_t *f, const char *self)
{
    char age[TEXT_AGE_MAX];

    line("fencing");
    (void)printf("%s (node %s, level %lld): ", text_of(f, "device"), text_of(f, "node"),
                 (long long)json_integer_value(json_object_get(f, "level")));
    if (json_is_number(json_object_get(f, "running_ms")))
        (void)printf("working for %s; ", text_age(json_object_get(f, "running_ms"), age));
    if (!json_object_get(f, "last_action")) {
        (void)puts(strcmp(text_of(f, "node"), self) != 0 ? "not asked yet" : "this node's own, asked by the others");
        return;
    }
    (void)printf("%s answered %s %s ago", text_of(f, "last_action"), text_of(f, "last_answer"),
                 text_age(json_object_get(f, "last_age_ms"), age));
    if (!strcmp(text_of(f, "last_answer"), "failed") && text_of(f, "last_text")[0]) {
        (void)printf(": ");
        text_print(stdout, text_of(f, "last_text"));
    }
    (void)putchar('\n');
}

/* What the recovery pass has put off. */
static void print_deferred(const json_t *d)
{
    char age[TEXT_AGE_MAX];
    const json_t *u;
    size_t i;

    if (!json_is_object(d))
        return;
    line("put off");
    (void)printf("%lld unit%s of the list share, the oldest for %s, tried %lld times at most, again in %lld ms\n",
                 (long long)json_integer_value(json_object_get(d, "units")),
                 json_integer_value(json_object_get(d, "units")) == 1 ? "" : "s",
                 text_age(json_object_get(d, "oldest_ms"), age), (long long)json_integer_value(json_object_get(d, "tries")),
                 (long long)json_integer_value(json_object_get(d, "next_in_ms")));
    json_array_foreach(json_object_get(d, "oldest"), i, u) {
        (void)printf("%-10s ", "");
        text_print(stdout, text_of(u, "unit"));
        (void)printf(" (%s) for %s, tries %lld\n", text_of(u, "reason"), text_age(json_object_get(u, "age_ms"), age),
                     (long long)json_integer_value(json_object_get(u, "tries")));
    }
}

static void print_rest(const json_t *s)
{
    const json_t *t = json_object_get(s, "last_takeover"), *why = json_object_get(s, "why"),
                 *p = json_object_get(s, "pending");
    char age[TEXT_AGE_MAX];
    const json_t *o;
    size_t i;

    if (json_is_object(p))
        (void)printf("%-10s %s, %s left\n", "doing", text_of(p, "operation"), text_age(json_object_get(p, "deadline_in_ms"), age));
    if (json_is_object(t))
        (void)printf("%-10s %s, epoch %lld, from node %s, active %s ago: %s\n", "last", text_of(t, "kind"),
                     (long long)json_integer_value(json_object_get(t, "epoch")), text_of(t, "from"),
                     text_age(json_object_get(t, "age_ms"), age), text_of(t, "report"));
    json_array_foreach(why, i, o) {
        (void)printf("%-10s %s (%s): %s\n", i == 0 ? "blocked by" : "", text_of(o, "reason"), text_of(o, "node"),
                     text_of(o, "what"));
    }
    if (json_array_size(why) > 0)
        (void)printf("%-10s understudy explain says who says so and what lifts it\n", "");
}

/* The newest first, as many as fit beside the rest; all of them are in the answer as JSON and in the log. */
static void print_alerts(const json_t *alerts)
{
    char age[TEXT_AGE_MAX];
    const json_t *o;
    size_t i;

    json_array_foreach(alerts, i, o) {
        if (i == ALERTS_SHOWN)
            break;
        (void)printf("%-10s %s ago: %s (%s): ", i == 0 ? "alert" : "", text_age(json_object_get(o, "age_ms"), age),
                     text_of(o, "reason"), text_of(o, "node"));
        text_print(stdout, text_of(o, "detail")[0] ? text_of(o, "detail") : text_of(o, "what"));
        (void)putchar('\n');
    }
}

void status_print(const json_t *s)
{
    const json_t *o;
    size_t i;

    print_head(s);
    print_corosync(s);
    print_share(s);
    print_maintenance(s);
    json_array_foreach(json_object_get(s, "nodes"), i, o)
        print_node(o);
    json_array_foreach(json_object_get(s, "fencing"), i, o)
        print_fencing(o, text_of(s, "node"));
    print_deferred(json_object_get(s, "deferred"));
    text_safety(stdout, s, true);
    if (json_is_false(json_object_get(s, "sandbox")))
        (void)printf("%-10s off: no seccomp in this build or kernel; understudyd's parts may make any system call\n", "sandbox");
    print_rest(s);
    print_alerts(json_object_get(s, "alerts"));
}

static int print_status(const struct cli *c, const json_t *s)
{
    if (c->json)
        return cli_print_json(s);
    status_print(s);
    return EXIT_DONE;
}

/* Another than the engine may have left something there: a fifo must not hold us, nor a link lead us elsewhere. */
static json_t *snapshot_read(const char *path)
{
    char *text = malloc(SNAPSHOT_MAX);
    json_t *s = NULL;
    size_t len = 0;

    if (text && fileio_read(AT_FDCWD, path, text, SNAPSHOT_MAX, &len, NULL) == 0)
        s = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return s;
}

/* For who may not connect: the snapshot on /run, unless it is old, which it is when the engine has stopped. */
static int print_snapshot(const struct cli *c)
{
    char path[4096];
    json_t *s;
    uint64_t at, now = clock_now_ms();
    int rc;

    (void)snprintf(path, sizeof path, "%s/status.json", c->rundir);
    s = snapshot_read(path);
    at = (uint64_t)json_integer_value(json_object_get(s, "boottime_ms"));
    if (!s || now > at + SNAPSHOT_OLD_MS) {
        (void)fprintf(stderr, "understudy: you may not ask the engine, and its snapshot %s %s. Run this as root\n", path,
                      s ? "is old: the engine has stopped or hangs" : "cannot be read");
        json_decref(s);
        return EXIT_NO_ANSWER;
    }
    if (!c->json)
        text_tame(s);
    rc = print_status(c, s);
    json_decref(s);
    return rc;
}

int cmd_status(const struct cli *c)
{
    json_t *o = NULL;
    int rc = cli_ask_quietly(c, json_pack("{s:s}", "cmd", "status"), ASK_MS, &o);

    if (rc == -EACCES)
        return print_snapshot(c);
    if (rc)
        return cli_no_answer(c, rc);
    rc = cli_refused(c, o);
    rc = rc ? rc : print_status(c, json_object_get(o, "status"));
    json_decref(o);
    return rc;
}
