/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of other nodes that are bent, forged, repeated or of another version: nothing is taken from them, and a person
 * is told why. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_facts.h"

static struct config cfg = { .cluster = "test", .n_nodes = 2, .beat_interval_ms = 100, .share_deadline_ms = 1000,
    .nodes = { { .name = "a", .id = 1, .hostname = "a" }, { .name = "b", .id = 2, .hostname = "b" } } };
static const struct id128 boot_a = { 1, 1 };
static struct facts f;
static struct core_facts now;

static const struct core_facts *at(uint64_t ms)
{
    facts_fill(&f, ms, &now);
    return &now;
}

static struct wire_members members(uint64_t sampled_ms, uint64_t ring, uint64_t quorum_ring)
{
    return (struct wire_members){ .sampled_ms = sampled_ms, .connected = 1, .quorate = 1, .encrypted = 1, .n_members = 2,
        .cpg_ring = ring, .quorum_ring = quorum_ring, .member = { 1, 2 } };
}

static struct cpgmsg peer_message(uint64_t ring, uint64_t seq)
{
    struct cpgmsg m = { .cluster = cpgmsg_cluster_hash("test"), .node = 2, .boot = { 2, 2 }, .run = 9, .ring = ring,
        .seq = seq, .flags = CPGMSG_NO_LIST_PROCESS | CPGMSG_NO_SHARE_CHILD | CPGMSG_NO_END_PENDING };

    config_digest(&cfg, &m.digest);
    return m;
}

static int say(const struct cpgmsg *m, uint32_t sender, uint64_t ms)
{
    struct wire_cpg in = { .sender = sender };

    in.len = (uint32_t)cpgmsg_encode(m, in.data);
    return facts_cpg(&f, &in, ms);
}

static int setup(void **state)
{
    struct wire_members m = members(1000, 5, 5);

    (void)state;
    facts_init(&f, &cfg, 0, 77, &boot_a);
    (void)facts_members(&f, &m, 1000);
    return 0;
}

/* The very bytes, with one field bent; `why` is what an operator is told. */
static int say_bent(uint64_t seq, size_t at, uint8_t to, int longer, uint64_t ms)
{
    struct cpgmsg m = peer_message(5, seq);
    struct wire_cpg in = { .sender = 2 };

    in.len = (uint32_t)cpgmsg_encode(&m, in.data);
    if (at < in.len)
        in.data[at] = to;
    in.len = (uint32_t)((int)in.len + longer);
    int rc = facts_cpg(&f, &in, ms);
    if (rc)
        (void)ignored_count(facts_ignored(&f, in.sender), rc, ms);
    return rc;
}

#define NOWHERE 4096
static const struct { size_t at; uint8_t to; int longer; enum ignored_kind kind; const char *why; } bent[] = {
    { 4, CPGMSG_VERSION + 1, 0, IGNORED_VERSION, "another version" },
    { 4, CPGMSG_VERSION - 1, 0, IGNORED_VERSION, "another version" },
    { 0, 0, 0, IGNORED_MALFORMED, "not to be read" }, { NOWHERE, 0, -1, IGNORED_MALFORMED, "not to be read" },
    { NOWHERE, 0, 1, IGNORED_MALFORMED, "not to be read" }, { NOWHERE, 0, -60, IGNORED_MALFORMED, "not to be read" },
    { NOWHERE, 0, 4096, IGNORED_MALFORMED, "not to be read" }, { 6, 1, 0, IGNORED_MALFORMED, "not to be read" },
    { 8, 0, 0, IGNORED_CLUSTER, "another cluster" }, { 16, 1, 0, IGNORED_SENDER, "not whom it says" },
    { 16, 9, 0, IGNORED_SENDER, "not whom it says" },
};

