/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog, with a device of the lab's in its place: armed before anything makes the node active, petted by permits
 * and by proven steps of a stop only, disarmed only after a proven stop, and taken over from an executor that died. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define TIMEOUT_S 6 /* the least beside a permit_timeout of 900ms */

static pid_t device;

static void device_start(const char *mode)
{
    char socket_path[128], log[128], script[512], byte;
    const char *top = getenv("top_srcdir");
    int in[2], out[2];

    (void) snprintf(script, sizeof script, "%s/tests/lab/labwatchdog.py", top ? top : ".");
    (void) snprintf(socket_path, sizeof socket_path, "%s/watchdog.socket", lab.dir);
    (void) snprintf(log, sizeof log, "%s/log/watchdog", lab.dir);
    (void) setenv("WATCHDOG_SOCKET", socket_path, 1);
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    device = fork();
    if (device == 0) {
        (void) dup2(in[0], 0);
        (void) dup2(out[1], 1);
        (void) close(in[1]);
        (void) execl("/usr/bin/python3", "python3", "-I", script, socket_path, log, mode, (char *) NULL);
        _exit(127);
    }
    (void) close(in[0]);
    (void) close(out[1]);
    assert_int_equal(read(out[0], &byte, 1), 1); /* it is ready */
    (void) close(out[0]);
    (void) fcntl(in[1], F_SETFD, FD_CLOEXEC); /* open until the test ends */
}

static void setup_with(const char *mode, const char *more)
{
    char path[128], text[512];

    (void) snprintf(path, sizeof path, "%s/watchdog", lab.dir);
    (void) setenv("WATCHDOG_DEVICE", path, 1);
    assert_int_equal(mkdir(path, 0700), 0); /* for who looks whether it is there; open goes to the device */
    (void) snprintf(text, sizeof text, "permit_timeout = 900ms\nwatchdog = %s\nwatchdog_timeout = %ds\n%s", path, TIMEOUT_S,
                    more);
    lab_config(text);
    device_start(mode);
}

static int teardown(void **state)
{
    if (device > 0) {
        (void) kill(device, SIGKILL);
        (void) waitpid(device, NULL, 0);
        device = 0;
    }
    return lab_teardown(state);
}

/* Time of the last line of the device's log that ends in `word` (CLOCK_BOOTTIME, ms); 0 = none. */
static uint64_t last_ms(const char *word)
{
    char *text = strdup(lab_file("log/watchdog")), *save = text;
    uint64_t ret = 0;

    for (char *p = text, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
        *nl = '\0';
        char *blank = strchr(p, ' ');
        if (blank && strcmp(blank + 1, word) == 0)
            ret = strtoull(p, NULL, 10);
    }
    free(save);
    return ret;
}

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 9000, .epoch = 7 };
}

static int status_of(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id);

    return lab_do(&run).status;
}

static void permit(void)
{
    lab_permit(clock_now_ms() + 900);
}

static void own(void)
{
    struct wire_run run = job(JOB_EPOCH_OWN, 2);

    run.proof[1] = 2;
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(lab_do(&run).status, 0);
    permit();
}

static void become_active(void)
{
    own();
    assert_int_equal(status_of(JOB_ADDRESS_START, 3), 0);
    permit();
    assert_int_equal(status_of(JOB_SERVICE_START, 4), 0);
    permit();
}

static void permits_for(int ms)
{
    for (int t = 0; t < ms; t += 100) {
        permit();
        (void) poll(NULL, 0, 100);
    }
}

static void test_armed_before_the_first_job_and_disarmed_after_the_last(void **state)
{
    (void) state;
    setup_with("slow", ""); /* so that a job that does not wait for it is seen */
    lab_script("address", "cp $D/log/watchdog $D/log/seen-$1 2> /dev/null; true");
    lab_start();
    own();
    assert_string_equal(lab_file("log/watchdog"), "");
    assert_int_equal(lab.safety.watchdog, WATCHDOG_OFF);
    assert_int_equal(status_of(JOB_ADDRESS_START, 3), 0);
    assert_non_null(strstr(lab_file("log/seen-start"), "timeout 6\n")); /* before, not meanwhile */
    assert_non_null(strstr(lab_file("log/seen-start"), "gettimeout = 6\n"));
    permit();
    assert_int_equal(status_of(JOB_SERVICE_START, 4), 0);
    assert_int_equal(lab.safety.watchdog, WATCHDOG_ARMED);
    assert_string_equal(lab_file("run/watchdog"), "7\n");
    permit();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 5), 0);
    assert_true(last_ms("V") == 0 && last_ms("disable") == 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 6), 0);
    assert_int_equal(lab_wait_file("log/watchdog", "disarmed\n", 2000), 0);
    lab_take(100);
    assert_int_equal(lab.safety.watchdog, WATCHDOG_OFF);
    assert_string_equal(lab_file("run/watchdog"), "");
}

