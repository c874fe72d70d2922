/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pool of the recovery pass: every unit has its one attempt, and nothing that hangs, dies or fails holds back the others. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/state/pass.h"

#include "common/banned.h"

#define UNITS 3000u

static struct pass_unit v[UNITS];
static unsigned        *tried; /* shared with the workers: how often each unit was */

/* What a unit does is in its name: WORD or WORD:NUMBER, then anything. */
static enum pass_result attempt(void *ctx, const char *unit, struct pass_answer *ret)
{
    unsigned number = (unsigned)strtoul(unit + strcspn(unit, "0123456789"), NULL, 10);

    (void)ctx;
    (void)__atomic_add_fetch(&tried[number % UNITS], 1, __ATOMIC_SEQ_CST);
    if (!strncmp(unit, "locked", 6))
        return PASS_LOCKED;
    if (!strncmp(unit, "busy", 4))
        return PASS_BUSY;
    if (!strncmp(unit, "hang", 4))
        for (;;)
            (void)pause();
    if (!strncmp(unit, "dies", 4))
        (void)raise(SIGKILL);
    if (!strncmp(unit, "slow", 4))
        (void)nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    ret->error = !strncmp(unit, "fails", 5) ? EIO : 0;
    return ret->error ? PASS_FAILED : PASS_DONE;
}

static struct pass pass = { .attempt = attempt, .workers = 8, .unit_ms = 300, .budget_ms = 20000 };

static int setup(void **state)
{
    (void)state;
    pass = (struct pass){ .attempt = attempt, .workers = 8, .unit_ms = 300, .budget_ms = 20000 };
    tried = mmap(NULL, UNITS * sizeof *tried, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return tried == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, not even a dead one */
    return munmap(tried, UNITS * sizeof *tried);
}

static void name(size_t i, const char *word) { (void)snprintf(v[i].name, sizeof v[i].name, "%s:%zu", word, i); }

static void names(size_t n)
{
    for (size_t i = 0; i < n; i++)
        name(i, "done");
}

static struct pass_early early;

static struct pass_outcome run(size_t n)
{
    struct pass_outcome o;

    assert_int_equal(pass_run(&pass, v, n, &early, &o), 0);
    return o;
}

static unsigned count(size_t n, enum pass_result r)
{
    unsigned found = 0;

    for (size_t i = 0; i < n; i++)
        found += v[i].result == r;
    return found;
}

static void test_each_once(void **state)
{
    (void)state;
    names(UNITS);
    name(0, "locked");
    name(1, "busy");
    name(7, "fails");
    name(UNITS - 1, "locked");
    struct pass_outcome o = run(UNITS);
    assert_true(o.given_up == 0 && o.unreaped == 0);
    assert_int_equal(count(UNITS, PASS_DONE), UNITS - 4);
    assert_true(v[0].result == PASS_LOCKED && v[1].result == PASS_BUSY && v[UNITS - 1].result == PASS_LOCKED);
    assert_true(v[7].result == PASS_FAILED && v[7].error == EIO);
    for (unsigned i = 0; i < UNITS; i++)
        assert_int_equal(tried[i], 1);
}

/* The worker that was there before is one of them; of its own pass, or thrown away. */
static void test_a_worker_that_is_there_early(void **state)
{
    assert_int_equal(pass_prepare(&pass, &early), 0);
    assert_true(early.pid > 0);
    test_each_once(state);
    assert_int_equal(early.pid, 0);
    assert_int_equal(pass_prepare(&pass, &early), 0);
    pass_discard(&early);
    pass_discard(&early);
    assert_int_equal(pass_prepare(&pass, &early), 0);
    assert_int_equal(kill(early.pid, SIGKILL), 0);
    names(10);
    (void)run(10); /* what it had in its hands has failed, the others are done by another one */
    assert_true(count(10, PASS_DONE) >= 9);
}

static void test_one_that_hangs_or_dies(void **state)
{
    (void)state;
    names(100);
    name(0, "hang");
    name(50, "dies");
    name(99, "hang");
    uint64_t            begin_ms = clock_now_ms();
    struct pass_outcome o = run(100);
    assert_true(clock_now_ms() - begin_ms < 2 * pass.unit_ms + 2000);
    assert_true(o.given_up == 0 && o.unreaped == 0);
    assert_true(v[0].result == PASS_STUCK && v[99].result == PASS_STUCK && v[50].result == PASS_FAILED);
    assert_int_equal(count(100, PASS_DONE), 97);
}

static void test_a_share_that_hangs_is_given_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100; i++)
        name(i, "hang");
    uint64_t            begin_ms = clock_now_ms();
    struct pass_outcome o = run(100);
    assert_true(o.given_up == 1 && count(100, PASS_STUCK) == PASS_STUCK_MAX);
    assert_int_equal(count(100, PASS_UNTRIED), 100 - PASS_STUCK_MAX);
    assert_true(clock_now_ms() - begin_ms < pass.unit_ms + 2000);
}

