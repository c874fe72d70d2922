/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of both IP versions in the configuration: the floating one, where LMTP listens, and the MX hosts. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config_rows.h"

static char errors[8192];
static struct config c;

static int read_built(void)
{
    char path[] = "/tmp/config_address_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");

    memset(errors, 0, sizeof errors);
    assert_true(fd >= 0 && out != NULL);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    int rc = config_read(path, &c, out);
    (void) fclose(out);
    (void) close(fd);
    (void) unlink(path);
    return rc;
}

/* The rows with `line` in the place of `key`. */
static int read_with(const char *key, const char *line)
{
    const struct row *r = NULL;

    for (unsigned i = 0; i < n_rows; i++)
        if (strcmp(rows[i].key, key) == 0)
            r = &rows[i];
    assert_non_null(r);
    (void) build(r, line);
    return read_built();
}

static void refused(const char *key, const char *value, const char *want)
{
    char line[256];

    (void) snprintf(line, sizeof line, "%s = %s\n", key, value);
    if (read_with(key, line) != -EINVAL || !strstr(errors, want) || !strstr(errors, value))
        fail_msg("%s: expected '%s', got '%s'", value, want, errors);
}

static void test_floating(void **state)
{
    static const struct { const char *value, *want; } bad[] = {
        { "2001:db8::100", "the IPv4 or IPv6 address of a host with its prefix" },
        { "2001:db8::100/0", "the IPv4 or IPv6 address of a host with its prefix" },
        { "2001:db8::100/129", "the IPv4 or IPv6 address of a host with its prefix" },
        { "2001:db8::g/64", "the IPv4 or IPv6 address of a host with its prefix" },
        { "192.0.2.1/", "the IPv4 or IPv6 address of a host with its prefix" },
        { "/24", "the IPv4 or IPv6 address of a host with its prefix" },
        { "::/64", "cannot be a floating address; it is the unspecified address" },
        { "::1/128", "cannot be a floating address; it is the loopback address" },
        { "ff02::1/64", "cannot be a floating address; it is a multicast address" },
        { "fe80::1/64", "cannot be a floating address; it is link-local" },
        { "::ffff:192.0.2.1/96", "cannot be a floating address; it is an IPv4 address in the notation of IPv6" },
        { "2001:db8::/64", "cannot be a floating address; it is the anycast address" },
    };

    (void) state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused("ip", bad[i].value, bad[i].want);
    assert_int_equal(read_with("ip", "ip = 2001:db8::100/64\n"), 0);
    assert_string_equal(c.address_ip, "2001:db8::100/64");
}

static unsigned warns_of_lmtp(void)
{
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");

    memset(errors, 0, sizeof errors);
    assert_non_null(out);
    (void) config_warn(&c, out);
    (void) fclose(out);
    return strstr(errors, "lmtp_host is not the floating address") != NULL;
}

static void test_lmtp_host(void **state)
{
    (void) state;
    assert_int_equal(read_with("lmtp_host", "lmtp_host = 2001:db8::100\n"), 0);
    assert_string_equal(c.list.intake_host, "2001:db8::100");
    assert_true(warns_of_lmtp()); /* the floating one is IPv4 */
    refused("lmtp_host", "[2001:db8::100]", "IPv6 without brackets");
    refused("lmtp_host", "2001:db8::100/64", "IPv6 without brackets");
    refused("lmtp_host", "mx:25", "IPv6 without brackets");
    /* The preset is the floating address; another notation of it is the same. */
    assert_int_equal(read_with("ip", "ip = 2001:db8::100/64\n"), 0);
    (void) snprintf(c.list.intake_host, sizeof c.list.intake_host, "2001:DB8:0::100");
    assert_false(warns_of_lmtp());
    (void) snprintf(c.list.intake_host, sizeof c.list.intake_host, "2001:db8::1");
    assert_true(warns_of_lmtp());
}

static void test_preset_is_the_floating_address(void **state)
{
    char *at;

    (void) state;
    assert_int_equal(read_with("lmtp_host", ""), 0);
    assert_string_equal(c.list.intake_host, "192.0.2.100");
    at = strstr(text, "ip = 192.0.2.100/24");
    assert_non_null(at);
    memcpy(at, "ip = 2001:db8::1/64", strlen("ip = 2001:db8::1/64")); /* as long */
    assert_int_equal(read_built(), 0);
    assert_string_equal(c.list.intake_host, "2001:db8::1");
}

static void test_mx(void **state)
{
    static const char *const bad[] = {
        "[2001:db8::25", "[192.0.2.25]", "[2001:db8::25]25", "[2001:db8::25]:0", "[2001:db8::25]:", "2001:db8::25", "[mx1]:25",
        "[]", "[", "]", "[2001:db8::25]]", "[fe80::1%eth0]",
    };

    (void) state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        (void) snprintf(line, sizeof line, "mx = %s\n", bad[i]);
        if (read_with("mx", line) != -EINVAL || !strstr(errors, "neither HOST nor HOST:PORT nor [IPV6]:PORT"))
            fail_msg("%s: '%s'", bad[i], errors);
    }
    assert_int_equal(read_with("mx", "mx = [2001:db8::25] [2001:db8::26]:2525 mx1:26 192.0.2.25\n"), 0);
    assert_int_equal(c.mail.n_mx, 4);
    assert_string_equal(c.mail.mx[0].host, "2001:db8::25");
    assert_int_equal(c.mail.mx[0].port, 25);
    assert_string_equal(c.mail.mx[1].host, "2001:db8::26");
    assert_int_equal(c.mail.mx[1].port, 2525);
    assert_string_equal(c.mail.mx[2].host, "mx1");
    assert_int_equal(c.mail.mx[2].port, 26);
    assert_string_equal(c.mail.mx[3].host, "192.0.2.25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floating), cmocka_unit_test(test_lmtp_host),
        cmocka_unit_test(test_preset_is_the_floating_address), cmocka_unit_test(test_mx),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
