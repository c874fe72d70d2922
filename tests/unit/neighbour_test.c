/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ARP frames and neighbour discovery packets, also hostile ones, say about an address. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resource/arp.h"
#include "resource/nd.h"

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 9 }, third[6] = { 2, 0, 0, 0, 0, 7 };

static struct ipaddr ip(const char *text)
{
    struct ipaddr a;

    assert_int_equal(ipaddr_parse(text, &a), 0);
    return a;
}

static void arp_make(uint8_t f[ARP_FRAME_SIZE], uint8_t op, const char *sender, const char *target)
{
    static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 0 };
    struct ipaddr        s = ip(sender), t = ip(target);

    memset(f, 0, ARP_FRAME_SIZE);
    memcpy(f, head, sizeof head);
    f[7] = op;
    memcpy(f + 8, other, 6);
    memcpy(f + 14, s.byte, 4);
    memcpy(f + 24, t.byte, 4);
}

static void test_arp(void **state)
{
    uint8_t       f[ARP_FRAME_SIZE], mac[6];
    struct ipaddr a = ip("10.9.0.100");

    (void)state;
    arp_make(f, 2, "10.9.0.100", "0.0.0.0");
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_TAKEN);
    assert_memory_equal(mac, other, 6);
    arp_make(f, 1, "10.9.0.100", "10.9.0.7"); /* asks as the owner of the address */
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_TAKEN);
    arp_make(f, 1, "0.0.0.0", "10.9.0.100"); /* probes for it at the same moment */
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_CONTENDER);
    arp_make(f, 1, "10.9.0.2", "10.9.0.100"); /* only wants to talk to it */
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_SILENT);
    arp_make(f, 2, "10.9.0.101", "10.9.0.100");
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_SILENT);
    arp_make(f, 2, "10.9.0.100", "0.0.0.0");
    assert_int_equal(arp_frame_judge(f, sizeof f - 1, &a, own, mac), NEIGHBOUR_SILENT);
    memcpy(f + 8, own, 6); /* our own frame, reflected */
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_SILENT);
}

/* What we send is understood by what we judge with, at the other end. */
static void test_arp_built(void **state)
{
    uint8_t       f[ARP_FRAME_SIZE], mac[6];
    struct ipaddr a = ip("10.9.0.100");

    (void)state;
    arp_frame_make(f, ARP_REQUEST, other, &a, false);
    assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_CONTENDER);
    for (enum arp_op op = ARP_REQUEST; op <= ARP_REPLY; op++) {
        arp_frame_make(f, op, other, &a, true);
        assert_int_equal(f[7], op);
        assert_int_equal(arp_frame_judge(f, sizeof f, &a, own, mac), NEIGHBOUR_TAKEN);
        assert_memory_equal(mac, other, 6);
    }
}

#define TARGET   "2001:db8::100"
#define GROUP    "ff02::1:ff00:100"
#define EVERYONE "ff02::1"

struct packet {
    uint8_t byte[256];
    size_t  len;
};

