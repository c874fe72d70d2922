/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts: what is old, from another ring, of another cluster or boot must not look fresh. */
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
    cfg.insecure_cluster = false;
    facts_init(&f, &cfg, 0, 77, &boot_a);
    (void)facts_members(&f, &m, 1000);
    return 0;
}

static void corosync_that_stops_grows_old(void **state)
{
    (void)state;
    assert_true(at(1000 + FACTS_MEMBERS_FRESH_MS - 1)->members_fresh);
    assert_false(at(1000 + FACTS_MEMBERS_FRESH_MS)->members_fresh);
}

static void quorate_is_of_the_same_ring(void **state)
{
    struct wire_members m = members(1000, 6, 5);

    (void)state;
    assert_true(at(1000)->quorate);
    assert_true(facts_members(&f, &m, 1001));
    assert_false(at(1001)->quorate);
    assert_true(at(1001)->quorum_settling);
    assert_true(at(1000 + FACTS_SETTLE_MS)->quorum_settling);
    assert_false(at(1001 + FACTS_SETTLE_MS)->quorum_settling);
    m.quorum_ring = 6;
    assert_true(facts_members(&f, &m, 1002));
    assert_true(at(1002)->quorate);
    assert_false(facts_members(&f, &m, 1003)); /* nothing new */
}

static void a_tenure_outlives_the_settling_of_a_ring(void **state)
{
    struct wire_members m = members(1000, 6, 5);

    (void)state;
    (void)facts_members(&f, &m, 1001);
    assert_false(at(1001)->quorate);
    assert_true(at(1001)->quorum_settling);
    (void)facts_members(&f, &m, 1500); /* the same again does not begin anew */
    assert_true(at(1001 + FACTS_SETTLE_MS - 1)->quorum_settling);
    assert_false(at(1001 + FACTS_SETTLE_MS)->quorum_settling);
    m.quorum_ring = 6;
    (void)facts_members(&f, &m, 2500);
    assert_true(at(2500)->quorate);
    assert_false(at(2500)->quorum_settling);
    m.cpg_ring = 7;
    m.quorum_ring = 0;
    m.quorate = 0; /* the votes are being counted: the last verdict was yes */
    (void)facts_members(&f, &m, 2550);
    assert_true(at(2550)->quorum_settling);
    assert_false(at(2550)->quorate);
    m.quorum_ring = 6; /* said not quorate: no settling */
    (void)facts_members(&f, &m, 2600);
    assert_false(at(2600)->quorum_settling);
    m.quorate = 1;
    m.connected = 0;
    (void)facts_members(&f, &m, 2700);
    assert_int_equal(at(2700)->ring, 0); /* no ring: nothing to settle */
}

static void a_group_without_us_is_no_ring(void **state)
{
    struct wire_members m = members(1000, 6, 6);

    (void)state;
    m.member[0] = 2;
    m.member[1] = 0;
    m.n_members = 1;
    (void)facts_members(&f, &m, 1001);
    assert_int_equal(at(1001)->ring, 0);
    assert_false(now.quorate);
    assert_false(now.peer[1].in_ring);
}

static void an_unencrypted_cluster_needs_a_word_of_the_config(void **state)
{
    struct wire_members m = members(1000, 5, 5);

    (void)state;
    m.encrypted = 0;
    (void)facts_members(&f, &m, 1001);
    assert_false(at(1001)->encrypted_ok);
    cfg.insecure_cluster = true;
    assert_true(at(1001)->encrypted_ok);
}

static void a_member_that_says_nothing_is_not_heard(void **state)
{
    struct cpgmsg m = peer_message(5, 1);

    (void)state;
    assert_true(at(1000)->peer[1].in_ring);
    assert_false(now.peer[1].heard);
    assert_int_equal(say(&m, 2, 1100), 0);
    assert_true(at(1100)->peer[1].heard);
    assert_true(at(1100 + 3 * CPGMSG_EVERY_MS - 1)->peer[1].heard);
    assert_false(at(1100 + 3 * CPGMSG_EVERY_MS)->peer[1].heard);
}

