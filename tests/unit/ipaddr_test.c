/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts of IP addresses: which can be a floating one, and which name the same. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/ipaddr.h"

static const struct { const char *text; enum ipaddr_fault fault; unsigned prefix; const char *canonical; } table[] = {
    { "10.77.1.100", IPADDR_GOOD, 0, "10.77.1.100" }, { "10.77.1.100/24", IPADDR_GOOD, 24, "10.77.1.100" },
    { "10.77.1.100/32", IPADDR_GOOD, 32, "10.77.1.100" }, { "10.0.0.0/24", IPADDR_GOOD, 24, "10.0.0.0" },
    { "2001:db8::100/64", IPADDR_GOOD, 64, "2001:db8::100" }, { "2001:db8::100", IPADDR_GOOD, 0, "2001:db8::100" },
    { "2001:DB8:0:0:0:0:0:100/128", IPADDR_GOOD, 128, "2001:db8::100" }, { "fd00::1/1", IPADDR_GOOD, 1, "fd00::1" },
    { "2001:db8::/127", IPADDR_GOOD, 127, "2001:db8::" }, { "2001:db8::/128", IPADDR_GOOD, 128, "2001:db8::" },
    { "2001:db8::", IPADDR_GOOD, 0, "2001:db8::" }, { "fec0::1/64", IPADDR_GOOD, 64, "fec0::1" },
    { "1:203:405:607:809:a0b:255.255.255.254/126", IPADDR_GOOD, 126, "1:203:405:607:809:a0b:ffff:fffe" },
    { "64:ff9b::192.0.2.1/96", IPADDR_GOOD, 96, "64:ff9b::c000:201" },
    { "", IPADDR_MALFORMED, 0, NULL }, { "/24", IPADDR_MALFORMED, 0, NULL }, { "10.0.0", IPADDR_MALFORMED, 0, NULL },
    { "10.0.0.1/0", IPADDR_MALFORMED, 0, NULL }, { "10.0.0.1/33", IPADDR_MALFORMED, 0, NULL },
    { "10.0.0.1/", IPADDR_MALFORMED, 0, NULL }, { "10.0.0.1/24x", IPADDR_MALFORMED, 0, NULL },
    { "10.0.0.1 ", IPADDR_MALFORMED, 0, NULL }, { "10.0.0.1/64", IPADDR_MALFORMED, 0, NULL },
    { "2001:db8::100/0", IPADDR_MALFORMED, 0, NULL }, { "2001:db8::100/129", IPADDR_MALFORMED, 0, NULL },
    { "2001:db8::100/", IPADDR_MALFORMED, 0, NULL }, { "2001:db8::100/-1", IPADDR_MALFORMED, 0, NULL },
    { "2001:db8::100/64/64", IPADDR_MALFORMED, 0, NULL }, { "2001:db8::100%eth0/64", IPADDR_MALFORMED, 0, NULL },
    { "[2001:db8::100]/64", IPADDR_MALFORMED, 0, NULL }, { "2001:db8::1::2/64", IPADDR_MALFORMED, 0, NULL },
    { "2001:db8/32", IPADDR_MALFORMED, 0, NULL }, { "12345::/16", IPADDR_MALFORMED, 0, NULL },
    { " 2001:db8::100/64", IPADDR_MALFORMED, 0, NULL }, { "2001:db8::100\n/64", IPADDR_MALFORMED, 0, NULL },
    { "2001:0db8:0000:0000:0000:0000:0000:0100:0000:0000:0000:0000/64", IPADDR_MALFORMED, 0, NULL },
    { "0.0.0.0", IPADDR_NO_HOST, 0, NULL }, { "127.0.0.1/8", IPADDR_NO_HOST, 0, NULL },
    { "224.0.0.1", IPADDR_NO_HOST, 0, NULL }, { "255.255.255.255", IPADDR_NO_HOST, 0, NULL },
    { "::/64", IPADDR_UNSPECIFIED, 0, NULL }, { "0:0::0", IPADDR_UNSPECIFIED, 0, NULL },
    { "::1/128", IPADDR_LOOPBACK, 0, NULL }, { "ff02::1/64", IPADDR_MULTICAST, 0, NULL },
    { "ffff::1/64", IPADDR_MULTICAST, 0, NULL }, { "fe80::1/64", IPADDR_LINK_LOCAL, 0, NULL },
    { "febf:ffff::1/10", IPADDR_LINK_LOCAL, 0, NULL }, { "::ffff:192.0.2.1/96", IPADDR_MAPPED, 0, NULL },
    { "::ffff:c000:201/128", IPADDR_MAPPED, 0, NULL }, { "::192.0.2.1/96", IPADDR_MAPPED, 0, NULL },
    { "2001:db8::/64", IPADDR_ANYCAST, 0, NULL }, { "2001:db8::4/126", IPADDR_ANYCAST, 0, NULL },
    { "2001:db8:0:0:8000::/65", IPADDR_ANYCAST, 0, NULL }, { "2001:db8:0:0:8000::/64", IPADDR_GOOD, 64, "2001:db8:0:0:8000::" },
};

