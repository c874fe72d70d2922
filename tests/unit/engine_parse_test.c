/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watch's reports: what is taken, and that anything odd voids the whole report. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine_parse.h"

#define BOOT "11111111-2222-4333-8444-555555555555"
#define RUN  "00000000000000aa"
#define HEAD "share state=ok why=- highest=2 local_max=2 open=1 uuid=u\n"
#define LAST "last n=2 node=b boot=" BOOT " run=" RUN " owned=1 ended=0 planned=0\n"
#define OPEN "open n=2 node=b boot=" BOOT " run=" RUN " owned=1\n"
#define BEFORE "before n=1 node=a boot=" BOOT " run=" RUN " owned=1 ended=1 planned=1\n"
#define BEAT "beat node=b boot=" BOOT " run=" RUN " counter=7\n"
#define OFF  "maintenance state=off node=- since=- reason=-\n"
#define ON   "maintenance state=on node=b since=2026-11-23T03:14:15Z reason=new%20disk\n"
#define END  OFF "end at_ms=12345\n"

static struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };

struct fed { struct watch_parser p; unsigned reports, bad, texts; struct watch_report last; };

static void line_take(void *ctx, const char *line, size_t len)
{
    struct fed *f = ctx;

    switch (watch_parser_line(&f->p, line, len)) {
    case WATCH_REPORT: f->reports++; f->last = f->p.r; break;
    case WATCH_BAD: f->bad++; break;
    case WATCH_TEXT: f->texts++; break;
    case WATCH_MORE: break;
    }
}

static struct fed *feed(const char *text)
{
    static struct fed f;
    struct record_lines l = { .len = 0 };

    memset(&f, 0, sizeof f);
    watch_parser_init(&f.p, &cfg);
    record_lines_feed(&l, text, strlen(text), line_take, &f);
    return &f;
}

static void takes_a_report(void **state)
{
    struct fed *f = feed(HEAD LAST OPEN BEAT END);

    (void)state;
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.share, SHARE_OK);
    assert_int_equal(f->last.highest, 2);
    assert_int_equal(f->last.listed_ms, 12345);
    assert_int_equal(f->last.last.node, 1);
    assert_true(f->last.last.owned);
    assert_int_equal(f->last.last.boot.hi, 0x1111111122224333);
    assert_int_equal(f->last.last.run, 0xaa);
    assert_int_equal(f->last.n_open, 1);
    assert_int_equal(f->last.open[0].n, 2);
    assert_true(f->last.beat[1].seen);
    assert_int_equal(f->last.beat[1].counter, 7);
    assert_false(f->last.beat[0].seen);
    assert_true(f->last.before.n == 0 && !f->last.before.ended);
    f = feed(HEAD LAST BEFORE OPEN END);
    assert_int_equal(f->reports, 1);
    assert_true(f->last.before.n == 1 && f->last.before.node == 0 && f->last.before.ended && f->last.before.planned);
}

static void takes_epochs_that_init_made(void **state)
{
    struct fed *f = feed("share state=ok why=- highest=0 local_max=0 open=0 uuid=u\n"
                         "last n=0 node=- boot=00000000-0000-0000-0000-000000000000 run=0000000000000000 owned=0 ended=1 "
                         "planned=1\n" END);

    (void)state;
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.last.node, CORE_NODE_NONE);
    assert_true(f->last.last.ended && f->last.last.planned);
}

static void takes_a_wrong_share_with_nothing_else(void **state)
{
    struct fed *f = feed("share state=wrong why=not-mounted highest=0 local_max=3 open=0 uuid=-\nend at_ms=12345\n");

    (void)state;
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.share, SHARE_WRONG);
    assert_string_equal(f->last.why, "not-mounted");
}

static void takes_the_error_of_the_beat(void **state)
{
    struct fed *f = feed(HEAD LAST OPEN OFF "end at_ms=1 write_errno=28\n");

    (void)state;
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.write_errno, 28);
    f = feed(HEAD LAST OPEN OFF "end at_ms=1 write_errno=28\n" HEAD LAST OPEN END);
    assert_int_equal(f->reports, 2);
    assert_int_equal(f->last.write_errno, 0);
}

static void takes_maintenance(void **state)
{
    struct fed *f = feed(HEAD LAST OPEN END);

    (void)state;
    assert_int_equal(f->last.maintenance, MAINTENANCE_OFF);
    f = feed(HEAD LAST OPEN BEAT ON "end at_ms=12345\n");
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.maintenance, MAINTENANCE_ON);
    assert_string_equal(f->last.maintenance_node, "b");
    assert_string_equal(f->last.maintenance_since, "2026-11-23T03:14:15Z");
    assert_string_equal(f->last.maintenance_reason, "new disk");
    f = feed(HEAD LAST OPEN "maintenance state=malformed node=- since=- reason=-\nend at_ms=12345\n");
    assert_int_equal(f->last.maintenance, MAINTENANCE_MALFORMED);
    f = feed(HEAD LAST OPEN ON "end at_ms=1\n" HEAD LAST OPEN END);
    assert_int_equal(f->reports, 2);
    assert_int_equal(f->last.maintenance, MAINTENANCE_OFF);
}

