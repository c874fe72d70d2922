/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record that a monitor gives of what the recovery pass has put off. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/deferred.h"
#include "resource/state/defer.h"

#include "common/banned.h"

static char dir[] = "/tmp/understudy-deferred.XXXXXX", said[512];
static struct listuser user;

static int setup(void **state)
{
    const struct passwd *pw = geteuid() == 0 ? getpwnam("nobody") : getpwuid(geteuid());

    (void)state;
    memcpy(dir, "/tmp/understudy-deferred.XXXXXX", sizeof dir);
    if (!pw || !mkdtemp(dir))
        return -1;
    (void)snprintf(user.name, sizeof user.name, "%s", pw->pw_name);
    user.uid = pw->pw_uid;
    user.gid = pw->pw_gid;
    return chown(dir, user.uid, user.gid);
}

static int teardown(void **state)
{
    char path[64];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/%s", dir, DEFER_FILE);
    (void)unlink(path);
    return rmdir(dir);
}

static void file_write(const char *text, uid_t owner)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s/%s", dir, DEFER_FILE);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
}

/* What it prints, in `said`. */
static void ask(const char *where)
{
    FILE *out = tmpfile();
    int   kept = dup(STDOUT_FILENO);
    uid_t uid = geteuid();

    assert_non_null(out);
    (void)fflush(stdout);
    (void)dup2(fileno(out), STDOUT_FILENO);
    deferred_record(&user, where);
    (void)fflush(stdout);
    (void)dup2(kept, STDOUT_FILENO);
    (void)close(kept);
    rewind(out);
    said[fread(said, 1, sizeof said - 1, out)] = '\0';
    (void)fclose(out);
    assert_int_equal(geteuid(), uid);
}

static void nothing_is_said_of_nothing(void **state)
{
    (void)state;
    ask(dir);
    assert_string_equal(said, "");
    ask("/nowhere/at/all");
    assert_string_equal(said, "");
}

static void number_age_and_tries(void **state)
{
    (void)state;
    file_write("epoch 7\n1 list:a 1000 12 2000 locked\n1 queue:in 5000 3 6000 failed\n", user.uid);
    ask(dir);
    assert_non_null(strstr(said, "deferred units=2 oldest_ms=1"));
    assert_non_null(strstr(said, " tries=12\n"));
}

/* Of somebody else, and a link to a file of root's. */
static void what_is_not_the_list_users_is_not_read(void **state)
{
    char path[64];

    (void)state;
    if (geteuid() != 0) {
        skip();
        return;
    }
    file_write("1 list:a 1000 12 2000 locked\n", 0);
    ask(dir);
    assert_non_null(strstr(said, "deferred error="));
    (void)snprintf(path, sizeof path, "%s/%s", dir, DEFER_FILE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    ask(dir);
    assert_non_null(strstr(said, "deferred error="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_said_of_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(number_age_and_tries, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_the_list_users_is_not_read, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