static void a_message_of_an_earlier_ring_does_not_count(void **state)
{
    struct cpgmsg m = peer_message(5, 1);
    struct wire_members next = members(1150, 6, 6);

    (void)state;
    assert_int_equal(say(&m, 2, 1100), 0);
    (void)facts_members(&f, &next, 1150);
    assert_false(at(1150)->peer[1].heard);
    m = peer_message(6, 2);
    assert_int_equal(say(&m, 2, 1160), 0);
    assert_true(at(1160)->peer[1].heard);
}

static void messages_that_are_not_taken(void **state)
{
    struct cpgmsg m = peer_message(5, 1);
    struct wire_cpg in = { .sender = 2, .len = CPGMSG_SIZE_MAX };

    (void)state;
    assert_int_equal(say(&m, 3, 1100), -EACCES);      /* not configured */
    m.node = 1;
    assert_int_equal(say(&m, 2, 1100), -EACCES);      /* says it is another */
    m = peer_message(5, 1);
    m.cluster++;
    assert_int_equal(say(&m, 2, 1100), -EXDEV);
    assert_int_equal(facts_cpg(&f, &in, 1100), -EBADMSG);
    in.len = UINT32_MAX;
    assert_int_equal(facts_cpg(&f, &in, 1100), -EBADMSG);
    assert_false(at(1100)->peer[1].heard);
    m = peer_message(5, 8);
    assert_int_equal(say(&m, 2, 1100), 0);
    assert_int_equal(say(&m, 2, 1200), -EALREADY);    /* a repeated one makes nothing fresh */
    assert_int_equal(f.peer[1].msg_ms, 1100);
}

static void a_different_configuration_is_named(void **state)
{
    struct cpgmsg m = peer_message(5, 1);

    (void)state;
    assert_null(facts_digest_difference(&f, 1));
    m.digest.value[2]++;
    assert_int_equal(say(&m, 2, 1100), 0);
    assert_true(at(1100)->peer[1].digest_differs);
    assert_string_equal(facts_digest_difference(&f, 1), config_digest_key(2));
}

static struct watch_report beat(uint64_t counter, uint64_t boot, uint64_t listed_ms)
{
    struct watch_report r = { .share = SHARE_OK, .highest = 4, .local_max = 4, .listed_ms = listed_ms };

    r.beat[1] = (struct watch_beat){ .seen = true, .boot = { boot, boot }, .run = 9, .counter = counter };
    return r;
}

static void beats_are_judged_by_change_on_our_clock(void **state)
{
    struct watch_report r = beat(10, 2, 2000);

    (void)state;
    facts_share(&f, &r, 2000);
    assert_true(at(2299)->peer[1].beat_moves);
    r.listed_ms = 2250;
    facts_share(&f, &r, 2250); /* the same counter */
    assert_false(at(2300)->peer[1].beat_moves);
    r = beat(11, 2, 2400);
    facts_share(&f, &r, 2400);
    assert_true(at(2400)->peer[1].beat_moves);
}

static void a_share_that_does_not_answer_is_unknown(void **state)
{
    struct watch_report r = beat(10, 2, 2000);

    (void)state;
    assert_int_equal(at(1000)->share, SHARE_UNKNOWN);
    facts_share(&f, &r, 2100); /* came late: it is as old as its listing */
    assert_int_equal(at(2100)->share, SHARE_OK);
    assert_int_equal(now.share_seen_ms, 2000);
    assert_int_equal(at(2999)->share, SHARE_OK);
    assert_int_equal(at(3000)->share, SHARE_UNKNOWN);
    assert_int_equal(now.highest, 4);
}

