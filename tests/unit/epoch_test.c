/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts and names of the epoch files, mountinfo, proofs: what is refused matters more than what is taken. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/exitcodes.h"
#include "resource/epoch/epoch_file.h"
#include "resource/epoch/epoch_proof.h"
#include "resource/epoch/epoch_share.h"

static struct epoch_file sample(enum epoch_kind kind)
{
    return (struct epoch_file){ .kind = kind, .cluster = "lab", .uuid = { 1, 2 }, .n = 41, .node = "a.b-c",
                                .boot = { 0x1122334455667788, 0x99aabbccddeeff00 }, .run = 0xdeadbeef, .op = 7,
                                .proofs = "b=off,c=not-needed", .planned = true, .counter = 99,
                                .since = "2026-11-23T03:14:15Z", .reason = "new%20disk" };
}

static void test_every_kind_round_trips(void **state)
{
    char text[EPOCH_FILE_MAX], again[EPOCH_FILE_MAX];

    (void)state;
    for (unsigned k = 0; k < EPOCH_KIND_N; k++) {
        struct epoch_file f = sample((enum epoch_kind)k), g;
        size_t len = epoch_file_format(&f, text);

        assert_true(len > 0);
        assert_int_equal(epoch_file_parse(text, len, (enum epoch_kind)k, &g), 0);
        assert_int_equal(epoch_file_format(&g, again), len);
        assert_memory_equal(text, again, len);
    }
}

/* A torn file never counts: not at any length, and not with one byte changed in its frame. */
static void test_torn_files_are_malformed(void **state)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_file f = sample(EPOCH_END), g = { .n = 5 };
    size_t len = epoch_file_format(&f, text);

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(epoch_file_parse(text, cut, EPOCH_END, &g), -EBADMSG);
    text[len] = '\n';
    assert_int_equal(epoch_file_parse(text, len + 1, EPOCH_END, &g), -EBADMSG);
    text[0] = 'U';
    assert_int_equal(epoch_file_parse(text, len, EPOCH_END, &g), -EBADMSG);
    assert_true(g.n == 5);
}

static void assert_refused(const char *from, const char *to, enum epoch_kind kind)
{
    char text[EPOCH_FILE_MAX], changed[EPOCH_FILE_MAX + 64];
    struct epoch_file f = sample(kind), g;
    size_t len = epoch_file_format(&f, text);
    char *at;

    text[len] = '\0';
    at = strstr(text, from);
    assert_non_null(at);
    int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(epoch_file_parse(changed, (size_t)n, kind, &g), -EBADMSG);
}

static void test_odd_maintenance_is_malformed(void **state)
{
    (void)state;
    assert_refused("2026-11-23T03:14:15Z", "2026-11-23T03:14:15", EPOCH_MAINTENANCE);
    assert_refused("2026-11-23T03:14:15Z", "2026-11-23 03:14:15Z", EPOCH_MAINTENANCE);
    assert_refused("2026-11-23T03:14:15Z", "2026-11-23T03:14:15Zx", EPOCH_MAINTENANCE);
    assert_refused("2026-11-23T03:14:15Z", "", EPOCH_MAINTENANCE);
    assert_refused("new%20disk", "new disk", EPOCH_MAINTENANCE);
    assert_refused("new%20disk", "new%2", EPOCH_MAINTENANCE);
    assert_refused("new%20disk", "", EPOCH_MAINTENANCE);
    assert_refused("node=a.b-c", "node=", EPOCH_MAINTENANCE);
}

static void test_odd_content_is_malformed(void **state)
{
    (void)state;
    assert_refused("n=41\n", "n=41 \n", EPOCH_CLAIM);
    assert_refused("n=41\n", "n=-1\n", EPOCH_CLAIM);
    assert_refused("n=41\n", "n=41\nn=42\n", EPOCH_CLAIM);
    assert_refused("n=41\n", "", EPOCH_CLAIM);
    assert_refused("n=41\n", "n=99999999999999999999999\n", EPOCH_CLAIM);
    assert_refused("kind=claim\n", "kind=end\n", EPOCH_CLAIM);
    assert_refused("understudy-epoch 1", "understudy-epoch 2", EPOCH_CLAIM);
    assert_refused("node=a.b-c\n", "node=\n", EPOCH_CLAIM);
    assert_refused("node=a.b-c\n", "node=a b\n", EPOCH_CLAIM);
    assert_refused("run=00000000deadbeef\n", "run=deadbeef\n", EPOCH_CLAIM);
    assert_refused("boot=1122", "boot=112", EPOCH_CLAIM);
    assert_refused("planned=1\n", "planned=2\n", EPOCH_END);
    assert_refused("planned=1\n", "planned=1\nextra=1\n", EPOCH_END);
}

