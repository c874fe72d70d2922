/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A share that hangs, for real: a frozen file system. Who writes to it sleeps uninterruptibly, SIGKILL or not, until it
 * is thawed. Needs root and a loop device. */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

static int share_fd = -1;

static int shell(const char *command)
{
    FILE *f = popen(command, "re");

    return f ? pclose(f) : -1;
}

static int share_mount(void)
{
    char command[512];

    /* The mounts of this process only: whatever happens, they go away with it. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    (void) snprintf(command, sizeof command, "cd %s && mkdir share && truncate -s 16M image && "
                    "mkfs.ext4 -q image 2> /dev/null && mount -o loop image share 2> /dev/null && chmod 0777 share", lab.dir);
    if (shell(command) != 0)
        return -1;
    (void) snprintf(command, sizeof command, "%s/share", lab.dir);
    share_fd = open(command, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return share_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    char command[256];

    if (share_fd >= 0) {
        (void) ioctl(share_fd, FITHAW, 0);
        (void) close(share_fd);
        share_fd = -1;
    }
    if (lab.executor > 0)
        (void) lab_end();
    (void) snprintf(command, sizeof command, "umount -l %s/share 2> /dev/null", lab.dir);
    (void) shell(command);
    return lab_teardown(state);
}

static struct wire_run job(enum job j, uint64_t op_id, uint32_t deadline_ms)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = deadline_ms };
}

/* The next message of this kind. */
static void next(enum wire_kind kind)
{
    do {
        struct pollfd p = { .fd = lab.control, .events = POLLIN };
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(recv(lab.control, &lab.msg, sizeof lab.msg, 0), (int) sizeof lab.msg);
    } while (lab.msg.kind != (uint32_t) kind);
}

static void test_a_child_on_a_hung_share_is_late_and_counted(void **state)
{
    struct wire_run run = job(JOB_STATE_CHECK, 1, 200), other = job(JOB_ADDRESS_MONITOR, 2, 5000);
    struct wire_done d;

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_script("understudy-state", "echo begins; echo x > $D/share/file");
    lab_start();
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    uint64_t t = clock_now_ms();
    lab_run(&run);
    next(WIRE_LATE);
    assert_int_equal(lab.msg.u.op_id, 1);
    assert_in_range(clock_now_ms() - t, 200, 600);
    t = clock_now_ms();
    d = lab_do(&other); /* nothing waits for it */
    assert_true(clock_now_ms() - t < 200);
    assert_int_equal(d.status, 0);
    assert_int_equal(d.unreaped, 1);

    lab_drop_engine();  /* and nothing forgets it: the next engine is told */
    lab_accept(5000);
    next(WIRE_DONE);
    assert_true(lab.msg.u.done.op_id == 0 && lab.msg.u.done.unreaped == 1);
    assert_int_equal(ioctl(share_fd, FITHAW, 0), 0);
    next(WIRE_DONE);
    assert_true(lab.msg.u.done.op_id == 0 && lab.msg.u.done.unreaped == 0);
}

static void test_it_is_done_when_it_is_reaped(void **state)
{
    struct wire_run run = job(JOB_STATE_CHECK, 1, 200);

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_script("understudy-state", "echo x > $D/share/file");
    lab_start();
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    lab_run(&run);
    next(WIRE_LATE);
    assert_int_equal(ioctl(share_fd, FITHAW, 0), 0);
    next(WIRE_DONE);
    assert_int_equal(lab.msg.u.done.op_id, 1);
    assert_int_equal(lab.msg.u.done.status, -9);
    assert_int_equal(lab.msg.u.done.late, 1);
    assert_int_equal(lab.msg.u.done.unreaped, 0);
}

static int epoch_job(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id, 5000);

    run.epoch = 7;
    run.proof[1] = j == JOB_EPOCH_OWN ? 2 : 0;
    return lab_do(&run).status;
}

