/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Without an engine the executor stops what runs, in order, ends the epoch only after a proven stop, and goes on. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 5000, .epoch = 7 };
}

static int status_of(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id);

    return lab_do(&run).status;
}

/* Claim and own of epoch 7, address and service, as an engine does it. */
static void become_active(uint64_t permit_ms)
{
    struct wire_run own = job(JOB_EPOCH_OWN, 2);

    own.proof[1] = 2;
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(lab_do(&own).status, 0);
    lab_permit(clock_now_ms() + permit_ms);
    assert_int_equal(status_of(JOB_ADDRESS_START, 3), 0);
    assert_int_equal(status_of(JOB_SERVICE_START, 4), 0);
}

static const char before[] = "understudy-epoch claim 7\nunderstudy-epoch own 7\naddress start\nmailman3 start\n";

static void expect_calls(const char *after)
{
    char want[512];

    (void) snprintf(want, sizeof want, "%s%s", before, after);
    if (lab_wait_file("log/calls", want, 8000) < 0 || strcmp(lab_file("log/calls"), want) != 0)
        fail_msg("expected '%s', got '%s'", want, lab_file("log/calls"));
}

static void expect_calls_within(const char *after, int timeout_ms)
{
    char want[512];

    (void) snprintf(want, sizeof want, "%s%s", before, after);
    assert_int_equal(lab_wait_file("log/calls", want, timeout_ms), 0);
}

static void test_engine_gone(void **state)
{
    char first[64];

    (void) state;
    lab_start();
    (void) snprintf(first, sizeof first, "%.20s", lab.hello);
    become_active(60000);
    lab_drop_engine();
    lab_accept(5000);
    expect_calls("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n");
    assert_string_equal(lab_file("run/ended"), "7\n");
    assert_memory_not_equal(first, lab.hello, 20); /* a new run */
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), -1000 - EPERM); /* never again under this number */
}

static void test_no_permit(void **state)
{
    (void) state;
    lab_config("permit_timeout = 500ms\n");
    lab_start();
    unsigned first = hello_number("pid");
    uint64_t t = clock_now_ms();
    become_active(60000); /* more than permit_timeout is not given */
    assert_int_equal(lab_wait_file("log/calls", "mailman3 stop\n", 2000), 0);
    assert_true(clock_now_ms() - t >= 500);
    lab_accept(5000);
    expect_calls("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n");
    assert_true(kill((pid_t) first, 0) < 0 && errno == ESRCH); /* the silent one was killed */
}

static void test_permits_that_go_on_and_one_that_is_withdrawn(void **state)
{
    (void) state;
    lab_config("permit_timeout = 1500ms\n");
    lab_start();
    become_active(1500);
    for (unsigned i = 0; i < 8; i++) {
        (void) poll(NULL, 0, 200);
        lab_permit(clock_now_ms() + 1500);
    }
    lab_permit(0);
    assert_int_equal(status_of(JOB_ADDRESS_START, 10), -1000 - EPERM); /* not without a permit */
    (void) poll(NULL, 0, 250);
    expect_calls("");
    expect_calls_within("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n", 3500); /* it was to be stopped, and was not */
}

static void test_an_engine_that_stops_what_it_started_is_left_in_peace(void **state)
{
    (void) state;
    lab_config("permit_timeout = 500ms\n");
    lab_script("address", "[ $1 = start ] || sleep 1; echo \"address $*\" >> $D/log/calls");
    lab_start();
    become_active(500);
    lab_permit(0);
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 11), 0); /* longer than the permit: it is being stopped */
    (void) poll(NULL, 0, 800);
    expect_calls("mailman3 stop\naddress stop\n");
    assert_string_equal(lab_file("run/running"), "");
}

