/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every key of the product's own tables, one after the other: missing, misspelt, twice, empty, of the wrong kind, out of
 * range on both sides, too long; and what a difference in it means for claims and for a reload. A key that is new in the
 * product and has no row here fails the first test. */
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

static int read_bytes(const void *data, size_t len)
{
    char path[] = "/tmp/config_keys_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");

    memset(errors, 0, sizeof errors);
    assert_true(fd >= 0 && out != NULL);
    assert_int_equal(write(fd, data, len), len);
    int rc = config_read(path, &c, out);
    (void) fclose(out);
    (void) close(fd);
    (void) unlink(path);
    return rc;
}

static int read_built(void)
{
    return read_bytes(text, strlen(text));
}

/* Refused, with the line, the key and the words; and the configuration that was there is untouched. */
static void expect_at(unsigned line, const struct row *r, const char *what, const char *want)
{
    char place[32], key[80];
    static struct config zero;

    memset(&c, 0, sizeof c);
    if (read_built() != -EINVAL)
        fail_msg("[%s] %s, %s: not refused: '%s'", r->section, r->key, what, errors);
    (void) snprintf(place, sizeof place, ":%u: ", line);
    (void) snprintf(key, sizeof key, "'%s", r->key);
    if (!strstr(errors, place) || !strstr(errors, want))
        fail_msg("[%s] %s, %s: expected '%s' and '%s', got '%s'", r->section, r->key, what, place, want, errors);
    if (!strstr(errors, key))
        fail_msg("[%s] %s, %s: not named in '%s'", r->section, r->key, what, errors);
    const char *end = strchr(errors, '\n');
    unsigned clauses = 0;
    for (const char *p = errors; p < end; p++)
        clauses += *p == ';';
    if (clauses < 2 || end[1] != '\0')
        fail_msg("[%s] %s, %s: not one sentence of what, why, what to do: '%s'", r->section, r->key, what, errors);
    assert_memory_equal(&c, &zero, sizeof c);
}

static void expect(const struct row *r, const char *value, const char *want)
{
    char line[1024];

    (void) snprintf(line, sizeof line, "%s = %s\n", r->key, value);
    unsigned at = build(r, line);
    expect_at(at, r, value, want);
}

static void test_every_key_of_the_product_has_a_row(void **state)
{
    unsigned n = 0;

    (void) state;
    for (unsigned s = 0; s < n_sections; s++) {
        for (unsigned k = 0; k < sections[s]->n_fields; k++, n++) {
            unsigned found = 0;
            for (unsigned i = 0; i < n_rows; i++)
                found += section_of(&rows[i]) == sections[s] && strcmp(rows[i].key, sections[s]->fields[k].key) == 0;
            if (found != 1)
                fail_msg("%s in [%s] has %u rows in this test", sections[s]->fields[k].key, sections[s]->name, found);
        }
    }
    assert_int_equal(n, n_rows);
    (void) build(NULL, NULL);
    assert_int_equal(read_built(), 0);
    assert_string_equal(errors, "");
}

static void test_missing(void **state)
{
    char want[128];

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        (void) build(&rows[i], "");
        int rc = read_built();
        if (field_of(&rows[i])->preset == NULL) {
            (void) snprintf(want, sizeof want, "[%s] has no '%s'; there is no preset", rows[i].section, rows[i].key);
            if (rc != -EINVAL || !strstr(errors, want))
                fail_msg("expected '%s', got '%s'", want, errors);
        } else if (strcmp(rows[i].section, "mail") != 0 && rc != 0) { /* of mx and domains each needs the other */
            fail_msg("[%s] %s has a preset and is missed: '%s'", rows[i].section, rows[i].key, errors);
        }
    }
}

static void test_misspelt(void **state)
{
    char line[256], want[256], key[64];

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        const struct row *r = &rows[i];
        if (strlen(r->key) < 4) /* two letters away from half of the others */
            continue;
        (void) snprintf(key, sizeof key, "%s", r->key);
        key[1] = r->key[2]; /* two letters swapped */
        key[2] = r->key[1];
        if (key[1] == key[2])
            key[1] = '0';
        (void) snprintf(line, sizeof line, "%s = %s\n%s = %s\n", r->key, r->good, key, r->good);
        unsigned at = build(r, line) + 1;
        (void) snprintf(want, sizeof want, "unknown key '%s' in [%s]; a misspelt key would silently mean its preset; was '%s' "
                        "meant?", key, section_of(r)->name, r->key);
        expect_at(at, r, key, want);
    }
}

