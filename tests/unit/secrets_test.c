/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Only safe files are read, and what was read is wiped from output. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/secrets.h"

static char path[] = "/tmp/secrets_test.XXXXXX";
static struct config cfg;
static char said[1024];

static int read_it(const char *content, mode_t mode, uid_t owner, struct secrets **ret)
{
    FILE *f = fopen(path, "we"), *out = fmemopen(said, sizeof said - 1, "w");

    memset(said, 0, sizeof said);
    assert_non_null(f);
    assert_non_null(out);
    (void) fputs(content, f);
    (void) fclose(f);
    assert_int_equal(chmod(path, mode), 0);
    int rc = secrets_read(&cfg, owner, ret, out);
    (void) fclose(out);
    return rc;
}

static void test_modes(void **state)
{
    struct secrets *s = NULL;

    (void) state;
    assert_int_equal(read_it("passwd=x\n", 0640, geteuid(), &s), -EPERM);
    assert_non_null(strstr(said, "chmod 0600"));
    assert_int_equal(read_it("passwd=x\n", 0604, geteuid(), &s), -EPERM);
    assert_int_equal(read_it("passwd=x\n", 0620, geteuid(), &s), -EPERM);
    assert_int_equal(read_it("passwd=x\n", 0600, geteuid() + 1, &s), -EPERM);
    assert_non_null(strstr(said, "chown"));
    assert_int_equal(read_it("action=on\n", 0600, geteuid(), &s), -EINVAL);
    assert_non_null(strstr(said, ":1: not a line"));
    assert_int_equal(read_it("passwd=x\nnonsense\n", 0600, geteuid(), &s), -EINVAL);
    assert_non_null(strstr(said, ":2: not a line"));
    assert_null(s);
    (void) snprintf(cfg.devices[0].password_file, CONFIG_TEXT_MAX, "%s", path);
    assert_int_equal(read_it("passwd=x\n", 0600, geteuid(), &s), -EINVAL);
    assert_non_null(strstr(said, "the agent would show it in the arguments"));
    assert_int_equal(read_it("login=x\npassword=x\n", 0600, geteuid(), &s), -EINVAL);
    assert_null(s);
    assert_int_equal(read_it("login=x\n", 0400, geteuid(), &s), 0);
    (void) snprintf(cfg.devices[0].password_file, CONFIG_TEXT_MAX, "%s.missing", path);
    struct secrets *none = NULL;
    assert_int_equal(read_it("login=x\n", 0600, geteuid(), &none), -ENOENT);
    cfg.devices[0].password_file[0] = '\0';
    secrets_free(s);
}

static void test_the_message_does_not_repeat_the_secret(void **state)
{
    struct secrets *s = NULL;

    (void) state;
    assert_int_equal(read_it("just-the-password\n", 0600, geteuid(), &s), -EINVAL);
    assert_null(strstr(said, "just-the"));
}

static void test_scrub(void **state)
{
    struct secrets *s = NULL;
    char text[] = "a hunter2 b=hunter2hunter2 root and ab";

    (void) state;
    assert_int_equal(read_it("login=root\npasswd=hunter2\n# x=b=\nshort=ab", 0600, geteuid(), &s), 0);
    secrets_scrub(&s->device[0], text, sizeof text - 1);
    assert_string_equal(text, "a ******* b=************** **** and ab");
    secrets_free(s);
}

static int setup(void **state)
{
    (void) state;
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    (void) close(fd);
    cfg.n_devices = 1;
    (void) snprintf(cfg.devices[0].secret_file, CONFIG_TEXT_MAX, "%s", path);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes), cmocka_unit_test(test_the_message_does_not_repeat_the_secret),
        cmocka_unit_test(test_scrub),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
