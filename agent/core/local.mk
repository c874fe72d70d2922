# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = %D%/core.h %D%/private.h %D%/rules.h %D%/rules.c %D%/step.c %D%/turn.c %D%/guards.c \
	%D%/effects.c %D%/effects_proof.c %D%/facts.c %D%/blockers.c %D%/proof.c %D%/moves.c %D%/invariant.c \
	%D%/names.c %D%/reasons.c %D%/explain.c %D%/dump.c
# The core sees its own headers and nothing else.
libcore_a_CPPFLAGS = -I$(top_srcdir)/agent

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/core_test
TESTS += tests/unit/core_test
endif
tests_unit_core_test_SOURCES = tests/unit/core_test.c tests/unit/core_tests.h tests/unit/core_fixture.h tests/unit/core_fixture.c \
	tests/unit/core_passive_test.c tests/unit/core_takeover_test.c tests/unit/core_fence_test.c \
	tests/unit/core_active_test.c tests/unit/core_release_test.c tests/unit/core_state_test.c \
	tests/unit/core_facts_test.c tests/unit/core_effects_test.c tests/unit/core_explain_test.c \
	tests/unit/core_beside_test.c \
	tests/unit/core_limits_test.c
tests_unit_core_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_core_test_LDADD = libcore.a $(CMOCKA_LIBS)