static void test_a_share_that_fails_is_given_up(void **state)
{
    (void)state;
    pass.workers = 1;
    names(100);
    for (size_t i = 10; i < 100; i++)
        name(i, "fails");
    struct pass_outcome o = run(100);
    assert_true(o.given_up == 1 && count(100, PASS_DONE) == 10);
    assert_int_equal(count(100, PASS_FAILED), PASS_ERRORS_MAX);
    for (size_t i = 0; i < 100; i++) /* one good one in between, and it is the units */
        name(i, i % (PASS_ERRORS_MAX - 1) == 0 ? "done" : "fails");
    o = run(100);
    assert_true(o.given_up == 0 && count(100, PASS_UNTRIED) == 0);
}

static void test_the_budget(void **state)
{
    (void)state;
    pass.budget_ms = 200;
    pass.workers = 2;
    for (size_t i = 0; i < 500; i++)
        name(i, "slow");
    uint64_t            begin_ms = clock_now_ms();
    struct pass_outcome o = run(500);
    assert_true(clock_now_ms() - begin_ms < 2200);
    assert_true(o.given_up == 0 && count(500, PASS_DONE) > 0 && count(500, PASS_UNTRIED) > 400);
    assert_int_equal(count(500, PASS_DONE) + count(500, PASS_UNTRIED), 500);
}

static void test_nothing_to_do(void **state)
{
    struct pass_outcome o;

    (void)state;
    assert_int_equal(pass_run(&pass, v, 0, NULL, &o), 0);
    pass.workers = 0;
    assert_int_equal(pass_run(&pass, v, 1, NULL, &o), -EINVAL);
    pass.workers = PASS_WORKERS_MAX + 1;
    assert_int_equal(pass_run(&pass, v, 1, NULL, &o), -EINVAL);
}

static void test_why_it_is_put_off(void **state)
{
    (void)state;
    assert_int_equal(pass_defer_reason(PASS_UNTRIED), DEFER_UNTRIED);
    assert_int_equal(pass_defer_reason(PASS_LOCKED), DEFER_LOCKED);
    assert_int_equal(pass_defer_reason(PASS_BUSY), DEFER_BUSY);
    assert_int_equal(pass_defer_reason(PASS_FAILED), DEFER_FAILED);
    assert_int_equal(pass_defer_reason(PASS_STUCK), DEFER_STUCK);
    for (unsigned r = 0; r < PASS_RESULT_N; r++)
        if (r != PASS_DONE)
            assert_string_equal(pass_result_name((enum pass_result)r), defer_reason_name(pass_defer_reason((enum pass_result)r)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_worker_that_is_there_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_hangs_or_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_share_that_hangs_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_share_that_fails_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_do, setup, teardown),
        cmocka_unit_test(test_why_it_is_put_off),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