/* A stop hangs: nothing is proven, so nobody pets it, however long the executor itself goes on well. */
static void test_petted_by_permits_only(void **state)
{
    (void) state;
    setup_with("ok", "stop_timeout = 60s\n");
    lab_script("mailman3", "[ $1 = start ] || exec sleep 60");
    lab_start();
    become_active();
    permits_for(1500);
    uint64_t end = clock_now_ms(), pet = last_ms("pet");
    assert_true(pet + 700 > end); /* while permits come */
    assert_int_equal(lab_wait_file("log/watchdog", "BITE", (TIMEOUT_S + 3) * 1000), 0);
    assert_true(last_ms("pet") <= end + 50);
    assert_in_range(last_ms("BITE") - last_ms("pet"), TIMEOUT_S * 1000 - 100, TIMEOUT_S * 1000 + 1000);
    assert_true(last_ms("V") == 0);
}

static void test_a_permit_that_has_run_out_pets_nothing(void **state)
{
    (void) state;
    setup_with("ok", "stop_timeout = 60s\n");
    lab_script("mailman3", "[ $1 = start ] || exec sleep 60");
    lab_start();
    become_active();
    (void) kill(lab.executor, SIGSTOP); /* permits wait in the socket meanwhile */
    permit();
    (void) poll(NULL, 0, 1500);
    uint64_t t = clock_now_ms();
    (void) kill(lab.executor, SIGCONT);
    (void) poll(NULL, 0, 1000);
    assert_true(last_ms("pet") < t);
}

static void test_each_proven_step_of_a_stop_pets_it(void **state)
{
    (void) state;
    setup_with("ok", "stop_timeout = 20s\n");
    lab_script("mailman3", "[ $1 = start ] || sleep 4");
    lab_script("address", "[ $1 = start ] || sleep 3.5");
    lab_start();
    become_active();
    lab_drop_engine();
    assert_int_equal(lab_wait_file("log/watchdog", "disarmed\n", 10000), 0);
    assert_true(last_ms("BITE") == 0 && last_ms("disarmed") - last_ms("timeout 6") > TIMEOUT_S * 1000);
}

static void test_an_unproven_stop_leaves_it_armed(void **state)
{
    (void) state;
    setup_with("ok", "self_fence = off\n");
    lab_script("mailman3", "[ $1 = start ]");
    lab_start();
    become_active();
    lab_drop_engine();
    uint64_t t = clock_now_ms();
    lab_accept(8000); /* given up, and a new engine, which gets as far again and again: no progress */
    for (uint64_t op = 20; last_ms("BITE") == 0 && clock_now_ms() < t + (TIMEOUT_S + 4) * 1000; op++) {
        assert_int_equal(status_of(JOB_ADDRESS_STOP, op), 0);
        (void) poll(NULL, 0, 300);
    }
    assert_in_range(last_ms("BITE") - t, (TIMEOUT_S - 1) * 1000, (TIMEOUT_S + 2) * 1000);
    assert_true(last_ms("V") == 0 && last_ms("disable") == 0);
    lab_take(100);
    assert_int_equal(lab.safety.stop_unproven, 1);
    assert_int_equal(lab.safety.self_fence, SELF_FENCE_OFF);
}

static void test_the_next_executor_takes_it_over(void **state)
{
    (void) state;
    setup_with("ok", "");
    lab_start();
    become_active();
    lab_kill();
    assert_int_equal(lab_wait_file("log/watchdog", "close\n", 2000), 0);
    assert_true(last_ms("disarmed") == 0);
    uint64_t t = clock_now_ms();
    lab_start();
    assert_true(last_ms("open") >= t);
    lab_take(100);
    assert_int_equal(lab.safety.watchdog, WATCHDOG_ARMED);
    assert_int_equal(status_of(JOB_SERVICE_STOP, 1), 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 2), 0);
    assert_int_equal(lab_wait_file("log/watchdog", "disarmed\n", 2000), 0);
    assert_string_equal(lab_file("run/running"), "");
}

/* And where the new engine does nothing, the executor does. */
static void test_what_a_dead_executor_left_is_stopped(void **state)
{
    (void) state;
    setup_with("ok", "");
    lab_start();
    become_active();
    lab_kill();
    lab_start();
    assert_int_equal(lab_wait_file("log/calls", "mailman3 stop\naddress stop\n", 3000), 0);
    assert_int_equal(lab_wait_file("log/watchdog", "disarmed\n", 2000), 0);
}

static void test_a_dead_executor_ends_in_a_reset(void **state)
{
    (void) state;
    setup_with("ok", "");
    lab_start();
    become_active();
    lab_kill();
    assert_int_equal(lab_wait_file("log/watchdog", "BITE", (TIMEOUT_S + 2) * 1000), 0);
}

