/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list server's section: which of two there has to be, and what follows from its generation. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"

/* Lines 1 to 5, then the list server's, then the node's. */
#define CLUSTER "[cluster]\nname = x\nnodes = a\ncontrol_share = /c\nservice = mailman2\n"
#define REST "[address]\nip = 10.0.0.1/8\n[node a]\nid = 1\nhostname = a\nfqdn = a.b\n"
#define MAILMAN3 "[mailman3]\nlock_dir = /l\nqueue_dir = /q\nrunners = in out\n"

static char errors[4096];
static struct config c;

static int read_text(const char *text)
{
    char path[] = "/tmp/config_list_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");

    memset(errors, 0, sizeof errors);
    assert_true(fd >= 0 && out != NULL);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    int rc = config_read(path, &c, out);
    (void) fclose(out);
    (void) close(fd);
    (void) unlink(path);
    return rc;
}

static void accept_text(const char *text)
{
    if (read_text(text) != 0)
        fail_msg("'%s': %s", text, errors);
    assert_string_equal(errors, "");
}

static void test_presets_of_2_1(void **state)
{
    static const char *const runner[] = { "ArchRunner", "BounceRunner", "CommandRunner", "IncomingRunner", "NewsRunner",
        "OutgoingRunner", "VirginRunner", "RetryRunner" };
    static const char *const queue[] = { "archive", "bounces", "commands", "in", "news", "out", "virgin", "retry" };

    (void) state;
    accept_text(CLUSTER REST); /* the section may be left out: each of its keys has a preset */
    assert_int_equal(c.list.kind, LIST_MAILMAN21);
    assert_string_equal(c.list.user, "list");
    assert_string_equal(c.list.prefix, "/usr/lib/mailman");
    assert_string_equal(c.list.lock_dir, "/var/lib/mailman/locks");
    assert_string_equal(c.list.queue_dir, "/var/lib/mailman/qfiles");
    assert_string_equal(c.list.list_dir, "/var/lib/mailman/lists");
    assert_string_equal(c.list.data_dir, "/var/lib/mailman/data");
    assert_string_equal(c.list.python, "");
    assert_string_equal(c.list.pid_file, ""); /* the one it has is on the share and is not used */
    assert_string_equal(c.list.intake_host, "10.0.0.1");
    assert_int_equal(c.list.intake_port, 25);
    assert_int_equal(c.list.n_runners, 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_string_equal(c.list.runners[i].name, runner[i]);
        assert_string_equal(c.list.runners[i].queue, queue[i]);
        assert_int_equal(c.list.runners[i].slices, 1);
    }
}

static void test_what_is_given_is_not_derived(void **state)
{
    (void) state;
    accept_text(CLUSTER "[mailman2]\nvar_prefix = /srv/mm\nlock_dir = /var/lock/mailman\nrunners = IncomingRunner:4 OddRunner\n"
                "intake_port = 2525\n" REST);
    assert_string_equal(c.list.lock_dir, "/var/lock/mailman");
    assert_string_equal(c.list.queue_dir, "/srv/mm/qfiles");
    assert_int_equal(c.list.intake_port, 2525);
    assert_int_equal(c.list.n_runners, 2);
    assert_int_equal(c.list.runners[0].slices, 4);
    assert_string_equal(c.list.runners[1].queue, ""); /* a runner of the site's own: it has to live, its queue is not known */
}

static void test_2_0_has_no_runners(void **state)
{
    (void) state;
    accept_text(CLUSTER "[mailman2]\ngeneration = 2.0\nvar_prefix = /srv/mm\n" REST);
    assert_int_equal(c.list.kind, LIST_MAILMAN20);
    assert_int_equal(c.list.n_runners, 0);
    assert_string_equal(c.list.lock_dir, "/srv/mm/locks");
}

static void test_mailman3_is_what_it_was(void **state)
{
    (void) state;
    accept_text("[cluster]\nname = x\nnodes = a\ncontrol_share = /c\n" MAILMAN3 REST);
    assert_int_equal(c.list.kind, LIST_MAILMAN3);
    assert_string_equal(c.list.runners[1].queue, "out");
    assert_string_equal(c.list.list_dir, "");
    assert_int_equal(c.list.intake_port, 8024);
}

