/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the agents judge without touching the host: lock texts, runner lists, process lists, intake rules. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resource/intake.h"
#include "resource/listserver.h"
#include "resource/masterlock.h"

static enum masterlock_state judge_as(enum config_list_kind kind, const char *text, struct masterlock *ret)
{
    memset(ret, 0xee, sizeof *ret);
    masterlock_parse(kind, text, strlen(text), ret);
    return ret->state;
}

static enum masterlock_state judge(const char *text, struct masterlock *ret)
{
    return judge_as(LIST_MAILMAN3, text, ret);
}

static void test_lock_good(void **state)
{
    struct masterlock l;

    (void)state;
    assert_int_equal(judge("/srv/lists/locks/master.lck|a.lab.test|17255|3231928510089333892", &l), MASTERLOCK_HELD);
    assert_string_equal(l.host, "a.lab.test");
    assert_int_equal(l.pid, 17255);
}

static void test_lock_bad(void **state)
{
    static const char *const bad[] = {
        "", "x", "/l/master.lck|a.lab.test|17", "/l/master.lck|a.lab.test|17|", "/l/master.lck|a|17|1|2",
        "/l/master.lck||17|1", "/l/master.lck|a|0|1", "/l/master.lck|a|-1|1", "/l/master.lck|a|9999999999|1",
        "/l/master.lck|a b|17|1", "/l/master.lck|a\nb|17|1", "/l/master.lck|a|17|1x", "/l/master.lck|a|1 7|1",
    };
    char              zero[] = "/l/master.lck|a|17|1", big[5000];
    struct masterlock l;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(judge(bad[i], &l), MASTERLOCK_MALFORMED);
    zero[3] = '\0';
    masterlock_parse(LIST_MAILMAN3, zero, sizeof zero - 1, &l);
    assert_int_equal(l.state, MASTERLOCK_MALFORMED);
    memset(big, 'x', sizeof big);
    masterlock_parse(LIST_MAILMAN3, big, sizeof big, &l);
    assert_int_equal(l.state, MASTERLOCK_MALFORMED);
}

/* The host's name is what stands between the lock's own and the pid, dots or not. */
static void test_lock_of_2(void **state)
{
    static const char *const bad[] = { "", "/l/master-qrunner", "/l/master-qrunner.", "/l/master-qrunner.a", "/l/master-qrunner.a.",
        "/l/master-qrunner.a.0", "/l/master-qrunner.a.x", "/l/master-qrunner..17", "/l/master-qrunner.a b.17", "/l/test.lock.a.17",
        "/l/qrunner.lock.a.17", "/l/master-qrunner.a.17\n", "/l/master-qrunner/x.17" };
    struct masterlock l;

    (void)state;
    assert_int_equal(judge_as(LIST_MAILMAN21, "/srv/lists/locks/master-qrunner.a.8328", &l), MASTERLOCK_HELD);
    assert_string_equal(l.host, "a");
    assert_int_equal(l.pid, 8328);
    assert_int_equal(judge_as(LIST_MAILMAN21, "/l/master-qrunner.a.lab.test.17", &l), MASTERLOCK_HELD);
    assert_string_equal(l.host, "a.lab.test");
    assert_int_equal(judge_as(LIST_MAILMAN20, "/l/qrunner.lock.b.9", &l), MASTERLOCK_HELD);
    assert_string_equal(l.host, "b");
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (judge_as(LIST_MAILMAN21, bad[i], &l) != MASTERLOCK_MALFORMED)
            fail_msg("'%s' is taken for the lock of %s, %d", bad[i], l.host, (int)l.pid);
    assert_string_equal(masterlock_name(LIST_MAILMAN3), "master.lck");
    assert_string_equal(masterlock_name(LIST_MAILMAN21), "master-qrunner");
    assert_string_equal(masterlock_name(LIST_MAILMAN20), "qrunner.lock");
}

