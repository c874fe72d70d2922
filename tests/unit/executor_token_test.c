/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tenure token is there while this node owns, is permitted and serves, and gone before anything of that ends; the
 * list share that is mounted with the service goes with it. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "common/tenure.h"

static struct tenure token;

static enum tenure_fault token_read(void)
{
    char dir[80];

    (void) snprintf(dir, sizeof dir, "%s/gate", lab.dir);
    return tenure_read(dir, geteuid(), &token);
}

static int token_wait(enum tenure_fault wanted, int timeout_ms)
{
    for (int t = 0; t < timeout_ms; t += 5) {
        if (token_read() == wanted)
            return 0;
        (void) poll(NULL, 0, 5);
    }
    return -1;
}

static int token_parse(const char *name, struct tenure *ret)
{
    const char *text = lab_file(name);

    return tenure_parse(text, strlen(text), ret);
}

static struct wire_run job(enum job j, uint64_t op_id)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = 5000, .epoch = 7 };
}

static int status_of(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id);

    return lab_do(&run).status;
}

static void own(void)
{
    struct wire_run run = job(JOB_EPOCH_OWN, 2);

    run.proof[1] = 2;
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(lab_do(&run).status, 0);
}

static void become_active(uint64_t permit_ms)
{
    own();
    lab_permit(clock_now_ms() + permit_ms);
    assert_int_equal(status_of(JOB_STATE_RECOVER, 3), 0);
    assert_int_equal(status_of(JOB_ADDRESS_START, 4), 0);
    assert_int_equal(status_of(JOB_SERVICE_START, 5), 0);
    assert_int_equal(token_wait(TENURE_SOUND, 2000), 0);
}

static void test_only_while_it_serves(void **state)
{
    struct id128 boot;
    char run[24];
    uint64_t until_ms;

    (void) state;
    lab_script("mailman3", "[ -e $D/gate/tenure ] && echo early >> $D/log/calls; exit 0");
    lab_start();
    own();
    assert_int_equal(token_read(), TENURE_MISSING);       /* no permit yet */
    until_ms = clock_now_ms() + 2000;
    lab_permit(until_ms);
    assert_int_equal(status_of(JOB_STATE_RECOVER, 3), 0);
    assert_int_equal(token_wait(TENURE_SOUND, 300), -1);  /* nothing may start beside the recovery pass */
    assert_int_equal(status_of(JOB_SERVICE_START, 5), 0);
    assert_int_equal(token_wait(TENURE_SOUND, 1000), 0);
    assert_null(strstr(lab_file("log/calls"), "early"));
    assert_int_equal(bootid_read(&boot), 0);
    assert_int_equal(tenure_check(&token, "t", &boot, clock_now_ms()), TENURE_SOUND);
    (void) snprintf(run, sizeof run, "run=%016" PRIx64, token.run);
    assert_non_null(strstr(lab.hello, run));
    assert_int_equal(token.epoch, 7);
    assert_string_equal(token.node, "a");
    assert_int_equal(token_parse("gate/own", &token), 0); /* for an executor that adopts this tenure */
    (void) snprintf(run, sizeof run, "run=%016" PRIx64, token.run);
    assert_non_null(strstr(lab.hello, run));
    assert_int_equal(token_read(), TENURE_SOUND);
    assert_true(token.until_ms <= until_ms);              /* never later than the permit */
}

static void test_never_without_an_own_that_was_read_back(void **state)
{
    (void) state;
    lab_start();
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    lab_script("understudy-epoch", "exit 1");
    assert_int_equal(status_of(JOB_EPOCH_OWN, 2), 1);
    lab_permit(clock_now_ms() + 2000);
    lab_script("mailman3", "exit 1");
    assert_int_equal(status_of(JOB_SERVICE_RELEASE, 3), 1); /* an engine that goes wrong: "it serves on" */
    assert_int_equal(token_wait(TENURE_SOUND, 300), -1);
}

static void test_renewed_and_withdrawn_with_the_permit(void **state)
{
    (void) state;
    lab_config("permit_timeout = 600ms\n");
    lab_start();
    become_active(600);
    uint64_t first_ms = token.until_ms;
    for (unsigned i = 0; i < 8; i++) {
        (void) poll(NULL, 0, 100);
        lab_permit(clock_now_ms() + 600);
    }
    assert_int_equal(token_wait(TENURE_SOUND, 300), 0);
    assert_true(token.until_ms > first_ms && token.until_ms > clock_now_ms());
    lab_permit(0);
    assert_int_equal(token_wait(TENURE_MISSING, 300), 0);
    lab_permit(clock_now_ms() + 600);
    assert_int_equal(token_wait(TENURE_SOUND, 300), 0);
    lab_permit(clock_now_ms() + 150);                     /* a shorter one shortens it */
    (void) poll(NULL, 0, 60);
    (void) token_read();
    assert_true(token.until_ms <= clock_now_ms() + 150);
}

