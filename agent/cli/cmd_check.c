/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy check-config: every mistake with its line, and what is allowed but unwise. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check_host.h"
#include "cli/cli.h"
#include "common/config.h"
#include "common/exitcodes.h"

#include "common/banned.h"

static json_t *lines_json(const char *text)
{
    json_t *list = json_array();

    while (*text) {
        size_t len = strcspn(text, "\n");
        if (len > 0)
            json_array_append_new(list, json_stringn(text, len));
        text += len + (text[len] != '\0');
    }
    return list;
}

static int print_result(const struct cli *c, const char *file, int rc, const char *errors, const char *warnings)
{
    if (c->json) {
        json_t *o = json_pack("{s:b, s:s, s:o, s:o}", "ok", rc == 0, "file", file, "errors", lines_json(errors),
                              "warnings", lines_json(warnings));
        (void)cli_print_json(o);
        json_decref(o);
    } else {
        (void)fputs(errors, stderr);
        (void)fputs(warnings, stderr);
        if (rc == 0)
            (void)printf("%s is good%s\n", file, warnings[0] ? ", but see the warnings" : "");
    }
    return rc ? EXIT_FAILED : EXIT_DONE;
}

int cmd_check_config(const struct cli *c)
{
    bool given = c->n_arguments > 0; /* any draft; else the file of this node, which understudyd wants to be root's */
    const char *file = given ? c->argument[0] : c->config;
    char *errors = NULL, *warnings = NULL;
    size_t errors_len = 0, warnings_len = 0;
    FILE *e = open_memstream(&errors, &errors_len), *w = open_memstream(&warnings, &warnings_len);
    static struct config cfg;
    int rc = !e || !w ? -ENOMEM : given ? config_read(file, &cfg, e) : config_read_owned(file, 0, &cfg, e);

    if (rc == 0) {
        int self = config_self(&cfg);
        (void)config_warn(&cfg, w);
        if (self >= 0) /* elsewhere the file is all that there is to look at */
            (void)check_host(&cfg, (unsigned)self, c->libexecdir, w);
    }
    if (e)
        (void)fclose(e);
    if (w)
        (void)fclose(w);
    if (!errors || !warnings) {
        (void)fputs("understudy: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    rc = print_result(c, file, rc, errors, warnings);
    free(errors);
    free(warnings);
    return rc;
}
