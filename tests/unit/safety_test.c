/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the executor says of watchdog and reboot, as a person and a program get to see it. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "daemon/engine_safety.h"

static char text[1024];

static const char *shown(const struct wire_safety *s, bool all)
{
    json_t *o = safety_json(s);
    FILE *out = fmemopen(text, sizeof text, "w");

    assert_non_null(o);
    assert_non_null(out);
    memset(text, 0, sizeof text);
    text_safety(out, o, all);
    (void)fclose(out);
    json_decref(o);
    return text;
}

static void test_a_node_in_order(void **state)
{
    const struct wire_safety s = { .watchdog = WATCHDOG_ARMED, .self_fence = SELF_FENCE_ON, .watchdog_says = "it is armed" };

    (void)state;
    assert_string_equal(shown(&s, true), "watchdog   armed: it is armed\n");
    assert_string_equal(shown(&s, false), ""); /* nothing that a person has to look at */
}

static void test_one_without_a_watchdog(void **state)
{
    struct wire_safety s = { .watchdog = WATCHDOG_OFF, .self_fence = SELF_FENCE_ON, .watchdog_says = "none" };

    (void)state;
    assert_string_equal(shown(&s, false), "");
    for (s.watchdog = WATCHDOG_ABSENT; s.watchdog <= WATCHDOG_FAILED; s.watchdog++)
        assert_non_null(strstr(shown(&s, false), "none"));
}

static void test_after_a_reboot_by_itself(void **state)
{
    struct wire_safety s = { .watchdog = WATCHDOG_OFF, .self_fence = SELF_FENCE_ON, .last_unix_s = 86400, .last_epoch = 7,
                             .last_why = "its stop\033 cannot be proven", .n_recent = 1 };

    (void)state;
    assert_non_null(strstr(shown(&s, true), "self-fence it rebooted itself at 1970-01-02T00:00:00Z, in epoch 7: its stop? cannot"));
    assert_null(strstr(shown(&s, false), "self-fence"));
    s.self_fence = SELF_FENCE_LIMIT;
    assert_non_null(strstr(shown(&s, false), "USED UP"));
}

static void test_a_stop_that_is_not_proven(void **state)
{
    const struct wire_safety s = { .watchdog = WATCHDOG_OFF, .self_fence = SELF_FENCE_OFF, .stop_unproven = 1 };

    (void)state;
    assert_non_null(strstr(shown(&s, false), "off; A STOP IS NOT PROVEN"));
    assert_non_null(strstr(shown(&s, false), "reboot it by hand"));
}

static void test_the_same_for_programs(void **state)
{
    const struct wire_safety s = { .watchdog = WATCHDOG_BUSY, .self_fence = SELF_FENCE_UNABLE, .n_recent = 2,
                                   .last_unix_s = 86400, .last_epoch = 9, .last_why = "x", .watchdog_says = "held" };
    json_t *o = safety_json(&s), *want = json_pack("{s:{s:s, s:s}, s:{s:s, s:i, s:b, s:s, s:i, s:s}}",
        "watchdog", "state", "busy", "says", "held", "self_fence", "state", "unable", "within_hour", 2, "stop_unproven", 0,
        "last_at", "1970-01-02T00:00:00Z", "last_epoch", 9, "last_why", "x");

    (void)state;
    assert_true(want && json_equal(o, want));
    json_decref(o);
    json_decref(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_node_in_order), cmocka_unit_test(test_one_without_a_watchdog),
        cmocka_unit_test(test_after_a_reboot_by_itself), cmocka_unit_test(test_a_stop_that_is_not_proven),
        cmocka_unit_test(test_the_same_for_programs),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
