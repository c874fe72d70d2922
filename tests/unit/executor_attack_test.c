/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local users and fence devices that mean harm, against the executor. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 12345
#define NOT_STARTED 92 /* executor_init() has refused: see executor_lib.c */

static const char *const directories[] = { "state", "run", "gate" }; /* as they are made: those before are there already */

static void path_of(char *buf, size_t size, const char *name)
{
    (void) snprintf(buf, size, "%s/%s", lab.dir, name);
}

/* Made beforehand by somebody else, who could put files into it. */
static void test_a_directory_of_somebody_else_is_refused(void **state)
{
    char path[256];
    struct stat st;

    (void) state;
    if (geteuid() != 0)
        return;
    for (unsigned i = 0; i < 3; i++) {
        path_of(path, sizeof path, directories[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        assert_int_equal(chown(path, STRANGER, STRANGER), 0);
        lab_launch();
        assert_int_equal(lab_wait_exit(3000), NOT_STARTED);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, STRANGER); /* and nothing of it was taken or given */
        assert_int_equal(rmdir(path), 0);
    }
}

static void test_a_link_in_the_place_of_a_directory_is_refused(void **state)
{
    char path[256], target[256];
    struct stat st;

    (void) state;
    path_of(target, sizeof target, "elsewhere");
    assert_int_equal(mkdir(target, 0700), 0);
    for (unsigned i = 0; i < 3; i++) {
        path_of(path, sizeof path, directories[i]);
        assert_int_equal(symlink(target, path), 0);
        lab_launch();
        assert_int_equal(lab_wait_exit(3000), NOT_STARTED);
        assert_int_equal(stat(target, &st), 0);
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(unlink(path), 0);
    }
}

/* The engine's user owns the run directory: a link that it puts there must not make root write or truncate elsewhere. */
static void test_links_in_the_run_directory_lead_nowhere(void **state)
{
    static const char *const names[] = { "ended", "ended.new", "running", "running.new", "watchdog" };
    char path[512], target[256], text[16] = "";

    (void) state;
    path_of(target, sizeof target, "precious");
    lab_write("precious", "precious", 0644);
    lab_start();
    for (unsigned i = 0; i < 5; i++) {
        (void) snprintf(path, sizeof path, "%s/run/%s", lab.dir, names[i]);
        (void) unlink(path);
        assert_int_equal(symlink(target, path), 0);
    }
    struct wire_run run = { .op_id = 1, .job = JOB_EPOCH_END, .epoch = 7, .deadline_ms = 5000 };
    (void) lab_do(&run);
    run = (struct wire_run) { .op_id = 2, .job = JOB_ADDRESS_STOP, .deadline_ms = 5000 };
    (void) lab_do(&run);
    int fd = open(target, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text - 1), 8);
    (void) close(fd);
    assert_string_equal(text, "precious");
}

/* Ten megabytes of it, without an end of line: neither memory nor the engine is filled with it, and its status is what it is. */
static void test_a_fence_device_may_say_what_it_likes(void **state)
{
    (void) state;
    lab_script("fence", "cat > /dev/null; head -c 10000000 /dev/urandom; yes 'Status: OFF' | head -c 10000000 >&2; exit 1");
    lab_start();
    struct wire_run run = { .op_id = 1, .job = JOB_FENCE_STATUS, .deadline_ms = 10000 };
    struct wire_done d = lab_do(&run);
    assert_int_equal(d.status, 1);
    assert_false(d.late);
    assert_true(lab.output_len <= 65536);
    run = (struct wire_run) { .op_id = 2, .job = JOB_STATE_CHECK, .deadline_ms = 5000 };
    assert_int_equal(lab_do(&run).status, 0); /* and it goes on */
}

/* One that ends by a signal or cannot be started has not said "off", which is 2. */
static void test_a_fence_device_that_dies_has_not_answered(void **state)
{
    (void) state;
    lab_script("fence", "kill -INT $$; exit 2");
    (void) signal(SIGINT, SIG_IGN); /* as nohup or a shell's & leaves it: not for what we start */
    lab_start();
    struct wire_run run = { .op_id = 1, .job = JOB_FENCE_STATUS, .deadline_ms = 5000 };
    assert_int_equal(lab_do(&run).status, -SIGINT);
    run = (struct wire_run) { .op_id = 2, .job = JOB_FENCE_STATUS, .device = 1, .deadline_ms = 5000 };
    assert_int_equal(lab_do(&run).status, -1000 - ENOENT); /* there is no such program */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_directory_of_somebody_else_is_refused), TEST(test_a_link_in_the_place_of_a_directory_is_refused),
        TEST(test_links_in_the_run_directory_lead_nowhere), TEST(test_a_fence_device_may_say_what_it_likes),
        TEST(test_a_fence_device_that_dies_has_not_answered),
    };

    return cmocka_run_group_tests_name("executor_attack", tests, NULL, NULL);
}