static void test_no_step_can_be_skipped(void **state)
{
    struct wire_run run;

    (void) state;
    lab_start();
    lab_permit(clock_now_ms() + 3000);
    assert_int_equal(status_of(JOB_ADDRESS_START, 1), -1000 - EPERM);
    assert_int_equal(status_of(JOB_SERVICE_START, 2), -1000 - EPERM);
    assert_int_equal(status_of(JOB_INTAKE_OPEN, 3), -1000 - EPERM);
    assert_int_equal(status_of(JOB_STATE_RECOVER, 4), -1000 - EPERM);
    assert_int_equal(status_of(JOB_EPOCH_OWN, 5), -1000 - EPERM);
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 6), 0);
    assert_int_equal(status_of(JOB_ADDRESS_START, 7), -1000 - EPERM);
    run = job(JOB_EPOCH_OWN, 8), run.epoch = 8;
    assert_int_equal(lab_do(&run).status, -1000 - EPERM); /* another number */
    lab_script("understudy-epoch", "exit 1");
    assert_int_equal(status_of(JOB_EPOCH_OWN, 9), 1);
    assert_int_equal(status_of(JOB_ADDRESS_START, 10), -1000 - EPERM); /* own has failed */
    lab_script("understudy-epoch", "exit 0");
    assert_int_equal(status_of(JOB_EPOCH_OWN, 11), 0);
    assert_int_equal(status_of(JOB_STATE_RECOVER, 12), 0);
    assert_int_equal(status_of(JOB_ADDRESS_START, 13), 0);
    lab_script("understudy-epoch", "grep -qx 7 $D/run/ended");
    assert_int_equal(status_of(JOB_EPOCH_END, 14), 0); /* recorded before it was issued */
    assert_int_equal(status_of(JOB_SERVICE_START, 15), -1000 - EPERM);
    assert_int_equal(status_of(JOB_EPOCH_OWN, 16), -1000 - EPERM);
}

static void test_running_children_are_killed_first(void **state)
{
    struct wire_run run = job(JOB_STATE_CHECK, 20);

    (void) state;
    lab_script("understudy-state", "trap '' TERM\necho $$ > $D/log/pid\nwhile :; do sleep 1; done");
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = stop ] && kill -0 $(cat $D/log/pid) 2> /dev/null && "
               "echo still >> $D/log/calls; exit 0");
    lab_start();
    become_active(60000);
    lab_run(&run);
    assert_int_equal(lab_wait_file("log/pid", "\n", 2000), 0);
    lab_drop_engine();
    lab_accept(5000);
    expect_calls("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n");
}

static void test_an_unproven_stop_ends_nothing(void **state)
{
    (void) state;
    lab_config("self_fence = off\nstop_timeout = 5s\n");
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ]");
    lab_start();
    become_active(60000);
    lab_drop_engine();
    lab_accept(10000); /* three tries, then an engine that can tell a person */
    expect_calls("mailman3 stop\naddress stop\nmailman3 stop\naddress stop\nmailman3 stop\naddress stop\n");
    assert_string_equal(lab_file("run/ended"), "");
}

/* What the executor runs for itself has to be to the liking of the real programs, not only of this test's. */
static void test_the_real_program_takes_our_end(void **state)
{
    const char *top = getenv("top_builddir");
    char body[1024];

    (void) state;
    (void) snprintf(body, sizeof body, "case \"$*\" in *' end '*) exec %s/understudy-epoch \"$@\";; esac",
                    top ? top : ".");
    lab_script("understudy-epoch", body);
    lab_start();
    become_active(60000);
    lab_drop_engine();
    lab_accept(5000);
    assert_int_equal(lab_wait_file("executor.log", "epoch-end failed with status 4", 1000), 0); /* there is no share */
}

static void test_a_stop_that_hangs_is_one_that_failed(void **state)
{
    (void) state;
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ] || exec sleep 60");
    lab_start();
    become_active(60000);
    uint64_t t = clock_now_ms();
    lab_drop_engine();
    assert_int_equal(lab_wait_exit(5000), LAB_REBOOTED);
    assert_in_range(clock_now_ms() - t, 2000, 4000); /* stop_timeout for all of it, not for each try */
    expect_calls("mailman3 stop\naddress stop\n");
}

static void test_a_stop_that_is_slow_to_fail_is_not_tried_for_ever(void **state)
{
    (void) state;
    lab_config("stop_timeout = 4s\n");
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ] || { sleep 3; exit 1; }");
    lab_start();
    become_active(60000);
    uint64_t t = clock_now_ms();
    lab_drop_engine();
    assert_int_equal(lab_wait_exit(9000), LAB_REBOOTED);
    assert_in_range(clock_now_ms() - t, 3000, 4800);
    expect_calls("mailman3 stop\naddress stop\n");
}

