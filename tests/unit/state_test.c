/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of locks and queue entries, and the judgement of a lock, case by case. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "resource/state/lock.h"
#include "resource/state/queue_name.h"

#define HASH "0123456789abcdef0123456789abcdef01234567"

static const struct lock_names names_3 = { .grammar = LOCK_MAILMAN_3 };

static void test_claim_names(void **state)
{
    static const char *const bad[] = { "master.lck", "master.lck|h|1", "master.lck|h|1|2|3", "|h|1|2", "m||1|2", "m|h||2",
                                       "m|h|1|", "m|h|0|2", "m|h|-1|2", "m|h|1x|2", "m|h|4194305|2", "m|h|1|x", "m|h h|1|2",
                                       "m|../x|1|2", "a/b|h|1|2", "m|h|1|1234567890123456789012345678901234567890" };
    struct lock_claim c;

    (void)state;
    assert_int_equal(lock_claim_parse(&names_3, "master.lck|a.lab.test|17255|3231928510089333892", 47, NULL, &c), 0);
    assert_string_equal(c.lock, "master.lck");
    assert_string_equal(c.host, "a.lab.test");
    assert_int_equal(c.pid, 17255);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lock_claim_parse(&names_3, bad[i], strlen(bad[i]), NULL, &c), -EBADMSG);
    assert_int_equal(lock_claim_parse(&names_3, "m|h|1|2\0", 8, NULL, &c), -EBADMSG);
}

static void test_lock_texts(void **state)
{
    static const char *const bad[] = { "master.lck|h|1|2", "/x/master.lck", "/x/m|h|1|2\n", "x/m|h|1|2", "/", "/x/m|h|1|" };
    static const char good[] = "/v/../var/locks/master.lck|h|1|2";
    char name[LOCK_NAME_MAX];
    struct lock_claim c;

    (void)state;
    assert_int_equal(lock_text_parse(&names_3, good, sizeof good - 1, NULL, &c, name), 0);
    assert_string_equal(name, "master.lck|h|1|2");
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lock_text_parse(&names_3, bad[i], strlen(bad[i]), NULL, &c, name), -EBADMSG);
}

static void test_queue_names(void **state)
{
    static const struct { const char *name; enum queue_kind kind; } table[] = {
        { "1795317467.9471908+" HASH ".pck", QUEUE_PCK }, { "1795317467.9+" HASH ".bak", QUEUE_BAK },
        { "1.7e+09+" HASH ".pck", QUEUE_PCK }, { "1.7e09+" HASH ".pck", QUEUE_PCK }, { "1.7e-9+" HASH ".bak", QUEUE_BAK },
        { "foo.pck", QUEUE_ILL }, { ".pck", QUEUE_OTHER }, { "+" HASH ".pck", QUEUE_ILL },
        { "1795317467+" HASH ".pck", QUEUE_ILL }, { "1.+" HASH ".pck", QUEUE_ILL }, { "1.7e+" HASH ".pck", QUEUE_ILL },
        { "1.7+" HASH "0.pck", QUEUE_ILL }, { "1.7+0123.pck", QUEUE_ILL },
        { "1.7+0123456789ABCDEF0123456789abcdef01234567.pck", QUEUE_ILL },
        { "1.7+" HASH ".pck.pck", QUEUE_ILL }, { "-1.7+" HASH ".bak", QUEUE_ILL }, { " 1.7+" HASH ".bak", QUEUE_ILL },
        { "1.7+" HASH ".pck.tmp", QUEUE_TMP }, { "x.tmp", QUEUE_TMP }, { "1.7+" HASH ".psv", QUEUE_OTHER },
        { "README", QUEUE_OTHER }, { ".nfs0000123.pck", QUEUE_OTHER }, { "1.7+" HASH ".pckx", QUEUE_OTHER },
    };
    struct queue_name n;

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        queue_name_parse(table[i].name, &n);
        if (n.kind != table[i].kind)
            fail_msg("%s: kind %d", table[i].name, (int)n.kind);
    }
    queue_name_parse("1795317467.9471908+f1ffffff89abcdef0123456789abcdef01234567.pck", &n);
    assert_true(n.time_ms == UINT64_C(1795317467947));
    assert_int_equal(queue_name_slice(&n, 1), 0);
    assert_int_equal(queue_name_slice(&n, 2), 1);
    assert_int_equal(queue_name_slice(&n, 16), 15);
    queue_name_parse("1.5+7fffffff89abcdef0123456789abcdef01234567.pck", &n);
    assert_true(n.time_ms == 1500);
    assert_int_equal(queue_name_slice(&n, 2), 0);
    assert_int_equal(queue_name_slice(&n, 4), 1);
}

static const struct config cfg = { .n_nodes = 3, .nodes = { { .name = "a", .fqdn = "a.lab.test" },
                                   { .name = "b", .fqdn = "b.lab.test" }, { .name = "c", .fqdn = "c.lab.test" } } };

struct judged { const char *name, *host; pid_t pid; enum lock_fault fault; uint32_t harmless; bool all, service, own;
                enum lock_verdict verdict; };