static void start_owning(void)
{
    lab_start();
    assert_int_equal(epoch_job(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(epoch_job(JOB_EPOCH_OWN, 2), 0);
    lab_permit(clock_now_ms() + 60000);
}

/* Service and address are down, but what hangs may still change the list share when it goes on. */
static void test_what_hangs_on_the_list_share_is_no_proven_stop(void **state)
{
    struct wire_run run = job(JOB_STATE_RECOVER, 5, 200);

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_script("understudy-state", "echo x > $D/share/file");
    start_owning();
    assert_int_equal(epoch_job(JOB_ADDRESS_START, 3), 0);
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    run.epoch = 7;
    lab_run(&run);
    next(WIRE_LATE);
    lab_drop_engine();
    assert_int_equal(lab_wait_exit(10000), LAB_REBOOTED); /* nothing of this waits for the share either */
    assert_non_null(strstr(lab_file("log/calls"), "mailman3 stop\naddress stop\n"));
    assert_null(strstr(lab_file("log/calls"), "end 7"));
}

/* The pass has tried every unit, and one of its workers can not even be killed: that holds back nobody, and is not forgotten. */
static void test_what_a_pass_leaves_behind_is_counted_after_its_answer(void **state)
{
    struct wire_run run = job(JOB_STATE_RECOVER, 5, 5000), other = job(JOB_ADDRESS_MONITOR, 6, 5000);

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_script("understudy-state", "(echo x > $D/share/file) & sleep 0.2; echo summary deferred=1; exit 0");
    start_owning();
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    run.epoch = 7;
    lab_run(&run);
    next(WIRE_OUTPUT);
    assert_non_null(strstr(lab.msg.u.output.text, "deferred=1"));
    next(WIRE_DONE);
    assert_true(lab.msg.u.done.op_id == 5 && lab.msg.u.done.status == 0 && lab.msg.u.done.late == 0);
    assert_int_equal(lab.msg.u.done.unreaped, 1);
    assert_int_equal(lab_do(&other).unreaped, 1);
    assert_int_equal(ioctl(share_fd, FITHAW, 0), 0);
    next(WIRE_DONE);
    assert_true(lab.msg.u.done.op_id == 0 && lab.msg.u.done.unreaped == 0);
    run.op_id = 7; /* without one that hangs it is over as ever, and its children are as dead as it is */
    lab_script("understudy-state", "sleep 0.1 & wait; exit 3");
    assert_int_equal(lab_do(&run).status, 3);
    assert_int_equal(lab.msg.u.done.unreaped, 0);
}

/* A node that is asked to end with such a worker has no proof that nothing changes any more. */
static void test_what_a_pass_leaves_behind_is_no_proven_stop(void **state)
{
    struct wire_run run = job(JOB_STATE_RETRY, 5, 5000);

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_script("understudy-state", "(echo x > $D/share/file) & sleep 0.2; exit 0");
    start_owning();
    assert_int_equal(epoch_job(JOB_ADDRESS_START, 3), 0);
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    run.epoch = 7;
    lab_run(&run);
    next(WIRE_DONE);
    assert_true(lab.msg.u.done.op_id == 5 && lab.msg.u.done.status == 0 && lab.msg.u.done.unreaped == 1);
    lab_drop_engine();
    assert_int_equal(lab_wait_exit(10000), LAB_REBOOTED);
    assert_null(strstr(lab_file("log/calls"), "end 7"));
}

/* A stop that the engine asked for, at its deadline, and SIGKILL does not end it. */
static void test_a_stop_that_cannot_even_be_killed(void **state)
{
    struct wire_run run = job(JOB_SERVICE_STOP, 5, 200);

    (void) state;
    if (share_mount() < 0) {
        skip();
        return;
    }
    lab_config("permit_timeout = 60s\n");
    lab_script("mailman3", "echo \"mailman3 $*\" >> $D/log/calls; [ $1 = start ] || echo x > $D/share/file");
    start_owning();
    assert_int_equal(epoch_job(JOB_SERVICE_START, 3), 0);
    assert_int_equal(ioctl(share_fd, FIFREEZE, 0), 0);
    lab_run(&run);
    assert_int_equal(lab_wait_exit(10000), LAB_REBOOTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_stop_that_cannot_even_be_killed, lab_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_hangs_on_the_list_share_is_no_proven_stop, lab_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_pass_leaves_behind_is_counted_after_its_answer, lab_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_pass_leaves_behind_is_no_proven_stop, lab_setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_on_a_hung_share_is_late_and_counted, lab_setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_done_when_it_is_reaped, lab_setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
