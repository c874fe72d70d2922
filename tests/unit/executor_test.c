/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The executor over its socket: what it starts and how, what it refuses, what it kills, what it never lets out. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/jobs.h"

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 5000, .epoch = 7 };
}

static void test_a_job_runs_and_answers(void **state)
{
    char want[256];

    (void) state;
    lab_start();
    struct wire_run run = job(JOB_EPOCH_DRAIN, 5);
    run.duration_ms = 1500;
    struct wire_done d = lab_do(&run);
    assert_int_equal(d.status, 0);
    assert_int_equal(d.job, JOB_EPOCH_DRAIN);
    assert_true(d.started_ms > 0 && d.ended_ms >= d.started_ms && !d.late && d.unreaped == 0);
    (void) snprintf(want, sizeof want, "args --config %s/conf --node a --run %.16s --op 5 drain --duration 1500\n", lab.dir,
                    strstr(lab.hello, "run=") + 4);
    assert_string_equal(lab.output, want);
}

static void expect_arguments(const struct wire_run *run, const char *arguments)
{
    assert_int_equal(lab_do(run).status, 0);
    assert_non_null(strstr(lab.output, arguments));
}

static void test_arguments_of_the_others(void **state)
{
    (void) state;
    lab_script("understudy-epoch", "echo $*");
    lab_script("understudy-state", "echo $*");
    lab_start();
    struct wire_run run = job(JOB_EPOCH_CLAIM, 1);
    expect_arguments(&run, "--op 1 claim 7\n");
    run = job(JOB_EPOCH_OWN, 2);
    run.proof[0] = 4; /* rebooted */
    run.proof[1] = 2; /* off */
    expect_arguments(&run, "own 7 --proof a=rebooted,b=off\n");
    run = job(JOB_STATE_RECOVER, 3);
    run.harmless = 2;
    expect_arguments(&run, "--node a recover --harmless b --epoch 7\n");
    run = job(JOB_EPOCH_INIT, 5);
    expect_arguments(&run, "init --recover --above 6\n");
    run = job(JOB_EPOCH_INIT, 6);
    run.epoch = 0;
    expect_arguments(&run, "--op 6 init\n");
    run = job(JOB_STATE_SYNC, 8);
    expect_arguments(&run, "--node a sync --epoch 7\n");
    run.op_id = 9;
    run.epoch = 0;
    expect_arguments(&run, "--node a sync\n");
    run = job(JOB_EPOCH_END, 4);
    run.planned = 1;
    expect_arguments(&run, "end 7 --planned\n");
    assert_non_null(strstr(lab_file("run/ended"), "7\n"));
}

static void test_reason_of_maintenance(void **state)
{
    (void) state;
    lab_script("understudy-epoch", "echo $*");
    lab_start();
    struct wire_run run = job(JOB_EPOCH_MAINTAIN, 7);
    expect_arguments(&run, "--op 7 maintain\n");
    run = job(JOB_EPOCH_MAINTAIN, 10);
    (void) snprintf(run.reason, sizeof run.reason, "a disk; $(reboot)");
    expect_arguments(&run, "--op 10 maintain --reason a disk; $(reboot)\n");
    memset(run.reason, 'x', sizeof run.reason); /* no end */
    run.op_id = 11;
    assert_true(lab_do(&run).status < -1000);
    run = job(JOB_EPOCH_UNMAINTAIN, 12);
    run.reason[0] = 'x';
    assert_true(lab_do(&run).status < -1000);
}

static void test_agents_get_their_parameters(void **state)
{
    static const char *const want[] = {
        "OCF_RESKEY_user=", "OCF_RESKEY_config=/etc/mailman3/mailman.cfg", "OCF_RESKEY_lock_dir=/l", "OCF_RESKEY_fqdn=a.t",
        "OCF_RESKEY_runners=in out", "OCF_RESKEY_lmtp_host=192.0.2.9", "OCF_RESKEY_lmtp_port=8024", "OCF_ROOT=",
        "OCF_RESOURCE_INSTANCE=understudy-mailman3", "OCF_RESKEY_start_timeout_ms=60000",
        "OCF_RESKEY_release_timeout_ms=10000", "args monitor\n",
    };
    (void) state;
    lab_script("mailman3", "echo args $*; env");
    lab_script("address", "echo args $*; env");
    lab_script("understudy-intake", "echo args $*");
    lab_start();
    struct wire_run run = job(JOB_SERVICE_MONITOR, 1);
    assert_int_equal(lab_do(&run).status, 0);
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_non_null(strstr(lab.output, want[i]));
    run = job(JOB_ADDRESS_MONITOR, 2);
    assert_int_equal(lab_do(&run).status, 0);
    assert_non_null(strstr(lab.output, "OCF_RESKEY_ip=192.0.2.9/24\n"));
    assert_non_null(strstr(lab.output, "OCF_RESKEY_dad_ms=40\n"));
    assert_null(strstr(lab.output, "OCF_RESKEY_interface"));
    run.planned = 1;
    run.op_id++;
    assert_int_equal(lab_do(&run).status, 0);
    assert_non_null(strstr(lab.output, "OCF_RESKEY_dad_ms=10\n"));
    run = job(JOB_INTAKE_CLOSE, 4);
    assert_int_equal(lab_do(&run).status, 0);
    assert_string_equal(lab.output, "args close --port 8024\n");
}