static void test_unknown(void **state)
{
    char line[256];

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        const struct config_section *s = section_of(&rows[i]);
        (void) snprintf(line, sizeof line, "%s = %s\nrumpelstiltskin = 1\n", rows[i].key, rows[i].good);
        unsigned at = build(&rows[i], line) + 1;
        expect_at(at, &(struct row) { .section = rows[i].section, .key = "rumpelstiltskin" }, "unknown", "; known here: ");
        for (unsigned k = 0; k < s->n_fields; k++) /* each one, also the last */
            assert_non_null(strstr(errors, s->fields[k].key));
        assert_true(!s->more[0] || strstr(errors, s->more));
    }
}

static void test_twice(void **state)
{
    char line[256];

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        (void) snprintf(line, sizeof line, "%s = %s\n%s = %s\n", rows[i].key, rows[i].good, rows[i].key, rows[i].good);
        unsigned at = build(&rows[i], line) + 1;
        expect_at(at, &rows[i], "twice", "a second time");
    }
}

static void test_without_a_value(void **state)
{
    (void) state;
    for (unsigned i = 0; i < n_rows; i++)
        expect(&rows[i], "", "has no value");
}

static const struct { enum config_type type; const char *value; } wrong[] = {
    { CT_NAME, "two words" }, { CT_NAME, "-option" }, { CT_NAME, "../up" }, { CT_NAME, "caf\303\251" },
    { CT_TEXT, "a\001b" }, { CT_TEXT, "a\033[2J" }, { CT_TEXT, "a\rb" },
    { CT_PATH, "srv/lists" }, { CT_PATH, "/srv/../etc" }, { CT_PATH, "/srv/.." }, { CT_PATH, "/a b" }, { CT_PATH, "/\303\251" },
    { CT_AGENT, "../fence" }, { CT_AGENT, "/usr/../x" }, { CT_AGENT, "a b" }, { CT_AGENT, "-x" },
    { CT_DURATION, "5" }, { CT_DURATION, "soon" }, { CT_DURATION, "-5s" }, { CT_DURATION, "5 s" }, { CT_DURATION, "5S" },
    { CT_DURATION, "1e3ms" }, { CT_DURATION, "0x10s" }, { CT_DURATION, "1.ms" }, { CT_DURATION, "s" },
    { CT_SIZE, "64" }, { CT_SIZE, "64MB" }, { CT_SIZE, "1.5G" }, { CT_SIZE, "-1M" }, { CT_SIZE, "64 M" }, { CT_SIZE, "much" },
    { CT_U32, "many" }, { CT_U32, "-1" }, { CT_U32, "1.5" }, { CT_U32, "0x1" }, { CT_U32, "1 2" }, { CT_U32, "+1" },
    { CT_U16, "smtp" }, { CT_U16, "-1" }, { CT_U16, "25,26" },
    { CT_BOOL, "perhaps" }, { CT_BOOL, "1" }, { CT_BOOL, "yes no" },
    { CT_CIDR, "192.0.2.1" }, { CT_CIDR, "192.0.2.300/24" }, { CT_CIDR, "192.0.2.1/33" }, { CT_CIDR, "192.0.2.1/0" },
    { CT_CIDR, "2001:db8::1/129" }, { CT_CIDR, "host/24" }, { CT_HOST, "[2001:db8::1]" }, { CT_HOST, "two words" },
};

static void test_of_the_wrong_kind(void **state)
{
    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        enum config_type type = field_of(&rows[i])->type;
        unsigned tried = 0;
        for (unsigned k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
            if (wrong[k].type != type)
                continue;
            tried++;
            expect(&rows[i], wrong[k].value, "cannot be read; it has to be");
        }
        assert_true(tried > 0);
    }
}

