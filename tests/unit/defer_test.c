/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of what the recovery pass has put off: its grammar, its arithmetic, and what becomes of it on a bad disk. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/state/defer.h"

#include "common/banned.h"

#define NOW UINT64_C(1700000000000)

static int  dirfd;
static char dir[] = "/tmp/defer_test.XXXXXX";

static int setup(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd < 0;
}

static int teardown(void **state)
{
    static const char *const names[] = { DEFER_FILE, ".defer.new", "target" };

    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlinkat(dirfd, names[i], 0);
        (void)unlinkat(dirfd, names[i], AT_REMOVEDIR);
    }
    (void)close(dirfd);
    return rmdir(dir);
}

static void put_file(const char *text, size_t len)
{
    int fd = openat(dirfd, DEFER_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    (void)close(fd);
}

static void test_lines(void **state)
{
    static const char *const bad[] = {
        "", "1", "1 list:a 1 2 3", "1 list:a 1 2 3 locked ", "1 list:a 1 2 3 locked x", "1  list:a 1 2 3 locked",
        " 1 list:a 1 2 3 locked", "2 list:a 1 2 3 locked", "1 list:a -1 2 3 locked", "1 list:a 1 4294967296 3 locked",
        "1 list:a 1 2 9223372036854775808 locked", "1 list:a 1 2 3 Locked", "1 list:a 1 2 3 gone", "1 %41 1 2 3 locked",
        "1 a%0 1 2 3 locked", "1 a% 1 2 3 locked", "1 a%00 1 2 3 locked", "1 a%2g 1 2 3 locked", "1 a%0a 1 2 3 locked",
        "1 \t 1 2 3 locked", "1 caf\303\251 1 2 3 locked",
    };
    struct defer_unit u = { .name = "untouched" };
    char              text[DEFER_LINE_MAX];

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (defer_line_parse(bad[i], strlen(bad[i]), &u) != -EBADMSG)
            fail_msg("'%s' is taken", bad[i]);
    assert_string_equal(u.name, "untouched");
    assert_int_equal(defer_line_parse("1 list:a 1 2 3 locked\0x", 23, &u), -EBADMSG);
    assert_int_equal(defer_line_parse("1 list:a%20b%25%C3%A9 17 2 9223372036854775807 busy", 51, &u), 0);
    assert_string_equal(u.name, "list:a b%\303\251");
    assert_true(u.first_ms == 17 && u.tries == 2 && u.next_ms == INT64_MAX && u.reason == DEFER_BUSY);
    size_t n = defer_line_write(&u, text);
    assert_string_equal(text, "1 list:a%20b%25%C3%A9 17 2 9223372036854775807 busy");
    assert_int_equal(n, strlen(text));
}

/* The longest name of the oddest bytes fits, is written, and is read again. */
static void test_longest(void **state)
{
    struct defer_unit u = { .first_ms = INT64_MAX, .next_ms = INT64_MAX, .tries = UINT32_MAX, .reason = DEFER_UNTRIED }, back;
    char              text[DEFER_LINE_MAX];

    (void)state;
    memset(u.name, '\n', sizeof u.name - 1);
    size_t n = defer_line_write(&u, text);
    assert_true(n < sizeof text);
    assert_int_equal(defer_line_parse(text, n, &back), 0);
    assert_memory_equal(&back, &u, sizeof u);
}

static void test_pauses(void **state)
{
    static const uint64_t want[] = { 1000, 2000, 4000, 4000, 4000, 4000 };
    struct defer          d = { 0 };

    (void)state;
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint64_t now = NOW + i;
        assert_int_equal(defer_put(&d, "list:a", DEFER_LOCKED, now, 200), 0);
        const struct defer_unit *u = defer_find(&d, "list:a");
        assert_true(u->tries == i + 1 && u->first_ms == NOW && u->next_ms == now + want[i]);
        assert_false(defer_is_due(u, u->next_ms - 1));
        assert_true(defer_is_due(u, u->next_ms));
        assert_true(defer_next_ms(&d, now) == u->next_ms);
    }
    for (uint32_t chance = 0; chance < 2000; chance++) { /* 0.8 to 1.2 of it */
        assert_int_equal(defer_put(&d, "list:a", DEFER_STUCK, NOW, chance), 0);
        uint64_t pause = defer_find(&d, "list:a")->next_ms - NOW;
        assert_true(pause >= 3200 && pause <= 4800);
    }
    assert_int_equal(d.n, 1);
    defer_free(&d);
}

static void test_untried_is_due_at_once(void **state)
{
    struct defer d = { 0 };

    (void)state;
    assert_true(defer_next_ms(&d, NOW) == UINT64_MAX);
    assert_int_equal(defer_put(&d, "queue:in", DEFER_UNTRIED, NOW, 7), 0);
    assert_true(defer_find(&d, "queue:in")->tries == 0 && defer_next_ms(&d, NOW) == NOW);
    defer_free(&d);
}

/* The wall clock went back a year, or the file comes from such a host: nothing waits for that year. */
static void test_a_clock_that_was_set_back(void **state)
{
    struct defer d = { 0 };

    (void)state;
    assert_int_equal(defer_put(&d, "list:a", DEFER_LOCKED, NOW, 0), 0);
    assert_true(defer_is_due(defer_find(&d, "list:a"), NOW - UINT64_C(31536000000)));
    assert_true(defer_next_ms(&d, NOW - UINT64_C(31536000000)) == NOW - UINT64_C(31536000000));
    defer_free(&d);
}