/* Each program writes down whether the token is there when it begins. */
static void scripts_that_look(void)
{
    static const char look[] = "echo \"$(basename $0) $1 $([ -e $D/gate/tenure ] && echo OPEN)\" >> $D/log/calls\n";

    lab_script("mailman3", look);
    lab_script("address", look);
    lab_script("understudy-epoch", "echo \"epoch $9 $([ -e $D/gate/tenure ] && echo OPEN)\" >> $D/log/calls\n");
}

static void expect_closed_calls(const char *last)
{
    assert_int_equal(lab_wait_file("log/calls", last, 6000), 0);
    if (strstr(lab_file("log/calls"), "stop OPEN") || strstr(lab_file("log/calls"), "end OPEN") ||
        strstr(lab_file("log/calls"), "release OPEN"))
        fail_msg("open while it ends: %s", lab_file("log/calls"));
}

static void test_gone_before_an_involuntary_stop(void **state)
{
    (void) state;
    lab_start();
    become_active(60000);
    scripts_that_look();
    lab_drop_engine();
    expect_closed_calls("epoch end");
    assert_int_equal(token_read(), TENURE_MISSING);
    lab_accept(5000);
    lab_permit(clock_now_ms() + 2000);                    /* a new run has to earn it */
    assert_int_equal(token_wait(TENURE_SOUND, 300), -1);
}

static void test_gone_when_asked_to_end(void **state)
{
    (void) state;
    lab_start();
    become_active(60000);
    scripts_that_look();
    assert_int_equal(lab_end(), 0);
    expect_closed_calls("epoch end");
    assert_int_equal(token_read(), TENURE_MISSING);
}

/* Under maintenance the next understudyd adopts what the token names; the gate closes when its time is over. */
static void test_left_for_the_next_under_maintenance(void **state)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_PERMIT };

    (void) state;
    lab_start();
    become_active(60000);
    m.u.permit.until_ms = clock_now_ms() + 60000;
    m.u.permit.maintenance = 1;
    lab_send(&m);
    assert_int_equal(status_of(JOB_SERVICE_MONITOR, 10), 0); /* the permit was read before it */
    assert_int_equal(lab_end(), 0);
    assert_null(strstr(lab_file("log/calls"), "stop"));
    assert_int_equal(token_read(), TENURE_SOUND);
}

static void test_gone_before_a_stop_and_an_end(void **state)
{
    (void) state;
    lab_start();
    become_active(60000);
    scripts_that_look();
    assert_int_equal(status_of(JOB_SERVICE_STOP, 10), 0);
    lab_permit(clock_now_ms() + 60000);
    assert_int_equal(token_wait(TENURE_SOUND, 200), -1);  /* still permitted, and nothing may start all the same */
    assert_int_equal(status_of(JOB_EPOCH_END, 11), 0);
    expect_closed_calls("epoch end");
}

static void test_gone_before_an_end_of_what_serves(void **state)
{
    (void) state;
    lab_start();
    become_active(60000);
    scripts_that_look();
    assert_int_equal(status_of(JOB_EPOCH_END, 11), 0);
    expect_closed_calls("epoch end");
    assert_int_equal(token_wait(TENURE_SOUND, 200), -1);
}

static void test_a_release_that_is_refused(void **state)
{
    (void) state;
    lab_start();
    become_active(60000);
    scripts_that_look();
    lab_script("mailman3", "[ -e $D/gate/tenure ] && echo 'release OPEN' >> $D/log/calls; [ $1 != release ]");
    assert_int_equal(status_of(JOB_SERVICE_RELEASE, 10), 1);
    assert_int_equal(token_wait(TENURE_SOUND, 1000), 0);  /* it goes on serving */
    lab_script("mailman3", "exit 0");
    assert_int_equal(status_of(JOB_SERVICE_RELEASE, 11), 0);
    assert_int_equal(token_wait(TENURE_SOUND, 200), -1);
    assert_int_equal(status_of(JOB_SERVICE_RESUME, 12), 0);
    assert_int_equal(token_wait(TENURE_SOUND, 1000), 0);
    assert_null(strstr(lab_file("log/calls"), "release OPEN"));
}

static void test_what_an_executor_before_has_left(void **state)
{
    char path[96];

    (void) state;
    lab_start();
    become_active(60000);
    (void) kill(lab.executor, SIGKILL);
    (void) waitpid(lab.executor, NULL, 0);
    assert_int_equal(token_read(), TENURE_SOUND);         /* until it expires */
    lab_drop_engine();
    lab_start();
    assert_int_equal(token_read(), TENURE_MISSING);
    if (geteuid() != 0)
        return;
    assert_int_equal(WEXITSTATUS(lab_end()), 0);
    (void) snprintf(path, sizeof path, "%s/gate", lab.dir);
    assert_int_equal(chown(path, 65534, 65534), 0);       /* whoever owns it can put an old one back */
    assert_int_equal(chmod(path, 0700), 0);
    lab.executor = fork();
    if (lab.executor == 0)
        lab_start_in_this_process();
    int wstatus;
    assert_int_equal(waitpid(lab.executor, &wstatus, 0), lab.executor);
    lab.executor = 0;
    assert_int_equal(WEXITSTATUS(wstatus), 92);
}