static void test_an_agent_of_mailman_2(void **state)
{
    static const char *const want[] = { "OCF_RESKEY_prefix=/usr/lib/mailman\n", "OCF_RESKEY_list_dir=/var/lib/mailman/lists\n",
        "OCF_RESKEY_runners=IncomingRunner:2\n", "OCF_RESKEY_intake_host=192.0.2.9\n", "OCF_RESKEY_generation=2.1\n" };
    (void) state;
    lab_config("service = mailman2\n");
    lab_script("mailman2", "env");
    lab_start();
    struct wire_run run = job(JOB_SERVICE_MONITOR, 1);
    assert_int_equal(lab_do(&run).status, 0);
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_non_null(strstr(lab.output, want[i]));
    assert_null(strstr(lab.output, "OCF_RESKEY_config"));
}

static void expect_argv(struct job_command *c, const char *want)
{
    char have[1024] = "";
    size_t n = 0;

    for (unsigned i = 0; c->argv[i] && n < sizeof have; i++)
        n += (size_t) snprintf(have + n, sizeof have - n, "%s%s", i ? " " : "", c->argv[i]);
    assert_string_equal(have, want);
}

/* Beside the list service: as whom, and with nothing in the arguments but what the configuration has. */
static void test_jobs_beside_the_list_service(void **state)
{
    static struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a" }, { .name = "b" } } };
    struct jobs_context ctx = { .cfg = &cfg, .config_path = "/c", .libexec_dir = "/x", .ocf_dir = "/o" };
    struct wire_run run = job(JOB_POKE, 1);
    static struct job_command c;

    (void) state;
    assert_int_equal(jobs_build(&ctx, &run, &c), -EINVAL); /* no MX host is configured */
    cfg.mail.n_mx = 1;
    assert_int_equal(jobs_build(&ctx, &run, &c), 0);
    assert_string_equal(c.path, "/x/understudy-poke");
    expect_argv(&c, "understudy-poke --config /c --node a");
    assert_int_equal(c.user, JOB_AS_DAEMON);
    assert_false(c.share);
    run.job = JOB_UNITS_START;
    assert_int_equal(jobs_build(&ctx, &run, &c), -EINVAL); /* no units: systemctl start without one is an error */
    cfg.n_also_units = 2;
    (void) snprintf(cfg.also_units[0], sizeof cfg.also_units[0], "one.service");
    (void) snprintf(cfg.also_units[1], sizeof cfg.also_units[1], "two.target");
    assert_int_equal(jobs_build(&ctx, &run, &c), 0);
    assert_string_equal(c.path, "/usr/bin/systemctl");
    expect_argv(&c, "systemctl --no-ask-password start -- one.service two.target");
    assert_int_equal(c.user, JOB_AS_ROOT);
    run.job = JOB_UNITS_STOP;
    assert_int_equal(jobs_build(&ctx, &run, &c), 0);
    expect_argv(&c, "systemctl --no-ask-password stop -- one.service two.target");
}

static void test_status_codes(void **state)
{
    (void) state;
    lab_script("understudy-state", "exit 3");
    lab_script("understudy-intake", "kill -TERM $$; exec cat /proc/self/fd/0 /dev/zero > /dev/null");
    lab_start();
    struct wire_run run = job(JOB_STATE_CHECK, 1);
    assert_int_equal(lab_do(&run).status, 3);
    run = job(JOB_INTAKE_CLOSE, 2);
    assert_int_equal(lab_do(&run).status, -SIGTERM);
    run = job(JOB_FENCE_STATUS, 3);
    run.device = 1; /* a program that is not there */
    assert_int_equal(lab_do(&run).status, -1000 - ENOENT);
}

static void refuse(struct wire_run run, int error)
{
    struct wire_done d = lab_do(&run);

    if (d.status != -1000 - error)
        fail_msg("job %u: expected %d, got %d", run.job, -1000 - error, d.status);
}