static void test_there_and_back(void **state)
{
    struct defer d = { 0 }, back;
    char         name[32];

    (void)state;
    for (unsigned i = 0; i < 3000; i++) { /* in no order */
        (void)snprintf(name, sizeof name, "list:%u", i * 1009u % 3000u);
        assert_int_equal(defer_put(&d, name, (enum defer_reason)(i % DEFER_REASON_N), NOW + i, i), 0);
    }
    assert_int_equal(defer_save(dirfd, &d), 0);
    assert_int_equal(defer_load(dirfd, geteuid(), &back), 0);
    assert_true(back.n == 3000 && back.torn == 0);
    for (size_t i = 0; i < d.n; i++) {
        assert_true(i == 0 || strcmp(d.v[i - 1].name, d.v[i].name) < 0);
        assert_memory_equal(&d.v[i], defer_find(&back, d.v[i].name), sizeof d.v[i]);
    }
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "list:%u", i);
        defer_drop(&d, name);
        assert_null(defer_find(&d, name));
    }
    defer_drop(&d, "list:1");
    assert_int_equal(defer_save(dirfd, &d), 0); /* nothing is put off: there is no file */
    assert_int_equal(faccessat(dirfd, DEFER_FILE, F_OK, 0), -1);
    assert_int_equal(defer_save(dirfd, &d), 0);
    defer_free(&d);
    defer_free(&back);
    assert_int_equal(defer_load(dirfd, geteuid(), &back), 0);
    assert_int_equal(back.n, 0);
}

static void test_what_is_torn_is_counted(void **state)
{
    static const char text[] = "1 list:a 50 1 7 locked\nnonsense\n1 list:a 40 3 9 busy\n1 list:a 60 2 8 stuck\n1 list:b 1 0 1 unt";
    struct defer      d;

    (void)state;
    put_file(text, sizeof text - 1);
    assert_int_equal(defer_load(dirfd, geteuid(), &d), 0);
    assert_true(d.n == 1 && d.torn == 2);
    const struct defer_unit *u = defer_find(&d, "list:a"); /* put off since the first, tried as often as the last of them says */
    assert_true(u->first_ms == 40 && u->tries == 3 && u->next_ms == 9 && u->reason == DEFER_BUSY);
    defer_free(&d);
    put_file("1 a 1 1 1 locked\n\0\n", 19);
    assert_int_equal(defer_load(dirfd, geteuid(), &d), 0);
    assert_true(d.n == 1 && d.torn == 1);
    defer_free(&d);
}

static void test_what_is_no_file_of_ours(void **state)
{
    struct defer d;

    (void)state;
    assert_int_equal(mkdirat(dirfd, DEFER_FILE, 0700), 0);
    assert_int_equal(defer_load(dirfd, geteuid(), &d), -EUCLEAN);
    assert_int_equal(unlinkat(dirfd, DEFER_FILE, AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("target", dirfd, DEFER_FILE), 0);
    assert_int_equal(defer_load(dirfd, geteuid(), &d), -EUCLEAN);
    assert_int_equal(unlinkat(dirfd, DEFER_FILE, 0), 0);
    assert_int_equal(mkfifoat(dirfd, DEFER_FILE, 0600), 0);
    assert_int_equal(defer_load(dirfd, geteuid(), &d), -EUCLEAN);
    assert_true(d.n == 0 && d.v == NULL);
}

/* A temporary name that leads elsewhere is not followed; one that cannot be had changes nothing. */
static void test_a_save_beside_what_is_not_ours(void **state)
{
    struct defer d = { 0 }, back;

    (void)state;
    assert_int_equal(defer_put(&d, "list:a", DEFER_LOCKED, NOW, 0), 0);
    assert_int_equal(symlinkat("target", dirfd, ".defer.new"), 0);
    assert_int_equal(defer_save(dirfd, &d), 0);
    assert_int_equal(faccessat(dirfd, "target", F_OK, 0), -1);
    assert_int_equal(mkdirat(dirfd, ".defer.new", 0700), 0);
    assert_int_equal(defer_put(&d, "list:b", DEFER_LOCKED, NOW, 0), 0);
    assert_int_equal(defer_save(dirfd, &d), -EISDIR);
    assert_int_equal(defer_load(dirfd, geteuid(), &back), 0);
    assert_true(back.n == 1 && defer_find(&back, "list:a"));
    defer_free(&d);
    defer_free(&back);
}

static void test_limits(void **state)
{
    struct defer d = { 0 };
    char         name[DEFER_UNIT_MAX + 1];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(defer_put(&d, name, DEFER_LOCKED, NOW, 0), -ENAMETOOLONG);
    name[sizeof name - 2] = '\0';
    assert_int_equal(defer_put(&d, name, DEFER_LOCKED, NOW, 0), 0);
    for (unsigned i = 1; i < DEFER_UNITS_MAX; i++) {
        (void)snprintf(name, sizeof name, "%08u", i);
        assert_int_equal(defer_put(&d, name, DEFER_LOCKED, NOW, 0), 0);
    }
    assert_int_equal(defer_put(&d, "one more", DEFER_LOCKED, NOW, 0), -ENOSPC);
    assert_int_equal(defer_put(&d, "00000001", DEFER_LOCKED, NOW, 0), 0);
    assert_int_equal(d.n, DEFER_UNITS_MAX);
    defer_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_longest), cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_untried_is_due_at_once), cmocka_unit_test(test_a_clock_that_was_set_back),
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_torn_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_of_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_save_beside_what_is_not_ours, setup, teardown),
        cmocka_unit_test(test_limits),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