static void test_texts_that_would_break_a_line_are_not_written(void **state)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_file f = sample(EPOCH_CLAIM);

    (void)state;
    (void)snprintf(f.node, sizeof f.node, "a\nplanned=1");
    assert_int_equal(epoch_file_format(&f, text), 0);
    f.node[0] = '\0';
    assert_int_equal(epoch_file_format(&f, text), 0);
}

static void test_names(void **state)
{
    static const char *const bad[] = { "epoch.", "epoch.x", "epoch.01", "epoch.1.", "epoch.1.own.end", "epoch.1.END",
                                       "epoch.-1", "epoch.99999999999999999999", "epoch.1~", "epoch.18446744073709551615" };
    uint64_t n = 0;
    enum epoch_name which = EPOCH_NAME_CLAIM;

    (void)state;
    assert_int_equal(epoch_name_parse("epoch.0", &n, &which), 0);
    assert_true(n == 0 && which == EPOCH_NAME_CLAIM);
    assert_int_equal(epoch_name_parse("epoch.120.own", &n, &which), 0);
    assert_true(n == 120 && which == EPOCH_NAME_OWN);
    assert_int_equal(epoch_name_parse("epoch.7.end", &n, &which), 0);
    assert_true(n == 7 && which == EPOCH_NAME_END);
    assert_int_equal(epoch_name_parse("identity", &n, &which), -ENOENT);
    assert_int_equal(epoch_name_parse(".new.a.1", &n, &which), -ENOENT);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(epoch_name_parse(bad[i], &n, &which), -EBADMSG);
}

static int mount_find(const char *text, uint64_t id, struct epoch_mount *ret)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    assert_non_null(f);
    int rc = epoch_mount_find(f, id, ret);
    (void)fclose(f);
    return rc;
}

static void test_mountinfo(void **state)
{
    static const char text[] =
        "21 1 8:1 / / rw - ext4 /dev/root rw\n"
        "22 21 0:5 / /srv/with\\040space rw,relatime shared:2 master:1 - nfs4 srv:/x\\134y rw,vers=4.2\n"
        "23 21 0:6 / /short rw - ext4\n"
        "24 21 0:6 / /none rw ext4 /dev/x\n";
    struct epoch_mount m;

    (void)state;
    assert_int_equal(mount_find(text, 22, &m), 0);
    assert_string_equal(m.point, "/srv/with space");
    assert_string_equal(m.fstype, "nfs4");
    assert_string_equal(m.source, "srv:/x\\y");
    assert_int_equal(mount_find(text, 21, &m), 0);
    assert_string_equal(m.source, "/dev/root");
    assert_int_equal(mount_find(text, 2, &m), -ENOENT);
    assert_int_equal(mount_find(text, 23, &m), -EBADMSG);
    assert_int_equal(mount_find(text, 24, &m), -EBADMSG);
}

static void test_proofs(void **state)
{
    static const char *const bad[] = { "", "b=off", "b=none,c=off", "b=off,c=maybe", "b=off,d=off", "b=off,b=off,c=off",
                                       "b=off,c", "b=off,c=", "b=offc=off" };
    struct config cfg = { .n_nodes = 3, .nodes = { { .name = "a" }, { .name = "b" }, { .name = "c" } } };
    struct epoch_proofs p;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(epoch_proofs_parse(&cfg, "a", bad[i], &p), EXIT_USAGE);
    assert_int_equal(epoch_proofs_parse(&cfg, "a", "a=rebooted,b=off,c=not-needed", &p), EXIT_DONE);
    assert_true(epoch_proof_covers(&p, "a") && epoch_proof_covers(&p, "b"));
    assert_false(epoch_proof_covers(&p, "c"));
    assert_false(epoch_proof_covers(&p, "nobody"));
    assert_int_equal(epoch_proofs_parse(&cfg, "a", "b=ended,c=acknowledged", &p), EXIT_DONE);
    assert_false(epoch_proof_covers(&p, "b")); /* it is asked only of a node whose epoch has not ended */
    assert_true(epoch_proof_covers(&p, "c"));
    assert_false(epoch_proof_covers(&p, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_round_trips), cmocka_unit_test(test_torn_files_are_malformed),
        cmocka_unit_test(test_odd_maintenance_is_malformed),
        cmocka_unit_test(test_odd_content_is_malformed), cmocka_unit_test(test_texts_that_would_break_a_line_are_not_written),
        cmocka_unit_test(test_names), cmocka_unit_test(test_mountinfo), cmocka_unit_test(test_proofs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