static void test_a_stopped_executor_ends_in_a_reset(void **state)
{
    (void) state;
    setup_with("ok", "");
    lab_start();
    become_active();
    (void) kill(lab.executor, SIGSTOP);
    permits_for(2000); /* the engine is well: that is not enough */
    assert_int_equal(lab_wait_file("log/watchdog", "BITE", TIMEOUT_S * 1000), 0);
}

static void test_without_one_the_node_works_and_says_so(void **state)
{
    static const struct { const char *mode; enum wire_watchdog state; const char *says; } t[] = {
        { "busy", WATCHDOG_BUSY, "held by another program" }, { "absent", WATCHDOG_ABSENT, "No such file" },
        { "fixed", WATCHDOG_FAILED, "its timeout cannot be set" }, { "other", WATCHDOG_FAILED, "is 12 s, and not 6 s" },
    };

    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        setup_with(t[i].mode, "");
        lab_start();
        become_active();
        lab_permit(0);
        assert_int_equal(lab.safety.watchdog, t[i].state);
        assert_non_null(strstr(lab.safety.watchdog_says, t[i].says));
        assert_string_equal(lab_file("run/watchdog"), ""); /* let go, where it had been opened */
        assert_int_equal(status_of(JOB_SERVICE_STOP, 5), 0);
        assert_int_equal(status_of(JOB_ADDRESS_STOP, 6), 0);
        assert_int_equal(lab_end(), 0);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(lab_setup(state), 0);
    }
}

/* Something else lies there: nothing is written into it, and a fifo without a reader does not hold the executor. */
static void test_what_is_no_watchdog_is_said(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        char path[128], text[256];
        (void) snprintf(path, sizeof path, "%s/other", lab.dir);
        (void) snprintf(text, sizeof text, "permit_timeout = 900ms\nwatchdog = %s\nwatchdog_timeout = %ds\n", path, TIMEOUT_S);
        (void) setenv("WATCHDOG_DEVICE", "/nonexistent/watchdog", 1);
        if (i == 0)
            assert_int_equal(mkfifo(path, 0600), 0);
        else if (i == 1)
            assert_int_equal(mkdir(path, 0700), 0);
        else
            lab_write("other", "precious", 0600);
        lab_config(text);
        lab_start();
        become_active();
        lab_permit(0);
        assert_int_not_equal(lab.safety.watchdog, WATCHDOG_ARMED);
        assert_non_null(strstr(lab.safety.watchdog_says, path));
        assert_int_equal(status_of(JOB_SERVICE_STOP, 5), 0);
        assert_int_equal(status_of(JOB_ADDRESS_STOP, 6), 0);
        assert_int_equal(lab_end(), 0);
        if (i == 2)
            assert_string_equal(lab_file("other"), "precious");
        assert_int_equal(teardown(state), 0);
        assert_int_equal(lab_setup(state), 0);
    }
}

static void test_one_that_cannot_be_disarmed_is_petted_while_nothing_runs(void **state)
{
    (void) state;
    setup_with("nowayout", "");
    lab_start();
    become_active();
    lab_permit(0);
    assert_int_equal(status_of(JOB_SERVICE_STOP, 5), 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 6), 0);
    (void) poll(NULL, 0, (TIMEOUT_S + 2) * 1000);
    assert_true(last_ms("BITE") == 0 && last_ms("V") == 0);
    lab_take(100);
    assert_non_null(strstr(lab.safety.watchdog_says, "nowayout"));
    lab_kill(); /* the next one goes on with it */
    lab_start();
    uint64_t t = clock_now_ms();
    (void) poll(NULL, 0, 1500);
    assert_true(last_ms("pet") > t && last_ms("BITE") == 0);
    lab_script("mailman3", "[ $1 = start ] || exec sleep 60"); /* active again: only while permits come */
    become_active();
    assert_int_equal(lab_wait_file("log/watchdog", "BITE", (TIMEOUT_S + 3) * 1000), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_armed_before_the_first_job_and_disarmed_after_the_last), TEST(test_petted_by_permits_only),
        TEST(test_a_permit_that_has_run_out_pets_nothing), TEST(test_each_proven_step_of_a_stop_pets_it),
        TEST(test_an_unproven_stop_leaves_it_armed), TEST(test_the_next_executor_takes_it_over),
        TEST(test_what_a_dead_executor_left_is_stopped), TEST(test_a_dead_executor_ends_in_a_reset),
        TEST(test_a_stopped_executor_ends_in_a_reset), TEST(test_without_one_the_node_works_and_says_so),
        TEST(test_what_is_no_watchdog_is_said),
        TEST(test_one_that_cannot_be_disarmed_is_petted_while_nothing_runs),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
