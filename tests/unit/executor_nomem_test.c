/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An executor whose allocations fail, by mallocshim.c: it goes on and does all that it has to, without any memory too; or it
 * ends, and what it leaves is seen and stopped by the next one, while its token expires. */
#include <config.h>

#include "executor_lib.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/tenure.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define PERMIT_MS 3000u
#define LAB_NO_LOG 90 /* executor_lib.c's: its own log file could not be opened */

struct control { /* as in mallocshim.c */
    uint64_t count, fails_at, fails_on, pid, failed;
};

static volatile struct control *memory;
static unsigned points = 4; /* RESOURCE_RUNS: so many allocations of each part fail, one a run */

static void deny(uint64_t n, bool on)
{
    memory->fails_on = on;
    memory->fails_at = memory->count + n;
}

/* Of the executor, from its start: the Nth fails. Its exit status, or -1: it has an engine. */
static int start_without(uint64_t n, bool on)
{
    struct pollfd p = { .fd = lab.listener, .events = POLLIN };
    int wstatus;

    memory->fails_at = memory->count = memory->failed = 0;
    lab.executor = fork();
    assert_true(lab.executor >= 0);
    if (lab.executor == 0) {
        memory->pid = (uint64_t) getpid();
        if (n > 0)
            deny(n, on);
        lab_start_in_this_process();
    }
    for (unsigned i = 0; i < 1000; i++) {
        if (poll(&p, 1, 10) == 1) {
            lab_accept(5000);
            return -1;
        }
        if (waitpid(lab.executor, &wstatus, WNOHANG) == lab.executor) {
            lab.executor = 0;
            return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus);
        }
    }
    fail_msg("neither ended nor has it an engine");
    return 0;
}

static struct wire_run job(enum job j, uint64_t op_id, uint32_t deadline_ms)
{
    return (struct wire_run) { .op_id = op_id, .job = (uint32_t) j, .deadline_ms = deadline_ms, .epoch = 7 };
}

static int status_of(enum job j, uint64_t op_id)
{
    struct wire_run run = job(j, op_id, 5000);

    if (j == JOB_EPOCH_OWN)
        run.proof[1] = 2;
    return lab_do(&run).status;
}

static void become_active(void)
{
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), 0);
    assert_int_equal(status_of(JOB_EPOCH_OWN, 2), 0);
    lab_permit(clock_now_ms() + PERMIT_MS);
    assert_int_equal(status_of(JOB_ADDRESS_START, 3), 0);
    assert_int_equal(status_of(JOB_SERVICE_START, 4), 0);
    lab_permit(clock_now_ms() + PERMIT_MS);
}

static const char stopped[] = "mailman3 stop\naddress stop\nunderstudy-epoch end 7\n";

/* Nothing at all can be allocated any more: jobs, a hanging child, a lost permit, a new engine. */
static void test_no_memory_at_all(void **state)
{
    struct wire_run hangs = job(JOB_STATE_CHECK, 5, 200);
    struct wire_done done;

    (void) state;
    lab_config("permit_timeout = 3s\n");
    lab_script("understudy-state", "sleep 60");
    assert_int_equal(start_without(0, false), -1);
    deny(1, true);
    become_active();
    done = lab_do(&hangs);
    assert_true(done.late == 1 && done.status == -9 && done.unreaped == 0);
    assert_int_equal(lab_wait_file("log/calls", stopped, 9000), 0); /* no permit came any more */
    assert_string_equal(lab_file("run/ended"), "7\n");
    assert_string_equal(lab_file("gate/tenure"), "");
    lab_drop_engine();
    lab_accept(5000);
    assert_int_equal(status_of(JOB_EPOCH_CLAIM, 1), -1000 - 1); /* EPERM: never again under this number */
    assert_non_null(strstr(lab_file("executor.log"), "it gave no permit in time")); /* and it has said why */
    assert_int_equal(lab_end(), 0);
}

/* An engine that hangs at its start, as one without memory can, or while nothing runs here, is ended and made anew. */
static void test_an_engine_that_says_nothing_is_replaced(void **state)
{
    (void) state;
    lab_config("permit_timeout = 500ms\n");
    lab_start();
    unsigned first = hello_number("pid");
    for (unsigned i = 0; i < 12; i++) { /* one that withdraws what it never gave lives */
        lab_permit(0);
        (void) poll(NULL, 0, 500);
    }
    assert_null(strstr(lab_file("executor.log"), "says nothing"));
    assert_int_equal(lab_wait_file("executor.log", "it says nothing any more", 8000), 0);
    lab_drop_engine();
    lab_accept(8000);
    assert_int_not_equal(hello_number("pid"), first);
    assert_null(strstr(lab_file("log/calls"), "understudy-epoch end"));
}

/* 0 or -errno as it was answered; 1: the executor has ended. */
static int reload(void)
{
    static struct wire_msg m;
    struct pollfd p = { .fd = lab.control, .events = POLLIN };

    m = (struct wire_msg) { .version = WIRE_VERSION, .kind = WIRE_RELOAD };
    lab_send(&m);
    while (poll(&p, 1, 5000) == 1 && recv(lab.control, &m, sizeof m, 0) == (ssize_t) sizeof m)
        if (m.kind == WIRE_RELOADED)
            return m.u.status;
    return 1;
}