static void sentences_for_people_are_no_records(void **state)
{
    struct fed *f = feed(HEAD "understudy-epoch: /srv/control: Stale file handle\n" LAST OPEN END);

    (void)state;
    assert_int_equal(f->texts, 1);
    assert_int_equal(f->reports, 1);
}

static void a_bad_report_does_not_spoil_the_next(void **state)
{
    struct fed *f = feed(HEAD LAST END HEAD LAST OPEN END);

    (void)state;
    assert_int_equal(f->bad, 1);
    assert_int_equal(f->reports, 1);
}

static void refused(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fed *f = feed(texts[i]);
        if (f->reports != 0 || f->bad != 1)
            fail_msg("case %zu: %u reports, %u bad: %s", i, f->reports, f->bad, texts[i]);
    }
}

static void anything_odd_voids_the_report(void **state)
{
    static const char *const texts[] = {
        LAST OPEN END,                                                      /* no share record */
        HEAD OPEN END,                                                      /* no last record */
        HEAD LAST END,                                                      /* says one is open, lists none */
        HEAD LAST OPEN OPEN END,                                            /* twice */
        HEAD HEAD LAST OPEN END,
        HEAD LAST LAST OPEN END,
        HEAD LAST OPEN BEAT BEAT END,
        HEAD LAST OPEN OFF "end\n",                                             /* not dated */
        HEAD LAST OPEN OFF "end at_ms=0\n",
        HEAD LAST OPEN OFF "end at_ms=5 write_errno=0\n",
        HEAD LAST OPEN OFF "end at_ms=5 write_errno=4096\n",
        HEAD LAST OPEN OFF "end at_ms=5 write_errno=x\n",
        HEAD LAST OPEN OFF "end at_ms=-5\n",
        HEAD LAST OPEN OFF "end  at_ms=5\n",                                    /* two spaces */
        HEAD LAST OPEN OFF "end at_ms=5 at_ms=5\n",                             /* a key twice */
        "share state=great why=- highest=2 local_max=2 open=1 uuid=u\n" LAST OPEN END,
        "share state=ok why=- highest=x local_max=2 open=1 uuid=u\n" LAST OPEN END,
        "share state=ok why=- highest=99999999999999999999 local_max=2 open=1 uuid=u\n" LAST OPEN END,
        "share state=ok why=- highest=3 local_max=2 open=1 uuid=u\n" LAST OPEN END,   /* highest is another one */
        "share state=ok why=- highest=2 local_max=3 open=1 uuid=u\n" LAST OPEN END,   /* behind, and says ok */
        HEAD "last n=2 node=c boot=" BOOT " run=" RUN " owned=1 ended=0 planned=0\n" OPEN END,  /* unknown node */
        HEAD "last n=2 node=b boot=" BOOT " run=aa owned=1 ended=0 planned=0\n" OPEN END,       /* short run */
        HEAD "last n=2 node=b boot=1111 run=" RUN " owned=1 ended=0 planned=0\n" OPEN END,      /* short boot */
        HEAD "last n=2 node=b boot=" BOOT " run=" RUN " owned=2 ended=0 planned=0\n" OPEN END,  /* not a bool */
        HEAD "last n=2 node=b boot=" BOOT " run=" RUN " owned=1 ended=1 planned=0\n" OPEN END,  /* ended and open */
        HEAD "last n=2 node=a boot=" BOOT " run=" RUN " owned=1 ended=0 planned=0\n" OPEN END,  /* two holders */
        HEAD LAST "open n=0 node=b boot=" BOOT " run=" RUN " owned=1\n" END,
        HEAD LAST "open n=3 node=b boot=" BOOT " run=" RUN " owned=1\n" END,                    /* above the highest */
        HEAD LAST "open n=2 node=b\n" END,
        HEAD LAST OPEN "beat node=b boot=" BOOT " run=" RUN " counter=\n" END,
        HEAD LAST OPEN "beat node\n" END,
        HEAD LAST OPEN "share \x01\n" END,
    };

    (void)state;
    refused(texts, sizeof texts / sizeof texts[0]);
}