static void test_malformed_requests_are_refused(void **state)
{
    struct wire_run run, watch = job(JOB_EPOCH_WATCH, 100);

    (void) state;
    lab_script("understudy-epoch", "while :; do sleep 1; done");
    lab_start();
    refuse((struct wire_run) { .op_id = 1, .job = JOB_NONE, .deadline_ms = 5 }, EINVAL);
    refuse((struct wire_run) { .op_id = 2, .job = JOB_N, .deadline_ms = 5 }, EINVAL);
    refuse((struct wire_run) { .op_id = 3, .job = UINT32_MAX, .deadline_ms = 5 }, EINVAL);
    run = job(JOB_FENCE_OFF, 4), run.device = 2;
    refuse(run, EINVAL);
    run = job(JOB_FENCE_OFF, 5), run.device = UINT32_MAX;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_CLAIM, 6), run.epoch = 0;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_CLAIM, 7), run.deadline_ms = 0;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_CLAIM, 8), run.deadline_ms = 3600001;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_OWN, 9), run.proof[3] = 7;
    refuse(run, EINVAL);
    run = job(JOB_STATE_RECOVER, 10), run.harmless = 4;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_END, 11), run.planned = 2;
    refuse(run, EINVAL);
    run = job(JOB_EPOCH_DRAIN, 12), run.duration_ms = 0;
    refuse(run, EINVAL);
    refuse(watch, EINVAL); /* a watch with a deadline */
    watch.deadline_ms = 0;
    lab_run(&watch);
    watch.op_id = 101;
    refuse(watch, EINVAL); /* a second watch */
    run = job(JOB_STATE_CHECK, 100);
    refuse(run, EINVAL);   /* an operation id twice */
}

static void test_a_deadline_kills_all_of_it(void **state)
{
    (void) state;
    lab_script("mailman3", "trap '' TERM INT HUP\nsh -c 'trap \"\" TERM; while :; do sleep 1; echo alive >> $0/log/alive; done'"
               " $D &\necho $! > $D/log/pid\necho started\nwhile :; do sleep 1; done");
    lab_start();
    struct wire_run run = job(JOB_SERVICE_MONITOR, 1);
    run.deadline_ms = 300;
    uint64_t before_ms = clock_now_ms();
    struct wire_done d = lab_do(&run);
    uint64_t took_ms = clock_now_ms() - before_ms;
    assert_int_equal(d.status, -SIGKILL);
    assert_int_equal(d.late, 1);
    assert_string_equal(lab.output, "started\n");
    assert_true(took_ms >= 300 && took_ms < 800);
    pid_t grandchild = (pid_t) strtol(lab_file("log/pid"), NULL, 10);
    assert_true(grandchild > 1);
    assert_true(kill(grandchild, 0) < 0 && errno == ESRCH);
}

static void test_a_stopped_child_dies_too_and_cancel_works(void **state)
{
    (void) state;
    lab_script("mailman3", "kill -STOP $$");
    lab_start();
    struct wire_run run = job(JOB_SERVICE_MONITOR, 1);
    lab_run(&run);
    lab_cancel(99); /* nobody's */
    lab_cancel(1);
    struct wire_done d = lab_done(1, 5000);
    assert_int_equal(d.status, -SIGKILL);
    assert_int_equal(d.late, 0);
}