/* What an executor that has died under a running service leaves: an engine that has gone with it, a token that expires soon,
 * and the note by which the next one stops what still runs. */
static void died_active(void)
{
    char    gate[128];
    struct tenure t;
    int     wstatus;

    assert_int_equal(waitpid(lab.executor, &wstatus, 0), lab.executor);
    assert_true(WIFSIGNALED(wstatus) || WEXITSTATUS(wstatus) != 0);
    (void) snprintf(gate, sizeof gate, "%s/gate", lab.dir);
    if (tenure_read(gate, geteuid(), &t) == TENURE_SOUND)
        assert_true(t.until_ms <= clock_now_ms() + PERMIT_MS);
    assert_string_equal(lab_file("run/running"), "7\n");
    lab_drop_engine();
    assert_int_equal(start_without(0, false), -1); /* systemd's */
    assert_int_equal(lab_wait_file("log/calls", "mailman3 stop\naddress stop\n", 9000), 0);
}

/* A reload whose Nth allocation fails. Returns how many allocations it made. */
static uint64_t reload_without(uint64_t n, bool on, unsigned *ret_died)
{
    uint64_t before, made;
    int rc;

    assert_int_equal(lab_setup(NULL), 0);
    lab_config("permit_timeout = 3s\n");
    assert_int_equal(start_without(0, false), -1);
    become_active();
    before = memory->count;
    if (n > 0)
        deny(n, on);
    rc = reload();
    memory->fails_at = 0;
    made = memory->count - before;
    if (rc == 1) {
        (*ret_died)++;
        died_active();
    } else {
        assert_true(n > 0 || rc == 0);
        lab_permit(clock_now_ms() + PERMIT_MS);
        assert_int_equal(status_of(JOB_SERVICE_MONITOR, 6), 0); /* it goes on, under the same tenure */
        assert_string_not_equal(lab_file("gate/tenure"), "");
        assert_null(strstr(lab_file("log/calls"), "stop"));
        assert_int_equal(rc == 0 ? 0 : lab_wait_file("executor.log", "is not taken up", 2000), 0);
    }
    lab_teardown(NULL);
    return made;
}

static void test_a_reload_without_memory(void **state)
{
    unsigned died = 0;
    uint64_t whole = reload_without(0, false, &died);

    (void) state;
    assert_true(whole > 100 && died == 0);
    for (unsigned i = 0; i < points; i++)
        for (unsigned on = 0; on < 2; on++)
            (void) reload_without(1 + i * whole / points, on, &died);
    print_message("# reload: %u times it died, as libini_config does\n", died);
}

static void test_a_start_without_memory(void **state)
{
    uint64_t whole;
    unsigned ended = 0;

    (void) state;
    assert_int_equal(lab_setup(NULL), 0);
    assert_int_equal(start_without(0, false), -1);
    whole = memory->count;
    lab_teardown(NULL);
    assert_true(whole > 100);
    for (unsigned i = 0; i < 2 * points; i++)
        for (unsigned on = 0; on < 2; on++) {
            assert_int_equal(lab_setup(NULL), 0);
            int rc = start_without(1 + i * whole / (2 * points), on);
            ended += rc != -1;
            assert_true(memory->failed > 0 || rc == -1);
            assert_int_not_equal(rc, 0);
            if (rc != -1 && rc < 128 && rc != LAB_NO_LOG && lab_file("executor.log")[0] == '\0')
                fail_msg("exit status %d without a word", rc);
            assert_string_equal(lab_file("log/calls"), "");
            lab_teardown(NULL);
        }
    assert_true(ended > 0);
}

/* Of a test that has failed in one of its labs. */
static int end_left(void **state)
{
    (void) state;
    if (lab.executor > 0 && waitpid(lab.executor, NULL, WNOHANG) == 0) {
        (void) kill(lab.executor, SIGKILL);
        (void) waitpid(lab.executor, NULL, 0);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_memory_at_all, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_an_engine_that_says_nothing_is_replaced, lab_setup, lab_teardown),
        cmocka_unit_test_teardown(test_a_reload_without_memory, end_left),
        cmocka_unit_test_teardown(test_a_start_without_memory, end_left),
    };
    const char *top = getenv("top_builddir"), *control = getenv("MALLOC_CONTROL"), *runs = getenv("RESOURCE_RUNS");
    char path[] = "/tmp/executor_nomem.XXXXXX", shim[4096];

    (void) argc;
    if (SANITIZED) {
        (void) puts("1..0 # SKIP THE SANITIZERS HAVE AN ALLOCATOR OF THEIR OWN: no allocation was made to fail");
        return 0;
    }
    if (!control) { /* once more, with the shim */
        int fd = mkstemp(path);
        (void) snprintf(shim, sizeof shim, "%s/tests/unit/mallocshim.so", top ? top : ".");
        if (fd < 0 || ftruncate(fd, sizeof *memory) != 0 || setenv("MALLOC_CONTROL", path, 1) != 0 ||
            setenv("LD_PRELOAD", shim, 1) != 0)
            return 1;
        (void) execv("/proc/self/exe", argv);
        return 1;
    }
    FILE *f = fopen(control, "r+e");
    memory = f ? mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0) : MAP_FAILED;
    (void) unlink(control);
    if (memory == MAP_FAILED)
        return 1;
    if (runs && runs[0] >= '1' && runs[0] <= '9')
        (void) sscanf(runs, "%u", &points);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