static void test_runners(void **state)
{
    static const char *const bad[] = { "", "  ", "in:3", "in:0", "in:64", "in in", "in:1 in:2", "In", "in:", ":1", "a/b" };
    struct listserver_runner v[8];
    unsigned               n = 77;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(listserver_runners_parse(LIST_MAILMAN3, bad[i], v, 8, &n), -EINVAL);
    assert_int_equal(listserver_runners_parse(LIST_MAILMAN3, "in:8 out", v, 8, &n), -ENOSPC);
    assert_int_equal(n, 77);
    assert_int_equal(listserver_runners_parse(LIST_MAILMAN21, "IncomingRunner:2 OddRunner", v, 8, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(v[1].queue, "in");
    assert_string_equal(v[2].queue, "");
    assert_int_equal(listserver_runners_parse(LIST_MAILMAN3, " in out:2,virgin ", v, 8, &n), 0);
    assert_int_equal(n, 4);
    assert_string_equal(v[2].name, "out");
    assert_int_equal(v[2].slice, 1);
    assert_int_equal(v[2].count, 2);
    assert_int_equal(v[3].count, 1);
}

/* A master (10) with runners in (11) and out (12). */
static void view_make(struct listserver *m, struct listserver_view *v)
{
    struct listproc *p = v->list.v;

    memset(m, 0, sizeof *m);
    memset(v, 0, sizeof *v);
    assert_int_equal(listserver_runners_parse(LIST_MAILMAN3, "in out", m->runners, LISTSERVER_RUNNERS_MAX, &m->n_runners), 0);
    v->list.n = 3;
    v->list.complete = true;
    p[0] = (struct listproc){ .pid = 10, .ppid = 1, .kind = LISTPROC_MASTER, .state = 'S' };
    p[1] = (struct listproc){ .pid = 11, .ppid = 10, .kind = LISTPROC_RUNNER, .state = 'S', .runner = "in", .count = 1 };
    p[2] = (struct listproc){ .pid = 12, .ppid = 10, .kind = LISTPROC_RUNNER, .state = 'S', .runner = "out", .count = 1 };
}

static void test_view_complete(void **state)
{
    struct listserver      m;
    struct listserver_view v;

    (void)state;
    view_make(&m, &v);
    listserver_view_judge(&m, &v);
    assert_true(listserver_view_complete(&v));
    assert_int_equal(v.master, 10);
    assert_int_equal(v.n_alive, 3);
    /* A child before its exec looks like a master, and is none. */
    v.list.v[3] = (struct listproc){ .pid = 13, .ppid = 10, .kind = LISTPROC_MASTER, .state = 'R' };
    v.list.n = 4;
    listserver_view_judge(&m, &v);
    assert_true(listserver_view_complete(&v));
    assert_int_equal(v.master, 10);
}

static void test_view_incomplete(void **state)
{
    struct listserver      m;
    struct listserver_view v;

    (void)state;
    view_make(&m, &v);
    v.list.v[2].kind = LISTPROC_ZOMBIE; /* died, and Mailman does not reap it */
    listserver_view_judge(&m, &v);
    assert_false(listserver_view_complete(&v));
    assert_true(v.missing[1] && !v.missing[0] && v.n_zombies == 1 && v.n_alive == 2);

    view_make(&m, &v);
    v.list.v[2].ppid = 11; /* a process of the same command line that the master did not start */
    listserver_view_judge(&m, &v);
    assert_true(v.missing[1]);

    view_make(&m, &v);
    v.list.v[2].count = 2; /* another slice */
    listserver_view_judge(&m, &v);
    assert_true(v.missing[1]);

    view_make(&m, &v);
    v.list.v[2].state = 'T'; /* stopped: it does no work */
    listserver_view_judge(&m, &v);
    assert_true(v.missing[1] && v.n_alive == 3);
}

static void test_view_masters(void **state)
{
    struct listserver      m;
    struct listserver_view v;

    (void)state;
    view_make(&m, &v);
    v.list.v[3] = (struct listproc){ .pid = 20, .ppid = 1, .kind = LISTPROC_MASTER, .state = 'S' };
    v.list.n = 4;
    listserver_view_judge(&m, &v);
    assert_int_equal(v.n_masters, 2);
    assert_false(listserver_view_complete(&v));

    view_make(&m, &v);
    v.list.v[0] = v.list.v[2]; /* runners whose master is gone still work on the queue */
    v.list.n = 2;
    listserver_view_judge(&m, &v);
    assert_int_equal(v.n_masters, 0);
    assert_int_equal(v.n_alive, 2);
    assert_false(listserver_view_complete(&v));

    view_make(&m, &v);
    v.list.n = 1; /* an operator's command is no service */
    v.list.v[0].kind = LISTPROC_COMMAND;
    listserver_view_judge(&m, &v);
    assert_int_equal(v.n_alive, 0);
}

static void test_intake(void **state)
{
    char rules[8192], small[100];

    (void)state;
    assert_true(intake_rules_write(8024, 38, rules, sizeof rules) > 0);
    assert_non_null(strstr(rules, "tcp dport != 8024 accept"));
    assert_non_null(strstr(rules, "reject with tcp reset"));
    assert_non_null(strstr(rules, "meta skuid 38 meta mark set"));
    assert_non_null(strstr(rules, "doff 15 meta length <= 80"));
    assert_true(intake_rules_write(8024, INTAKE_NO_UID, rules, sizeof rules) > 0);
    assert_null(strstr(rules, "skuid"));
    assert_int_equal(intake_rules_write(8024, 38, small, sizeof small), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_good), cmocka_unit_test(test_lock_bad), cmocka_unit_test(test_lock_of_2),
        cmocka_unit_test(test_runners),
        cmocka_unit_test(test_view_complete), cmocka_unit_test(test_view_incomplete), cmocka_unit_test(test_view_masters),
        cmocka_unit_test(test_intake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
