/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Enters each program's sandbox in a child and makes calls there: what is not allowed must end it with SIGSYS, what is
 * allowed must not. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "sandbox_calls.h"

#include "common/banned.h"

/* What became of a child that made the call inside: its wait status. 98: there is no sandbox here, 99: it could not get
 * in. */
static int status_of(enum sandbox_profile p, void (*call)(void))
{
    int wstatus = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int rc = p == SANDBOX_WORKER ? sandbox_enter(SANDBOX_PASS) : 0; /* never alone */
        if (rc == 0)
            rc = sandbox_enter(p);
        if (rc != 0)
            _exit(rc == -ENOSYS ? 98 : 99);
        call();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    return wstatus;
}

/* A kernel without seccomp lets nothing be tried; a build without it is tested below. */
static bool there(void)
{
    int wstatus = status_of(SANDBOX_ENGINE, sandbox_do_sleep);

    if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0)
        return true;
    assert_true(WIFEXITED(wstatus));
    assert_int_equal(WEXITSTATUS(wstatus), 98);
    print_message("# system calls are not limited here: this build or this kernel does not do it\n");
    return false;
}

static void each_call_in_each_sandbox(void **s)
{
    (void) s;
    if (!there())
        return;
    for (unsigned p = 0; p < SANDBOX_N; p++)
        for (const struct sandbox_call *c = sandbox_calls; c->name; c++) {
            int wstatus = status_of((enum sandbox_profile) p, c->call);
            bool killed = WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGSYS;
            bool well = WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0;
            if (c->allowed >> p & 1u ? !well : !killed)
                fail_msg("profile %u: %s: wait status %#x", p, c->name, (unsigned) wstatus);
        }
}

static void an_abort_stays_an_abort(void **s)
{
    (void) s;
    if (!there())
        return;
    for (unsigned p = 0; p < SANDBOX_N; p++) {
        int wstatus = status_of((enum sandbox_profile) p, abort);
        assert_true(WIFSIGNALED(wstatus));
        assert_int_equal(WTERMSIG(wstatus), SIGABRT);
    }
}

static void *exec_later(void *arg)
{
    char c;

    if (read(*(int *) arg, &c, 1) == 1)
        sandbox_do_execve();
    return NULL;
}

/* Threads that were there before are inside as well. */
static void all_threads_are_inside(void **s)
{
    int fd[2], wstatus = 0;
    pthread_t t;

    (void) s;
    if (!there())
        return;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (pthread_create(&t, NULL, exec_later, &fd[0]) != 0 || sandbox_enter(SANDBOX_ENGINE) != 0 ||
            write(fd[1], "", 1) != 1)
            _exit(99);
        (void) !pthread_join(t, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_true(WIFSIGNALED(wstatus));
    assert_int_equal(WTERMSIG(wstatus), SIGSYS);
}

#ifdef HAVE_SECCOMP
/* As in a kernel that has it not: both calls that could limit system calls fail as they do there. */
static void without_the_kernel_nothing_changes(void **s)
{
    int wstatus = 0;
    pid_t pid = fork();

    (void) s;
    if (pid == 0) {
        scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
        if (!f || seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0) < 0 ||
            seccomp_rule_add(f, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) < 0 ||
            seccomp_load(f) < 0)
            _exit(99);
        seccomp_reset(NULL, 0); /* what libseccomp has found out about the kernel */
        if (sandbox_enter(SANDBOX_STATE) != -ENOSYS)
            _exit(1);
        sandbox_do_create();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_int_equal(wstatus, 0);
}
#else
static void without_the_library_nothing_changes(void **s)
{
    (void) s;
    assert_int_equal(sandbox_enter(SANDBOX_STATE), -ENOSYS);
    sandbox_do_create();
}
#endif

static void *wait_for_ever(void *arg)
{
    char c;

    return read(*(int *) arg, &c, 1) == 1 ? arg : NULL;
}

/* libqb ends its log's thread so, at every orderly end of engine and members. */
static void a_thread_can_be_cancelled(void **s)
{
    int fd[2], wstatus = 0;
    pthread_t t;

    (void) s;
    if (!there())
        return;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    for (int p = SANDBOX_ENGINE; p <= SANDBOX_MEMBERS; p++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (pthread_create(&t, NULL, wait_for_ever, &fd[0]) != 0 || sandbox_enter((enum sandbox_profile) p) != 0 ||
                pthread_cancel(t) != 0 || pthread_join(t, NULL) != 0)
                _exit(99);
            exit(0);
        }
        assert_int_equal(waitpid(pid, &wstatus, 0), pid);
        assert_int_equal(wstatus, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_in_each_sandbox),
        cmocka_unit_test(an_abort_stays_an_abort),
        cmocka_unit_test(all_threads_are_inside),
        cmocka_unit_test(a_thread_can_be_cancelled),
#ifdef HAVE_SECCOMP
        cmocka_unit_test(without_the_kernel_nothing_changes),
#else
        cmocka_unit_test(without_the_library_nothing_changes),
#endif
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
