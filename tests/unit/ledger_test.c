/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The count of starts with a message in a runner's hands, from one takeover to the next. */
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
#include <unistd.h>

#include "resource/state/ledger.h"

#include "test_dir.h"

#include "common/banned.h"

#define A "1795317467.9471908+3f39120000000000000000000000000000cdfa00"
#define B "1795317468.1+0000000000000000000000000000000000000001"

/* A start of the list server with these in work; what each was counted to. */
static void start(const char *const *names, size_t n, const uint32_t *want)
{
    struct ledger l;

    assert_int_equal(ledger_load(test_dir_fd, &l), 0);
    assert_int_equal(l.unread, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ledger_note(&l, "out", names[i]), want[i]);
    assert_int_equal(ledger_save(test_dir_fd, &l), 0);
    ledger_free(&l);
}

static void test_from_takeover_to_takeover(void **state)
{
    static const char *const both[] = { A, B };

    (void)state;
    start(both, 1, (const uint32_t[]){ 1 });
    start(both, 2, (const uint32_t[]){ 2, 1 });
    start(both, 2, (const uint32_t[]){ 3, 2 });
    start(both + 1, 1, (const uint32_t[]){ 3 }); /* A is gone from the runner's hands: delivered */
    start(both, 2, (const uint32_t[]){ 1, 4 });
    start(NULL, 0, NULL);
    assert_int_equal(faccessat(test_dir_fd, LEDGER_FILE, F_OK, 0), -1);
    start(both, 1, (const uint32_t[]){ 1 });
}

static void test_once_in_a_pass_and_each_queue_its_own(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_load(test_dir_fd, &l), 0);
    assert_int_equal(ledger_note(&l, "out", A), 1);
    assert_int_equal(ledger_note(&l, "out", A), 1);
    assert_int_equal(ledger_note(&l, "in", A), 1);
    assert_int_equal(ledger_save(test_dir_fd, &l), 0);
    ledger_free(&l);
    assert_int_equal(ledger_load(test_dir_fd, &l), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(ledger_note(&l, "in", A), 2);
    ledger_free(&l);
}

static void test_what_can_not_be_read_begins_anew(void **state)
{
    static const char text[] = "1 out " A " 2\n1 out\n2 out " B " 9\n1 out " B " 0\n1 out " B " x\n1 out ../x 3\n1  x 3\n"
                               "1 out " B " 2";
    struct ledger l;
    int           out = openat(test_dir_fd, LEDGER_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    assert_true(out >= 0 && write(out, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    (void)close(out);
    assert_int_equal(ledger_load(test_dir_fd, &l), 0);
    assert_int_equal(l.unread, 7);
    assert_int_equal(l.n, 1);
    assert_int_equal(ledger_note(&l, "out", A), 3);
    assert_int_equal(ledger_note(&l, "out", B), 1);
    ledger_free(&l);
}

static void test_names_that_are_none_and_too_many(void **state)
{
    struct ledger l = { 0 };
    char          name[LEDGER_NAME + 1];

    (void)state;
    assert_int_equal(ledger_note(&l, "out", ""), 0);
    assert_int_equal(ledger_note(&l, "", A), 0);
    assert_int_equal(ledger_note(&l, "out", "a b"), 0);
    assert_int_equal(ledger_note(&l, "out", "a/b"), 0);
    assert_int_equal(ledger_note(&l, "out", "a\nb"), 0);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(ledger_note(&l, "out", name), 0);
    for (unsigned i = 0; i < LEDGER_MAX; i++) {
        (void)snprintf(name, sizeof name, "%u", i * 7919u % LEDGER_MAX);
        assert_int_equal(ledger_note(&l, "out", name), 1);
    }
    assert_int_equal(ledger_note(&l, "out", "one-more"), 0);
    assert_int_equal(ledger_note(&l, "out", "17"), 1);
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(l.v[i - 1].stem, l.v[i].stem) < 0);
    ledger_free(&l);
}

static void test_what_is_no_file_of_ours(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(symlinkat("/etc/passwd", test_dir_fd, LEDGER_FILE), 0);
    assert_int_equal(ledger_load(test_dir_fd, &l), -EUCLEAN);
    assert_int_equal(l.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_takeover_to_takeover, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_once_in_a_pass_and_each_queue_its_own, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_read_begins_anew, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_names_that_are_none_and_too_many),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_of_ours, test_dir_setup, test_dir_teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