static void test_which_can_float(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ipaddr     a = { .family = 99 };
        unsigned          prefix = 999;
        char              text[IPADDR_TEXT_MAX];
        enum ipaddr_fault fault = ipaddr_host_parse(table[i].text, &a, &prefix);

        if (fault != table[i].fault)
            fail_msg("%s: %d instead of %d", table[i].text, (int)fault, (int)table[i].fault);
        if (fault != IPADDR_GOOD) {
            assert_true(a.family == 99 && prefix == 999); /* untouched */
            assert_true(strncmp(ipaddr_fault_text(fault), "it is ", 6) == 0 && strlen(ipaddr_fault_text(fault)) > 20);
            continue;
        }
        ipaddr_text(&a, text);
        assert_string_equal(text, table[i].canonical);
        assert_int_equal(prefix, table[i].prefix);
    }
}

static struct ipaddr ip(const char *text)
{
    struct ipaddr a;

    assert_int_equal(ipaddr_parse(text, &a), 0);
    return a;
}

static bool holds(const char *a, unsigned prefix, const char *b)
{
    struct ipaddr x = ip(a), y = ip(b);

    return ipaddr_subnet_holds(&x, prefix, &y);
}

static void test_subnet(void **state)
{
    (void)state;
    assert_true(holds("10.9.0.1", 24, "10.9.0.100") && !holds("10.9.0.1", 24, "10.9.1.100"));
    assert_true(holds("10.9.0.1", 23, "10.9.1.100") && !holds("10.9.0.1", 23, "10.9.2.1"));
    assert_true(holds("10.9.0.1", 0, "192.0.2.1") && holds("10.9.0.1", 32, "10.9.0.1"));
    assert_true(!holds("10.9.0.1", 32, "10.9.0.2") && !holds("10.9.0.1", 33, "10.9.0.1"));
    assert_true(holds("2001:db8::1", 64, "2001:db8::ff:100") && !holds("2001:db8::1", 64, "2001:db8:0:1::1"));
    assert_true(holds("2001:db8::1", 127, "2001:db8::") && !holds("2001:db8::1", 127, "2001:db8::2"));
    assert_true(holds("2001:db8::1", 128, "2001:db8::1") && !holds("2001:db8::1", 128, "2001:db8::"));
    assert_true(!holds("2001:db8::1", 129, "2001:db8::1"));
    assert_true(!holds("0.0.0.0", 0, "::1") && !holds("::", 0, "10.0.0.1")); /* of two versions: never */
}

static void test_same(void **state)
{
    (void)state;
    assert_true(ipaddr_same("2001:db8::100", "2001:DB8:0:0::0100/64"));
    assert_true(ipaddr_same("192.0.2.100", "192.0.2.100/24") && ipaddr_same("lmtp.example.org", "lmtp.example.org"));
    assert_false(ipaddr_same("192.0.2.10", "192.0.2.100/24"));
    assert_false(ipaddr_same("192.0.2.100", "::ffff:192.0.2.100/96"));
    assert_false(ipaddr_same("2001:db8::100", "2001:db8::101/64"));
    assert_false(ipaddr_same("", "192.0.2.100/24") || ipaddr_same("[2001:db8::100]", "2001:db8::100/64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_can_float), cmocka_unit_test(test_subnet), cmocka_unit_test(test_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