static void a_dead_boot_that_beats_again_is_a_sign(void **state)
{
    struct core_id dead[CORE_NODES] = { { 0, 0 }, { 2, 2 } };
    struct watch_report r = beat(10, 2, 2000);

    (void)state;
    facts_share(&f, &r, 2000);
    facts_dead(&f, dead, 2100);
    r = beat(11, 2, 2090);
    facts_share(&f, &r, 2110);  /* listed before the proof */
    assert_false(at(2110)->peer[1].dead_boot_seen);
    r = beat(12, 2, 2200);
    facts_share(&f, &r, 2200);  /* the first one after it: where it stopped */
    assert_false(at(2200)->peer[1].dead_boot_seen);
    r = beat(13, 3, 2300);
    facts_share(&f, &r, 2300);  /* another boot: it came back, as it may */
    assert_false(at(2300)->peer[1].dead_boot_seen);
    r = beat(14, 2, 2400);
    facts_share(&f, &r, 2400);
    assert_true(at(2400)->peer[1].dead_boot_seen);
}

static void a_dead_boot_that_speaks_is_a_sign(void **state)
{
    struct core_id dead[CORE_NODES] = { { 0, 0 }, { 2, 2 } };
    struct cpgmsg m = peer_message(5, 1);

    (void)state;
    assert_int_equal(say(&m, 2, 1100), 0);
    facts_dead(&f, dead, 1200);
    assert_false(at(1200)->peer[1].dead_boot_seen);
    m = peer_message(5, 2);
    assert_int_equal(say(&m, 2, 1300), 0);
    assert_true(at(1300)->peer[1].dead_boot_seen);
}

static void a_scan_from_before_a_start_is_not_believed(void **state)
{
    unsigned round = f.scan_round;

    (void)state;
    assert_int_equal(at(1000)->service_here, TRI_UNKNOWN);
    facts_scan(&f, TRI_NO, 1000, round);
    assert_int_equal(at(1000)->service_here, TRI_NO);
    facts_scan_forget(&f);
    assert_int_equal(at(1001)->service_here, TRI_UNKNOWN);
    facts_scan(&f, TRI_NO, 1000, round);
    assert_int_equal(at(1001)->service_here, TRI_UNKNOWN);
    facts_scan(&f, TRI_YES, 1002, f.scan_round);
    assert_int_equal(at(1002)->service_here, TRI_YES);
    assert_int_equal(at(1002 + FACTS_SCAN_FRESH_MS)->service_here, TRI_UNKNOWN);
}

static void our_message_claims_nothing_that_is_not_proven(void **state)
{
    struct core_config cc = { .n_nodes = 2, .drain_ms = 1, .max_failures = 1 };
    struct core c;
    struct cpgmsg m;

    (void)state;
    core_init(&c, &cc, 1000);
    facts_message(&f, 1000, &c, false, 3, &m);
    assert_int_equal(m.flags & CPGMSG_NO_LIST_PROCESS, 0); /* /proc was not read yet */
    assert_int_equal(m.seq, 3);
    assert_int_equal(m.ring, 5);
    facts_scan(&f, TRI_NO, 1000, f.scan_round);
    facts_message(&f, 1000, &c, false, 4, &m);
    assert_int_equal(m.flags, CPGMSG_NO_LIST_PROCESS | CPGMSG_NO_SHARE_CHILD | CPGMSG_NO_END_PENDING);
    f.unreaped = 1;
    facts_message(&f, 1000, &c, true, 5, &m);
    assert_int_equal(m.flags, CPGMSG_NO_LIST_PROCESS);
    struct watch_report r = beat(10, 2, 2000);
    facts_share(&f, &r, 2000);
    r = (struct watch_report){ .share = SHARE_WRONG, .listed_ms = 2100 };
    facts_share(&f, &r, 2100);
    facts_message(&f, 2100, &c, false, 6, &m);
    assert_int_equal(m.epoch, 4); /* what was seen stays seen */
}

