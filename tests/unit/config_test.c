/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each mistake a person can make in understudy.conf gives one line that names the place. Method: the shipped example
 * with one line replaced, added or removed. */
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

#include "common/config.h"

static char example[32768];
static char errors[8192];
static struct config c;

static unsigned line_of(const char *text, const char *where)
{
    unsigned n = 1;

    for (const char *p = text; p < where; p++)
        n += *p == '\n';
    return n;
}

static int read_content(const char *content, mode_t mode, const uid_t *owner)
{
    char path[] = "/tmp/config_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");

    memset(errors, 0, sizeof errors);
    assert_true(fd >= 0);
    assert_non_null(out);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    int rc = owner ? config_read_owned(path, *owner, &c, out) : config_read(path, &c, out);
    (void) fclose(out);
    (void) close(fd);
    (void) unlink(path);
    return rc;
}

/* The example with the line that begins with `from` replaced by `to` ("" = removed); returns its number. */
static unsigned change(const char *from, const char *to, char *out, size_t size)
{
    char start[256];
    const char *p;

    (void) snprintf(start, sizeof start, "\n%s", from);
    p = strstr(example, start);
    assert_non_null(p);
    p++;
    const char *end = strchr(p, '\n');
    (void) snprintf(out, size, "%.*s%s%s", (int) (p - example), example, to, end);
    return line_of(example, p);
}

static void expect(const char *from, const char *to, const char *mistake)
{
    char text[sizeof example + 256], prefix[32];
    unsigned line = change(from, to, text, sizeof text);

    assert_int_equal(read_content(text, 0600, NULL), -EINVAL);
    if (!strstr(errors, mistake))
        fail_msg("'%s' -> '%s': expected '%s', got '%s'", from, to, mistake, errors);
    if (mistake[0] == '[') /* about a section: somewhere else, and maybe more than one */
        return;
    if (to[0]) {
        (void) snprintf(prefix, sizeof prefix, ":%u: ", line);
        if (!strstr(errors, prefix))
            fail_msg("'%s' -> '%s': expected line %u, got '%s'", from, to, line, errors);
    }
    if (strchr(errors, '\n') != errors + strlen(errors) - 1)
        fail_msg("'%s' -> '%s': one mistake, but '%s'", from, to, errors);
}

static int load_example(void **state)
{
    char path[4096];
    const char *top = getenv("top_srcdir");

    (void) state;
    (void) snprintf(path, sizeof path, "%s/deploy/understudy.conf.example", top ? top : ".");
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(example, 1, sizeof example - 1, f);
    example[n] = '\0';
    (void) fclose(f);
    return 0;
}

static void test_the_shipped_example_is_read(void **state)
{
    (void) state;
    assert_int_equal(read_content(example, 0600, NULL), 0);
    assert_string_equal(errors, "");
    assert_string_equal(c.cluster, "lists");
    assert_int_equal(c.n_nodes, 2);
    assert_string_equal(c.nodes[1].fqdn, "b.example.org");
    assert_int_equal(c.nodes[1].id, 2);
    assert_int_equal(c.beat_interval_ms, 150);
    assert_int_equal(c.failure_window_ms, 600000);
    assert_true(c.after_fence_on);
    assert_false(c.insecure_cluster);
    assert_int_equal(c.list.n_runners, 13);
    assert_int_equal(c.list.intake_port, 8024);
    assert_int_equal(c.n_devices, 2);
    assert_string_equal(c.devices[0].name, "a-ipmi");
    assert_int_equal(c.devices[1].node, 1);
    assert_int_equal(c.devices[0].n_params, 4);
    assert_string_equal(c.devices[0].params[0].key, "ip");
    assert_int_equal(c.devices[0].timeout_ms, 15000);
}