static void assert_judged(const struct judged *t)
{
    struct state_ctx ctx = { .cfg = &cfg, .self = 0, .harmless = t->harmless, .uid = getuid(), .proc = "/proc",
                             .own_only = t->own };
    struct lock_circumstances c = { .ctx = &ctx, .all_others_harmless = t->all, .service_here = t->service };
    struct lock_file f = { .fault = t->fault };

    (void)snprintf(f.name, sizeof f.name, "%s", t->name);
    f.claim = lock_name_is_claim(&names_3, f.name);
    (void)snprintf(f.owner.host, sizeof f.owner.host, "%s", t->host);
    f.owner.pid = t->pid;
    lock_file_judge(&c, &f);
    assert_non_null(f.why);
    if (f.verdict != t->verdict)
        fail_msg("%s of %s:%d, fault %d: verdict %d (%s)", t->name, t->host, (int)t->pid, (int)t->fault, (int)f.verdict,
                 f.why);
}

static void test_judgement(void **state)
{
    const pid_t alive = getppid(), dead = 4194303; /* the parent runs as we do; nothing here counts up to the limit */
    const struct judged table[] = {
        /* another node's: only if it is proven harmless */
        { "master.lck", "b.lab.test", 1, LOCK_SOUND, 1u << 1, false, false, false, LOCK_CLEAR },
        { "master.lck", "B.LAB.test", 1, LOCK_SOUND, 1u << 1, false, false, false, LOCK_CLEAR },
        { "master.lck", "b.lab.test", 1, LOCK_SOUND, 1u << 2, false, false, false, LOCK_REFUSE },
        { "mta", "b.lab.test", 1, LOCK_SOUND, 1u << 2, false, false, false, LOCK_KEEP },
        { "master.lck|b.lab.test|1|2", "b.lab.test", 1, LOCK_SOUND, 0, false, false, false, LOCK_KEEP },
        /* a host that nobody knows: never */
        { "master.lck", "x.lab.test", 1, LOCK_SOUND, 6, true, false, false, LOCK_REFUSE },
        { "dbcreate.lck", "x.lab.test", 1, LOCK_SOUND, 6, true, false, false, LOCK_KEEP },
        { "master.lck", "b", 1, LOCK_SOUND, 6, true, false, false, LOCK_REFUSE },
        /* our own: by its process, whatever is said to be harmless */
        { "master.lck", "a.lab.test", dead, LOCK_SOUND, 0, false, false, false, LOCK_CLEAR },
        { "master.lck", "a.lab.test", alive, LOCK_SOUND, 7, true, false, false, LOCK_REFUSE },
        { "mta", "a.lab.test", alive, LOCK_SOUND, 7, true, false, false, LOCK_REFUSE },
        /* odd: only if nobody at all can be the owner */
        { "master.lck", "", 0, LOCK_EMPTY, 6, true, false, false, LOCK_CLEAR },
        { "master.lck", "", 0, LOCK_TORN, 2, false, false, false, LOCK_REFUSE },
        { "master.lck", "", 0, LOCK_TORN, 6, true, true, false, LOCK_REFUSE },
        { "mta", "", 0, LOCK_OVERSIZED, 2, false, false, false, LOCK_KEEP },
        { "mta", "", 0, LOCK_LINKS, 6, true, false, false, LOCK_CLEAR },
        { "x|y", "", 0, LOCK_BAD_NAME, 6, true, false, false, LOCK_CLEAR },
        { "master.lck", "", 0, LOCK_NOT_REGULAR, 6, true, false, false, LOCK_REFUSE },
        { "master.lck", "", 0, LOCK_FOREIGN_OWNER, 6, true, false, false, LOCK_REFUSE },
        { "mta", "", 0, LOCK_FOREIGN_OWNER, 6, true, false, false, LOCK_KEEP },
        /* release: nothing but our own dead ones */
        { "master.lck", "a.lab.test", dead, LOCK_SOUND, 0, false, false, true, LOCK_CLEAR },
        { "master.lck", "a.lab.test", alive, LOCK_SOUND, 0, false, false, true, LOCK_REFUSE },
        { "master.lck", "b.lab.test", dead, LOCK_SOUND, 2, true, false, true, LOCK_KEEP },
        { "master.lck", "x.lab.test", dead, LOCK_SOUND, 0, true, false, true, LOCK_KEEP },
        { "master.lck", "", 0, LOCK_EMPTY, 0, true, false, true, LOCK_KEEP },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_judged(&table[i]);
}

static void test_own_number_is_not_a_live_owner(void **state)
{
    struct state_ctx ctx = { .cfg = &cfg, .uid = getuid(), .proc = "/proc" };

    (void)state;
    assert_false(state_pid_alive(&ctx, getpid()));
    assert_true(state_pid_alive(&ctx, getppid()));
    ctx.uid = 3999999999u; /* that process runs, but not as the list user: its number was used again */
    assert_false(state_pid_alive(&ctx, getppid()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_names), cmocka_unit_test(test_lock_texts), cmocka_unit_test(test_queue_names),
        cmocka_unit_test(test_judgement), cmocka_unit_test(test_own_number_is_not_a_live_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
