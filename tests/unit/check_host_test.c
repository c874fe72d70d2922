/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What check-config makes of mounts, of systemd's words and of mm_cfg.py; Mailman 3's own files are in check_config_test.py. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/check_host.h"

static struct config cfg = { .path = "/etc/understudy/understudy.conf" };
static char text[4096];

static unsigned database(const char *kind, const char *path, const char *mounts)
{
    json_t *mm = json_pack("{s:{s:s, s:s?}}", "database", "kind", kind, "path", path);
    FILE *out = fmemopen(text, sizeof text, "w");
    unsigned n = check_database(&cfg, mm, mounts, out);

    (void)fclose(out);
    json_decref(mm);
    return n;
}

static const char mounts[] =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "40 22 0:50 / /srv/lists rw,relatime shared:9 - nfs4 nfs:/lists rw,vers=4.2\n"
    "41 40 8:9 / /srv/lists/data/local rw - ext4 /dev/sdb1 rw\n"
    "42 22 0:51 / /srv/old rw,relatime - nfs nfs:/old rw,vers=3\n";

static void sqlite_on_nfs_is_named(void **state)
{
    (void)state;
    assert_int_equal(database("sqlite", "/srv/lists/data/mailman.db", mounts), 1);
    assert_non_null(strstr(text, "sqlite on NFS (/srv/lists/data/mailman.db)"));
    assert_int_equal(database("sqlite", "/srv/old/mailman.db", mounts), 1);
    assert_int_equal(database("sqlite", "/srv/lists/data/local/mailman.db", mounts), 0); /* the nearest mount counts */
    assert_int_equal(database("sqlite", "/srv/lists2/mailman.db", mounts), 0);           /* not a part of a name */
    assert_int_equal(database("sqlite", "/var/lib/mailman3/data/mailman.db", mounts), 0);
    assert_int_equal(database("postgresql", NULL, mounts), 0);
    assert_int_equal(database("sqlite", "/srv/lists/mailman.db", "torn\n40 22 0:50\n - nfs4\n"), 0);
}

static unsigned unit(const char *name, const char *word)
{
    FILE *out = fmemopen(text, sizeof text, "w");
    unsigned n = check_unit(&cfg, name, word, out);

    (void)fclose(out);
    return n;
}

static void a_start_of_the_distribution_is_named(void **state)
{
    static const char *const bad[] = { "enabled", "disabled", "static", "enabled-runtime", "generated" };
    static const char *const good[] = { "masked", "masked-runtime", "not-found", "" };

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(unit("mailman3.service", bad[i]), 1);
        assert_non_null(strstr(text, "systemctl mask mailman3.service"));
        assert_int_equal(unit("mailman.service", bad[i]), 1); /* of 2.1 */
        assert_non_null(strstr(text, "'mailmanctl -s start'"));
        assert_non_null(strstr(text, "systemctl mask mailman.service"));
    }
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(unit("mailman3.service", good[i]), 0);
        assert_int_equal(unit("mailman.service", good[i]), 0);
    }
}

static unsigned mm_cfg(const char *content)
{
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(out);
    unsigned n = check_mailman2(&cfg, 0, content, out);
    (void)fclose(out);
    return n;
}

static void mm_cfg_is_compared(void **state)
{
    static const char same[] = "SMTPHOST = 'relay.example.org'\n";

    (void)state;
    (void)snprintf(cfg.nodes[0].hostname, sizeof cfg.nodes[0].hostname, "a");
    (void)snprintf(cfg.list.lock_dir, sizeof cfg.list.lock_dir, "/srv/lists/locks");
    assert_int_equal(mm_cfg(same), 0);
    assert_int_equal(mm_cfg("from Defaults import *\n"), 1); /* its preset */
    assert_non_null(strstr(text, "SMTPHOST of mm_cfg.py is 'localhost'; mail handed to a relay on a node dies with its disk"));
    assert_int_equal(mm_cfg("SMTPHOST = 'relay.example.org'\nSMTPHOST='a'\n"), 1); /* the last one counts */
    assert_int_equal(mm_cfg("SMTPHOST = 'relay.example.org'\n#LOCK_DIR = '/x'\n LOCK_DIR = '/x'\nMY_LOCK_DIR = '/x'\n"), 0);
    assert_int_equal(mm_cfg("SMTPHOST = \"relay.example.org\" # ours\nLOCK_DIR = '/var/lock/mailman'\n"), 1);
    assert_non_null(strstr(text, "LOCK_DIR is /var/lock/mailman by mm_cfg.py, but lock_dir is /srv/lists/locks here"));
    assert_int_equal(mm_cfg("SMTPHOST = 'relay.example.org'\nLOCK_DIR = os.path.join(VAR_PREFIX, 'locks')\n"), 0); /* not a text */
    assert_int_equal(mm_cfg("SMTPHOST = 'relay.example.org'\nLOCK_DIR = '/srv' + '/lists'\n"), 0);
    assert_int_equal(mm_cfg("SMTPHOST = 'relay.example.org'\nLOCK_DIR = '/srv\n"), 0);
}

static void units_of_ours_are_started_by_us_alone(void **state)
{
    (void)state;
    assert_int_equal(unit("web.service", "enabled"), 1);
    assert_non_null(strstr(text, "also on a passive node"));
    assert_int_equal(unit("web.service", "not-found"), 1);
    assert_int_equal(unit("web.service", "disabled"), 0);
    assert_int_equal(unit("web.service", "static"), 0);
    assert_int_equal(unit("web.service", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlite_on_nfs_is_named),
        cmocka_unit_test(a_start_of_the_distribution_is_named),
        cmocka_unit_test(mm_cfg_is_compared),
        cmocka_unit_test(units_of_ours_are_started_by_us_alone),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
