/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy maintenance, understudy fence: what an operator asks for by hand. */
#include <config.h>

#include <string.h>

#include "cli/cli.h"
#include "common/exitcodes.h"

#include "common/banned.h"

#define ASK_MS         5000
#define MAINTENANCE_MS 90000  /* share_deadline is a minute at most */
#define FENCE_MS       620000 /* the longest timeout of a device */

static void state_print(const json_t *m)
{
    const char *state = text_of(m, "state"), *reason = text_of(m, "reason");

    if (!strcmp(state, "off")) {
        (void)puts("Maintenance is off.");
    } else if (strcmp(state, "on") != 0) {
        (void)printf("Maintenance is %s: nothing is claimed meanwhile; understudy explain says more.\n", state);
    } else {
        (void)printf("Maintenance is on since %s, from node %s%s", text_of(m, "since"), text_of(m, "node"), reason[0] ? ": " : "");
        text_print(stdout, reason);
        (void)puts("\nClaims, fencing and restarts are suspended.");
    }
}

static int maintenance_show(const struct cli *c)
{
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s}", "cmd", "status"), ASK_MS, &o);
    const json_t *m;

    if (rc)
        return rc;
    m = json_object_get(json_object_get(o, "status"), "maintenance");
    if (c->json)
        rc = cli_print_json(m);
    else
        state_print(m);
    json_decref(o);
    return rc;
}

int cmd_maintenance(const struct cli *c)
{
    const char *word = c->n_arguments ? c->argument[0] : "status";
    bool on = !strcmp(word, "on");
    json_t *o = NULL, *request;
    int rc;

    if (!strcmp(word, "status"))
        return maintenance_show(c);
    if (!on && strcmp(word, "off") != 0) {
        (void)fprintf(stderr, "understudy: maintenance knows on, off and status, not \"%s\"\n", word);
        return EXIT_USAGE;
    }
    request = json_pack("{s:s, s:b, s:s}", "cmd", "maintenance", "on", (int)on, "reason", c->reason ? c->reason : "");
    if (!request) {
        (void)fputs("understudy: the reason is not UTF-8\n", stderr);
        return EXIT_USAGE;
    }
    rc = cli_ask(c, request, MAINTENANCE_MS, &o);
    if (rc)
        return rc;
    if (c->json)
        rc = cli_print_json(o);
    else
        (void)puts(on ? "Maintenance is on for the whole cluster: claims, fencing and restarts are suspended, and no node "
                        "takes over.\nThe active node serves on. Switch it off when the work is done: understudy maintenance off"
                      : "Maintenance is off: the nodes act again.");
    json_decref(o);
    return rc;
}

static bool confirmed(const char *device)
{
    char word[128];

    (void)printf("This switches a node off without a question. Type the name of the device to go on: ");
    (void)fflush(stdout);
    if (!fgets(word, sizeof word, stdin))
        return false;
    word[strcspn(word, "\n")] = '\0';
    return strcmp(word, device) == 0;
}

/* A device's answer to status is its exit code: 0 on, 2 off (Fence Agent API). */
static int fence_status(const struct cli *c, const char *device, const char *action)
{
    json_t *o = NULL;
    int rc = cli_ask_quietly(c, json_pack("{s:s, s:s, s:s}", "cmd", "fence", "device", device, "action", action), FENCE_MS, &o);
    json_int_t exit_code;

    if (rc)
        return cli_no_answer(c, rc);
    exit_code = json_is_integer(json_object_get(o, "exit")) ? json_integer_value(json_object_get(o, "exit")) : -1;
    if (c->json) {
        (void)cli_print_json(o);
    } else if (!json_is_true(json_object_get(o, "ok")) && exit_code != 2) {
        (void)fputs("understudy: ", stderr);
        text_print(stderr, text_of(o, "error"));
        (void)fputc('\n', stderr);
    } else if (!strcmp(action, "status")) {
        (void)printf("%s: the power is %s\n", device, exit_code == 0 ? "on" : "off");
    }
    json_decref(o);
    return exit_code == 0 || (exit_code == 2 && !strcmp(action, "status")) ? EXIT_DONE : EXIT_FAILED;
}

int cmd_fence(const struct cli *c)
{
    const char *device = c->argument[0], *action = c->n_arguments > 1 ? c->argument[1] : "status";
    bool off = !strcmp(action, "off");
    int rc;

    if (off && !c->yes && !confirmed(device)) {
        (void)fputs("understudy: not confirmed, nothing was done\n", stderr);
        return EXIT_FAILED;
    }
    rc = fence_status(c, device, action);
    /* "Request accepted" is no answer to whether it is off. */
    return rc == EXIT_DONE && strcmp(action, "status") != 0 ? fence_status(c, device, "status") : rc;
}

int cmd_reload(const struct cli *c)
{
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s}", "cmd", "reload"), ASK_MS, &o);

    if (rc)
        return rc;
    if (c->json)
        rc = cli_print_json(o);
    else
        (void)puts("The configuration was taken up.");
    json_decref(o);
    return rc;
}
