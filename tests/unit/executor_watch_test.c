/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one job that runs on: its reports, and the signal that makes it look at once. And an executor that can start nothing. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "executor_lib.h"

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 5000, .epoch = 7 };
}

static void next_output(void)
{
    do
        assert_int_equal(recv(lab.control, &lab.msg, sizeof lab.msg, 0), (int) sizeof lab.msg);
    while (lab.msg.kind == WIRE_SAFETY);
    assert_int_equal(lab.msg.kind, WIRE_OUTPUT);
}

static void test_only_the_watch_is_nudged(void **state)
{
    struct wire_run run = job(JOB_EPOCH_WATCH, 1);

    (void) state;
    /* A command keeps its shell's disposition when it does not trap: SIGUSR1 would end it. */
    lab_script("understudy-epoch", "trap 'echo end at_ms=2' USR1\necho end at_ms=1\nwhile :; do sleep 0.02; done");
    lab_script("mailman3", "echo ready\nsleep 1");
    lab_start();
    run.deadline_ms = 0;
    lab_run(&run);
    run = job(JOB_SERVICE_MONITOR, 2);
    lab_run(&run);
    next_output();
    next_output();
    /* One report of the watch, one line of the other: both run, and the first has set its trap. */
    lab_nudge(2);
    lab_nudge(99);
    lab_nudge(0);
    lab_nudge(1);
    next_output();
    assert_int_equal(lab.msg.u.output.op_id, 1);
    assert_memory_equal(lab.msg.u.output.text, "end at_ms=2\n", 12);
    assert_int_equal(lab_done(2, 5000).status, 0); /* it was left alone */
}

static void test_each_report_of_the_watch_is_one_message(void **state)
{
    struct wire_run run = job(JOB_EPOCH_WATCH, 1);

    (void) state;
    lab_script("understudy-epoch", "printf 'share a=1\\nend at_ms=5\\nshare a=2\\nend at_ms=6\\nsha'\n"
               "sleep 0.1\nprintf 're a=3\\nend at_ms=7\\n'\n"
               "echo blah >&2\nexec sleep 60");
    lab_start();
    run.deadline_ms = 0;
    lab_run(&run);
    static const char *const want[] = { "share a=1\nend at_ms=5\n", "share a=2\nend at_ms=6\n", "share a=3\nend at_ms=7\n",
                                        "blah\n" };
    for (unsigned i = 0; i < 4; i++) {
        do
            assert_int_equal(recv(lab.control, &lab.msg, sizeof lab.msg, 0), (int) sizeof lab.msg);
        while (lab.msg.kind == WIRE_SAFETY);
        assert_int_equal(lab.msg.kind, WIRE_OUTPUT);
        assert_int_equal(lab.msg.u.output.len, strlen(want[i]));
        assert_memory_equal(lab.msg.u.output.text, want[i], strlen(want[i]));
        assert_true(lab.msg.u.output.read_ms > 0);
    }
}

/* As one that its sandbox has killed. */
static void test_a_forbidden_call_is_named(void **state)
{
    (void) state;
    lab_script("understudy-state", "kill -SYS $$");
    lab_start();
    struct wire_run run = { .op_id = 3, .job = JOB_STATE_CHECK, .deadline_ms = 5000 };
    assert_int_equal(lab_do(&run).status, -SIGSYS);
    assert_int_equal(lab_wait_file("executor.log", "state-check: killed by SIGSYS, since it made a system call", 1000), 0);
    assert_int_equal(lab_wait_file("executor.log", "journalctl -k --grep='type=1326 .* pid=", 1000), 0);
}

/* How many descriptors the executor has, all of them the lowest ones. */
static rlim_t descriptors(void)
{
    char path[32];
    struct dirent *e;
    rlim_t n = 0;

    (void) snprintf(path, sizeof path, "/proc/%d/fd", (int) lab.executor);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((e = readdir(dir)))
        n += e->d_name[0] != '.';
    (void) closedir(dir);
    return n;
}

static void test_without_a_descriptor_more_it_goes_on(void **state)
{
    struct rlimit before, none;

    (void) state;
    lab_script("understudy-state", "echo here");
    lab_start();
    assert_int_equal(prlimit(lab.executor, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit) { descriptors(), before.rlim_max };
    assert_int_equal(prlimit(lab.executor, RLIMIT_NOFILE, &none, NULL), 0);
    struct wire_run run = { .op_id = 3, .job = JOB_STATE_CHECK, .deadline_ms = 5000 };
    assert_int_equal(lab_do(&run).status, -1000 - EMFILE);
    assert_int_equal(prlimit(lab.executor, RLIMIT_NOFILE, &before, NULL), 0);
    run.op_id = 4;
    assert_int_equal(lab_do(&run).status, 0);
    assert_string_equal(lab.output, "here\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_watch_is_nudged, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_a_forbidden_call_is_named, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_without_a_descriptor_more_it_goes_on, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_each_report_of_the_watch_is_one_message, lab_setup, lab_teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