static void an_odd_epoch_before_voids_the_report(void **state)
{
    static const char *const texts[] = {
        HEAD LAST BEFORE BEFORE OPEN END,
        HEAD LAST "before n=2 node=a boot=" BOOT " run=" RUN " owned=1 ended=1 planned=1\n" OPEN END,  /* not before it */
        HEAD LAST "before n=1 node=a boot=" BOOT " run=" RUN " owned=1 ended=0 planned=0\n" OPEN END,  /* open, and not listed */
        "share state=ok why=- highest=2 local_max=2 open=2 uuid=u\n" LAST BEFORE "open n=1 node=a boot=" BOOT " run=" RUN
        " owned=1\n" OPEN END,                                               /* ended, and listed as open */
    };

    (void)state;
    refused(texts, sizeof texts / sizeof texts[0]);
}

static void odd_maintenance_voids_the_report(void **state)
{
    static const char *const texts[] = {
        HEAD LAST OPEN "end at_ms=12345\n",                                /* nothing about maintenance */
        HEAD LAST OPEN OFF END,                                             /* twice */
        HEAD LAST OPEN ON END,
        HEAD LAST OPEN "maintenance\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=perhaps node=- since=- reason=-\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance node=- since=- reason=-\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=off since=- reason=-\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=off node=- reason=-\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=off node=- since=-\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=on node=b since=x reason=a%2\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=on node=b since=x reason=a%0Ab\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=on node=b since=x reason=a%41b\nend at_ms=5\n",
        HEAD LAST OPEN "maintenance state=on node=b since=x reason=\nend at_ms=5\n",
    };

    (void)state;
    refused(texts, sizeof texts / sizeof texts[0]);
}

static void cut_anywhere_it_is_never_a_report(void **state)
{
    static const char whole[] = HEAD LAST OPEN BEAT END;
    char part[sizeof whole];

    (void)state;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        memcpy(part, whole, n);
        part[n] = '\0';
        assert_int_equal(feed(part)->reports, 0);
    }
}

static void more_open_epochs_than_fit_are_counted(void **state)
{
    char text[4096] = "share state=ok why=- highest=20 local_max=20 open=12 uuid=u\n"
                      "last n=20 node=b boot=" BOOT " run=" RUN " owned=1 ended=0 planned=0\n";
    size_t len = strlen(text);

    (void)state;
    for (unsigned n = 1; n <= 8; n++)
        len += (size_t)snprintf(text + len, sizeof text - len, "open n=%u node=b boot=" BOOT " run=" RUN " owned=0\n", n);
    (void)snprintf(text + len, sizeof text - len, "%s", END);
    struct fed *f = feed(text);
    assert_int_equal(f->reports, 1);
    assert_int_equal(f->last.n_open, 12);
    assert_int_equal(f->last.n_listed, 8);
    (void)snprintf(text + len, sizeof text - len, "open n=9 node=b boot=" BOOT " run=" RUN " owned=0\n" END);
    assert_int_equal(feed(text)->reports, 0);
}

static void lines_that_are_too_long_are_dropped_whole(void **state)
{
    char text[2048];
    size_t head = strlen(HEAD LAST OPEN);

    (void)state;
    memcpy(text, HEAD LAST OPEN, head);
    memset(text + head, 'x', 1000);
    memcpy(text + head, "beat ", 5);
    memcpy(text + head + 1000, "\n" END, sizeof "\n" END);
    assert_int_equal(feed(text)->reports, 1);
    assert_false(feed(text)->last.beat[1].seen);
}

static void records_of_other_programs(void **state)
{
    static const char good[] = "phase name=lmtp at_ms=12";
    struct record r;
    uint64_t n;

    (void)state;
    assert_int_equal(record_parse(good, sizeof good - 1, &r), 0);
    assert_string_equal(r.word, "phase");
    assert_string_equal(record_value(&r, "name"), "lmtp");
    assert_int_equal(record_u64(&r, "at_ms", &n), 0);
    assert_int_equal(n, 12);
    assert_null(record_value(&r, "took"));
    assert_true(record_parse("Phase name=x", 12, &r) != 0);
    assert_true(record_parse("phase name = x", 14, &r) != 0);
    assert_true(record_parse("", 0, &r) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_report),
        cmocka_unit_test(takes_epochs_that_init_made),
        cmocka_unit_test(takes_a_wrong_share_with_nothing_else),
        cmocka_unit_test(takes_the_error_of_the_beat),
        cmocka_unit_test(takes_maintenance),
        cmocka_unit_test(sentences_for_people_are_no_records),
        cmocka_unit_test(a_bad_report_does_not_spoil_the_next),
        cmocka_unit_test(anything_odd_voids_the_report),
        cmocka_unit_test(an_odd_epoch_before_voids_the_report),
        cmocka_unit_test(odd_maintenance_voids_the_report),
        cmocka_unit_test(cut_anywhere_it_is_never_a_report),
        cmocka_unit_test(more_open_epochs_than_fit_are_counted),
        cmocka_unit_test(lines_that_are_too_long_are_dropped_whole),
        cmocka_unit_test(records_of_other_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