#define WITH_SERVICE "list_share = /lists\nlist_mount = with-service\n"

static void test_the_list_share_needs_the_tenure(void **state)
{
    struct wire_run run = job(JOB_SHARE_MOUNT, 1);

    (void) state;
    lab_start();
    assert_int_equal(lab_do(&run).status, -1000 - EINVAL); /* not configured */
    assert_int_equal(lab_end(), 0);
    lab_drop_engine();
    lab_config(WITH_SERVICE);
    lab_start();
    assert_int_equal(lab_do(&run).status, -1000 - EPERM);
    own();
    run.op_id = 9;
    assert_int_equal(lab_do(&run).status, 0);
    run = job(JOB_SHARE_UMOUNT, 10);
    assert_int_equal(lab_do(&run).status, 0);
    assert_non_null(strstr(lab_file("log/calls"), "understudy-share mount /lists\nunderstudy-share umount /lists\n"));
}

/* The list server's own hands are on what a retry works at: under its own tenure only, and only while it is permitted. */
static void test_a_retry_needs_the_tenure_and_a_permit(void **state)
{
    struct wire_run run = job(JOB_STATE_RETRY, 20);

    (void) state;
    lab_start();
    assert_int_equal(lab_do(&run).status, -1000 - EPERM);
    own();
    lab_permit(clock_now_ms() + 60000);
    run.op_id = 21;
    run.epoch++;
    assert_int_equal(lab_do(&run).status, -1000 - EPERM);
    run.op_id = 22;
    run.epoch--;
    assert_int_equal(lab_do(&run).status, 0);
    lab_permit(0);
    run.op_id = 23;
    assert_int_equal(lab_do(&run).status, -1000 - EPERM);
    run.op_id = 24;
    run.no_stuck = 2;
    assert_int_equal(lab_do(&run).status, -1000 - EINVAL);
}

static void stop_with_share(const char *share, const char *want)
{
    lab_config(WITH_SERVICE);
    lab_script("understudy-share", share);
    lab_start();
    become_active(60000);
    lab_drop_engine();
    lab_accept(12000);
    if (lab_wait_file("log/calls", want, 2000) < 0)
        fail_msg("no '%s' in '%s'", want, lab_file("log/calls"));
}

static void test_an_involuntary_stop_takes_the_list_share_down(void **state)
{
    (void) state;
    stop_with_share("echo \"$(basename $0) $*\" >> $D/log/calls",
                    "mailman3 stop\naddress stop\nunderstudy-share umount /lists\nunderstudy-epoch end 7\n");
}

static void test_a_share_that_does_not_go_makes_no_stop_unproven(void **state)
{
    (void) state;
    stop_with_share("echo \"$(basename $0) $*\" >> $D/log/calls; exit 1",
                    "mailman3 stop\naddress stop\nunderstudy-share umount /lists\nunderstudy-epoch end 7\n");
}

static void test_a_share_that_hangs_makes_no_stop_unproven(void **state)
{
    (void) state;
    stop_with_share("echo \"$(basename $0) $*\" >> $D/log/calls; exec sleep 60",
                    "mailman3 stop\naddress stop\nunderstudy-share umount /lists\nunderstudy-epoch end 7\n");
}

static void test_an_unproven_stop_leaves_the_list_share(void **state)
{
    (void) state;
    lab_config(WITH_SERVICE "self_fence = off\n");
    lab_start();
    become_active(60000);
    lab_script("mailman3", "echo \"mailman3 $1\" >> $D/log/calls; exit 1");
    lab_drop_engine();
    lab_accept(12000);
    assert_null(strstr(lab_file("log/calls"), "umount"));
    assert_null(strstr(lab_file("log/calls"), "end 7"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_only_while_it_serves), T(test_never_without_an_own_that_was_read_back),
        T(test_renewed_and_withdrawn_with_the_permit),
        T(test_gone_before_an_involuntary_stop), T(test_gone_when_asked_to_end), T(test_left_for_the_next_under_maintenance),
        T(test_gone_before_a_stop_and_an_end),
        T(test_gone_before_an_end_of_what_serves), T(test_a_release_that_is_refused),
        T(test_what_an_executor_before_has_left), T(test_the_list_share_needs_the_tenure),
        T(test_a_retry_needs_the_tenure_and_a_permit),
        T(test_an_involuntary_stop_takes_the_list_share_down),
        T(test_a_share_that_does_not_go_makes_no_stop_unproven),
        T(test_a_share_that_hangs_makes_no_stop_unproven), T(test_an_unproven_stop_leaves_the_list_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
