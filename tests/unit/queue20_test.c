/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a death leaves of Mailman 2.0's queue entries, and what becomes of each. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/state/queue20.h"

#include "test_dir.h"

#include "common/banned.h"

#define DB  "{s\x08\0\0\0listnames\x04\0\0\0test0"
#define OLD (QUEUE20_GUARD_MS + 1000u)

static unsigned told[QUEUE20_FAULT_N];

static int setup(void **state)
{
    memset(told, 0, sizeof told);
    return test_dir_setup(state);
}

/* The name of entry `i`'s half. */
static const char *half(unsigned i, const char *ext)
{
    static char name[64];

    (void)snprintf(name, sizeof name, "%040x%s", i, ext);
    return name;
}

static void make(unsigned i, const char *ext, const void *data, size_t len)
{
    test_dir_put(half(i, ext), data, len);
}

static void tell(void *ctx, const char *stem, enum queue20_fault fault)
{
    (void)ctx;
    assert_int_equal(strlen(stem), QUEUE20_STEM_LEN);
    told[fault]++;
}

static struct queue20_counts treat(bool change, uint64_t later_ms)
{
    struct queue20_counts c;
    struct queue20 q = { .dirfd = test_dir_fd, .change = change, .epoch = 7, .tell = tell };

    assert_int_equal(queue20_clock(test_dir_fd, &q.now_ms), 0);
    q.now_ms += later_ms;
    assert_int_equal(queue20_treat(&q, &c), 0);
    return c;
}

/* One of each kind; the number of files. */
static unsigned world(void)
{
    make(1, ".db", DB, sizeof DB - 1);
    make(1, ".msg", "From: x\n\nhello\n", 15);
    make(2, ".db", DB, sizeof DB - 1);                  /* post was cut off */
    make(3, ".msg", "From: x\n\nhello\n", 15);          /* the removal was cut off */
    make(4, ".db", DB, sizeof DB - 5);                  /* requeue was cut off */
    make(4, ".msg", "From: x\n\nhello\n", 15);
    make(5, ".db", "", 0);
    make(5, ".msg", "From: x\n\nhello\n", 15);
    make(6, ".db", DB, sizeof DB - 1);
    make(6, ".msg", "", 0);
    assert_int_equal(symlinkat("/etc/passwd", test_dir_fd, half(7, ".msg")), 0);
    assert_int_equal(mkfifoat(test_dir_fd, half(8, ".db"), 0600), 0);
    make(9, ".tmp", "x", 1);                            /* nobody's business */
    return 13;
}

static void young_halves_are_left_alone(void **state)
{
    (void)state;
    unsigned n = world();
    struct queue20_counts c = treat(true, 0);
    assert_int_equal(c.whole, 1);
    assert_int_equal(c.young, 7);
    assert_int_equal(c.faulty + c.quarantined, 0);
    assert_int_equal(test_dir_files(), n);
    c = treat(true, QUEUE20_GUARD_MS - 5000); /* still */
    assert_int_equal(c.young, 7);
    assert_int_equal(test_dir_files(), n);
}

static void old_ones_are_put_aside_and_none_is_removed(void **state)
{
    (void)state;
    unsigned n = world();
    struct queue20_counts c = treat(false, OLD);
    assert_int_equal(c.faulty, 7);
    assert_int_equal(c.quarantined, 0);
    assert_int_equal(test_dir_files(), n); /* only looked at */
    memset(told, 0, sizeof told);
    c = treat(true, OLD);
    assert_int_equal(c.whole, 1);
    assert_true(c.oldest_ms >= OLD - 1000 && c.oldest_ms < OLD + 60000);
    assert_int_equal(c.young, 0);
    assert_int_equal(c.quarantined, 7);
    assert_int_equal(told[QUEUE20_NO_MESSAGE], 1);
    assert_int_equal(told[QUEUE20_NO_METADATA], 1);
    assert_int_equal(told[QUEUE20_TORN_METADATA], 2);
    assert_int_equal(told[QUEUE20_EMPTY_MESSAGE], 1);
    assert_int_equal(told[QUEUE20_NOT_A_FILE], 2);
    assert_int_equal(test_dir_files(), 3);
    assert_int_equal(test_dir_quarantined(), n - 3);
    assert_true(test_dir_has(half(1, ".db")));
    assert_true(test_dir_has(half(1, ".msg")));
    c = treat(true, OLD); /* idempotent */
    assert_int_equal(c.whole, 1);
    assert_int_equal(c.faulty, 0);
}

