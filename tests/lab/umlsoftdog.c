/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The executor on a machine with a real watchdog: makes the node active, then does what it is told to the part that has to
 * pet it. usage: umlsoftdog DEVICE permits | no-permits | stopped | proven-stop | proven-stop-nowayout
 * A line is said once the watchdog is armed. A machine that is not reset meanwhile says "alive" in the end. */
#include <config.h>

#include "../unit/executor_lib.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define PERMIT_MS 3000 /* a job of a guest takes a second */
#define TIMEOUT_S 10
#define LONGER_MS ((TIMEOUT_S + 4) * 1000)

static const char *device, *mode;

static void permit(void)
{
    lab_permit(clock_now_ms() + PERMIT_MS);
}

static void job(enum job j, uint64_t op_id)
{
    struct wire_run run = { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 9000, .epoch = 7 };

    run.proof[1] = j == JOB_EPOCH_OWN ? 2 : 0;
    assert_int_equal(lab_do(&run).status, 0);
}

static void become_active(void)
{
    job(JOB_EPOCH_CLAIM, 1);
    job(JOB_EPOCH_OWN, 2);
    permit();
    job(JOB_ADDRESS_START, 3);
    permit();
    job(JOB_SERVICE_START, 4);
    permit();
    lab_take(100);
    assert_int_equal(lab.safety.watchdog, WATCHDOG_ARMED);
    (void) printf("armed\n");
    (void) fflush(stdout);
}

static void wait_longer(bool with_permits)
{
    for (int t = 0; t < LONGER_MS; t += 100) {
        if (with_permits)
            permit();
        (void) poll(NULL, 0, 100);
    }
}

static void test(void **state)
{
    char text[256];

    (void) state;
    (void) snprintf(text, sizeof text, "permit_timeout = %dms\nwatchdog = %s\nwatchdog_timeout = %ds\n"
        "self_fence = off\nstop_timeout = 60s\n", PERMIT_MS, device, TIMEOUT_S);
    lab_config(text);
    lab_script("mailman3", strcmp(mode, "no-permits") ? "exit 0" : "[ $1 = start ] || exec sleep 60");
    lab_start();
    become_active();
    if (!strcmp(mode, "stopped"))
        (void) kill(lab.executor, SIGSTOP);
    if (!strncmp(mode, "proven-stop", 11)) {
        job(JOB_SERVICE_STOP, 5);
        job(JOB_ADDRESS_STOP, 6);
        lab_take(500);
        assert_int_equal(lab.safety.watchdog, mode[11] ? WATCHDOG_ARMED : WATCHDOG_OFF);
    }
    wait_longer(!strcmp(mode, "permits"));
    (void) printf("alive\n");
    (void) fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown) };

    if (argc != 3)
        return 2;
    device = argv[1];
    mode = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
