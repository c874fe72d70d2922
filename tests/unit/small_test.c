/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, boot ids, files, clock: what is refused matters more than what is taken. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bootid.h"
#include "common/clock.h"
#include "common/fileio.h"
#include "common/num.h"
#include "common/token.h"

static void test_numbers(void **state)
{
    static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1a" };
    uint64_t v = 7;
    uint32_t w = 7;

    (void) state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(num_parse_u64(bad[i], 0, UINT64_MAX, &v), -EINVAL);
    assert_int_equal(num_parse_u64("11", 0, 10, &v), -ERANGE);
    assert_int_equal(num_parse_u64("99999999999999999999999", 0, 10, &v), -ERANGE);
    assert_int_equal(num_parse_u32("4294967296", 0, UINT32_MAX, &w), -ERANGE);
    assert_true(v == 7 && w == 7);
    assert_int_equal(num_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(num_parse_hex64("00000000deadBEEF", &v), 0);
    assert_true(v == 0xdeadbeef);
    assert_int_equal(num_parse_hex64("0000000deadbeef", &v), -EINVAL);
    assert_int_equal(num_parse_hex64("00000000deadbeef0", &v), -EINVAL);
    assert_int_equal(num_parse_hex64("0x000000deadbeef", &v), -EINVAL);
}

static void test_durations(void **state)
{
    static const char *const bad[] = { "", "5", "s", "5 s", "5sec", "-5s", "5.s", ".5s", "0.0001s", "1.0005s", "5S" };
    static const struct { const char *text; uint32_t ms; } good[] = {
        { "150ms", 150 }, { "2s", 2000 }, { "1.5s", 1500 }, { "5m", 300000 }, { "0.25s", 250 }, { "1h", 3600000 },
        { "0.5m", 30000 }, { "0ms", 0 },
    };
    uint32_t v = 7;

    (void) state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(num_parse_duration_ms(bad[i], 0, UINT32_MAX, &v), -EINVAL);
    assert_int_equal(num_parse_duration_ms("99999999999h", 0, UINT32_MAX, &v), -ERANGE);
    assert_int_equal(num_parse_duration_ms("2000h", 0, UINT32_MAX, &v), -ERANGE);
    assert_int_equal(v, 7);
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(num_parse_duration_ms(good[i].text, 0, UINT32_MAX, &v), 0);
        assert_int_equal(v, good[i].ms);
    }
}

static void test_sizes(void **state)
{
    static const char *const bad[] = { "", "64", "M", "64 M", "64MB", "-1M", "1.5G", "64m", "64K", "64MM" };
    static const struct { const char *text; uint32_t mib; } good[] = {
        { "0M", 0 }, { "64M", 64 }, { "2G", 2048 }, { "1T", 1048576 },
    };
    uint32_t v = 7;

    (void) state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(num_parse_size_mib(bad[i], 0, UINT32_MAX, &v), -EINVAL);
    assert_int_equal(num_parse_size_mib("4096T", 0, UINT32_MAX, &v), -ERANGE);
    assert_int_equal(num_parse_size_mib("99999999999999999999T", 0, UINT32_MAX, &v), -ERANGE);
    assert_int_equal(num_parse_size_mib("1M", 2, 3, &v), -ERANGE);
    assert_int_equal(v, 7);
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(num_parse_size_mib(good[i].text, 0, UINT32_MAX, &v), 0);
        assert_int_equal(v, good[i].mib);
    }
}

static void test_boot_id(void **state)
{
    static const char text[] = "01234567-89ab-cdef-fedc-ba9876543210";
    struct id128 id, back;
    char out[BOOTID_TEXT_SIZE];

    (void) state;
    assert_int_equal(bootid_parse(text, &id), 0);
    assert_true(id.hi == UINT64_C(0x0123456789abcdef) && id.lo == UINT64_C(0xfedcba9876543210));
    bootid_format(&id, out);
    assert_string_equal(out, text);
    assert_int_equal(bootid_parse("01234567-89ab-cdef-fedc-ba987654321", &id), -EINVAL);
    assert_int_equal(bootid_parse("01234567-89ab-cdef-fedc-ba98765432100", &id), -EINVAL);
    assert_int_equal(bootid_parse("01234567x89ab-cdef-fedc-ba9876543210", &id), -EINVAL);
    assert_int_equal(bootid_parse("0123456g-89ab-cdef-fedc-ba9876543210", &id), -EINVAL);
    assert_int_equal(bootid_parse("00000000-0000-0000-0000-000000000000", &id), -EINVAL);
    assert_int_equal(bootid_read(&id), 0);
    assert_true(bootid_known(&id));
    bootid_format(&id, out);
    assert_int_equal(bootid_parse(out, &back), 0);
    assert_true(bootid_equal(&id, &back));
}

