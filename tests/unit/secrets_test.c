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

static const struct { const char *content, *want; } odd_content[] = {
    { "", "has no line 'key=value'" }, { "\n\n", "has no line 'key=value'" }, { "# passwd=x\n", "has no line 'key=value'" },
    { "passwd\n", ":1: not a line" }, { "=x\n", ":1: not a line" }, { "pass word=x\n", ":1: not a line" },
    { " passwd=x\n", ":1: not a line" },
    /* what a fence program takes for our own words, or for the end of a line */
    { "login=x\n action=on\n", ":2: not a line" }, { "ACTION=on\n", ":1: not a line" }, { "option=on\n", ":1: not a line" },
    { "method=cycle\n", ":1: not a line" }, { "passwd=x\raction=on\n", ":1: not a line" },
    { "passwd=x\r\n", "with plain line ends" }, { "passwd=x\faction=on\n", ":1: not a line" },
};

static void test_odd_content(void **state)
{
    (void) state;
    for (unsigned i = 0; i < sizeof odd_content / sizeof odd_content[0]; i++) {
        struct secrets *s = NULL;
        if (read_it(odd_content[i].content, 0600, geteuid(), &s) != -EINVAL || !strstr(said, odd_content[i].want)
            || strncmp(said, path, strlen(path)) != 0)
            fail_msg("%u: expected '%s', got '%s'", i, odd_content[i].want, said);
        assert_null(s);
    }
}

enum odd { LINK, DANGLING, FIFO, DIRECTORY, LARGE, ZERO, NOTHING, EMPTY, N_ODD };

/* `where` becomes something that is not a small regular file. */
static void make(const char *where, enum odd what)
{
    static char much[2 * SECRETS_FILE_MAX];
    char target[64];
    FILE *f;

    (void) snprintf(target, sizeof target, "%s.target", path);
    (void) unlink(where);
    (void) rmdir(where);
    memset(much, 'x', sizeof much);
    memcpy(much, "passwd=", 7);
    switch (what) {
    case LINK: case DANGLING: assert_int_equal(symlink(what == LINK ? target : "/nonexistent/x", where), 0); break;
    case FIFO: assert_int_equal(mkfifo(where, 0600), 0); break;
    case DIRECTORY: assert_int_equal(mkdir(where, 0700), 0); break;
    case LARGE: case ZERO: case EMPTY:
        f = fopen(where, "we");
        assert_non_null(f);
        assert_int_equal(chmod(where, 0600), 0);
        size_t n = what == LARGE ? sizeof much : what == ZERO ? 11 : 0;
        assert_int_equal(fwrite(what == ZERO ? "passwd=a\0b\n" : much, 1, n, f), n);
        (void) fclose(f);
        break;
    case NOTHING: case N_ODD: break;
    }
}

static const struct { enum odd what; int rc; const char *want; } odd_files[N_ODD] = {
    { LINK, -ELOOP, "it is a symbolic link" }, { DANGLING, -ELOOP, "it is a symbolic link" },
    { FIFO, -ENOTSUP, "it is not a regular file" }, { DIRECTORY, -ENOTSUP, "it is not a regular file" },
    { LARGE, -EFBIG, "far too large" }, { ZERO, -EINVAL, "zero byte" }, { NOTHING, -ENOENT, "No such file" },
    { EMPTY, -EINVAL, "has no line" },
};

/* Each is refused at once, by name; the second device's file is still looked at, so that all mistakes are seen. */
static void test_odd_files(void **state)
{
    char target[64], second[64];

    (void) state;
    (void) snprintf(target, sizeof target, "%s.target", path);
    (void) snprintf(second, sizeof second, "%s.second", path);
    FILE *f = fopen(target, "we");
    assert_non_null(f);
    (void) fputs("passwd=x\n", f);
    (void) fclose(f);
    assert_int_equal(chmod(target, 0600), 0);
    cfg.n_devices = 2;
    (void) snprintf(cfg.devices[1].password_file, CONFIG_TEXT_MAX, "%s", second);
    for (unsigned i = 0; i < N_ODD; i++) {
        struct secrets *s = NULL;
        FILE *out = fmemopen(said, sizeof said - 1, "w");
        memset(said, 0, sizeof said);
        make(path, odd_files[i].what);
        make(second, odd_files[i].what == ZERO ? EMPTY : odd_files[i].what);
        assert_int_equal(secrets_read(&cfg, geteuid(), &s, out), odd_files[i].rc);
        (void) fclose(out);
        const char *line = strchr(said, '\n');
        if (strncmp(said, path, strlen(path)) != 0 || !strstr(said, odd_files[i].want) || !line
            || strncmp(line + 1, second, strlen(second)) != 0)
            fail_msg("%u: expected '%s' and a line about %s, got '%s'", i, odd_files[i].want, second, said);
        assert_null(s);
    }
    make(second, NOTHING);
    make(path, NOTHING);
    (void) unlink(target);
    cfg.n_devices = 1;
    memset(&cfg.devices[1], 0, sizeof cfg.devices[1]);
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
    (void) unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes), cmocka_unit_test(test_odd_content), cmocka_unit_test(test_odd_files),
        cmocka_unit_test(test_the_message_does_not_repeat_the_secret),
        cmocka_unit_test(test_scrub),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