static void test_presets(void **state)
{
    static const char least[] =
        "[cluster]\nname = x\nnodes = a\ncontrol_share = /c\n[address]\nip = 10.0.0.1/8\n"
        "[mailman3]\nlock_dir = /l\nqueue_dir = /q\nrunners = in out:4\n"
        "[node a]\nid = 1\nhostname = a\nfqdn = a.b\n";
    (void) state;
    assert_int_equal(read_content(least, 0600, NULL), 0);
    assert_int_equal(c.drain_ms, 5000);
    assert_int_equal(c.permit_timeout_ms, 3000);
    assert_int_equal(c.dad_ms, 40);
    assert_int_equal(c.max_failures, 4);
    assert_true(c.after_fence_on);
    assert_string_equal(c.service, "mailman3");
    assert_string_equal(c.list.user, "list");
    assert_string_equal(c.list.intake_host, "10.0.0.1");
    assert_string_equal(c.list.mailman, "/usr/lib/mailman3/bin/mailman");
    assert_int_equal(c.list.runners[1].slices, 4);
    assert_string_equal(c.control_fstype, "");
    assert_string_equal(c.list_share, "");
    assert_false(c.list_with_service);
    assert_string_equal(c.watchdog, "");
    assert_int_equal(c.watchdog_timeout_ms, 10000);
    assert_true(c.self_fence);
    FILE *null = fopen("/dev/null", "we");
    assert_int_equal(config_warn(&c, null), 3); /* one node only, without a fence device; no watchdog */
    (void) fclose(null);
}

static const struct { const char *from, *to, *mistake; } mistakes[] = {
    { "drain = ", "drian = 5s", "unknown key 'drian' in [cluster]" },
    { "drain = ", "drain = 0ms", "out of range" },
    { "drain = ", "drain = 5", "a time with its unit" },
    { "drain = ", "drain = -5s", "a time with its unit" },
    { "drain = ", "drain = ", "'drain' has no value" },
    { "max_failures", "max_failures = many", "a whole number" },
    { "max_failures", "max_failures = 9", "out of range" },
    { "lmtp_port", "lmtp_port = 65536", "out of range" },
    { "also_units", "also_units = --now.service", "no systemd unit with its type" },
    { "also_units", "also_units = a.service b", "no systemd unit with its type" },
    { "also_units", "also_units = a.s b.s c.s d.s e.s f.s g.s h.s i.s", "more than 8 units" },
    { "mx = ", "mx = mx1:0", "neither HOST nor HOST:PORT" },
    { "mx = ", "mx = smtp://mx1", "neither HOST nor HOST:PORT" },
    { "mx = ", "", "'domains' but no 'mx'" },
    { "domains = ", "", "'mx' but no 'domains'" },
    { "domains = ", "domains = lists@example.org", "no mail domain" },
    { "poke_timeout", "poke_timeout = 2m", "out of range" },
    { "after_fence", "after_fence = perhaps", "yes or no" },
    { "name = ", "", "[cluster] has no 'name'" },
    { "name = ", "name = a b", "a name of letters" },
    { "nodes = ", "nodes = a b a", "names a twice" },
    { "nodes = ", "nodes = a", "[node b] is not in 'nodes'" },
    { "nodes = ", "nodes = a b c", "node c has no section" },
    { "control_share", "control_share = srv", "an absolute path" },
    { "control_share", "control_share = /srv/../etc", "an absolute path" },
    { "control_share", "", "has no 'control_share'" },
    { "ip = ", "ip = 127.0.0.1/8", "the IPv4 or IPv6 address of a host with its prefix" },
    { "ip = ", "ip = 0.0.0.0/24", "the IPv4 or IPv6 address of a host with its prefix" },
    { "ip = ", "ip = 224.0.0.100/24", "the IPv4 or IPv6 address of a host with its prefix" },
    { "ip = ", "ip = fe80::100/64", "cannot be a floating address; it is link-local" },
    { "ip = ", "ip = 192.0.2.100/33", "with its prefix" },
    { "interface = ", "interface = abcdefghijklmnop", "15 characters" },
    { "service = ", "service = majordomo", "is not known" },
    { "user = ", "user = root", "is root" },
    { "queue_dir = ", "queue_dir = /srv/lists/locks", "are the same" },
    { "list_mount", "list_mount = sometimes", "use always or with-service" },
    { "list_share", "list_share = /srv", "holds the control share" },
    { "list_share", "list_share = /srv/list", "not below list_share /srv/list" },
    { "runners = ", "runners = in out:3", "power of two" },
    { "runners = ", "runners = in out in", "names in twice" },
    { "runners = ", "", "has no 'runners'" },
    { "id = 2", "id = 1", "same id 1" },
    { "id = 2", "id = 0", "out of range" },
    { "hostname = b", "hostname = a", "same hostname" },
    { "fqdn = b", "fqdn = a.example.org", "same fqdn" },
    { "beat_interval", "beat_interval = 3s", "beat_interval (3000ms) is not below share_deadline" },
    { "share_deadline", "share_deadline = 30s", "is not below share_patience" },
    { "claim_patience", "claim_patience = 15s", "below the worst fence time (15500ms" },
    { "watchdog_timeout", "watchdog_timeout = 8s", "watchdog_timeout (8000ms) is not above 8000ms, which is permit_timeout "
      "(3000ms) plus the 5000ms" },
    { "watchdog_timeout", "watchdog_timeout = 9500ms", "not in whole seconds" },
    { "watchdog = ", "watchdog = watchdog0", "an absolute path" },
    { "monitor_interval", "monitor_interval = 10m", "not below failure_window" },
    { "node = b", "node = c", "node 'c' is not in 'nodes'" },
    { "node = b", "", "[fence b-ipmi] has no 'node'" },
    { "param_username", "param_passwd = geheim", "put it into secret_file" },
    { "param_username", "param_action = on", "understudy itself" },
    { "param_username", "param_method = cycle", "nobody has seen the node off" },
    { "param_username", "param_method = CYCLE", "nobody has seen the node off" },
    { "param_username", "param_option = on", "understudy itself" },
    { "param_username", "param_snmp-priv-passwd = x", "put it into secret_file" },
    { "param_username", "param_username = a\raction=on", "cannot be passed" },
    { "param_username", "param_ = x", "cannot be passed" },
    { "agent = ", "agent = ../fence", "the name of a program" },
    { "level = ", "level = 0", "out of range" },
    { "[address]", "[adress]\n[address]", "unknown section [adress]" },
    { "[fence b-ipmi]", "[fence b ipmi]", "no proper name" },
    { "dad = ", "dad 200ms", "Equal sign is missing" },
};

