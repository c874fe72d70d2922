/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the release judges by texts of /proc: where a thread is, who holds a lock, who has what open, and the order. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "resource/openfiles.h"
#include "resource/safepoint.h"

static enum safepoint_place place(long call, const char *args, enum safepoint_place before)
{
    char text[256];

    (void)snprintf(text, sizeof text, "%ld %s 0x7ffe6ca81d58 0x7f7d205a1503\n", call, args);
    return safepoint_place(text, before);
}

static void test_place(void **state)
{
    (void)state;
    assert_int_equal(place(SYS_clock_nanosleep, "0x1 0x1 0x7ffe 0x0 0x0 0x0", SAFEPOINT_BUSY), SAFEPOINT_SLEEP);
    assert_int_equal(place(SYS_pselect6, "0x0 0x0 0x0 0x0 0x7ffe 0x0", SAFEPOINT_BUSY), SAFEPOINT_SLEEP);
    /* sqlite, which waits for its lock in the middle of a commit */
    assert_int_equal(place(SYS_clock_nanosleep, "0x0 0x0 0x7ffe 0x0 0x0 0x0", SAFEPOINT_SLEEP), SAFEPOINT_BUSY);
    assert_int_equal(place(SYS_epoll_pwait, "0x3 0x1 0x1 0x0 0x0 0x0", SAFEPOINT_BUSY), SAFEPOINT_LOOP);
    assert_int_equal(place(SYS_pselect6, "0x8 0x1 0x0 0x0 0x7ffe 0x0", SAFEPOINT_BUSY), SAFEPOINT_LOOP);
    assert_int_equal(place(SYS_wait4, "0xffffffffffffffff 0x1 0x0 0x0 0x0 0x0", SAFEPOINT_BUSY), SAFEPOINT_LOOP);
    /* a semaphore; the interpreter's lock, which has a timeout; a mutex */
    assert_int_equal(place(SYS_futex, "0x7f00 0x189 0x0 0x0 0x0 0xffffffff", SAFEPOINT_BUSY), SAFEPOINT_IDLE);
    assert_int_equal(place(SYS_futex, "0x7f00 0x189 0x0 0x7ffe 0x0 0xffffffff", SAFEPOINT_BUSY), SAFEPOINT_BUSY);
    assert_int_equal(place(SYS_futex, "0x7f00 0x80 0x2 0x0 0x0 0x0", SAFEPOINT_BUSY), SAFEPOINT_BUSY);
    assert_int_equal(place(SYS_read, "0x3 0x1 0x1 0x0 0x0 0x0", SAFEPOINT_SLEEP), SAFEPOINT_BUSY);
    assert_int_equal(place(SYS_fsync, "0x3 0x1 0x1 0x0 0x0 0x0", SAFEPOINT_SLEEP), SAFEPOINT_BUSY);
    /* goes on with what it was interrupted in */
    assert_int_equal(place(SYS_restart_syscall, "0x1 0x1 0x1 0x0 0x0 0x0", SAFEPOINT_LOOP), SAFEPOINT_LOOP);
    assert_int_equal(place(SYS_restart_syscall, "0x1 0x1 0x1 0x0 0x0 0x0", SAFEPOINT_BUSY), SAFEPOINT_BUSY);
}

static void test_place_odd(void **state)
{
    static const char *const odd[] = { "", "running", "-1 0x7ffe 0x7f7d", "230", "230 ", "230 0x1 0x1", "230 1 1 0 0 0 0",
                                       "999999999 0x1 0x1 0x1 0x0 0x0 0x0 0x1 0x1",
                                       "230 0x1 0x1 0x11111111111111111 0x0 0x0 0x0 0x1 0x1" };

    (void)state;
    for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(safepoint_place(odd[i], SAFEPOINT_SLEEP), SAFEPOINT_BUSY);
        assert_int_equal(safepoint_call(odd[i]), -1);
    }
    assert_int_equal(safepoint_call("7 0x1 0x1 0x1 0x0 0x0 0x0 0x1 0x1"), 7);
}

static void test_waits(void **state)
{
    const enum safepoint_place good[] = { SAFEPOINT_SLEEP, SAFEPOINT_IDLE, SAFEPOINT_LOOP };
    const enum safepoint_place bad[] = { SAFEPOINT_SLEEP, SAFEPOINT_BUSY };

    (void)state;
    assert_true(safepoint_waits(good, 3));
    assert_false(safepoint_waits(good + 1, 1)); /* all idle: whoever gives the work is at it */
    assert_false(safepoint_waits(bad, 2));
    assert_false(safepoint_waits(good, 0));
}

