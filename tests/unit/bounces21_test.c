/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounces that a dead runner had seen go to the one that works now, once each, whatever is killed in between. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/state/bounces21.h"
#include "resource/state/quarantine.h"

#include "common/banned.h"

#define RUNNER 4711
#define ALIVE  815

static char dir[] = "/tmp/bounces21_test.XXXXXX";
static int  fd;

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0;
}

static unsigned files(int dirfd, bool clear)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(copy);
    const struct dirent *e;
    unsigned n = 0;

    while ((e = readdir(d))) {
        n += e->d_name[0] != '.';
        if (clear)
            (void)unlinkat(dirfd, e->d_name, 0);
    }
    (void)closedir(d);
    return n;
}

static unsigned kept(bool clear)
{
    int q = openat(fd, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned n = q < 0 ? 0 : files(q, clear);

    if (q >= 0)
        (void)close(q);
    return n;
}

static int teardown(void **state)
{
    (void)state;
    (void)kept(true);
    (void)unlinkat(fd, QUARANTINE_NAME, AT_REMOVEDIR);
    (void)files(fd, true);
    (void)close(fd);
    return rmdir(dir);
}

static void make(const char *name, const char *text)
{
    int f = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(f >= 0);
    assert_int_equal(write(f, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(f);
}

static void reads(const char *name, const char *text)
{
    char got[64] = "";
    int f = openat(fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(f >= 0);
    assert_true(read(f, got, sizeof got - 1) >= 0);
    (void)close(f);
    assert_string_equal(got, text);
}

static bool there(const char *name) { return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }
static bool alive(void *ctx, pid_t pid) { (void)ctx; return pid == ALIVE; }

static struct bounces21_result hand_over(pid_t runner, bool change)
{
    struct bounces21 b = { .datafd = fd, .epoch = 3, .change = change, .runner = runner, .alive = alive };
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
    assert_false(there("bounce-events-04711.pck"));
    r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(r.left, 1);
    assert_true(there("bounce-events-04711.pck"));
    assert_true(there("bounce-events-00099.pck") != there("bounce-events-123456.pck"));
    r = hand_over(RUNNER, true); /* it has not read that one yet */
    assert_int_equal(r.handed, 0);
    assert_int_equal(r.left, 1);
    assert_int_equal(unlinkat(fd, "bounce-events-04711.pck", 0), 0); /* now it has */
    r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(r.left, 0);
    assert_int_equal(files(fd, false), 3);
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
    assert_int_equal(linkat(fd, "bounce-events-00099.pck", fd, "bounce-events-04711.pck", 0), 0);
    struct bounces21_result r = hand_over(RUNNER, true);
    assert_int_equal(r.handed, 1);
    assert_int_equal(files(fd, false), 1); /* else it would be counted twice */
    reads("bounce-events-04711.pck", "one.");
}

static void what_would_stop_the_runner_is_put_aside(void **state)
{
    (void)state;
    make("bounce-events-00001.pck", "");
    make("bounce-events-00002.pck", "cut of");
    assert_int_equal(symlinkat("/etc/passwd", fd, "bounce-events-00003.pck"), 0);
    assert_int_equal(mkfifoat(fd, "bounce-events-00004.pck", 0600), 0);
    struct bounces21_result r = hand_over(RUNNER, false);
    assert_int_equal(r.broken, 4);
    assert_int_equal(files(fd, false), 4);
    r = hand_over(0, true);
    assert_int_equal(r.broken, 4);
    assert_int_equal(r.left + r.handed, 0);
    assert_int_equal(files(fd, false), 0);
    assert_int_equal(kept(false), 4);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_runner_gets_them_one_after_the_other), TEST(what_the_runner_has_is_never_replaced),
        TEST(a_hand_over_that_was_cut_off_is_finished), TEST(what_would_stop_the_runner_is_put_aside),
        cmocka_unit_test(names_are_those_that_mailman_writes),
    };

    return cmocka_run_group_tests_name("bounces21", tests, NULL, NULL);
}
