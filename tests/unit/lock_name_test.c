/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of locks and claims in each of Mailman's grammars, the nasty ones first of all (reliability L6). */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "resource/state/lock_name.h"

#define M3  LOCK_MAILMAN_3
#define M21 LOCK_MAILMAN_21
#define M20 LOCK_MAILMAN_20
#define A39 "340282366920938463463374607431768211455"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* Hosts as nobody should name them: parts of each other, with numbers between dots. */
static const struct config cfg = { .n_nodes = 4, .nodes = {
    { .name = "one", .hostname = "b", .fqdn = "b.lab.test" }, { .name = "two", .hostname = "b.12", .fqdn = "b.12.lab.test" },
    { .name = "three", .hostname = "a.b", .fqdn = "a.b.lab.test" }, { .name = "four", .hostname = "7", .fqdn = "7" } } };

struct row { enum lock_grammar grammar; const char *name, *lock; /* asked for */ int rc; const char *ret_lock, *host; pid_t pid; };

static const struct row rows[] = {
    /* 3.x: what is between the bars is taken as it stands */
    { M3, "master.lck|b.lab.test|17255|3231928510089333892", NULL, 0, "master.lck", "b.lab.test", 17255 },
    { M3, "test.1|x.lab.test|4194304|0", NULL, 0, "test.1", "x.lab.test", 4194304 },
    { M3, "m|h|1|" A39, NULL, 0, "m", "h", 1 }, { M3, "m|h|1|" A39 "0", NULL, -EBADMSG, NULL, NULL, 0 },
    { M3, "m|h|01|2", NULL, -EBADMSG, NULL, NULL, 0 }, { M3, "m|h|1|02", NULL, -EBADMSG, NULL, NULL, 0 },
    { M3, "m|h|1|2|3", NULL, -EBADMSG, NULL, NULL, 0 }, { M3, "a|m|h|1|2", NULL, -EBADMSG, NULL, NULL, 0 },
    { M3, "m|h|4194305|2", NULL, -EBADMSG, NULL, NULL, 0 }, { M3, "m|h|1|2", "n", -EBADMSG, NULL, NULL, 0 },
    { M3, "test.lock.b.12.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M3, "", NULL, -EBADMSG, NULL, NULL, 0 },
    { M3, "../x|h|1|2", NULL, -EBADMSG, NULL, NULL, 0 }, { M3, "|||", NULL, -EBADMSG, NULL, NULL, 0 },

    /* 2.1, and 2.0: the counter is always there */
    { M21, "test.lock.b.8328.49", NULL, 0, "test.lock", "b", 8328 },
    { M20, "qrunner.lock.b.8328.0", NULL, 0, "qrunner.lock", "b", 8328 },
    { M21, "test.lock.B.8328.49", NULL, 0, "test.lock", "B", 8328 },
    { M21, "test.lock.b.8328." A39, NULL, 0, "test.lock", "b", 8328 },
    { M21, "test.lock.b.8328", NULL, -EBADMSG, NULL, NULL, 0 }, { M20, "qrunner.lock.b.8328", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b.12.34", NULL, 0, "test.lock", "b", 12 }, { M21, "test.lock.b.12.34.5", NULL, 0, "test.lock", "b.12", 34 },
    { M21, "test.lock.b.12.12.34", NULL, 0, "test.lock", "b.12", 12 },
    { M21, "test.1.b.12.34", NULL, 0, "test.1", "b", 12 }, { M21, "test.1.b.12.12.34", "test.1", 0, "test.1", "b.12", 12 },
    { M21, "test.1.2.3.b.5.6", NULL, 0, "test.1.2.3", "b", 5 },
    { M21, "t.b.12.34.5", "t", 0, "t", "b.12", 34 }, { M21, "t.b.12.34.5", "t.b", 0, "t.b", "12", 34 },
    /* of hosts b and a.b: only who knows the lock can tell */
    { M21, "test.lock.a.b.12.3", NULL, -ENOTUNIQ, NULL, NULL, 0 },
    { M21, "test.lock.a.b.12.3", "test.lock", 0, "test.lock", "a.b", 12 },
    { M21, "test.lock.a.b.12.3", "test.lock.a", 0, "test.lock.a", "b", 12 },
    { M21, "x.7.7.7", NULL, 0, "x", "7", 7 }, { M21, "x.7.7.7.7", NULL, 0, "x.7", "7", 7 },
    /* numbers that nothing of Mailman's writes */
    { M21, "test.lock.b.08.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock.b.8.03", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b.0.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock.b.4194305.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b.99999999999999999999.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b.8." A39 "0", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock.b.-8.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b.8.3 ", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock.b.8.", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b..3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock..8.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, ".b.8.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "b.8.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "8.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "...", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "../test.lock.b.8.3", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "a/b.8.3", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.1", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "test.1.2", NULL, -EBADMSG, NULL, NULL, 0 }, { M21, "test.lock|b|8|3", NULL, -EBADMSG, NULL, NULL, 0 },
    /* a host that nobody knows is told from a text that makes no sense */
    { M21, "test.lock.x.8328.49", NULL, 0, "test.lock", "x", 8328 },
    { M21, "test.lock.x.y.8328.49", "test.lock", 0, "test.lock", "x.y", 8328 },
    { M21, "test.lock.b.12", "test.lock", -EBADMSG, NULL, NULL, 0 },
    { M21, "tst.lock.b.1.2", "test.lock", -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lockb.1.2", "test.lock", -EBADMSG, NULL, NULL, 0 },
    { M21, "test.lock.b c.1.2", "test.lock", -EBADMSG, NULL, NULL, 0 },

    /* mailmanctl's master lock: with the counter before it is handed on, without it after */
    { M21, "master-qrunner.b.8328", NULL, 0, "master-qrunner", "b", 8328 },
    { M21, "master-qrunner.b.8328", "master-qrunner", 0, "master-qrunner", "b", 8328 },
    { M21, "master-qrunner.b.8328.3", NULL, 0, "master-qrunner", "b", 8328 },
    { M21, "master-qrunner.a.b.8328", NULL, 0, "master-qrunner", "a.b", 8328 },
    { M21, "master-qrunner.b.12.34", NULL, -ENOTUNIQ, NULL, NULL, 0 },
    { M21, "master-qrunner.b.12.34", "master-qrunner", -ENOTUNIQ, NULL, NULL, 0 },
    { M21, "master-qrunner.b.12.34.5", NULL, 0, "master-qrunner", "b.12", 34 },
    { M21, "master-qrunner.x.lab.test.99", NULL, 0, "master-qrunner", "x.lab.test", 99 },
    { M21, "master-qrunner.lock", NULL, -EBADMSG, NULL, NULL, 0 },
    { M21, "master-qrunner.lock.b.5.6", NULL, 0, "master-qrunner.lock", "b", 5 },
    { M21, "master-qrunner.08", NULL, -EBADMSG, NULL, NULL, 0 }, { M20, "master-qrunner.b.8328", NULL, -EBADMSG, NULL, NULL, 0 },
};

static void row_check(const struct row *r)
{
    struct lock_claim c = { .pid = -1 };
    struct lock_names names;

    lock_names_of(&cfg, r->grammar, &names);
    int rc = lock_claim_parse(&names, r->name, strlen(r->name), r->lock, &c);
    if (rc != r->rc)
        fail_msg("%s for %s: %d (lock %s, host %s)", r->name, r->lock ? r->lock : "any", rc, rc ? "" : c.lock, rc ? "" : c.host);
    if (rc) {
        assert_int_equal(c.pid, -1);
        return;
    }
    if (strcmp(c.lock, r->ret_lock) || strcmp(c.host, r->host) || c.pid != r->pid)
        fail_msg("%s: lock %s, host %s, pid %d", r->name, c.lock, c.host, (int)c.pid);
}

static void test_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        row_check(&rows[i]);
}

static void test_bytes(void **state)
{
    struct lock_claim c;
    struct lock_names names;
    char name[LOCK_NAME_MAX + 8];

    (void)state;
    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++) {
        lock_names_of(&cfg, (enum lock_grammar)g, &names);
        const char *tail = g == LOCK_MAILMAN_3 ? "|b|5|6" : ".b.5.6";
        assert_int_equal(lock_claim_parse(&names, g == LOCK_MAILMAN_3 ? "m\0|b|5|6" : "m\0.b.5.6", 8, NULL, &c), -EBADMSG);
        assert_int_equal(lock_claim_parse(&names, g == LOCK_MAILMAN_3 ? "m|b|5|6\0" : "m.b.5.6\0", 8, NULL, &c), -EBADMSG);
        assert_int_equal(lock_claim_parse(&names, g == LOCK_MAILMAN_3 ? "m|\0|5|6" : "m.\0.5.6", 7, NULL, &c), -EBADMSG);
        memset(name, 'x', sizeof name); /* as long as a name can be, and one more */
        memcpy(name + 249, tail, 6);
        assert_int_equal(lock_claim_parse(&names, name, 255, NULL, &c), 0);
        assert_int_equal(strlen(c.lock), 249);
        memcpy(name + 250, tail, 6);
        assert_int_equal(lock_claim_parse(&names, name, 256, NULL, &c), -EBADMSG);
    }
}

static void test_claim_or_lock(void **state)
{
    static const char *const locks[] = { "test.lock", "creator", "test.1", "test.1.2", "master-qrunner", "qrunner.lock", "b.1.2" };
    static const char *const claims[] = { "test.lock.b.1.2", "test.lock.x.1.2", "test.lock.a.b.1.2", "master-qrunner.b.1" };
    struct lock_names names;

    (void)state;
    lock_names_of(&cfg, M21, &names);
    for (unsigned i = 0; i < sizeof locks / sizeof locks[0]; i++)
        assert_false(lock_name_is_claim(&names, locks[i]));
    for (unsigned i = 0; i < sizeof claims / sizeof claims[0]; i++)
        assert_true(lock_name_is_claim(&names, claims[i]));
    lock_names_of(&cfg, M3, &names);
    assert_true(lock_name_is_claim(&names, "x|y"));
    assert_false(lock_name_is_claim(&names, "test.lock.b.1.2"));
}

static void test_texts(void **state)
{
    struct lock_names names;
    struct lock_claim c;
    char name[LOCK_NAME_MAX];
    static const char good[] = "/v/../locks/test.lock.b.12.34", cut[] = "/v/../locks/test.lock.b.12";

    (void)state;
    lock_names_of(&cfg, M21, &names);
    assert_int_equal(lock_text_parse(&names, good, sizeof good - 1, "test.lock", &c, name), 0);
    assert_string_equal(name, "test.lock.b.12.34");
    assert_int_equal(lock_text_parse(&names, good, sizeof good - 1, "best.lock", &c, name), -EBADMSG);
    assert_int_equal(lock_text_parse(&names, good + 1, sizeof good - 2, "test.lock", &c, name), -EBADMSG);
    assert_int_equal(lock_text_parse(&names, cut, sizeof cut - 1, "test.lock", &c, name), -EBADMSG);
    assert_int_equal(lock_text_parse(&names, "/v/master-qrunner.b.12.34", 25, "master-qrunner", &c, name), -ENOTUNIQ);
    assert_int_equal(lock_text_parse(&names, "", 0, NULL, &c, name), -EBADMSG);
}

static void assert_named(enum lock_grammar g, const char *lock, const char *host, const uint32_t random[4], int rc,
                         const char *wanted)
{
    char name[LOCK_NAME_MAX];
    struct lock_names names;

    lock_names_of(&cfg, g, &names);
    int found = lock_claim_name(&names, lock, host, 4194304, random, name);
    if (found != rc || (!rc && strcmp(name, wanted)))
        fail_msg("%s of %s: %d, %s", lock, host, found, name);
}

static void test_names_of_ours(void **state)
{
    static const uint32_t most[4] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX }, least[4] = { 0, 0, 0, 0 };
    static const uint32_t ten[4] = { 0, 0, 0, 10 }, high[4] = { 0, 0, 1, 0 };

    (void)state;
    assert_named(M3, "test", "b.lab.test", most, 0, "test|b.lab.test|4194304|" A39);
    assert_named(M21, "test.lock", "b", least, 0, "test.lock.b.4194304.0");
    assert_named(M20, "qrunner.lock", "b", ten, 0, "qrunner.lock.b.4194304.10");
    assert_named(M21, "test.1", "b.12", high, 0, "test.1.b.12.4194304.4294967296");
    assert_named(M21, "test.lock", "a.b", ten, -EINVAL, NULL); /* b's lock test.lock.a, for who does not know the lock */
    assert_named(M21, "test.lock", "x y", ten, -EINVAL, NULL);
    assert_named(M3, "te|st", "b", ten, -EINVAL, NULL);
    assert_named(M3, "", "b", ten, -EINVAL, NULL);
    assert_named(M3, "../test", "b", ten, -EINVAL, NULL);
    assert_named(M3, "a/test", "b", ten, -EINVAL, NULL);
    assert_named(M3, X50 X50 X50 X50 "xxxxx", "b", most, 0, X50 X50 X50 X50 "xxxxx|b|4194304|" A39);
    assert_named(M3, X50 X50 X50 X50 "xxxxxx", "b", most, -ENAMETOOLONG, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_bytes), cmocka_unit_test(test_claim_or_lock),
        cmocka_unit_test(test_texts), cmocka_unit_test(test_names_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