/* One half that is fresh is enough: a requeue has just begun, or a post. */
static void both_halves_have_to_be_old(void **state)
{
    struct queue20_entry e = { .db = { .there = true, .file = true, .size = 40, .changed_ms = 1000 },
                               .msg = { .there = true, .file = true, .size = 5, .changed_ms = 1000 } };
    (void)state;
    assert_true(queue20_is_old(&e, 1001 + QUEUE20_GUARD_MS));
    assert_false(queue20_is_old(&e, 1000 + QUEUE20_GUARD_MS));
    e.msg.changed_ms = 1002;
    assert_false(queue20_is_old(&e, 1001 + QUEUE20_GUARD_MS));
    e.msg.changed_ms = UINT64_MAX; /* a clock that was set back */
    assert_false(queue20_is_old(&e, 1001 + QUEUE20_GUARD_MS));
    e.msg.there = false;
    assert_true(queue20_is_old(&e, 1001 + QUEUE20_GUARD_MS));
}

static void metadata_is_a_dictionary(void **state)
{
    struct queue20_entry e = { .db = { .there = true, .file = true, .size = 2 }, .msg = { .there = true, .file = true, .size = 1 },
                               .db_first = '{', .db_last = '0' };
    (void)state;
    assert_int_equal(queue20_judge(&e), QUEUE20_WHOLE);
    e.db_first = '0';
    assert_int_equal(queue20_judge(&e), QUEUE20_TORN_METADATA);
    e.db_first = '{';
    e.db.size = 1;
    assert_int_equal(queue20_judge(&e), QUEUE20_TORN_METADATA);
}

static void only_its_own_names_are_the_queues(void **state)
{
    static const char *const others[] = { "", ".db", "abc.db", "0123456789abcdef0123456789abcdef01234567",
        "0123456789abcdef0123456789abcdef01234567.pck", "0123456789abcdef0123456789abcdef012345678.db",
        "0123456789ABCDEF0123456789abcdef01234567.db", "0123456789abcdef0123456789abcdef0123456/.msg",
        "0123456789abcdef0123456789abcdef01234567.msg.tmp" };
    char stem[QUEUE20_STEM_LEN + 1];
    bool msg = true;
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(queue20_name(others[i], stem, &msg));
    assert_true(queue20_name("0123456789abcdef0123456789abcdef01234567.db", stem, &msg));
    assert_string_equal(stem, "0123456789abcdef0123456789abcdef01234567");
    assert_false(msg);
    assert_true(queue20_name("0123456789abcdef0123456789abcdef01234567.msg", stem, &msg));
    assert_true(msg);
}

/* Wherever a pass is killed, the next one finishes, and no text is gone. */
static void what_a_killed_pass_left_is_put_aside_too(void **state)
{
    (void)state;
    make(4, ".db", "{", 1);
    make(4, ".msg", "text", 4);
    assert_int_equal(treat(true, OLD).quarantined, 1);
    assert_int_equal(test_dir_quarantine_clear(), 2);
    make(4, ".msg", "text", 4); /* the .db was moved, and then it was killed */
    assert_int_equal(treat(true, OLD).quarantined, 1);
    assert_int_equal(test_dir_quarantined(), 1);
    assert_int_equal(test_dir_files(), 0);
}

static void the_clock_is_the_file_servers_and_leaves_nothing(void **state)
{
    struct stat st;
    uint64_t ms = 0;
    (void)state;
    make(1, ".msg", "x", 1);
    assert_int_equal(fstatat(test_dir_fd, half(1, ".msg"), &st, 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", test_dir_fd, ".understudy-clock"), 0); /* not followed */
    assert_int_equal(queue20_clock(test_dir_fd, &ms), 0);
    assert_true(ms / 1000 >= (uint64_t)st.st_mtim.tv_sec && ms / 1000 <= (uint64_t)st.st_mtim.tv_sec + 60);
    assert_int_not_equal(fstatat(test_dir_fd, ".understudy-clock", &st, AT_SYMLINK_NOFOLLOW), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(young_halves_are_left_alone), TEST(old_ones_are_put_aside_and_none_is_removed),
        cmocka_unit_test(both_halves_have_to_be_old),
        cmocka_unit_test(metadata_is_a_dictionary), cmocka_unit_test(only_its_own_names_are_the_queues),
        TEST(what_a_killed_pass_left_is_put_aside_too), TEST(the_clock_is_the_file_servers_and_leaves_nothing),
    };

    return cmocka_run_group_tests_name("queue20", tests, NULL, NULL);
}