static void test_clock(void **state)
{
    uint64_t a = clock_now_us(), b = clock_now_us();

    (void) state;
    assert_true(b >= a && a > 0);
    assert_int_equal(clock_poll_ms(10, 10), 0);
    assert_int_equal(clock_poll_ms(10, 5), 0);
    assert_int_equal(clock_poll_ms(10, 15), 5);
    assert_int_equal(clock_poll_ms(10, UINT64_MAX), -1);
    assert_int_equal(clock_poll_ms(0, UINT64_MAX - 1), INT_MAX);
}

static void test_files(void **state)
{
    char dir[] = "/tmp/small_test.XXXXXX", buf[8];
    size_t len = 99;
    struct stat st;

    (void) state;
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void) umask(077);
    assert_int_equal(fileio_write_durable(fd, "f", "12345678", 8, 0644), 0);
    assert_int_equal(fileio_read(fd, "f", buf, sizeof buf, &len, &st), 0);
    assert_int_equal(len, 8);
    assert_int_equal(st.st_mode & 0777, 0644); /* whatever the umask */
    assert_int_equal(fileio_write_durable(fd, "f", "123456789", 9, 0600), 0);
    assert_int_equal(fileio_read(fd, "f", buf, sizeof buf, &len, NULL), -EFBIG);
    assert_int_equal(len, 8);
    assert_int_equal(fileio_write_replace(fd, "f", "1", 1, 0600), 0);
    assert_int_equal(fileio_read(fd, "f", buf, sizeof buf, &len, NULL), 0);
    assert_int_equal(len, 1);
    assert_int_equal(fileio_read(fd, "missing", buf, sizeof buf, &len, NULL), -ENOENT);
    assert_int_equal(symlinkat("f", fd, "link"), 0);
    assert_int_equal(fileio_read(fd, "link", buf, sizeof buf, &len, NULL), -ELOOP);
    assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
    assert_int_equal(fileio_read(fd, "fifo", buf, sizeof buf, &len, NULL), -ENOTSUP); /* and does not hang */
    assert_int_equal(fileio_write_durable(fd, "no/f", "1", 1, 0600), -ENOENT);
    assert_int_equal(faccessat(fd, "f.new", F_OK, 0), -1);
    (void) unlinkat(fd, "f", 0);
    (void) unlinkat(fd, "link", 0);
    (void) unlinkat(fd, "fifo", 0);
    (void) close(fd);
    (void) rmdir(dir);
}

static void test_tokens(void **state)
{
    char token[TOKEN_SIZE], text[TOKEN_TEXT_MAX + 1], all[96], long_text[TOKEN_TEXT_MAX + 2];
    static const char *const bad[] = { "", "%", "%2", "%2g", "%2c", "%41", "%0A", "%7F", "a b", "a\"b", "a\\b", "\xc3" };

    (void) state;
    assert_int_equal(token_encode("", token), 0);
    assert_string_equal(token, "-");
    assert_int_equal(token_decode(token, text), 0);
    assert_string_equal(text, "");
    for (unsigned i = 0; i < 95; i++)
        all[i] = (char) (' ' + i);
    all[95] = '\0';
    for (unsigned i = 0; i < 2; i++) { /* in two halves, each within the bound */
        char half[49];
        (void) snprintf(half, sizeof half, "%.48s", all + 47 * i);
        assert_int_equal(token_encode(half, token), 0);
        assert_null(strpbrk(token, " \"\\"));
        assert_int_equal(token_decode(token, text), 0);
        assert_string_equal(text, half);
    }
    assert_int_equal(token_encode("a\n\xc3\xbc\x7f", token), 0);
    assert_string_equal(token, "a????");
    memset(long_text, '%', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(token_encode(long_text, token), -E2BIG);
    long_text[TOKEN_TEXT_MAX] = '\0';
    assert_int_equal(token_encode(long_text, token), 0);
    assert_int_equal(token_decode(token, text), 0);
    assert_string_equal(text, long_text);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(token_decode(bad[i], text), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_boot_id),
        cmocka_unit_test(test_clock), cmocka_unit_test(test_tokens), cmocka_unit_test(test_files),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
