/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which capabilities the executor and its children have, as the kernel says it. */
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

#include "daemon/privileges.h"

/* Each line of /proc/PID/status that counts here; the shell starts the program that prints it. */
#define PRINT "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status"

/* As root, and with the right to narrow the bounding set; without, there is nothing that could be limited. */
static bool limits(void)
{
    char text[4096] = "", *at;
    FILE *f = fopen("/proc/self/status", "re");

    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void) fclose(f);
    text[n] = '\0';
    at = strstr(text, "CapEff:");
    return geteuid() == 0 && at && (strtoull(at + 7, NULL, 16) >> 8 & 1) != 0;
}

static uint64_t value(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    assert_non_null(at);
    return strtoull(at + strlen(key), NULL, 16);
}

static void expect(const struct wire_run *run, uint64_t caps, uint64_t no_new_privs)
{
    assert_int_equal(lab_do(run).status, 0);
    /* A machine may not have all of them: none more. */
    assert_int_equal(value(lab.output, "CapBnd:") & ~caps, 0);
    assert_int_equal(value(lab.output, "CapPrm:"), value(lab.output, "CapBnd:"));
    assert_int_equal(value(lab.output, "CapEff:"), value(lab.output, "CapBnd:"));
    assert_int_equal(value(lab.output, "CapAmb:"), 0);
    assert_int_equal(value(lab.output, "NoNewPrivs:"), no_new_privs);
}

static void test_a_job_has_what_it_needs(void **state)
{
    (void) state;
    if (!limits())
        return;
    lab_script("understudy-epoch", PRINT);
    lab_script("understudy-state", PRINT);
    lab_script("understudy-intake", PRINT);
    lab_script("address", PRINT);
    lab_script("mailman3", PRINT);
    lab_script("fence", "cat > /dev/null; " PRINT);
    lab_start();
    struct wire_run run = { .op_id = 1, .job = JOB_STATE_CHECK, .deadline_ms = 5000 };
    expect(&run, 0, 1);
    run = (struct wire_run) { .op_id = 2, .job = JOB_EPOCH_DRAIN, .deadline_ms = 5000, .duration_ms = 10 };
    expect(&run, 0, 1);
    run = (struct wire_run) { .op_id = 3, .job = JOB_INTAKE_CLOSE, .deadline_ms = 5000 };
    expect(&run, 1u << 12 | 1u << 13, 0); /* net_admin, net_raw */
    assert_int_equal(value(lab.output, "CapEff:") & 1u << 12, 1u << 12);
    run = (struct wire_run) { .op_id = 4, .job = JOB_ADDRESS_MONITOR, .deadline_ms = 5000 };
    expect(&run, 1u << 12 | 1u << 13, 0);
    run = (struct wire_run) { .op_id = 5, .job = JOB_SERVICE_MONITOR, .deadline_ms = 5000 };
    expect(&run, privileges_of_job(JOB_SERVICE_MONITOR), 0);
    assert_int_equal(value(lab.output, "CapEff:") & (1u << 21 | 1u << 22 | 1u << 16), 0); /* sys_admin, sys_boot, sys_module */
    run = (struct wire_run) { .op_id = 6, .job = JOB_FENCE_STATUS, .deadline_ms = 5000 };
    expect(&run, privileges_of_job(JOB_FENCE_STATUS), 0);
    assert_int_equal(value(lab.output, "CapEff:") & (1u << 21 | 1u << 22 | 1u << 19 | 1u << 12), 0); /* and sys_ptrace, net_admin */
}

static void test_no_job_has_what_the_executor_has_not(void **state)
{
    uint64_t all = privileges_of_executor(true), without = privileges_of_executor(false);

    (void) state;
    for (unsigned j = JOB_NONE; j < JOB_N; j++)
        assert_int_equal(privileges_of_job((enum job) j) & ~all, 0);
    assert_int_equal(without & 1u << 21, 0); /* sys_admin: only to mount */
    assert_int_equal(all & 1u << 21, 1u << 21);
    assert_int_equal(all & (1u << 16 | 1u << 17 | 1u << 25 | 1u << 27), 0); /* sys_module, sys_rawio, sys_time, mknod */
}

static void test_the_executor_has_given_up_the_rest(void **state)
{
    char path[64], text[4096];

    (void) state;
    if (!limits())
        return;
    lab_start();
    (void) snprintf(path, sizeof path, "/proc/%d/status", (int) lab.executor);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void) fclose(f);
    text[n] = '\0';
    assert_int_equal(value(text, "CapBnd:") & ~privileges_of_executor(false), 0);
    assert_int_equal(value(text, "CapPrm:") & ~privileges_of_executor(false), 0);
    assert_int_equal(value(text, "CapEff:") & (1u << 13 | 1u << 19 | 1u << 21), 0); /* net_raw, sys_ptrace, sys_admin */
    assert_int_equal(value(text, "CapEff:") & 1u << 5, 1u << 5); /* kill */
}

/* A child that gained a capability by its exec would lose PR_SET_PDEATHSIG, and with it its end with the executor. */
static void test_a_child_does_not_outlive_the_executor(void **state)
{
    char path[256], line[32] = "";
    struct wire_run run = { .op_id = 1, .job = JOB_SERVICE_MONITOR, .deadline_ms = 20000 };

    (void) state;
    lab_script("mailman3", "echo pid $$ > $D/log/pid; exec sleep 20");
    lab_start();
    lab_run(&run);
    assert_int_equal(lab_wait_file("log/pid", "\n", 3000), 0);
    (void) snprintf(path, sizeof path, "%s/log/pid", lab.dir);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    (void) fclose(f);
    pid_t pid = (pid_t) strtol(line + 4, NULL, 10);
    assert_true(pid > 1 && kill(pid, 0) == 0);
    assert_int_equal(kill(lab.executor, SIGKILL), 0);
    assert_int_equal(waitpid(lab.executor, NULL, 0), lab.executor);
    lab.executor = 0;
    for (unsigned i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        (void) waitpid(pid, NULL, WNOHANG);
        (void) poll(NULL, 0, 10);
    }
    assert_true(kill(pid, 0) < 0 && errno == ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_job_has_what_the_executor_has_not),
        cmocka_unit_test_setup_teardown(test_a_job_has_what_it_needs, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_the_executor_has_given_up_the_rest, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_a_child_does_not_outlive_the_executor, lab_setup, lab_teardown),
    };

    return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