static void what_is_ignored_is_counted_and_named(void **state)
{
    uint32_t n[IGNORED_N] = { 0 };
    struct core_facts before;

    (void)state;
    before = *at(1100);
    assert_null(facts_ignored_why(&f, 1, 1100));
    for (unsigned i = 0; i < sizeof bent / sizeof bent[0]; i++) {
        assert_true(say_bent(1, bent[i].at, bent[i].to, bent[i].longer, 1100) < 0);
        n[bent[i].kind]++;
        if (memcmp(n, f.peer[1].ignored.n, sizeof n) != 0 || !strstr(facts_ignored_why(&f, 1, 1100), bent[i].why))
            fail_msg("%u: counted as %s, told as %s", i, ignored_name(f.peer[1].ignored.last), facts_ignored_why(&f, 1, 1100));
        assert_memory_equal(at(1100), &before, sizeof before); /* nothing was taken from any of them */
    }
    assert_int_equal(say_bent(1, NOWHERE, 0, 0, 1200), 0);
    assert_true(at(1200)->peer[1].heard);
    assert_non_null(facts_ignored_why(&f, 1, 1200)); /* forged ones between good ones are seen, too */
    assert_null(facts_ignored_why(&f, 1, 1100 + FACTS_IGNORED_MS));
    assert_ptr_equal(facts_ignored(&f, 77), &f.strangers);
    assert_int_equal(f.strangers.last_ms, 0);
}

static void the_log_is_not_flooded(void **state)
{
    struct ignored i = { 0 };

    (void)state;
    assert_true(ignored_count(&i, -EPROTONOSUPPORT, 1000));
    for (unsigned k = 0; k < 100; k++)
        assert_false(ignored_count(&i, -EPROTONOSUPPORT, 1000 + k * 300));
    assert_true(ignored_count(&i, -EACCES, 31000)); /* another kind is news */
    assert_false(ignored_count(&i, -EACCES, 31000));
    assert_true(ignored_count(&i, -EPROTONOSUPPORT, 61000));
    assert_int_equal(i.n[IGNORED_VERSION], 102);
    i.n[IGNORED_VERSION] = UINT32_MAX;
    (void)ignored_count(&i, -EPROTONOSUPPORT, 61000);
    assert_int_equal(i.n[IGNORED_VERSION], UINT32_MAX);
}

/* Somebody sends again what a node has said in an earlier run or boot: in the present ring it would say that nothing runs
 * there while something does. */
static void an_earlier_run_is_not_heard_again(void **state)
{
    struct cpgmsg old = peer_message(5, 7), now_on = peer_message(5, 1);
    struct core_id dead[CORE_NODES] = { { 0, 0 }, { 2, 2 } };

    (void)state;
    now_on.run = 10;
    now_on.boot = (struct id128){ 3, 3 };
    now_on.flags = 0;
    assert_int_equal(say(&old, 2, 1100), 0);
    assert_int_equal(say(&now_on, 2, 1200), 0);
    old.seq = 8;
    assert_int_equal(say(&old, 2, 1300), -ESTALE);
    assert_false(at(1300)->peer[1].no_service);
    assert_int_equal(now.peer[1].boot.hi, 3);
    assert_int_equal(f.peer[1].msg_ms, 1200);
    for (uint64_t run = 20; run < 20 + FACTS_PAST - 2; run++) { /* and not after some more restarts either */
        now_on.run = run;
        assert_int_equal(say(&now_on, 2, 1300), 0);
    }
    old.seq = 9;
    assert_int_equal(say(&old, 2, 1400), -ESTALE);
    facts_dead(&f, dead, 1500);
    assert_false(at(1500)->peer[1].dead_boot_seen);
    old.seq = 10;
    assert_int_equal(say(&old, 2, 1600), -ESTALE); /* but that a dead boot speaks is a sign, whatever it says */
    assert_true(at(1600)->peer[1].dead_boot_seen);
}

