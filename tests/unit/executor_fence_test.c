/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reboot of the node by the executor: only where it was active and its stop is not proven, and not again and again. */
#include <config.h>

#include "executor_lib.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 1000, .epoch = 7 };
}

static int status_of(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id);

    return lab_do(&run).status;
}

/* A stop that is not proven: the engine may be gone before it hears of it. */
static void ask_stop(void)
{
    struct wire_run run = job(JOB_SERVICE_STOP, 10);

    lab_run(&run);
}

static void own(void)
{
    struct wire_run run = job(JOB_EPOCH_OWN, 2);

    run.proof[1] = 2;
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(lab_do(&run).status, 0);
    lab_permit(clock_now_ms() + 60000);
}

static void become_active(void)
{
    own();
    assert_int_equal(status_of(JOB_ADDRESS_START, 3), 0);
    assert_int_equal(status_of(JOB_SERVICE_START, 4), 0);
}

static void stop_fails(void)
{
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ]");
}

static void expect_reboot(void)
{
    assert_int_equal(lab_wait_exit(8000), LAB_REBOOTED);
    assert_string_equal(lab_file("log/reboot"), "now\n");
    assert_null(strstr(lab_file("log/calls"), " end ")); /* what is not proven is not ended */
}

static void test_a_stop_that_is_not_proven_ends_in_a_reboot(void **state)
{
    (void) state;
    stop_fails();
    lab_start();
    become_active();
    lab_drop_engine();
    expect_reboot();
    const char *note = lab_file("state/self-fence");
    assert_non_null(strstr(note, " epoch=7 boot="));
    assert_non_null(strstr(note, " why=its stop cannot be proven\n"));
    assert_null(strstr(note, "unix=0 "));
    lab_drop_engine();
    lab_start(); /* after the reboot */
    lab_take(100);
    assert_int_equal(lab.safety.last_epoch, 7);
    assert_string_equal(lab.safety.last_why, "its stop cannot be proven");
    assert_true((uint64_t) time(NULL) - lab.safety.last_unix_s < 60);
    assert_int_equal(lab.safety.n_recent, 1);
}

static void test_an_address_that_stays_is_reason_enough(void **state)
{
    (void) state;
    lab_script("address", "[ $1 = start ]");
    lab_start();
    become_active();
    lab_drop_engine();
    expect_reboot();
}

static void test_a_passive_node_never_reboots(void **state)
{
    (void) state;
    stop_fails();
    lab_start();
    own(); /* even one that owns: nothing was started */
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 1);
    lab_drop_engine();
    lab_accept(8000);
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 1);
    lab_take(4000);
    assert_string_equal(lab_file("log/reboot"), "");
    assert_string_equal(lab_file("state/self-fence"), "");
    assert_int_equal(lab.safety.stop_unproven, 0);
}

static void test_after_a_proven_stop_it_is_passive(void **state)
{
    (void) state;
    lab_start();
    become_active();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 11), 0);
    stop_fails();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 12), 1);
    lab_drop_engine();
    lab_accept(8000);
    assert_string_equal(lab_file("log/reboot"), "");
}

static void test_what_was_stopped_before_proves_nothing(void **state)
{
    (void) state;
    lab_start();
    become_active();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 0);
    stop_fails(); /* somebody has started it again */
    lab_drop_engine();
    expect_reboot();
}

static void test_a_stop_by_the_engine_that_fails(void **state)
{
    (void) state;
    lab_config("permit_timeout = 60s\n"); /* it is not for want of a permit */
    stop_fails();
    lab_start();
    become_active();
    ask_stop();
    expect_reboot();
    assert_non_null(strstr(lab_file("log/calls"), "mailman3 stop\nmailman3 stop\n")); /* the executor tried as well */
}

static void test_a_stop_by_the_engine_that_hangs(void **state)
{
    (void) state;
    lab_config("permit_timeout = 60s\n");
    lab_script("mailman3", "[ $1 = start ] || exec sleep 60");
    lab_start();
    become_active();
    ask_stop();
    expect_reboot();
}

static void test_a_stop_that_succeeds_in_the_end(void **state)
{
    (void) state;
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ] || [ -e $D/log/again ] || "
               "{ : > $D/log/again; exit 1; }");
    lab_start();
    become_active();
    ask_stop();
    lab_accept(5000);
    assert_int_equal(lab_wait_file("log/calls", "understudy-epoch end 7\n", 1000), 0);
    assert_string_equal(lab_file("log/reboot"), "");
}

static void write_note(unsigned n, unsigned age_s)
{
    char text[1024] = "", path[128];
    size_t len = 0;

    (void) snprintf(path, sizeof path, "%s/state", lab.dir);
    (void) mkdir(path, 0750);
    for (unsigned i = 0; i < n; i++)
        len += (size_t) snprintf(text + len, sizeof text - len, "self-fence at=- unix=%" PRIu64 " epoch=%u boot=- why=x\n",
                                 (uint64_t) time(NULL) - age_s, i + 1);
    lab_write("state/self-fence", text, 0644);
}

static void test_not_more_than_three_within_an_hour(void **state)
{
    (void) state;
    write_note(3, 3000);
    stop_fails();
    lab_start();
    become_active();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 1); /* then the engine holds, and tries on */
    lab_take(200);
    assert_int_equal(lab.safety.self_fence, SELF_FENCE_LIMIT);
    assert_int_equal(lab.safety.stop_unproven, 1);
    lab_drop_engine();
    lab_accept(8000);
    assert_string_equal(lab_file("log/reboot"), "");
    assert_int_equal(lab_wait_file("executor.log", "reboot it by hand", 1000), 0);
    lab_script("mailman3", "true");
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 0);
    assert_int_equal(status_of(JOB_ADDRESS_STOP, 11), 0);
    lab_take(200);
    assert_int_equal(lab.safety.stop_unproven, 0); /* proven in the end */
}

static void test_but_after_an_hour_again(void **state)
{
    (void) state;
    write_note(8, 3700);
    stop_fails();
    lab_start();
    become_active();
    lab_drop_engine();
    expect_reboot();
    const char *note = lab_file("state/self-fence");
    unsigned lines = 0;
    for (const char *p = note; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 8); /* it does not grow for ever */
    assert_null(strstr(note, " epoch=1 "));
    assert_non_null(strstr(note, " epoch=8 "));
    assert_non_null(strstr(note, " epoch=7 boot="));
}

static void test_the_next_executor_knows_that_it_was_active(void **state)
{
    (void) state;
    lab_start();
    become_active();
    stop_fails();
    lab_kill();
    lab_start();
    ask_stop();
    expect_reboot();
}

static void test_asked_to_end_and_not_proven(void **state)
{
    (void) state;
    stop_fails();
    lab_start();
    become_active();
    (void) kill(lab.executor, SIGTERM);
    expect_reboot();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stop_that_is_not_proven_ends_in_a_reboot), TEST(test_an_address_that_stays_is_reason_enough),
        TEST(test_a_passive_node_never_reboots), TEST(test_after_a_proven_stop_it_is_passive),
        TEST(test_what_was_stopped_before_proves_nothing),
        TEST(test_a_stop_by_the_engine_that_fails), TEST(test_a_stop_by_the_engine_that_hangs),
        TEST(test_a_stop_that_succeeds_in_the_end), TEST(test_not_more_than_three_within_an_hour),
        TEST(test_but_after_an_hour_again), TEST(test_the_next_executor_knows_that_it_was_active),
        TEST(test_asked_to_end_and_not_proven),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
