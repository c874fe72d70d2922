/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table, rule by rule. */
#include "core_tests.h"

int main(void)
{
    struct CMUnitTest all[160];
    size_t n = 0;

    memcpy(all + n, core_passive_tests, core_n_passive_tests * sizeof *all);
    n += core_n_passive_tests;
    memcpy(all + n, core_takeover_tests, core_n_takeover_tests * sizeof *all);
    n += core_n_takeover_tests;
    memcpy(all + n, core_fence_tests, core_n_fence_tests * sizeof *all);
    n += core_n_fence_tests;
    memcpy(all + n, core_release_tests, core_n_release_tests * sizeof *all);
    n += core_n_release_tests;
    memcpy(all + n, core_state_tests, core_n_state_tests * sizeof *all);
    n += core_n_state_tests;
    memcpy(all + n, core_facts_tests, core_n_facts_tests * sizeof *all);
    n += core_n_facts_tests;
    memcpy(all + n, core_effects_tests, core_n_effects_tests * sizeof *all);
    n += core_n_effects_tests;
    memcpy(all + n, core_explain_tests, core_n_explain_tests * sizeof *all);
    n += core_n_explain_tests;
    memcpy(all + n, core_limits_tests, core_n_limits_tests * sizeof *all);
    n += core_n_limits_tests;
    memcpy(all + n, core_beside_tests, core_n_beside_tests * sizeof *all);
    n += core_n_beside_tests;
    memcpy(all + n, core_active_tests, core_n_active_tests * sizeof *all);
    n += core_n_active_tests;
    return _cmocka_run_group_tests("core", all, n, NULL, NULL);
}