static void test_output_is_bounded(void **state)
{
    (void) state;
    lab_script("understudy-state", "yes 0123456789 | head -c 3000000; echo done >&2");
    lab_script("understudy-intake", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after");
    lab_script("address", "printf 'no end'");
    lab_start();
    struct wire_run run = job(JOB_STATE_CHECK, 1);
    assert_int_equal(lab_do(&run).status, 0);
    assert_true(lab.output_len > 32768 && lab.output_len <= 65536);
    assert_int_equal(lab.output[lab.output_len - 1], '\n');
    run = job(JOB_INTAKE_CLOSE, 2);
    assert_int_equal(lab_do(&run).status, 0);
    assert_string_equal(lab.output, "(a line that is too long)\nafter\n");
    run = job(JOB_ADDRESS_MONITOR, 3);
    assert_int_equal(lab_do(&run).status, 0);
    assert_string_equal(lab.output, "no end\n");
}

static void test_an_engine_that_does_not_read_holds_nothing_up(void **state)
{
    (void) state;
    lab_script("understudy-state", "yes 0123456789 | head -c 60000");
    lab_start();
    for (uint64_t op = 1; op <= 25; op++) { /* 1.5 MB of output, and nobody reads */
        struct wire_run run = job(JOB_STATE_CHECK, op);
        lab_run(&run);
    }
    (void) poll(NULL, 0, 1000);
    for (uint64_t op = 1; op <= 25; op++) { /* output may be lost, answers are not; they come in any order */
        static unsigned seen;
        while (seen < 25) {
            assert_int_equal(recv(lab.control, &lab.msg, sizeof lab.msg, 0), (int) sizeof lab.msg);
            if (lab.msg.kind == WIRE_DONE) {
                seen++;
                break;
            }
        }
    }
}

static void test_secrets_stay_secret(void **state)
{
    (void) state;
    lab_script("fence", "cat > $D/log/stdin\ntr '\\0' ' ' < /proc/$$/cmdline > $D/log/cmdline\n"
               "tr '\\0' ' ' < /proc/$$/environ > $D/log/environ\necho \"Login with " SECRET " failed\"\n"
               "echo \"error: '" SECRET "'" SECRET " refused\" >&2\nexit 1");
    lab_start();
    struct wire_run run = job(JOB_FENCE_OFF, 1);
    assert_int_equal(lab_do(&run).status, 1);
    assert_string_equal(lab_file("log/stdin"), "action=off\nip=192.0.2.2\n# of the device\npasswd=" SECRET "\n");
    assert_null(strstr(lab_file("log/cmdline"), SECRET));
    assert_non_null(strstr(lab_file("log/environ"), "PATH="));
    assert_null(strstr(lab_file("log/environ"), SECRET));
    assert_null(strstr(lab.output, SECRET));
    assert_non_null(strstr(lab.output, "Login with *********** failed\n"));
    assert_non_null(strstr(lab.output, "error: '***********'*********** refused\n"));
    (void) lab_end();
    assert_true(strlen(lab_file("executor.log")) > 0);
    assert_null(strstr(lab_file("executor.log"), SECRET));
}

static void test_children_have_nothing_else(void **state)
{
    (void) state;
    lab_script("understudy-state", "set -- /proc/$$/fd/*; echo $#; id -u; grep NoNewPrivs /proc/self/status; grep SigBlk "
               "/proc/self/status; umask; pwd; ps -o sid= -p $$ | tr -d ' '; echo $$");
    lab_script("understudy-epoch", "id -u; grep NoNewPrivs /proc/self/status; id -G");
    lab_start();
    assert_int_equal(hello_number("fds"), 5);
    struct wire_run run = job(JOB_STATE_CHECK, 1);
    assert_int_equal(lab_do(&run).status, 0);
    assert_int_equal(strtoul(lab.output, NULL, 10), 5); /* stdin, stdout, stderr, the script, the directory */
    assert_non_null(strstr(lab.output, "SigBlk:\t0000000000000000\n0027\n/\n"));
    if (geteuid() != 0)
        return;
    assert_non_null(strstr(lab.output, "\n38\nNoNewPrivs:\t1\n")); /* list */
    assert_int_equal(hello_number("uid"), 65534);
    run = job(JOB_EPOCH_CLAIM, 2);
    assert_int_equal(lab_do(&run).status, 0);
    assert_string_equal(lab.output, "65534\nNoNewPrivs:\t1\n65534\n");
}

static void test_spawn_latency(void **state)
{
    uint64_t us[101];

    (void) state;
    lab_start();
    for (unsigned i = 0; i < 101; i++) {
        struct wire_run run = job(JOB_FENCE_STATUS, i + 1);
        run.device = 1; /* ends in the failed exec: all of ours, nothing of a program's */
        uint64_t before_us = clock_now_us();
        assert_int_equal(lab_do(&run).status, -1000 - ENOENT);
        uint64_t t = clock_now_us() - before_us;
        unsigned k = i;
        for (; k > 0 && us[k - 1] > t; k--)
            us[k] = us[k - 1];
        us[k] = t;
    }
    print_message("# request to answer, through fork and two sockets: median %u us, 95%% %u us\n", (unsigned) us[50],
                  (unsigned) us[95]);
    assert_true(us[50] < 100000); /* far above what it takes, as this machine may be busy */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_job_runs_and_answers), TEST(test_arguments_of_the_others), TEST(test_reason_of_maintenance),
        TEST(test_agents_get_their_parameters), TEST(test_an_agent_of_mailman_2),
        TEST(test_jobs_beside_the_list_service), TEST(test_status_codes), TEST(test_malformed_requests_are_refused),
        TEST(test_a_deadline_kills_all_of_it),
        TEST(test_a_stopped_child_dies_too_and_cancel_works), TEST(test_output_is_bounded),
        TEST(test_an_engine_that_does_not_read_holds_nothing_up),
        TEST(test_secrets_stay_secret), TEST(test_children_have_nothing_else), TEST(test_spawn_latency),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
