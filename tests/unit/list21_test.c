/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list's configuration as each crash of a save may leave it; killed itself at each change, list21_check() is run again. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/state/list21.h"

#include "test_dir.h"

#include "common/banned.h"

#define GOOD(word) "(dp0\n" word "."
#define TORN       "(dp0\nS'hal"
#define HALF_DEAD  "config.pck.tmp.b.lab.17"
#define HALF_ALIVE "config.pck.tmp.a.18"

static void put(const char *name, const char *text)
{
    if (text)
        test_dir_put(name, text, strlen(text));
}

static void is(const char *name, const char *text)
{
    const char *found = test_dir_text(name);

    if (text && (!found || strcmp(found, text) != 0))
        fail_msg("%s is '%s' instead of '%s'", name, found ? found : "(not there)", text);
    if (!text && found)
        fail_msg("%s is there", name);
}

static bool is_dead(void *ctx, const char *host, long pid)
{
    (void)ctx;
    return !strcmp(host, "b.lab") && pid == 17;
}

static enum list21_result check(bool change)
{
    struct list21_look l = { .listfd = test_dir_fd, .epoch = 7, .change = change, .is_dead = is_dead };
    enum list21_result r = LIST21_RESULT_N;

    assert_int_equal(list21_check(&l, &r), 0);
    return r;
}

/* config.pck, .last, .safety and the dead one's half before; what is done; both after. */
static const struct row {
    const char        *config, *last, *safety, *half;
    enum list21_result result;
    const char        *then_config, *then_last;
    unsigned           kept;
} rows[] = {
    /* a save that was cut off at each of its steps */
    { GOOD("1"), GOOD("0"), NULL, NULL, LIST21_SOUND, GOOD("1"), GOOD("0"), 0 },
    { GOOD("1"), GOOD("0"), NULL, TORN, LIST21_TIDIED, GOOD("1"), GOOD("0"), 1 },
    { GOOD("1"), GOOD("0"), NULL, GOOD("2"), LIST21_TIDIED, GOOD("1"), GOOD("0"), 1 },
    { GOOD("1"), NULL, NULL, GOOD("2"), LIST21_TIDIED, GOOD("1"), GOOD("1"), 1 },
    { GOOD("1"), GOOD("1"), NULL, GOOD("2"), LIST21_TIDIED, GOOD("1"), GOOD("1"), 1 },
    /* a file server that lost what was not synced */
    { "", GOOD("0"), NULL, NULL, LIST21_RESTORED, GOOD("0"), GOOD("0"), 1 },
    { TORN, GOOD("0"), GOOD("s"), NULL, LIST21_RESTORED, GOOD("0"), GOOD("0"), 1 },
    { GOOD("1"), "", NULL, NULL, LIST21_TIDIED, GOOD("1"), GOOD("1"), 1 },
    { GOOD("1"), TORN, NULL, TORN, LIST21_TIDIED, GOOD("1"), GOOD("1"), 2 },
    { NULL, GOOD("0"), NULL, NULL, LIST21_RESTORED, GOOD("0"), GOOD("0"), 0 },
    { NULL, GOOD("0"), NULL, GOOD("2"), LIST21_RESTORED, GOOD("0"), GOOD("0"), 1 },
    { "", "", GOOD("s"), NULL, LIST21_RESTORED_OLD, GOOD("s"), "", 1 },
    { NULL, NULL, GOOD("s"), NULL, LIST21_RESTORED_OLD, GOOD("s"), NULL, 0 },
    { "", TORN, NULL, NULL, LIST21_GONE, "", TORN, 0 },
    { "", "", "", GOOD("2"), LIST21_GONE, "", "", 1 },
    { NULL, NULL, NULL, NULL, LIST21_GONE, NULL, NULL, 0 },
};

static void prepare(const struct row *r)
{
    test_dir_clear();
    put("config.pck", r->config);
    put("config.pck.last", r->last);
    put("config.pck.safety", r->safety);
    put(HALF_DEAD, r->half);
    put(HALF_ALIVE, "not yet");
}

static void test_rows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        prepare(r);
        if (check(false) != r->result)
            fail_msg("row %u: looked at, %s instead of %s", i, list21_result_name(check(false)), list21_result_name(r->result));
        is("config.pck", r->config); /* nothing was changed by looking */
        is("config.pck.last", r->last);
        is(HALF_DEAD, r->half);
        assert_int_equal(check(true), r->result);
        is("config.pck", r->then_config);
        is("config.pck.last", r->then_last);
        is("config.pck.safety", r->safety);
        is(HALF_DEAD, NULL);
        is(HALF_ALIVE, "not yet"); /* a live process is still writing it */
        is(".understudy-new", NULL);
        unsigned kept = test_dir_quarantine_clear();
        if (kept != r->kept)
            fail_msg("row %u: %u files are kept instead of %u", i, kept, r->kept);
        enum list21_result again = check(true);
        assert_true(again == LIST21_SOUND || again == LIST21_GONE || (again == LIST21_TIDIED && r->result == LIST21_RESTORED_OLD));
    }
}

/* Mailman writes .safety in place: it must not be the same file. */
static void test_the_safety_stays_apart(void **state)
{
    struct stat a, b;

    (void)state;
    put("config.pck.safety", GOOD("s"));
    assert_int_equal(check(true), LIST21_RESTORED_OLD);
    assert_int_equal(fstatat(test_dir_fd, "config.pck", &a, 0), 0);
    assert_int_equal(fstatat(test_dir_fd, "config.pck.safety", &b, 0), 0);
    assert_true(a.st_ino != b.st_ino);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    put("config.pck.last", GOOD("0"));
    put("target", GOOD("evil"));
    assert_int_equal(symlinkat("target", test_dir_fd, "config.pck"), 0);
    assert_int_equal(check(true), LIST21_RESTORED);
    is("config.pck", GOOD("0"));
    is("target", GOOD("evil"));
    struct stat st;
    assert_int_equal(fstatat(test_dir_fd, "config.pck", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
}

/* What an earlier run left between link and rename is no obstacle. */
static void test_after_a_kill(void **state)
{
    (void)state;
    put("config.pck", "");
    put("config.pck.last", GOOD("0"));
    put(".understudy-new", "whatever");
    assert_int_equal(check(true), LIST21_RESTORED);
    is("config.pck", GOOD("0"));
    is(".understudy-new", NULL);
}

static void test_names(void **state)
{
    static const char *const bad[] = { "config.pck", "config.pck.tmp", "config.pck.tmp.", "config.pck.tmp.a", "config.pck.tmp..1",
        "config.pck.tmp.a.", "config.pck.tmp.a.0", "config.pck.tmp.a.x", "config.pck.tmp.a.-1", "config.pck.tmp.a.99999999999",
        "xconfig.pck.tmp.a.1", "config.pck.last" };
    char host[64] = "untouched";
    long pid = 5;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(list21_half_parse(bad[i], host, sizeof host, &pid));
    assert_true(!strcmp(host, "untouched") && pid == 5);
    assert_true(list21_half_parse("config.pck.tmp.b.lab.12.17", host, sizeof host, &pid));
    assert_true(!strcmp(host, "b.lab.12") && pid == 17);
    assert_false(list21_half_parse("config.pck.tmp.b.lab.12.17", host, 8, &pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_the_safety_stays_apart, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_file, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_after_a_kill, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_names),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
