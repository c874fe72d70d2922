/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UNDERSTUDY_CORE_TESTS_H
#define UNDERSTUDY_CORE_TESTS_H

#include "core_fixture.h"

extern const struct CMUnitTest core_passive_tests[], core_takeover_tests[], core_fence_tests[], core_active_tests[],
                               core_release_tests[];
extern const size_t core_n_passive_tests, core_n_takeover_tests, core_n_fence_tests, core_n_active_tests, core_n_release_tests;

#endif