static const struct { const char *text, *mistake; } mistakes[] = {
    { CLUSTER MAILMAN3 REST, ":6: [mailman3] is there, but service is mailman2; nothing would read it; set service = mailman3" },
    { "[cluster]\nname = x\nnodes = a\ncontrol_share = /c\n[mailman2]\n" MAILMAN3 REST,
      ":5: [mailman2] is there, but service is mailman3" },
    { CLUSTER "[mailman2]\ngeneration = 2.2\n" REST, ":7: generation '2.2' is not known" },
    { CLUSTER "[mailman2]\ngeneration = 2.0\nrunners = IncomingRunner\n" REST, ":8: 'runners' stands with generation 2.0" },
    { CLUSTER "[mailman2]\nconfig = /etc/mailman3/mailman.cfg\n" REST, ":7: unknown key 'config' in [mailman2]" },
    { CLUSTER "[mailman2]\nrunners = IncomingRunner:3\n" REST, ":7: 'runners' has a word that is neither" },
    { CLUSTER "[mailman2]\nuser = root\n" REST, ":7: the list server's user is root" },
    { CLUSTER "[mailman2]\nlock_dir = /q\nqueue_dir = /q\n" REST, ":8: lock_dir and queue_dir are the same" },
    { CLUSTER "list_share = /srv/mm\n[mailman2]\nvar_prefix = /srv/mm\nlist_dir = /l\n" REST,
      ":6: lock_dir, queue_dir or list_dir is not below list_share /srv/mm" },
    { "[cluster]\nname = x\nnodes = a\ncontrol_share = /c\nservice = majordomo\n" MAILMAN3 REST,
      ":5: service 'majordomo' is not known; an agent of that name is needed; use mailman3 or mailman2" },
};

static void test_each_contradiction_is_named(void **state)
{
    (void) state;
    for (unsigned i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        assert_int_equal(read_text(mistakes[i].text), -EINVAL);
        if (!strstr(errors, mistakes[i].mistake) || strchr(errors, '\n')[1] != '\0')
            fail_msg("expected '%s' alone, got '%s'", mistakes[i].mistake, errors);
    }
}

/* A path that is cut off would be another one. */
static void test_a_prefix_that_leaves_no_room(void **state)
{
    char text[1024], path[CONFIG_TEXT_MAX];

    (void) state;
    for (unsigned len = CONFIG_TEXT_MAX - 8; len <= CONFIG_TEXT_MAX - 7; len++) {
        memset(path, 'a', len);
        path[0] = '/';
        path[len] = '\0';
        (void) snprintf(text, sizeof text, CLUSTER "[mailman2]\nvar_prefix = %s\n" REST, path);
        bool fits = len == CONFIG_TEXT_MAX - 8; /* with "/qfiles" and the terminator just so */
        assert_int_equal(read_text(text), fits ? 0 : -EINVAL);
        if (fits)
            assert_int_equal(strlen(c.list.queue_dir), CONFIG_TEXT_MAX - 1);
        else
            assert_non_null(strstr(errors, ":7: 'var_prefix' is too long"));
    }
}

/* Two nodes that do not mean the same list server may not claim, and no reload makes another one of it. */
static void test_another_list_server_is_another_safety_key(void **state)
{
    static const char *const text[] = { CLUSTER REST, CLUSTER "[mailman2]\ngeneration = 2.0\n" REST,
        "[cluster]\nname = x\nnodes = a\ncontrol_share = /c\n" MAILMAN3 REST };
    static struct config first;
    struct config_digest a, b;

    (void) state;
    accept_text(text[0]);
    first = c;
    config_digest(&first, &a);
    for (unsigned i = 1; i < 3; i++) {
        const char *want = i == 1 ? "generation" : "service";
        bool found = false;
        accept_text(text[i]);
        config_digest(&c, &b);
        for (unsigned k = 0; k < a.n; k++)
            found = found || (a.value[k] != b.value[k] && strcmp(config_digest_key(k), want) == 0);
        assert_true(found);
        assert_non_null(config_reload_obstacle(&first, &c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets_of_2_1),
        cmocka_unit_test(test_what_is_given_is_not_derived),
        cmocka_unit_test(test_2_0_has_no_runners),
        cmocka_unit_test(test_mailman3_is_what_it_was),
        cmocka_unit_test(test_each_contradiction_is_named),
        cmocka_unit_test(test_a_prefix_that_leaves_no_room),
        cmocka_unit_test(test_another_list_server_is_another_safety_key),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