/* The limits themselves are taken, what lies beyond is not. */
static void limits(const struct row *r, const struct config_field *f, const char *unit)
{
    struct config_mistakes none = { .path = "limits", .out = NULL };
    char value[64], member[CONFIG_TEXT_MAX * 2] = "";
    struct config_field at = *f;

    at.offset = 0;
    for (unsigned high = 0; high < 2; high++) {
        (void) snprintf(value, sizeof value, "%u%s", high ? f->max : f->min, unit);
        if (config_field_set(&at, member, value, 1, &none) != 0)
            fail_msg("[%s] %s = %s is a limit and is refused", r->section, r->key, value);
        uint64_t beyond = high ? (uint64_t) f->max + 1 : f->min > 0 ? f->min - 1u : UINT64_MAX;
        if (beyond == UINT64_MAX)
            continue;
        (void) snprintf(value, sizeof value, "%llu%s", (unsigned long long) beyond, unit);
        expect(r, value, "is out of range");
    }
    (void) snprintf(value, sizeof value, "99999999999999999999999%s", unit);
    expect(r, value, "is out of range");
}

static void test_out_of_range(void **state)
{
    unsigned n = 0;

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        const struct config_field *f = field_of(&rows[i]);
        if (f->type != CT_DURATION && f->type != CT_SIZE && f->type != CT_U32 && f->type != CT_U16)
            continue;
        limits(&rows[i], f, f->type == CT_DURATION ? "ms" : f->type == CT_SIZE ? "M" : "");
        n++;
    }
    assert_true(n >= 20);
}

static void test_too_long(void **state)
{
    char value[CONFIG_TEXT_MAX + 2];

    (void) state;
    for (unsigned i = 0; i < n_rows; i++) {
        const struct config_field *f = field_of(&rows[i]);
        if (f->type != CT_NAME && f->type != CT_TEXT && f->type != CT_PATH && f->type != CT_AGENT && f->type != CT_HOST)
            continue;
        assert_true(f->size < sizeof value);
        memset(value, 'a', f->size);
        value[0] = f->type == CT_PATH ? '/' : 'a';
        value[f->size] = '\0';
        expect(&rows[i], value, "is too long; at most");
    }
}

/* What a difference between the nodes means, and what a reload makes of one, is a choice that is made for each key. */
static void test_what_a_change_means(void **state)
{
    static struct config before;
    struct config_digest a, b;
    char line[256];

    (void) state; /* each row beside its own service */
    for (unsigned i = 0; i < n_rows; i++) {
        const struct row *r = &rows[i];
        if (!r->other) /* no other value goes with the other keys: tests of their own */
            continue;
        (void) build(r, NULL);
        assert_int_equal(read_built(), 0);
        before = c;
        config_digest(&before, &a);
        (void) snprintf(line, sizeof line, "%s = %s\n", r->key, r->other);
        (void) build(r, line);
        if (read_built() != 0)
            fail_msg("[%s] %s = %s: '%s'", r->section, r->key, r->other, errors);
        unsigned differ = 0;
        config_digest(&c, &b);
        for (unsigned k = 0; k < a.n; k++) {
            if (a.value[k] == b.value[k])
                continue;
            differ++;
            if (strcmp(config_digest_key(k), r->digest) != 0)
                fail_msg("[%s] %s changes the safety key %s", r->section, r->key, config_digest_key(k));
        }
        if (differ != (r->digest[0] ? 1 : 0))
            fail_msg("[%s] %s changes %u safety keys", r->section, r->key, differ);
        if ((config_reload_obstacle(&before, &c) == NULL) != r->reload)
            fail_msg("[%s] %s %s a reload", r->section, r->key, r->reload ? "does not pass" : "passes");
    }
}

static void test_an_insecure_cluster_is_warned_of(void **state)
{
    (void) state;
    for (unsigned on = 0; on < 2; on++) {
        const struct row *r = rows;
        while (strcmp(r->key, "insecure_cluster") != 0)
            r++;
        (void) build(r, on ? "insecure_cluster = yes\n" : "");
        assert_int_equal(read_built(), 0);
        FILE *out = fmemopen(errors, sizeof errors - 1, "w");
        (void) config_warn(&c, out);
        (void) fclose(out);
        assert_int_equal(strstr(errors, "insecure_cluster is on; anybody on the cluster network") != NULL, on);
    }
}