static void looks_between_two_beats_do_not_stand_for_silence(void **state)
{
    struct watch_report r = beat(10, 2, 2000);

    (void)state;
    facts_share(&f, &r, 2000);
    for (uint64_t ms = 2020; ms <= 2060; ms += 20) { /* nudged */
        r.listed_ms = ms;
        facts_share(&f, &r, ms);
    }
    assert_int_equal(at(2060)->peer[1].beat_same, 0);
    for (uint64_t ms = 2100; ms <= 2300; ms += 100) {
        r.listed_ms = ms;
        facts_share(&f, &r, ms);
        r.listed_ms = ms + 20;
        facts_share(&f, &r, ms + 20);
    }
    assert_int_equal(at(2320)->peer[1].beat_same, 3);
    r = beat(11, 2, 2340);
    facts_share(&f, &r, 2340); /* a change counts at once */
    assert_int_equal(at(2340)->peer[1].beat_same, 0);
    assert_true(now.peer[1].beat_moves);
}

static void maintenance_is_a_fact_and_whether_it_is_sound(void **state)
{
    static const struct { enum watch_maintenance said; bool on, sound; } cases[] = {
        { MAINTENANCE_OFF, false, false }, { MAINTENANCE_ON, true, true }, { MAINTENANCE_MALFORMED, true, false } };

    (void)state;
    assert_false(at(1000)->maintenance);
    for (unsigned i = 0; i < 3; i++) {
        struct watch_report r = beat(10 + i, 2, 2000 + i);
        r.maintenance = cases[i].said;
        facts_share(&f, &r, 2000 + i);
        assert_int_equal(at(2000 + i)->maintenance, cases[i].on);
        assert_int_equal(now.maintenance_sound, cases[i].sound);
    }
    assert_true(at(9000)->maintenance); /* the share hangs: what was seen last holds */
}

static void a_share_that_lost_epochs_is_behind_and_no_other_share(void **state)
{
    struct watch_report r = { .share = SHARE_WRONG, .listed_ms = 1000, .why = "epoch-lost" };

    (void)state;
    facts_share(&f, &r, 1000);
    facts_fill(&f, 1000, &now);
    assert_int_equal(now.share, SHARE_BEHIND);
    memcpy(r.why, "no-identity", sizeof "no-identity");
    facts_share(&f, &r, 1000);
    facts_fill(&f, 1000, &now);
    assert_int_equal(now.share, SHARE_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(corosync_that_stops_grows_old, setup),
        cmocka_unit_test_setup(quorate_is_of_the_same_ring, setup),
        cmocka_unit_test_setup(a_tenure_outlives_the_settling_of_a_ring, setup),
        cmocka_unit_test_setup(a_group_without_us_is_no_ring, setup),
        cmocka_unit_test_setup(an_unencrypted_cluster_needs_a_word_of_the_config, setup),
        cmocka_unit_test_setup(a_member_that_says_nothing_is_not_heard, setup),
        cmocka_unit_test_setup(a_message_of_an_earlier_ring_does_not_count, setup),
        cmocka_unit_test_setup(messages_that_are_not_taken, setup),
        cmocka_unit_test_setup(a_different_configuration_is_named, setup),
        cmocka_unit_test_setup(beats_are_judged_by_change_on_our_clock, setup),
        cmocka_unit_test_setup(a_share_that_does_not_answer_is_unknown, setup),
        cmocka_unit_test_setup(a_dead_boot_that_beats_again_is_a_sign, setup),
        cmocka_unit_test_setup(a_dead_boot_that_speaks_is_a_sign, setup),
        cmocka_unit_test_setup(a_scan_from_before_a_start_is_not_believed, setup),
        cmocka_unit_test_setup(looks_between_two_beats_do_not_stand_for_silence, setup),
        cmocka_unit_test_setup(maintenance_is_a_fact_and_whether_it_is_sound, setup),
        cmocka_unit_test_setup(our_message_claims_nothing_that_is_not_proven, setup),
        cmocka_unit_test_setup(a_share_that_lost_epochs_is_behind_and_no_other_share, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