static void test_an_engine_that_keeps_ending_is_started_with_pauses(void **state)
{
    uint64_t t;

    (void) state;
    lab_start();
    lab_drop_engine();
    lab_accept(5000); /* the first time at once */
    lab_drop_engine();
    t = clock_now_ms();
    lab_accept(5000);
    assert_in_range(clock_now_ms() - t, 900, 3000);
    lab_drop_engine();
    t = clock_now_ms();
    lab_accept(8000);
    assert_in_range(clock_now_ms() - t, 1900, 5000);
}

/* Units that go with the list service prove nothing: they fail here, since there are none, and all the rest is done. */
static void test_units_that_cannot_be_stopped_hinder_nothing(void **state)
{
    (void) state;
    lab_config("also_units = understudy-test-nonesuch.service\n");
    lab_start();
    assert_int_equal(status_of(JOB_UNITS_START, 9), -1000 - EPERM); /* no tenure, no units */
    become_active(60000);
    lab_drop_engine();
    lab_accept(8000);
    expect_calls("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n");
    assert_int_equal(lab_wait_file("executor.log", "units-stop failed", 1000), 0);
    assert_int_equal(lab_wait_file("executor.log", "involuntary stop: done", 1000), 0);
}

static void test_asked_to_end(void **state)
{
    int wstatus;

    (void) state;
    lab_start();
    become_active(60000);
    wstatus = lab_end();
    assert_true(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    expect_calls("mailman3 stop\naddress stop\nunderstudy-epoch end 7\n");
}

static void test_nothing_outlives_the_executor(void **state)
{
    struct wire_run run = job(JOB_STATE_CHECK, 20);

    (void) state;
    lab_script("understudy-state", "echo $$ > $D/log/pid\nexec sleep 60");
    lab_start();
    lab_run(&run);
    assert_int_equal(lab_wait_file("log/pid", "\n", 2000), 0);
    pid_t pids[2] = { (pid_t) strtol(lab_file("log/pid"), NULL, 10), (pid_t) hello_number("pid") };
    (void) kill(lab.executor, SIGKILL);
    (void) waitpid(lab.executor, NULL, 0);
    lab.executor = 0;
    for (unsigned i = 0; i < 2; i++) {
        char path[32], line[256] = "";
        for (unsigned k = 0; k < 200; k++) { /* gone, or a zombie that nobody has waited for yet */
            (void) snprintf(path, sizeof path, "/proc/%d/stat", (int) pids[i]);
            FILE *f = fopen(path, "re");
            if (!f || !fgets(line, sizeof line, f) || strstr(line, ") Z "))
                line[0] = '\0';
            if (f)
                (void) fclose(f);
            if (!line[0])
                break;
            (void) poll(NULL, 0, 10);
        }
        assert_string_equal(line, "");
    }
}

static void test_members_are_started_again(void **state)
{
    (void) state;
    lab_script("understudy-members", "echo x >> $D/log/members; kill -9 $$");
    lab_start();
    unsigned first = hello_number("pid");
    assert_int_equal(lab_wait_file("log/members", "x\nx\n", 5000), 0);
    struct wire_run run = job(JOB_STATE_CHECK, 1);
    assert_int_equal(lab_do(&run).status, 0);
    assert_int_equal(hello_number("pid"), first); /* the engine has nothing to do with it */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_engine_gone), TEST(test_no_permit), TEST(test_permits_that_go_on_and_one_that_is_withdrawn),
        TEST(test_an_engine_that_stops_what_it_started_is_left_in_peace),
        TEST(test_no_step_can_be_skipped), TEST(test_running_children_are_killed_first),
        TEST(test_an_unproven_stop_ends_nothing), TEST(test_the_real_program_takes_our_end),
        TEST(test_a_stop_that_hangs_is_one_that_failed),
        TEST(test_a_stop_that_is_slow_to_fail_is_not_tried_for_ever),
        TEST(test_an_engine_that_keeps_ending_is_started_with_pauses),
        TEST(test_units_that_cannot_be_stopped_hinder_nothing), TEST(test_asked_to_end),
        TEST(test_nothing_outlives_the_executor), TEST(test_members_are_started_again),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
