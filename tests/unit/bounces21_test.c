/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounces that a dead runner had seen go to the one that works now, once each, whatever is killed in between. */
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

#include "resource/state/bounces21.h"

#include "test_dir.h"

#include "common/banned.h"

#define RUNNER 4711
#define ALIVE  815

static void make(const char *name, const char *text) { test_dir_put(name, text, strlen(text)); }
static void reads(const char *name, const char *text) { assert_string_equal(test_dir_text(name), text); }
static bool alive(void *ctx, pid_t pid) { (void)ctx; return pid == ALIVE; }

static struct bounces21_result hand_over(pid_t runner, bool change)
{
    struct bounces21 b = { .datafd = test_dir_fd, .epoch = 3, .change = change, .runner = runner, .alive = alive };
    struct bounces21_result r;

    assert_int_equal(bounces21_hand_over(&b, &r), 0);
    return r;
}

static void the_runner_gets_them_one_after_the_other(void **state)
{
    (void)state;
    make("bounce-events-00099.pck", "one.");
    make("bounce-events-123456.pck", "two.");
    make("bounce-events-00815.pck", "of a living one.");
    make("bounce-events.pck", "other.");
    struct bounces21_result r = hand_over(0, true); /* it has not started yet */
    assert_int_equal(r.left, 2);
    assert_int_equal(r.handed, 0);
    r = hand_over(RUNNER, false);
    assert_int_equal(r.left, 2);
    assert_false(test_dir_has("bounce-events-04711.pck"));
    r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(r.left, 1);
    assert_true(test_dir_has("bounce-events-04711.pck"));
    assert_true(test_dir_has("bounce-events-00099.pck") != test_dir_has("bounce-events-123456.pck"));
    r = hand_over(RUNNER, true); /* it has not read that one yet */
    assert_int_equal(r.handed, 0);
    assert_int_equal(r.left, 1);
    assert_int_equal(unlinkat(test_dir_fd, "bounce-events-04711.pck", 0), 0); /* now it has */
    r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(r.left, 0);
    assert_int_equal(test_dir_files(), 3);
    reads("bounce-events-00815.pck", "of a living one.");
}

static void what_the_runner_has_is_never_replaced(void **state)
{
    (void)state;
    make("bounce-events-04711.pck", "its own.");
    make("bounce-events-00099.pck", "of the dead.");
    struct bounces21_result r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 0);
    assert_int_equal(r.left, 1);
    reads("bounce-events-04711.pck", "its own.");
    reads("bounce-events-00099.pck", "of the dead.");
}

static void a_hand_over_that_was_cut_off_is_finished(void **state)
{
    (void)state;
    make("bounce-events-00099.pck", "one.");
    assert_int_equal(linkat(test_dir_fd, "bounce-events-00099.pck", test_dir_fd, "bounce-events-04711.pck", 0), 0);
    struct bounces21_result r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(test_dir_files(), 1); /* else it would be counted twice */
    reads("bounce-events-04711.pck", "one.");
}

static void what_would_stop_the_runner_is_put_aside(void **state)
{
    (void)state;
    make("bounce-events-00001.pck", "");
    make("bounce-events-00002.pck", "cut of");
    assert_int_equal(symlinkat("/etc/passwd", test_dir_fd, "bounce-events-00003.pck"), 0);
    assert_int_equal(mkfifoat(test_dir_fd, "bounce-events-00004.pck", 0600), 0);
    struct bounces21_result r = hand_over(RUNNER, false);
    assert_int_equal(r.broken, 4);
    assert_int_equal(test_dir_files(), 4);
    r = hand_over(0, true);
    assert_int_equal(r.broken, 4);
    assert_int_equal(r.left + r.handed, 0);
    assert_int_equal(test_dir_files(), 0);
    assert_int_equal(test_dir_quarantined(), 4);
}

static void names_are_those_that_mailman_writes(void **state)
{
    static const char *const others[] = { "bounce-events-.pck", "bounce-events-0.pck", "bounce-events-00000.pck",
        "bounce-events-99.pck", "bounce-events-000099.pck", "bounce-events-00099.pck.tmp", "bounce-events-00099",
        "bounce-events-9999999999.pck", "bounce-events--0099.pck", "xbounce-events-00099.pck", "bounce-events-0009a.pck",
        "bounce-events-00099.pcl", "" };
    pid_t pid = 0;
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(bounces21_name(others[i], &pid));
    assert_true(bounces21_name("bounce-events-00099.pck", &pid));
    assert_int_equal(pid, 99);
    assert_true(bounces21_name("bounce-events-2147483647.pck", &pid));
    assert_int_equal(pid, 2147483647);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_runner_gets_them_one_after_the_other), TEST(what_the_runner_has_is_never_replaced),
        TEST(a_hand_over_that_was_cut_off_is_finished), TEST(what_would_stop_the_runner_is_put_aside),
        cmocka_unit_test(names_are_those_that_mailman_writes),
    };

    return cmocka_run_group_tests_name("bounces21", tests, NULL, NULL);
}
