/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line takes and what it refuses. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

static struct cli c;
static char said[1024];

static int parse(const char *line)
{
    static char buf[256];
    char *argv[16], *at = buf;
    int argc = 0, rc;

    (void)snprintf(buf, sizeof buf, "%s", line);
    memset(said, 0, sizeof said);
    FILE *errors = fmemopen(said, sizeof said, "w");
    argv[argc++] = at;
    while ((at = strchr(at, ' ')) && argc < 15) {
        *at++ = '\0';
        argv[argc++] = at;
    }
    argv[argc] = NULL;
    rc = cli_parse(argc, argv, &c, errors);
    (void)fclose(errors);
    return rc;
}

static void takes(void **state)
{
    (void)state;
    assert_int_equal(parse("understudy status"), 0);
    assert_string_equal(c.command, "status");
    assert_false(c.json);
    assert_string_equal(c.service, "understudy");
    assert_int_equal(parse("understudy --json status"), 0);
    assert_true(c.json);
    assert_int_equal(parse("understudy status --json"), 0);
    assert_true(c.json);
    assert_int_equal(parse("understudy acknowledge b --yes"), 0);
    assert_true(c.yes);
    assert_string_equal(c.argument[0], "b");
    assert_int_equal(parse("understudy explain --rules"), 0);
    assert_true(c.rules);
    assert_int_equal(parse("understudy report 12"), 0);
    assert_int_equal(parse("understudy report"), 0);
    assert_int_equal(parse("understudy --config /x check-config"), 0);
    assert_string_equal(c.config, "/x");
    assert_int_equal(parse("understudy check-config /y"), 0);
    assert_string_equal(c.argument[0], "/y");
    assert_int_equal(parse("understudy gate"), 0);
    assert_null(c.rest);
    assert_int_equal(parse("understudy gate --quiet -- mailman digests --periodic --json"), 0);
    assert_true(c.quiet);
    assert_false(c.json);
    assert_string_equal(c.rest[0], "mailman");
    assert_string_equal(c.rest[3], "--json");
    assert_null(c.rest[4]);
    assert_int_equal(parse("understudy --help"), 0);
    assert_true(c.help);
    assert_int_equal(parse("understudy"), 0);
    assert_null(c.command);
}

static void refuses(const char *line, const char *word)
{
    if (parse(line) != -EINVAL)
        fail_msg("taken: %s", line);
    if (!strstr(said, word))
        fail_msg("%s: does not say %s: %s", line, word, said);
}

static void refuses_and_says_why(void **state)
{
    (void)state;
    refuses("understudy frobnicate", "frobnicate");
    refuses("understudy status b", "usage: understudy status");
    refuses("understudy acknowledge", "usage: understudy acknowledge NODE");
    refuses("understudy acknowledge a b", "usage");
    refuses("understudy report 1 2", "usage");
    refuses("understudy --frob status", "--frob");
    refuses("understudy --config", "--config");
    refuses("understudy status --yes", "status takes no --yes");
    refuses("understudy status --quiet", "status takes no --quiet");
    refuses("understudy gate mailman --periodic", "--periodic"); /* an option of ours, or of the command? say -- */
    refuses("understudy clear --rules", "clear takes no --rules");
}

static void help_names_every_command(void **state)
{
    static const char *const names[] = { "status", "explain", "acknowledge", "clear", "init", "report", "check-config",
                                         "gate" };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    cli_usage(out);
    (void)fclose(out);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_non_null(strstr(text, names[i]));
    assert_non_null(strstr(text, "exit codes"));
    free(text);
}

static void texts_are_made_harmless_and_wrapped(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    char age[TEXT_AGE_MAX];

    (void)state;
    text_print(out, "a\x1b[31mb\nc");
    (void)fclose(out);
    assert_string_equal(text, "a?[31mb?c");
    free(text);
    out = open_memstream(&text, &size);
    text_wrap(out, 3, "one two");
    (void)fclose(out);
    assert_string_equal(text, "   one two\n");
    free(text);
    json_t *n = json_integer(1500);
    assert_string_equal(text_age(n, age), "1.5 s");
    json_decref(n);
    assert_string_equal(text_age(NULL, age), "never");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),
        cmocka_unit_test(refuses_and_says_why),
        cmocka_unit_test(help_names_every_command),
        cmocka_unit_test(texts_are_made_harmless_and_wrapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