static void test_each_mistake_is_named(void **state)
{
    (void) state;
    for (unsigned i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        expect(mistakes[i].from, mistakes[i].to, mistakes[i].mistake);
}

static void test_the_list_share(void **state)
{
    char text[sizeof example + 256], again[sizeof text + 256];

    (void) state;
    (void) change("list_mount", "list_mount = with-service", text, sizeof text);
    assert_int_equal(read_content(text, 0644, NULL), 0);
    assert_true(c.list_with_service);
    assert_string_equal(c.list_share, "/srv/lists");
    (void) change("list_share", "list_share = /srv/lists/", text, sizeof text);
    assert_int_equal(read_content(text, 0644, NULL), 0);
    assert_false(c.list_with_service);
    (void) change("queue_dir", "queue_dir = /srv/listsqueue", text, sizeof text); /* only looks as if it were below */
    assert_int_equal(read_content(text, 0644, NULL), -EINVAL);
    assert_non_null(strstr(errors, "not below list_share"));
    (void) change("list_share", "", text, sizeof text);
    char *at = strstr(text, "list_mount = always");
    assert_non_null(at);
    (void) snprintf(again, sizeof again, "%.*slist_mount = with-service%s", (int) (at - text), text, strchr(at, '\n'));
    assert_int_equal(read_content(again, 0644, NULL), -EINVAL);
    assert_non_null(strstr(errors, "there is no list_share"));
}

static void test_a_key_twice(void **state)
{
    char text[sizeof example + 64], want[64];
    unsigned line = change("drain = ", "drain = 5s\nDRAIN = 6s\ndrain = 7s", text, sizeof text);

    (void) state;
    assert_int_equal(read_content(text, 0600, NULL), -EINVAL);
    (void) snprintf(want, sizeof want, ":%u: 'DRAIN' stands in [cluster] a second time", line + 1);
    assert_non_null(strstr(errors, want));
    (void) snprintf(want, sizeof want, ":%u: 'drain' stands in [cluster] a second time", line + 2);
    assert_non_null(strstr(errors, want));
}

static void test_too_many_nodes(void **state)
{
    char text[sizeof example + 64];

    (void) state;
    (void) change("nodes = ", "nodes = a b c d e", text, sizeof text);
    assert_int_equal(read_content(text, 0600, NULL), -EINVAL);
    assert_non_null(strstr(errors, "'nodes' has more than 4 names"));
}

static void test_a_section_twice(void **state)
{
    char text[sizeof example + 64];

    (void) state;
    (void) change("[node b]", "[node a]", text, sizeof text);
    assert_int_equal(read_content(text, 0600, NULL), -EINVAL);
    assert_non_null(strstr(errors, "[node a] stands here a second time"));
    assert_non_null(strstr(errors, "node b has no section"));
}

static void test_all_mistakes_at_once(void **state)
{
    static const char bad[] =
        "stray = 1\n"                                                   /* 1: before a section */
        "[cluster]\nname = x\nname = y\nnodes = a\nfoo\ndrain = soon\n" /* 4 twice, 6 no '=', 7 not a time */
        "colour = red\n[unclosed\n"                                      /* 8 unknown, 9 no bracket */
        "[node a]\nid = 1\n";                                            /* two keys missing, and two sections */
    static const char *const want[] = {
        "before the first section", ":4: 'name' stands", ":6: Equal sign", ":7: 'drain = soon'", ":8: unknown key 'colour'",
        ":9: No closing bracket", ":10: [node a] has no 'hostname'", ":10: [node a] has no 'fqdn'",
        "[cluster] has no 'control_share'", "[address] has no 'ip'", "[mailman3] has no 'lock_dir'",
    };
    (void) state;
    assert_int_equal(read_content(bad, 0600, NULL), -EINVAL);
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
        if (!strstr(errors, want[i]))
            fail_msg("expected '%s' in '%s'", want[i], errors);
}

static void test_ret_is_untouched_on_failure(void **state)
{
    static const struct config zero;

    (void) state;
    memset(&c, 0, sizeof c);
    assert_int_equal(read_content("[cluster]\n", 0600, NULL), -EINVAL);
    assert_memory_equal(&c, &zero, sizeof c);
    FILE *null = fopen("/dev/null", "we");
    assert_int_equal(config_read("/nonexistent/understudy.conf", &c, null), -ENOENT);
    (void) fclose(null);
}

static void test_only_a_safe_file_is_trusted(void **state)
{
    uid_t me = geteuid(), other = me + 1;

    (void) state;
    assert_int_equal(read_content(example, 0644, &me), 0);
    assert_int_equal(read_content(example, 0664, &me), -EPERM);
    assert_non_null(strstr(errors, "chmod go-w"));
    assert_int_equal(read_content(example, 0646, &me), -EPERM);
    assert_int_equal(read_content(example, 0644, &other), -EPERM);
    assert_non_null(strstr(errors, "chown"));
}

static void test_devices_are_sorted_by_node_and_level(void **state)
{
    char text[sizeof example + 512];

    (void) state;
    (void) snprintf(text, sizeof text, "%s[fence a-pdu]\nnode = a\nlevel = 2\nagent = /usr/sbin/fence_apc\n"
                    "[fence a-first]\nnode = a\nagent = fence_x\n", example);
    assert_int_equal(read_content(text, 0600, NULL), 0);
    assert_int_equal(c.n_devices, 4);
    assert_string_equal(c.devices[0].name, "a-ipmi");
    assert_string_equal(c.devices[1].name, "a-first");
    assert_string_equal(c.devices[2].name, "a-pdu");
    assert_string_equal(c.devices[3].name, "b-ipmi");
}

static void test_digest_names_the_key_that_differs(void **state)
{
    static const struct { const char *from, *to, *key; } d[] = {
        { "drain = ", "drain = 6s", "drain" },
        { "control_share", "control_share = /srv/other", "control_share" },
        { "fqdn = b", "fqdn = c.example.org", "nodes" },
        { "param_ip = 198.51.100.12", "param_ip = 198.51.100.13", "fence" },
        { "interface", "interface = eth1", NULL }, /* may differ */
    };
    struct config_digest a, b;
    char text[sizeof example + 64];

    (void) state;
    assert_int_equal(read_content(example, 0600, NULL), 0);
    config_digest(&c, &a);
    assert_null(config_digest_key(a.n));
    for (unsigned i = 0; i < sizeof d / sizeof d[0]; i++) {
        unsigned differ = 0;
        (void) change(d[i].from, d[i].to, text, sizeof text);
        assert_int_equal(read_content(text, 0600, NULL), 0);
        config_digest(&c, &b);
        assert_int_equal(a.n, b.n);
        for (unsigned k = 0; k < a.n; k++) {
            if (a.value[k] != b.value[k]) {
                differ++;
                assert_non_null(d[i].key);
                assert_string_equal(config_digest_key(k), d[i].key);
            }
        }
        assert_int_equal(differ, d[i].key ? 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shipped_example_is_read),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_the_list_share),
        cmocka_unit_test(test_a_key_twice),
        cmocka_unit_test(test_too_many_nodes),
        cmocka_unit_test(test_a_section_twice),
        cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_ret_is_untouched_on_failure),
        cmocka_unit_test(test_only_a_safe_file_is_trusted),
        cmocka_unit_test(test_devices_are_sorted_by_node_and_level),
        cmocka_unit_test(test_digest_names_the_key_that_differs),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, load_example, NULL);
}