/* Its description in the manual and a line in the example, which people copy. */
static void test_each_key_is_described(void **state)
{
    static const char *const files[] = { "agent/man/understudy.conf.5", "deploy/understudy.conf.example" };
    static char page[65536];
    char path[4096], as[3][96];
    const char *top = getenv("top_srcdir");

    (void) state;
    for (unsigned n = 0; n < 2; n++) {
        (void) snprintf(path, sizeof path, "%s/%s", top ? top : ".", files[n]);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        page[fread(page, 1, sizeof page - 1, f)] = '\0';
        (void) fclose(f);
        for (unsigned i = 0; i < n_rows; i++) {
            (void) snprintf(as[0], sizeof as[0], n == 0 ? ".It Cm %s\n" : "\n%s = ", rows[i].key);
            (void) snprintf(as[1], sizeof as[1], n == 0 ? ".It Cm %s , " : "\n#%s = ", rows[i].key);
            (void) snprintf(as[2], sizeof as[2], " , %s%s", rows[i].key, n == 0 ? "" : "\n");
            if (!strstr(page, as[0]) && !strstr(page, as[1]) && !strstr(page, as[2]))
                fail_msg("%s does not have %s of [%s]", files[n], rows[i].key, rows[i].section);
        }
    }
}

static const struct { const char *what, *bytes; size_t len; const char *want; } odd[] = {
    { "zero byte", "drain\0 = 5s\n", 12, ": has a zero byte in it; it is not a text file; correct it" },
    { "Latin-1", "# caf\351\n", 7, ": has the byte 0xe9, which is not UTF-8" },
    { "half a character", "# caf\303", 6, ": has the byte 0xc3, which is not UTF-8" },
    { "overlong", "# \300\257\n", 5, ": has the byte 0xc0, which is not UTF-8" },
};

static void test_what_is_no_text(void **state)
{
    char place[32];

    (void) state;
    for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        unsigned lines = 1;
        (void) build(NULL, NULL);
        size_t len = strlen(text);
        for (size_t k = 0; k < len; k++)
            lines += text[k] == '\n';
        memcpy(text + len, odd[i].bytes, odd[i].len);
        assert_int_equal(read_bytes(text, len + odd[i].len), -EINVAL);
        (void) snprintf(place, sizeof place, ":%u: ", lines);
        if (!strstr(errors, odd[i].want) || !strstr(errors, place))
            fail_msg("%s: expected '%s' at '%s', got '%s'", odd[i].what, odd[i].want, place, errors);
    }
}

/* Written on another system, it says the same, in every value. */
static void test_crlf_and_bom_read_the_same(void **state)
{
    static char other[2 * sizeof text];
    static struct config before;
    size_t n = 0;
    (void) state;
    (void) build(NULL, NULL);
    assert_int_equal(read_built(), 0);
    before = c;
    n += (size_t) snprintf(other, sizeof other, "\357\273\277");
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            other[n++] = '\r';
        other[n++] = *p;
    }
    assert_int_equal(read_bytes(other, n), 0);
    assert_string_equal(errors, "");
    struct config_digest d = { 0 }, d_before = { 0 };
    config_digest(&c, &d);
    config_digest(&before, &d_before);
    assert_memory_equal(&d, &d_before, sizeof d);
    assert_null(config_reload_obstacle(&before, &c));
    assert_string_equal(c.address_ip, before.address_ip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_the_product_has_a_row), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_misspelt), cmocka_unit_test(test_unknown), cmocka_unit_test(test_twice),
        cmocka_unit_test(test_without_a_value), cmocka_unit_test(test_of_the_wrong_kind),
        cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_too_long), cmocka_unit_test(test_what_a_change_means),
        cmocka_unit_test(test_an_insecure_cluster_is_warned_of),
        cmocka_unit_test(test_each_key_is_described), cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_crlf_and_bom_read_the_same),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
