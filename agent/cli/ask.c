/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "common/exitcodes.h"

#include "common/banned.h"

int cli_print_json(const json_t *o)
{
    if (json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) != 0 || fputc('\n', stdout) == EOF)
        return EXIT_FAILED;
    return EXIT_DONE;
}

static void explain_failure(int rc)
{
    if (rc == -ETIMEDOUT)
        (void)fprintf(stderr, "understudy: the engine does not answer in time. It is busy or stopped; look at the log of "
                      "understudyd (journalctl -u understudyd) and at its processes\n");
    else if (rc == -EACCES || rc == -EPERM)
        (void)fprintf(stderr, rc == -EACCES
                      ? "understudy: you may not ask the engine. Run this as root, or as a member of group %s\n"
                      : "understudy: the process that listens in the engine's place runs neither as root nor as user %s. "
                        "Nothing was sent to it: find out who it is\n", UNDERSTUDY_USER);
    else
        (void)fprintf(stderr, "understudy: there is no engine to ask (%s). Is understudyd running on this node? "
                      "systemctl status understudy\n", strerror(-rc));
}

int cli_ask_quietly(const struct cli *c, json_t *request, int timeout_ms, json_t **ret)
{
    char *text = json_dumps(request, JSON_COMPACT), *answer = NULL;
    json_t *o;
    int rc = text ? client_ask(c->service, UNDERSTUDY_USER, text, timeout_ms, &answer) : -ENOMEM;

    json_decref(request);
    free(text);
    if (rc)
        return rc;
    o = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
    free(answer);
    if (!o)
        return -EBADMSG;
    if (!c->json)
        text_tame(o);
    *ret = o;
    return 0;
}

int cli_no_answer(const struct cli *c, int rc)
{
    if (c->json)
        (void)puts("{\"ok\": false, \"error\": \"the engine does not answer\"}");
    explain_failure(rc);
    return rc == -EPERM || rc == -EACCES ? EXIT_FAILED : EXIT_NO_ANSWER;
}

int cli_refused(const struct cli *c, const json_t *o)
{
    if (json_is_true(json_object_get(o, "ok")))
        return 0;
    if (c->json)
        (void)cli_print_json(o);
    (void)fputs("understudy: ", stderr);
    text_print(stderr, text_of(o, "error"));
    (void)fputc('\n', stderr);
    return EXIT_FAILED;
}

int cli_ask(const struct cli *c, json_t *request, int timeout_ms, json_t **ret)
{
    json_t *o = NULL;
    int rc = cli_ask_quietly(c, request, timeout_ms, &o);

    if (rc)
        return cli_no_answer(c, rc);
    rc = cli_refused(c, o);
    if (rc)
        json_decref(o);
    else
        *ret = o;
    return rc;
}
