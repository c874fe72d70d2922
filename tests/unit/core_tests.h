/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UNDERSTUDY_CORE_TESTS_H
#define UNDERSTUDY_CORE_TESTS_H

#include "core_fixture.h"

extern const struct CMUnitTest core_passive_tests[], core_takeover_tests[], core_fence_tests[], core_active_tests[],
                               core_release_tests[], core_state_tests[], core_facts_tests[], core_effects_tests[],
                               core_explain_tests[], core_limits_tests[], core_beside_tests[];
extern const size_t core_n_passive_tests, core_n_takeover_tests, core_n_fence_tests, core_n_active_tests, core_n_release_tests,
                    core_n_state_tests, core_n_facts_tests, core_n_effects_tests, core_n_explain_tests, core_n_limits_tests,
                    core_n_beside_tests;

#endif