/* RFC 1071, written down once more: a mistake in the product's own must not judge itself. */
static void sum_put(struct packet *p)
{
    uint32_t sum = 58 + (uint32_t)(p->len - 40);

    p->byte[42] = p->byte[43] = 0;
    for (size_t i = 8; i < p->len; i += 2) {
        sum += (uint32_t)p->byte[i] << 8;
        if (i + 1 < p->len)
            sum += p->byte[i + 1];
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    p->byte[42] = (uint8_t)(~sum >> 8);
    p->byte[43] = (uint8_t)~sum;
}

static void length_put(struct packet *p, size_t len)
{
    p->len = len;
    p->byte[4] = (uint8_t)((len - 40) >> 8);
    p->byte[5] = (uint8_t)(len - 40);
    sum_put(p);
}

/* `option`: the type of a link-layer address option with `third` in it, or 0. */
static struct packet make(uint8_t type, const char *source, const char *to, const char *target, uint8_t option)
{
    struct packet p = { .byte = { 0x60, 0, 0, 0, 0, 0, 58, 255 } };
    struct ipaddr s = ip(source), d = ip(to), t = ip(target);

    memcpy(p.byte + 8, s.byte, 16);
    memcpy(p.byte + 24, d.byte, 16);
    memcpy(p.byte + 48, t.byte, 16);
    p.byte[40] = type;
    if (option) {
        p.byte[64] = option;
        p.byte[65] = 1;
        memcpy(p.byte + 66, third, 6);
    }
    length_put(&p, option ? 72 : 64);
    return p;
}

/* From a buffer of exactly its size, so that a sanitizer sees who reads beyond it. */
static enum neighbour_verdict judge_from(const struct packet *p, const uint8_t from[6], uint8_t mac[6])
{
    uint8_t               *copy = malloc(p->len ? p->len : 1);
    struct ipaddr          a = ip(TARGET);

    assert_non_null(copy);
    memcpy(copy, p->byte, p->len);
    enum neighbour_verdict v = nd_packet_judge(copy, p->len, from, &a, own, mac);
    free(copy);
    return v;
}

static enum neighbour_verdict judge(const struct packet *p)
{
    uint8_t mac[6];

    return judge_from(p, other, mac);
}

static void test_nd(void **state)
{
    uint8_t       mac[6];
    struct packet p = make(136, "fe80::9", EVERYONE, TARGET, 2);

    (void)state;
    assert_int_equal(judge_from(&p, other, mac), NEIGHBOUR_TAKEN);
    assert_memory_equal(mac, third, 6); /* whom it names */
    p = make(136, "fe80::9", EVERYONE, TARGET, 0);
    assert_int_equal(judge_from(&p, other, mac), NEIGHBOUR_TAKEN);
    assert_memory_equal(mac, other, 6); /* it names nobody: who sent it */
    p = make(135, TARGET, "ff02::1:ff00:7", "2001:db8::7", 1); /* asks as the owner of the address */
    assert_int_equal(judge(&p), NEIGHBOUR_TAKEN);
    p = make(135, "::", GROUP, TARGET, 0); /* probes for it at the same moment */
    assert_int_equal(judge_from(&p, other, mac), NEIGHBOUR_CONTENDER);
    assert_memory_equal(mac, other, 6);
    for (uint8_t option = 0; option <= 1; option++) {
        p = make(135, "2001:db8::2", GROUP, TARGET, option); /* only wants to talk to it */
        assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    }
    p = make(135, "::", GROUP, "2001:db8:1::100", 0); /* probes for another one of the same group */
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    p = make(136, TARGET, EVERYONE, "2001:db8::101", 2); /* another address */
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    p = make(135, "::", "ff02::1:ff00:101", "2001:db8::101", 0);
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    p = make(134, "fe80::9", EVERYONE, TARGET, 0); /* a router's, which looks alike */
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    p = make(136, "fe80::9", EVERYONE, TARGET, 2); /* our own, reflected */
    assert_int_equal(judge_from(&p, own, mac), NEIGHBOUR_SILENT);
}

/* The nonce of RFC 7527, which Linux sends with its own check, is no reason to drop it. */
static void test_nd_nonce(void **state)
{
    struct packet p = make(135, "::", GROUP, TARGET, 14);

    (void)state;
    assert_int_equal(judge(&p), NEIGHBOUR_CONTENDER);
}

/* What RFC 4861 7.1 tells a host to drop; each would be believed but for one thing. */
static void test_nd_hostile(void **state)
{
    static const struct { unsigned at; uint8_t value; const char *what; } one[] = {
        { 0, 0x40, "version 4" }, { 6, 0, "behind an extension header" }, { 7, 254, "forwarded: from another link" },
        { 41, 1, "a code" }, { 44, 0x40, "solicited, to everybody" }, { 65, 0, "an option without a length" },
        { 65, 2, "an option beyond the end" },
    };
    struct packet p;

    (void)state;
    for (unsigned i = 0; i < sizeof one / sizeof one[0]; i++) {
        p = make(136, "fe80::9", EVERYONE, TARGET, 2);
        assert_int_equal(judge(&p), NEIGHBOUR_TAKEN);
        p.byte[one[i].at] = one[i].value;
        sum_put(&p);
        if (judge(&p) != NEIGHBOUR_SILENT)
            fail_msg("believed: %s", one[i].what);
    }
    p = make(136, "fe80::9", EVERYONE, TARGET, 2);
    p.byte[70] ^= 1;
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT); /* its checksum is wrong */
    p = make(135, "::", GROUP, TARGET, 1);
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT); /* from nobody, and says from where */
    p = make(135, "::", EVERYONE, TARGET, 0);
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT); /* from nobody, not to the group of the address */
    p = make(136, "fe80::9", EVERYONE, TARGET, 2);
    length_put(&p, 65); /* half of an option's head */
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    length_put(&p, 63);
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
    p = make(136, "fe80::9", EVERYONE, TARGET, 2);
    size_t whole = p.len;
    length_put(&p, 56); /* it says that its target is no part of it */
    p.len = whole;
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
}

static void test_nd_lengths(void **state)
{
    struct packet p = make(136, "fe80::9", EVERYONE, TARGET, 2);
    size_t        whole = p.len;

    (void)state;
    for (p.len = 0; p.len < whole; p.len++)
        assert_int_equal(judge(&p), NEIGHBOUR_SILENT); /* shorter than it says */
    p.len = whole + 18; /* padding of the link */
    assert_int_equal(judge(&p), NEIGHBOUR_TAKEN);
    p.len = whole;
    p.byte[4] = 0xff;
    assert_int_equal(judge(&p), NEIGHBOUR_SILENT);
}

static void test_nd_built(void **state)
{
    struct packet want = make(135, "::", GROUP, TARGET, 0);
    struct ipaddr a = ip(TARGET);
    uint8_t       got[ND_PROBE_SIZE], group[16], mac[6];
    const uint8_t group_mac[6] = { 0x33, 0x33, 0xff, 0, 1, 0 };

    (void)state;
    nd_probe_make(got, &a);
    assert_int_equal(want.len, sizeof got);
    assert_memory_equal(got, want.byte, sizeof got);
    nd_solicited_group(&a, group);
    nd_group_mac(group, mac);
    assert_memory_equal(mac, group_mac, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arp), cmocka_unit_test(test_arp_built), cmocka_unit_test(test_nd),
        cmocka_unit_test(test_nd_nonce), cmocka_unit_test(test_nd_hostile), cmocka_unit_test(test_nd_lengths),
        cmocka_unit_test(test_nd_built),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