/* A boot id that changes proves that what ran before has gone: no run can say that of itself. */
static void a_run_has_one_boot(void **state)
{
    struct cpgmsg m = peer_message(5, 7);

    (void)state;
    assert_int_equal(say(&m, 2, 1100), 0);
    m.boot = (struct id128){ 3, 3 };
    m.seq = 8;
    assert_int_equal(say(&m, 2, 1200), -EACCES);
    assert_int_equal(at(1200)->peer[1].boot.hi, 2);
    assert_int_equal(f.peer[1].msg_ms, 1100);
    m.run = 10;
    assert_int_equal(say(&m, 2, 1300), 0);
    assert_int_equal(at(1300)->peer[1].boot.hi, 3);
}

static void a_sample_of_a_time_to_come_is_as_old_as_its_message(void **state)
{
    struct wire_members m = f.members;

    (void)state;
    m.sampled_ms = UINT64_C(1) << 40;
    (void)facts_members(&f, &m, 5000);
    assert_true(at(5000 + FACTS_MEMBERS_FRESH_MS - 1)->members_fresh);
    assert_false(at(5000 + FACTS_MEMBERS_FRESH_MS)->members_fresh);
}

static void what_a_node_says_of_its_release(void **state)
{
    struct cpgmsg m = peer_message(5, 1);
    struct watch_report r = { .share = SHARE_OK, .highest = 4, .local_max = 4, .listed_ms = 1000,
                              .before = { .n = 3, .node = 1, .ended = true, .planned = true } };
    struct core c;

    (void)state;
    assert_int_equal(say(&m, 2, 1100), 0);
    assert_false(at(1100)->peer[1].releasing);
    m.flags |= CPGMSG_RELEASING;
    m.seq++;
    assert_int_equal(say(&m, 2, 1100), 0);
    assert_true(at(1100)->peer[1].releasing);
    facts_share(&f, &r, 1100);
    assert_true(at(1100)->before.n == 3 && at(1100)->before.planned);
    memset(&c, 0, sizeof c);
    facts_message(&f, 1100, &c, false, 1, &m);
    assert_false(m.flags & CPGMSG_RELEASING);
    c.state = ST_ENDING;
    c.end_planned = true;
    facts_message(&f, 1100, &c, false, 1, &m);
    assert_true(m.flags & CPGMSG_RELEASING);
}

/* A link that is cut again while the votes of a new ring are counted: the next ring is there after token and consensus only. */
static void a_tenure_outlives_a_ring_that_breaks_while_it_settles(void **state)
{
    struct wire_members m = members(1000, 6, 0);

    (void)state;
    m.quorate = 0;
    m.detect_ms = 1250;
    (void)facts_members(&f, &m, 1001);
    m.sampled_ms = 2200;
    (void)facts_members(&f, &m, 2200);
    assert_true(at(2250)->quorum_settling); /* nobody has said that we are not quorate */
    assert_true(at(1001 + FACTS_SETTLE_MS + 1249)->quorum_settling);
    assert_false(at(1001 + FACTS_SETTLE_MS + 1250)->quorum_settling);
    m.detect_ms = UINT32_MAX;
    (void)facts_members(&f, &m, 2251);
    assert_false(at(1001 + FACTS_SETTLE_MS + FACTS_DETECT_MAX_MS)->quorum_settling);
    m.cpg_ring = m.quorum_ring = 7;
    m.quorate = 1;
    (void)facts_members(&f, &m, 2300);
    assert_true(at(2300)->quorate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_ignored_is_counted_and_named, setup),
        cmocka_unit_test_setup(the_log_is_not_flooded, setup),
        cmocka_unit_test_setup(an_earlier_run_is_not_heard_again, setup),
        cmocka_unit_test_setup(a_run_has_one_boot, setup),
        cmocka_unit_test_setup(a_sample_of_a_time_to_come_is_as_old_as_its_message, setup),
        cmocka_unit_test_setup(what_a_node_says_of_its_release, setup),
        cmocka_unit_test_setup(a_tenure_outlives_a_ring_that_breaks_while_it_settles, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