static void test_marks(void **state)
{
    const uint64_t sleep[6] = { 1, 1, 0, 0, 0, 0 }, none[6] = { 0 };

    (void)state;
    assert_true(safepoint_is_mark(SYS_renameat2, none) && safepoint_is_mark(SYS_clock_nanosleep, sleep));
#ifdef SYS_rename
    assert_true(safepoint_is_mark(SYS_rename, none));
#endif
    assert_false(safepoint_is_mark(SYS_clock_nanosleep, none) || safepoint_is_mark(SYS_unlinkat, none)
                 || safepoint_is_mark(SYS_openat, none) || safepoint_is_mark(-1, none));
}

static void test_locks(void **state)
{
    static const char text[] = "1: POSIX  ADVISORY  WRITE 1234 fd:01:77 0 EOF\n"
                               "1: -> POSIX  ADVISORY  WRITE 55 fd:01:77 0 EOF\n"
                               "2: FLOCK  ADVISORY  READ  1236 00:2d:78 0 EOF\n"
                               "3: OFDLCK ADVISORY  READ  -1 00:2d:79 0 EOF\n"
                               "4: LEASE  ACTIVE    READ  1237 00:2d:80 0 EOF\n";
    char file[32] = "-";

    (void)state;
    assert_true(safepoint_holds_lock(text, 1234, file, sizeof file));
    assert_string_equal(file, "fd:01:77");
    assert_true(safepoint_holds_lock(text, 1236, file, sizeof file));
    assert_string_equal(file, "00:2d:78");
    assert_false(safepoint_holds_lock(text, 55, file, sizeof file)); /* waits for it only */
    assert_false(safepoint_holds_lock(text, 123, file, sizeof file));
    assert_false(safepoint_holds_lock(text, 1237, file, sizeof file));
    assert_false(safepoint_holds_lock("", 1, file, sizeof file));
    /* whose cannot be told: it might be ours */
    assert_true(safepoint_holds_lock("1: POSIX  ADVISORY  WRITE x1 fd:01:77 0 EOF\n", 9, file, sizeof file));
    assert_true(safepoint_holds_lock("1: POSIX  ADVISORY  WRITE", 9, file, sizeof file));
}

static void test_order(void **state)
{
    static const char *const flow[][2] = {
        { "lmtp", "in" }, { "rest", "in" }, { "nntp", "in" }, { "in", "pipeline" }, { "pipeline", "out" }, { "virgin", "out" },
        { "lmtp", "command" }, { "lmtp", "bounces" }, { "command", "virgin" }, { "pipeline", "archive" },
        { "pipeline", "digest" }, { "digest", "virgin" }, { "retry", "out" }, { "in", "own" }, { "own", "out" },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof flow / sizeof flow[0]; i++)
        assert_true(safepoint_rank(flow[i][0]) < safepoint_rank(flow[i][1]));
    assert_false(safepoint_has_queue("lmtp") || safepoint_has_queue("rest") || safepoint_has_queue("task"));
    assert_true(safepoint_has_queue("in") && safepoint_has_queue("nntp") && safepoint_has_queue("own"));
}

static void test_open_files(void **state)
{
    static const char mounts[] = "21 28 0:20 / /proc rw - proc proc rw\n36 28 0:42 / /srv/lists rw - nfs4 h:/l rw\n";
    uint32_t major_no = 7, minor_no = 7;

    (void)state;
    assert_false(openfiles_flags_write("pos:\t0\nflags:\t0100000\nmnt_id:\t36\n"));
    assert_true(openfiles_flags_write("pos:\t0\nflags:\t0100001\nmnt_id:\t36\n"));
    assert_true(openfiles_flags_write("pos:\t0\nflags:\t0102002\nmnt_id:\t36\n"));
    assert_false(openfiles_flags_write("pos:\t0\nflags:\t012000002\nmnt_id:\t36\n")); /* O_PATH */
    assert_true(openfiles_flags_write("pos:\t0\n")); /* not known */
    assert_true(openfiles_mount_find(mounts, 36, &major_no, &minor_no));
    assert_true(major_no == 0 && minor_no == 42);
    assert_false(openfiles_mount_find(mounts, 28, &major_no, &minor_no));
    assert_false(openfiles_mount_find("36 28 0", 36, &major_no, &minor_no));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place), cmocka_unit_test(test_place_odd), cmocka_unit_test(test_waits),
        cmocka_unit_test(test_marks), cmocka_unit_test(test_locks), cmocka_unit_test(test_order),
        cmocka_unit_test(test_open_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
